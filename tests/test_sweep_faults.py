"""Sweeps that are killed, stopped, raced, changed or starved: nothing may be lost, doubled or left running."""

import csv
import io
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from rnnexp.sweep import storage as storages
from rnnexp.sweep import study as studies
from rnnexp.sweep.storage import hide_password
from rnnexp.sweep.study import Process, SweepStudy, Watch

WALKER = Path(__file__).parent / "apps" / "walker.py"
BASIC = ("hydra/launcher=basic",)
JOBLIB = ("hydra/launcher=joblib", "hydra.sweeper.workers=2")
LAUNCHERS = pytest.mark.parametrize("launcher", [BASIC, JOBLIB], ids=["basic", "joblib"])
SLOW = pytest.mark.slow
SPACE = ("x=interval(0,4)", "y=choice(1,2,3)")
PATIENT = ("hydra.sweeper.max_attempts=1000", "hydra.sweeper.lease_seconds=2")
SECONDS = 60.0  # that anything may take, at the very most


@dataclass
class Command:
    """A sweep's command in a session of its own, so that whatever it leaves behind can be found."""

    folder: Path
    process: subprocess.Popen
    log: Path

    def members(self):
        """Returns the living processes of the session."""
        found = []
        for process in psutil.process_iter():
            try:
                is_ours = os.getsid(process.pid) == self.process.pid
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, ProcessLookupError):
                pass
        return found

    def workers(self):
        """Returns the pids of joblib's workers."""
        found = []
        for process in self.members():
            try:
                command = " ".join(process.cmdline())
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            if "popen_loky" in command and "resource_tracker" not in command:
                found.append(process.pid)
        return found

    def end(self, code=0):
        """Waits for the command and for all of its processes. Returns what it printed."""
        found = self.process.wait(SECONDS)
        wait_for(lambda: not self.members(), f"no process of the sweep to be left: {self.members()}")
        text = self.log.read_text()
        assert found == code, text
        return text

    def signal(self, signum):
        os.kill(self.process.pid, signum)

    def signal_group(self, signum):
        os.killpg(self.process.pid, signum)


def wait_for(condition, what):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.fixture
def start(tmp_path):
    """Returns a function that starts a sweep of the walker; what the test leaves running is killed."""
    started = []

    def start(*arguments, name="a sweep", app=WALKER, folder=None):
        folder = folder or tmp_path / name
        log = tmp_path / f"{len(started)}.out"
        place = str(folder).replace("\\", "\\\\").replace("'", "\\'")
        command = [sys.executable, str(app), "-m", f"hydra.sweep.dir='{place}'", "hydra.sweeper.objective=loss"]
        with log.open("w") as out:
            process = subprocess.Popen(
                [*command, *arguments], cwd=tmp_path, stdout=out, stderr=out, start_new_session=True
            )
        started.append(Command(folder, process, log))
        return started[-1]

    yield start
    for command in started:
        for process in command.members():
            process.kill()
        command.process.wait()


def budget(n):
    return f"hydra.sweeper.n_trials={n}"


def opened(folder):
    return SweepStudy(f"sqlite:///{folder / 'study.db'}", folder.name, 10)


def trials(folder):
    return opened(folder).trials()


def rows(folder):
    return list(csv.DictReader(io.StringIO((folder / "results.csv").read_text())))


def runs(folder):
    """Returns how often each trial was run, by number."""
    return Counter(map(int, (folder / "runs.log").read_text().split()))


def assert_whole(folder, n):
    """Fails unless each trial of the budget is over and in the table once, and no more than those."""
    found = trials(folder)
    assert [int(row["trial"]) for row in rows(folder)] == list(range(n))
    assert all(trial.state.is_finished() for trial in found[:n])
    assert not any(trial.state.is_finished() for trial in found[n:])


def essence(folder, n):
    """Returns what an interruption must not change."""
    return [(t.number, t.state.name, t.params, t.values, t.intermediate_values) for t in trials(folder)[:n]]


def has_begun(command):
    return (command.folder / "runs.log").exists()


# Kills at any moment.


