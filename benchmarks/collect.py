"""Seconds and memory to read many finished runs into one table: `python benchmarks/collect.py --runs 1000,10000`.

The runs are copies of one real, tiny run, each with a seed of its own. Each size is read three times in a process of
its own; the first time, which may find files outside the system's cache, is told apart. On a busy machine the
processor's time says more than the clock's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TINY = "data.limit=200 data.valid_size=100 model.hidden_size=4 model.num_layers=1 train.epochs=3 train.threads=1"
READ = """
import resource, sys, time
import rnnexp.results
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
times, processor = [], []
for _ in range(3):
    began, worked = time.perf_counter(), time.process_time()
    frame = rnnexp.results.collect(sys.argv[1])
    times.append(time.perf_counter() - began)
    processor.append(time.process_time() - worked)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = frame.memory_usage(deep=True).sum() / 1e6
print(f"{len(frame):6d} runs: {times[0]:.2f} s at first, {min(times[1:]):.2f} s warm, of which the "
      f"processor {min(processor[1:]):.2f} s, {1e6 * min(processor[1:]) / len(frame):.0f} us a run; "
      f"table of {frame.shape[1]} columns, {size:.0f} MB; "
      f"process {after / 1e3:.0f} MB, of which imports {before / 1e3:.0f} MB", flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", default="1000,10000", help="how many, for one measurement each")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        command = [sys.executable, "-m", "rnnexp", *TINY.split(), f"hydra.run.dir={root / 'first'}", "name=first"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        made = 0
        for wanted in map(int, args.runs.split(",")):
            for number in range(made, wanted):
                copy_run(root / "first", root / "runs" / f"{number // 100}" / f"{number}", number)
            made = max(made, wanted)
            subprocess.run([sys.executable, "-c", READ, str(root / "runs")], check=True)


def copy_run(source: Path, target: Path, seed: int) -> None:
    """Copies what a table is read from, with another seed."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.pt", "*.npz", "*.log"))
    result = json.loads((source / "result.json").read_text())
    result["seed"] = result["config"]["seed"] = seed
    result["metrics"]["test_accuracy"] += seed * 1e-7
    (target / "result.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
