"""No barrier: trials of uneven length, beside the official sweeper's batches.

    python benchmarks/barrier.py

Sixteen trials of 1 to 8 s on two workers, by our sweeper and by hydra-optuna-sweeper 1.4.0rc3 (with hydra-core and the
joblib launcher of that release, in an environment that this program makes). Measured is the time from the first
trial's start to the last one's end, against the ideal: each worker takes the next trial, in the order seen, the moment
that it is free.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import environment

TASK = Path(__file__).parent / "uneven.py"
RELEASE = ("hydra-core==1.4.0rc3", "hydra-optuna-sweeper==1.4.0rc3", "hydra-joblib-launcher==1.4.0rc3")
SECONDS = (1.0, 7.5, 2.0, 8.0, 1.5, 6.0, 3.0, 1.2, 5.0, 7.0, 1.8, 2.5, 4.0, 6.5, 1.1, 3.5)
WIDTH = 60  # characters of the longest timeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        official = environment("official", *RELEASE)
        values = ",".join(map(str, SECONDS))
        ours = ["hydra/sweeper=optuna", f"hydra.sweeper.workers={args.workers}", f"seconds={values}"]
        theirs = ["hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", f"hydra.sweeper.n_jobs={args.workers}"]
        theirs += [f"hydra.sweeper.n_trials={len(SECONDS)}", f"seconds=choice({values})"]
        print(f"{len(SECONDS)} trials of {min(SECONDS)} to {max(SECONDS)} s, {sum(SECONDS):.1f} s in all")
        print(f"{'':>10}  {'seconds':>7}  {'ideal':>6}  {'ratio':>5}  {'idle':>5}  {'command':>7}")
        measure("rnnexp", Path(sys.executable), ours, Path(folder) / "ours", args.workers)
        measure("official", official, theirs, Path(folder) / "theirs", args.workers)


def measure(name: str, python: Path, overrides: list[str], folder: Path, workers: int) -> None:
    """Runs a sweep and prints its line and its timelines."""
    log = folder.with_suffix(".log")
    began = time.monotonic()
    command = [python, TASK, "-m", "hydra/launcher=joblib", f"hydra.launcher.n_jobs={workers}"]
    done = subprocess.run(
        [*command, f"hydra.sweep.dir={folder}", *overrides],
        env=os.environ | {"UNEVEN_LOG": str(log)},
        capture_output=True,
        text=True,
    )
    total = time.monotonic() - began
    if done.returncode:
        sys.exit(f"{name}: {done.stderr[-2000:]}")
    rows = [line.split() for line in log.read_text().splitlines()]
    trials = sorted((float(start), float(end), pid, float(seconds)) for pid, seconds, start, end in rows)
    assert sorted(trial[3] for trial in trials) == sorted(SECONDS), "each trial once"
    first, last = trials[0][0], max(trial[1] for trial in trials)
    ideal = schedule([trial[3] for trial in trials], workers)
    idle = 1 - sum(SECONDS) / (workers * (last - first))
    ratio = (last - first) / ideal
    print(f"{name:>10}  {last - first:7.1f}  {ideal:6.1f}  {ratio:5.2f}  {idle:5.0%}  {total:6.1f} s")
    lanes: list[list[tuple[float, float]]] = []
    for start, end, _, _ in trials:  # a lane is a worker, or whoever took its place
        lane = next((lane for lane in lanes if lane[-1][1] <= start), None)
        if lane is None:
            lanes.append(lane := [])
        lane.append((start, end))
    for lane in lanes:
        line = [" "] * (WIDTH + 1)
        for start, end in lane:
            a, b = (int((t - first) / (last - first) * WIDTH) for t in (start, end))
            line[a : max(b, a + 1)] = "[" + "=" * (b - a - 2) + "]" if b - a > 1 else "|"
        print(f"{'':>12}{''.join(line)}")


def schedule(seconds: list[float], workers: int) -> float:
    """Returns the end of a schedule in which each worker takes the next trial when it is free."""
    free = [0.0] * workers
    for length in seconds:
        free.sort()
        free[0] += length
    return max(free)


if __name__ == "__main__":
    main()
