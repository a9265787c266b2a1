"""A sweep of 3,000 tiny trials for twenty minutes: do memory and open files of sweeper and workers stay where they are?

    python benchmarks/soak.py
    python benchmarks/soak.py --trials 300 --pause 0.05      two minutes

Looks at each process every five seconds, and prints its resident memory and open files in each fifth of its life. Each
process keeps the study's finished trials, as Optuna does: what that takes is measured too, for it is all that may grow.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import defaultdict
from pathlib import Path

import psutil
from bench import ROOT

from hydra_sweep.study import SweepStudy

APP = ROOT / "tests" / "apps" / "walker.py"


def look(process: psutil.Process) -> tuple[float, int] | None:
    """Returns resident memory in MiB and the number of open files, or None of a process that has ended."""
    try:
        with process.oneshot():
            return process.memory_info().rss / 2**20, process.num_fds()
    except psutil.Error:
        return None


def is_helper(process: psutil.Process) -> bool:
    """Whether it is joblib's own, which runs no trials."""
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return True


def study_bytes(url: str) -> float:
    """Returns how many bytes of memory each trial of a study takes in a process that has read it."""

    def read() -> SweepStudy:
        study = SweepStudy(url, "sweep", 10)
        study.trials()
        return study

    read()  # imports what it takes
    gc.collect()
    tracemalloc.start()
    study = read()
    gc.collect()
    traced, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return traced / len(study.trials())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=3000)
    parser.add_argument("--pause", type=float, default=0.15, help="s of each of a trial's four steps")
    args = parser.parse_args()
    seen: dict[str, list[tuple[float, int]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder) / "sweep"
        words = ["x=interval(0,4)", "y=choice(1,2,3)", "hydra/launcher=joblib", "hydra.sweeper.workers=2"]
        words += ["hydra.sweeper.objective=loss", f"hydra.sweeper.n_trials={args.trials}", f"pause={args.pause}"]
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, APP, "-m", f"hydra.sweep.dir={sweep}", *words], stdout=subprocess.DEVNULL
        )
        sweeper = psutil.Process(process.pid)
        while process.poll() is None:
            children = [child for child in sweeper.children(recursive=True) if not is_helper(child)]
            for name, one in [("sweeper", sweeper), *((f"worker {child.pid}", child) for child in children)]:
                if found := look(one):
                    seen[name].append(found)
            time.sleep(5)
        seconds = time.monotonic() - began
        url = f"sqlite:///{sweep}/study.db"
        trials = SweepStudy(url, "sweep", 10).trials()[: args.trials]
        each = study_bytes(url)
    assert process.returncode == 0
    assert len(trials) == args.trials
    assert all(trial.state.name == "COMPLETE" for trial in trials)
    print(f"{args.trials} trials in {seconds / 60:.1f} min, all complete")
    print(f"{'':16}  {'resident MiB by fifths':<40}  open files by fifths    growth a trial")
    for name, looks in seen.items():
        if len(looks) < 10:  # a process that only came by
            continue
        fifths = [looks[len(looks) * i // 5 : len(looks) * (i + 1) // 5] for i in range(5)]
        memory = "  ".join(f"{statistics.median(one[0] for one in fifth):6.1f}" for fifth in fifths)
        growth = (
            statistics.median(one[0] for one in fifths[4]) - statistics.median(one[0] for one in fifths[0])
        ) * 2**20
        files = "  ".join(f"{max(one[1] for one in fifth):3}" for fifth in fifths)
        print(f"{name:16}  {memory:<40}  {files:<22}  {growth / (args.trials * 0.8):,.0f} B")
    print(f"the study itself takes {each:,.0f} B a trial in a process that reads it")


if __name__ == "__main__":
    main()
