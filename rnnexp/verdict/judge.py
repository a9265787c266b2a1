"""What a comparison concludes: each arm with its interval, each pair with a difference and a sentence.

How the numbers come about is the matter of `statistics.py`, `sequential.py` and `collapse.py`, how they are put into
words `text.py`'s.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hydra_sweep.errors import counted
from rnnexp.verdict import collapse, curves, sequential, statistics
from rnnexp.verdict.curves import Anytime, Lead
from rnnexp.verdict.sample import Couple, Sample, num_examples
from rnnexp.verdict.text import SEVERAL, method_sentences, selection_sentences, sentence
from rnnexp.verdict.values import (
    ALPHA,
    BETTER,
    POWER,
    SAME,
    SMALLEST_EFFECT,
    UNDECIDED,
    WORSE,
    Arm,
    ArmResult,
    Collapsed,
    Interval,
    Look,
    Pair,
    Selection,
    Verdict,
)

COSTS = ("epochs", "seconds")


def judge(
    name: str,
    arms: Sequence[Arm],
    *,
    metric: str = "test_accuracy",
    replicate: str = "seed",
    looks: Sequence[int] = (),
    planned: int | None = None,
    smallest_effect: float = SMALLEST_EFFECT,
    warnings: Sequence[str] = (),
    method: Sequence[str] = (),
) -> Verdict:
    """Returns the verdict on arms of at least one run each.

    Args:
        metric: test_accuracy, or valid_accuracy of runs that were not tested.
        replicate: what is repeated: seed, or search, with all runs of its winner.
        looks: how many replicates each arm had whenever this was judged before, and now; none: now alone.
        planned: how many each arm is to have at most; None: as many as now. What comes after them decides nothing more.
        smallest_effect: a difference that would matter.
    """
    arms = collapse.as_counted(arms, metric)
    judged = Judged(arms, metric, replicate, list(looks), planned, smallest_effect)
    couples = list(itertools.combinations(range(len(arms)), 2))
    results = [judged.arm(place) for place in range(len(arms))]
    has_examples = all(of.scores(metric) is not None for of in judged.samples)
    said = method_sentences(metric, replicate, has_examples, len(couples), judged.fractions, smallest_effect)
    return Verdict(
        name=name,
        metric=metric,
        state="complete",
        replicate=replicate,
        smallest_effect=smallest_effect,
        arms=results,
        pairs=judged.pairs(couples, results),
        looks=[
            Look(number, level, [_known(judged.couple(a, b).first(number).p_value()) for a, b in couples])
            for number, level in zip(judged.looks, judged.levels, strict=True)
        ],
        planned=judged.most,
        leads={cost: leads for cost in COSTS if (leads := _leads(arms, cost))},
        notes=selection_sentences(results),
        warnings=[*warnings, *judged.unplanned()],
        method=[*method, *said, collapse.RULE],
    )


@dataclass
class Judged:
    """Arms with what all pairs share: their replicates, the looks at them, and which runs collapsed."""

    arms: Sequence[Arm]
    metric: str
    replicate: str
    looks: list[int]
    planned: int | None
    smallest_effect: float

    def __post_init__(self) -> None:
        self.is_collapsed = [collapse.collapsed(arm, self.metric) for arm in self.arms]
        self.samples = [
            Sample.of(arm, self.replicate, flags) for arm, flags in zip(self.arms, self.is_collapsed, strict=True)
        ]
        self.num_examples = num_examples(self.arms, self.metric)
        self.looks = sorted(set(self.looks)) or [max(map(len, self.samples))]
        self.most = max(self.planned or 0, self.looks[0])
        # Looks beyond the plan have no share of the false alarms: what the planned ones have decided stands.
        self.counted = [number for number in self.looks if number <= self.most]
        self.fractions = [number / self.most for number in self.counted]
        self.levels = sequential.levels(self.fractions, ALPHA)
        self.levels += [self.levels[-1]] * (len(self.looks) - len(self.levels))

    def unplanned(self) -> list[str]:
        """Returns a line if replicates were added that no look was planned for."""
        if (more := self.looks[-1] - self.most) <= 0:
            return []
        added = counted(more, self.replicate, SEVERAL[self.replicate]) + (" was" if more == 1 else " were")
        return [
            f"{added} added that compare.max_seeds had not planned: they make the intervals narrower, but the verdicts "
            f"are those of the first {self.most}, at which the {100 * ALPHA:g} % of false alarms were spent"
        ]

    def couple(self, a: int, b: int) -> Couple:
        return Couple(self.samples[a], self.samples[b], self.metric, self.num_examples)

    def p_values(self, couple: Couple) -> tuple[float, float]:
        """Returns those that they differ, and that they differ by less than matters, over all looks that count."""
        found = [couple.first(number) for number in self.counted]
        differ = [one.p_value() for one in found]
        same = [one.p_value_of_sameness(self.smallest_effect) for one in found]
        # A look that can't tell, as of a single replicate, spends its share for nothing. One-sided tests at a level are
        # two-sided ones at twice that.
        p, p_same = (
            math.nan
            if math.isnan(values[-1])
            else sequential.p_value([1.0 if math.isnan(value) else value for value in values], self.fractions)
            for values in (differ, [2 * value for value in same])
        )
        return p, p_same / 2

    def pairs(self, couples: Sequence[tuple[int, int]], results: Sequence[ArmResult]) -> list[Pair]:
        found = [self.p_values(self.couple(a, b)) for a, b in couples]
        differ, same = (_corrected([p[which] for p in found]) for which in (0, 1))
        return [
            self.pair((a, b), (results[a], results[b]), found[i][0], differ[i], same[i], ALPHA / len(couples))
            for i, (a, b) in enumerate(couples)
        ]

    def pair(
        self,
        places: tuple[int, int],
        results: tuple[ArmResult, ArmResult],
        p: float,
        p_corrected: float | None,
        p_same: float | None,
        alpha: float,
    ) -> Pair:
        """Returns what is concluded of two arms.

        Args:
            p, p_corrected, p_same: over all looks; the last two corrected for the number of pairs.
            alpha: of a test of this pair, to count the replicates that would be needed.
        """
        couple = self.couple(*places)
        values = [of.values(self.metric) for of in (couple.a, couple.b)]
        interval = Interval.of(couple.difference, -1, 1, 1 - self.levels[-1])
        low, high = interval.low, interval.high
        if couple.has_humps:
            low, high = _apart(results[0].accuracy, results[1].accuracy)
        share: tuple[float, float | None, float | None]
        if min(map(len, values)) > 1:
            share = statistics.probability_of_improvement(values[0], values[1])
        else:
            share = (float(values[0] > values[1]) + 0.5 * (values[0] == values[1]), None, None)
        verdict = UNDECIDED
        if p_same is not None and p_same < ALPHA:
            verdict = SAME
        elif p_corrected is not None and p_corrected < ALPHA:
            verdict = BETTER if couple.is_ahead else WORSE
        needed = None
        if p_corrected is not None and not couple.has_humps:
            needed = statistics.replicates_needed(couple.difference, self.smallest_effect, alpha, POWER)
        found = Pair(
            a=couple.a.name,
            b=couple.b.name,
            difference=couple.difference.mean,
            low=low,
            high=high,
            p=_known(p),
            p_corrected=p_corrected,
            p_same=p_same,
            is_paired=couple.is_paired,
            judged_by=couple.judged_by,
            probability=share[0],
            probability_low=share[1],
            probability_high=share[2],
            verdict=verdict,
            replicates_needed=needed,
            sentence="",
        )
        said = sentence(
            found,
            results,
            replicate=self.replicate,
            is_searched=any(choice.search for place in places for choice in self.arms[place].choices),
            smallest_effect=self.smallest_effect,
            limit=statistics.minimum_detectable_effect(couple.difference, alpha, POWER),
            num_replicates=min(map(len, values)),
            num_examples=self.num_examples,
            is_last_look=self.looks[-1] >= self.most,
        )
        return dataclasses.replace(found, sentence=said)

    def arm(self, place: int) -> ArmResult:
        arm, of = self.arms[place], self.samples[place]
        loss = self.metric.replace("accuracy", "loss")
        estimate = of.mean(self.metric, self.num_examples)
        rate, accuracy = self.collapsed(place), Interval.of(estimate, 0, 1)
        if rate.number and rate.others is not None:
            flags = self.is_collapsed[place]
            chance = float(np.mean([v for v, is_bad in zip(arm.values(self.metric), flags, strict=True) if is_bad]))
            accuracy = collapse.mean_over_all(rate, chance, accuracy.std)
        return ArmResult(
            name=arm.name,
            seeds=[run.seed for run in arm.runs],
            runs=[run.path for run in arm.runs],
            searches=[run.search for run in arm.runs],
            accuracies=arm.values(self.metric),
            losses=arm.values(loss),
            accuracy=accuracy,
            loss=Interval.of(of.mean(loss, self.num_examples), 0),
            collapsed=rate,
            num_parameters=round(arm.mean("num_parameters")),
            train_seconds=arm.mean("train_seconds"),
            epochs=arm.mean("epochs"),
            choices=arm.choices,
            selection=_selection(arm),
            anytime=_anytime(self.arms, arm),
        )

    def collapsed(self, place: int) -> Collapsed:
        arm, flags = self.arms[place], self.is_collapsed[place]
        good = [run for run, is_bad in zip(arm.runs, flags, strict=True) if not is_bad]
        others = None
        if good:
            of = Sample.of(dataclasses.replace(arm, runs=good), self.replicate, [False] * len(good))
            others = Interval.of(of.mean(self.metric, self.num_examples), 0, 1)
        return collapse.rate(flags, others)


def _corrected(p_values: Sequence[float]) -> list[float | None]:
    """Returns them by Holm's method; None of those that can't be told."""
    known = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    found = dict(zip(known, statistics.holm([p_values[i] for i in known]), strict=True))
    return [found.get(i) for i in range(len(p_values))]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _apart(a: Interval, b: Interval) -> tuple[float | None, float | None]:
    """Returns the interval of a difference from those of two independent means (Zou and Donner 2008)."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return None, None
    difference = a.mean - b.mean
    low = difference - math.hypot(a.mean - a.low, b.high - b.mean)
    return max(low, -1.0), min(difference + math.hypot(a.high - a.mean, b.mean - b.low), 1.0)


