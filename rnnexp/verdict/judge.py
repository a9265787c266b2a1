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

from rnnexp.verdict import collapse, curves, sample, sequential, statistics
from rnnexp.verdict.curves import Anytime, Lead
from rnnexp.verdict.sample import Sample
from rnnexp.verdict.statistics import Estimate
from rnnexp.verdict.text import method_sentences, selection_sentences, sentence
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
            Look(number, level, [_known(found.p_value()) for found in judged.differences(couples, number)])
            for number, level in zip(judged.looks, judged.levels, strict=True)
        ],
        planned=judged.most,
        leads={cost: leads for cost in COSTS if (leads := _leads(arms, cost))},
        notes=selection_sentences(results),
        warnings=list(warnings),
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
        self.samples = [Sample.of(arm, self.replicate) for arm in self.arms]
        self.num_examples = sample.num_examples(self.arms, self.metric)
        self.is_collapsed = [collapse.collapsed(arm, self.metric) for arm in self.arms]
        most = max(map(len, self.samples))
        self.looks = sorted({*self.looks, most})
        self.most = max(self.planned or 0, self.looks[0])
        # Looks beyond the plan have no share of the false alarms: what the planned ones have decided stands.
        self.counted = [number for number in self.looks if number <= self.most]
        self.fractions = [number / self.most for number in self.counted]
        self.levels = sequential.levels(self.fractions, ALPHA)
        self.levels += [self.levels[-1]] * (len(self.looks) - len(self.levels))

    def difference(self, a: int, b: int, number: int | None = None) -> Estimate:
        """Returns a's mean less b's, of the first replicates, or of all."""
        one, other = self.samples[a], self.samples[b]
        if number is not None and len(one) == len(other):
            one, other = one.first(number), other.first(number)
        return sample.difference(one, other, self.metric, self.num_examples)

    def differences(self, couples: Sequence[tuple[int, int]], number: int) -> list[Estimate]:
        return [self.difference(a, b, number) for a, b in couples]

    def p_values(self, a: int, b: int) -> tuple[float, float]:
        """Returns those that they differ, and that they differ by less than matters; nan if one run can't tell."""
        if self.has_humps(a, b):
            if (trained := self.trained_difference(a, b)) is not None:
                return trained.p_value(), math.nan
            one, other = (self.samples[i].values(self.metric) for i in (a, b))
            return statistics.improvement_p_value(one, other), math.nan
        found = [self.difference(a, b, number) for number in self.counted]
        if any(math.isnan(one.p_value()) for one in found):
            found = found[-1:]
        fractions = self.fractions[-len(found) :]
        differ = [one.p_value() for one in found]
        same = [one.p_value_of_sameness(self.smallest_effect) for one in found]
        if math.isnan(differ[-1]):
            return math.nan, math.nan
        # One-sided tests at a level are two-sided ones at twice that.
        one_sided = sequential.p_value([min(1.0, 2 * p) for p in same], fractions) / 2
        return sequential.p_value(differ, fractions), one_sided

    def has_humps(self, a: int, b: int) -> bool:
        """Whether means say little, since some runs collapsed and others did not."""
        return any(self.is_collapsed[a]) or any(self.is_collapsed[b])

    def trained_difference(self, a: int, b: int) -> Estimate | None:
        """Returns a's mean less b's of the replicates without a collapsed run, if it tells which arm is ahead.

        That is so if the arm that is ahead has collapsed no more often, too. The other way round, it is another matter
        which of the two is better.
        """
        flags = [self.has_collapsed(i) for i in (a, b)]
        one, other = (self.samples[i].without(out) for i, out in zip((a, b), flags, strict=True))
        if min(len(one), len(other)) < 2:
            return None
        both = (
            {key for key in one.keys if key in other.keys}
            if sample.is_paired(self.samples[a], self.samples[b])
            else set()
        )
        if len(both) > 1:
            one, other = (of.without([key not in both for key in of.keys]) for of in (one, other))
        found = sample.difference(one, other, self.metric, self.num_examples)
        more = float(np.mean(flags[0])) - float(np.mean(flags[1]))
        return found if found.mean * more <= 0 and found.mean != 0 else None

    def has_collapsed(self, place: int) -> list[bool]:
        """Returns of each replicate of an arm whether one of its runs collapsed."""
        bad = {id(run) for run, flag in zip(self.arms[place].runs, self.is_collapsed[place], strict=True) if flag}
        return [any(id(run) in bad for run in runs) for runs in self.samples[place].replicates]

    def pairs(self, couples: Sequence[tuple[int, int]], results: Sequence[ArmResult]) -> list[Pair]:
        found = [self.p_values(a, b) for a, b in couples]
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
        a, b = places
        one, other = self.samples[a], self.samples[b]
        values = [of.values(self.metric) for of in (one, other)]
        estimate, has_humps = self.difference(a, b), self.has_humps(a, b)
        trained = self.trained_difference(a, b) if has_humps else None
        interval = Interval.of(estimate, -1, 1, 1 - self.levels[-1])
        low, high = interval.low, interval.high
        if has_humps:
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
            leads = estimate.mean > 0 if not has_humps else trained.mean > 0 if trained else share[0] > 0.5
            verdict = BETTER if leads else WORSE
        can_tell = p_corrected is not None and not has_humps
        found = Pair(
            a=one.name,
            b=other.name,
            difference=estimate.mean,
            low=low,
            high=high,
            p=_known(p),
            p_corrected=p_corrected,
            p_same=p_same,
            is_paired=sample.is_paired(one, other),
            judged_by="mean" if not has_humps else "improvement" if trained is None else "trained",
            probability=share[0],
            probability_low=share[1],
            probability_high=share[2],
            verdict=verdict,
            replicates_needed=statistics.replicates_needed(estimate, self.smallest_effect, alpha, POWER)
            if can_tell
            else None,
            sentence="",
        )
        said = sentence(
            found,
            results,
            replicate=self.replicate,
            is_searched=any(choice.search for arm in (self.arms[a], self.arms[b]) for choice in arm.choices),
            smallest_effect=self.smallest_effect,
            limit=statistics.minimum_detectable_effect(estimate, alpha, POWER),
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
            of = Sample.of(dataclasses.replace(arm, runs=good), self.replicate)
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
