"""Levels of several looks, against published ones and simulations; what adding seeds costs and saves."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from rnnexp.verdict import sequential, statistics
from rnnexp.verdict.sequential import levels, p_value

FOUR = [0.25, 0.5, 0.75, 1.0]


def test_the_bounds_are_the_published_ones():
    """Those of R's gsDesign(k=4, test.type=2, sfu=sfLDPocock, alpha=0.025)."""
    bounds = [scipy_stats.norm.isf(level / 2) for level in levels(FOUR, 0.05)]
    assert bounds == pytest.approx([2.3683, 2.3675, 2.3582, 2.3500], abs=5e-4)


def test_one_look_has_the_whole_level():
    assert levels([1.0], 0.05) == pytest.approx([0.05])
    assert p_value([0.0123], [1.0]) == 0.0123


def test_a_first_look_of_several_is_closed_form():
    share = np.log(1 + (np.e - 1) * 0.25)
    assert p_value([0.01], [0.25]) == pytest.approx(0.01 / share, rel=1e-3)


def test_the_p_value_of_looks_is_below_a_level_when_one_of_them_is_below_its_own():
    generator = np.random.default_rng(0)
    for _ in range(20):
        p_values = generator.uniform(0, 0.06, 3).tolist()
        is_rejected = any(p < level for p, level in zip(p_values, levels(FOUR[:3], 0.05), strict=True))
        assert (p_value(p_values, FOUR[:3]) < 0.05) == is_rejected


def test_p_values_stay_within_their_bounds():
    assert p_value([1.0, 1.0], [0.5, 1.0]) == 1
    assert 0 < p_value([0.0, 1e-300], [0.5, 1.0]) < 1e-9


def alarms(difference, num_simulations, sizes=(5, 10, 15, 20), seed=0):
    """Returns how often looks at more and more seeds find a difference, with bounds and without, and how many it took.

    Two arms with hits on the same 1,000 examples; `difference` is that of their accuracies, in points.
    """
    generator = np.random.default_rng(seed)
    fractions = [size / sizes[-1] for size in sizes]
    allowed = levels(fractions, 0.05)
    found = {"bounds": 0, "naive": 0, "last": 0}
    used = []
    for _ in range(num_simulations):
        example = generator.normal(0, 2, 1000)
        arms = [
            generator.random((sizes[-1], 1000))
            < 1
            / (1 + np.exp(-(3 + example + generator.normal(0, 0.3, 1000) + generator.normal(0, 0.2, (sizes[-1], 1)))))
            for _ in range(2)
        ]
        scores = arms[0] + difference / 100 - arms[1]
        p = [statistics.mean(scores[:size]).p_value() for size in sizes]
        stops = [size for size, one, level in zip(sizes, p, allowed, strict=True) if one < level]
        found["bounds"] += bool(stops)
        found["naive"] += min(p) < 0.05
        found["last"] += p[-1] < 0.05
        used.append(min([*stops, sizes[-1]]))
    return {name: number / num_simulations for name, number in found.items()}, float(np.mean(used))


def test_looks_raise_no_more_false_alarms():
    shares, used = alarms(0, 2000, seed=7)
    print(shares, used)
    assert shares["bounds"] <= 0.055
    assert shares["naive"] > 0.06  # what looking again without bounds would do


def test_looks_save_seeds_where_there_is_a_difference():
    shares, used = alarms(3, 300)
    print(shares, used)
    assert used < 12
    assert shares["bounds"] > 0.85 * shares["last"]


def test_what_is_spent_is_all_at_the_end():
    assert sequential.spent(0.05, 1) == pytest.approx(0.05)
    assert sequential.spent(0.05, 1.5) == pytest.approx(0.05)
