"""Sweeps that are stopped, changed or starved: nothing may be lost or left running. Kills are in faults/."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError
from sweeps import (
    BASIC,
    JOBLIB,
    SECONDS,
    SPACE,
    WALKER,
    assert_whole,
    budget,
    essence,
    has_begun,
    opened,
    rows,
    runs,
    trials,
    wait_for,
)

from hydra_sweep import storage as storages
from hydra_sweep import study as studies
from hydra_sweep.errors import UserError
from hydra_sweep.heartbeat import StaleTrialDetector
from hydra_sweep.process import Process
from hydra_sweep.schedules import Budget
from hydra_sweep.status import RecordedSweep, headline
from hydra_sweep.storage import hide_password
from hydra_sweep.study import SweepStudy

LAUNCHERS = pytest.mark.parametrize("launcher", [BASIC, JOBLIB], ids=["basic", "joblib"])
LONG = pytest.mark.long


# Ctrl-C and SIGTERM.

HOW = ("sweeper", "group", "term")

STOPS = [pytest.param(how, BASIC, id=f"{how}-basic", marks=() if how == "group" else LONG) for how in HOW]
STOPS += [pytest.param(how, JOBLIB, id=f"{how}-joblib", marks=() if how == "group" else LONG) for how in HOW]


@pytest.mark.parametrize(("how", "launcher"), STOPS)
def test_a_stop_gives_running_trials_back_and_the_same_command_finishes(start, launcher, how):
    arguments = [*SPACE, "pause=0.15", budget(4), *launcher]
    command = start(*arguments)
    wait_for(lambda: has_begun(command), "a trial to begin")
    signum = signal.SIGTERM if how == "term" else signal.SIGINT
    (command.signal_group if how == "group" else command.signal)(signum)
    text = command.end(128 + signum)
    assert "stopping: running trials are saved first" in text or launcher is BASIC  # which may be too quick to say it
    assert "the resume line goes on" in text
    assert "Traceback" not in text
    states = {trial.state for trial in trials(command.folder)}
    assert TrialState.RUNNING not in states
    assert TrialState.WAITING in states
    again = start(*arguments)
    again.end()
    assert_whole(command.folder, 4)


@LAUNCHERS
def test_a_second_ctrl_c_stops_at_once(start, launcher):
    command = start(*SPACE, "pause=600", budget(4), *launcher)
    wait_for(lambda: has_begun(command), "a trial to begin")
    command.signal(signal.SIGINT)
    wait_for(lambda: "stopping:" in command.log.read_text(), "the message")
    began = time.monotonic()
    command.signal(signal.SIGINT)
    text = command.end(130)
    assert time.monotonic() - began < 20
    assert "Traceback" not in text
    assert {trial.state for trial in trials(command.folder)} == {TrialState.WAITING}


def test_workers_stop_when_their_sweeper_is_killed(start):
    arguments = [*SPACE, "pause=0.3", "steps=20", budget(3), *JOBLIB]
    command = start(*arguments)
    wait_for(lambda: has_begun(command) and len(runs(command.folder)) == 2, "two trials to begin")
    command.signal(signal.SIGKILL)
    command.end(-signal.SIGKILL)
    assert {trial.state for trial in trials(command.folder)} == {TrialState.WAITING}


# Leases.

HERE = Process.current()
FAR = Process("another host", 1, 1.0)


@pytest.fixture
def study(tmp_path):
    made = SweepStudy(f"sqlite:///{tmp_path / 'study.db'}", "a study", 5)
    made.create(["minimize"], {"what": "this"})
    return made


def gone():
    """Returns a process of this host that is over."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = Process.here(child.pid)
        assert not found.is_dead()
    return found


