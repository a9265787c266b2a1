"""What is on disk is whole, or it is not there."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from hydra_sweep.errors import UserError
from hydra_sweep.files import atomic
from rnnexp.record.result import HISTORY_COLUMNS, TestOutcomes
from rnnexp.record.run_folder import RunFolder
from rnnexp.record.tensors import load_tensors

NASTY = ["plain", "with space", 'it\'s "quoted"', "new\nline", "ünïcode", "-dash", "a=b,c"]


@pytest.fixture(params=NASTY)
def folder(request, tmp_path):
    path = tmp_path / request.param
    path.mkdir()
    return RunFolder(path)


def row(epoch):
    return dict.fromkeys(HISTORY_COLUMNS, 0.1) | {"epoch": epoch}


def test_a_history_reads_back_what_was_written_digit_for_digit(folder):
    folder.write_history([row(1) | {"train_loss": 0.1 + 0.2}])
    folder.append_history(row(2) | {"train_loss": 1 / 3})
    rows = folder.read_history()
    assert [float(r["train_loss"]) for r in rows] == [0.1 + 0.2, 1 / 3]
    assert [r["epoch"] for r in rows] == ["1", "2"]


def test_a_torn_last_row_counts_as_nothing_wherever_it_is_torn(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_history([row(1), row(2)])
    whole = folder.history.read_bytes()
    end_of_first = whole.rindex(b"\n", 0, -1) + 1
    for size in range(end_of_first, len(whole)):
        folder.history.write_bytes(whole[:size])
        assert [r["epoch"] for r in folder.read_history()] == ["1"]


def test_what_fails_while_it_is_written_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(KeyError), atomic(target) as out:
        out.write(b"half of the n")
        raise KeyError
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_disk_that_is_full_is_one_line(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with (
        pytest.raises(UserError, match=r"cannot write .*file: No space left on device; make room"),
        atomic(target, "make room") as out,
    ):
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")
        out.write(b"new")
    assert target.read_bytes() == b"old"


def test_a_folder_is_held_by_one_process_and_freed_by_its_death(tmp_path):
    holder = f"import sys, time\nfrom pathlib import Path\nfrom rnnexp.record.run_folder import RunFolder\n\
with RunFolder(Path({str(tmp_path)!r})).claim():\n    print('held', flush=True)\n    time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        assert RunFolder(tmp_path).is_claimed()
        with pytest.raises(UserError, match="another process is running in"), RunFolder(tmp_path).claim():
            pass
        process.kill()
    assert not RunFolder(tmp_path).is_claimed()
    with RunFolder(tmp_path).claim():
        pass


def test_a_path_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="cannot write .*run"), RunFolder(tmp_path / "run").claim():
        pass


@pytest.mark.parametrize("size", [0, 1, 100, 500])
def test_damaged_tensors_are_a_value_error(tmp_path, size):
    path = tmp_path / "model.pt"
    torch.save({"weight": torch.arange(100.0)}, path)
    assert load_tensors(path, "cpu")["weight"][7] == 7
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match="."):
        load_tensors(path, "cpu")


def outcomes():
    losses = np.linspace(0, 3, 1000, dtype=np.float32)
    return TestOutcomes((np.arange(1000) % 10).astype(np.uint8), np.zeros(1000, np.uint8), losses)


def test_what_became_of_each_test_image_reads_back(folder):
    assert folder.read_test_outcomes() is None
    folder.write_test_outcomes(outcomes())
    read = folder.read_test_outcomes()
    assert all((vars(read)[name] == vars(outcomes())[name]).all() for name in ("labels", "predicted", "losses"))
    assert read.worst is read.worst_x is None
    assert read.accuracy == 0.1
    assert read.loss == pytest.approx(1.5)


@pytest.mark.parametrize("size", [0, 1, 100, 600])
def test_damaged_outcomes_are_a_value_error(tmp_path, size):
    folder = RunFolder(tmp_path)
    folder.write_test_outcomes(outcomes())
    folder.test_outcomes.write_bytes(folder.test_outcomes.read_bytes()[:size])
    with pytest.raises(ValueError, match="test_outcomes.npz can't be read"):
        folder.read_test_outcomes()


@pytest.mark.parametrize(
    "change",
    [
        {"labels": np.zeros(3, np.uint8)},
        {"losses": np.zeros(1000, object)},
        {"predicted": np.zeros((1000, 2), np.uint8)},
        {"losses": np.zeros(1000, np.uint8)},
    ],
)
def test_outcomes_of_another_shape_or_kind_are_a_value_error(tmp_path, change):
    np.savez(tmp_path / "test_outcomes.npz", **vars(outcomes()) | change)
    with pytest.raises(ValueError, match="test_outcomes.npz can't be read"):
        RunFolder(tmp_path).read_test_outcomes()


def test_tensors_that_would_run_code_are_a_value_error(tmp_path):
    class Malice:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"weight": Malice()}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="holds more than tensors"):
        load_tensors(tmp_path / "model.pt", "cpu")
    assert not (tmp_path / "owned").exists()
