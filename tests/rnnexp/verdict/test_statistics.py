"""The statistics of a comparison, against published values, brute force, and simulations where the truth is known."""

import itertools
import math

import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats

from rnnexp.verdict import statistics

NUM_SIMULATIONS = 1000
# Runs, then the spread of seeds, of examples and of each arm's own examples, in log odds: chance lies in the seeds, in
# the examples, or in both.
WORLDS = [(2, 0.3, 2, 0.5), (3, 0.3, 2, 0.5), (3, 0.05, 2, 1), (5, 0.1, 2, 0.5), (10, 0.3, 2, 0.5), (10, 0.02, 2, 1)]


def simulate(generator, num_arms, num_runs, seed_spread, example_spread, own_spread, shift=0.0, num_examples=1000):
    """Returns each arm's hits, (S, N), on common examples that are drawn anew; the last arm is better by `shift`."""
    example = generator.normal(0, example_spread, num_examples)
    arms = []
    for arm in range(num_arms):
        seeds = generator.normal(0, seed_spread, (num_runs, 1))
        log_odds = 3 + example + generator.normal(0, own_spread, num_examples) + seeds + shift * (arm == num_arms - 1)
        arms.append(generator.random((num_runs, num_examples)) < 1 / (1 + np.exp(-log_odds)))
    return arms


def true_accuracy(seed_spread, example_spread, own_spread, shift=0.0):
    spread = math.sqrt(seed_spread**2 + example_spread**2 + own_spread**2)
    return scipy_stats.norm(3 + shift, spread).expect(special.expit)


def at_most(share, expected):
    """Whether a share of the simulations is no more than expected but for their own chance, of one in 1,000."""
    return share <= scipy_stats.binom.ppf(0.999, NUM_SIMULATIONS, expected) / NUM_SIMULATIONS


@pytest.mark.parametrize("is_paired", [True, False])
@pytest.mark.parametrize("world", WORLDS)
def test_false_alarms_stay_at_their_nominal_rate(world, is_paired):
    generator = np.random.default_rng(0)
    alarms = 0
    for _ in range(NUM_SIMULATIONS):
        a, b = simulate(generator, 2, *world)
        alarms += statistics.difference(a.astype(float), b.astype(float), is_paired).p_value() < 0.05
    print(f"{world}, paired {is_paired}: {alarms / NUM_SIMULATIONS:.3f}")
    assert at_most(alarms / NUM_SIMULATIONS, 0.05)
    assert alarms > 0.005 * NUM_SIMULATIONS  # nor is it asleep


def test_false_alarms_of_three_arms_stay_at_their_nominal_rate_together():
    generator = np.random.default_rng(1)
    alarms = 0
    for _ in range(NUM_SIMULATIONS):
        arms = [arm.astype(float) for arm in simulate(generator, 3, 5, 0.1, 2, 0.5)]
        found = [statistics.difference(a, b, True).p_value() for a, b in itertools.combinations(arms, 2)]
        alarms += min(statistics.holm(found)) < 0.05
    print(f"{alarms / NUM_SIMULATIONS:.3f}")
    assert at_most(alarms / NUM_SIMULATIONS, 0.05)


@pytest.mark.parametrize("world", WORLDS)
def test_intervals_cover_the_truth_of_all_seeds_and_examples(world):
    generator = np.random.default_rng(2)
    truth, shift = true_accuracy(*world[1:]), 0.2
    better = true_accuracy(*world[1:], shift)
    missed = missed_difference = 0
    for _ in range(NUM_SIMULATIONS):
        a, b = (arm.astype(float) for arm in simulate(generator, 2, *world, shift))
        low, high = statistics.mean(a).interval()
        missed += not low <= truth <= high
        low, high = statistics.difference(b, a, True).interval()
        missed_difference += not low <= better - truth <= high
    print(f"{world}: {1 - missed / NUM_SIMULATIONS:.3f}, {1 - missed_difference / NUM_SIMULATIONS:.3f}")
    assert at_most(missed / NUM_SIMULATIONS, 0.05)
    assert at_most(missed_difference / NUM_SIMULATIONS, 0.05)


