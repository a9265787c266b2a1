"""Which trials of a search go on, wait or end: a schedule decides by what all trials have reported so far.

A schedule knows no storage, no clock and no process: what decides on many hosts is what `benchmarks/schedules.py`
replays on a simulated clock. It sees trials as `Curve`s.

A trial that comes to a rung, a number of steps, is paused there, with its checkpoint. Whichever worker is free goes on
with a paused trial that belongs to the best of its rung, and begins a new one only if there is none. Whether a trial
may end is asked each time as well: once it can't be among the best any more, whoever is still to come.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import combinations, pairwise

from hydra_sweep.curves import Curve, Phase, Situation, num_ahead, ranked


class Move(Enum):
    """What is to become of a trial."""

    GO_ON = "go on"
    PAUSE = "pause"
    END = "end"


@dataclass(frozen=True)
class Turn:
    """What a free worker is to do with a paused trial: go on with it, or end it."""

    number: int
    move: Move


class Schedule:
    """Decides what becomes of trials. This one lets each run to its end."""

    pauses = False  # whether trials may be paused

    def decides_at(self, number: int, step: int, num_steps: int | None) -> bool:
        """Whether anything is to be decided about a trial after a step: most steps are no rung."""
        return False

    def at_report(self, number: int, step: int, situation: Situation) -> Move:
        """Returns what becomes of a trial after a step that `decides_at` has named; its curve has the step already."""
        return Move.GO_ON

    def next_turn(self, situation: Situation) -> Turn | None:
        """Returns what a free worker is to do before it begins a new trial; None: nothing just now."""
        return None


@dataclass(frozen=True)
class Budget:
    """What a sweep's workers may begin, and which paused trials they may go on with.

    Args:
        max_steps: reports of all trials, after which there is no new one.
        schedule: decides about paused trials.
        directions: of what it decides by.
    """

    n_trials: int
    max_steps: int | None = None
    schedule: Schedule | None = None
    directions: Sequence[str] = ()


class Stopping(Schedule):
    """Asynchronous successive halving that pauses nothing: what isn't among the best of its rung so far ends.

    Ray Tune and Syne Tune have it as their default. The first `reduction_factor` - 1 trials of a rung go on, since
    there is nothing yet to compare them with.

    Args:
        min_resource: steps that every trial gets.
        reduction_factor: of so many trials one goes on at each rung, which is so many times longer than the one before.
    """

    def __init__(self, min_resource: int = 1, reduction_factor: int = 4) -> None:
        checked(min_resource=(min_resource, 1), reduction_factor=(reduction_factor, 2))
        self.min_resource, self.reduction_factor = min_resource, reduction_factor

    def decides_at(self, number: int, step: int, num_steps: int | None) -> bool:
        return step != num_steps and is_power(step, self.min_resource, self.reduction_factor)

    def at_report(self, number: int, step: int, situation: Situation) -> Move:
        order = [curve.number for curve in ranked(situation.curves, step)]
        if len(order) < self.reduction_factor:
            return Move.GO_ON
        return Move.GO_ON if order.index(number) < len(order) // self.reduction_factor else Move.END


class Pausing(Schedule):
    """What schedules with rungs share: who goes on first, who is worthless, and how a search comes to its end.

    Args:
        keep_paused: how many trials may be paused at once, as each keeps its checkpoint; beyond it the worst end.
    """

    pauses = True

    def __init__(self, keep_paused: int | None = None) -> None:
        if keep_paused is not None:
            checked(keep_paused=(keep_paused, 1))
        self.keep_paused = keep_paused

    def groups(self, situation: Situation) -> list[list[Curve]]:
        """Returns the trials that compete with one another."""
        return [list(situation.curves)]

    def is_rung(self, number: int, step: int, num_steps: int | None) -> bool:
        """Whether a trial may be paused after this step."""
        raise NotImplementedError

    def num_promoted(self, rung: Sequence[Curve], step: int, group: Sequence[Curve], situation: Situation) -> int:
        """Returns how many of those that have come to a rung may go on by now."""
        raise NotImplementedError

    def most_promoted(self, num_members: int) -> int:
        """Returns how many could ever go on, if a rung had so many members in the end."""
        raise NotImplementedError

    def decides_at(self, number: int, step: int, num_steps: int | None) -> bool:
        return step != num_steps and self.is_rung(number, step, num_steps)

    def at_report(self, number: int, step: int, situation: Situation) -> Move:
        turn = self.next_turn(situation.with_phase(number, Phase.PAUSED))
        return turn.move if turn and turn.number == number else Move.PAUSE

    def next_turn(self, situation: Situation) -> Turn | None:
        paused = situation.in_phase(Phase.PAUSED)
        if not paused:
            return None
        turns = (self.promotion, self.worthless, lambda situation: self.surplus(paused, situation))
        found = (turn(situation) for turn in turns) if not situation.is_spent else ()
        if turn := next(filter(None, found), None):
            return turn
        if situation.num_unbegun or situation.in_phase(Phase.OPEN):
            return None
        return self.last_turn(paused, situation)

    def promotion(self, situation: Situation) -> Turn | None:
        """Returns the best trial of the highest rung that has one to go on with."""
        found = []
        for group in self.groups(situation):
            for step in {curve.last for curve in group if curve.phase is Phase.PAUSED}:
                order = ranked(group, step)
                for rank, curve in enumerate(order[: self.num_promoted(order, step, group, situation)]):
                    if curve.phase is Phase.PAUSED and curve.last == step:
                        found.append((-step, rank, curve.number))
                        break
        return Turn(min(found)[2], Move.GO_ON) if found else None

    def worthless(self, situation: Situation) -> Turn | None:
        """Returns a trial that can't go on any more, even if all that are still to come were worse."""
        for group in self.groups(situation):
            for step in {curve.last for curve in group if curve.phase is Phase.PAUSED}:
                order = ranked(group, step)
                to_come = situation.num_unbegun + sum(
                    step not in curve.costs and curve.phase in (Phase.OPEN, Phase.PAUSED) for curve in group
                )
                most = max(1, self.most_promoted(len(order) + to_come))
                for rank, curve in enumerate(order[most:], most):
                    if curve.phase is Phase.PAUSED and curve.last == step and num_ahead(rank, order, step) >= most:
                        return Turn(curve.number, Move.END)
        return None

    def surplus(self, paused: Sequence[Curve], situation: Situation) -> Turn | None:
        """Returns the worst trial of the lowest rung if more are paused than may be."""
        if self.keep_paused is None or len(paused) <= self.keep_paused:
            return None
        lowest = min(curve.last for curve in paused)
        worst = ranked([curve for curve in paused if curve.last == lowest], lowest)[-1]
        return Turn(worst.number, Move.END)

    def last_turn(self, paused: Sequence[Curve], situation: Situation) -> Turn:
        """Returns what becomes of those that are left once nothing else is to come: the best one runs to its end."""
        if situation.in_phase(Phase.COMPLETE):
            return Turn(paused[0].number, Move.END)
        highest = max(curve.last for curve in paused)
        return Turn(ranked(paused, highest)[0].number, Move.GO_ON)


