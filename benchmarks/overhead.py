"""What a sweep costs beside the work itself: an empty task, thousands of trials, two workers.

    python benchmarks/overhead.py --trials 5000

Prints, for each block of trials, the wall time from one trial's start to the next's, which two workers share, and the
time that a worker spends on a trial, asking and telling included.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import optuna

APP = Path(__file__).parent.parent / "tests" / "apps" / "parabola.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sampler", default="tpe", help="tpe (the default) or any other of the sweeper's")
    parser.add_argument("--blocks", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = [f"hydra.sweep.dir={folder}/sweep", f"hydra.sweeper.n_trials={args.trials}", "steps=0"]
        options += [f"hydra.sweeper.workers={args.workers}", f"hydra/sweeper/sampler={args.sampler}"]
        command = [sys.executable, str(APP), "-m", "x=interval(-5,5)", "y=1,2", "hydra/launcher=joblib", *options]
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        total = time.monotonic() - began
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        [study] = optuna.get_all_study_names(f"sqlite:///{folder}/sweep/study.db")
        trials = optuna.load_study(study_name=study, storage=f"sqlite:///{folder}/sweep/study.db").trials
    assert all(trial.state.name == "COMPLETE" for trial in trials)
    print(f"{len(trials)} empty trials, {args.workers} workers, sampler {args.sampler}: {total:.0f} s in all")
    print(f"{'trials':>12}  {'wall ms a trial':>15}  {'worker ms a trial':>17}")
    size = len(trials) // args.blocks
    for first in range(0, size * args.blocks, size):
        block = trials[first : first + size]
        wall = (block[-1].datetime_start - block[0].datetime_start).total_seconds() / (len(block) - 1)
        starts: dict[str, list[float]] = {}
        for trial in block:
            starts.setdefault(trial.user_attrs["outcome"]["worker"], []).append(trial.datetime_start.timestamp())
        gaps = [b - a for times in starts.values() for a, b in pairwise(times)]
        span = f"{first}-{first + size - 1}"
        print(f"{span:>12}  {1000 * wall:15.1f}  {1000 * statistics.median(gaps):17.1f}")


if __name__ == "__main__":
    main()
