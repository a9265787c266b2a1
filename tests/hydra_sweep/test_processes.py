"""Tasks that start processes and threads of their own find the process as their program would have it alone."""

import dataclasses
import importlib
import os
import signal
import sys
import time

import psutil
import pytest
from optuna.trial import TrialState
from sweeps import APPS, BASIC, JOBLIB, trials, wait_for

from hydra_sweep.processes import Program

APP = APPS / "companions.py"
LOADERS = ("loader", "loader_persistent", "loader_fork", "loader_spawn", "loader_forkserver", "torch_spawn")
STARTS = "process,spawn,forkserver,pool,pool_spawn,ends_pool,executor,subprocess,loky,joblib,threading,as_alone".split(
    ","
)
FORKS = {
    "fork_exit": 14.0,
    "fork_return": 14.0,
    "fork__exit": 14.0,
    "fork_exit_3": 17.0,
    "fork_exit_text": 15.0,
    "fork_raise": 15.0,
}
LEFT = ("left_thread", "left_pool", "left_semaphores", "left_process", "left_daemon", "left_subprocess", "left_tree")


def values(folder):
    """Returns what each trial of the app has returned, by what it did."""
    return {trial.params["what"]: trial.value for trial in trials(folder) if trial.state.is_finished()}


def left(command):
    """Returns the pids of the processes that tasks have left running."""
    file = command.folder.parent / "left"
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def assert_tidy(command, code=0):
    """Fails if a process is left, or if a tracker had to speak up for one that has not cleaned up after itself."""
    text = command.end(code)
    wait_for(lambda: not any(map(is_alive, left(command))), "what tasks have left to be gone")
    assert "leaked" not in text
    assert text.count("Traceback") == text.count("ValueError: in the child")  # which a fork of the task prints


@pytest.mark.parametrize("launcher", [BASIC, JOBLIB], ids=["basic", "joblib"])
def test_processes_pools_and_forks_work_in_a_trial_as_they_do_alone(start, launcher):
    command = start(f"what={','.join([*STARTS, *FORKS])}", *launcher, app=APP)
    assert_tidy(command)
    assert values(command.folder) == dict.fromkeys(STARTS, 14.0) | FORKS


@pytest.mark.long
def test_data_loaders_with_workers_of_any_kind_work_in_a_trial(start):
    pytest.importorskip("torch", reason="its loaders are what is tested")
    command = start(f"what={','.join(LOADERS)}", *JOBLIB, app=APP)
    assert_tidy(command)
    assert values(command.folder) == dict.fromkeys(LOADERS, 14.0)


def test_what_tasks_leave_running_ends_with_the_sweep(start):
    command = start(f"what={','.join(LEFT)}", *JOBLIB, app=APP)
    assert_tidy(command)
    assert values(command.folder) == dict.fromkeys(LEFT, 14.0)
    assert len(left(command)) == 4


def test_with_the_basic_launcher_what_tasks_leave_running_ends_with_the_sweep(start):
    ways = [way for way in LEFT if way != "left_thread"]  # for which Python waits, as it does alone
    command = start(f"what={','.join(ways)}", *BASIC, app=APP)
    assert_tidy(command)
    assert values(command.folder) == dict.fromkeys(ways, 14.0)


STOPS = {
    "term": lambda command: command.signal(signal.SIGTERM),
    "ctrl-c": lambda command: command.signal_group(signal.SIGINT),
    "twice": lambda command: (command.signal_group(signal.SIGINT), command.signal_group(signal.SIGINT)),
    "sweeper": lambda command: command.signal(signal.SIGKILL),
}


@pytest.mark.parametrize("walks", ["walk_process,walk_tree", "walk_pool,walk_loky"])
@pytest.mark.parametrize("how", [pytest.param(how, marks=[pytest.mark.long] * (how != "term")) for how in STOPS])
def test_a_sweep_that_is_stopped_leaves_nothing_of_its_tasks(start, how, walks):
    command = start(f"what={walks}", *JOBLIB, app=APP)
    wait_for(lambda: len(left(command)) == 2, "both trials to begin")
    STOPS[how](command)
    assert_tidy(command, {"term": 128 + signal.SIGTERM, "sweeper": -signal.SIGKILL}.get(how, 128 + signal.SIGINT))
    if how != "sweeper":
        assert {trial.state for trial in trials(command.folder)} == {TrialState.WAITING}


@pytest.mark.parametrize(
    "walks", ["walk_process,walk_tree", pytest.param("walk_pool,walk_loky", marks=pytest.mark.long)]
)
def test_what_a_killed_worker_leaves_is_killed_while_the_sweep_goes_on(start, walks):
    command = start(f"what={walks}", *JOBLIB, app=APP)
    wait_for(lambda: len(left(command)) == 2, "both trials to begin")
    before = left(command)
    worker = next(pid for pid in command.workers() if psutil.Process(pid).ppid() == command.process.pid)
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: len(left(command)) == 4, "both trials to begin again")
    wait_for(lambda: not any(map(is_alive, before)), "what the first attempts have left to be gone")
    command.signal(signal.SIGTERM)
    assert_tidy(command, 128 + signal.SIGTERM)


def test_ctrl_c_at_an_idle_worker_costs_its_neighbor_nothing(start):
    """Without a checkpoint of its own, a trial's time since the last one is lost with its process."""
    command = start("what=good,walk_process", *JOBLIB, app=APP)
    wait_for(lambda: len(left(command)) == 1, "the trial to begin")
    wait_for(lambda: any(trial.state is TrialState.COMPLETE for trial in trials(command.folder)), "the other to end")
    time.sleep(1)  # until its process idles
    command.signal_group(signal.SIGINT)
    text = command.end(128 + signal.SIGINT)
    assert "lost workers" not in text
    assert [trial.state for trial in trials(command.folder)] == [TrialState.COMPLETE, TrialState.WAITING]
    assert (command.folder.parent / "stopped").exists()  # at a report, and not by a kill


def test_what_a_task_has_imported_stays_imported_and_the_main_module_is_the_old_one(monkeypatch):
    """A library such as torch that is imported a second time into one process corrupts its memory."""
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    before = sys.modules["__main__"]
    with dataclasses.replace(Program.current(), file="another.py").restored(is_alive):
        assert sys.modules["__main__"] is not before
        colorsys = importlib.import_module("colorsys")
    assert sys.modules["__main__"] is before
    assert sys.modules["colorsys"] is colorsys
