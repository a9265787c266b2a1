"""What is counted of a sweep while it runs, and how long the rest of it takes."""

from dataclasses import asdict
from datetime import datetime, timedelta

import pytest
from optuna.trial import TrialState, create_trial

from hydra_sweep import tally as tally_module
from hydra_sweep.plan import Goal
from hydra_sweep.process import Process
from hydra_sweep.records import LEASE, OUTCOME, PAUSE, Lease, Outcome, Pause
from hydra_sweep.tally import Tally, seconds_left

COMPLETE, PRUNED, FAIL, RUNNING, WAITING = (
    TrialState.COMPLETE,
    TrialState.PRUNED,
    TrialState.FAIL,
    TrialState.RUNNING,
    TrialState.WAITING,
)
MINIMIZED = Goal([], ["minimize"], [])


def trial(number, state=COMPLETE, values=(0.0,), seconds=60.0, minute=None, lease=None, same_as=None):
    outcome = {OUTCOME: asdict(Outcome(seconds=seconds, same_as=same_as))} if state.is_finished() else {}
    held = {LEASE: asdict(lease)} if lease else {}
    made = create_trial(state=state, values=list(values) if state is COMPLETE else None, user_attrs={**outcome, **held})
    made.number = number
    if state.is_finished():
        made.datetime_complete = datetime(2026, 1, 1) + timedelta(minutes=number if minute is None else minute)
    return made


def test_trials_are_counted_by_state_and_what_nobody_has_begun_waits():
    tally = Tally(MINIMIZED, 10, 2)
    ended = tally.update([trial(0), trial(1, PRUNED), trial(2, RUNNING), trial(3, FAIL), trial(4, WAITING)])
    assert [one.number for one in ended] == [0, 1, 3]
    assert tally.counts == {"complete": 1, "pruned": 1, "failed": 1, "running": 1, "paused": 0, "waiting": 6}
    assert [one.trial.number for one in tally.running] == [2]
    assert tally.num_ended == 3


def test_a_paused_trial_is_told_once_for_each_step_that_it_is_paused_after():
    tally = Tally(MINIMIZED, 4, 1)
    paused = trial(0, WAITING)
    paused.user_attrs = {PAUSE: Pause(1).recorded()}
    paused.intermediate_values = {1: 0.5}
    seen = []
    for _ in range(2):
        tally.update([paused])
        seen.append([one.number for one in tally.paused])
    paused.intermediate_values = {1: 0.5, 2: 0.4, 3: 0.3}
    tally.update([paused])
    seen.append([one.number for one in tally.paused])
    assert seen == [[0], [], [0]]
    assert (tally.counts["paused"], tally.counts["waiting"]) == (1, 3)


def test_a_trial_ends_once_however_often_it_is_looked_at_and_the_best_stays():
    tally = Tally(MINIMIZED, 4, 1)
    first = [trial(0, values=[3.0]), trial(1, RUNNING)]
    assert [one.number for one in tally.update(first)] == [0]
    assert tally.update(first) == []
    later = [first[0], trial(1, values=[5.0]), trial(2, values=[2.0]), trial(3, RUNNING)]
    assert [one.number for one in tally.update(later)] == [1, 2]
    assert [one.number for one in tally.top] == [2]
    assert tally.counts["complete"] == 3


def test_of_equal_trials_the_first_is_the_best():
    tally = Tally(Goal([], ["maximize"], []), 4, 1)
    tally.update([trial(0, RUNNING), trial(1, values=[5.0])])
    tally.update([trial(0, values=[5.0]), trial(1, values=[5.0])])
    assert tally.top[0].number == 0


def test_the_front_of_several_objectives_is_that_of_all_trials():
    tally = Tally(Goal([], ["minimize", "minimize"], []), 9, 1)
    trials = [trial(i, values=values) for i, values in enumerate([(1, 5), (3, 3), (4, 4), (5, 1), (3, 2)])]
    for number in range(len(trials)):
        tally.update(trials[: number + 1])
    assert sorted(one.number for one in tally.top) == [0, 3, 4]


class StoppedClock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    stopped = StoppedClock()
    monkeypatch.setattr(tally_module, "time", stopped)
    return stopped


def test_a_trial_has_run_for_what_its_attempts_have_run_without_the_pauses_between(clock):
    tally, holder = Tally(MINIMIZED, 3, 1), Process("host", 1, 0.0)
    tally.update([trial(0, RUNNING, lease=Lease(holder, attempt=2, seconds=100.0))])
    clock.now += 5
    tally.update([trial(0, RUNNING, lease=Lease(holder, attempt=2, seconds=104.0, beat=1))])
    assert tally.running[0].seconds == pytest.approx(105)
    clock.now += 8 * 3600  # given back over night
    tally.update([trial(0, WAITING, lease=Lease(None, attempt=2, seconds=106.0))])
    tally.update([trial(0, RUNNING, lease=Lease(holder, attempt=3, seconds=106.0))])
    clock.now += 1
    tally.update([trial(0, RUNNING, lease=Lease(holder, attempt=3, seconds=106.0))])
    assert tally.running[0].seconds == pytest.approx(107)


def test_the_time_left_is_that_of_the_latest_trials_whatever_pause_was_between_them(clock):
    tally = Tally(MINIMIZED, 60, 2)
    tally.update([trial(i, seconds=10.0 if i < 20 else 30.0, minute=i if i < 20 else 6000 + i) for i in range(40)])
    assert tally.seconds_left() == pytest.approx(20 * 30 / 2)


def test_what_was_answered_from_the_record_says_nothing_of_how_long_a_trial_takes():
    tally = Tally(MINIMIZED, 4, 1)
    tally.update([trial(0, seconds=60.0), trial(1, seconds=0.01, same_as=0)])
    assert tally.seconds_left() == pytest.approx(120)


@pytest.mark.parametrize(
    ("durations", "running", "num_waiting", "num_workers", "left"),
    [
        ([], [5.0], 3, 2, None),  # nothing to base it on
        ([60, 60], [], 0, 2, 0),
        ([60, 60], [20], 0, 2, 40),  # the last one; the other worker has nothing to do
        ([60, 60], [20, 50], 0, 2, 40),
        ([60, 60], [0, 0], 8, 2, 300),
        ([60, 60], [30, 30], 3, 2, 150),  # 30, then two rounds, in the last of which one worker is idle
        ([60, 60], [30], 1, 4, 60),  # idle workers begin at once
        ([60], [], 4, 8, 60),
        ([10, 100], [50], 0, 1, 50),  # of those that took longer
        ([10, 20], [50], 0, 1, None),  # none has ever taken so long
        ([10], [50], 1, 1, 60),  # 30 for each: the mean of what ended and of what runs longer than that
        ([10, 10, 10], [30, 30], 2, 2, 36),  # short ones end first: 18 for each
    ],
)
def test_the_rest_takes(durations, running, num_waiting, num_workers, left):
    found = seconds_left(durations, running, num_waiting, num_workers)
    assert found == (left if left is None else pytest.approx(left))
