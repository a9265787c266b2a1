"""How fast two commits are, in turn on one machine: `python benchmarks/same_speed.py BEFORE [AFTER]`.

Prints, for each thing that people wait for, the median of AFTER's time over BEFORE's, round by round, and the range.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import ROOT
from collect import MANY, READ, TINY, copy_run
from same_results import checked_out, git
from tqdm import tqdm

EPOCH = "data.limit=40000 data.valid_size=1000 train.epochs=2 train.threads=2 train.resume=false"
SWEEP = "x=interval(-5,5) y=1,2 steps=0 hydra.sweeper.objective=loss hydra.sweeper.workers=2 hydra/launcher=joblib"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after", nargs="?", default="HEAD")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=200, help="empty ones of a sweep, in each round")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch, name) for name in ("before", "after")]
        environments = [
            checked_out(folder, commit) for folder, commit in zip(folders, (args.before, args.after), strict=True)
        ]
        subjects = subjects_of(Path(scratch), args.trials, environments[0])
        seconds: dict[str, list[list[float]]] = {name: [[], []] for name in subjects}
        bar = tqdm(total=2 * (args.rounds + 1) * len(subjects), disable=None)
        for number in range(args.rounds + 1):  # the first one, which fills caches, doesn't count
            for name, subject in subjects.items():
                order = (0, 1) if number % 2 else (1, 0)
                for i in order:
                    taken = subject(folders[i], environments[i], number)
                    bar.update()
                    if number:
                        seconds[name][i].append(taken)
        bar.close()
    hashes = [git("rev-parse", "--short", commit).strip() for commit in (args.before, args.after)]
    print(f"{'':<28}{hashes[0]:>10}{hashes[1]:>10}   after / before")
    for name, (before, after) in seconds.items():
        ratios = [b / a for a, b in zip(before, after, strict=True)]
        middle = f"{statistics.median(before):>8.3f} s{statistics.median(after):>8.3f} s"
        print(f"{name:<28}{middle}   {statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]")


def subjects_of(
    scratch: Path, num_trials: int, environment: dict[str, str]
) -> dict[str, Callable[[Path, dict[str, str], int], float]]:
    """Returns what is measured: from a commit's folder and environment, and a round, to seconds."""
    runs = scratch / "runs"
    run(["-m", "rnnexp", *TINY.split(), f"hydra.run.dir={scratch / 'first'}", "name=first"], scratch, environment)
    for number in tqdm(range(MANY), f"making {MANY} runs", disable=None):
        copy_run(scratch / "first", runs / f"{number // 100}" / f"{number}", number)

    def wall(*arguments: str) -> Callable[[Path, dict[str, str], int], float]:
        def measure(folder: Path, environment: dict[str, str], number: int) -> float:
            began = time.perf_counter()
            run([*arguments], folder, environment)
            return time.perf_counter() - began

        return measure

    def epoch(folder: Path, environment: dict[str, str], number: int) -> float:
        run(["-m", "rnnexp", *EPOCH.split(), f"name={number}"], folder, environment)
        with (folder / "outputs" / "runs" / str(number) / "history.csv").open() as file:
            return min(float(row["epoch_seconds"]) for row in csv.DictReader(file))

    def table(folder: Path, environment: dict[str, str], number: int) -> float:
        return float(run(["-c", READ, str(runs), str(MANY)], folder, environment))

    def sweep(folder: Path, environment: dict[str, str], number: int) -> float:
        options = [f"hydra.sweep.dir={folder / f'sweep{number}'}", f"hydra.sweeper.n_trials={num_trials}"]
        app = folder / "code" / "tests" / "apps" / "walker.py"
        return wall(str(app), "-m", *SWEEP.split(), *options)(folder, environment, number)

    return {
        "--help": wall("-m", "rnnexp", "--help"),
        "a search's command checked": wall("-m", "rnnexp", "-m", "search=default", "n_trials=0"),
        "an epoch": epoch,
        f"{MANY:,} runs collected": table,
        f"{num_trials} empty trials": sweep,
    }


def run(arguments: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{arguments} in {folder}, of {ROOT}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
