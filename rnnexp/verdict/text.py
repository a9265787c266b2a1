"""A verdict in words: sentences, and tables for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from hydra_sweep.errors import counted
from hydra_sweep.text_table import table
from rnnexp.results.columns import columns
from rnnexp.verdict import statistics
from rnnexp.verdict.values import ALPHA, BETTER, POWER, SAME, UNDECIDED, ArmResult, Collapsed, Interval, Pair, Verdict

SEVERAL = {"seed": "seeds", "search": "searches"}
LEAST_PAIRS = 6  # of a search's best few, fewer of which say nothing of its order


def sentence(
    pair: Pair,
    arms: tuple[ArmResult, ArmResult],
    *,
    replicate: str,
    is_searched: bool,
    smallest_effect: float,
    limit: float,
    num_replicates: int,
    num_examples: int,
    is_last_look: bool,
) -> str:
    """Returns what is concluded of a pair, and what would help where nothing can be.

    Args:
        replicate: seed or search.
        is_searched: whether a search has found the arms' configurations.
        limit: the smallest true difference that any number of replicates would show on these examples.
        num_replicates: that each arm has.
        is_last_look: whether no more replicates were planned.
    """
    if pair.p_corrected is None:
        more = f"type compare.{SEVERAL[replicate]}=5 or more"
        return f"{pair.a} and {pair.b} can't be told apart by one {replicate}; {more}."
    said = _finding(pair, arms, smallest_effect)
    if pair.verdict == UNDECIDED and pair.judged_by == "mean":
        said += "; " + _what_would_help(
            pair, replicate, smallest_effect, limit, num_replicates, num_examples, is_last_look
        )
    said += "."
    if collapsed := "; ".join(_collapsed_text(arm.name, arm.collapsed) for arm in arms if arm.collapsed.number):
        said += f" {collapsed}."
    if is_searched and replicate == "seed":
        said += " This is about the two configurations that one search each has found (compare.searches=1)."
    return said


def _finding(pair: Pair, arms: tuple[ArmResult, ArmResult], smallest_effect: float) -> str:
    assert pair.p_corrected is not None
    by = f"{points(pair.difference)} points"
    if pair.low is not None and pair.high is not None:
        by += f" [{points(pair.low)}, {points(pair.high)}]"
    if pair.judged_by == "trained" and pair.verdict != UNDECIDED:
        means = " against ".join("-" if a.collapsed.others is None else percent(a.collapsed.others.mean) for a in arms)
        often = f"and it collapsed no {'more' if pair.verdict == BETTER else 'less'} often"
        said = f"{pair.a} is {pair.verdict} than {pair.b}: {means} % where runs did not collapse"
        return f"{said}, {equals_p(pair.p_corrected)}, {often}; on average they differ by {by}"
    if pair.judged_by != "mean":
        wins = f"a new run of {pair.a} beats one of {pair.b} with probability {pair.probability:.2f}"
        if pair.probability_low is not None and pair.probability_high is not None:
            wins += f" [{pair.probability_low:.2f}, {pair.probability_high:.2f}]"
        wins += f", {equals_p(pair.p_corrected)}; on average they differ by {by}"
        if pair.verdict == UNDECIDED:
            return f"{pair.a} and {pair.b} can't be told apart: {wins}"
        return f"{pair.a} is {pair.verdict} than {pair.b}: {wins}"
    if pair.verdict == SAME:
        assert pair.p_same is not None
        within = points(smallest_effect).lstrip("+")
        text = (
            f"{pair.a} and {pair.b} are the same within {within} points: they differ by {by}, {equals_p(pair.p_same)}"
        )
        return text + (f" (and by more than nothing, {equals_p(pair.p_corrected)})" if pair.p_corrected < ALPHA else "")
    if pair.verdict != UNDECIDED:
        means = " against ".join(percent(arm.accuracy.mean) for arm in arms)
        return f"{pair.a} is {pair.verdict} than {pair.b}: {means} %, by {by}, {equals_p(pair.p_corrected)}"
    text = (
        f"{pair.a} and {pair.b} can't be told apart at this budget: they differ by {by}, {equals_p(pair.p_corrected)}"
    )
    if pair.low is not None and pair.high is not None and (pair.low > 0 or pair.high < 0):
        text += (
            " (an interval of its own that leaves out 0, but one of several: corrected for that, it might be chance)"
        )
    return text


def _what_would_help(
    pair: Pair,
    replicate: str,
    smallest_effect: float,
    limit: float,
    num_replicates: int,
    num_examples: int,
    is_last_look: bool,
) -> str:
    """Returns what would show the smallest effect of interest: more replicates, more test examples, or nothing."""
    effect, several = points(smallest_effect).lstrip("+"), SEVERAL[replicate]
    wanted = f"a difference of {effect} points"
    if pair.replicates_needed is None and limit >= smallest_effect:
        examples, least = counted(num_examples, "test example"), f"a difference of {points(limit).lstrip('+')} points"
        interest = f"not the {effect} points of the smallest effect of interest"
        half = 0.0 if pair.low is None or pair.high is None else (pair.high - pair.low) / 2
        # By examples alone the half-width would be 0.7 of the limit: at the limit, replicates add as much as they do.
        if half <= limit:
            return f"{examples} can show {least}, {interest}: more of them would help, more {several} little"
        why = "spans everything" if half >= 1 else f"is as wide as it is by the chance between {several}"
        few = f"{counted(num_replicates, replicate, several)} an arm are too few: the interval {why}"
        return f"{few}; with many more, {examples} could show {least}, {interest}"
    if pair.replicates_needed is None:
        return f"more than {statistics.MAX_REPLICATES:,} {several} each would be needed to see {wanted}"
    number = counted(pair.replicates_needed, replicate, several)
    text = f"about {number} each would be needed to see {wanted}"
    return text if not is_last_look else f"{text}, planned from the beginning by compare.max_seeds"


def _collapsed_text(name: str, found: Collapsed) -> str:
    total = round(found.number / found.share)
    share = f"of such runs, {100 * found.low:.0f} to {100 * found.high:.0f} %"
    text = f"{found.number} of {counted(total, 'run')} of {name} collapsed ({share})"
    return text if found.others is None else f"{text}; the others have {percent(found.others.mean)} %"


def selection_sentences(arms: Sequence[ArmResult]) -> list[str]:
    """Returns how far the order that the searches saw held at the final size, of each arm with enough pairs."""
    return [
        f"{arm.name}: of {counted(arm.selection.pairs, 'pair')} among the best of a search, {arm.selection.kept} kept "
        f"their order at the final size (rank correlation {arm.selection.tau:+.2f})."
        for arm in arms
        if arm.selection is not None and arm.selection.pairs >= LEAST_PAIRS
    ]


def method_sentences(
    metric: str,
    replicate: str,
    has_examples: bool,
    num_pairs: int,
    fractions: Sequence[float],
    smallest_effect: float,
) -> list[str]:
    """Returns how the numbers were made, a sentence each, with sources."""
    part = "test" if metric.startswith("test_") else "validation"
    if has_examples:
        examples = (
            f"that of the finite {part} set, by a two-way analysis of variance of {SEVERAL[replicate]} and examples "
            "(Gallas et al. 2007)"
        )
    else:
        examples = (
            f"at most the binomial one of the finite {part} set, since not every run kept a record of each example"
        )
    several = {"seed": "seeds", "search": "searches with the seeds of their winners"}[replicate]
    sentences = [
        f"Intervals are for the mean over all {several} and all examples of this kind: they join (Zou and Donner 2008) "
        f"the variance between {SEVERAL[replicate]}, by Student's t, and {examples}.",
    ]
    if replicate == "seed":
        sentences.append(
            "They hold for these configurations: neither another search nor other training examples are part of them."
        )
    if len(fractions) > 1 or fractions[0] < 1:
        seen = ", ".join(f"{100 * fraction:.0f}" for fraction in fractions)
        sentences.append(
            f"Looks at {seen} % of all planned {SEVERAL[replicate]} share the false alarms by an error-spending "
            "function of Pocock's kind (Lan and DeMets 1983): p-values and intervals hold over all looks."
        )
    if num_pairs > 1:
        sentences.append(
            f"Each pair's interval is its own; the p-values are corrected for {num_pairs} pairs (Holm 1979), and the "
            f"verdict follows them at {ALPHA:g}."
        )
    sentences += [
        f"Two arms are the same if they differ by less than {points(smallest_effect).lstrip('+')} points, the smallest "
        "effect of interest, by two one-sided tests (Schuirmann 1987).",
        f"{SEVERAL[replicate].capitalize()} needed: to see that difference with probability {POWER:g}, given the "
        "variances found. P(better), the probability of improvement: the share of pairs of runs (Agarwal et al. 2021), "
        "interval by Newcombe (2006).",
    ]
    return sentences


def percent(value: float) -> str:
    return f"{100 * value:.2f}"


def points(value: float) -> str:
    """Returns a difference of accuracies in percentage points."""
    return f"{100 * value:+.2f}"


def p_text(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def equals_p(p: float) -> str:
    """Returns it with its name: p = 0.012, or p < 0.0001."""
    return f"p = {p_text(p)}".replace("= <", "<")


def lines(comparison: Verdict, width: int) -> list[str]:
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
        if comparison.has_collapsed:
            row |= {"collapsed": f"{arm.collapsed.number} of {len(arm.runs)}"}
        if searched := searched_text(arm):
            row |= {"searched": searched}
        rows.append(row)
    arms = pd.DataFrame(rows)
    least = [f"{part} %", "95 % interval", "collapsed"]
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
    said = [pair.sentence for pair in comparison.pairs] + comparison.notes
    said += [f"warning: {text}" for text in comparison.warnings]
    return shown + [line for text in said for line in textwrap.wrap(text, max(width, 20), subsequent_indent="  ")]


def searched_text(arm: ArmResult) -> str:
    """Returns what an arm's searches took, all of them together."""
    searches = [choice.search for choice in arm.choices if choice.search is not None]
    if not searches:
        return ""
    trials = [search.trials for search in searches]
    return spent(trials, sum(search.epochs for search in searches), sum(search.seconds for search in searches))


def spent(trials: Sequence[int], epochs: int, seconds: float) -> str:
    """Returns what searches took: how many trials each had, and the epochs and seconds of all of them."""
    several = f"{counted(len(trials), 'search', 'searches')}, " if len(trials) > 1 else ""
    return f"{several}{counted(sum(trials), 'trial')}, {counted(epochs, 'epoch')}, {seconds:,.0f} s"


def _range(of: Interval | Pair, text: Callable[[float], str], prefix: str = "") -> str:
    low, high = getattr(of, f"{prefix}low"), getattr(of, f"{prefix}high")
    return "" if low is None or high is None else f"[{text(low)}, {text(high)}]"


def _optional(value: float | None, text: Callable[[float], str]) -> str:
    return "-" if value is None else text(value)
