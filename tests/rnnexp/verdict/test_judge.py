"""From runs to a verdict: the numbers are those of statistics.py, the words follow from them."""

import dataclasses
import json
import math

import numpy as np
import pytest

from rnnexp.record.result import TestOutcomes
from rnnexp.verdict import statistics, text
from rnnexp.verdict.judge import judge
from rnnexp.verdict.values import Arm, Run, Search

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
    assert found.arms[0].accuracy.mean == hits_a.mean()
    assert (found.arms[0].accuracy.low, found.arms[0].accuracy.high) == statistics.mean(hits_a).interval()
    assert found.arms[0].accuracy.std == pytest.approx(hits_a.mean(1).std(ddof=1))
    expected = statistics.difference(hits_a, hits_b, True)
    [pair] = found.pairs
    assert pair.is_paired
    assert (pair.difference, pair.low, pair.high) == (expected.mean, *expected.interval())
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
    [pair] = judge("c", [arm("a", 0.95), arm("b", 0.95)], smallest_effect=0.02).pairs
    assert pair.verdict == "undecided"
    assert pair.seeds_needed >= 2
    assert f"about {pair.seeds_needed} seeds each would be needed to see a difference of 2.00 points" in pair.sentence
    assert pair.sentence.startswith("a and b can't be told apart at this budget: they differ by ")


def test_a_difference_that_the_examples_hide_is_said_to_be_hidden():
    hard = np.random.default_rng(0).random(NUM_EXAMPLES) < 0.1
    other = np.random.default_rng(1).random(NUM_EXAMPLES) < 0.1

    def always(name, is_hard):
        metrics = {"test_accuracy": 1 - is_hard.mean(), "test_loss": 0.1, "num_parameters": 1, "train_seconds": 1}
        return Arm(name, [Run(name, s, metrics | {"epochs": 1}, outcomes(~is_hard)) for s in range(3)])

    [pair] = judge("c", [always("a", hard), always("b", other)], smallest_effect=0.001).pairs
    assert pair.seeds_needed is None
    assert "no number of seeds would show a difference of 0.10 points on 4,000 examples, but one from" in pair.sentence


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
    assert found.pairs[0].sentence == "a and b can't be told apart by one run; type compare.seeds=5 or more."
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
    search = Search("search/x", 20, 20, 0, 0, 100, 619.0, 0.9, [0.9])
    found = judge("c", [dataclasses.replace(one, search=search) for one in arms])
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
