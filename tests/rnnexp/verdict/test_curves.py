"""Expected results of a search, against brute force and simulations where the truth is known."""

import itertools

import numpy as np
import pytest
from scipy import stats as scipy_stats

from rnnexp.verdict import curves

NUM_SIMULATIONS = 1000


def test_the_expected_best_is_the_mean_over_all_choices():
    values = [0.2, 0.9, 0.5, 0.5, 0.7, 0.1, 0.95]
    curve = curves.expected_best(values)
    for n in range(1, 8):
        choices = [max(chosen) for chosen in itertools.combinations(values, n)]
        assert curve.expected[n - 1] == pytest.approx(np.mean(choices))
    assert curve.expected[-1] == pytest.approx(0.95)
    assert all(low <= e <= high for low, e, high in zip(curve.low, curve.expected, curve.high, strict=True))


def test_the_expected_best_is_unbiased_and_its_band_covers_at_all_n_at_once():
    generator = np.random.default_rng(9)
    a, b, count = 8.0, 2.0, 15
    n = np.arange(1, count + 1)
    grid = np.linspace(0, 1, 20_001)
    truth = np.trapezoid(1 - scipy_stats.beta.cdf(grid, a, b)[None, :] ** n[:, None], grid, axis=1)
    total, missed = np.zeros(count), 0
    for _ in range(NUM_SIMULATIONS):
        curve = curves.expected_best(generator.beta(a, b, count))
        total += curve.expected
        missed += not np.all((np.array(curve.low) <= truth) & (truth <= np.array(curve.high)))
    assert total / NUM_SIMULATIONS == pytest.approx(truth, abs=0.005)
    print(f"{1 - missed / NUM_SIMULATIONS:.3f}")
    assert missed / NUM_SIMULATIONS < 0.07


def test_a_thousand_trials_have_an_expected_best():
    values = np.random.default_rng(10).random(1000)
    curve = curves.expected_best(values)
    assert curve.expected[0] == pytest.approx(values.mean())
    assert curve.expected[-1] == pytest.approx(values.max())
    assert np.all(np.diff(curve.expected) >= 0)


A_SEARCH = ([2, 2, 1], [0.5, 0.7, 0.6])
ANOTHER = ([1, 3, 2], [0.4, 0.4, 0.9])


def test_budgets_begin_where_all_have_a_trial_and_end_where_the_first_one_ends():
    budget = curves.common_budget([A_SEARCH[0], ANOTHER[0]])
    assert (budget[0], budget[-1]) == (2, 5)
    assert curves.common_budget([[3], [3]]) == []
    assert curves.common_budget([]) == []


def test_anytime_is_the_mean_of_the_best_so_far():
    found = curves.anytime([A_SEARCH, ANOTHER], [2, 3.9, 4, 5, 6], larger_is_better=True)
    assert found.expected == pytest.approx([0.45, 0.45, 0.55, 0.55, 0.8])
    half = scipy_stats.t.ppf(0.975, 1) * np.std([0.5, 0.4], ddof=1) / np.sqrt(2)
    assert (found.low[0], found.high[0]) == pytest.approx((0.45 - half, 0.45 + half))
    assert curves.anytime([A_SEARCH], [2], larger_is_better=True).low == []
    losses = curves.anytime([A_SEARCH], [2, 5], larger_is_better=False)
    assert losses.expected == [0.5, 0.5]


def test_the_lead_is_a_share_of_pairs_of_searches():
    found = curves.lead(("a", "b"), [A_SEARCH, A_SEARCH], [ANOTHER, ANOTHER], [2, 4, 6], larger_is_better=True)
    assert found.probability == [1, 1, 0]
    assert found.low[0] < 1
    assert found.high[0] == 1
    alone = curves.lead(("a", "b"), [A_SEARCH], [ANOTHER], [6], larger_is_better=False)
    assert (alone.probability, alone.low) == ([0], [])
