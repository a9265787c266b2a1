"""From runs to a verdict: the numbers are those of statistics.py, the words follow from them."""

import dataclasses
import json
import math

import numpy as np
import pytest

from rnnexp.record.result import TestOutcomes
from rnnexp.verdict import sequential, statistics, text
from rnnexp.verdict.judge import judge
from rnnexp.verdict.values import Arm, Candidate, Choice, Run, Search

NUM_EXAMPLES = 4000
LABELS = (np.arange(NUM_EXAMPLES) % 10).astype(np.uint8)


def outcomes(is_right):
    losses = np.where(is_right, 0.05, 3.0).astype(np.float32)
    return TestOutcomes(LABELS, np.where(is_right, LABELS, (LABELS + 1) % 10).astype(np.uint8), losses)


def arm(name, accuracy, seeds=range(1000, 1005), with_examples=True, spread=0.003):
    """Returns an arm whose runs err at random, about as often as said."""
    generator = np.random.default_rng([len(name), *name.encode()])
    runs = []
    for seed in seeds:
        is_right = generator.random(NUM_EXAMPLES) < accuracy + generator.normal(0, spread)
        metrics = {"test_accuracy": is_right.mean(), "test_loss": np.where(is_right, 0.05, 3.0).mean()}
        metrics |= {"num_test": NUM_EXAMPLES, "num_parameters": 1000.0, "train_seconds": 60.0 + seed % 7, "epochs": 5.0}
        runs.append(Run(f"final/{name}/{seed}", seed, metrics, outcomes(is_right) if with_examples else None))
    return Arm(name, runs)


def test_the_numbers_are_those_of_the_statistics():
    a, b = arm("a", 0.97), arm("b", 0.90)
    found = judge("c", [a, b])
    hits_a, hits_b = (np.stack([run.outcomes.predicted == LABELS for run in x.runs]).astype(float) for x in (a, b))
    assert found.arms[0].accuracy.mean == pytest.approx(hits_a.mean())
    assert (found.arms[0].accuracy.low, found.arms[0].accuracy.high) == pytest.approx(
        statistics.mean(hits_a).interval()
    )
    assert found.arms[0].accuracy.std == pytest.approx(hits_a.mean(1).std(ddof=1))
    expected = statistics.difference(hits_a, hits_b, True)
    [pair] = found.pairs
    assert pair.is_paired
    assert (pair.difference, pair.low, pair.high) == pytest.approx((expected.mean, *expected.interval()))
    assert pair.p == pair.p_corrected == expected.p_value()
    assert pair.verdict == "better"
    assert pair.probability == 1
    assert pair.sentence.startswith("a is better than b: 9")
    assert "points [+" in pair.sentence


def test_seeds_are_paired_by_their_number_and_not_by_their_order():
    a, b = arm("a", 0.97), arm("b", 0.9)
    shuffled = Arm("b", b.runs[::-1])
    assert judge("c", [a, b]).pairs[0].low == judge("c", [a, shuffled]).pairs[0].low
    apart = judge("c", [a, arm("b", 0.9, seeds=range(5))]).pairs[0]
    assert not apart.is_paired
    assert not judge("c", [a, arm("b", 0.9, seeds=range(1000, 1004))]).pairs[0].is_paired


def test_the_p_values_of_several_pairs_are_corrected():
    found = judge("c", [arm("a", 0.95), arm("b", 0.94), arm("d", 0.93)])
    assert [pair.p_corrected for pair in found.pairs] == statistics.holm([pair.p for pair in found.pairs])
    assert [(pair.a, pair.b) for pair in found.pairs] == [("a", "b"), ("a", "d"), ("b", "d")]
    assert any("Holm" in text for text in found.method)


def test_arms_that_differ_by_chance_are_not_told_apart():
    [pair] = judge("c", [arm("a", 0.95), arm("b", 0.95)], smallest_effect=0.003).pairs
    assert pair.verdict == "undecided"
    assert pair.replicates_needed >= 2
    needed = f"about {pair.replicates_needed} seeds each would be needed to see a difference of 0.30 points"
    assert needed in pair.sentence
    assert pair.sentence.startswith("a and b can't be told apart at this budget: they differ by ")


