"""Runs that learned nothing: found, counted, and kept from turning a verdict round."""

import numpy as np
import pytest
from scipy import stats as scipy_stats
from test_judge import LABELS, NUM_EXAMPLES, outcomes

from rnnexp.verdict import collapse
from rnnexp.verdict.judge import judge
from rnnexp.verdict.values import Arm, Interval, Run

CHANCE = np.bincount(LABELS).max() / len(LABELS)


def run(accuracy, seed, generator, is_diverged=False):
    is_right = generator.random(NUM_EXAMPLES) < accuracy
    metrics = {"num_parameters": 1.0, "train_seconds": 1.0, "epochs": 1.0, "num_test": NUM_EXAMPLES}
    if is_diverged:
        return Run(f"{seed}", seed, metrics, is_diverged=True)
    metrics |= {"test_accuracy": is_right.mean(), "test_loss": 1.0}
    return Run(f"{seed}", seed, metrics, outcomes(is_right))


def arm(name, accuracies, seed=0):
    """Returns an arm with a run of about each accuracy; None diverged."""
    generator = np.random.default_rng([seed, len(name)])
    runs = [run(a or 0, 1000 + s, generator, a is None) for s, a in enumerate(accuracies)]
    return Arm(name, runs)


def test_a_run_nearer_to_chance_than_to_the_best_has_collapsed():
    found = arm("a", [0.95, 0.9, 0.6, 0.45, 0.12])
    assert collapse.collapsed(found, "test_accuracy") == [False, False, False, True, True]


def test_an_arm_that_never_left_chance_has_collapsed_as_a_whole():
    assert all(collapse.collapsed(arm("a", [0.1, 0.105, 0.1]), "test_accuracy"))
    assert not any(collapse.collapsed(arm("a", [0.2, 0.19, 0.21]), "test_accuracy"))


def test_a_diverged_run_counts_as_naming_the_most_frequent_class():
    found = judge("c", [arm("a", [0.95, 0.94, None]), arm("b", [0.95, 0.94, 0.95])])
    first = found.arms[0]
    assert first.accuracies[2] == pytest.approx(CHANCE)
    assert first.losses[2] == pytest.approx(np.log(10), abs=1e-6)
    assert (first.collapsed.number, first.collapsed.share) == (1, pytest.approx(1 / 3))
    assert first.accuracy.mean == pytest.approx(np.mean(first.accuracies), abs=1e-6)
    assert first.collapsed.others.mean == pytest.approx(np.mean(first.accuracies[:2]))
    [pair] = found.pairs
    assert pair.judged_by == "improvement"
    assert "1 of 3 runs of a collapsed (of such runs, 1 to 91 %); the others have" in pair.sentence


def test_the_share_has_clopper_and_pearsons_interval():
    found = collapse.rate([True, False, False, False, False], Interval(0.9, 0.01, 0.89, 0.91))
    expected = scipy_stats.beta.ppf([0.025, 0.975], [1, 2], [5, 4])
    assert (found.low, found.high) == pytest.approx(tuple(expected))


def world(generator, num_runs, share=0.2):
    """Returns runs of an arm of which a share collapses to chance, as their accuracies."""
    good = np.clip(generator.normal(0.95, 0.003, num_runs), 0, 1)
    return np.where(generator.random(num_runs) < share, CHANCE, good)


@pytest.mark.parametrize(("num_runs", "least"), [(3, 0.45), (5, 0.66), (10, 0.88)])
def test_means_over_all_cover_once_a_collapse_was_seen(num_runs, least):
    """No interval from runs that show no collapse can know of it; with one that does, coverage is that of its kind."""
    generator, truth = np.random.default_rng(0), 0.8 * 0.95 + 0.2 * CHANCE
    covered = seen = covered_seen = 0
    for _ in range(400):
        values = world(generator, num_runs)
        bad = values < 0.5
        good = values[~bad]
        if not len(good):
            continue
        half = scipy_stats.t.ppf(0.975, max(len(good) - 1, 1)) * 0.003 / np.sqrt(len(good))
        others = Interval(good.mean(), None, good.mean() - half, good.mean() + half)
        rate = collapse.rate(bad.tolist(), others)
        mean = collapse.mean_over_all(rate, CHANCE, None) if bad.any() else others
        is_in = mean.low <= truth <= mean.high
        covered += is_in
        seen += bad.any()
        covered_seen += is_in and bad.any()
        share = collapse.rate(bad.tolist(), None)
        assert share.low <= share.share <= share.high
    print(f"{num_runs} runs: {covered / 400:.2f}, where one was seen {covered_seen / seen:.2f}")
    assert covered / 400 > least - 0.08
    assert covered_seen / seen > 0.94


@pytest.mark.parametrize("num_runs", [3, 5, 10])
def test_a_collapse_raises_no_verdict_of_the_wrong_sign(num_runs):
    """By the probability that a run of one beats a run of the other, an arm that collapses in a fifth of its runs, and
    is otherwise a little better, is better; by means, Student's t said so in one direction or the other.
    """
    generator = np.random.default_rng(1)
    wrong = 0
    for number in range(60):
        bad = generator.random(num_runs) < 0.2
        accuracies = np.where(bad, CHANCE, 0.96)
        a, b = arm("a", accuracies.tolist(), number), arm("bb", [0.93] * num_runs, number)
        wrong += judge("c", [a, b]).pairs[0].verdict == "worse"
    assert wrong / 60 < 0.05
