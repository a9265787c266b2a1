"""An app's task: its configuration for one trial, and the call, in the process that its program would have."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, configure_log, run_job
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from hydra_sweep import compat
from hydra_sweep.compose import Composer
from hydra_sweep.plan import Plan
from hydra_sweep.processes import Program, leaving_if_forked


class Task:
    """An app's task, to be run with a trial's configuration.

    Args:
        config: the master configuration that trials are composed from.
        program: the process that the task is to find.
    """

    def __init__(
        self, plan: Plan, config: DictConfig, hydra_context: HydraContext, function: TaskFunction, program: Program
    ) -> None:
        self.plan, self.config, self.hydra_context = plan, config, hydra_context
        self.function, self.program = function, program
        self.composer = Composer(hydra_context.config_loader, config)

    def compose(self, overrides: Sequence[str], number: int, subdir: str) -> DictConfig:
        """Returns a trial's configuration, its folder and number included."""
        place = [f"hydra.sweep.dir='{_quoted(self.plan.folder.path)}'", f"hydra.sweep.subdir={subdir}"]
        cfg = self.composer([*self.plan.trial_overrides(overrides), *place])
        with open_dict(cfg):
            cfg.hydra.job.id, cfg.hydra.job.num = f"{cfg.hydra.job.name}_{number}", number
            root = (cfg.hydra.job_logging or {}).get("root")
            if root and "console" in root.get("handlers", []) and not cfg.hydra.verbose:  # the sweeper has the screen
                root.handlers = [name for name in root.handlers if name != "console"]
        return cfg

    def run(self, cfg: DictConfig) -> Any:
        """Returns what the task returned, or the exception that it raised; what passes Hydra is raised."""
        with self.program.restored(self.function):
            job: JobReturn = run_job(
                task_function=leaving_if_forked(self.function),
                config=cfg,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
                hydra_context=self.hydra_context,
            )
        return compat.returned(job)

    def restore_log(self) -> None:
        """Lets the process log as it did before it ran the task."""
        for handler in logging.getLogger().handlers:
            handler.close()  # logging itself forgets those of a trial once one beside it has set up its own
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace("'", "\\'")