def test_a_difference_that_the_examples_hide_is_said_to_be_hidden():
    hard = np.random.default_rng(0).random(NUM_EXAMPLES) < 0.1
    other = np.random.default_rng(1).random(NUM_EXAMPLES) < 0.1

    def always(name, is_hard):
        metrics = {"test_accuracy": 1 - is_hard.mean(), "test_loss": 0.1, "num_parameters": 1, "train_seconds": 1}
        return Arm(name, [Run(name, s, metrics | {"epochs": 1}, outcomes(~is_hard)) for s in range(3)])

    [pair] = judge("c", [always("a", hard), always("b", other)], smallest_effect=0.001).pairs
    assert pair.replicates_needed is None
    least = text.points(statistics.minimum_detectable_effect(difference_of(hard, other))).lstrip("+")
    assert pair.sentence.endswith(
        f"; 4,000 test examples can show a difference of {least} points, not the 0.10 points of the smallest effect of "
        "interest: more of them would help, more seeds little."
    )


def difference_of(hard, other):
    hits = [np.stack([~is_hard] * 3).astype(float) for is_hard in (hard, other)]
    return statistics.difference(*hits, True)


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        ([(0.99, 0.85), (0.86, 0.99)], "2 searches an arm are too few: the interval spans everything"),
        (
            [(0.95, 0.9, 0.96, 0.88), (0.9, 0.95, 0.88, 0.95)],
            "4 searches an arm are too few: the interval is as wide as it is by the chance between searches",
        ),
    ],
)
def test_where_few_searches_make_the_interval_more_searches_are_what_would_help(shares, why):
    arms = []
    for place, (name, of) in enumerate(zip("ab", shares, strict=True)):
        hard = np.random.default_rng(place).random(NUM_EXAMPLES) < 0.1  # for every search of the arm
        runs = tuned(name, of).runs
        found = [
            dataclasses.replace(run, outcomes=outcomes((run.outcomes.predicted == LABELS) & ~hard)) for run in runs
        ]
        arms.append(Arm(name, found, tuned(name, of).choices))
    [pair] = judge("c", arms, replicate="search").pairs
    assert (pair.verdict, pair.replicates_needed) == ("undecided", None)
    assert f"; {why}; with many more, 4,000 test examples could show a difference of " in pair.sentence
    assert pair.sentence.endswith(" points, not the 0.20 points of the smallest effect of interest.")


def test_runs_without_images_have_wider_intervals():
    with_examples = judge("c", [arm("a", 0.95), arm("b", 0.95)])
    without = judge("c", [arm("a", 0.95, with_examples=False), arm("b", 0.95)])
    width = [pair.high - pair.low for pair in (with_examples.pairs[0], without.pairs[0])]
    assert width[1] > width[0]
    assert any("not every run kept a record" in text for text in without.method)


def test_one_run_each_decides_nothing():
    found = judge("c", [arm("a", 0.99, seeds=[1]), arm("b", 0.5, seeds=[1])])
    assert found.arms[0].accuracy.low is None
    assert found.pairs[0].verdict == "undecided"
    assert found.pairs[0].sentence == "a and b can't be told apart by one seed; type compare.seeds=5 or more."
    assert json.loads(found.to_json())["pairs"][0]["p"] is None


def test_other_test_examples_are_not_paired_example_by_example():
    a, b = arm("a", 0.95), arm("b", 0.95)
    flipped = [
        Run(r.path, r.seed, r.metrics, TestOutcomes(LABELS[::-1].copy(), r.outcomes.predicted, r.outcomes.losses))
        for r in b.runs
    ]
    other = judge("c", [a, Arm("b", flipped)]).pairs[0]
    variance = sum(statistics.binomial_variance(np.mean(x.values("test_accuracy")), NUM_EXAMPLES) for x in (a, b))
    accuracies = [x.values("test_accuracy") for x in (a, b)]
    expected = statistics.difference_of_runs(*accuracies, variance, True)
    assert (other.low, other.high) == pytest.approx(expected.interval())


