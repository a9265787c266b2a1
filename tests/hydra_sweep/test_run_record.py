"""The record of one run of a trial: current while it goes on, whole whenever it is read, and in nobody's way."""

import json
import math

import pytest
from filelock import FileLock

from hydra_sweep import run_record
from hydra_sweep.run_record import RUNNING, STOPPED, RunRecord, RunRecorder
from hydra_sweep.sweep_folder import SweepFolder


@pytest.fixture
def file(tmp_path):
    return SweepFolder(tmp_path).run_record("7/1")


def begun(file):
    return RunRecorder(file, RunRecord(7, RUNNING, {"x": "0.5"}, "loss", attempt=2, worker="host-1"))


def test_a_run_is_held_while_it_goes_on_and_its_record_says_how_it_ended(file):
    with begun(file) as recorder:
        assert RunRecord.read(file).state == RUNNING
        assert RunRecord.is_held(file)
        recorder.note(0.5, {"loss": 0.5, "accuracy": math.nan}, 10)
        recorder.note(None, {"accuracy": 0.25}, 10)
        recorder.end("complete", {"loss": 0.125, "accuracy": 0.5})
    found = RunRecord.read(file)
    assert not RunRecord.is_held(file)
    assert (found.trial, found.state, found.sampled, found.attempt, found.worker) == (
        7,
        "complete",
        {"x": "0.5"},
        2,
        "host-1",
    )
    assert (found.step, found.num_steps, found.reports) == (2, 10, [0.5, None])
    assert found.metrics == {"loss": 0.125, "accuracy": 0.5}
    assert found.seconds >= 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_run_that_is_left_in_the_middle_was_stopped(file, error):
    with pytest.raises(error), begun(file):
        raise error
    assert RunRecord.read(file).state == STOPPED


def test_a_run_that_was_killed_is_running_by_its_record_and_held_by_nobody(file):
    with begun(file) as recorder:
        recorder.record.state = "complete"  # so that leaving the block writes nothing
    record = RunRecord.read(file)
    assert (record.state, RunRecord.is_held(file)) == (RUNNING, False)


def test_reports_are_written_once_a_second_and_not_one_by_one(file, monkeypatch):
    written, now = [], [100.0]
    monkeypatch.setattr(run_record.time, "monotonic", lambda: now[0])
    with begun(file) as recorder:
        monkeypatch.setattr(recorder, "_write", lambda: written.append(recorder.record.step))
        recorder.written = now[0]
        for _ in range(1000):
            now[0] += 0.01
            recorder.note(1.0, {}, None)
            recorder.written = now[0] if written and written[-1] == recorder.record.step else recorder.written
        recorder.record.state = "complete"
    assert 8 <= len(written) <= 10


def test_a_task_that_reports_each_batch_has_a_record_that_stays_small(file):
    with begun(file) as recorder:
        recorder.written = math.inf  # not now
        for step in range(5000):
            recorder.note(float(step), {}, None)
    record = RunRecord.read(file)
    assert (record.step, len(record.reports)) == (5000, run_record.MAX_REPORTS)


def test_what_cannot_be_written_or_locked_costs_the_record_and_not_the_run(tmp_path, caplog):
    (tmp_path / "7").write_text("no folder")
    with begun(SweepFolder(tmp_path).run_record("7")) as recorder:
        recorder.note(0.5, {}, None)
        recorder.end("complete", {"loss": 0.5})
    assert "can't be locked" in caplog.text
    assert "cannot write" in caplog.text


def test_two_that_run_the_same_do_not_wait_for_each_other(file, caplog):
    file.parent.mkdir(parents=True)
    with FileLock(run_record._lock(file)), begun(file) as recorder:
        recorder.end("complete")
    assert "can't be locked" in caplog.text
    assert RunRecord.read(file).state == "complete"


SOUND = {"trial": 1, "state": "complete", "sampled": {}, "objective": "loss"}
DAMAGED = [SOUND | {"sampled": 5}, SOUND | {"state": "<b>"}, SOUND | {"metrics": {"loss": "0.5"}}, SOUND | {"more": 1}]
DAMAGED += [{"trial": 1}, [], SOUND | {"reports": [[1, 2]]}, SOUND | {"num_steps": "10"}]


@pytest.mark.parametrize("content", ["", "{", '{"a":\n "crc32": 1}', *map(json.dumps, DAMAGED)])
def test_a_record_that_is_damaged_is_named(file, content):
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(SOUND))
    assert RunRecord.read(file).objective == "loss"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"^trial.json can't be read"):
        RunRecord.read(file)


def test_a_flipped_digit_is_no_other_number(file):
    with begun(file) as recorder:
        recorder.end("complete", {"loss": 0.125})
    file.write_text(file.read_text().replace("0.125", "0.925"))
    with pytest.raises(ValueError, match="checksum mismatch"):
        RunRecord.read(file)


def test_a_run_that_left_no_record_has_none(file):
    assert RunRecord.read(file) is None
    assert not RunRecord.is_held(file)


def test_the_records_of_a_trial_are_those_of_its_repeats_in_their_order(tmp_path):
    folder = SweepFolder(tmp_path)
    for run in ("3", "7/10", "7/9", "7/0"):
        with begun(folder.run_record(run)):
            pass
    assert [str(file.parent.relative_to(tmp_path)) for file in folder.run_records(7)] == ["7/0", "7/9", "7/10"]
    assert folder.run_records(3) == [folder.run_record("3")]
    assert folder.run_records(4) == []
