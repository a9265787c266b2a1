"""What all trackers share, by one that keeps its runs in memory and fails when it is told to."""

import logging
from collections import Counter

import pytest
from records import SMALL, assert_identical

from hydra_sweep.signals import Interrupted
from rnnexp.callbacks import RunView
from rnnexp.record.run_folder import RunFolder
from rnnexp.runner import run
from rnnexp.schema.validation import problems
from rnnexp.trackers.tracker import Recorded, Tracker, flat_hyperparameters


class Memory(Tracker):
    """A tracker.

    Args:
        runs: {id: its steps, and how it ended}.
        failing: what fails: look, open, close, or the number of an epoch.
        times: how often each fails.
    """

    option = "memory"

    def __init__(self, runs, failing=(), times=10**9):
        self.runs, self.failing, self.left = runs, failing, Counter(dict.fromkeys(failing, times))
        self.opened = 0

    def fail(self, what):
        if self.left[what]:
            self.left[what] -= 1
            raise OSError(28, "No space left on device")

    def look(self, run, run_id):
        self.fail("look")
        return self.runs.get(run_id, Recorded())

    def open(self, run, run_id):
        self.fail("open")
        self.opened += 1
        self.id, self.name = run_id, run.name

    def write(self, row, seconds):
        self.fail(int(row["epoch"]))
        epochs, status = self.runs.get(self.id, Recorded())
        assert row["epoch"] not in epochs
        self.runs[self.id] = Recorded(epochs | {int(row["epoch"])}, status)

    def close(self, result):
        self.fail("close")
        if result:
            self.runs[self.id] = self.runs.get(self.id, Recorded())._replace(status=result.status.value)


@pytest.fixture(scope="module")
def reference(tmp_path_factory, compose):
    out = tmp_path_factory.mktemp("reference") / "run"
    run(compose(*SMALL), out)
    return out


WHOLE = [Recorded(frozenset({1, 2, 3}), "complete")]


@pytest.mark.parametrize("failing", ["look", "open", 2, 3, "close"])
@pytest.mark.parametrize("times", [1, 10**9])
def test_one_that_fails_costs_a_line_and_has_all_once_it_can(compose, reference, tmp_path, caplog, failing, times):
    runs, cfg = {}, compose(*SMALL)
    with caplog.at_level(logging.WARNING):
        run(cfg, tmp_path, callbacks=[Memory(runs, [failing], times)])
    (line,) = caplog.messages
    assert line == (
        f"tracker memory: OSError: [Errno 28] No space left on device; the run goes on, and rnnexp export {tmp_path} "
        "--to memory adds later what is missing"
    )
    assert_identical(reference, tmp_path)
    if times == 1 and failing != "close":  # it is asked once more when the run ends
        assert [*runs.values()] == WHOLE
    run(compose(*SMALL, "train.resume=true"), tmp_path, callbacks=[Memory(runs)])
    assert [*runs.values()] == WHOLE


def test_a_run_that_goes_on_has_each_epoch_once_whatever_was_told_before_it_stopped(compose, reference, tmp_path):
    runs = {}
    with pytest.raises(Interrupted):
        run(compose(*SMALL), tmp_path, callbacks=[Memory(runs)], on_epoch=stop_after(2))
    assert [*runs.values()] == [Recorded(frozenset({1, 2}), None)]
    (key,) = runs
    runs[key] = Recorded(frozenset({1}), None)  # as if it had been killed between history.csv and the tracker
    run(compose(*SMALL, "train.resume=true"), tmp_path, callbacks=[Memory(runs)])
    assert runs == {key: WHOLE[0]}
    assert_identical(reference, tmp_path)


def stop_after(epoch):
    def stop(row):
        if row["epoch"] == epoch:
            raise Interrupted(15)
        return False

    return stop


def test_a_finished_run_is_tracked_when_it_is_asked_for_again_and_not_opened_a_third_time(compose, tmp_path):
    runs, cfg = {}, compose(*SMALL, "train.resume=true")
    run(cfg, tmp_path)
    first, second = Memory(runs), Memory(runs)
    run(cfg, tmp_path, callbacks=[first])
    run(cfg, tmp_path, callbacks=[second])
    assert [*runs.values()] == WHOLE
    assert (first.opened, second.opened) == (1, 0)


def test_the_id_stays_in_the_folder_and_a_record_that_cannot_be_written_has_one_too(compose, tmp_path, monkeypatch):
    run(compose(*SMALL, "train.epochs=1"), tmp_path / "first")
    folder = RunFolder(tmp_path / "first")
    found = folder.tracker_id()
    folder.path.rename(tmp_path / "renamed")
    assert RunFolder(tmp_path / "renamed").tracker_id() == found
    damaged = RunFolder(tmp_path / "renamed").tracker
    damaged.write_text(damaged.read_text().replace(found[:4], "0000"))
    with pytest.raises(ValueError, match="tracker.json can't be read .checksum mismatch"):
        RunFolder(tmp_path / "renamed").tracker_id()
    damaged.unlink()
    monkeypatch.setattr("rnnexp.record.run_folder.atomic", refuse)
    one, again = (RunFolder(tmp_path / "renamed").tracker_id() for _ in range(2))
    assert one == again
    assert not damaged.exists()


def refuse(path, hint):
    from hydra_sweep.errors import UserError

    raise UserError(f"cannot write {path}; {hint}")


def test_hyperparameters_are_those_of_the_computation_named_as_in_the_table():
    config = {"name": "a", "seed": 1, "model": {"hidden_size": 8}, "tags": ["x"], "tracker": {"uri": "u"}, "workers": 2}
    view = RunView(folder=None, name="a", seed=1, config=config, choices={"model": "gru"})
    assert flat_hyperparameters(view) == {"model": "gru", "seed": 1, "model.hidden_size": 8}


@pytest.mark.parametrize("option", ["tensorboard", "mlflow", "wandb", "trackio"])
def test_a_tracker_that_is_not_installed_is_named_with_what_to_type(compose, monkeypatch, option):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert problems(compose(f"tracker={option}"), imports_known=False) == [
        f"tracker={option} is an extra; type pip install 'rnnexp[{option}]'"
    ]


@pytest.mark.parametrize("option", ["tensorboard", "mlflow", "wandb", "trackio"])
def test_every_option_takes_the_keys_that_its_file_has(compose, option):
    assert problems(compose(f"tracker={option}")) == []
