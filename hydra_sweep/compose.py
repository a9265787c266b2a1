"""Composing many configurations that differ little: Hydra's result, without composing the same groups again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_sweep.compat import apply_values, group_options, override_dirname, read_once
from hydra_sweep.differences import flatten
from hydra_sweep.errors import UserError
from hydra_sweep.hydra_errors import one_line

KEPT = 64  # combinations of groups
OF_COMPOSING = ("hydra.searchpath", "hydra.job.env_copy")  # keys that Hydra reads as it composes


class ComposeError(UserError):
    """Overrides and files don't make a configuration."""


@contextmanager
def composing() -> Iterator[None]:
    """Turns what is raised inside into a line.

    That is more than Hydra's own errors: it lets through what YAML says about a file, and on some files stumbles.

    Raises:
        ComposeError: something was.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise ComposeError(one_line(error)) from error


def flat_without_hydra(full: DictConfig) -> dict[str, Any]:
    """Returns the application's part of a composed configuration, {"optim.lr": 0.1}, unresolved."""
    container = OmegaConf.to_container(full, resolve=False)
    assert isinstance(container, dict)
    return flatten({str(key): value for key, value in container.items() if key != "hydra"})


class CachedComposer:
    """Gives what Hydra composes from overrides, ten times faster when only values differ.

    Hydra composes the chosen groups first and applies values at the very end; so a composition of the same groups can
    be used again.

    Args:
        load: composes, as Hydra does.
        typed: Hydra's own overrides that are recorded before those of each configuration.
    """

    def __init__(
        self, loader: ConfigLoader, load: Callable[[list[str]], DictConfig], typed: Sequence[str] = ()
    ) -> None:
        read_once(loader)
        self.loader, self.load, self.typed = loader, load, typed
        self.composed: dict[tuple[str, ...], DictConfig] = {}

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        """Raises: ComposeError, with the line of Hydra's own error."""
        with composing():
            return self.compose(overrides)

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        parsed = OverridesParser.create(config_loader=self.loader).parse_overrides(list(overrides))
        values = [override for override in parsed if self._is_value(override)]
        rest = tuple(o.input_line or "" for o in parsed if o not in values)
        if rest not in self.composed:
            if len(self.composed) >= KEPT:
                self.composed.clear()
            self.composed[rest] = self.load(list(rest))
        cfg = copy.deepcopy(self.composed[rest])
        apply_values(values, cfg)
        of_task = [o for o in parsed if not o.is_hydra_override()]
        with open_dict(cfg.hydra):
            cfg.hydra.overrides.task = [o.input_line for o in of_task]
            cfg.hydra.overrides.hydra = [
                *self.typed,
                *(o.input_line for o in parsed if o.is_hydra_override()),
            ]
            config = cfg.hydra.job.config.override_dirname
            cfg.hydra.job.override_dirname = override_dirname(
                overrides=of_task, kv_sep=config.kv_sep, item_sep=config.item_sep, exclude_keys=config.exclude_keys
            )
        return cfg

    def _is_value(self, override: Override) -> bool:
        """Whether an override changes a composition at its end alone, and not what it is made of."""
        is_more = override.package is not None or override.is_delete() or override.is_sweep_override()
        return not (is_more or override.key_or_group in OF_COMPOSING or self._is_group(override.key_or_group))

    def _is_group(self, key: str) -> bool:
        return bool(group_options(self.loader, key))


class Composer(CachedComposer):
    """Gives what `ConfigLoader.load_sweep_config` gives.

    Args:
        master: the configuration of the multirun.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        typed: Any = OmegaConf.to_container(master.hydra.overrides.hydra, resolve=False)
        super().__init__(loader, partial(loader.load_sweep_config, master), typed)
        self.master = master