def test_a_lease_of_another_host_is_lost_only_when_it_no_longer_beats(study, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(studies.time, "monotonic", lambda: now[0])
    trial_id, lease = study.claim(FAR, Budget(1))
    watch = StaleTrialDetector(30)
    for _ in range(3):
        assert not watch.lost(study)
        now[0] += 29
        study.renew_lease(trial_id, lease)
    assert not watch.lost(study)
    now[0] += 29
    assert not watch.lost(study)
    now[0] += 2
    assert [trial.number for trial in watch.lost(study)] == [0]


def test_of_this_host_a_dead_process_is_lost_at_once_and_a_living_one_never(study, monkeypatch):
    study.claim(HERE, Budget(9))
    study.claim(gone(), Budget(9))
    study.claim(replace(HERE, born=HERE.born - 50), Budget(9))  # this pid, given out anew
    watch = StaleTrialDetector(0)
    assert [trial.number for trial in watch.lost(study)] == [1, 2]
    now = time.monotonic()
    monkeypatch.setattr(studies.time, "monotonic", lambda: now + 1e6)
    assert [trial.number for trial in watch.lost(study)] == [1, 2]


def test_a_lost_trial_comes_back_with_its_number_parameters_and_reports(study):
    trial_id, _ = study.claim(gone(), Budget(1))
    drawn = optuna.distributions.FloatDistribution(0, 1)
    study.storage.set_trial_param(trial_id, "x", 0.25, drawn)
    study.storage.set_trial_intermediate_value(trial_id, 1, 7.0)
    assert not study.requeue_or_fail(study.trials()[0], 3)
    again, lease = study.claim(HERE, Budget(1))
    assert (again, lease.attempt, lease.process) == (trial_id, 2, HERE)
    [trial] = study.trials()
    assert (trial.number, trial.params, trial.intermediate_values) == (0, {"x": 0.25}, {1: 7.0})
    assert trial.state is TrialState.RUNNING


def test_a_trial_fails_after_so_many_losses_without_progress_and_progress_resets_the_count(study):
    def lost():
        study.claim(HERE, Budget(1))
        return study.requeue_or_fail(study.trials()[0], 3)

    assert [lost(), lost()] == [False, False]
    study.storage.set_trial_intermediate_value(study.claim(HERE, Budget(1))[0], 1, 7.0)
    assert not study.requeue_or_fail(study.trials()[0], 3)
    assert [lost(), lost()] == [False, True]
    [trial] = study.trials()
    assert trial.state is TrialState.FAIL
    assert studies.Outcome.of(trial).reason.startswith("its worker died 3 times")
    assert studies.Outcome.of(trial).attempt == 5
    assert study.claim(HERE, Budget(1)) is None


def test_a_claimed_trial_is_never_seen_with_the_lease_of_its_last_attempt(study, monkeypatch):
    """Or a watcher would take it away again, in the moment before the new lease is written."""
    study.claim(gone(), Budget(1))
    study.requeue_or_fail(study.trials()[0], 3)
    watch, start = StaleTrialDetector(30), SweepStudy._start

    def watched(self, *arguments):
        has_started = start(self, *arguments)
        assert not watch.lost(self)
        return has_started

    monkeypatch.setattr(SweepStudy, "_start", watched)
    assert study.claim(HERE, Budget(1))[1].attempt == 2


def test_a_trial_killed_between_its_claim_and_its_lease_comes_back(study, monkeypatch):
    study.claim(gone(), Budget(1))
    study.requeue_or_fail(study.trials()[0], 3)
    study._start(study.trials()[0]._trial_id)
    now = [0.0]
    monkeypatch.setattr(studies.time, "monotonic", lambda: now[0])
    watch = StaleTrialDetector(30)
    assert not watch.lost(study)
    now[0] = 31.0
    assert len(watch.lost(study)) == 1


def test_trials_beyond_the_budget_wait_until_it_is_raised(study):
    for _ in range(3):
        study.storage.create_new_trial(study.id)
    for trial in study.trials():
        study.release(trial._trial_id)
    assert [study.claim(HERE, Budget(1))[0], study.claim(HERE, Budget(1))] == [study.trials()[0]._trial_id, None]
    assert [trial.state.name for trial in study.trials()] == ["RUNNING", "WAITING", "WAITING"]
    numbers = [study.storage.get_trial_number_from_id(study.claim(HERE, Budget(4))[0]) for _ in range(3)]
    assert numbers == [1, 2, 3]
    assert study.claim(HERE, Budget(4)) is None


def test_a_claim_that_came_too_late_leaves_its_trial_waiting(study, monkeypatch):
    trials = study.trials()
    study.claim(HERE, Budget(1))
    monkeypatch.setattr(study, "trials", lambda: trials)  # as seen before the other's claim
    assert study.claim(HERE, Budget(1)) is None
    monkeypatch.undo()
    assert [trial.state.name for trial in study.trials()] == ["RUNNING", "WAITING"]


CLAIMER = """
import sys
from hydra_sweep.schedules import Budget
from hydra_sweep.study import SweepStudy
from hydra_sweep.process import Process
study = SweepStudy(sys.argv[1], "a study", 30)
print("ready", flush=True)
input()
while claimed := study.claim(Process.current(), Budget(60)):
    print(study.storage.get_trial_number_from_id(claimed[0]), flush=True)
"""


@pytest.mark.parametrize("waiting", [0, 60], ids=["new", "waiting"])
def test_two_claims_never_get_the_same_trial(study, waiting):
    for _ in range(waiting):
        trial_id = study.storage.create_new_trial(study.id)
        study.storage.set_trial_state_values(trial_id, TrialState.WAITING)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen([sys.executable, "-c", CLAIMER, study.url], **pipes) for _ in range(3)]
    found = []

    def claim():
        mine = SweepStudy(study.url, "a study", 30)
        while claimed := mine.claim(HERE, Budget(60)):
            found.append(mine.storage.get_trial_number_from_id(claimed[0]))

    threads = [threading.Thread(target=claim) for _ in range(2)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
        child.stdin.write("go\n")
        child.stdin.flush()
    for thread in threads:
        thread.start()
    for child in children:
        out, _ = child.communicate(timeout=SECONDS)
        assert child.returncode == 0
        found += map(int, out.split())
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(60))


