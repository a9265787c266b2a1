"""A record run again: it sees what the recorded run saw."""

import dataclasses

import pytest
import torch

from rnnexp.record.result import Status
from rnnexp.record.run_folder import RunFolder
from rnnexp.reproduce import Differences, main, reproduce
from rnnexp.runner import run
from rnnexp.training import precision


@pytest.mark.parametrize("test", [True, False])
def test_a_run_that_was_not_tested_is_not_tested_when_reproduced(compose, small, tmp_path, test):
    run(compose(*small), tmp_path / "run", test=test)
    assert reproduce(tmp_path / "run", tmp_path / "again") == Differences([], [])
    again = RunFolder(tmp_path / "again").read_result()
    assert again.status is Status.COMPLETE
    assert ("test_accuracy" in again.metrics) == ("test_loss" in again.metrics) == test


def test_a_diverged_run_that_validated_on_the_test_set_is_reproduced_too(compose, small, tmp_path):
    explode = ("model=rnn", "model.nonlinearity=relu", "optim=sgd", "optim.lr=1e30")
    validate = ("data.valid_from=test", "data.valid_size=0", "train.batch_size=50")
    run(compose(*small, *explode, *validate), tmp_path / "run")
    assert reproduce(tmp_path / "run", tmp_path / "again") == Differences([], [])
    assert RunFolder(tmp_path / "again").read_result().status is Status.DIVERGED


def test_a_pruned_run_is_pruned_at_the_same_epoch(compose, small, tmp_path):
    run(compose(*small, "train.epochs=3"), tmp_path / "run", on_epoch=lambda row: row["epoch"] == 2)
    assert reproduce(tmp_path / "run", tmp_path / "again") == Differences([], [])
    again = RunFolder(tmp_path / "again").read_result()
    assert (again.status, again.metrics["epochs"]) == (Status.PRUNED, 2)


def test_another_test_accuracy_in_the_record_is_a_difference(compose, small, tmp_path, capsys):
    run(compose(*small), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    recorded = folder.read_result()
    true = recorded.metrics["test_accuracy"]
    folder.write_result(dataclasses.replace(recorded, metrics=recorded.metrics | {"test_accuracy": 0.999}))
    assert reproduce(tmp_path / "run", tmp_path / "again").results == [f"test_accuracy: 0.999 -> {true}"]
    assert main([str(tmp_path / "run")]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("not identical: ")


def test_another_recorded_version_of_torch_is_named_beside_the_verdict(compose, small, tmp_path, capsys):
    run(compose(*small), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    recorded = folder.read_result()
    versions = recorded.environment["versions"] | {"torch": "1.0"}
    folder.write_result(dataclasses.replace(recorded, environment=recorded.environment | {"versions": versions}))
    assert main([str(tmp_path / "run")]) == 0
    *rest, verdict = capsys.readouterr().out.splitlines()
    assert f"environment, versions.torch: 1.0 -> {torch.__version__}" in rest
    assert verdict.startswith("identical: ")
    assert verdict.endswith(", in another environment")


def test_no_temporary_folder_is_named_that_is_gone_by_then(compose, small, tmp_path, capsys, caplog):
    run(compose(*small), tmp_path / "run")
    caplog.clear()
    caplog.set_level("INFO")
    assert main([str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out + caplog.text
    assert "results in" not in shown
    assert "epoch 2/2" in shown  # the log is looked at where it goes


def test_the_precision_that_was_used_is_asked_for_again(compose, small, tmp_path, monkeypatch):
    """Whatever `auto` would choose on this machine, today."""
    monkeypatch.setattr(precision, "speedup", lambda *_: 2.0)
    run(compose(*small, "model=gru", "train.precision=auto"), tmp_path / "run")
    assert RunFolder(tmp_path / "run").read_result().precision == "bf16"
    monkeypatch.setattr(precision, "speedup", lambda *_: 0.5)
    assert reproduce(tmp_path / "run", tmp_path / "again") == Differences([], [])
    assert RunFolder(tmp_path / "again").read_result().precision == "bf16"
