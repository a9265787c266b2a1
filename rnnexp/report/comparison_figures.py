"""The figures of a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rnnexp.report.drawing import (
    COLORS,
    INK,
    MARKERS,
    PAPER,
    Drawing,
    Marks,
    Sample,
    make_axes,
    sample_of,
    short,
    slug,
    styled,
    turned,
    whole_numbers,
)

FEW_SEARCHES = 3  # of fewer, Student's t alone makes the interval of a mean as wide as the figure


@styled
def arm_curves(arms: Mapping[str, Sequence[pd.DataFrame]]) -> Drawing:
    """Returns each arm's learning curves over its runs."""
    figure, axes = make_axes(2, 2)
    samples: list[Sample] = []
    cells = [("valid", "loss", 1), ("valid", "accuracy", 100), ("train", "loss", 1), ("train", "accuracy", 100)]
    for place, (name, histories) in enumerate(arms.items()):
        sample = sample_of(name, place)
        samples.append(sample)
        for axis, (part, quantity, factor) in zip(axes, cells, strict=True):
            column = f"{part}_{quantity}"
            rows = pd.concat([h[["epoch", column]] for h in histories]).groupby("epoch")[column]
            mean, low, high = (factor * found for found in (rows.mean(), rows.min(), rows.max()))
            style: dict[str, Any] = {"color": sample.get_color(), "linestyle": sample.dash}
            axis.plot(mean.index, mean, **style, gid=f"s{place}.{column}")
            if len(histories) > 1:
                axis.fill_between(
                    mean.index, low, high, color=sample.get_color(), alpha=0.2, linewidth=0, gid=f"s{place}.b{column}"
                )
    for axis, (part, quantity, _) in zip(axes, cells, strict=True):
        axis.set_title("validation" if part == "valid" else "training")
        axis.set(xlabel="epoch", ylabel="loss (nats per example)" if quantity == "loss" else "accuracy (%)")
        whole_numbers(axis)
    note = "Lines are means over the runs with fresh seeds, bands reach from the lowest to the highest of them."
    return Drawing("arm-curves", "Learning curves of the final runs", note, figure, samples)