def test_one_of_several_makers_makes_the_study_and_the_others_join_it(tmp_path):
    url, made = f"sqlite:///{tmp_path / 'study.db'}", []
    SweepStudy(url, "a study", 10)

    def make():
        mine = SweepStudy(url, "a study", 10)
        mine.create(["maximize"], {"what": "this"})
        made.append((mine.id, mine.attrs()["request"]))

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [(made[0][0], {"what": "this"})] * 3


# A sweep that asks for something else.


@pytest.fixture
def done(start):
    """Returns a finished sweep of two trials."""
    command = start("x=interval(0,4)", "y=choice(1,2,3)", budget(2), *BASIC)
    command.end()
    return command.folder


CHANGES = {
    "interval": (["x=interval(0,5)", "y=choice(1,2,3)"], "x: interval(0.0, 4.0) -> interval(0.0, 5.0)"),
    "choice": (["x=interval(0,4)", "y=choice(1,2)"], "y: choice(1, 2, 3) -> choice(1, 2)"),
    "value": ([*SPACE, "pause=0.01"], "pause: 0.0 -> 0.01"),
    "objective": ([*SPACE, "hydra.sweeper.objective=cost"], "objective: loss -> cost"),
    "direction": ([*SPACE, "hydra.sweeper.direction=maximize"], "direction: minimize -> maximize"),
}


@pytest.mark.long
def test_a_changed_request_is_refused_with_the_difference_and_changes_nothing(start, done):
    before, table = essence(done, 2), (done / "results.csv").read_bytes()
    for arguments, difference in CHANGES.values():
        text = start(*arguments, budget(3), *BASIC).end(2)
        assert difference in text
        assert "resume=force" in text
        assert "Traceback" not in text
        assert (essence(done, 3), (done / "results.csv").read_bytes()) == (before, table)


@pytest.mark.long
def test_changed_code_is_refused_unless_forced(start, tmp_path):
    app = tmp_path / "walker.py"
    app.write_bytes(WALKER.read_bytes())
    folder = start(*SPACE, budget(1), *BASIC, app=app).folder
    start(*SPACE, budget(1), *BASIC, app=app).end()
    with app.open("a") as file:
        file.write("# changed\n")
    assert "code: " in start(*SPACE, budget(2), *BASIC, app=app).end(2)
    start(*SPACE, budget(2), "hydra.sweeper.resume=force", *BASIC, app=app).end()
    start(*SPACE, budget(3), *BASIC, app=app).end()
    assert_whole(folder, 3)
    assert opened(folder).name == folder.name


@pytest.mark.long
def test_a_forced_wider_interval_goes_on_in_the_same_study(start, done):
    before = essence(done, 2)
    start(*CHANGES["interval"][0], budget(3), "hydra.sweeper.resume=force", *BASIC).end()
    start(*CHANGES["interval"][0], budget(4), *BASIC).end()
    assert_whole(done, 4)
    assert essence(done, 2) == before
    assert opened(done).name == done.name


@pytest.mark.long
@pytest.mark.parametrize("change", ["objective", "direction", "choice"])
def test_a_forced_other_goal_goes_on_in_a_renewed_study_with_the_old_trials(start, done, change):
    before, table = trials(done), rows(done)
    start(*CHANGES[change][0], budget(3), "hydra.sweeper.resume=force", *BASIC).end()
    start(*CHANGES[change][0], budget(4), *BASIC).end()
    assert_whole(done, 4)
    renewed = opened(done)
    assert renewed.name == f"{done.name}~2"
    direction = optuna.study.StudyDirection.MAXIMIZE if change == "direction" else optuna.study.StudyDirection.MINIMIZE
    assert renewed.storage.get_study_directions(renewed.id) == [direction]
    for old, new, row in zip(before, renewed.trials(), table, strict=False):
        assert (new.number, new.state) == (old.number, old.state)
        assert new.params == {name: x for name, x in old.params.items() if change != "choice" or (name, x) != ("y", 3)}
        assert new.values == [float(row["cost"])] if change == "objective" else old.values
        assert (new.datetime_start, new.datetime_complete) == (old.datetime_start, old.datetime_complete)
    assert runs(done) == dict.fromkeys(range(4), 1)


