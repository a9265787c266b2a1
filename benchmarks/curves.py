"""Full learning curves of search=default, to replay searches with: 300 random configurations, ten epochs each.

    python benchmarks/curves.py                    a few hours on two cores; it goes on where it stopped
    python benchmarks/curves.py --number 20        fewer, for a look
    python benchmarks/curves.py --collect          writes results/curves.npz from the trials that are there

It is an ordinary search by the random sampler in which nothing is pruned, on 4,000 training images of MNIST with 1,000
others to validate; the test set is not read. As it may run beside other work, how long an epoch takes is measured at
the end, of one configuration after the other. `benchmarks/schedules.py` replays pruners and samplers on what it leaves.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from bench import RESULTS, machine
from omegaconf import OmegaConf
from tqdm import tqdm

from hydra_sweep.status import RecordedSweep
from rnnexp.comparing.pace import timed
from rnnexp.record.run_folder import RunFolder
from rnnexp.results import histories
from rnnexp.schema.config import register_schemas

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
    """Writes the curves of all trials that ran to their end or diverged, with what each was given and its pace."""
    sweep = RecordedSweep(folder, folder.parent)
    trials = [trial for trial in sweep.trials() if trial.state.is_finished()]
    frame = histories(folder).groupby("path")
    num_epochs = int(SIZE[-1].partition("=")[2])
    values = np.full((len(trials), num_epochs), np.nan, np.float32)
    for place, trial in enumerate(trials):
        if (key := str(trial.number)) in frame.groups:
            rows = frame.get_group(key).sort_values("epoch")
            values[place, : len(rows)] = rows["valid_accuracy"]
    seconds = np.array(paces(folder, [trial.number for trial in trials]), np.float32)
    params = json.dumps([trial.params for trial in trials])
    np.savez_compressed(FILE, values=values, seconds=seconds, params=params, processor=machine()["processor"])
    hours = float((seconds * np.isfinite(values).sum(1)).sum()) / 3600
    print(f"{FILE}: {len(trials)} configurations, best {np.nanmax(values):.4f}, {hours:.1f} hours of one core")


def paces(folder: Path, numbers: Sequence[int]) -> list[float]:
    """Returns how long an epoch of each trial takes on this machine, in s, measured once and kept beside them."""
    file = folder / "paces.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    register_schemas()
    torch.set_num_threads(1)
    for number in tqdm([number for number in numbers if str(number) not in known], disable=not sys.stderr.isatty()):
        cfg = OmegaConf.create(RunFolder(folder / str(number)).read_result().config)
        known[str(number)], _ = timed(cfg)
        file.write_text(json.dumps(known))
    return [known[str(number)] for number in numbers]


if __name__ == "__main__":
    main()