@styled
def forest(
    names: Sequence[str],
    intervals: Sequence[Mapping[str, Any]],
    dots: Sequence[Sequence[float]],
    part: str,
    several: str = "seeds",
    folders: Sequence[Sequence[str]] = (),
) -> Drawing:
    """Returns each arm's mean with its interval, and its runs as dots; all accuracies in [0, 1].

    Args:
        several: what is repeated, seeds or searches.
        folders: of the runs.
    """
    figure, (axes,) = make_axes(width=7.5, height=0.55 * len(names) + 1.1)
    samples: list[Sample] = []
    marks: list[Marks] = []
    for place, (name, interval, values) in enumerate(zip(names, intervals, dots, strict=True)):
        color, marker, gid = COLORS[place % len(COLORS)], MARKERS[turned(place)], f"s{place}"
        heights = [place + 0.22] * len(values)
        (line,) = axes.plot([100 * v for v in values], heights, ".", color=color, alpha=0.7, gid=f"{gid}.d")
        runs = folders[place] if folders else [""] * len(values)
        marks.append(Marks.of(line, [f"{name}, run {run}" if run else name for run in runs], runs))
        if interval["low"] is not None:
            (line,) = axes.plot(
                [100 * interval["low"], 100 * interval["high"]],
                [place, place],
                color=color,
                linewidth=2.4,
                gid=f"{gid}.i",
            )
            marks.append(Marks.of(line, [f"{name}, {end} end of its interval" for end in ("lower", "upper")]))
        (line,) = axes.plot([100 * interval["mean"]], [place], marker=marker, color=color, markersize=8, gid=f"{gid}.m")
        marks.append(Marks.of(line, f"{name}, mean"))
        samples.append(sample_of(name, place, marker=marker, linestyle="-"))
    axes.set_yticks(range(len(names)), [short(name, 40) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(f"{part} accuracy (%)")
    axes.grid(False, axis="y")
    note = f"Marks are means, lines 95 % intervals for all {several} and examples of this kind, dots single runs."
    return Drawing("forest", "How good is each arm", note, figure, samples, marks)


@styled
def differences(pairs: Sequence[Mapping[str, Any]], smallest_effect: float) -> Drawing:
    """Returns each pair's difference with its interval, in percentage points, and the smallest effect of interest."""
    figure, (axes,) = make_axes(width=7.5, height=0.5 * len(pairs) + 1.1)
    colors = {"better": COLORS[2], "worse": COLORS[1], "same": COLORS[0], "undecided": COLORS[7]}
    marks: list[Marks] = []
    for place, pair in enumerate(pairs):
        color = colors[pair["verdict"]]
        if pair["low"] is not None:
            axes.plot([100 * pair["low"], 100 * pair["high"]], [place, place], color=color, linewidth=2.4)
        is_open = pair["verdict"] == "undecided"
        (line,) = axes.plot(
            [100 * pair["difference"]],
            [place],
            marker="o",
            color=color,
            markerfacecolor=PAPER if is_open else color,
            markersize=8,
        )
        marks.append(Marks.of(line, f"{pair['a']} - {pair['b']}: {pair['verdict']}"))
    axes.axvline(0, color=INK, linewidth=1)
    axes.axvspan(-100 * smallest_effect, 100 * smallest_effect, color=COLORS[7], alpha=0.15, linewidth=0)
    names = [(short(pair["a"], 40), short(pair["b"], 40)) for pair in pairs]
    axes.set_yticks(range(len(pairs)), [f"{a}{' ' if len(a + b) < 40 else chr(10)}- {b}" for a, b in names])
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.set_xlabel("difference in accuracy (percentage points)")
    axes.grid(False, axis="y")
    note = (
        "Right of 0 the first of the two is better. Filled: told apart, after correction for all pairs, or, in blue, "
        "the same within the gray band of differences too small to matter; hollow: neither."
    )
    return Drawing("differences", "Is one better", note, figure, marks=marks)


@styled
def searches(arms: Mapping[str, Sequence[Sequence[float]]], objective: str, larger_is_better: bool) -> Drawing:
    """Returns what each trial of each arm's searches reached, and the best so far of each search."""
    columns = min(3, len(arms))
    rows = math.ceil(len(arms) / columns)
    figure, axes = make_axes(columns, rows, height=2.7 * rows, width=9.6 if columns > 1 else 5)
    factor, label = scale_of(objective)
    marks: list[Marks] = []
    for axis, (name, found) in zip(axes, arms.items(), strict=False):
        for number, values in enumerate(found):
            reached = factor * np.array(values, float)
            gid = f"{slug(name)}-{number}"
            style: dict[str, Any] = {
                "linestyle": "",
                "marker": "o",
                "markersize": 3.5,
                "color": COLORS[0],
                "alpha": 0.6,
            }
            (line,) = axis.plot(reached, **style, gid=f"s0.{gid}")
            marks.append(Marks.of(line, f"{name}, search {number + 1}"))
            best = (np.fmax if larger_is_better else np.fmin).accumulate(reached)
            axis.step(range(len(best)), best, where="post", color=INK, linewidth=1.2, gid=f"s1.{gid}")
        axis.set(title=short(name, 32), xlabel="trial", ylabel=label)
        if axis is not axes[0]:
            axis.sharey(axes[0])
        whole_numbers(axis)
    for axis in axes[len(arms) :]:
        axis.axis("off")
    samples = [sample_of("trials", 0, linestyle="", marker="o"), sample_of("best so far", 1, color=INK, linestyle="-")]
    note = (
        "Each dot is a trial of one of the arm's searches, each line the best so far of a search. Where lines still "
        "climb at the end, more trials may help; how far apart they end is the chance of searching."
    )
    return Drawing("searches", "Optimization history of each search", note, figure, samples, marks)


@styled
def selection(arms: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], objective: str) -> Drawing:
    """Returns what the best few trials of each search reached when they ran again, against what they reached before.

    Args:
        arms: of each, and of each of its searches, the candidates: searched, again, and whether it was chosen.
    """
    figure, (axes,) = make_axes(width=7.5, height=4.6)
    factor, label = scale_of(objective)
    samples: list[Sample] = []
    marks: list[Marks] = []
    for place, (name, found) in enumerate(arms.items()):
        color, marker = COLORS[place % len(COLORS)], MARKERS[turned(place)]
        for number, candidates in enumerate(found):
            known = [each for each in candidates if each["again"] is not None]
            axes.plot(
                [factor * each["searched"] for each in known],
                [factor * each["again"] for each in known],
                color=color,
                linewidth=0.8,
                alpha=0.5,
                gid=f"s{place}.l{number}",
            )
            for rank, each in enumerate(known):
                (line,) = axes.plot(
                    [factor * each["searched"]],
                    [factor * each["again"]],
                    linestyle="",
                    marker=marker,
                    color=color,
                    markerfacecolor=color if each["is_chosen"] else PAPER,
                    gid=f"s{place}.c{number}-{rank}",
                )
                told = f"{name}, search {number + 1}{', chosen' if each['is_chosen'] else ''}"
                marks.append(Marks.of(line, f"{told}\n{' '.join(each.get('overrides', []))}"))
        samples.append(sample_of(name, place, marker=marker, linestyle=""))
    axes.set(xlabel=f"{label}, in the search", ylabel=f"{label}, at the final size")
    note = (
        "Each line joins the best few trials of one search; the filled one was chosen. A line that falls to the right "
        "says that the search's order was reversed at the final size."
    )
    return Drawing("selection", "Did the search's order hold", note, figure, samples, marks)


@styled
def anytime(
    arms: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]], objective: str, num_searches: int
) -> Drawing:
    """Returns the best validation result so far against epochs and seconds, the mean of each arm's searches.

    Args:
        num_searches: that each arm has; the band of fewer than `FEW_SEARCHES` would cover everything.
    """
    costs = [cost for cost in ("epochs", "seconds") if all(cost in curves for curves in arms.values())]
    figure, axes = make_axes(len(costs), width=9.6 if len(costs) > 1 else 6)
    factor, label = scale_of(objective)
    most = 100.0 if objective.endswith("accuracy") else np.inf
    samples = [sample_of(name, place) for place, name in enumerate(arms)]
    for axis, cost in zip(axes, costs, strict=True):
        late: list[Any] = []
        for place, curves in enumerate(arms.values()):
            curve, sample = curves[cost], samples[place]
            style: dict[str, Any] = {"color": sample.get_color(), "linestyle": sample.dash}
            reached = factor * np.array(curve["expected"])
            axis.plot(curve["budget"], reached, **style, drawstyle="steps-post", gid=f"s{place}.{cost}")
            late.append(reached[len(reached) // 4 :])
            if len(curve["low"]) and num_searches >= FEW_SEARCHES:
                low, high = (np.minimum(factor * np.array(curve[name]), most) for name in ("low", "high"))
                axis.fill_between(
                    curve["budget"],
                    low,
                    high,
                    color=sample.get_color(),
                    alpha=0.15,
                    linewidth=0,
                    step="post",
                    gid=f"s{place}.b{cost}",
                )
        # The lines are to be seen, however wide the bands and however bad the first trials.
        least, highest = np.concatenate(late).min(), np.concatenate(late).max()
        room = 0.05 * factor if least == highest else 0.3 * (highest - least)
        axis.set_ylim(least - room, min(highest + room, most))
        axis.set(
            xlabel={"epochs": "epochs of a search", "seconds": "training time of a search (s)"}[cost], ylabel=label
        )
    bands = "bands are 95 % intervals of that mean"
    if num_searches < FEW_SEARCHES:
        few = "1 search of an arm has" if num_searches == 1 else f"{num_searches} searches of an arm have"
        bands = f"{few} no band: an interval needs {FEW_SEARCHES} or more to say anything"
    note = (
        f"What a search has reached after so much training, on average over its arm; {bands}. What the first quarter "
        "reached may lie below. Times are those of a machine that did other things as well."
    )
    return Drawing("anytime", "How good after how much", note, figure, samples)


@styled
def leads(found: Sequence[Mapping[str, Any]]) -> Drawing:
    """Returns the probability that a search of one arm is ahead of one of another, against epochs."""
    figure, (axes,) = make_axes(width=7.5)
    samples: list[Sample] = []
    for place, lead in enumerate(found):
        sample = sample_of(f"{lead['a']} ahead of {lead['b']}", place)
        style: dict[str, Any] = {"color": sample.get_color(), "linestyle": sample.dash}
        axes.plot(lead["budget"], lead["probability"], **style, gid=f"s{place}.p")
        if len(lead["low"]):
            axes.fill_between(
                lead["budget"],
                lead["low"],
                lead["high"],
                color=sample.get_color(),
                alpha=0.1,
                linewidth=0,
                gid=f"s{place}.b",
            )
        samples.append(sample)
    axes.axhline(0.5, color=INK, linewidth=1)
    axes.set(xlabel="epochs of a search", ylabel="probability of being ahead", ylim=(-0.02, 1.02))
    note = "At 0.5 neither is ahead. Bands are 95 %, by the searches that there are, at each point alone."
    return Drawing("leads", "Which leads after how much", note, figure, samples)


def scale_of(objective: str) -> tuple[float, str]:
    """Returns the factor and the label of an axis that shows what a search improves."""
    if objective.endswith("accuracy"):
        return 100.0, "validation accuracy (%)"
    if objective.endswith("_loss"):
        return 1.0, "validation loss (nats)"
    return 1.0, objective.replace("valid_", "validation ").replace("_", " ")


@styled
def expected_best(arms: Mapping[str, Mapping[str, Sequence[float]]]) -> Drawing:
    """Returns each arm's expected best of n trials with its band; the curves have n, expected, low and high."""
    figure, (axes,) = make_axes(width=7.5)
    samples: list[Sample] = []
    for place, (name, curve) in enumerate(arms.items()):
        sample = sample_of(name, place)
        style: dict[str, Any] = {"color": sample.get_color(), "linestyle": sample.dash}
        axes.plot(
            curve["n"],
            100 * np.array(curve["expected"]),
            **style,
            gid=f"s{place}.e",
            marker="." if len(curve["n"]) == 1 else None,
        )
        axes.fill_between(
            curve["n"],
            100 * np.array(curve["low"]),
            100 * np.array(curve["high"]),
            color=sample.get_color(),
            alpha=0.12,
            linewidth=0,
            gid=f"s{place}.b",
        )
        samples.append(sample)
    expected = 100 * np.concatenate([curve["expected"] for curve in arms.values()])
    room = 0.5 + 0.6 * np.ptp(expected)  # the lines are to be seen, however wide the bands are
    axes.set_ylim(max(0.0, expected.min() - room), min(100.5, expected.max() + room))
    axes.set(xlabel="trials of the search, n", ylabel="best validation accuracy (%)")
    whole_numbers(axes)
    note = (
        "How good the best of n trials is on average (Tang et al. 2020): a flat line says that more tuning won't help. "
        "Bands are 95 % for all n at once, if trials are independent draws, as a random search's are."
    )
    return Drawing("expected-best", "Expected best of n trials", note, figure, samples)
