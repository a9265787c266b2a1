"""A record run again: it sees what the recorded run saw."""

import pytest

from rnnexp.reproduce import reproduce
from rnnexp.run import run
from rnnexp.schema import Status
from rnnexp.store import RunFolder


@pytest.mark.parametrize("test", [True, False])
def test_a_run_that_was_not_tested_is_not_tested_when_reproduced(compose, small, tmp_path, test):
    run(compose(*small), tmp_path / "run", test=test)
    assert reproduce(tmp_path / "run", tmp_path / "again") == []
    again = RunFolder(tmp_path / "again").read_result()
    assert again.status is Status.COMPLETE
    assert ("test_accuracy" in again.metrics) == ("test_loss" in again.metrics) == test


def test_a_diverged_run_that_validated_on_the_test_set_is_reproduced_too(compose, small, tmp_path):
    explode = ("model=rnn", "model.nonlinearity=relu", "optim=sgd", "optim.lr=1e30")
    validate = ("data.valid_from=test", "data.valid_size=0", "train.batch_size=50")
    run(compose(*small, *explode, *validate), tmp_path / "run")
    assert reproduce(tmp_path / "run", tmp_path / "again") == []
    assert RunFolder(tmp_path / "again").read_result().status is Status.DIVERGED


def test_a_pruned_run_is_pruned_at_the_same_epoch(compose, small, tmp_path):
    run(compose(*small, "train.epochs=3"), tmp_path / "run", on_epoch=lambda row: row["epoch"] == 2)
    assert reproduce(tmp_path / "run", tmp_path / "again") == []
    again = RunFolder(tmp_path / "again").read_result()
    assert (again.status, again.metrics["epochs"]) == (Status.PRUNED, 2)