def kill_and_go_on(start, arguments, victim, kills, draw):
    """Runs a sweep to its end through so many kills. Returns its folder and the number of kills that hit."""
    hits = 0
    while True:
        command = start(*arguments)
        if hits == kills:
            command.end()
            return command.folder, hits
        while command.process.poll() is None and hits < kills:
            if draw.random() < 0.7:  # else at any moment of its beginning
                wait_for_work(command)
            try:
                command.process.wait(draw.uniform(0, 2))
            except subprocess.TimeoutExpired:
                hits += strike(command, victim, draw)
        if hits < kills and command.process.poll() == 0:
            return command.folder, hits
        wait_for(lambda: command.process.poll() is not None, "the command to end")  # noqa: B023


def num_runs(command):
    return len((command.folder / "runs.log").read_text().split()) if has_begun(command) else 0


def wait_for_work(command):
    """Waits until the command begins another trial, or ends."""
    before = num_runs(command)
    wait_for(lambda: num_runs(command) > before or command.process.poll() is not None, "a trial to begin")


def strike(command, victim, draw):
    if victim == "worker":
        if not (pids := command.workers()):
            return 0
        try:
            os.kill(draw.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return 0
    elif victim == "sweeper":
        command.signal(signal.SIGKILL)
    else:
        command.signal_group(signal.SIGKILL)
    return 1


KILLS = [("worker", JOBLIB), ("sweeper", JOBLIB), ("group", JOBLIB), ("group", BASIC)]


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "launcher"), KILLS, ids=["worker", "sweeper", "group", "alone"])
def test_kills_at_any_moment_neither_lose_nor_double_a_trial(start, victim, launcher):
    n = 24
    arguments = [*SPACE, "steps=5", "pause=0.06", budget(n), "hydra/sweeper/pruner=median", *PATIENT, *launcher]
    folder, hits = kill_and_go_on(start, arguments, victim, 7 if launcher is JOBLIB else 9, random.Random(victim))
    print(f"{hits} kills")
    assert hits >= 4
    assert_whole(folder, n)
    attempts = {int(row["trial"]): int(row["attempt"]) for row in rows(folder)}
    assert all(times <= attempts[trial] for trial, times in runs(folder).items())
    assert max(runs(folder).values()) > 1
    if launcher is BASIC:
        whole = start(*arguments, folder=folder.parent / "uninterrupted" / folder.name)
        whole.end()
        assert essence(folder, n) == essence(whole.folder, n)
        assert {"COMPLETE", "PRUNED"} == {trial.state.name for trial in trials(folder)[:n]}


@pytest.mark.parametrize(("victim", "launcher", "kills"), [("group", BASIC, 3), ("worker", JOBLIB, 2)])
def test_a_few_kills_neither_lose_nor_double_a_trial(start, victim, launcher, kills):
    arguments = [*SPACE, "pause=0.1", budget(8), *PATIENT, *launcher]
    command = start(*arguments)
    for _ in range(kills):
        wait_for_work(command)
        wait_for(lambda: strike(command, victim, random.Random(0)), "somebody to kill")  # noqa: B023
        if victim == "group":
            command.process.wait()
            command = start(*arguments)
    command.end()
    assert_whole(command.folder, 8)
    attempts = {int(row["trial"]): int(row["attempt"]) for row in rows(command.folder)}
    assert all(times <= attempts[trial] for trial, times in runs(command.folder).items())
    assert max(runs(command.folder).values()) > 1


# Workers that die while the sweep goes on.


@pytest.mark.parametrize("how", ["kill", pytest.param("exit", marks=SLOW)])
def test_a_poisonous_trial_fails_with_its_reason_and_its_neighbours_complete(start, how):
    command = start("x=1,2", "y=1,2,3", "poison=2", f"how={how}", "pause=0.3", "steps=2", *JOBLIB)
    command.end()
    assert_whole(command.folder, 6)
    for row in rows(command.folder):
        assert row["state"] == ("failed" if row["y"] == "2" else "complete")
        assert ("its worker died 3 times in the same place" in row["reason"]) == (row["y"] == "2")


@pytest.mark.slow
def test_a_trial_that_ends_the_process_of_a_sweep_without_workers_fails_after_resumes(start):
    arguments = ["x=1", "y=1,2,3", "poison=2", "how=exit", *BASIC]
    for _ in range(3):
        start(*arguments).end(9)
    command = start(*arguments)
    command.end()
    assert [row["state"] for row in rows(command.folder)] == ["complete", "failed", "complete"]
    assert "its worker died 3 times" in rows(command.folder)[1]["reason"]


