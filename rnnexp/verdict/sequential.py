"""Looking at a comparison several times while replicates are added, without more false alarms.

Whoever adds seeds until a difference is significant finds one sooner or later. A group-sequential test shares the
allowed false alarms out among the looks: an error-spending function says how much of them may be used up by the time a
share t of all planned replicates is there (Lan and DeMets 1983, Biometrika 70, 659), and a look's level is what makes
the chance of a false alarm up to then equal to it. The levels are those of a Brownian motion that is looked at at times
t; a test by Student's t takes over the levels of the p-values (Jennison and Turnbull 2000, Group Sequential Methods,
chapter 3.8). The part of chance that is in the test examples is the same at all looks, which makes them more alike than
the levels assume: there are fewer false alarms for that, not more.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize, special

from rnnexp.verdict.statistics import Array

NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)  # of the integration over where the motion can be at a look
LEAST_P = 1e-12


def spent(alpha: float, fraction: float) -> float:
    """Returns the false alarms that may have happened at a share of all replicates, by Pocock's kind of spending.

    It spends early, unlike O'Brien and Fleming's kind, which would leave the first of four looks a level of 1e-5: out
    of reach for Student's t with a few degrees of freedom.
    """
    return alpha * math.log(1 + (math.e - 1) * min(fraction, 1.0))


def levels(fractions: Sequence[float], alpha: float) -> list[float]:
    """Returns the two-sided level of the p-value at each look.

    Args:
        fractions: of all planned replicates, that were there at each look; increasing, the last one at most 1.
        alpha: of false alarms at all looks together.
    """
    return list(_levels(tuple(fractions), alpha))


@functools.lru_cache(maxsize=4096)
def _levels(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    found: list[float] = []
    place, density, before, used = np.zeros(1), np.ones(1), 0.0, 0.0  # of the motion, where it has not crossed yet
    for fraction in fractions:
        step, share = math.sqrt(fraction - before), spent(alpha, fraction) - used
        bound = _crossed_by(share, place, density, step, 40.0 * math.sqrt(fraction))
        found.append(2 * float(special.ndtr(-bound / math.sqrt(fraction))))
        nodes = bound * NODES
        moved = np.exp(-0.5 * ((nodes[:, None] - place) / step) ** 2) / (step * math.sqrt(2 * math.pi))
        place, density = nodes, bound * WEIGHTS * (moved @ density)
        before, used = fraction, spent(alpha, fraction)
    return tuple(found)


def _crossed_by(share: float, place: Array, density: Array, step: float, most: float) -> float:
    """Returns the bound that a step from these places, normal of this standard deviation, crosses with a probability.

    Args:
        share: that probability.
        density: at each place, times the width that the place stands for.
        most: a bound that it certainly doesn't cross.
    """

    def excess(bound: float) -> float:
        outside = special.ndtr((place - bound) / step) + special.ndtr((-bound - place) / step)
        return float(density @ outside) - share

    return float(optimize.brentq(excess, 0.0, most, xtol=1e-12))


def p_value(p_values: Sequence[float], fractions: Sequence[float]) -> float:
    """Returns the smallest level at which the looks so far, taken together, show a difference.

    Args:
        p_values: two-sided, of the test at each look as if it were the only one.
        fractions: as of `levels`.
    """
    if len(p_values) == 1 and fractions[0] >= 1:
        return p_values[0]

    def excess(log_alpha: float) -> float:
        allowed = levels(fractions, math.exp(log_alpha))
        ratios = [math.log(max(a, 1e-300) / max(p, LEAST_P)) for a, p in zip(allowed, p_values, strict=True)]
        return max(ratios)

    least, most = math.log(LEAST_P), math.log(0.999)
    if excess(most) <= 0:
        return 1.0
    if excess(least) >= 0:
        return LEAST_P
    return math.exp(float(optimize.brentq(excess, least, most, xtol=1e-5)))
