"""Runs that learned nothing: which they are, how often that happens, and an interval for a mean that counts them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from rnnexp.record.result import TestOutcomes
from rnnexp.verdict.statistics import LEVEL
from rnnexp.verdict.values import Arm, Collapsed, Interval, Run

RULE = (
    "A run has collapsed if it diverged, or if its accuracy is nearer to that of always naming the most frequent class "
    "than to its arm's best run; one that diverged counts as naming that class. All runs count in the means. Where a "
    "run of a pair collapsed, the verdict is by the other runs if the arm whose other runs are ahead collapsed no more "
    "often, and else by the probability that a new run of one arm beats one of the other."
)


def as_counted(arms: Sequence[Arm], metric: str) -> list[Arm]:
    """Returns the arms with what a diverged run counts for: naming the most frequent class for every example."""
    known = next((run.outcomes for arm in arms for run in arm.runs if run.outcomes is not None), None)
    return [dataclasses.replace(arm, runs=[_counted(run, known, metric) for run in arm.runs]) for arm in arms]


def _counted(run: Run, known: TestOutcomes | None, metric: str) -> Run:
    if not run.is_diverged:
        return run
    accuracy, outcomes, loss = 0.0, None, 0.0
    if known is not None:
        counts = np.bincount(known.labels)
        accuracy, loss = counts.max() / counts.sum(), math.log(len(counts))
        predicted = np.full_like(known.labels, counts.argmax())
        outcomes = TestOutcomes(known.labels, predicted, np.full(len(known.labels), loss, np.float32))
    metrics = {
        **run.metrics,
        metric: accuracy,
        metric.replace("accuracy", "loss"): loss,
        "num_test": len(known.labels) if known else 0,
    }
    return dataclasses.replace(run, metrics=metrics, outcomes=outcomes)


def collapsed(arm: Arm, metric: str) -> list[bool]:
    """Returns of each run of an arm whether it collapsed."""
    labels = next((run.outcomes.labels for run in arm.runs if run.outcomes is not None), None)
    values = np.array(arm.values(metric))
    if labels is None or not metric.startswith("test_"):
        return [run.is_diverged for run in arm.runs]
    chance = np.bincount(labels).max() / len(labels)
    noise = 3 * math.sqrt(chance * (1 - chance) / len(labels))
    least = max((chance + values.max()) / 2, chance + noise)
    return [run.is_diverged or value < least for run, value in zip(arm.runs, values, strict=True)]


def rate(flags: Sequence[bool], others: Interval | None) -> Collapsed:
    """Returns the share of collapsed runs, with Clopper and Pearson's interval."""
    number = sum(flags)
    found = stats.binomtest(number, len(flags)).proportion_ci(LEVEL)
    return Collapsed(number, number / len(flags), float(found.low), float(found.high), others)


def mean_over_all(found: Collapsed, chance: float, std: float | None) -> Interval:
    """Returns the mean over all runs, of which some collapsed, with an interval that knows that it has two humps.

    It joins (Zou and Donner 2008) those of the share and of the others' mean: with Student's t, as if there were one
    hump, it covered 47 % with 3 runs, of which a fifth collapse.

    Args:
        found: with runs that did not collapse.
        chance: mean accuracy of those that did.
        std: of all runs.
    """
    others = found.others
    assert others is not None
    gain = others.mean - chance
    mean = others.mean - found.share * gain
    if others.low is None or others.high is None:
        return Interval(mean, std, None, None)
    own = [(1 - found.share) * half for half in (others.mean - others.low, others.high - others.mean)]
    shares = [gain * half for half in (found.high - found.share, found.share - found.low)]
    low, high = mean - math.hypot(own[0], shares[0]), mean + math.hypot(own[1], shares[1])
    return Interval(mean, std, max(low, 0.0), min(high, 1.0))