def test_runs_without_single_examples_have_intervals_that_cover_too():
    generator = np.random.default_rng(3)
    truth, missed, alarms = true_accuracy(0.1, 2, 0.5), 0, 0
    for _ in range(NUM_SIMULATIONS):
        a, b = (arm.mean(1) for arm in simulate(generator, 2, 5, 0.1, 2, 0.5))
        variances = [statistics.binomial_variance(runs.mean(), 1000) for runs in (a, b)]
        low, high = statistics.mean_of_runs(a, variances[0]).interval()
        missed += not low <= truth <= high
        alarms += statistics.difference_of_runs(a, b, sum(variances), False).p_value() < 0.05
    assert at_most(missed / NUM_SIMULATIONS, 0.05)
    assert at_most(alarms / NUM_SIMULATIONS, 0.05)


def test_a_difference_of_the_announced_size_is_seen_with_the_announced_power():
    generator = np.random.default_rng(4)
    world = (0.3, 2, 0.5)
    truth = true_accuracy(*world, 0.5) - true_accuracy(*world)
    a, b = simulate(generator, 2, 300, *world, 0.5)
    needed = statistics.seeds_needed(statistics.difference(b * 1.0, a * 1.0, True), truth)
    seen = 0
    for _ in range(NUM_SIMULATIONS):
        a, b = simulate(generator, 2, needed, *world, 0.5)
        seen += statistics.difference(b * 1.0, a * 1.0, True).p_value() < 0.05
    print(f"{needed} seeds: {seen / NUM_SIMULATIONS:.3f}")
    assert 0.75 < seen / NUM_SIMULATIONS < 0.88


def test_no_number_of_seeds_shows_what_the_examples_hide():
    a, b = (arm.astype(float) for arm in simulate(np.random.default_rng(5), 2, 10, 0.1, 2, 1))
    found = statistics.difference(a, b, True)
    limit = statistics.minimum_detectable_effect(found)
    assert limit > 0
    assert statistics.seeds_needed(found, 0.99 * limit) is None
    assert statistics.seeds_needed(found, 1.5 * limit) is not None
    assert statistics.seeds_needed(found, 10.0) == 2


def test_with_one_example_layout_the_parts_are_those_of_a_two_way_analysis_of_variance():
    """Checked against sums written out cell by cell."""
    scores = np.random.default_rng(6).normal(size=(4, 30)) + np.arange(4)[:, None] + np.linspace(0, 2, 30)
    grand = scores.mean()
    rows, columns = scores.mean(1), scores.mean(0)
    cells = itertools.product(range(4), range(30))
    rest = sum((scores[s, i] - rows[s] - columns[i] + grand) ** 2 for s, i in cells) / (3 * 29)
    examples = 4 * sum((c - grand) ** 2 for c in columns) / 29
    seeds = sum((r - grand) ** 2 for r in rows) / 3
    found = statistics.mean(scores)
    assert found.mean == pytest.approx(grand)
    assert found.std == pytest.approx(math.sqrt(seeds))
    assert found.seed_error == pytest.approx(math.sqrt(seeds / 4))
    assert found.example_error == pytest.approx(math.sqrt((examples - rest) / (4 * 30)))
    assert found.seed_df == 3


def test_without_examples_it_is_students_and_welchs_test():
    a, b = [0.91, 0.93, 0.92, 0.95], [0.90, 0.91, 0.925, 0.90]
    paired, apart = (statistics.difference_of_runs(a, b, 0.0, is_paired) for is_paired in (True, False))
    assert paired.p_value() == pytest.approx(scipy_stats.ttest_rel(a, b).pvalue)
    assert paired.interval() == pytest.approx(scipy_stats.ttest_rel(a, b).confidence_interval())
    assert apart.p_value() == pytest.approx(scipy_stats.ttest_ind(a, b, equal_var=False).pvalue)
    welch = scipy_stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert apart.interval() == pytest.approx(welch)


