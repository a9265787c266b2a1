"""How many cores there are to work with. No torch: the sweeper asks, too."""

import os

import psutil


def num_physical_cores() -> int:
    """Returns the physical cores that this process may use."""
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return min(cores, allowed)
