"""Schedules decide as published: who pauses, who goes on, who ends, and that every search comes to its end."""

import heapq
import random

import pytest

from hydra_sweep.curves import Curve, Phase, Situation, ranked
from hydra_sweep.schedules import Asha, Hyperband, Move, OneEpoch, Pasha, Schedule, Stopping, Turn

OPEN, PAUSED, COMPLETE, ENDED = Phase.OPEN, Phase.PAUSED, Phase.COMPLETE, Phase.ENDED


def curve(number, costs, phase=PAUSED):
    """Returns a curve of these costs at steps 1, 2, ..., or at those of a mapping."""
    costs = costs if isinstance(costs, dict) else dict(enumerate(costs, 1))
    return Curve(number, {step: cost if isinstance(cost, tuple) else (cost,) for step, cost in costs.items()}, phase)


def rung(*costs, step=1, phase=PAUSED):
    return [curve(number, {step: cost}, phase) for number, cost in enumerate(costs)]


def simulate(schedule, costs, num_workers=3, seed=0):
    """Returns each trial's phase and number of steps, once workers with clocks of their own have no more to do.

    Args:
        costs: of each trial, by step.
    """
    draw, now = random.Random(seed), 0.0
    num_steps = len(costs[0])
    done, phase = {}, {}
    idle, running = list(range(num_workers)), []  # heap of (time of the next report, trial)

    def situation():
        curves = [curve(n, costs[n][: done[n]], phase[n]) for n in done]
        return Situation(curves, len(costs) - len(done), num_steps)

    def start():
        while idle:
            turn = schedule.next_turn(situation())
            if turn and turn.move is Move.END:
                assert phase[turn.number] is PAUSED
                phase[turn.number] = ENDED
                continue
            if turn:
                assert phase[turn.number] is PAUSED
                number = turn.number
            elif len(done) < len(costs):
                number = len(done)
                done[number] = 0
            else:
                return
            phase[number] = OPEN
            idle.pop()
            heapq.heappush(running, (now + draw.expovariate(1), number))

    start()
    while running:
        now, number = heapq.heappop(running)
        done[number] += 1
        move = Move.GO_ON
        if schedule.decides_at(number, done[number], num_steps):
            move = schedule.at_report(number, done[number], situation())
        if move is Move.GO_ON and done[number] < num_steps:
            heapq.heappush(running, (now + draw.expovariate(1), number))
            continue
        phase[number] = COMPLETE if move is Move.GO_ON else PAUSED if move is Move.PAUSE else ENDED
        idle.append(0)
        start()
    return phase, done