@pytest.mark.long
def test_what_means_the_same_may_change(start, done):
    other = ["hydra/sweeper/sampler=random", "hydra/sweeper/pruner=median", "hydra.sweeper.workers=2"]
    start(*SPACE, budget(3), *other, "hydra/launcher=joblib").end()
    assert_whole(done, 3)
    assert opened(done).name == done.name


def test_trials_without_their_study_are_refused_in_one_line(start, tmp_path):
    (tmp_path / "a sweep" / "0").mkdir(parents=True)
    text = start(*SPACE, budget(2), *BASIC).end(2)
    assert text.splitlines() == [
        f"sweep: {tmp_path / 'a sweep'} holds 1 trial but not the study; choose another name, or move them away"
    ]
    assert not (tmp_path / "a sweep" / "study.db").exists()


@pytest.mark.long
def test_a_study_whose_maker_died_is_made_to_its_end(start, tmp_path):
    (tmp_path / "a sweep").mkdir()
    half = opened(tmp_path / "a sweep")
    half.storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], half.name)
    command = start(*SPACE, budget(1), *BASIC)
    command.end()
    assert_whole(command.folder, 1)


# Storage.


class Flaky:
    """Stands for a storage that fails so many times."""

    def __init__(self, failures, error):
        self.failures, self.error, self.calls = failures, error, 0

    def get_all_studies(self):
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return ["study"]


def internal(cause):
    error = StorageInternalError("gone")
    error.__cause__ = cause
    return error


LOCKED = OperationalError("select", {}, sqlite3.OperationalError("database is locked"))


@pytest.mark.parametrize("error", [LOCKED, internal(LOCKED), ConnectionError(), TimeoutError()], ids=repr)
def test_a_call_of_a_storage_that_is_away_for_a_moment_is_made_again(error):
    storage = storages._patient(Flaky, 20)(3, error)
    assert storage.get_all_studies() == ["study"]
    assert storage.calls == 4


