"""A verdict in words: sentences, and tables for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import pandas as pd

from hydra_sweep.errors import counted
from hydra_sweep.text_table import table
from rnnexp.results.columns import columns
from rnnexp.verdict import statistics
from rnnexp.verdict.values import ALPHA, POWER, Interval, Pair, Search, Verdict


def sentence(pair: Pair, a_mean: float, b_mean: float, smallest_effect: float, limit: float, num_examples: int) -> str:
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
        least, where = points(limit).lstrip("+"), f"on {num_examples:,} examples"
        return f"{text}; no number of seeds would show {wanted} {where}, but one from {least} points on."
    if pair.seeds_needed is None:
        return f"{text}; more than {statistics.MAX_SEEDS:,} seeds each would be needed to see {wanted}."
    return f"{text}; about {counted(pair.seeds_needed, 'seed')} each would be needed to see {wanted}."


def method_sentences(metric: str, has_examples: bool, num_pairs: int) -> list[str]:
    """Returns how the numbers were made, a sentence each, with sources."""
    part = "test" if metric.startswith("test_") else "validation"
    if has_examples:
        examples = (
            f"that of the finite {part} set, by a two-way analysis of variance of runs and examples (Gallas et al. "
            "2007)"
        )
    else:
        examples = (
            f"at most the binomial one of the finite {part} set, since not every run kept a record of each example"
        )
    sentences = [
        "Intervals are for the mean over all seeds and all examples of this kind: they join (Zou and Donner 2008) "
        f"the variance between runs, by Student's t, and {examples}.",
        "They hold for these configurations: neither another search nor other training examples are part of them.",
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
