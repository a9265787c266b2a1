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


def simulate(
    generator, num_arms, num_runs, seed_spread, example_spread, own_spread, shift=0.0, num_examples=1000, mean=3
):
    """Returns each arm's hits, (S, N), on common examples that are drawn anew; the last arm is better by `shift`."""
    example = generator.normal(0, example_spread, num_examples)
    arms = []
    for arm in range(num_arms):
        seeds = generator.normal(0, seed_spread, (num_runs, 1))
        log_odds = (
            mean + example + generator.normal(0, own_spread, num_examples) + seeds + shift * (arm == num_arms - 1)
        )
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


# Replicates, examples, mean log odds, and spreads as above: few examples, nearly all of them classified.
TINY_WORLDS = [
    (2, 200, 4.6, 0.1, 1, 0.3),
    (2, 200, 6, 0.3, 0.5, 0.5),
    (3, 200, 4.6, 0.1, 1, 0.3),
    (2, 1000, 6, 0.3, 0.5, 0.5),
]


@pytest.mark.parametrize("is_paired", [True, False])
@pytest.mark.parametrize("world", TINY_WORLDS)
def test_few_examples_that_nearly_all_runs_classify_raise_no_more_false_alarms(world, is_paired):
    """Without the answer that is added to them, 4 to 11 % paired."""
    num_runs, num_examples, mean, *spreads = world
    generator = np.random.default_rng(11)
    alarms = 0
    for _ in range(NUM_SIMULATIONS):
        a, b = simulate(generator, 2, num_runs, *spreads, num_examples=num_examples, mean=mean)
        alarms += statistics.difference(a * 1.0, b * 1.0, is_paired).p_value() < 0.05
    print(f"{world}, paired {is_paired}: {alarms / NUM_SIMULATIONS:.3f}")
    assert at_most(alarms / NUM_SIMULATIONS, 0.05)


@pytest.mark.parametrize("numbers", [(2, 10), (10, 2), (3, 10), (2, 5)])
@pytest.mark.parametrize("spreads", [(0.3, 2, 0.5), (0.05, 2, 1)])
def test_unequal_numbers_of_replicates_raise_no_more_false_alarms(numbers, spreads):
    """With Welch's degrees of freedom, up to 10 %."""
    generator = np.random.default_rng(12)
    alarms = 0
    for _ in range(NUM_SIMULATIONS):
        few, many = simulate(generator, 2, max(numbers), *spreads)
        a, b = few[: numbers[0]] * 1.0, many[: numbers[1]] * 1.0
        alarms += statistics.difference(a, b, False).p_value() < 0.05
    print(f"{numbers}, {spreads}: {alarms / NUM_SIMULATIONS:.3f}")
    assert at_most(alarms / NUM_SIMULATIONS, 0.05)


def test_unequal_numbers_have_a_part_for_each_arm():
    a, b = [0.91, 0.93], [0.90, 0.91, 0.925, 0.90]
    found = statistics.difference_of_runs(a, b, 0.0, False)
    errors = [np.std(x, ddof=1) / math.sqrt(len(x)) for x in (a, b)]
    assert [(part.error, part.df) for part in found.parts] == [
        (pytest.approx(e), len(x) - 1) for e, x in zip(errors, (a, b), strict=True)
    ]
    half = math.hypot(*(scipy_stats.t.ppf(0.975, len(x) - 1) * e for e, x in zip(errors, (a, b), strict=True)))
    assert found.interval() == pytest.approx((found.mean - half, found.mean + half))


def test_sameness_is_when_the_interval_of_90_percent_lies_within_the_margins():
    found = statistics.difference_of_runs([0.910, 0.912, 0.911, 0.913], [0.911, 0.911, 0.912, 0.911], 0.0, True)
    edge = max(map(abs, found.interval(0.9)))
    assert found.p_value_of_sameness(1.01 * edge) < 0.05 < found.p_value_of_sameness(0.99 * edge)
    apart = statistics.difference_of_runs([0.95, 0.96, 0.95], [0.91, 0.90, 0.91], 0.0, True)
    assert apart.p_value_of_sameness(0.002) > 0.95


@pytest.mark.parametrize("num_runs", [5, 20])
def test_arms_that_differ_by_the_margin_are_seldom_called_the_same(num_runs):
    """And arms that differ by nothing often are, if there are runs and examples enough."""
    generator, margin = np.random.default_rng(13), 0.01
    wrong = right = 0
    for _ in range(NUM_SIMULATIONS):
        noise = generator.normal(0, 0.01, (2, num_runs))
        wrong += (
            statistics.difference_of_runs(noise[0] + margin, noise[1], 0.0, False).p_value_of_sameness(margin) < 0.05
        )
        right += statistics.difference_of_runs(*noise, 0.0, False).p_value_of_sameness(margin) < 0.05
    print(f"{num_runs}: {wrong / NUM_SIMULATIONS:.3f}, {right / NUM_SIMULATIONS:.3f}")
    assert at_most(wrong / NUM_SIMULATIONS, 0.05)
    assert right / NUM_SIMULATIONS > (0.7 if num_runs == 20 else 0)


def test_the_p_value_of_improvement_is_that_of_its_interval():
    generator = np.random.default_rng(14)
    for _ in range(50):
        a, b = generator.normal(0.8, 1, 5), generator.normal(0, 1, 6)
        share, low, high = statistics.probability_of_improvement(a, b, 1 - statistics.improvement_p_value(a, b))
        assert min(abs(low - 0.5), abs(high - 0.5)) < 1e-3 or share == 0.5


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
    needed = statistics.replicates_needed(statistics.difference(b * 1.0, a * 1.0, True), truth)
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
    assert statistics.replicates_needed(found, 0.99 * limit) is None
    assert statistics.replicates_needed(found, 1.5 * limit) is not None
    assert statistics.replicates_needed(found, 10.0) == 2


def test_with_one_example_layout_the_parts_are_those_of_a_two_way_analysis_of_variance():
    """Checked against sums written out cell by cell."""
    scores = np.random.default_rng(6).normal(size=(4, 30)) + np.arange(4)[:, None] + np.linspace(0, 2, 30)
    grand = scores.mean()
    rows, columns = scores.mean(1), scores.mean(0)
    cells = itertools.product(range(4), range(30))
    rest = sum((scores[s, i] - rows[s] - columns[i] + grand) ** 2 for s, i in cells) / (3 * 29)
    examples = 4 * sum((c - grand) ** 2 for c in columns) / 29
    seeds = sum((r - grand) ** 2 for r in rows) / 3
    found = statistics.mean(scores, span=0)
    assert found.mean == pytest.approx(grand)
    assert found.std == pytest.approx(math.sqrt(seeds))
    [part] = found.parts
    assert part.error == pytest.approx(math.sqrt(seeds / 4))
    assert found.example_error == pytest.approx(math.sqrt((examples - rest) / (4 * 30)))
    assert part.df == pytest.approx(3)


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
    assert (alike.mean, alike.p_value()) == (0, 1)
    assert 0 < alike.interval()[1] < 0.25  # of five examples that all runs classify
    assert statistics.difference(np.ones((3, 5)), np.ones((3, 5)), True, span=0).interval() == (0, 0)
    assert statistics.difference(np.ones((3, 5)), np.zeros((3, 5)), True).p_value() < 1e-4
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
