"""What is recorded of the machine."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from rnnexp.training import machine


@pytest.mark.parametrize("installed", [True, False])
def test_the_version_of_optuna_is_recorded_where_it_is_installed(monkeypatch, installed):
    def version(name):
        if name == "optuna" and not installed:
            raise PackageNotFoundError(name)
        return f"{name} 1"

    monkeypatch.setattr(machine, "version", version)
    versions = machine.environment()["versions"]
    assert versions.get("optuna") == ("optuna 1" if installed else None)
    assert versions["hydra-core"] == "hydra-core 1"


def test_waiting_threads_spin_briefly_unless_the_user_says_otherwise():
    show = "import os, rnnexp; print(os.environ.get('GOMP_SPINCOUNT'))"
    for given, expected in (({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, "None")):
        env = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")} | given
        assert subprocess.check_output([sys.executable, "-c", show], env=env, text=True).strip() == expected


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives large blocks back at once")
@pytest.mark.parametrize("is_kept", [True, False])
def test_memory_that_a_step_frees_stays_with_the_process(is_kept):
    program = f"""
import resource, torch
from rnnexp.training.machine import keep_memory
if {is_kept}: keep_memory()
for _ in range(30):  # the first ones find their place
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16_000_000)  # 15,625 pages of 4 KiB, or 31 of 2 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = int(subprocess.check_output([sys.executable, "-c", program], text=True))
    assert faults < 8 if is_kept else faults > 8
