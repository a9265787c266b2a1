"""How good a search is expected to be after so much of it: of n trials, or of so many epochs or seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special, stats

from rnnexp.verdict.statistics import LEVEL, Array, probability_of_improvement

NUM_POINTS = 60  # of a curve over epochs or seconds


@dataclass(frozen=True)
class Curve:
    """How good the best of n trials is expected to be, for n = 1, 2, ..., and the band of that curve."""

    expected: list[float]
    low: list[float]
    high: list[float]


def expected_best(values: Sequence[float], support: tuple[float, float] = (0.0, 1.0), level: float = LEVEL) -> Curve:
    """Returns the expected largest of n values for n up to their number, taking them for independent draws.

    The estimate is the unbiased one (Tang et al. 2020, arXiv:2004.13705, equation 5): the mean of the largest over all
    choices of n of the B values without replacement. The band holds for all n at once, whatever the distribution: it
    follows from the limits of Kolmogorov and Smirnov for the distribution function (Lourie, Cho and He 2023,
    arXiv:2311.09480, take the same way), whose exact quantile scipy knows.

    Args:
        values: what each trial reached, larger is better.
        support: no value can lie outside.
    """
    v = np.sort(np.asarray(values, float))
    count = len(v)
    margin = float(stats.kstwo.ppf(level, count))
    knots = np.concatenate([[support[0]], v, [support[1]]])
    share = np.arange(count + 1) / count  # of the values, up to the end of each knot's segment
    lengths = np.diff(knots)
    n = np.arange(1, count + 1)[:, None]
    log_choices = _log_choose(np.arange(1, count + 1)[None, :], n) - _log_choose(count, n)
    at_most = np.exp(log_choices)  # (n, i): the probability that all n lie among the i smallest
    weights = np.diff(at_most, axis=1, prepend=0.0)
    low = support[0] + (lengths * (1 - np.minimum(share + margin, 1.0) ** n)).sum(1)
    high = support[0] + (lengths * (1 - np.maximum(share - margin, 0.0) ** n)).sum(1)
    return Curve((weights @ v).tolist(), low.tolist(), high.tolist())


def _log_choose(total: Any, n: Any) -> Array:
    """Returns the logarithm of the number of choices of n things; minus infinity where there are fewer than n."""
    fewer = np.asarray(total) < n
    safe = np.where(fewer, n, total)
    found = special.gammaln(safe + 1) - special.gammaln(n + 1) - special.gammaln(safe - n + 1)
    return np.where(fewer, -np.inf, found)


@dataclass(frozen=True)
class Anytime:
    """What searches of one arm have reached after so much of a budget, and the 95 % band of their mean.

    Where the budget begins, every search has its first trial. The band is missing for a single search.
    """

    budget: list[float]
    expected: list[float]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Lead:
    """The probability that a search of one arm is ahead of one of another after so much of a budget."""

    a: str
    b: str
    budget: list[float]
    probability: list[float]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)


def anytime(
    searches: Sequence[tuple[Sequence[float], Sequence[float]]], budget: Sequence[float], *, larger_is_better: bool
) -> Anytime:
    """Returns the mean over searches of the best value so far, with Student's interval.

    Args:
        searches: of each, what its trials cost and what they reached, in the order in which they ended.
        budget: as `common_budget` returns it.
        larger_is_better: of the values.
    """
    best_KT = _best_so_far(searches, budget, larger_is_better)
    expected = best_KT.mean(0)
    if len(best_KT) < 2:
        return Anytime(list(budget), expected.tolist())
    t = float(stats.t.ppf((1 + LEVEL) / 2, len(best_KT) - 1))
    half = t * best_KT.std(0, ddof=1) / math.sqrt(len(best_KT))
    return Anytime(list(budget), expected.tolist(), (expected - half).tolist(), (expected + half).tolist())


def lead(
    names: tuple[str, str],
    a: Sequence[tuple[Sequence[float], Sequence[float]]],
    b: Sequence[tuple[Sequence[float], Sequence[float]]],
    budget: Sequence[float],
    *,
    larger_is_better: bool,
) -> Lead:
    """Returns how probable it is that a search of a is ahead of one of b; arguments as of `anytime`."""
    sign = 1 if larger_is_better else -1
    a_KT, b_KT = (sign * _best_so_far(arm, budget, larger_is_better) for arm in (a, b))
    if min(len(a_KT), len(b_KT)) < 2:
        share = (a_KT > b_KT).mean(0) + 0.5 * (a_KT == b_KT).mean(0)
        return Lead(*names, list(budget), share.tolist())
    found = [probability_of_improvement(x.tolist(), y.tolist()) for x, y in zip(a_KT.T, b_KT.T, strict=True)]
    share, low, high = (list(values) for values in zip(*found, strict=True))
    return Lead(*names, list(budget), share, low, high)


def common_budget(searches: Sequence[Sequence[float]]) -> list[float]:
    """Returns the points at which searches can be compared: from where each has a trial to the end of the shortest.

    Args:
        searches: what the trials of each cost, in the order in which they ended.
    """
    first = max((costs[0] for costs in searches), default=0.0)
    last = min((math.fsum(costs) for costs in searches), default=0.0)
    return np.linspace(first, last, NUM_POINTS).tolist() if 0 < first < last else []


def _best_so_far(
    searches: Sequence[tuple[Sequence[float], Sequence[float]]], budget: Sequence[float], larger_is_better: bool
) -> Any:
    """Returns the best value of each search at each point, (K, T)."""
    rows = []
    accumulate = np.fmax.accumulate if larger_is_better else np.fmin.accumulate
    for costs, values in searches:
        spent, best = np.cumsum(costs), accumulate(np.asarray(values, float))
        place = np.searchsorted(spent, np.asarray(budget) * (1 + 1e-9), side="right") - 1
        rows.append(best[np.clip(place, 0, None)])
    return np.stack(rows)