def _costs(arm: Arm, cost: str) -> list[tuple[list[float], list[float]]]:
    """Returns what the trials of each of an arm's searches cost and reached."""
    searches = [choice.search for choice in arm.choices if choice.search is not None]
    return [(costs, search.values) for search in searches if (costs := getattr(search, f"trial_{cost}"))]


def _selection(arm: Arm) -> Selection | None:
    """Returns how far the order of the best few of each search held; a candidate that failed again is the last."""
    kept = pairs = 0
    for choice in arm.choices:
        larger = choice.search is None or choice.search.larger_is_better
        worst = -math.inf if larger else math.inf
        again = [worst if each.again is None else each.again for each in choice.candidates]  # best of the search first
        for first, second in itertools.combinations(again, 2):
            pairs += first != second
            kept += first > second if larger else first < second
    return Selection(kept, pairs) if pairs else None


def _budget(arms: Sequence[Arm], cost: str) -> list[float]:
    return curves.common_budget([costs for arm in arms for costs, _ in _costs(arm, cost)])


def _larger_is_better(arms: Sequence[Arm]) -> bool:
    return all(choice.search.larger_is_better for arm in arms for choice in arm.choices if choice.search)


def _anytime(arms: Sequence[Arm], arm: Arm) -> dict[str, Anytime]:
    """Returns what an arm's searches have reached after so much, over the budgets that all arms have spent."""
    found = {}
    for cost in COSTS:
        if (budget := _budget(arms, cost)) and (searches := _costs(arm, cost)):
            found[cost] = curves.anytime(searches, budget, larger_is_better=_larger_is_better(arms))
    return found


def _leads(arms: Sequence[Arm], cost: str) -> list[Lead]:
    budget = _budget(arms, cost)
    return [
        curves.lead((a.name, b.name), one, other, budget, larger_is_better=_larger_is_better(arms))
        for a, b in itertools.combinations(arms, 2)
        if budget and (one := _costs(a, cost)) and (other := _costs(b, cost))
    ]
