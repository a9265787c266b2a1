"""Several data sets: ranks and tests against scipy's and published examples, groups, and what can't be told."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats as scipy_stats
from test_judge import arm

from hydra_sweep.errors import UserError
from rnnexp.verdict import statistics
from rnnexp.verdict.across import across, interquartile_mean, lines
from rnnexp.verdict.judge import judge

NUM_DATA = 8


def verdicts(means, num_data=NUM_DATA):
    """Returns a verdict for each data set; an arm's accuracy is its mean on all, but for chance and the data set."""
    found = []
    for number in range(num_data):
        base = 0.6 + 0.04 * number
        arms = [arm(name, base + mean, range(100 * number, 100 * number + 3)) for name, mean in means.items()]
        found.append(judge(f"data {number}", arms))
    return found


@pytest.fixture(scope="module")
def three():
    return verdicts({"good": 0.06, "bad": 0.0, "middle": 0.052})


def test_ranks_and_tests_are_those_of_scipy(three):
    found = across("c", three, [verdict.name for verdict in three])
    names = [one.name for one in found.arms]
    means = np.array([[next(a for a in v.arms if a.name == name).accuracy.mean for name in names] for v in three])
    ranks = scipy_stats.rankdata(-means, axis=1)
    assert [one.ranks for one in found.arms] == ranks.T.tolist()
    assert [one.mean_rank for one in found.arms] == sorted(ranks.mean(0))
    assert found.friedman_p == scipy_stats.friedmanchisquare(*means.T).pvalue
    p_values = [scipy_stats.wilcoxon(means[:, a], means[:, b]).pvalue for a, b in ((0, 1), (0, 2), (1, 2))]
    assert [pair.p for pair in found.pairs] == pytest.approx(p_values)
    assert [pair.p_corrected for pair in found.pairs] == pytest.approx(statistics.holm(p_values))


def test_an_arm_that_is_ahead_everywhere_is_better(three):
    found = across("c", three, [verdict.name for verdict in three])
    assert [one.name for one in found.arms][-1] == "bad"
    last = [pair for pair in found.pairs if pair.b == "bad"]
    assert [pair.verdict for pair in last] == ["better", "better"]
    assert all(pair.wins + pair.draws + pair.losses == NUM_DATA for pair in found.pairs)
    assert any("is better than bad over 8 data sets: " in text for text in found.verdict)
    assert found.warnings == []
    assert all("bad" not in group for group in found.groups)
    assert json.loads(found.to_json())["arms"][0]["name"] == found.arms[0].name


def test_wins_and_losses_follow_the_order_of_the_pair(three):
    found = across("c", three, [verdict.name for verdict in three])
    for pair in found.pairs:
        assert (pair.difference > 0) == (pair.wins >= pair.losses)


def test_few_data_sets_can_not_tell_and_say_so():
    found = across("c", verdicts({"good": 0.2, "bad": 0.0}, 4), ["a", "b", "c", "d"])
    assert found.pairs[0].verdict == "undecided"
    assert found.pairs[0].wins == 4
    assert found.groups == [["good", "bad"]]
    assert found.friedman_p is None
    assert found.warnings == [
        "with 4 data sets the smallest p-value of a pair is 0.12, which no correction for 1 pair leaves below 0.05: "
        "more data sets are needed"
    ]
    assert found.verdict[-1].startswith("Can't be told apart over 4 data sets: good and bad (p = 0.12)")


def test_of_many_pairs_that_can_not_be_told_apart_the_nearest_is_named():
    shifts = {f"arm {number}": 0.02 * number for number in range(4)}
    found = across("c", verdicts(shifts, 4), ["a", "b", "c", "d"])
    least = min(found.pairs, key=lambda pair: pair.p_corrected)
    assert found.verdict[-1] == (
        "None of the 6 pairs can be told apart over 4 data sets; nearest to it are "
        f"{least.a} and {least.b} (p = {least.p_corrected:.2g})."
    )


def test_data_sets_must_have_the_same_arms(three):
    with pytest.raises(UserError, match="at least two"):
        across("c", three[:1], ["a"])
    other = dataclasses.replace(three[0], arms=three[0].arms[:2])
    with pytest.raises(UserError, match="compares good, bad, where"):
        across("c", [three[1], other], ["a", "b"])


def test_the_interquartile_mean_leaves_out_the_ends():
    runs = [[0.1, 0.9, 0.5, 0.6], [0.4, 0.7, 0.95, 0.2]]
    value, low, high = interquartile_mean(runs)
    whole = sorted(x for of in runs for x in of)
    assert value == pytest.approx(np.mean(whole[2:-2]))
    assert low < value < high
    assert interquartile_mean([[0.5], [0.6, 0.7]])[1:] == (None, None)
    assert interquartile_mean([[0.5, 0.5], [0.5, 0.5]]) == (0.5, None, None)


def test_the_interval_of_the_interquartile_mean_covers():
    generator, covered = np.random.default_rng(0), 0
    for _ in range(60):
        runs = [(generator.normal(0.5 + 0.1 * data, 0.02, 10)).tolist() for data in range(4)]
        _, low, high = interquartile_mean(runs)
        covered += low <= 0.65 <= high
    assert covered / 60 > 0.85


def test_the_table_fits(three):
    found = across("c", three, [verdict.name for verdict in three])
    shown = lines(found, 80)
    assert max(map(len, shown)) <= 80
    assert shown[0].split() == ["data", "set", *(one.name for one in found.arms)]
    assert shown[NUM_DATA + 1].startswith("mean rank")