# Ctrl-C and SIGTERM.

HOW = ("sweeper", "group", "term")

STOPS = [pytest.param(how, BASIC, id=f"{how}-basic", marks=() if how == "group" else SLOW) for how in HOW]
STOPS += [pytest.param(how, JOBLIB, id=f"{how}-joblib", marks=() if how == "group" else SLOW) for how in HOW]


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


# Several sweepers on one study.


@pytest.mark.slow
@pytest.mark.parametrize("launchers", [(BASIC, BASIC, BASIC), (JOBLIB, BASIC)], ids=["three", "two"])
def test_sweepers_started_at_once_share_one_budget(start, launchers):
    arguments = [*SPACE, "pause=0.05", budget(16)]
    commands = [start(*arguments, *launcher) for launcher in launchers]
    for command in commands:
        assert "16 trials: 16 complete" in command.end()
    folder = commands[0].folder
    assert_whole(folder, 16)
    assert runs(folder) == dict.fromkeys(range(16), 1)


@pytest.mark.slow
def test_a_sweeper_finishes_what_a_killed_one_has_begun(start):
    arguments = [*SPACE, "pause=0.5", "steps=8", budget(2), *BASIC]
    first = start(*arguments)
    wait_for(lambda: has_begun(first), "a trial to begin")
    second = start(*arguments)
    wait_for(lambda: len(runs(first.folder)) == 2, "both to be at work")
    second.signal(signal.SIGKILL)
    first.end()
    assert_whole(first.folder, 2)


# Leases.

HERE = Process.own()
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
    trial_id, lease = study.claim(FAR, 1)
    watch = Watch(30)
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
    study.claim(HERE, 9)
    study.claim(gone(), 9)
    study.claim(replace(HERE, born=HERE.born - 50), 9)  # this pid, given out anew
    watch = Watch(0)
    assert [trial.number for trial in watch.lost(study)] == [1, 2]
    now = time.monotonic()
    monkeypatch.setattr(studies.time, "monotonic", lambda: now + 1e6)
    assert [trial.number for trial in watch.lost(study)] == [1, 2]


def test_a_lost_trial_comes_back_with_its_number_parameters_and_reports(study):
    trial_id, _ = study.claim(gone(), 1)
    drawn = optuna.distributions.FloatDistribution(0, 1)
    study.storage.set_trial_param(trial_id, "x", 0.25, drawn)
    study.storage.set_trial_intermediate_value(trial_id, 1, 7.0)
    assert not study.lose(study.trials()[0], 3)
    again, lease = study.claim(HERE, 1)
    assert (again, lease.attempt, lease.process) == (trial_id, 2, HERE)
    [trial] = study.trials()
    assert (trial.number, trial.params, trial.intermediate_values) == (0, {"x": 0.25}, {1: 7.0})
    assert trial.state is TrialState.RUNNING


def test_a_trial_fails_after_so_many_losses_without_progress_and_progress_resets_the_count(study):
    def lost():
        study.claim(HERE, 1)
        return study.lose(study.trials()[0], 3)

    assert [lost(), lost()] == [False, False]
    study.storage.set_trial_intermediate_value(study.claim(HERE, 1)[0], 1, 7.0)
    assert not study.lose(study.trials()[0], 3)
    assert [lost(), lost()] == [False, True]
    [trial] = study.trials()
    assert trial.state is TrialState.FAIL
    assert studies.Outcome.of(trial).reason.startswith("its worker died 3 times")
    assert studies.Outcome.of(trial).attempt == 5
    assert study.claim(HERE, 1) is None


def test_a_claimed_trial_is_never_seen_with_the_lease_of_its_last_attempt(study, monkeypatch):
    """Or a watcher would take it away again, in the moment before the new lease is written."""
    study.claim(gone(), 1)
    study.lose(study.trials()[0], 3)
    watch, hold = Watch(30), SweepStudy._hold

    def watched(self, *arguments):
        assert not watch.lost(self)
        return hold(self, *arguments)

    monkeypatch.setattr(SweepStudy, "_hold", watched)
    assert study.claim(HERE, 1)[1].attempt == 2


