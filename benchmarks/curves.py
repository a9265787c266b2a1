"""Full learning curves of search=default, to replay searches with: 300 random configurations, ten epochs each.

    python benchmarks/curves.py                    a few hours on two cores; it goes on where it stopped
    python benchmarks/curves.py --number 20        fewer, for a look
    python benchmarks/curves.py --collect          writes results/curves.npz from the trials that are there

It is an ordinary search by the random sampler in which nothing is pruned, on 4,000 training images of MNIST with 1,000
others to validate; the test set is not read. `benchmarks/schedules.py` replays pruners and samplers on what it leaves.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from bench import RESULTS, machine

from hydra_sweep.status import RecordedSweep
from rnnexp.results import histories

FILE = RESULTS / "curves.npz"
NAME = "curves"
SIZE = ("data.limit=4000", "data.valid_size=1000", "train.epochs=10")
UNPRUNED = ("hydra/sweeper/sampler=random", "hydra/sweeper/pruner=none", "hydra.sweeper.max_failures=1000")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=300, help="of configurations; 300")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the search is; outputs")
    parser.add_argument("--collect", action="store_true", help="train nothing")
    args = parser.parse_args()
    folder = (args.outputs / "sweeps" / NAME).resolve()
    if not args.collect:
        command = [sys.executable, "-m", "rnnexp", "-m", "search=default", f"name={NAME}", f"hydra.sweep.dir={folder}"]
        subprocess.run([*command, f"n_trials={args.number}", *SIZE, *UNPRUNED], check=True)
    collect(folder)


def collect(folder: Path) -> None:
    """Writes the curves of all trials that ran to their end or diverged, with what each was given."""
    sweep = RecordedSweep(folder, folder.parent)
    trials = [trial for trial in sweep.trials() if trial.state.is_finished()]
    frame = histories(folder).groupby("path")
    num_epochs = int(SIZE[-1].partition("=")[2])
    values, seconds = (np.full((len(trials), num_epochs), np.nan, np.float32) for _ in range(2))
    for place, trial in enumerate(trials):
        if (key := str(trial.number)) in frame.groups:
            rows = frame.get_group(key).sort_values("epoch")
            values[place, : len(rows)] = rows["valid_accuracy"]
            seconds[place, : len(rows)] = rows["epoch_seconds"]
    params = json.dumps([trial.params for trial in trials])
    np.savez_compressed(FILE, values=values, seconds=seconds, params=params, processor=machine()["processor"])
    print(f"{FILE}: {len(trials)} configurations, best {np.nanmax(values):.4f}, {np.nansum(seconds) / 3600:.1f} hours")


if __name__ == "__main__":
    main()
