"""The config tree as Hydra composes it: once for all command lines of a process that choose the same groups."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig

from hydra_sweep.compose import CachedComposer
from rnnexp.compat import Hydra, create_config_search_path


class ConfigTree:
    """Hydra for a config tree.

    Args:
        config_dir: absolute path of the tree.
        extra_dir: a folder of the user's own options, which come before it.
    """

    def __init__(self, config_dir: str, extra_dir: Path | None = None) -> None:
        search_path = create_config_search_path(config_dir)
        if extra_dir and extra_dir.is_dir():
            search_path.prepend("command-line", f"file://{extra_dir}", SearchPathQuery(provider="schema"))
        GlobalHydra.instance().clear()
        self.hydra = Hydra.create_main_hydra2(task_name="rnnexp", config_search_path=search_path)
        GlobalHydra.instance().clear()
        self.composers: dict[tuple[str, RunMode], CachedComposer] = {}

    def compose(self, config_name: str, overrides: Sequence[str], mode: RunMode) -> DictConfig:
        """Returns a configuration, Hydra's own part included.

        Raises:
            ComposeError: a file or an override is faulty.
        """
        if (config_name, mode) not in self.composers:
            load = functools.partial(self.hydra.compose_config, config_name, run_mode=mode)
            self.composers[config_name, mode] = CachedComposer(self.hydra.config_loader, load)
        full = self.composers[config_name, mode](overrides)
        full.hydra.runtime.cwd = os.getcwd()
        return full


# A comparison has dozens of command lines. A user's own files may change while Python goes on, in a notebook: their
# trees are not kept.
shipped_tree = functools.cache(ConfigTree)