def test_a_p_value_is_below_a_level_when_the_interval_excludes_zero():
    a, b = (arm.astype(float) for arm in simulate(np.random.default_rng(7), 2, 5, 0.1, 2, 1, 0.4))
    found = statistics.difference(a, b, False)
    level = 1 - found.p_value()
    assert min(map(abs, found.interval(level))) == pytest.approx(0, abs=1e-9)


def test_one_run_and_equal_runs():
    one = statistics.mean(np.ones((1, 5)))
    assert one.mean == 1
    assert all(map(math.isnan, (one.std, *one.interval(), one.p_value())))
    alike = statistics.difference(np.ones((3, 5)), np.ones((3, 5)), True)
    assert (alike.mean, alike.p_value(), alike.interval()) == (0, 1, (0, 0))
    assert statistics.difference(np.ones((3, 5)), np.zeros((3, 5)), True).p_value() == 0
    assert statistics.difference_of_runs([0.9, 0.9], [0.8, 0.8], 0.0, False).p_value() == 0


def test_holm_corrects_as_published():
    """The example of R's p.adjust and of many textbooks."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.8]) == [1, 1]
    assert statistics.holm([]) == []


def test_the_probability_of_improvement_counts_pairs():
    a, b = [3, 1, 2, 2], [2, 0, 5]
    wins = sum((x > y) + 0.5 * (x == y) for x, y in itertools.product(a, b))
    share, low, high = statistics.probability_of_improvement(a, b)
    assert share == pytest.approx(wins / 12)
    assert 0 < low < share < high < 1
    share, low, high = statistics.probability_of_improvement([4, 5, 6], [1, 2, 3])
    assert (share, high) == (1, 1)
    assert 0.2 < low < 0.9
    mirrored = statistics.probability_of_improvement([1, 2, 3], [4, 5, 6])
    assert mirrored == pytest.approx((0, 0, 1 - low))


@pytest.mark.parametrize(("num_runs", "shift"), [(3, 0.0), (5, 0.0), (5, 1.0), (10, 0.5)])
def test_the_interval_of_the_probability_of_improvement_covers(num_runs, shift):
    generator = np.random.default_rng(8)
    truth = scipy_stats.norm.cdf(shift / math.sqrt(2))
    missed = 0
    for _ in range(NUM_SIMULATIONS):
        a, b = generator.normal(shift, 1, num_runs), generator.normal(0, 1, num_runs)
        _, low, high = statistics.probability_of_improvement(a, b)
        missed += not low <= truth <= high
    print(f"{num_runs} runs, {shift}: {1 - missed / NUM_SIMULATIONS:.3f}")
    assert at_most(missed / NUM_SIMULATIONS, 0.05)


def test_the_expected_best_is_the_mean_over_all_choices():
    values = [0.2, 0.9, 0.5, 0.5, 0.7, 0.1, 0.95]
    curve = statistics.expected_best(values)
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
        curve = statistics.expected_best(generator.beta(a, b, count))
        total += curve.expected
        missed += not np.all((np.array(curve.low) <= truth) & (truth <= np.array(curve.high)))
    assert total / NUM_SIMULATIONS == pytest.approx(truth, abs=0.005)
    print(f"{1 - missed / NUM_SIMULATIONS:.3f}")
    assert at_most(missed / NUM_SIMULATIONS, 0.05)


def test_a_thousand_trials_have_an_expected_best():
    values = np.random.default_rng(10).random(1000)
    curve = statistics.expected_best(values)
    assert curve.expected[0] == pytest.approx(values.mean())
    assert curve.expected[-1] == pytest.approx(values.max())
    assert np.all(np.diff(curve.expected) >= 0)
