"""The machine that a run finds itself on: its device and cores, and the versions behind a result."""

from __future__ import annotations

import ctypes
import platform
import subprocess
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

import rnnexp
from rnnexp import __version__


def device_problem(device: str, precision: str) -> str | None:
    """Returns what to type if the device is not there, or has no such precision."""
    is_there = torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
    if device in ("cuda", "mps") and not is_there:
        return f"train.device={device} is not there on this machine; try train.device=auto"
    if precision == "tf32" and (here := pick_device(device).type) != "cuda":
        return f"train.precision=tf32 is of NVIDIA's GPUs, and this run is on {here}; try train.precision=fp32"
    return None


def pick_device(device: str) -> torch.device:
    """Returns the device that `train.device` stands for."""
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def allow_tf32(is_allowed: bool) -> None:
    """Lets NVIDIA's tensor cores round the factors of products to 10 bits of mantissa, or not.

    As it comes, torch lets cuDNN's recurrent layers do so, and products by cuBLAS not.
    """
    torch.backends.cuda.matmul.allow_tf32 = is_allowed
    torch.backends.cudnn.allow_tf32 = is_allowed


def memory_problem(error: BaseException, device: torch.device, key: str, size: int) -> str | None:
    """Returns what to type if an error is of memory that is not there.

    Args:
        key, size: of the batch that was too large.
    """
    if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
        return None
    smaller = f"{key}={size // 2}, or " * (size > 1)
    return f"{device} ran out of memory with {key}={size}; try {smaller}a smaller network"


def keep_memory() -> None:
    """Tells glibc to keep the memory that a step frees for the next step; elsewhere does nothing.

    As it comes, it gives large tensors back to the system, whose pages are then zeroed and mapped anew step by step: up
    to half of the time of an LSTM's step with batches of 256 (EXPERIMENTS.md).
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt, mmap_threshold, trim_threshold = ctypes.CDLL(None).mallopt, -3, -1  # as in malloc.h
        mallopt(mmap_threshold, 1 << 30)
        mallopt(trim_threshold, (1 << 31) - 1)


def is_busy() -> bool:
    """Returns whether other processes take more than half of the processor, by a look of a tenth of a second."""
    return psutil.cpu_percent(interval=0.1) > 50


def environment() -> dict[str, Any]:
    """Returns the versions, the source's commit and the machine behind a result."""
    versions = {"rnnexp": __version__, "python": platform.python_version(), "torch": torch.__version__}
    for name in ("torchvision", "numpy", "hydra-core", "omegaconf", "optuna"):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "started": now(),
        "versions": versions,
        "git": git_state(),
        "host": platform.node(),
        "platform": platform.platform(),
    }


def git_state() -> dict[str, Any] | None:
    """Returns commit and dirty flag of the clone that rnnexp is imported from, or None."""
    clone = Path(rnnexp.__file__).parent.parent
    if not (clone / "pyproject.toml").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(["git", "-C", clone, *command], capture_output=True, text=True, check=True).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit, "dirty": bool(changes)}


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
