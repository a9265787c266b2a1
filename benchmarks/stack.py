"""Trials an hour of a grid of sixteen seeds, each trial alone beside eight side by side in one program (`stack=8`).

The classic cells with 8 to 128 hidden units in two layers, batches of 64 of MNIST's rows, with one worker of one thread
and with two; the two ways take turns. Seconds are those from the first trial's start to the last one's end. What
`stack=auto` does on a CPU, `LARGEST` in rnnexp/training/stack.py, follows from these.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from bench import Row
from data_root import data_root
from tqdm import tqdm

from hydra_sweep.study import SweepStudy
from rnnexp.training.stack import LARGEST

CELLS = ("rnn", "gru", "lstm")
SIZES = (8, 16, 32, 64, 128)
WORKERS = (1, 2)
NUM_TRIALS = 16
EPOCHS_UNITS = 160  # epochs times hidden units, at least two epochs: each sweep takes about as long


def measure(rounds: int = 1) -> Iterator[Row]:
    data_root()  # unpacked before any clock runs
    cases = [(cell, size, workers) for cell in CELLS for size in SIZES for workers in WORKERS]
    seconds: dict[tuple[str, int, int, str], list[float]] = defaultdict(list)
    for cell, size, workers in tqdm(cases * rounds, "stack", disable=None):
        for stack in ("off", "8"):
            seconds[cell, size, workers, stack].append(sweep(cell, size, workers, stack))
    for cell, size, workers in cases:
        stacked, alone = (seconds[cell, size, workers, stack] for stack in ("8", "off"))
        an_hour = [f"{3600 * NUM_TRIALS / min(of_one):,.0f}" for of_one in (stacked, alone)]
        what = f"sixteen trials, {cell} of {size} units, {workers} worker{'s' * (workers > 1)}, stack=8"
        note = f"{an_hour[0]} trials an hour, against {an_hour[1]}"
        yield Row(what, "stack=off", "s", stacked, alone, goal=1.0 if size <= LARGEST.get(cell, 0) else None, note=note)


def sweep(cell: str, size: int, workers: int, stack: str) -> float:
    """Returns how long the trials took."""
    return seconds_of(
        *(f"model={cell}", f"model.hidden_size={size}", f"seed=range({NUM_TRIALS})", "train.batch_size=64"),
        *("data.limit=2000", "data.valid_size=200", f"train.epochs={max(2, EPOCHS_UNITS // size)}"),
        *(f"workers={workers}", f"stack={stack}", "train.device=cpu"),
    )


def seconds_of(*words: str) -> float:
    """Returns the time from the start of a sweep's first trial to the end of its last one."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rnnexp", "-m", *words, "optim=adam", "train.patience=null", "name=s"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        place = Path(folder) / "outputs" / "sweeps" / "s"
        trials = SweepStudy(f"sqlite:///{place / 'study.db'}", "s", 10).trials()
    return (max(t.datetime_complete for t in trials) - min(t.datetime_start for t in trials)).total_seconds()
