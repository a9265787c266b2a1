"""What comparisons on several data sets say together: ranks, tests over data sets, wins and losses.

Of each data set there is one number an arm: its mean test accuracy. What is tested is whether one arm tends to be ahead
of another on data sets like these (Demsar 2006, JMLR 7, 1; Benavoli, Corani and Mangili 2016, JMLR 17, 5): Friedman's
test asks whether there is any difference among the arms, Wilcoxon's signed-rank test, corrected by Holm's method, about
each pair, as in the critical-difference diagrams of the UCR archive.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from hydra_sweep.errors import UserError, counted
from rnnexp.verdict import statistics
from rnnexp.verdict.text import equals_p, p_text, percent, points
from rnnexp.verdict.values import ALPHA, BETTER, OPPOSITE, UNDECIDED, WORSE, Verdict

VERSION = 1
MOST_NAMED = 3  # pairs in a sentence; the table has all of them
NUM_RESAMPLES = 2000  # of the interquartile means' intervals
METHOD = (
    "Of each data set an arm has one number, its mean accuracy. Pairs are tested by Wilcoxon's signed-rank test over "
    "the data sets, corrected for their number (Holm 1979), all arms together by Friedman's test (Demsar 2006; "
    "Benavoli et al. 2016). Wins, draws and losses are the verdicts on single data sets.",
    "Interquartile means leave out the lowest and the highest quarter of an arm's runs over all data sets; their 95 % "
    "intervals are a bootstrap that draws the runs of each data set anew (Agarwal et al. 2021).",
)


@dataclass(frozen=True)
class ArmAcross:
    """An arm over all data sets; `ranks` and `accuracies` are in the order of the data sets, rank 1 is the best."""

    name: str
    mean_rank: float
    ranks: list[float]
    accuracies: list[float]
    interquartile_mean: float
    interquartile_low: float | None
    interquartile_high: float | None


@dataclass(frozen=True)
class PairAcross:
    """Arm a against arm b: by how much it is ahead on average, and on how many data sets it wins, draws and loses."""

    a: str
    b: str
    difference: float
    p: float
    p_corrected: float
    wins: int
    draws: int
    losses: int
    verdict: str  # better, worse or undecided
    sentence: str


@dataclass(frozen=True)
class DataResult:
    """A data set: its name, the folder of its own comparison, and the mean and interval of each arm."""

    name: str
    folder: str
    accuracies: list[float]
    lows: list[float | None]
    highs: list[float | None]
    runs: list[list[float]]  # of each arm, the accuracy of each run


@dataclass(frozen=True)
class Across:
    """What datasets.json holds. Arms are in the order of their mean ranks, the best one first."""

    name: str
    metric: str
    data: list[DataResult]
    arms: list[ArmAcross]
    pairs: list[PairAcross]
    friedman_p: float | None
    groups: list[list[str]]  # arms next to each other in rank of which no pair can be told apart
    verdict: list[str]
    warnings: list[str]
    method: list[str]
    version: int = VERSION

    def to_json(self) -> str:
        """Returns it as it is recorded."""
        return json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False) + "\n"


def across(name: str, verdicts: Sequence[Verdict], folders: Sequence[str]) -> Across:
    """Returns what the verdicts on several data sets, which all have the same arms, say together.

    Args:
        folders: of the data sets' own comparisons.

    Raises:
        UserError: there are fewer than two, or they compare different arms.
    """
    if len(verdicts) < 2:
        raise UserError("to compare across data sets takes at least two of them")
    names = [arm.name for arm in verdicts[0].arms]
    for verdict in verdicts:
        if sorted(arm.name for arm in verdict.arms) != sorted(names):
            others = ", ".join(arm.name for arm in verdict.arms)
            raise UserError(f"{verdict.name} compares {others}, where {verdicts[0].name} compares {', '.join(names)}")
    results = [{arm.name: arm for arm in verdict.arms} for verdict in verdicts]
    means = np.array([[found[name].accuracy.mean for name in names] for found in results])
    ranks = stats.rankdata(-means, axis=1)
    order = np.argsort(ranks.mean(0), kind="stable").tolist()
    names, means, ranks = [names[i] for i in order], means[:, order], ranks[:, order]
    arms = []
    for place, arm in enumerate(names):
        runs = [found[arm].accuracies for found in results]
        middle, low, high = interquartile_mean(runs)
        arms.append(
            ArmAcross(
                arm,
                float(ranks[:, place].mean()),
                ranks[:, place].tolist(),
                means[:, place].tolist(),
                middle,
                low,
                high,
            )
        )
    pairs = _pairs(names, means, verdicts)
    friedman = float(stats.friedmanchisquare(*means.T).pvalue) if len(names) > 2 and np.ptp(ranks) > 0 else None
    data = [
        DataResult(
            verdict.name,
            folder,
            [found[arm].accuracy.mean for arm in names],
            [found[arm].accuracy.low for arm in names],
            [found[arm].accuracy.high for arm in names],
            [found[arm].accuracies for arm in names],
        )
        for verdict, folder, found in zip(verdicts, folders, results, strict=True)
    ]
    groups = _groups(names, pairs)
    said = [_overview(arms, len(data), friedman), *(pair.sentence for pair in pairs if pair.verdict != UNDECIDED)]
    if alike := [pair for pair in pairs if pair.verdict == UNDECIDED]:
        said.append(_alike(alike, len(pairs), len(data)))
    warnings = [f"{verdict.name}: {text}" for verdict in verdicts for text in verdict.warnings]
    if (least := 2 / 2 ** len(data)) * len(pairs) >= ALPHA:
        warnings.append(
            f"with {counted(len(data), 'data set')} the smallest p-value of a pair is {p_text(least)}, which no "
            f"correction for {counted(len(pairs), 'pair')} leaves below {ALPHA:g}: more data sets are needed"
        )
    return Across(name, verdicts[0].metric, data, arms, pairs, friedman, groups, said, warnings, list(METHOD))


def interquartile_mean(runs: Sequence[Sequence[float]]) -> tuple[float, float | None, float | None]:
    """Returns the mean of the middle half of all runs, and its 95 % interval; none where a data set has a single run.

    Args:
        runs: of each data set, the accuracy of each run.
    """

    def middle(
        *samples: np.ndarray[tuple[int, ...], np.dtype[np.float64]], axis: int = -1
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        whole: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = stats.trim_mean(
            np.concatenate(samples, axis), 0.25, axis
        )
        return whole

    value = float(middle(*(np.asarray(of, float) for of in runs)))
    if any(len(of) < 2 for of in runs) or all(len(set(of)) == 1 for of in runs):
        return value, None, None
    found = stats.bootstrap(
        [np.asarray(of, float) for of in runs],
        middle,
        n_resamples=NUM_RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return value, float(found.low), float(found.high)


def _pairs(names: Sequence[str], means_DA: statistics.Array, verdicts: Sequence[Verdict]) -> list[PairAcross]:
    couples = list(itertools.combinations(range(len(names)), 2))
    p_values = [_wilcoxon(means_DA[:, a], means_DA[:, b]) for a, b in couples]
    found = []
    for (a, b), p, corrected in zip(couples, p_values, statistics.holm(p_values), strict=True):
        single = [_verdict_of(verdict, names[a], names[b]) for verdict in verdicts]
        wins, losses = single.count(BETTER), single.count(WORSE)
        difference = float((means_DA[:, a] - means_DA[:, b]).mean())
        signs = float(
            stats.rankdata(np.abs(means_DA[:, a] - means_DA[:, b])) @ np.sign(means_DA[:, a] - means_DA[:, b])
        )
        verdict = UNDECIDED if corrected >= ALPHA else BETTER if signs > 0 else WORSE
        pair = PairAcross(
            names[a], names[b], difference, p, corrected, wins, len(single) - wins - losses, losses, verdict, ""
        )
        found.append(dataclasses.replace(pair, sentence=_sentence(pair, len(verdicts))))
    return found


def _wilcoxon(a: statistics.Array, b: statistics.Array) -> float:
    """Returns the p-value of the signed-rank test; exact where there are few data sets and no ties."""
    return 1.0 if np.array_equal(a, b) else float(stats.wilcoxon(a, b, zero_method="pratt").pvalue)


def _verdict_of(verdict: Verdict, a: str, b: str) -> str:
    """Returns what is concluded of a against b, whichever of the two comes first."""
    for pair in verdict.pairs:
        if (pair.a, pair.b) == (a, b):
            return pair.verdict
        if (pair.a, pair.b) == (b, a):
            return OPPOSITE[pair.verdict]
    raise AssertionError(f"{verdict.name} has no pair of {a} and {b}")


def _groups(names: Sequence[str], pairs: Sequence[PairAcross]) -> list[list[str]]:
    """Returns the longest runs of arms, in the order of their ranks, of which no pair can be told apart."""
    apart = {frozenset((pair.a, pair.b)) for pair in pairs if pair.verdict != UNDECIDED}
    found: list[list[str]] = []
    for first in range(len(names)):
        last = first
        while last + 1 < len(names) and not any(
            frozenset((names[i], names[last + 1])) in apart for i in range(first, last + 1)
        ):
            last += 1
        group = list(names[first : last + 1])
        if len(group) > 1 and not any(set(group) <= set(before) for before in found):
            found.append(group)
    return found


def _overview(arms: Sequence[ArmAcross], num_data: int, friedman: float | None) -> str:
    ranks = ", ".join(f"{arm.name} {arm.mean_rank:.2f}" for arm in arms)
    text = f"Mean ranks over {counted(num_data, 'data set')}: {ranks}"
    return f"{text}." if friedman is None else f"{text} (Friedman's test of any difference: {equals_p(friedman)})."


def _alike(alike: Sequence[PairAcross], num_pairs: int, num_data: int) -> str:
    over = f"over {counted(num_data, 'data set')}"
    if len(alike) <= MOST_NAMED:
        named = ", ".join(f"{pair.a} and {pair.b} ({equals_p(pair.p_corrected)})" for pair in alike)
        return f"Can't be told apart {over}: {named}."
    least = min(alike, key=lambda pair: pair.p_corrected)
    apart = (
        f"None of the {num_pairs} pairs can"
        if len(alike) == num_pairs
        else f"{len(alike)} of the {num_pairs} pairs can't"
    )
    return f"{apart} be told apart {over}; nearest to it are {least.a} and {least.b} ({equals_p(least.p_corrected)})."


def _sentence(pair: PairAcross, num_data: int) -> str:
    record = f"{pair.wins} won, {pair.draws} drawn, {pair.losses} lost, {points(pair.difference)} points on average"
    p = equals_p(pair.p_corrected)
    if pair.verdict == UNDECIDED:
        return f"{pair.a} and {pair.b} can't be told apart over {counted(num_data, 'data set')}: {record}, {p}."
    return f"{pair.a} is {pair.verdict} than {pair.b} over {counted(num_data, 'data set')}: {record}, {p}."


def lines(found: Across, width: int) -> list[str]:
    """Returns the table and the verdict for a terminal."""
    import textwrap

    import pandas as pd

    from hydra_sweep.text_table import table
    from rnnexp.results.columns import columns

    rows = [
        {"data set": data.name}
        | {arm.name: percent(value) for arm, value in zip(found.arms, data.accuracies, strict=True)}
        for data in found.data
    ]
    rows.append({"data set": "mean rank"} | {arm.name: f"{arm.mean_rank:.2f}" for arm in found.arms})
    shown = [*table(columns(pd.DataFrame(rows)), width, ["data set"], []), ""]
    said = [*found.verdict, *(f"warning: {text}" for text in found.warnings)]
    return shown + [line for text in said for line in textwrap.wrap(text, max(width, 20), subsequent_indent="  ")]
