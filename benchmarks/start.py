"""What it takes to begin: `--help` beside `import torch`, the first training step beside its imports, and memory.

The first step is that of `python -m rnnexp` as it comes, which is left as soon as the step is done; its baseline
imports torch and torchvision and reads the four IDX files through torchvision. Memory is the peak
of a sweep's worker over two trials, beside the notebook's process without those of its DataLoader.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from bench import HERE, Row, Subject
from data_root import data_root
from tqdm import tqdm

PEERS = HERE / "peers"
TRIALS = ["-m", "seed=0,1", "data.limit=20000", "train.epochs=1", "workers=1", "name=memory"]

FIRST_STEP = """
import os
from rnnexp import cli
from rnnexp.training import loop

step = loop.Trainer.step


def only(trainer, *args):
    step(trainer, *args)
    os._exit(0)


loop.Trainer.step = only
cli.main()
"""


def measure(rounds: int = 7) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        read = f"from torchvision.datasets import MNIST; MNIST({data_root()!r}); MNIST({data_root()!r}, train=False)"
        script = Path(folder) / "first_step.py"
        script.write_text(FIRST_STEP)
        commands = {
            "help": [sys.executable, "-m", "rnnexp", "--help"],
            "torch": [sys.executable, "-c", "import torch"],
            "step": [sys.executable, str(script), f"hydra.run.dir={folder}/${{name}}"],
            "read": [sys.executable, "-c", f"import torch, torchvision; {read}"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for number in tqdm(range(rounds + 1), "start", disable=None):
            for name, command in commands.items():
                began = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                if number:
                    seconds[name].append(time.perf_counter() - began)
    yield Row("start of `python -m rnnexp --help`", "`import torch`", "s", seconds["help"], seconds["torch"], goal=5.0)
    yield Row(
        *("first training step from the shell", "`import torch, torchvision` and reading the IDX files", "s"),
        seconds["step"],
        seconds["read"],
        goal=round(1 / 1.3, 2),
    )

    yield Row("peak memory of a worker", "the notebook's process", "MiB", [worker_mib()], [notebook_mib()], goal=1.0)


def worker_mib() -> float:
    """Returns the largest peak of a worker, as Linux keeps it for each process."""
    peak = 0.0
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rnnexp", *TRIALS, f"hydra.sweep.dir={folder}"]
        sweeper = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while sweeper.poll() is None:
            for child in sweeper.children(recursive=True):
                with suppress(OSError):  # it has just ended
                    status = Path(f"/proc/{child.pid}/status").read_text()
                    peak = max([peak, *(int(kb) / 1024 for kb in re.findall(r"VmHWM:\s+(\d+) kB", status))])
            time.sleep(0.1)
        assert sweeper.returncode == 0
    return peak


def notebook_mib() -> float:
    command = (sys.executable, PEERS / "notebook.py", data_root(), "20000", "4", "--test")
    notebook = Subject(*command, env={"PYTHONPATH": str(HERE)})
    notebook.round()
    return notebook.close()
