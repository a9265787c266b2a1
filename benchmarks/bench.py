"""What the benchmarks share: environments of the peers, processes that take turns, and rows of the table.

A subject is a process that says `ready`, then does its work once for each line that it reads and answers with the
seconds that took. Subjects take turns, A B C A B C ..., so that a machine whose speed drifts drifts for all of them; a
ratio is that of one round, and a row shows its median and range.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = HERE / "results"
ENVIRONMENTS = HERE / "environments"  # ignored by git; delete it to make them anew
# Lets a larger processor's libraries behave as on one with AVX2 alone: oneDNN, torch's own kernels, MKL and XLA.
AVX2_ALONE = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
}


def has_avx2_alone() -> bool:
    """Returns whether the benchmarks run without AVX-512, because the processor has none or by `AVX2_ALONE`."""
    import torch

    return torch.backends.cpu.get_cpu_capability() == "AVX2"


def results_file(name: str, avx2: bool) -> Path:
    """Returns where a benchmark's figures are: those of processors with AVX2 alone are a table of their own."""
    return RESULTS / f"{name}{'-avx2' * avx2}.json"


@dataclass
class Row:
    """One line of the table: something of ours, measured beside something else or against a limit.

    Attributes:
        ours, theirs: one figure a round; `theirs` is empty where the goal is a limit for ours.
        goal: what theirs / ours should reach; of a row without `theirs`, what ours should not exceed, or if `higher`,
            should reach. None: measured to know, not to reach.
    """

    what: str
    against: str
    unit: str
    ours: list[float]
    theirs: list[float] = field(default_factory=list)
    goal: float | None = None
    higher: bool = False
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        return [b / a for a, b in zip(self.ours, self.theirs, strict=True)] if self.theirs else []

    @property
    def is_met(self) -> bool | None:
        if self.goal is None:
            return None
        if self.theirs:
            return statistics.median(self.ratios) >= self.goal
        return statistics.mean(self.ours) >= self.goal if self.higher else statistics.median(self.ours) <= self.goal


def save(name: str, rows: Sequence[Row], **facts: Any) -> None:
    """Writes what a benchmark found into `results/NAME.json`, or NAME-avx2.json, with the machine that it ran on."""
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": machine(), **facts, "rows": [dataclasses.asdict(row) for row in rows]}
    results_file(name, has_avx2_alone()).write_text(json.dumps(content, indent=1) + "\n")


def machine() -> dict[str, Any]:
    """Returns what a figure depends on: processor, cores, memory, versions, commit, and how busy it was."""
    import psutil
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout
    return {
        "processor": model,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "limited": os.environ.get("ONEDNN_MAX_CPU_ISA") == "AVX2",
        "cores": psutil.cpu_count(logical=False),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": commit.strip(),
        "load_at_end": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d"),
    }


def environment(name: str, *packages: str) -> Path:
    """Returns the python of a virtual environment with a peer's released packages; torch is shared with this one.

    Packages of its own come first, so a peer may have another Hydra or Optuna than we.
    """
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"making {folder}: {' '.join(packages)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        site = subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
        Path(site, "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
        subprocess.run([python, "-m", "pip", "install", "-q", "--pre", *packages], check=True)
        (folder / "complete").touch()
    return python


class Subject:
    """A process that does its work when told, and says how long it took."""

    def __init__(self, *command: str | Path, env: dict[str, str] | None = None) -> None:
        self.command = [str(part) for part in command]
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | (env or {})
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self.process.stdout
        if not (line := self.process.stdout.readline()):
            raise SystemExit(f"{' '.join(self.command)} ended")
        return line.strip()

    def round(self) -> float:
        """Returns the seconds of one piece of work."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self._answer())

    def close(self) -> float:
        """Ends the process. Returns its peak memory in MiB."""
        assert self.process.stdin
        self.process.stdin.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss / 1024


def in_turn(subjects: dict[str, Subject], rounds: int, title: str) -> dict[str, list[float]]:
    """Returns the seconds of each subject, round by round, after one round that doesn't count."""
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for number in tqdm(range(rounds + 1), title, disable=None):
        for name, subject in subjects.items():
            taken = subject.round()
            if number:
                seconds[name].append(taken)
    return seconds


def commands_in_turn(commands: dict[str, list[str]], rounds: int, title: str) -> dict[str, list[float]]:
    """Returns the seconds of whole commands, round by round, after one round that doesn't count."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in tqdm(range(rounds + 1), title, disable=None):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def serve(work: Any) -> None:
    """Is a subject's main loop: calls `work()` for each line of the standard input."""
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        work()
        print(time.perf_counter() - began, flush=True)
