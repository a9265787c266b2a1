"""What a comparison concludes: each arm with its interval, each pair with a difference and a sentence.

An arm is one configuration run with several seeds. How the numbers come about is `stats.py`'s matter, where the runs
come from `compare.py`'s.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hydra_sweep.errors import counted
from hydra_sweep.text_table import table
from rnnexp import stats
from rnnexp.schema import TEST_FILE_SIZE
from rnnexp.stats import Estimate
from rnnexp.store import TestOutcomes
from rnnexp.table import columns

if TYPE_CHECKING:
    from collections.abc import Callable

ALPHA = 0.05
POWER = 0.8
SMALLEST_EFFECT = 0.002
VERSION = 1


@dataclass(frozen=True)
class Run:
    """A complete run of an arm; `outcomes` is None where it kept no record of single test images."""

    path: str
    seed: int
    metrics: Mapping[str, float]
    outcomes: TestOutcomes | None = None


@dataclass(frozen=True)
class Search:
    """What finding an arm's configuration took; `values` are its trials' validation accuracies, in their order."""

    folder: str
    trials: int
    complete: int
    pruned: int
    failed: int
    epochs: int
    seconds: float
    best_value: float
    values: list[float]
    curve: dict[str, list[float]] = field(default_factory=dict)  # expected best of n trials: n, expected, low, high


@dataclass(frozen=True)
class Arm:
    """What is compared. Overrides and command tell how to run it again."""

    name: str
    runs: list[Run]
    overrides: list[str] = field(default_factory=list)
    command: str = ""
    search: Search | None = None

    def values(self, metric: str) -> list[float]:
        return [run.metrics[metric] for run in self.runs]

    def mean(self, metric: str) -> float:
        return float(np.mean(self.values(metric)))


@dataclass(frozen=True)
class Interval:
    """A mean, the standard deviation between runs, and the 95 % interval; None where one run can't tell."""

    mean: float
    std: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, found: Estimate, least: float = -math.inf, most: float = math.inf) -> Interval:
        """Cuts the interval off where no value can lie."""
        low, high = np.clip(found.interval(), least, most).tolist()
        return cls(found.mean, *(None if math.isnan(value) else value for value in (found.std, low, high)))


@dataclass(frozen=True)
class ArmResult:
    name: str
    overrides: list[str]
    command: str
    seeds: list[int]
    runs: list[str]
    accuracies: list[float]
    losses: list[float]
    accuracy: Interval
    loss: Interval
    num_parameters: int
    train_seconds: float  # mean of its runs, as is epochs
    epochs: float
    search: Search | None


@dataclass(frozen=True)
class Pair:
    """Arm a against arm b; `difference` is a's mean less b's, with its own 95 % interval."""

    a: str
    b: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_corrected: float | None
    is_paired: bool
    probability: float  # that a new run of a beats a new run of b
    probability_low: float | None
    probability_high: float | None
    verdict: str  # better, worse or undecided
    seeds_needed: int | None
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """What comparison.json holds. Accuracies are in [0, 1], losses in nats per image, times in seconds."""

    name: str
    metric: str
    state: str
    arms: list[ArmResult]
    pairs: list[Pair]
    warnings: list[str]
    method: list[str]
    version: int = VERSION

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False) + "\n"


def judge(
    name: str,
    arms: Sequence[Arm],
    *,
    metric: str = "test_accuracy",
    num_images: int = TEST_FILE_SIZE,
    smallest_effect: float = SMALLEST_EFFECT,
    warnings: Sequence[str] = (),
    method: Sequence[str] = (),
) -> Comparison:
    """Returns the verdict on arms of at least one run each.

    Args:
        metric: test_accuracy, or valid_accuracy of runs that were not tested.
        num_images: of that part of the data.
        visible: a difference that would matter, to say how many seeds would show it.
    """
    loss = metric.replace("accuracy", "loss")
    results = [
        ArmResult(
            name=arm.name,
            overrides=arm.overrides,
            command=arm.command,
            seeds=[run.seed for run in arm.runs],
            runs=[run.path for run in arm.runs],
            accuracies=arm.values(metric),
            losses=arm.values(loss),
            accuracy=Interval.of(_mean(arm, metric, num_images), 0, 1),
            loss=Interval.of(_mean(arm, loss, num_images), 0),
            num_parameters=round(arm.mean("num_parameters")),
            train_seconds=arm.mean("train_seconds"),
            epochs=arm.mean("epochs"),
            search=arm.search,
        )
        for arm in arms
    ]
    couples = list(itertools.combinations(arms, 2))
    found = [_difference(a, b, metric, num_images) for a, b in couples]
    known = [i for i, (estimate, _) in enumerate(found) if not math.isnan(estimate.p_value())]
    corrected = dict(zip(known, stats.holm([found[i][0].p_value() for i in known]), strict=True))
    pairs = [
        _pair(a, b, metric, num_images, estimate, is_paired, corrected.get(i), len(couples), smallest_effect)
        for i, ((a, b), (estimate, is_paired)) in enumerate(zip(couples, found, strict=True))
    ]
    has_images = all(_scores(arm, metric) is not None for arm in arms)
    return Comparison(
        name, metric, "complete", results, pairs, list(warnings), [*method, *_method(metric, has_images, len(couples))]
    )


