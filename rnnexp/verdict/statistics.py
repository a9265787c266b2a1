"""The statistics of a comparison: intervals, differences, corrected p-values, and how good the best of n trials is.

What is repeated is called a replicate: a run with a seed of its own or, where arms are searched several times, a whole
search with the runs of its winner. Every replicate of a comparison reads the same test examples, so a table of scores
has two crossed sources of chance: the replicates (R) and the examples (N). A mean over both has the variance

    (replicates + rest / N) / R  +  examples / N,

whose parts come from a two-way analysis of variance without replication, as in studies where many readers judge the
same cases (Gallas, Pennello and Myers 2007, J. Opt. Soc. Am. A 24, B70). The first part is what the replicates' means
show by themselves, and has few degrees of freedom; the second has thousands. An interval for the sum is put together
from one for each part, the squares of their half-widths added (Zou and Donner 2008, Statistics in Medicine 27, 1693):
with the usual single Student's t, whose degrees of freedom must be guessed from the same few replicates, 2 or 3 of them
raised up to twice as many false alarms as they should in our simulations. Nothing here knows of runs, files or figures.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

Array = np.ndarray[Any, Any]
LEVEL = 0.95
MAX_REPLICATES = 1000  # more are not worth a thought


@dataclass(frozen=True)
class Part:
    """One of the independent parts of a mean's standard error, and its degrees of freedom."""

    error: float
    df: float


@dataclass(frozen=True)
class Estimate:
    """A mean over replicates and examples, and what is uncertain about it."""

    mean: float
    std: float  # between replicates; nan for one, and for a difference of unpaired ones
    variance: float  # of one replicate, or of one of each arm, the examples given; nan for one
    parts: tuple[Part, ...]  # that more replicates would make smaller; nan for one replicate
    example_error: float  # the part that more replicates would leave

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Returns the interval that covers the mean over all replicates and examples so often; nan for a single one."""
        half = self._half_width(level)
        return self.mean - half, self.mean + half

    def p_value(self) -> float:
        """Returns the probability of a mean at least as far from 0, if the true one is 0; nan for one replicate."""
        errors = [part.error for part in self.parts]
        if any(map(math.isnan, errors)):
            return math.nan
        if not sum(errors) + self.example_error > 0:  # all alike
            return float(self.mean == 0)

        def excess(log_p: float) -> float:
            return self._half_width(1 - math.exp(log_p)) - abs(self.mean)

        least = math.log(1e-15)
        return 1.0 if self.mean == 0 else math.exp(optimize.brentq(excess, least, 0)) if excess(least) > 0 else 1e-15

    def p_value_of_sameness(self, margin: float) -> float:
        """Returns the larger p-value of two one-sided tests, that the mean is above -margin and below margin.

        Both reject at a level when the interval of 1 - 2 levels lies within the margins (Schuirmann 1987, J.
        Pharmacokinetics and Biopharmaceutics 15, 657).
        """

        def is_above(shifted: float) -> float:
            half = dataclasses.replace(self, mean=shifted).p_value() / 2
            return half if shifted > 0 else 1 - half

        return max(is_above(self.mean + margin), is_above(margin - self.mean))

    def _half_width(self, level: float) -> float:
        tail = (1 + level) / 2
        replicates = [part.error * float(stats.t.ppf(tail, part.df)) for part in self.parts]
        return math.hypot(*replicates, self.example_error * float(stats.norm.ppf(tail)))


def mean(scores_RN: Array, span: float = 1.0) -> Estimate:
    """Returns the mean of one arm's scores, one row a replicate and one column an example.

    Args:
        span: between the worst and the best score of an example: 1 of hits and misses, 0 where there is no such thing,
            as of losses.
    """
    return _combine([scores_RN], span)


def difference(a_RN: Array, b_RN: Array, is_paired: bool, span: float = 1.0) -> Estimate:
    """Returns the mean of a minus that of b.

    Args:
        a_RN, b_RN: scores on the same examples; if paired, row by row with the same seed.
        span: as of `mean`.
    """
    if is_paired:
        return mean(np.subtract(a_RN, b_RN, dtype=float), span)
    return _combine([a_RN, b_RN], span)


def _combine(arms: Sequence[Array], span: float) -> Estimate:
    """Returns the mean of the first arm, less that of the second if there is one."""
    column_mean = arms[0].mean(0, dtype=float)
    if len(arms) > 1:
        column_mean = column_mean - arms[1].mean(0, dtype=float)
    rest = sum(_rest(arm) / arm.size for arm in arms)
    num_examples = len(column_mean)
    # One answer more that one replicate alone gets wrong, as Bonett and Price (2012, J. Educational and Behavioral
    # Statistics 37, 479) add a case to each cell: of 200 examples at 99 %, two replicates often err on the same ones,
    # and without it 7 to 11 % of such comparisons were false alarms. Of 10,000 examples it adds nothing to speak of.
    least = span**2 / (min(len(arm) for arm in arms) * num_examples**2)
    example_variance = max(_variance(column_mean) / num_examples - rest, 0.0) + least
    return _of_replicates([arm.mean(1, dtype=float) for arm in arms], example_variance)


def mean_of_runs(values: Sequence[float], example_variance: float) -> Estimate:
    """Returns the mean of replicates whose scores of single examples are unknown.

    Args:
        values: one for each replicate.
        example_variance: of such a mean, because there are N examples only; at most `binomial_variance`.
    """
    return _of_replicates([np.asarray(values, float)], example_variance)


def difference_of_runs(a: Sequence[float], b: Sequence[float], example_variance: float, is_paired: bool) -> Estimate:
    """Returns the mean of a minus that of b, for replicates whose scores of single examples are unknown."""
    arms = [np.subtract(a, b)] if is_paired else [np.asarray(a, float), np.asarray(b, float)]
    return _of_replicates(arms, example_variance)


def _of_replicates(arms: Sequence[Array], example_variance: float) -> Estimate:
    """Returns the mean of the first arm's values, less that of the second if there is one."""
    errors = [Part(math.sqrt(_variance(values) / len(values)), len(values) - 1) for values in arms]
    if len({part.df for part in errors}) == 1:  # else each arm's part is a part of its own
        errors = [_joined(errors)]
    return Estimate(
        mean=float(arms[0].mean() - (arms[1].mean() if len(arms) > 1 else 0.0)),
        std=math.sqrt(_variance(arms[0])) if len(arms) == 1 else math.nan,
        variance=sum(map(_variance, arms)),
        parts=tuple(errors),
        example_error=math.sqrt(example_variance),
    )