ALL = {
    "none": Schedule(),
    "asha": Asha(reduction_factor=3),
    "asha by 2": Asha(reduction_factor=2, min_resource=2),
    "asha, few kept": Asha(reduction_factor=3, keep_paused=2),
    "stopping": Stopping(reduction_factor=3),
    "pasha": Pasha(),
    "hyperband": Hyperband(),
    "one_epoch": OneEpoch(),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("num_trials", [1, 2, 3, 10, 40])
def test_every_search_comes_to_its_end_with_a_complete_trial(name, num_trials):
    for seed in range(5):
        draw = random.Random(seed)
        costs = [[draw.random() + 1 / step for step in range(1, 11)] for _ in range(num_trials)]
        phase, done = simulate(ALL[name], costs, num_workers=1 + seed, seed=seed)
        assert len(phase) == num_trials
        assert set(phase.values()) <= {COMPLETE, ENDED}
        assert any(done[number] == 10 for number, found in phase.items() if found is COMPLETE)


def test_where_the_order_never_changes_asha_finds_the_best_for_a_fraction_of_the_steps():
    draw = random.Random(0)
    costs = [[level + 1 / step for step in range(1, 28)] for level in draw.sample(range(81), 81)]
    phase, done = simulate(Asha(reduction_factor=3), costs)
    best = min(range(81), key=lambda number: costs[number][0])
    assert phase[best] is COMPLETE
    assert sum(done.values()) < 81 * 27 / 4
    assert min(sum(n >= step for n in done.values()) - 81 // step for step in (3, 9, 27)) >= 0


def test_a_trial_is_paused_at_a_rung_and_goes_on_once_it_is_among_the_best():
    asha = Asha(reduction_factor=3)
    first = [curve(0, [0.5], OPEN)]
    assert asha.at_report(0, 1, Situation(first, 8, 9)) is Move.PAUSE
    three = rung(0.5, 0.4, 0.6)
    assert asha.next_turn(Situation(three, 6, 9)) == Turn(1, Move.GO_ON)
    assert asha.next_turn(Situation(three[:2], 7, 9)) is None


def test_a_trial_that_is_the_best_of_its_rung_goes_on_at_once():
    three = [*rung(0.5, 0.6), curve(2, [0.4], OPEN)]
    assert Asha(reduction_factor=3).at_report(2, 1, Situation(three, 6, 9)) is Move.GO_ON


def test_above_the_first_rung_the_best_so_far_goes_on_without_waiting_for_others():
    asha, below = Asha(reduction_factor=3), rung(0.5, 0.4, 0.6)
    first = [*below, curve(3, [0.1, 0.1, 0.1], OPEN)]
    assert asha.at_report(3, 3, Situation(first, 6, 27)) is Move.GO_ON
    worse = [*below, curve(3, [0.1] * 5, OPEN), curve(4, [0.2] * 3, OPEN)]
    assert asha.at_report(4, 3, Situation(worse, 6, 27)) is not Move.GO_ON
    better = [*worse[:4], curve(4, [0.1, 0.1, 0.05], OPEN)]
    assert asha.at_report(4, 3, Situation(better, 6, 27)) is Move.GO_ON


def test_hyperbands_brackets_each_wait_at_their_own_first_rung():
    hyperband = Hyperband()
    late = next(number for number in range(20) if hyperband.bracket(number, 9) == 1)
    alone = [curve(late, [0.1, 0.1, 0.1], OPEN)]
    assert hyperband.at_report(late, 3, Situation(alone, 20, 9)) is Move.PAUSE


def test_between_rungs_and_after_its_last_step_nothing_is_decided():
    decided = [step for step in range(1, 20) if Asha(min_resource=2, reduction_factor=3).decides_at(0, step, 18)]
    assert decided == [2, 6]
    assert [step for step in range(1, 20) if Stopping(reduction_factor=3).decides_at(0, step, None)] == [1, 3, 9]
    assert [step for step in range(1, 20) if OneEpoch(min_resource=4).decides_at(0, step, 9)] == [4]
    assert not OneEpoch(min_resource=4).decides_at(0, 4, 4)


def test_the_highest_rung_goes_first_and_those_that_went_on_before_count_as_members():
    low = [curve(number, [cost]) for number, cost in enumerate([0.9, 0.8, 0.7])]
    high = [curve(number, [0.1, 0.1, cost]) for number, cost in zip(range(3, 6), [0.3, 0.2, 0.4], strict=True)]
    assert Asha(reduction_factor=3).next_turn(Situation([*low, *high], 3, 27)) == Turn(4, Move.GO_ON)
    gone_on = [curve(4, [0.1] * 5, OPEN), *(one for one in high if one.number != 4)]
    assert (
        Asha(reduction_factor=3).next_turn(Situation([*low, *gone_on], 50, 27)) is None
    )  # two of six would be, and three went on
    more = [curve(number, [0.95]) for number in range(6, 12)]
    assert Asha(reduction_factor=3).next_turn(Situation([*low, *gone_on, *more], 50, 27)) == Turn(2, Move.GO_ON)


def test_what_can_no_longer_be_among_the_best_ends_and_not_before():
    four = rung(0.1, 0.2, 0.3, 0.4)
    went_on = [curve(0, [0.1, 0.1], OPEN), *four[1:]]
    assert Asha(reduction_factor=3).next_turn(Situation(went_on, 5, 9)) == Turn(3, Move.END)  # three of nine go on
    assert Asha(reduction_factor=3).next_turn(Situation(went_on, 8, 9)) is None  # four of twelve


def test_beyond_keep_paused_the_worst_of_the_lowest_rung_ends():
    paused = [curve(0, [0.1, 0.1, 0.1]), curve(1, [0.2]), curve(2, [0.3])]
    assert Asha(reduction_factor=3, keep_paused=3).next_turn(Situation(paused, 50, 9)) == Asha(
        reduction_factor=3
    ).next_turn(Situation(paused, 50, 9))
    ahead = curve(4, [0.05] * 4, OPEN)
    waiting = [curve(0, [0.1, 0.1, 0.1]), curve(1, [0.2]), curve(2, [0.05], ENDED), curve(3, [0.3]), ahead]
    assert Asha(reduction_factor=3).next_turn(Situation(waiting, 50, 9)) is None
    assert Asha(reduction_factor=3, keep_paused=2).next_turn(Situation(waiting, 50, 9)) == Turn(3, Move.END)


def test_if_nothing_is_complete_in_the_end_the_best_of_the_highest_rung_runs_to_its_end():
    paused = [curve(0, [0.1]), curve(1, [0.2, 0.2, 0.2])]
    assert Asha(reduction_factor=3).next_turn(Situation(paused, 0, 9)) == Turn(1, Move.GO_ON)
    assert Asha(reduction_factor=3).next_turn(Situation([paused[0], curve(2, [], OPEN)], 0, 9)) is None
    assert (
        Asha(reduction_factor=3).next_turn(Situation([*paused, curve(2, [0.05] * 9, COMPLETE)], 0, 9)).move is Move.END
    )


def test_when_all_is_spent_nothing_is_promoted_but_the_best_one_if_none_is_complete():
    three = rung(0.5, 0.4, 0.6)
    assert Asha(reduction_factor=3).next_turn(Situation([*three, curve(3, [0.9], OPEN)], 0, 9, is_spent=True)) is None
    assert Asha(reduction_factor=3).next_turn(Situation(three, 0, 9, is_spent=True)) == Turn(1, Move.GO_ON)
    done = curve(3, [0.9] * 9, COMPLETE)
    assert Asha(reduction_factor=3).next_turn(Situation([*three, done], 0, 9)) == Turn(1, Move.GO_ON)
    assert Asha(reduction_factor=3).next_turn(Situation([*three, done], 0, 9, is_spent=True)) == Turn(0, Move.END)


def test_one_epoch_waits_for_all_and_lets_the_best_few_go_on():
    schedule = OneEpoch(keep=2)
    some = rung(0.3, 0.1)
    assert schedule.next_turn(Situation(some, 1, 9)) is None
    assert schedule.next_turn(Situation([*some, curve(2, {}, OPEN)], 0, 9)) is None
    all_of_them = rung(0.3, 0.1, 0.2)
    assert schedule.next_turn(Situation(all_of_them, 0, 9)) == Turn(1, Move.GO_ON)
    assert schedule.next_turn(Situation(all_of_them, 5, 9)) == Turn(0, Move.END)  # two are better, whoever comes


def test_stopping_ends_what_is_not_among_the_best_so_far_and_spares_the_first():
    schedule = Stopping(reduction_factor=3)
    assert schedule.at_report(0, 1, Situation([curve(0, [9.0], OPEN)], 8, 9)) is Move.GO_ON
    three = [curve(0, [0.1, 0.1], OPEN), curve(1, [0.2, 0.2], OPEN), curve(2, [0.3], OPEN)]
    assert schedule.at_report(2, 1, Situation(three, 8, 9)) is Move.END
    best = [*three[:2], curve(2, [0.05], OPEN)]
    assert schedule.at_report(2, 1, Situation(best, 8, 9)) is Move.GO_ON
    assert not schedule.pauses


def test_pasha_stays_below_a_rung_that_would_say_the_same():
    pasha = Pasha()
    same = [curve(n, [n + 0.3, n + 0.2, n + 0.1]) for n in range(9)]
    assert pasha.highest(same) == 3
    assert pasha.next_turn(Situation(same[:1], 0, 27)) == Turn(0, Move.GO_ON)  # the best one to its end
    assert pasha.next_turn(Situation(same, 50, 27)) is None
    other = [curve(n, [n + 0.3, n + 0.2, 9 - n]) for n in range(9)]
    assert pasha.highest(other) == 9
    assert pasha.next_turn(Situation([*other, curve(9, {}, OPEN)], 0, 27)) == Turn(8, Move.GO_ON)


def test_pasha_takes_what_crosses_again_and_again_for_noise():
    order = [curve(0, [0.50, 0.52, 0.50, 0.52, 0.50]), curve(1, [0.51, 0.51, 0.51, 0.51, 0.51])]
    assert Pasha().noise(order) == pytest.approx(0.01)
    assert Pasha().noise([curve(0, [0.5, 0.4, 0.3]), curve(1, [0.4, 0.45, 0.5])]) == 0.0


def test_hyperband_gives_each_bracket_its_share_whoever_asks():
    schedule = Hyperband()
    brackets = [schedule.bracket(number, 9) for number in range(1500)]
    # Hyperband for 9 steps by 3: brackets of 9, 5 and 3 trials.
    shares = [brackets.count(bracket) / 1500 for bracket in range(3)]
    assert shares == pytest.approx([9 / 17, 5 / 17, 3 / 17], abs=0.01)
    assert max(brackets) == 2
    late = brackets.index(2)
    assert [schedule.is_rung(late, step, 9) for step in (1, 3, 9)] == [False, False, True]
    assert max(Hyperband(max_resource=81).bracket(number, 9) for number in range(200)) == 4


def test_trials_of_different_brackets_do_not_compete():
    schedule = Hyperband(max_resource=9)
    brackets = {schedule.bracket(n, 9): n for n in range(20)}
    first = [n for n in range(20) if schedule.bracket(n, 9) == 0][:3]
    curves = [curve(first[0], [0.5]), curve(first[1], [0.6]), curve(brackets[1], [0.1, 0.1, 0.1])]
    assert schedule.next_turn(Situation(curves, 30, 9)) is None
    assert schedule.next_turn(Situation([*curves, curve(first[2], [0.7])], 30, 9)) == Turn(first[0], Move.GO_ON)


def test_of_several_objectives_what_nothing_dominates_comes_first_and_then_what_is_alone():
    costs = [(1.0, 9.0), (9.0, 1.0), (5.0, 5.0), (5.0, 6.0), (9.0, 9.0), (1.5, 8.9), (1.2, 8.95)]
    order = [one.number for one in ranked([curve(n, [cost]) for n, cost in enumerate(costs)], 1)]
    assert set(order[:2]) == {0, 1}
    assert order[2] == 2
    assert set(order[3:5]) == {5, 6}
    assert order[5:] == [3, 4]


def test_of_several_objectives_nothing_ends_that_may_still_come_to_stand_alone():
    front = [curve(n, [(float(n), 9.0 - n)]) for n in range(6)]
    assert OneEpoch(keep=2).next_turn(Situation(front, 5, 9)) is None
    dominated = curve(6, [(8.0, 8.5)])
    assert OneEpoch(keep=2).next_turn(Situation([*front, dominated], 5, 9)) == Turn(6, Move.END)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Asha, {"min_resource": 0}, "min_resource must be >= 1, got 0"),
        (Asha, {"reduction_factor": 1}, "reduction_factor must be >= 2, got 1"),
        (Asha, {"keep_paused": 0}, "keep_paused must be >= 1, got 0"),
        (Stopping, {"reduction_factor": 1}, "reduction_factor must be >= 2, got 1"),
        (OneEpoch, {"keep": 0}, "keep must be >= 1, got 0"),
        (Hyperband, {"min_resource": 5, "max_resource": 4}, "max_resource must be >= 5, got 4"),
    ],
)
def test_what_makes_no_sense_is_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)
