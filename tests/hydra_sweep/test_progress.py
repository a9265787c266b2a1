"""What decides between a live screen and plain lines, and what an error in looking costs."""

import sys
from types import SimpleNamespace

import pytest
from optuna.trial import create_trial

from hydra_sweep import progress
from hydra_sweep.plan import Goal
from hydra_sweep.progress import Progress, is_watched
from hydra_sweep.sweep_folder import SweepFolder


class Stream:
    def __init__(self, is_terminal):
        self.isatty = lambda: is_terminal


@pytest.mark.parametrize(
    ("out", "err", "environment", "watched"),
    [
        (True, True, {}, True),
        (False, True, {}, False),  # | tee log
        (True, False, {}, False),
        (True, True, {"TERM": "dumb"}, False),
        (True, True, {"CI": "true"}, False),
        (True, True, {"CI": "false"}, True),
        (True, True, {"NO_COLOR": "1"}, True),
    ],
)
def test_a_screen_is_for_terminals_that_somebody_watches(monkeypatch, out, err, environment, watched):
    for name in ("TERM", "CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Stream(out))
    monkeypatch.setattr(sys, "stderr", Stream(err))
    assert is_watched() == watched


class Study:
    """A study whose storage is away for as long as `error` is set."""

    def __init__(self):
        self.trials, self.error = [], None

    def within_budget(self, n_trials):
        if self.error:
            raise self.error
        return self.trials[:n_trials]


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Returns what shows a sweep of three trials, its study, and the numbers of trials that each writing had."""
    goal = Goal([], ["minimize"], [])
    plan = SimpleNamespace(**vars(goal), n_trials=3, folder=SweepFolder(tmp_path), label=goal.label)
    written = []
    monkeypatch.setattr(progress, "headline", lambda plan, num_workers: "a sweep")
    monkeypatch.setattr(progress, "line", lambda plan, trial, is_best: f"trial {trial.number}{' best' * is_best}")
    monkeypatch.setattr(progress, "write_results", lambda plan, ended: written.append(len(ended)))
    monkeypatch.setattr(progress, "write_best", lambda plan, ended: None)
    study = Study()
    return Progress(plan, study, 1), study, written


def ended(number, value):
    made = create_trial(value=value)
    made.number = number
    return made


def test_each_trial_that_ends_is_a_line_and_the_files_are_written_when_there_is_news(shown, capsys):
    sweep, study, written = shown
    sweep.look()
    study.trials = [ended(0, 2.0), ended(1, 1.0)]
    sweep.writing_due = 0.0
    sweep.look()
    sweep.writing_due = 0.0
    sweep.look()
    assert capsys.readouterr().out.splitlines() == ["trial 0", "trial 1 best"]
    assert written == [0, 2]


def test_files_of_a_large_sweep_are_written_no_more_often_than_that_is_cheap(shown, monkeypatch):
    sweep, study, written = shown
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def write(plan, found):
        now[0] += 3.0
        written.append(len(found))

    monkeypatch.setattr(progress, "write_results", write)
    for second in range(150):
        study.trials = [ended(number, 1.0) for number in range((second >= 20) + (second >= 100))]
        sweep.look()
        now[0] += 1.0
    assert written == [0, 1, 2]  # a minute after each other
    assert sweep.interval == progress.SECONDS  # looking is none the slower for it


def test_an_error_in_looking_is_a_line_and_not_the_end(shown, capsys):
    sweep, study, _ = shown
    study.error = ConnectionError("the server is away")
    sweep.look()
    assert capsys.readouterr().err == ("sweep: can't look at the study just now: ConnectionError: the server is away\n")
    study.error, study.trials = None, [ended(0, 2.0)]
    sweep.look()
    assert capsys.readouterr().out == "trial 0 best\n"


def test_what_others_have_to_say_comes_between(shown, capsys):
    sweep, _, _ = shown
    with sweep:
        sweep.say("a word")
    assert capsys.readouterr().err == "sweep: a word\n"
