"""The figures of a comparison across data sets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnexp.report.drawing import (
    COLORS,
    INK,
    MARKERS,
    Drawing,
    Marks,
    Sample,
    make_axes,
    sample_of,
    short,
    styled,
    turned,
)

MOST_PANELS = 6


@styled
def critical_difference(arms: Sequence[Mapping[str, Any]], groups: Sequence[Sequence[str]], num_data: int) -> Drawing:
    """Returns the arms on the axis of their mean ranks; bars join those of which no pair can be told apart.

    Args:
        arms: in the order of their ranks, each with name and mean_rank.
    """
    left = arms[: math.ceil(len(arms) / 2)]
    rows = len(left)
    figure, (axes,) = make_axes(width=9.6, height=0.9 + 0.24 * len(groups) + 0.3 * rows)
    axes.grid(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_yticks([])
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    first = 0.24 * len(groups) + 0.35
    place = {arm["name"]: arm["mean_rank"] for arm in arms}
    marks = [Marks(axes, [arm["mean_rank"]], [0], str(arm["name"])) for arm in arms]
    for number, arm in enumerate(arms):
        is_left = number < len(left)
        row = number if is_left else len(arms) - 1 - number
        height = -first - 0.3 * row
        edge = 0.7 if is_left else len(arms) + 0.3
        axes.plot([arm["mean_rank"], arm["mean_rank"], edge], [0, height, height], color=INK, linewidth=1)
        axes.plot([arm["mean_rank"]], [0], marker="o", markersize=4, color=INK, clip_on=False)
        axes.text(
            edge - 0.04 if is_left else edge + 0.04,
            height,
            f"{short(arm['name'], 26)}  {arm['mean_rank']:.2f}"
            if is_left
            else f"{arm['mean_rank']:.2f}  {short(arm['name'], 26)}",
            ha="right" if is_left else "left",
            va="center",
            clip_on=False,
        )
    for number, group in enumerate(groups):
        ranks = [place[name] for name in group]
        height = -0.18 - 0.24 * number
        axes.plot(
            [min(ranks) - 0.03, max(ranks) + 0.03],
            [height, height],
            color=COLORS[0],
            linewidth=4,
            solid_capstyle="butt",
        )
    axes.set_xlim(0.7, len(arms) + 0.3)  # the names stand outside
    axes.set_xticks(range(1, len(arms) + 1))
    axes.set_ylim(-first - 0.3 * (rows - 1) - 0.2, 0.02)
    axes.set_xlabel("mean rank (1 is the best)")
    note = (
        f"Mean ranks over {num_data} data sets. A bar joins arms of which no pair can be told apart, by Wilcoxon's "
        "signed-rank test with Holm's correction; where no bar joins two arms, they can."
    )
    return Drawing("critical-difference", "Which arm is ahead across data sets", note, figure, marks=marks)


@styled
def accuracies(data: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Drawing:
    """Returns each arm's mean with its interval on each data set."""
    step = 0.8 / len(names)
    figure, (axes,) = make_axes(width=7.5, height=0.17 * len(data) * max(2, len(names)) + 1.1)
    samples: list[Sample] = []
    marks: list[Marks] = []
    for place, name in enumerate(names):
        color, marker = COLORS[place % len(COLORS)], MARKERS[turned(place)]
        for row, of in enumerate(data):
            height, low, high = row - 0.4 + step * (place + 0.5), of["lows"][place], of["highs"][place]
            if low is not None and high is not None:
                axes.plot([100 * low, 100 * high], [height, height], color=color, linewidth=2, gid=f"s{place}.i{row}")
            (line,) = axes.plot(
                [100 * of["accuracies"][place]],
                [height],
                marker=marker,
                color=color,
                markersize=6,
                gid=f"s{place}.m{row}",
            )
            marks.append(Marks.of(line, f"{name} on {of['name']}", str(of.get("folder", ""))))
        samples.append(sample_of(name, place, marker=marker, linestyle="-"))
    axes.set_yticks(range(len(data)), [short(of["name"], 30) for of in data])
    axes.set_ylim(len(data) - 0.5, -0.5)
    axes.grid(False, axis="y")
    for row in range(1, len(data)):
        axes.axhline(row - 0.5, color=INK, linewidth=0.4, alpha=0.4)
    axes.set_xlabel("test accuracy (%)")
    note = "Marks are means, lines their 95 % intervals on that data set alone."
    return Drawing("accuracies", "How good is each arm on each data set", note, figure, samples, marks)


@styled
def against(data: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Drawing:
    """Returns a panel for each pair of arms: the accuracy of one against that of the other, a mark a data set.

    Of more pairs than there is room for, those of the best arm are shown.
    """
    pairs = list(itertools.combinations(range(len(names)), 2))
    pairs = pairs if len(pairs) <= MOST_PANELS else [pair for pair in pairs if pair[0] == 0][:MOST_PANELS]
    columns = min(3, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    figure, axes = make_axes(columns, rows, height=3.2 * rows, width=9.6 if columns > 1 else 5)
    told = [str(of.get("name", "")) for of in data]
    folders = [str(of.get("folder", "")) for of in data]
    marks: list[Marks] = []
    for axis, (a, b) in zip(axes, pairs, strict=False):
        x, y = (100 * np.array([of["accuracies"][arm] for of in data]) for arm in (b, a))
        low, high = min(x.min(), y.min()) - 2, min(max(x.max(), y.max()) + 2, 102)
        axis.plot([low, high], [low, high], color=INK, linewidth=1)
        (line,) = axis.plot(x, y, linestyle="", marker="o", color=COLORS[0])
        marks.append(Marks.of(line, told, folders))
        axis.set(
            xlim=(low, high), ylim=(low, high), xlabel=f"{short(names[b], 26)} (%)", ylabel=f"{short(names[a], 26)} (%)"
        )
        axis.set_aspect("equal")
        axis.set_title(f"{int((y > x).sum())} above, {int((y < x).sum())} below", fontsize="small")
    for axis in axes[len(pairs) :]:
        axis.axis("off")
    note = "Each mark is a data set; above the line the arm of the vertical axis has the higher accuracy."
    return Drawing("against", "Arm against arm", note, figure, marks=marks)


@styled
def profiles(data: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Drawing:
    """Returns, of each arm, the share of all runs on all data sets whose accuracy is above a threshold."""
    figure, (axes,) = make_axes(width=7.5)
    samples: list[Sample] = []
    thresholds = np.linspace(0, 100, 401)
    for place, name in enumerate(names):
        shares = np.mean([(100 * np.array(of["runs"][place])[:, None] > thresholds).mean(0) for of in data], axis=0)
        sample = sample_of(name, place)
        axes.plot(thresholds, 100 * shares, color=sample.get_color(), linestyle=sample.dash, gid=f"s{place}.p")
        samples.append(sample)
    lowest = min(min(runs) for of in data for runs in of["runs"])
    axes.set(xlim=(max(0.0, 100 * lowest - 5), 100), xlabel="accuracy (%)", ylabel="runs above it (%)")
    note = (
        "Performance profiles (Agarwal et al. 2021): of each arm, the share of runs above each accuracy, every data "
        "set with the same weight. A curve that is above another everywhere is that of the better arm."
    )
    return Drawing("profiles", "Performance profiles", note, figure, samples)
