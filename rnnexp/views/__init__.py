"""Runs, sweeps and comparisons from Python: views of the folders that they leave on disk.

Each reads what is there when it is asked, so that it follows what still runs. Nothing here changes a record.

    run = rnnexp.load("first")
    run.metrics["test_accuracy"]
    run.history.plot("epoch", "valid_loss")
"""

from __future__ import annotations

from pathlib import Path

from hydra_sweep.errors import UserError
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record.comparison_folder import ComparisonFolder
from rnnexp.record.run_folder import RunFolder
from rnnexp.views.comparison import Comparison
from rnnexp.views.run import Predictions, Run
from rnnexp.views.sweep import Sweep

__all__ = ["Comparison", "Predictions", "Run", "Sweep", "at"]


def at(path: Path, trust: bool = False) -> Run | Sweep | Comparison:
    """Returns what a folder holds.

    Raises:
        UserError: it is neither a run's, a sweep's nor a comparison's.
    """
    comparison = ComparisonFolder(path)
    if comparison.across.exists() or comparison.verdict.exists() or comparison.state.exists():
        return Comparison(path, trust=trust)
    if SweepFolder(path).is_sweep():
        return Sweep(path, trust=trust)
    if RunFolder(path).is_run():
        return Run(path, trust=trust)
    if not path.is_dir():
        raise UserError(f"no folder {path}; type the folder of a run, a sweep or a comparison")
    raise UserError(f"{path} holds no run, no sweep and no comparison; rnnexp.collect shows all runs below a folder")
