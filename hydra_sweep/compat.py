"""Every private name of Hydra, Optuna, joblib and Python that is used: a new version of them breaks this module alone.

Seen with hydra-core 1.3.8, Optuna 4.9 and 5.0, joblib 1.5.3 and Python 3.11.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import process, resource_tracker
from typing import Any

import optuna
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.utils import _locate
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from omegaconf import DictConfig
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
# All that a storage does; Optuna's cache in front of a database calls the last three, too.
STORAGE_CALLS = (*BaseStorage.__abstractmethods__, "_get_trials", "_set_trial_param", "_create_new_trial")

locate = _locate  # what hydra.utils.get_method calls, without its log
override_dirname = get_overrides_dirname


def apply_values(overrides: list[Override], cfg: DictConfig) -> None:
    """Does the last thing that Hydra does as it composes: sets the values of overrides that choose no group."""
    ConfigLoaderImpl._apply_overrides_to_config(overrides, cfg)


def group_options(loader: ConfigLoader, group: str) -> list[str]:
    """Returns the options of a group, as the loader's own method does, which copies its whole repository first."""
    repository = loader.repository if isinstance(loader, ConfigLoaderImpl) else loader
    return list(repository.get_group_options(group))


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


def trial_id(trial: FrozenTrial) -> int:
    """Returns the number of a trial in its storage, which all calls to the storage want."""
    return trial._trial_id


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a parameter may have a value.

    Raises:
        ValueError: it is of another kind.
        TypeError: so it is.
    """
    return distribution._contains(distribution.to_internal_repr(value))


class Trial(optuna.Trial):
    """A trial that is told of each parameter before it is drawn."""

    def before_draw(self, name: str) -> None:
        """Is called with the name of a parameter, whose draw or recorded value follows."""

    def draw(self, name: str, distribution: BaseDistribution) -> Any:
        """Returns a parameter's value, drawn by the sampler or drawn before, from any distribution."""
        return self._suggest(name, distribution)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        self.before_draw(name)
        return super()._suggest(name, distribution)


def ask(study: optuna.Study) -> Trial:
    """Returns a new trial of a study."""
    return Trial(study, study.ask()._trial_id)


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
