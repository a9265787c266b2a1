"""Trials as schedules see them: curves of costs, and their order at a step.

The smaller a cost the better, whatever the objective's direction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property

Cost = tuple[float, ...]  # of one objective, or of several


class Phase(Enum):
    """What has become of a trial."""

    OPEN = "open"  # it runs, or was given back to be gone on with
    PAUSED = "paused"
    COMPLETE = "complete"
    ENDED = "ended"  # pruned or failed


@dataclass(frozen=True)
class Curve:
    """A trial as a schedule sees it: its costs by step."""

    number: int
    costs: Mapping[int, Cost]
    phase: Phase

    @cached_property
    def last(self) -> int:
        """The latest step that it has reported; 0: none."""
        return max(self.costs, default=0)


@dataclass(frozen=True)
class Situation:
    """All that a schedule decides by.

    Args:
        num_unbegun: trials of the budget that nobody has begun.
        num_steps: of a trial that runs to its end, as far as the task has said so.
        is_spent: whether all that the search may train is trained: nothing is begun, and nothing promoted, any more.
    """

    curves: Sequence[Curve]
    num_unbegun: int = 0
    num_steps: int | None = None
    is_spent: bool = False

    def with_phase(self, number: int, phase: Phase) -> Situation:
        """Returns the situation if a trial were in another phase."""
        curves = [replace(curve, phase=phase) if curve.number == number else curve for curve in self.curves]
        return replace(self, curves=curves)

    def in_phase(self, phase: Phase) -> list[Curve]:
        return [curve for curve in self.curves if curve.phase is phase]


def ranked(curves: Sequence[Curve], step: int) -> list[Curve]:
    """Returns the trials that have reported a step, the best first.

    Of several objectives, those that nothing dominates come first, and so on; within such a front, those whose
    neighbors are furthest away, as in NSGA-II (Deb et al. 2002).
    """
    members = [curve for curve in curves if step in curve.costs]
    if all(len(curve.costs[step]) == 1 for curve in members):
        return sorted(members, key=lambda curve: (curve.costs[step], curve.number))
    return [curve for front in fronts(members, step) for curve in spread(front, step)]


def num_ahead(rank: int, order: Sequence[Curve], step: int) -> int:
    """Returns how many of a rung come before the one of this rank, whoever else may come to it."""
    cost = order[rank].costs[step]
    if len(cost) == 1:
        return rank
    return sum(dominates(other.costs[step], cost) for other in order)  # within a front, places may change


def fronts(members: Sequence[Curve], step: int) -> Iterator[list[Curve]]:
    """Yields what nothing else dominates, then what nothing else of the rest does, and so on."""
    left = list(members)
    while left:
        front = [one for one in left if not any(dominates(other.costs[step], one.costs[step]) for other in left)]
        yield front
        left = [curve for curve in left if curve not in front]


def dominates(one: Cost, other: Cost) -> bool:
    """Whether a cost is nowhere larger than another one, and somewhere smaller."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def spread(front: Sequence[Curve], step: int) -> list[Curve]:
    """Returns a front, those first that are alone, by the crowding distance."""
    distance = dict.fromkeys((curve.number for curve in front), 0.0)
    for place in range(len(front[0].costs[step])):
        order = sorted((curve.costs[step][place], curve.number) for curve in front)
        (low, lowest), (high, highest) = order[0], order[-1]
        distance[lowest] = distance[highest] = math.inf
        for (before, _), (_, number), (after, _) in zip(order, order[1:], order[2:], strict=False):
            distance[number] += (after - before) / (high - low) if high > low else 0.0
    return sorted(front, key=lambda curve: (-distance[curve.number], curve.number))
