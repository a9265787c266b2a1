"""Every private name of Hydra, joblib and Python that is used: a new version of them breaks this module alone.

Seen with hydra-core 1.3.8, joblib 1.5.3 and Python 3.11. Optuna's are in `optuna_compat`, since help needs no Optuna.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import process, resource_tracker
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.utils import _locate
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig

BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"

locate = _locate  # what hydra.utils.get_method calls, without its log
override_dirname = get_overrides_dirname


def apply_values(overrides: list[Override], cfg: DictConfig) -> None:
    """Does the last thing that Hydra does as it composes: sets the values of overrides that choose no group."""
    ConfigLoaderImpl._apply_overrides_to_config(overrides, cfg)


def group_options(loader: ConfigLoader, group: str) -> list[str]:
    """Returns the options of a group, as the loader's own method does, which copies its whole repository first."""
    repository = loader.repository if isinstance(loader, ConfigLoaderImpl) else loader
    return list(repository.get_group_options(group))


class ReadOnce(ConfigRepository):
    """A repository that parses each configuration file once for all compositions; Hydra parses all for each."""

    def __init__(self, repository: ConfigRepository) -> None:
        self.sources = repository.sources
        self.kept: dict[str, ConfigResult | None] = {}

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        super().initialize_sources(config_search_path)
        self.kept = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        if config_path not in self.kept:
            self.kept[config_path] = super().load_config(config_path)
        found = self.kept[config_path]
        # A composition takes what it has read apart, but for the list of defaults, which it copies.
        return replace(found, config=copy.deepcopy(found.config), header=dict(found.header)) if found else None

    def __deepcopy__(self, memo: dict[int, Any]) -> ReadOnce:
        """Returns what a composition begins with: its own search path, if it gets one, and the files read so far."""
        return copy.copy(self)


def read_once(loader: ConfigLoader) -> None:
    """Lets a loader parse each configuration file once: composing takes two thirds of the time."""
    if isinstance(loader, ConfigLoaderImpl) and not isinstance(loader.repository, ReadOnce):
        loader.repository = ReadOnce(loader.repository)


def value_of(override: Override) -> Any:
    """Returns what stands after an override's =, quotes and sweeps as Hydra's grammar has them."""
    return override._value


def set_value(override: Override, value: Any) -> None:
    """Changes what stands after an override's =."""
    override._value = value


def value_as_text(value: Any) -> str:
    """Returns a value of an override as it is written in one."""
    return Override._get_value_element_as_str(value)


def plain_value(value: Any) -> Any:
    """Returns a value of an override without its quotes."""
    return Override._convert_value(value)


def returned(job: JobReturn) -> Any:
    """Returns what a job's task returned, or the exception that it raised: `return_value` would raise it."""
    return job._return_value


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Gives an attribute another value meanwhile."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def first_process() -> Iterator[None]:
    """Lets this process be for multiprocessing what a program's first one is, whoever has started it."""
    current = process.current_process()
    if current.name != "MainProcess":
        current = process.BaseProcess(name="MainProcess")
        current._identity, current._parent_pid = (), None  # type: ignore[attr-defined]
    with replaced(process, "_current_process", current), replaced(process, "_parent_process", None):
        yield


def forget_inherited_tracker() -> None:
    """Lets multiprocessing start a resource tracker of this process's own, if the one it knows is its parent's."""
    tracker: Any = resource_tracker._resource_tracker
    if tracker._fd is not None and tracker._pid is None:
        tracker._fd = None


def joblib_executor() -> Any:
    """Returns the executor whose workers joblib keeps for its next call, or None."""
    module = sys.modules.get("joblib.externals.loky.reusable_executor")
    return module and module._executor


def executor_pids(executor: Any) -> Sequence[int]:
    """Returns the processes of joblib's executor."""
    return list(executor._processes)


def start_trackers() -> None:
    """Starts the trackers of what joblib's and multiprocessing's processes leave in the system."""
    from joblib.externals.loky.backend import resource_tracker as loky

    for tracker in (loky, resource_tracker):
        tracker.ensure_running()
