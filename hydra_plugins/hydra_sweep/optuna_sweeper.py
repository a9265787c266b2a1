"""`hydra/sweeper=optuna`: the class that Hydra insists on finding here. All that it does is in `hydra_sweep`."""

from __future__ import annotations

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_sweep import settings
from hydra_sweep.commands import fail
from hydra_sweep.errors import UserError

settings.register()


class OptunaSweeper(Sweeper):
    """Takes `hydra.sweeper`, as `hydra_sweep.settings.SweeperConfig` has it."""

    def __init__(self, **config: Any) -> None:
        self.sweeper_config = config

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context, self.task_function = config, hydra_context, task_function

    def sweep(self, arguments: list[str]) -> Any:
        """Runs or resumes the sweep; a mistake is one line on stderr and exit status 2."""
        from hydra_sweep.sweeper import sweep

        assert self.config is not None
        assert self.hydra_context is not None
        try:
            return sweep(self.config, self.hydra_context, self.task_function, arguments)
        except UserError as error:
            fail("sweep", error)