def _scores(arm: Arm, metric: str) -> np.ndarray[Any, Any] | None:
    """Returns what each run of an arm made of each image, (S, N), or None if one kept no record."""
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


def _mean(arm: Arm, metric: str, num_images: int) -> Estimate:
    if (scores := _scores(arm, metric)) is not None:
        return stats.mean(scores)
    return stats.mean_of_runs(arm.values(metric), _image_variance(arm, metric, num_images))


def _image_variance(arm: Arm, metric: str, num_images: int) -> float:
    """Returns a bound for accuracies; a loss without single images has an interval for its seeds alone."""
    return stats.binomial_variance(arm.mean(metric), num_images) if metric.endswith("accuracy") else 0.0


def _difference(a: Arm, b: Arm, metric: str, num_images: int) -> tuple[Estimate, bool]:
    """Returns a's mean less b's, and whether the runs were paired by seed."""
    a_seeds, b_seeds = ([run.seed for run in arm.runs] for arm in (a, b))
    is_paired = len(a_seeds) > 1 and sorted(a_seeds) == sorted(b_seeds) and len(set(a_seeds)) == len(a_seeds)
    if is_paired:
        a, b = (dataclasses.replace(arm, runs=sorted(arm.runs, key=lambda run: run.seed)) for arm in (a, b))
    a_scores, b_scores = _scores(a, metric), _scores(b, metric)
    if a_scores is not None and b_scores is not None and _read_the_same_images(a, b):
        return stats.difference(a_scores, b_scores, is_paired), is_paired
    variance = sum(_image_variance(arm, metric, num_images) for arm in (a, b))
    return stats.difference_of_runs(a.values(metric), b.values(metric), variance, is_paired), is_paired


def _read_the_same_images(a: Arm, b: Arm) -> bool:
    one, other = a.runs[0].outcomes, b.runs[0].outcomes
    return one is not None and other is not None and np.array_equal(one.labels, other.labels)


def _pair(
    a: Arm,
    b: Arm,
    metric: str,
    num_images: int,
    found: Estimate,
    is_paired: bool,
    p_corrected: float | None,
    num_pairs: int,
    smallest_effect: float,
) -> Pair:
    interval = Interval.of(found, -1, 1)
    share: tuple[float, float | None, float | None]
    if min(len(a.runs), len(b.runs)) > 1:
        share = stats.probability_of_improvement(a.values(metric), b.values(metric))
    else:
        share = (float(a.mean(metric) > b.mean(metric)) + 0.5 * (a.mean(metric) == b.mean(metric)), None, None)
    alpha = ALPHA / num_pairs
    needed = None if p_corrected is None else stats.seeds_needed(found, smallest_effect, alpha, POWER)
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
    limit = stats.minimum_detectable_effect(found, alpha, POWER)
    return dataclasses.replace(
        pair, sentence=_sentence(pair, a.mean(metric), b.mean(metric), smallest_effect, limit, num_images)
    )


def _sentence(pair: Pair, a_mean: float, b_mean: float, smallest_effect: float, limit: float, num_images: int) -> str:
    if pair.p_corrected is None or pair.low is None or pair.high is None:
        return f"{pair.a} and {pair.b} can't be told apart by one run; type compare.seeds=5 or more."
    p = f"p = {p_text(pair.p_corrected)}".replace("= <", "<")
    by = f"{points(pair.difference)} points [{points(pair.low)}, {points(pair.high)}], {p}"
    if pair.verdict != "undecided":
        return f"{pair.a} is {pair.verdict} than {pair.b}: {percent(a_mean)} against {percent(b_mean)} %, by {by}."
    text = f"{pair.a} and {pair.b} can't be told apart at this budget: they differ by {by}"
    if pair.low > 0 or pair.high < 0:
        text += (
            " (an interval of its own that leaves out 0, but one of several: corrected for that, it might be chance)"
        )
    wanted = f"a difference of {points(smallest_effect).lstrip('+')} points"
    if pair.seeds_needed is None and limit >= smallest_effect:
        least = points(limit).lstrip("+")
        return (
            f"{text}; no number of seeds would show {wanted} on {num_images:,} images, but one from {least} points on."
        )
    if pair.seeds_needed is None:
        return f"{text}; more than {stats.MAX_SEEDS:,} seeds each would be needed to see {wanted}."
    return f"{text}; about {counted(pair.seeds_needed, 'seed')} each would be needed to see {wanted}."


