"""Trials side by side in a worker: each as if it were alone, their steps computed together."""

import os
import signal
import time
from itertools import pairwise

import pytest
from optuna.trial import TrialState
from sweeps import APPS, JOBLIB, assert_whole, trials, wait_for

from hydra_sweep import lanes

APP = APPS / "abreast.py"
GRID = "x=0,1,2,3,4,5"
ABREAST = "hydra.sweeper.stack=3"


def at_once(folder):
    """Returns how many steps were computed at once, each time."""
    file = folder / "at_once.log"
    return [*map(int, file.read_text().split())] if file.exists() else []


def test_calls_give_way_where_they_ask_and_get_their_own_answers():
    seen, found, names = [], {}, iter("abcd")

    def doubled(arguments):
        seen.append(sorted(arguments))
        return [2 * argument for argument in arguments]

    def negative(arguments):
        return [-argument for argument in arguments]

    def work():
        name = next(names)
        steps = {"a": 3, "b": 3, "c": 1, "d": 3}[name]
        function = negative if name == "d" else doubled
        found[name] = [lanes.together(function, 10 * "abcd".index(name) + step) for step in range(steps)]

    lanes.side_by_side(work, 4)
    assert seen == [[0, 10, 20], [1, 11], [2, 12]]
    assert found == {"a": [0, 2, 4], "b": [20, 22, 24], "c": [40], "d": [-30, -31, -32]}
    assert lanes.together(doubled, 7) == 14  # alone


def test_what_a_function_raises_reaches_who_asked_for_it_and_no_one_else():
    outcomes, names = {}, iter("ab")

    def broken(arguments):
        raise ValueError(f"{len(arguments)} at once")

    def work():
        name = next(names)
        try:
            outcomes[name] = lanes.together(broken if name == "a" else sum_of, name)
        except ValueError as error:
            outcomes[name] = str(error)

    def sum_of(arguments):
        return [len(arguments)] * len(arguments)

    lanes.side_by_side(work, 2)
    assert outcomes == {"a": "1 at once", "b": 1}


def test_what_one_call_raises_ends_all_as_ctrl_c_would():
    ended, numbers = [], iter(range(3))

    def work():
        number = next(numbers)
        try:
            for _ in range(5):
                lanes.together(list, number)
                if number == 1:
                    raise LookupError
        except BaseException as error:
            ended.append((number, type(error)))
            raise

    with pytest.raises(LookupError):
        lanes.side_by_side(work, 3)
    assert sorted(ended) == [(0, KeyboardInterrupt), (1, LookupError), (2, KeyboardInterrupt)]
    assert not lanes.are_many()


def test_a_call_rests_while_the_others_go_on():
    times, numbers = [], iter(range(2))

    def work():
        if next(numbers) == 0:
            lanes.rest(0.3)
            times.append(("rested", time.monotonic()))
            return
        for _ in range(10):
            lanes.together(list, 0)
        times.append(("worked", time.monotonic()))

    lanes.side_by_side(work, 2)
    assert [name for name, _ in times] == ["worked", "rested"]


def test_calls_that_compute_for_themselves_take_turns():
    turns, names = [], iter("ab")

    def work():
        name = next(names)
        for step in range(3):
            turns.append(f"{name}{step}")
            lanes.give_way()

    lanes.side_by_side(work, 2)
    assert turns == ["a0", "b0", "a1", "b1", "a2", "b2"]
    lanes.give_way()  # to nobody


@pytest.mark.parametrize("chdir", [False, True])
def test_trials_side_by_side_are_the_trials_one_by_one(sweep, chdir):
    words = [GRID, f"hydra.job.chdir={chdir}", "fails=1", "prunes=4"]
    beside, alone = sweep(APP, *words, ABREAST, name="beside"), sweep(APP, *words, name="alone")
    essence = [[(t.number, t.state, t.values, t.intermediate_values) for t in s.trials()] for s in (beside, alone)]
    assert essence[0] == essence[1]
    assert beside.states() == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]
    assert max(at_once(beside.folder)) == 3
    assert set(at_once(alone.folder)) == {1}
    for number in range(6):
        log = (beside.folder / str(number) / "abreast.log").read_text()
        place = beside.folder / str(number) if chdir else beside.folder.parent
        own = [line for line in log.splitlines() if " is in " in line]
        assert own
        assert all(line.endswith(f"trial {number} is in {place}") for line in own)


def test_one_that_cannot_be_computed_is_all_that_fails_where_the_function_sees_to_it(sweep):
    done = sweep(APP, "x=-9,1,2", ABREAST)  # this app's function does not: it fails for all that asked
    assert done.states() == ["FAIL", "FAIL", "FAIL"]
    assert all("below zero" in row["reason"] for row in done.rows())


def test_workers_share_what_is_left_and_a_schedule_pauses_trials_side_by_side(start):
    schedule = ["hydra/sweeper/pruner=asha", "hydra.sweeper.pruner.reduction_factor=2", "hydra.sweeper.n_trials=8"]
    command = start("x=interval(0,4)", *schedule, *JOBLIB, "hydra.sweeper.stack=8", app=APP)
    command.end()
    assert_whole(command.folder, 8)
    assert max(at_once(command.folder)) <= 4
    assert {trial.state for trial in trials(command.folder)[:8]} == {TrialState.COMPLETE, TrialState.PRUNED}


@pytest.mark.parametrize("launcher", [("hydra/launcher=basic",), JOBLIB], ids=["basic", "joblib"])
def test_a_stopped_sweep_of_trials_side_by_side_goes_on(start, launcher):
    words = [GRID, "steps=6", "pause=0.2", ABREAST, *launcher]
    command = start(*words, app=APP)
    wait_for(lambda: (command.folder / "at_once.log").exists(), "a step")
    command.signal(signal.SIGINT)
    command.end(130)
    before = trials(command.folder)
    assert not [trial for trial in before if trial.state is TrialState.RUNNING]
    assert len([trial for trial in before if trial.state is TrialState.WAITING]) >= 2
    start(*words, app=APP).end()
    assert_whole(command.folder, 6)
    assert all(len(trial.intermediate_values) == 6 + trial.number % 2 for trial in trials(command.folder))


def test_a_killed_worker_gives_all_its_trials_back(start):
    words = [GRID, "steps=6", "pause=0.2", ABREAST, "hydra/launcher=joblib", "hydra.sweeper.workers=1"]
    command = start(*words, app=APP)
    wait_for(lambda: command.workers() and len(at_once(command.folder)) > 2, "a step")
    os.kill(command.workers()[0], signal.SIGKILL)
    command.end()
    assert_whole(command.folder, 6)
    for trial in trials(command.folder):
        assert trial.values == [float(sum((trial.number + step) ** 2 for step in range(6 + trial.number % 2)))]
        assert all(b == a + 1 for a, b in pairwise(sorted(trial.intermediate_values)))


def test_a_number_of_trials_or_a_function_is_asked_for(sweep):
    done = sweep(APP, GRID, "hydra.sweeper.stack=0", code=2)
    assert "hydra.sweeper.stack must be a number of trials or module.function, got 0" in done.err
