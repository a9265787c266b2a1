"""What there is to work with: cores and GPUs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

import psutil


def num_physical_cores() -> int:
    """Returns the physical cores that this process may use."""
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return min(cores, allowed)


def num_workers(wanted: int | None, gpus: Sequence[str], per_gpu: int) -> int:
    """Returns how many workers run at once: those wanted, else as many for each GPU, else one for each core."""
    return wanted or per_gpu * len(gpus) or num_physical_cores()


def visible_gpus() -> list[str]:
    """Returns the NVIDIA devices that this process may use, without importing what would use them."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(i) for i, line in enumerate(x for x in listed.splitlines() if x.startswith("GPU "))]
