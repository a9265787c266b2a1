"""File systems of a test's own, to be filled, taken away, or made read-only."""

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress

import pytest


@contextmanager
def mounted(folder, options):
    """Mounts a file system of its own in a folder."""
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a file system needs root")
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder, room):
    """Leaves so many KiB on a file system, and returns the file that takes the rest."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as out:
        while True:
            out.write(bytes(4096))
    assert shutil.disk_usage(folder).free == 0
    os.truncate(filler, max(0, filler.stat().st_size - 1024 * room))
    return filler
