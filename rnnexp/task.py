"""What Hydra hands a composed configuration to, be it from a shell, from Python, or a trial's in a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

import hydra_sweep
from rnnexp.record.run_folder import HydraFiles
from rnnexp.schema.tree import GROUPS

if TYPE_CHECKING:
    from rnnexp.callbacks import Callback
    from rnnexp.record.result import RunResult, Status


def train(
    cfg: DictConfig, on_epoch: Callable[[dict[str, float]], bool | Status], callbacks: Sequence[Callback] = ()
) -> RunResult:
    """Runs a configuration in the folder that Hydra has made for it.

    Args:
        on_epoch, callbacks: as `rnnexp.runner.run` has them.

    Raises:
        UserError: it can't run here, or the folder holds another run.
        Interrupted: SIGTERM or Ctrl-C came; the checkpoint is written.
    """
    from rnnexp.runner import run

    state = HydraConfig.get()
    choices = {k: str(v) for k, v in state.runtime.choices.items() if k in GROUPS and v is not None}
    hydra_files = HydraFiles(
        config=OmegaConf.to_yaml(cfg),
        hydra=OmegaConf.to_yaml(OmegaConf.create({"hydra": state})),
        overrides=OmegaConf.to_yaml(state.overrides.task),
    )
    is_trial = state.mode is RunMode.MULTIRUN
    cfg.train.resume = cfg.train.resume or is_trial  # a trial's folder is its own
    return run(
        cfg,
        state.runtime.output_dir,
        choices=choices,
        hydra_files=hydra_files,
        on_epoch=on_epoch,
        test=not hydra_sweep.is_search(),
        callbacks=callbacks,
        trial=str(state.sweep.subdir) if is_trial else None,
    )