def _joined(parts: Sequence[Part]) -> Part:
    """Returns the error of a sum, with Welch's degrees of freedom (1947).

    They are too many where one arm has 2 replicates and the other 10: up to 10 % false alarms.
    """
    total = sum(part.error**2 for part in parts)
    spread = sum(part.error**4 / part.df for part in parts if part.df)
    return Part(math.sqrt(total), total**2 / spread if spread else parts[0].df or math.nan)


def binomial_variance(accuracy: float, num_examples: int) -> float:
    """Returns the most that N test examples can add to the variance of a mean accuracy."""
    return accuracy * (1 - accuracy) / num_examples


def _variance(values: Array) -> float:
    return float(np.var(values, ddof=1)) if len(values) > 1 else math.nan


def _rest(scores_RN: Array) -> float:
    """Returns the mean square of what neither the replicate nor the example explains."""
    scores = np.asarray(scores_RN, float)
    left = scores - scores.mean(0) - scores.mean(1)[:, None] + scores.mean()
    freedom = (scores.shape[0] - 1) * (scores.shape[1] - 1)
    return float((left**2).sum()) / freedom if freedom else math.nan


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for their number (Holm 1979): the chance of any false alarm stays below the level."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def probability_of_improvement(
    a: Sequence[float], b: Sequence[float], level: float = LEVEL
) -> tuple[float, float, float]:
    """Returns the probability that a new run of a beats a new run of b, ties counted half, with its interval.

    It is the Mann-Whitney statistic as a share of all pairs (Agarwal et al. 2021, arXiv:2108.13264), with method 5 of
    Newcombe (2006), Statistics in Medicine 25, 559, which stays within [0, 1]; Student's quantile takes the place of
    the normal one, which covered 90 % instead of 95 % with 3 runs each in our simulations.
    """
    share, t = _share_of_wins(a, b), float(stats.t.ppf((1 + level) / 2, len(a) + len(b) - 2))

    def excess(theta: float) -> float:
        return abs(share - theta) - t * _share_error(theta, len(a), len(b))

    edge = 1e-9  # at 0 and 1 themselves the formula knows no doubt
    low = 0.0 if share == 0 else float(optimize.brentq(excess, 0, min(share, 1 - edge)))
    high = 1.0 if share == 1 else float(optimize.brentq(excess, max(share, edge), 1))
    return share, low, high


def improvement_p_value(a: Sequence[float], b: Sequence[float]) -> float:
    """Returns the p-value of the probability of improvement being 0.5."""
    if min(len(a), len(b)) < 2:
        return math.nan
    t = abs(_share_of_wins(a, b) - 0.5) / _share_error(0.5, len(a), len(b))
    return 2 * float(stats.t.sf(t, len(a) + len(b) - 2))


def _share_of_wins(a: Sequence[float], b: Sequence[float]) -> float:
    return float(stats.mannwhitneyu(a, b, method="asymptotic").statistic) / (len(a) * len(b))


def _share_error(theta: float, m: int, n: int) -> float:
    """Returns the standard error of the share of wins among m x n pairs, if its true value is theta."""
    mean_size = (m + n) / 2
    spread = (2 * mean_size - 1 - (3 * mean_size - 3) / ((2 - theta) * (1 + theta))) / (m * n)
    return math.sqrt(max(theta * (1 - theta) * spread, 0.0))


def replicates_needed(found: Estimate, smallest_effect: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Returns how many replicates of each arm would show a true difference, or None if none would on these examples.

    The variances are those that the comparison found, the degrees of freedom those of paired replicates. It is the
    usual sum of two quantiles of Student's t (for example Julious 2004, Statistics in Medicine 23, 1921).

    Args:
        found: the difference, as it was estimated.
        smallest_effect: the true difference to be seen.
        alpha: of the two-sided test.
        power: the probability to see it.
    """

    def is_enough(number: int) -> bool:
        error = math.sqrt(found.variance / number)
        quantiles = [(float(stats.t.ppf(q, number - 1)), float(stats.norm.ppf(q))) for q in (1 - alpha / 2, power)]
        return sum(math.hypot(t * error, z * found.example_error) for t, z in quantiles) <= smallest_effect

    if not is_enough(MAX_REPLICATES):
        return None
    return 2 + bisect.bisect_left(range(2, MAX_REPLICATES), True, key=is_enough)


def minimum_detectable_effect(found: Estimate, alpha: float = 0.05, power: float = 0.8) -> float:
    """Returns the true difference that infinitely many replicates would show on these examples."""
    return found.example_error * float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))