def test_a_trial_killed_between_its_claim_and_its_lease_comes_back(study, monkeypatch):
    study.claim(gone(), 1)
    study.lose(study.trials()[0], 3)
    study._start(study.trials()[0]._trial_id)
    now = [0.0]
    monkeypatch.setattr(studies.time, "monotonic", lambda: now[0])
    watch = Watch(30)
    assert not watch.lost(study)
    now[0] = 31.0
    assert len(watch.lost(study)) == 1


def test_trials_beyond_the_budget_wait_until_it_is_raised(study):
    for _ in range(3):
        study.storage.create_new_trial(study.id)
    for trial in study.trials():
        study.release(trial._trial_id)
    assert [study.claim(HERE, 1)[0], study.claim(HERE, 1)] == [study.trials()[0]._trial_id, None]
    assert [trial.state.name for trial in study.trials()] == ["RUNNING", "WAITING", "WAITING"]
    numbers = [study.storage.get_trial_number_from_id(study.claim(HERE, 4)[0]) for _ in range(3)]
    assert numbers == [1, 2, 3]
    assert study.claim(HERE, 4) is None


def test_a_claim_that_came_too_late_leaves_its_trial_waiting(study, monkeypatch):
    trials = study.trials()
    study.claim(HERE, 1)
    monkeypatch.setattr(study, "trials", lambda: trials)  # as seen before the other's claim
    assert study.claim(HERE, 1) is None
    monkeypatch.undo()
    assert [trial.state.name for trial in study.trials()] == ["RUNNING", "WAITING"]


CLAIMER = """
import sys
from rnnexp.sweep.study import Process, SweepStudy
study = SweepStudy(sys.argv[1], "a study", 30)
print("ready", flush=True)
input()
while claimed := study.claim(Process.own(), 60):
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
        while claimed := mine.claim(HERE, 60):
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


@pytest.mark.slow
def test_a_changed_request_is_refused_with_the_difference_and_changes_nothing(start, done):
    before, table = essence(done, 2), (done / "results.csv").read_bytes()
    for arguments, difference in CHANGES.values():
        text = start(*arguments, budget(3), *BASIC).end(2)
        assert difference in text
        assert "resume=force" in text
        assert "Traceback" not in text
        assert (essence(done, 3), (done / "results.csv").read_bytes()) == (before, table)


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_forced_wider_interval_goes_on_in_the_same_study(start, done):
    before = essence(done, 2)
    start(*CHANGES["interval"][0], budget(3), "hydra.sweeper.resume=force", *BASIC).end()
    start(*CHANGES["interval"][0], budget(4), *BASIC).end()
    assert_whole(done, 4)
    assert essence(done, 2) == before
    assert opened(done).name == done.name


@pytest.mark.slow
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
        assert new.params == {name: x for name, x in old.params.items() if change != "choice" or name != "y"}
        assert new.values == [float(row["cost"])] if change == "objective" else old.values
        assert (new.datetime_start, new.datetime_complete) == (old.datetime_start, old.datetime_complete)
    assert runs(done) == dict.fromkeys(range(4), 1)


@pytest.mark.slow
def test_what_means_the_same_may_change(start, done):
    other = ["hydra/sweeper/sampler=random", "hydra/sweeper/pruner=median", "hydra.sweeper.workers=2"]
    start(*SPACE, budget(3), *other, "hydra/launcher=joblib").end()
    assert_whole(done, 3)
    assert opened(done).name == done.name


def test_trials_without_their_study_are_refused_in_one_line(start, tmp_path):
    (tmp_path / "a sweep" / "0").mkdir(parents=True)
    text = start(*SPACE, budget(2), *BASIC).end(2)
    assert text.splitlines() == [
        f"sweep: {tmp_path / 'a sweep'} holds 1 trials but not their study; type another name, or move them away"
    ]
    assert not (tmp_path / "a sweep" / "study.db").exists()


@pytest.mark.slow
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
    assert sqlite3.connect(study.url.removeprefix("sqlite:///")).execute("PRAGMA journal_mode").fetchone() == ("wal",)


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["it's a sweep", 'a "quoted" one', "müde Läufe ∇", "lr=0.1, two", "100%", "a [b] {c}?"]
)
def test_a_folder_may_have_any_name(start, name):
    command = start("x=1,2", *BASIC, name=name)
    command.end()
    assert_whole(command.folder, 2)
    again = start("x=1,2", *JOBLIB, name=name)
    assert "going on: 2 of 2 trials are over" in again.end()
