"""Seconds to read 1,000 and 10,000 finished runs into one table, each time in a new process.

The runs are copies of one real, tiny run, each with a seed of its own. The first round, which may find files outside of
the system's cache, doesn't count.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import Row
from tqdm import tqdm

from hydra_sweep.files import with_json_checksum

TINY = "data.limit=200 data.valid_size=100 model.hidden_size=4 model.num_layers=1 train.epochs=3 train.threads=1"
FEW, MANY = 1_000, 10_000
READ = """
import sys, time
import rnnexp.results
began = time.perf_counter()
frame = rnnexp.results.collect(sys.argv[1])
print(time.perf_counter() - began)
assert len(frame) == int(sys.argv[2]), len(frame)
"""


def measure(rounds: int = 5) -> Iterator[Row]:
    seconds: dict[int, list[float]] = {FEW: [], MANY: []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        command = [sys.executable, "-m", "rnnexp", *TINY.split(), f"hydra.run.dir={root / 'first'}", "name=first"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for count in (FEW, MANY):
            for number in tqdm(range(count), f"making {count} runs", disable=None):
                copy_run(root / "first", root / str(count) / f"{number // 100}" / f"{number}", number)
        for number in tqdm(range(rounds + 1), "collect", disable=None):
            for count, taken in seconds.items():
                read = [sys.executable, "-c", READ, str(root / str(count)), str(count)]
                last = float(subprocess.check_output(read, text=True))
                if number:
                    taken.append(last)
    yield Row(f"{MANY:,} runs collected", "3 s", "s", seconds[MANY], goal=3)
    tenth = [s * FEW / MANY for s in seconds[MANY]]
    yield Row(f"seconds per {FEW:,} of {MANY:,} runs", f"{FEW:,} runs", "s", tenth, seconds[FEW], goal=0.9)


def copy_run(source: Path, target: Path, seed: int) -> None:
    """Copies what a table is read from, with another seed."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.pt", "*.npz", "*.log"))
    result = json.loads((source / "result.json").read_text())
    result["seed"] = result["config"]["seed"] = seed
    result["metrics"]["test_accuracy"] += seed * 1e-7
    del result["crc32"]
    (target / "result.json").write_text(with_json_checksum(json.dumps(result, indent=1)))
