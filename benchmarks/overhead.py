"""What a sweep costs beside the work itself: an empty task, thousands of trials, two workers or more.

    python benchmarks/overhead.py --trials 5000
    python benchmarks/overhead.py --trials 3000 --workers 32 --storage postgresql

Prints, for each block of trials, the wall time from one trial's start to the next's, which the workers share, and the
time that a worker spends on a trial, asking and telling included. Fails if a trial was lost, or run twice.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

from bench import ROOT
from storage import STORAGES, url_of

from hydra_sweep.records import Outcome
from hydra_sweep.study import SweepStudy

APP = ROOT / "tests" / "apps" / "walker.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sampler", default="tpe", help="tpe (the default) or any other of the sweeper's")
    parser.add_argument("--storage", default="sqlite", choices=STORAGES, help="(default: %(default)s)")
    parser.add_argument("--blocks", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, url_of(args.storage, Path(folder)) as url:
        sweep = Path(folder) / "sweep"
        options = [f"hydra.sweep.dir={sweep}", f"hydra.sweeper.n_trials={args.trials}", "steps=0"]
        options += [f"hydra.sweeper.workers={args.workers}", f"hydra/sweeper/sampler={args.sampler}"]
        options += ["hydra.sweeper.objective=loss", f"hydra.sweeper.storage='{url}'", "hydra/launcher=joblib"]
        began = time.monotonic()
        subprocess.run(
            [sys.executable, APP, "-m", "x=interval(-5,5)", "y=1,2", *options], check=True, stdout=subprocess.DEVNULL
        )
        total = time.monotonic() - began
        trials = SweepStudy(url, "sweep", 60).trials()[: args.trials]
        runs = Counter(map(int, (sweep / "runs.log").read_text().split()))
    assert [trial.number for trial in trials] == list(range(args.trials)), "trials are lost"
    assert all(trial.state.name == "COMPLETE" for trial in trials), "trials are not complete"
    again = [trial.number for trial in trials if runs[trial.number] != (Outcome.of(trial).same_as is None)]
    assert not again, f"trials {again} were run twice, or not at all"
    print(
        f"{len(trials)} empty trials, {args.workers} workers, sampler {args.sampler}, {args.storage}: {total:.0f} s in "
        f"all, {len(trials) / total:.1f} a second, each run once"
    )
    print(f"{'trials':>12}  {'wall ms a trial':>15}  {'worker ms a trial':>17}")
    size = len(trials) // args.blocks
    for first in range(0, size * args.blocks, size):
        block = trials[first : first + size]
        wall = (block[-1].datetime_start - block[0].datetime_start).total_seconds() / (len(block) - 1)
        starts: dict[str, list[float]] = {}
        for trial in block:
            starts.setdefault(Outcome.of(trial).worker, []).append(trial.datetime_start.timestamp())
        gaps = [b - a for times in starts.values() for a, b in pairwise(times)]
        span = f"{first}-{first + size - 1}"
        print(f"{span:>12}  {1000 * wall:15.1f}  {1000 * statistics.median(gaps):17.1f}")


if __name__ == "__main__":
    main()
