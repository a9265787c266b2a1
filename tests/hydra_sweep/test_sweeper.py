"""What the sweeper finds out about the machine before it launches workers, and what it shows of a sweep."""

import importlib.util
import os
from dataclasses import asdict
from datetime import datetime, timedelta

import pytest
from optuna.trial import create_trial

from hydra_sweep import machine, planning, status
from hydra_sweep.errors import UserError
from hydra_sweep.machine import num_physical_cores
from hydra_sweep.records import OUTCOME, Outcome


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Puts an nvidia-smi that lists two devices first on the path."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho '  MIG 1g (UUID: y)'\necho 'GPU 1: B (UUID: z)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_each_device_gets_a_worker(smi):
    assert machine.visible_gpus() == ["0", "1"]


@pytest.mark.parametrize(("visible", "found"), [("", []), ("-1", []), ("3", ["3"]), ("1,5", ["1", "5"])])
def test_devices_that_are_hidden_get_none(smi, monkeypatch, visible, found):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.visible_gpus() == found


def test_without_the_driver_there_are_no_devices(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.visible_gpus() == []


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
        planning.refuse_official()


def ended(minutes, seconds):
    """Returns a trial that ended so many minutes after midnight and had run for so many seconds."""
    at = datetime(2026, 1, 1) + timedelta(minutes=minutes)
    made = create_trial(value=0.0, user_attrs={OUTCOME: asdict(Outcome(seconds=seconds))})
    made.datetime_start, made.datetime_complete = at - timedelta(seconds=seconds), at
    return made


def test_a_pause_does_not_slow_the_pace():
    steady = [ended(minute, 60) for minute in range(1, 5)]
    assert status._pace(steady) == pytest.approx(60)
    after_a_night = [*steady, *(ended(600 + minute, 60) for minute in range(1, 5))]
    assert status._pace(after_a_night) == pytest.approx(60)
    two_workers = [ended(minute / 2, 60) for minute in range(1, 20)]
    assert status._pace(two_workers) == pytest.approx(120)
    assert status._pace(steady[:1]) is None


@pytest.mark.parametrize(
    ("wanted", "gpus", "per_gpu", "found"), [(3, ["0"], 2, 3), (None, ["0", "1"], 1, 2), (None, ["0", "1"], 4, 8)]
)
def test_each_gpu_has_as_many_workers_as_it_is_to_be_shared_by(wanted, gpus, per_gpu, found):
    assert machine.num_workers(wanted, gpus, per_gpu) == found


def test_without_gpus_each_core_has_a_worker():
    assert machine.num_workers(None, [], 4) == num_physical_cores()