def test_an_interval_stays_where_accuracies_can_be():
    wild = Arm(
        "a",
        [
            Run(
                "a",
                s,
                {
                    "test_accuracy": x,
                    "test_loss": 1.0,
                    "num_test": 9,
                    "num_parameters": 1,
                    "train_seconds": 1,
                    "epochs": 1,
                },
            )
            for s, x in enumerate((0.1, 0.99))
        ],
    )
    found = judge("c", [wild, arm("b", 0.95)])
    assert (found.arms[0].accuracy.low, found.arms[0].accuracy.high) == (0, 1)


def test_the_table_fits_and_the_json_is_whole():
    found = judge("c", [arm("a", 0.95), arm("b", 0.9)], warnings=["beware"])
    lines = text.lines(found, 80)
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "warning: beware"
    assert any(line.startswith("a - b  +") for line in lines)
    loaded = json.loads(found.to_json())
    assert loaded["arms"][0]["accuracy"]["mean"] == found.arms[0].accuracy.mean
    assert not any(isinstance(x, float) and math.isnan(x) for x in loaded["arms"][0]["accuracies"])


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_keeps_estimates_intervals_p_values_and_verdicts_whole(width):
    arms = [arm(name, 0.9) for name in ("model=gru model.readout=mean", "model=lstm model.readout=last")]
    choices = [Choice(search=Search("search/x", 20, 20, 0, 0, 100, 619.0, 0.9, [0.9]))]
    found = judge("c", [dataclasses.replace(one, choices=choices) for one in arms])
    lines = text.lines(found, width)
    assert max(map(len, lines)) <= width
    for row, result in zip(lines[1:3], found.arms, strict=True):
        interval = result.accuracy
        assert f"  {100 * interval.mean:.2f}   [{100 * interval.low:.2f}, {100 * interval.high:.2f}]" in row
    [pair] = found.pairs
    row = lines[5]
    assert f"  {100 * pair.difference:+.2f}   [{100 * pair.low:+.2f}, {100 * pair.high:+.2f}]" in row
    assert text.p_text(pair.p_corrected) in row
    assert row.endswith(pair.verdict)
    assert ("parameters" in lines[0], "P(better)" in lines[4]) == (width == 120, width == 120)


def test_arms_that_differ_by_less_than_matters_are_the_same():
    [pair] = judge("c", [arm("a", 0.95), arm("b", 0.95)], smallest_effect=0.05).pairs
    assert pair.verdict == "same"
    assert pair.p_same < 0.05
    assert pair.sentence.startswith("a and b are the same within 5.00 points: they differ by ")
    [both] = judge("c", [arm("a", 0.96), arm("b", 0.93)], smallest_effect=0.06).pairs
    assert both.verdict == "same"
    assert "(and by more than nothing, p " in both.sentence


def tuned(name, accuracies, seeds_each=1, spread=0.0):
    """Returns an arm with a search for each accuracy, and runs of its winner."""
    runs = []
    for search, accuracy in enumerate(accuracies):
        seeds = range(1000 + search * seeds_each, 1000 + (search + 1) * seeds_each)
        found = arm(f"{name}{search}", accuracy, seeds, spread=spread).runs
        runs += [dataclasses.replace(run, search=search) for run in found]
    search = Search(
        "search/x", 10, 10, 0, 0, 30, 60.0, 0.9, [0.8, 0.9], trial_epochs=[3.0] * 2, trial_seconds=[5.0, 6.0]
    )
    return Arm(name, runs, [Choice(["optim.lr=1"], "python", search) for _ in accuracies])