def _method(metric: str, has_images: bool, num_pairs: int) -> list[str]:
    """Returns how the numbers were made, a sentence each, with sources."""
    part = "test" if metric.startswith("test_") else "validation"
    if has_images:
        images = (
            f"that of the finite {part} set, by a two-way analysis of variance of runs and images (Gallas et al. 2007)"
        )
    else:
        images = f"at most the binomial one of the finite {part} set, since not every run kept a record of each image"
    sentences = [
        "Intervals are for the mean over all seeds and all images of this kind: they join (Zou and Donner 2008) "
        f"the variance between runs, by Student's t, and {images}.",
        "They hold for these configurations: neither another search nor other training images are part of them.",
    ]
    if num_pairs > 1:
        sentences.append(
            f"Each pair's interval is its own; the p-values are corrected for {num_pairs} pairs (Holm 1979), and the "
            f"verdict follows them at {ALPHA:g}."
        )
    sentences.append(
        f"Seeds needed: to see that difference with probability {POWER:g}, given the variances found. P(better), the "
        "probability of improvement: the share of pairs of runs (Agarwal et al. 2021), interval by Newcombe (2006)."
    )
    return sentences


def percent(value: float) -> str:
    return f"{100 * value:.2f}"


def points(value: float) -> str:
    """Returns a difference of accuracies in percentage points."""
    return f"{100 * value:+.2f}"


def p_text(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def lines(comparison: Comparison, width: int) -> list[str]:
    """Returns the tables and the verdict for a terminal.

    Where there is little room, estimates, intervals, p-values and verdicts stay whole, and the rest goes.
    """
    part = comparison.metric.partition("_")[0]
    rows = []
    for arm in comparison.arms:
        row: dict[str, Any] = {"arm": arm.name, "runs": len(arm.runs), f"{part} %": percent(arm.accuracy.mean)}
        row |= {"95 % interval": _range(arm.accuracy, percent), "std": _optional(arm.accuracy.std, percent)}
        row |= {f"{part} loss": f"{arm.loss.mean:.4f}", "parameters": f"{arm.num_parameters:,}"}
        row |= {"s/run": f"{arm.train_seconds:.1f}", "epochs": f"{arm.epochs:g}"}
        if arm.search:
            row |= {"searched": _searched(arm.search)}
        rows.append(row)
    arms = pd.DataFrame(rows)
    least = [f"{part} %", "95 % interval"]
    optional = [name for name in arms.columns if name not in ("arm", *least)]
    shown = [*table(columns(arms), width, ["arm"], optional), ""]
    pairs = pd.DataFrame(
        {
            "pair": f"{pair.a} - {pair.b}",
            "points": points(pair.difference),
            "95 % interval": _range(pair, points),
            "p": _optional(pair.p_corrected, p_text),
            "P(better)": f"{pair.probability:.2f} {_range(pair, '{:.2f}'.format, 'probability_')}".rstrip(),
            "verdict": pair.verdict,
        }
        for pair in comparison.pairs
    )
    shown += [*table(columns(pairs), width, ["pair"], ["P(better)"]), ""] if len(pairs) else []
    said = [pair.sentence for pair in comparison.pairs] + [f"warning: {text}" for text in comparison.warnings]
    return shown + [line for text in said for line in textwrap.wrap(text, max(width, 20), subsequent_indent="  ")]


def _searched(search: Search) -> str:
    return f"{counted(search.trials, 'trial')}, {counted(search.epochs, 'epoch')}, {search.seconds:,.0f} s"


def _range(of: Interval | Pair, text: Callable[[float], str], prefix: str = "") -> str:
    low, high = getattr(of, f"{prefix}low"), getattr(of, f"{prefix}high")
    return "" if low is None or high is None else f"[{text(low)}, {text(high)}]"


def _optional(value: float | None, text: Callable[[float], str]) -> str:
    return "-" if value is None else text(value)
