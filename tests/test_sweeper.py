"""What the sweeper finds out about the machine before it launches workers."""

import importlib.util
import os

import pytest

from rnnexp.cores import num_physical_cores
from rnnexp.schema import UserError
from rnnexp.sweep import plan, sweeper


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Puts an nvidia-smi that lists two devices first on the path."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho '  MIG 1g (UUID: y)'\necho 'GPU 1: B (UUID: z)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_each_device_gets_a_worker(smi):
    assert sweeper.visible_gpus() == ["0", "1"]


@pytest.mark.parametrize(("visible", "found"), [("", []), ("-1", []), ("3", ["3"]), ("1,5", ["1", "5"])])
def test_devices_that_are_hidden_get_none(smi, monkeypatch, visible, found):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert sweeper.visible_gpus() == found


def test_without_the_driver_there_are_no_devices(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sweeper.visible_gpus() == []


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_cores_are_those_that_the_process_may_use():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert num_physical_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_the_official_plugin_beside_ours_is_one_line(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: find("json") if name.endswith("optuna_sweeper") else find(name)
    )
    with pytest.raises(UserError, match=r"^hydra-optuna-sweeper answers .* pip uninstall hydra-optuna-sweeper$"):
        plan.refuse_official()
