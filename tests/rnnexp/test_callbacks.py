"""Hooks: told of a run, unable to harm it, and no part of what is computed."""

import logging
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from records import SMALL, assert_identical, histories

from hydra_sweep.errors import UserError
from hydra_sweep.signals import Interrupted
from rnnexp.callbacks import Callback
from rnnexp.record.result import Status
from rnnexp.record.run_folder import RunFolder
from rnnexp.results import collect
from rnnexp.runner import run
from rnnexp.schema.identity import fingerprint
from rnnexp.schema.validation import problems


class Notes(Callback):
    """Takes down what it is told."""

    def __init__(self):
        self.told = []

    def on_start(self, run):
        self.told.append(("start", [row["epoch"] for row in run.history]))
        self.run = run

    def on_epoch(self, row, run):
        (durable,) = histories(run.folder)
        self.told.append(("epoch", row["epoch"], durable[-1]["valid_loss"] == str(row["valid_loss"])))

    def on_end(self, result, run):
        self.told.append(("end", result and result.status.value))


class Vandal(Callback):
    """Changes all that it can reach, then fails, each time."""

    def __init__(self, how):
        self.how = how

    def on_start(self, run):
        run.config["train"]["epochs"] = 99
        run.config.clear()
        self.meddle()

    def on_epoch(self, row, run):
        row["valid_loss"] = row["valid_accuracy"] = -1.0
        self.meddle()

    def on_end(self, result, run):
        result.metrics.clear()
        result.status = Status.FAILED
        self.meddle()

    def meddle(self):
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        torch.rand(7)
        raise self.how


class Quitter(Callback):
    """Stops a run after an epoch, as SIGTERM does or as a bug would."""

    def __init__(self, epoch, how):
        self.epoch, self.how = epoch, how

    def __call__(self, row):
        if row["epoch"] == self.epoch:
            raise self.how
        return False


@pytest.fixture(scope="module")
def reference(tmp_path_factory, compose):
    """Returns the folder of a run that nobody watches."""
    out = tmp_path_factory.mktemp("reference") / "run"
    run(compose(*SMALL), out)
    return out


def test_it_is_told_of_the_start_of_each_epoch_that_is_on_disk_and_of_the_end(compose, reference, tmp_path):
    notes = Notes()
    run(compose(*SMALL, "name=first", "tags=[good]"), tmp_path, callbacks=[notes], choices={"model": "lstm"})
    epochs = [("epoch", number, True) for number in (1, 2, 3)]
    assert notes.told == [("start", []), *epochs, ("end", "complete")]
    view = notes.run
    assert (view.folder, view.name, view.seed, view.sweep, view.is_trial) == (tmp_path, "first", 0, None, False)
    assert (view.tags, view.notes, view.choices) == (("good",), None, {"model": "lstm"})
    assert view.config["optim"]["lr"] == 0.001
    assert_identical(reference, tmp_path)


def test_a_trial_has_the_name_of_its_sweep_and_its_own(compose, tmp_path):
    notes = Notes()
    run(compose(*SMALL, "train.epochs=1", "name=search"), tmp_path, callbacks=[notes], trial="3/0")
    assert (notes.run.name, notes.run.sweep, notes.run.is_trial) == ("search/3/0", "search", True)


@pytest.mark.parametrize("how", [ZeroDivisionError("no\nbell"), SystemExit(3)])
def test_one_that_fails_and_meddles_costs_one_line_and_no_bit(compose, reference, tmp_path, caplog, how):
    notes = Notes()
    with caplog.at_level(logging.WARNING):
        result = run(compose(*SMALL), tmp_path, callbacks=[Vandal(how), notes])
    said = "ZeroDivisionError: no bell" if isinstance(how, ZeroDivisionError) else "SystemExit: 3"
    assert caplog.messages == [f"callback Vandal: {said}; the run goes on"]
    assert notes.told[-1] == ("end", "complete")
    assert notes.run.config["train"]["epochs"] == 3
    assert result == RunFolder(tmp_path).read_result()
    assert_identical(reference, tmp_path)


def test_what_was_told_before_a_stop_is_history_afterwards(compose, reference, tmp_path):
    before, after, later = Notes(), Notes(), Notes()
    with pytest.raises(Interrupted):
        run(compose(*SMALL), tmp_path, callbacks=[before], on_epoch=Quitter(2, Interrupted(15)))
    run(compose(*SMALL, "train.resume=true"), tmp_path, callbacks=[after])
    run(compose(*SMALL, "train.resume=true"), tmp_path, callbacks=[later])
    assert before.told == [("start", []), ("epoch", 1, True), ("epoch", 2, True), ("end", None)]
    assert after.told == [("start", [1, 2]), ("epoch", 3, True), ("end", "complete")]
    assert later.told == [("start", [1, 2, 3]), ("end", "complete")]  # it may have died before it could tell
    assert_identical(reference, tmp_path)


def test_a_run_that_fails_has_an_end_too(compose, tmp_path):
    notes = Notes()
    with pytest.raises(KeyError):
        run(compose(*SMALL), tmp_path, callbacks=[notes], on_epoch=Quitter(1, KeyError("a bug")))
    assert notes.told[-1] == ("end", "failed")