class Asha(Pausing):
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934, algorithm 2), but for one thing.

    Rungs are `min_resource` steps, and `reduction_factor` times as many each time. Of those that have come to a rung,
    the best one in `reduction_factor` goes on. Above the first rung the best goes on at once; as published it would
    wait there for as many, so that no trial of a short search would come to its end.

    Args:
        min_resource: steps that every trial gets.
        reduction_factor: of so many trials one goes on at each rung.
        keep_paused: how many trials may be paused at once; None: all that may still go on.
    """

    def __init__(self, min_resource: int = 1, reduction_factor: int = 4, keep_paused: int | None = None) -> None:
        super().__init__(keep_paused)
        checked(min_resource=(min_resource, 1), reduction_factor=(reduction_factor, 2))
        self.min_resource, self.reduction_factor = min_resource, reduction_factor

    def first_rung(self, number: int, num_steps: int | None) -> int:
        """Returns after how many steps a trial is first compared with others."""
        return self.min_resource

    def is_rung(self, number: int, step: int, num_steps: int | None) -> bool:
        return is_power(step, self.first_rung(number, num_steps), self.reduction_factor)

    def num_promoted(self, rung: Sequence[Curve], step: int, group: Sequence[Curve], situation: Situation) -> int:
        is_first = step == self.first_rung(rung[0].number, situation.num_steps)
        return max(0 if is_first else 1, len(rung) // self.reduction_factor)

    def most_promoted(self, num_members: int) -> int:
        return num_members // self.reduction_factor


class Pasha(Asha):
    """ASHA whose highest rung is the second one at first, and grows while it tells trials apart (arXiv:2207.06940).

    It grows when the order of those in the highest rung is another one than in the rung below; an exchange of two
    trials counts only where they differ by more than the noise: the 90th percentile of what trials differ by whose
    curves cross at least twice. In the end the best of the highest rung runs to its end.
    """

    def __init__(self, min_resource: int = 1, reduction_factor: int = 3, keep_paused: int | None = None) -> None:
        super().__init__(min_resource, reduction_factor, keep_paused)

    def num_promoted(self, rung: Sequence[Curve], step: int, group: Sequence[Curve], situation: Situation) -> int:
        may_go_on = step * self.reduction_factor <= self.highest(group)
        return super().num_promoted(rung, step, group, situation) if may_go_on else 0

    def highest(self, group: Sequence[Curve]) -> int:
        """Returns the steps of the highest rung that trials are let come to."""
        step = self.min_resource * self.reduction_factor
        while not self.agree(ranked(group, step), step):
            step *= self.reduction_factor
        return step

    def agree(self, order: Sequence[Curve], step: int) -> bool:
        """Whether the rung below has those that have come to a rung in the same order, but for the noise."""
        below = step // self.reduction_factor
        before = ranked(order, below)
        pairs = zip(order, before, strict=True)
        largest = max((abs(now.costs[below][0] - then.costs[below][0]) for now, then in pairs), default=0.0)
        return largest == 0 or largest <= self.noise(order)

    def noise(self, curves: Sequence[Curve]) -> float:
        """Returns what two curves differ by for no reason."""
        found = []
        for one, other in combinations(curves, 2):
            shared = sorted(one.costs.keys() & other.costs.keys())
            differences = [one.costs[step][0] - other.costs[step][0] for step in shared]
            signs = [difference > 0 for difference in differences if difference]
            if sum(a != b for a, b in pairwise(signs)) > 1:
                found.append(abs(differences[-1]))
        return statistics.quantiles(found, n=10, method="inclusive")[-1] if len(found) > 1 else sum(found)


class OneEpoch(Pausing):
    """All trials come to one rung; once they have, the best `keep` of them run to their end (arXiv:2307.15422).

    Args:
        min_resource: steps that every trial gets.
        keep: how many run to their end.
        keep_paused: how many trials may be paused at once.
    """

    def __init__(self, min_resource: int = 1, keep: int = 3, keep_paused: int | None = None) -> None:
        super().__init__(keep_paused)
        checked(min_resource=(min_resource, 1), keep=(keep, 1))
        self.min_resource, self.keep = min_resource, keep

    def is_rung(self, number: int, step: int, num_steps: int | None) -> bool:
        return step == self.min_resource

    def num_promoted(self, rung: Sequence[Curve], step: int, group: Sequence[Curve], situation: Situation) -> int:
        to_come = any(curve.phase is Phase.OPEN and step not in curve.costs for curve in group)
        return 0 if situation.num_unbegun or to_come else self.keep

    def most_promoted(self, num_members: int) -> int:
        return self.keep


class Hyperband(Asha):
    """ASHA in brackets that begin at other rungs: a hedge against trials whose first steps say little.

    Brackets are Hyperband's (Li et al. 2018, arXiv:1603.06560), each with its share of the trials; within each, trials
    go on as in ASHA (Li et al. 2020, section 3.3).

    Args:
        min_resource: steps that every trial of the first bracket gets.
        max_resource: steps of a trial that runs to its end; None: what the task says.
        reduction_factor: of so many trials one goes on at each rung.
        keep_paused: how many trials may be paused at once.
    """

    def __init__(
        self,
        min_resource: int = 1,
        max_resource: int | None = None,
        reduction_factor: int = 3,
        keep_paused: int | None = None,
    ) -> None:
        super().__init__(min_resource, reduction_factor, keep_paused)
        if max_resource is not None:
            checked(max_resource=(max_resource, min_resource))
        self.max_resource = max_resource

    def bracket(self, number: int, num_steps: int | None) -> int:
        """Returns which rung a trial begins at: by its number alone, whoever asks."""
        longest = self.max_resource or num_steps or self.min_resource
        last = 0
        while self.min_resource * self.reduction_factor ** (last + 1) <= longest:
            last += 1
        sizes = [math.ceil((last + 1) / (s + 1) * self.reduction_factor**s) for s in range(last, -1, -1)]
        place = (number * GOLDEN_RATIO) % 1 * sum(sizes)  # spreads each bracket's trials evenly over all
        for bracket, size in enumerate(sizes):
            place -= size
            if place < 0:
                return bracket
        return last

    def groups(self, situation: Situation) -> list[list[Curve]]:
        found: dict[int, list[Curve]] = {}
        for curve in situation.curves:
            found.setdefault(self.bracket(curve.number, situation.num_steps), []).append(curve)
        return list(found.values())

    def first_rung(self, number: int, num_steps: int | None) -> int:
        first: int = self.min_resource * self.reduction_factor ** self.bracket(number, num_steps)
        return first


GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def checked(**values: tuple[int, int]) -> None:
    """Raises: ValueError if a value is below its bound."""
    for name, (value, least) in values.items():
        if value < least:
            raise ValueError(f"{name} must be >= {least}, got {value}")


def is_power(step: int, first: int, factor: int) -> bool:
    """Whether a step is `first` times a power of `factor`."""
    while step > first and step % factor == 0:
        step //= factor
    return step == first
