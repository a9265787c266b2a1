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
    Sample,
    make_axes,
    sample_of,
    short,
    slug,
    styled,
    turned,
    whole_numbers,
)


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
    names: Sequence[str], intervals: Sequence[Mapping[str, Any]], dots: Sequence[Sequence[float]], part: str
) -> Drawing:
    """Returns each arm's mean with its interval, and its runs as dots; all accuracies in [0, 1]."""
    figure, (axes,) = make_axes(width=7.5, height=0.55 * len(names) + 1.1)
    samples: list[Sample] = []
    for place, (name, interval, values) in enumerate(zip(names, intervals, dots, strict=True)):
        color, marker, gid = COLORS[place % len(COLORS)], MARKERS[turned(place)], f"s{place}"
        axes.plot([100 * v for v in values], [place + 0.22] * len(values), ".", color=color, alpha=0.7, gid=f"{gid}.d")
        if interval["low"] is not None:
            axes.plot(
                [100 * interval["low"], 100 * interval["high"]],
                [place, place],
                color=color,
                linewidth=2.4,
                gid=f"{gid}.i",
            )
        axes.plot([100 * interval["mean"]], [place], marker=marker, color=color, markersize=8, gid=f"{gid}.m")
        samples.append(sample_of(name, place, marker=marker, linestyle="-"))
    axes.set_yticks(range(len(names)), [short(name, 40) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(f"{part} accuracy (%)")
    axes.grid(False, axis="y")
    note = "Marks are means over seeds, lines 95 % intervals for all seeds and examples of this kind, dots single runs."
    return Drawing("forest", "How good is each arm", note, figure, samples)


@styled
def differences(pairs: Sequence[Mapping[str, Any]]) -> Drawing:
    """Returns each pair's difference with its interval, in percentage points."""
    figure, (axes,) = make_axes(width=7.5, height=0.5 * len(pairs) + 1.1)
    colors = {"better": COLORS[2], "worse": COLORS[1], "undecided": COLORS[7]}
    for place, pair in enumerate(pairs):
        color = colors[pair["verdict"]]
        if pair["low"] is not None:
            axes.plot([100 * pair["low"], 100 * pair["high"]], [place, place], color=color, linewidth=2.4)
        is_open = pair["verdict"] == "undecided"
        axes.plot(
            [100 * pair["difference"]],
            [place],
            marker="o",
            color=color,
            markerfacecolor=PAPER if is_open else color,
            markersize=8,
        )
    axes.axvline(0, color=INK, linewidth=1)
    names = [(short(pair["a"], 40), short(pair["b"], 40)) for pair in pairs]
    axes.set_yticks(range(len(pairs)), [f"{a}{' ' if len(a + b) < 40 else chr(10)}- {b}" for a, b in names])
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.set_xlabel("difference in accuracy (percentage points)")
    axes.grid(False, axis="y")
    note = "Right of 0 the first of the two is better. Filled: told apart, after correction for all pairs; hollow: not."
    return Drawing("differences", "Is one better", note, figure)


@styled
def searches(arms: Mapping[str, Sequence[float]]) -> Drawing:
    """Returns what each trial of each arm's search reached, and the best so far; accuracies in [0, 1]."""
    columns = min(3, len(arms))
    rows = math.ceil(len(arms) / columns)
    figure, axes = make_axes(columns, rows, height=2.7 * rows, width=9.6 if columns > 1 else 5)
    for axis, (name, values) in zip(axes, arms.items(), strict=False):
        reached = 100 * np.array([np.nan if value is None else value for value in values], float)
        axis.plot(reached, linestyle="", marker="o", markersize=4, color=COLORS[0], gid="s0." + slug(name))
        if not np.isnan(reached).all():
            best = np.fmax.accumulate(reached)
            axis.step(range(len(best)), best, where="post", color=INK, linewidth=1.2, gid="s1." + slug(name))
        axis.set(title=short(name, 32), xlabel="trial", ylabel="validation accuracy (%)")
        if axis is not axes[0]:
            axis.sharey(axes[0])
        whole_numbers(axis)
    for axis in axes[len(arms) :]:
        axis.axis("off")
    samples = [sample_of("trials", 0, linestyle="", marker="o"), sample_of("best so far", 1, color=INK, linestyle="-")]
    note = "Each dot is a trial of the arm's own search; where the line still climbs at the end, more trials may help."
    return Drawing("searches", "Optimization history of each search", note, figure, samples)


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