def test_searches_are_replicates_with_all_runs_of_their_winners():
    a, b = tuned("a", [0.97, 0.9, 0.95], 2), tuned("b", [0.9, 0.92, 0.88], 2)
    found = judge("c", [a, b], replicate="search")
    rows = [
        np.stack([np.mean([r.outcomes.predicted == LABELS for r in x.runs if r.search == k], 0) for k in range(3)])
        for x in (a, b)
    ]
    expected = statistics.difference(*rows, True)
    [pair] = found.pairs
    assert pair.is_paired
    assert (pair.low, pair.high) == pytest.approx(expected.interval())
    assert pair.high - pair.low > 0.05  # searches differ more than seeds do
    assert "This is about the two configurations" not in pair.sentence
    assert found.arms[0].anytime["epochs"].budget[0] == 3
    [lead] = found.leads["seconds"]
    assert (lead.a, lead.b) == ("a", "b")
    assert any("all searches with the seeds of their winners" in text for text in found.method)


def test_one_search_each_says_what_it_is_about():
    [pair] = judge("c", [tuned("a", [0.97], 5), tuned("b", [0.9], 5)]).pairs
    assert pair.sentence.endswith(
        "This is about the two configurations that one search each has found (compare.searches=1)."
    )
    [untuned] = judge("c", [arm("a", 0.97), arm("b", 0.9)]).pairs
    assert "one search each" not in untuned.sentence


def test_looks_share_the_false_alarms():
    a, b = arm("a", 0.95, range(20), spread=0.002), arm("b", 0.944, range(20), spread=0.002)
    now = judge("c", [a, b])
    looked = judge("c", [a, b], looks=[5, 10, 15, 20], planned=20)
    assert [look.replicates for look in looked.looks] == [5, 10, 15, 20]
    assert looked.looks[-1].p_values == [now.pairs[0].p]
    assert [look.level for look in looked.looks] == sequential.levels([0.25, 0.5, 0.75, 1.0], 0.05)
    expected = sequential.p_value([look.p_values[0] for look in looked.looks], [0.25, 0.5, 0.75, 1.0])
    assert looked.pairs[0].p == pytest.approx(expected)
    assert looked.pairs[0].high - looked.pairs[0].low > now.pairs[0].high - now.pairs[0].low
    assert any("Looks at 25, 50, 75, 100 % of all planned seeds" in text for text in looked.method)


def test_looks_that_were_not_planned_decide_nothing():
    a, b = arm("a", 0.95, range(3), spread=0.004), arm("b", 0.94, range(3), spread=0.004)
    first = judge("c", [a, b])
    assert first.pairs[0].verdict == "undecided"
    a, b = (Arm(x.name, [*x.runs, *arm(x.name, m, range(3, 30)).runs]) for x, m in ((a, 0.95), (b, 0.94)))
    assert judge("c", [a, b]).pairs[0].verdict == "better"
    later = judge("c", [a, b], looks=[3, 30], planned=None)
    assert (later.pairs[0].p, later.pairs[0].verdict) == (first.pairs[0].p, "undecided")
    assert later.pairs[0].difference != first.pairs[0].difference


def test_how_far_the_order_of_a_search_held_is_said():
    candidates = [Candidate([], 0.9, 0.92), Candidate([], 0.89, 0.95), Candidate([], 0.88, None)]
    choice = dataclasses.replace(tuned("a", [0.9]).choices[0], candidates=candidates)
    a = dataclasses.replace(tuned("a", [0.95]), choices=[choice] * 2)
    found = judge("c", [a, tuned("b", [0.9])])
    assert (found.arms[0].selection.kept, found.arms[0].selection.pairs) == (4, 6)
    assert found.notes == [
        "a: of 6 pairs among the best of a search, 4 kept their order at the final size (rank correlation +0.33)."
    ]
    assert found.arms[1].selection is None
    once = judge("c", [dataclasses.replace(a, choices=[choice]), tuned("b", [0.9])])
    assert once.arms[0].selection.pairs == 3
    assert once.notes == []  # so few pairs say nothing
