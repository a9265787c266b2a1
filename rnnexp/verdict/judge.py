"""What a comparison concludes: each arm with its interval, each pair with a difference and a sentence.

An arm is one configuration run with several seeds. How the numbers come about is `statistics.py`'s matter, how
they are put into words `text.py`'s.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hydra_sweep.errors import UserError
from rnnexp.record.result import TestOutcomes
from rnnexp.verdict import statistics
from rnnexp.verdict.statistics import Estimate
from rnnexp.verdict.text import method_sentences, sentence
from rnnexp.verdict.values import ALPHA, POWER, SMALLEST_EFFECT, Arm, ArmResult, Interval, Pair, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable


def judge(
    name: str,
    arms: Sequence[Arm],
    *,
    metric: str = "test_accuracy",
    smallest_effect: float = SMALLEST_EFFECT,
    warnings: Sequence[str] = (),
    method: Sequence[str] = (),
) -> Verdict:
    """Returns the verdict on arms of at least one run each.

    Args:
        metric: test_accuracy, or valid_accuracy of runs that were not tested.
        smallest_effect: a difference that would matter, to say how many seeds would show it.
    """
    loss, num_examples = metric.replace("accuracy", "loss"), _num_examples(arms, metric)
    results = [
        ArmResult(
            name=arm.name,
            overrides=arm.overrides,
            command=arm.command,
            seeds=[run.seed for run in arm.runs],
            runs=[run.path for run in arm.runs],
            accuracies=arm.values(metric),
            losses=arm.values(loss),
            accuracy=Interval.of(_mean(arm, metric, num_examples), 0, 1),
            loss=Interval.of(_mean(arm, loss, num_examples), 0),
            num_parameters=round(arm.mean("num_parameters")),
            train_seconds=arm.mean("train_seconds"),
            epochs=arm.mean("epochs"),
            search=arm.search,
        )
        for arm in arms
    ]
    couples = list(itertools.combinations(arms, 2))
    found = [_difference(a, b, metric, num_examples) for a, b in couples]
    known = [i for i, (estimate, _) in enumerate(found) if not math.isnan(estimate.p_value())]
    corrected = dict(zip(known, statistics.holm([found[i][0].p_value() for i in known]), strict=True))
    pairs = [
        _pair(a, b, metric, num_examples, estimate, is_paired, corrected.get(i), len(couples), smallest_effect)
        for i, ((a, b), (estimate, is_paired)) in enumerate(zip(couples, found, strict=True))
    ]
    has_examples = all(_scores(arm, metric) is not None for arm in arms)
    return Verdict(
        name,
        metric,
        "complete",
        results,
        pairs,
        list(warnings),
        [*method, *method_sentences(metric, has_examples, len(couples))],
    )


def _num_examples(arms: Sequence[Arm], metric: str) -> int:
    """Returns how many examples the runs were measured on; the fewest, if they differ.

    Raises:
        UserError: a run doesn't say.
    """
    part, found = metric.partition("_")[0], []
    for run in (run for arm in arms for run in arm.runs):
        if run.outcomes is not None and part == "test":
            found.append(len(run.outcomes.labels))
        elif run.metrics.get(f"num_{part}", 0) > 0:
            found.append(int(run.metrics[f"num_{part}"]))
        else:
            raise UserError(f"{run.path} doesn't record how many examples it was measured on; run it again")
    return min(found)


def _scores(arm: Arm, metric: str) -> np.ndarray[Any, Any] | None:
    """Returns what each run of an arm made of each example, (S, N), or None if one kept no record."""
    outcomes = [run.outcomes for run in arm.runs]
    if not metric.startswith("test_") or any(o is None for o in outcomes):
        return None
    first = outcomes[0]
    assert first is not None
    of: Callable[[TestOutcomes], Any] = _hits if metric.endswith("accuracy") else lambda o: o.losses
    if any(o is None or not np.array_equal(o.labels, first.labels) for o in outcomes):
        return None
    return np.stack([of(o) for o in outcomes if o is not None]).astype(float)


def _hits(outcomes: TestOutcomes) -> Any:
    return outcomes.predicted == outcomes.labels


def _mean(arm: Arm, metric: str, num_examples: int) -> Estimate:
    if (scores := _scores(arm, metric)) is not None:
        return statistics.mean(scores)
    return statistics.mean_of_runs(arm.values(metric), _example_variance(arm, metric, num_examples))


def _example_variance(arm: Arm, metric: str, num_examples: int) -> float:
    """Returns a bound for accuracies; a loss without single examples has an interval for its seeds alone."""
    return statistics.binomial_variance(arm.mean(metric), num_examples) if metric.endswith("accuracy") else 0.0


def _difference(a: Arm, b: Arm, metric: str, num_examples: int) -> tuple[Estimate, bool]:
    """Returns a's mean less b's, and whether the runs were paired by seed."""
    a_seeds, b_seeds = ([run.seed for run in arm.runs] for arm in (a, b))
    is_paired = len(a_seeds) > 1 and sorted(a_seeds) == sorted(b_seeds) and len(set(a_seeds)) == len(a_seeds)
    if is_paired:
        a, b = (dataclasses.replace(arm, runs=sorted(arm.runs, key=lambda run: run.seed)) for arm in (a, b))
    a_scores, b_scores = _scores(a, metric), _scores(b, metric)
    if a_scores is not None and b_scores is not None and _read_the_same_examples(a, b):
        return statistics.difference(a_scores, b_scores, is_paired), is_paired
    variance = sum(_example_variance(arm, metric, num_examples) for arm in (a, b))
    return statistics.difference_of_runs(a.values(metric), b.values(metric), variance, is_paired), is_paired


def _read_the_same_examples(a: Arm, b: Arm) -> bool:
    one, other = a.runs[0].outcomes, b.runs[0].outcomes
    return one is not None and other is not None and np.array_equal(one.labels, other.labels)


def _pair(
    a: Arm,
    b: Arm,
    metric: str,
    num_examples: int,
    found: Estimate,
    is_paired: bool,
    p_corrected: float | None,
    num_pairs: int,
    smallest_effect: float,
) -> Pair:
    interval = Interval.of(found, -1, 1)
    share: tuple[float, float | None, float | None]
    if min(len(a.runs), len(b.runs)) > 1:
        share = statistics.probability_of_improvement(a.values(metric), b.values(metric))
    else:
        share = (float(a.mean(metric) > b.mean(metric)) + 0.5 * (a.mean(metric) == b.mean(metric)), None, None)
    alpha = ALPHA / num_pairs
    needed = None if p_corrected is None else statistics.seeds_needed(found, smallest_effect, alpha, POWER)
    verdict = "undecided"
    if p_corrected is not None and p_corrected < ALPHA:
        verdict = "better" if found.mean > 0 else "worse"
    pair = Pair(
        a=a.name,
        b=b.name,
        difference=found.mean,
        low=interval.low,
        high=interval.high,
        p=None if p_corrected is None else found.p_value(),
        p_corrected=p_corrected,
        is_paired=is_paired,
        probability=share[0],
        probability_low=share[1],
        probability_high=share[2],
        verdict=verdict,
        seeds_needed=needed,
        sentence="",
    )
    limit = statistics.minimum_detectable_effect(found, alpha, POWER)
    return dataclasses.replace(
        pair, sentence=sentence(pair, a.mean(metric), b.mean(metric), smallest_effect, limit, num_examples)
    )