def test_who_watches_is_no_part_of_the_computation(compose, tmp_path):
    plain, watched = (
        {"name": "a", "tracker": None},
        {"name": "b", "tracker": {"folder": "x"}, "callbacks": [{"a": 1}], "tags": ["x"], "notes": "y"},
    )
    dataset = {"classes": ["0", "1"], "checksum": {"train": "1"}}
    assert fingerprint(plain, dataset) == fingerprint(watched, dataset) == fingerprint({}, dataset)


OWN = """
from rnnexp.callbacks import Callback
class Bell(Callback):
    told = []
    def __init__(self, tone, loud=False):
        if tone == "none":
            raise ValueError("no such tone")
        self.tone = tone
    def on_epoch(self, row, run):
        self.told.append((self.tone, run.name, row["epoch"]))
"""


@pytest.fixture
def bells(tmp_path, monkeypatch):
    """Returns a module with a callback, in a folder of one's own."""
    (tmp_path / "bells_of_a_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    import bells_of_a_test

    return bells_of_a_test


def test_a_configuration_names_them_and_they_may_be_edited_while_a_run_waits(compose, bells, tmp_path):
    overrides = [*SMALL, "train.epochs=2", "name=first"]
    bell = "callbacks=[{_target_:bells_of_a_test.Bell,tone:low}]"
    with pytest.raises(Interrupted):
        run(compose(*overrides, bell), tmp_path / "run", on_epoch=Quitter(1, Interrupted(15)))
    (tmp_path / "bells_of_a_test.py").write_text(OWN + "\n# edited\n")
    run(compose(*overrides, bell, "train.resume=true"), tmp_path / "run")
    assert bells.Bell.told == [("low", "first", 1), ("low", "first", 2)]
    assert "bells_of_a_test" not in RunFolder(tmp_path / "run").read_result().environment["own_code"]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("callbacks=[{tone:low}]", "callbacks[0] needs a _target_, the dotted name of what it builds; callbacks=["),
        ("callbacks=[3]", "callbacks[0] needs a _target_"),
        ("callbacks=[{_target_:bells_of_a_test.Bell,tone:low,lod:1}]", "callbacks[0].lod is no argument of"),
        ("callbacks=[{_target_:bells_of_a_test.Bell}]", "bells_of_a_test.Bell needs callbacks[0].tone"),
        ("callbacks=[{_target_:bells_of_a_test.Gong}]", "callbacks[0]._target_=bells_of_a_test.Gong can't be imported"),
    ],
)
def test_a_mistake_in_one_is_a_line_before_anything_runs(compose, bells, override, line):
    (found,) = problems(compose(*SMALL, override))
    assert found.startswith(line)


def test_one_that_cannot_be_made_or_is_none_is_a_line(compose, bells, tmp_path):
    with pytest.raises(UserError, match=r"^callbacks\[0\]: ValueError: no such tone$"):
        run(compose(*SMALL, "callbacks=[{_target_:bells_of_a_test.Bell,tone:none}]"), tmp_path / "run")
    with pytest.raises(UserError, match=r"^callbacks\[0\] must be a rnnexp.callbacks.Callback, got Fraction$"):
        run(compose(*SMALL, "callbacks=[{_target_:fractions.Fraction}]"), tmp_path / "run")
    with pytest.raises(UserError, match=r"^callbacks must be a rnnexp.callbacks.Callback, got function$"):
        run(compose(*SMALL), tmp_path / "run", callbacks=[lambda row: None])
    assert not (tmp_path / "run").exists()


def test_a_secret_in_its_arguments_is_in_no_record(compose, bells, tmp_path, monkeypatch):
    monkeypatch.setenv("TONE_OF_A_TEST", "very-secret")
    bell = "callbacks=[{_target_:bells_of_a_test.Bell,tone:'${oc.env:TONE_OF_A_TEST}'}]"
    run(compose(*SMALL, "train.epochs=1", "name=first", bell), tmp_path / "run")
    assert bells.Bell.told[-1] == ("very-secret", "first", 1)
    for path in (tmp_path / "run").rglob("*"):
        assert not path.is_file() or b"very-secret" not in path.read_bytes(), path


@pytest.mark.long
def test_a_sweep_goes_on_with_other_watchers_and_with_edited_ones(tmp_path):
    small = "train.epochs=1 data.limit=300 data.valid_size=100 model.hidden_size=8 optim=adam workers=1".split()
    bell = "callbacks=[{_target_:bells_of_a_test.Bell,tone:low}]"
    (tmp_path / "bells_of_a_test.py").write_text(OWN)
    for number, more in enumerate([[], [bell, "tags=good"], [bell, "tracker=tensorboard", "notes=a, b"]]):
        seeds = ",".join(map(str, range(number + 2)))  # one alone would be no axis of a grid
        command = [sys.executable, "-m", "rnnexp", "-m", "name=grid", f"seed={seeds}", *small, *more]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, done.stderr
        assert "refused" not in done.stdout + done.stderr
        (tmp_path / "bells_of_a_test.py").write_text(f"{OWN}\n# edited {number}\n")
    table = collect(tmp_path / "outputs").set_index("path")
    assert table.loc[[f"sweeps/grid/{trial}" for trial in range(4)], "status"].tolist() == ["complete"] * 4
    assert [None if tags != tags else tags for tags in table["tags"]] == [None, None, "good", None]
    assert len({*table["fingerprint"]}) == 4  # of four seeds
    assert [path.name for path in (tmp_path / "outputs/tensorboard/grid").iterdir()] == ["3"]