def test_a_call_of_a_storage_that_stays_away_gives_up_after_its_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(studies.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(studies.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    storage = storages._patient(Flaky, 60)(10**6, ConnectionError("away"))
    with pytest.raises(ConnectionError, match="away"):
        storage.get_all_studies()
    assert 55 <= now[0] <= 60


def test_a_call_that_is_wrong_is_not_made_again():
    storage = storages._patient(Flaky, 60)(1, KeyError("no such study"))
    with pytest.raises(KeyError):
        storage.get_all_studies()
    assert storage.calls == 1


def test_sqlite_keeps_a_write_ahead_log(study):
    with closing(sqlite3.connect(study.url.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_locked_file_for_some_seconds_fails_nothing(start):
    command = start(*SPACE, "pause=0.1", budget(3), *BASIC)
    wait_for(lambda: has_begun(command), "a trial to begin")
    connection = sqlite3.connect(command.folder / "study.db", timeout=30, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    time.sleep(4)
    connection.execute("ROLLBACK")
    connection.close()
    command.end()
    assert_whole(command.folder, 3)
    assert {row["state"] for row in rows(command.folder)} == {"complete"}


def test_halves_of_files_that_a_killed_sweeper_has_left_are_deleted_but_not_one_that_is_being_written(start, tmp_path):
    folder = tmp_path / "a sweep"
    folder.mkdir()
    for name, age in ((".results.csv-old", 7200), (".results.csv-new", 0), (".results.csv", 7200)):
        (folder / name).touch()
        os.utime(folder / name, times=(time.time() - age,) * 2)
    start(*SPACE, budget(1), *BASIC).end()
    assert {path.name for path in folder.glob(".results*")} == {".results.csv-new", ".results.csv"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:...@host:5432/db"),
        ("postgresql://me:p@ss@host/db", "postgresql://me:...@host/db"),
        ("redis://:secret@host", "redis://:...@host"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:////a/study.db", "sqlite:////a/study.db"),
    ],
)
def test_a_password_is_never_shown(url, shown):
    assert hide_password(url) == shown


@pytest.mark.parametrize("place", ["file", "below a file", "study"])
def test_a_folder_that_cannot_be_written_is_one_line(start, tmp_path, place):
    folder = tmp_path / "a sweep"
    if place == "study":
        folder.mkdir()
        (folder / "study.db").write_text("this is no database, but a text that is longer than its header " * 20)
    else:
        folder.write_text("in the way")
    text = start(*SPACE, budget(1), *BASIC, folder=folder / "below" if place == "below a file" else folder).end(2)
    assert len(text.splitlines()) == 1
    assert text.startswith("sweep: cannot")
    assert str(folder) in text


def test_a_storage_that_is_not_there_is_one_line_without_its_password(start):
    text = start(*SPACE, budget(1), "hydra.sweeper.storage='nosuch://me@host/db'", *BASIC).end(2)
    assert text.startswith("sweep: cannot open the storage nosuch://me@host/db")
    assert len(text.splitlines()) == 1
    text = start(*SPACE, budget(1), "hydra.sweeper.storage='mysql://me:secret@host/db'", *BASIC).end(2)
    assert text.startswith("sweep: storage mysql://me:...@host/db: its password would be in every record")
    assert "secret" not in text
    assert len(text.splitlines()) == 1


# Names.


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["it's a sweep", 'a "quoted" one', "müde Läufe ∇", "lr=0.1, two", "100%", "a [b] {c}?"]
)
def test_a_folder_may_have_any_name(start, name):
    command = start("x=1,2", *BASIC, name=name)
    command.end()
    assert_whole(command.folder, 2)
    again = start("x=1,2", *JOBLIB, name=name)
    assert "resuming: 2 of 2 trials finished" in again.end()


@pytest.mark.long
def test_a_renamed_folder_goes_on(start, tmp_path):
    start(*SPACE, budget(2), *BASIC, name="before").end()
    (tmp_path / "before").rename(tmp_path / "after")
    command = start(*SPACE, budget(3), *BASIC, name="after")
    command.end()
    assert [int(row["trial"]) for row in rows(command.folder)] == [0, 1, 2]
    assert runs(command.folder) == {0: 1, 1: 1, 2: 1}


@pytest.mark.long
def test_a_study_that_is_deleted_while_it_runs_is_no_success(start):
    command = start("x=1,2,3,4,5,6", "steps=20", "pause=0.1", *BASIC)
    wait_for(lambda: (command.folder / "results.csv").exists(), "the first row")
    for file in command.folder.glob("study.db*"):
        file.unlink()
    text = command.end(1)
    assert "was deleted while it ran" in text


def test_no_worker_puts_an_empty_study_in_place_of_a_deleted_one(tmp_path):
    file = tmp_path / "study.db"
    study = SweepStudy(f"sqlite:///{file}", "a study", 5)
    study.create(["minimize"], {})
    study.storage.remove_session()
    study.storage._backend.engine.dispose()
    file.unlink()
    with pytest.raises(UserError, match="No such file"):  # a worker that begins
        SweepStudy(study.url, "a study", 5, must_exist=True)
    with pytest.raises(FileNotFoundError):  # a thread that needs a connection of its own
        study.storage.get_all_studies()
    assert not file.exists()


@pytest.mark.long
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_study_that_no_sweep_has_made_is_not_adopted(start, tmp_path, direction):
    url = f"sqlite:///{tmp_path / 'foreign.db'}"
    study = optuna.create_study(storage=url, study_name="theirs", direction=direction)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 4), n_trials=2)
    named = (f"hydra.sweeper.storage={url}", "hydra.sweeper.study_name=theirs")
    text = start(*SPACE, budget(3), *BASIC, *named).end(2)
    assert f"the storage has a study theirs that is no sweep's (2 trials, {direction})" in text
    assert len(optuna.load_study(storage=url, study_name="theirs").trials) == 2


@pytest.mark.long
def test_a_sweep_that_one_may_only_read_has_a_status(start, monkeypatch):
    command = start(*SPACE, budget(2), *BASIC)
    command.end()
    before = sorted(path.name for path in command.folder.iterdir())
    access = os.access
    theirs = command.folder.parent  # root may write anywhere
    monkeypatch.setattr(os, "access", lambda p, mode: theirs not in Path(p).parents and access(p, mode))
    assert "2 of 2 trials finished" in headline(RecordedSweep(command.folder, trust=True))
    assert sorted(path.name for path in command.folder.iterdir()) == before
