"""The figures of a report, drawn once for the page and for files. No files are read here, and no torch is needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex, to_rgb
from matplotlib.ticker import MaxNLocator

from rnnexp.drawing import (
    COLORS,
    INK,
    MARKERS,
    PAPER,
    Drawing,
    Sample,
    log_if_wide,
    make_axes,
    sample_of,
    short,
    slug,
    styled,
    turned,
    whole_numbers,
    wrapped,
)

STATES = {"complete": "o", "pruned": "x", "diverged": "v", "failed": "s"}
BARS = {"complete": ("", "-"), "pruned": ("////", (0, (1, 0.4))), "diverged": ("xxxx", ":"), "failed": ("....", "--")}
MAX_BARS = 60


@styled
def curves(history: pd.DataFrame, best_epoch: int | None) -> Drawing:
    """Returns a run's learning curves; `history` has the columns of history.csv."""
    figure, (losses, accuracies) = make_axes(2)
    samples: list[Sample] = []
    for place, (part, name) in enumerate((("train", "training"), ("valid", "validation"))):
        sample = sample_of(name, place, marker=MARKERS[place], markersize=4)
        samples.append(sample)
        style: dict[str, Any] = {
            "color": sample.get_color(),
            "linestyle": sample.dash,
            "marker": MARKERS[place],
        }
        for axes, quantity, factor in ((losses, "loss", 1), (accuracies, "accuracy", 100)):
            values = factor * history[f"{part}_{quantity}"]
            axes.plot(history["epoch"], values, **style, markersize=4, gid=f"s{place}.{quantity}")
    for axes in (losses, accuracies):
        axes.set_xlabel("epoch")
        whole_numbers(axes)
        if best_epoch:
            axes.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=":")
    losses.set_ylabel("loss (nats per image)")
    accuracies.set_ylabel("accuracy (%)")
    note = "Lower loss and higher accuracy are better; where validation turns and training does not, it overfits."
    return Drawing("curves", "Learning curves", note + " The dotted line is the kept epoch.", figure, samples)


@styled
def learning_rate(history: pd.DataFrame) -> Drawing:
    figure, (axes,) = make_axes(height=2.6)
    axes.plot(history["epoch"], history["lr"], color=COLORS[0], marker="o", markersize=4)
    axes.set(xlabel="epoch", ylabel="learning rate of its last step")
    whole_numbers(axes)
    return Drawing("learning-rate", "Learning rate", "What the schedule made of optim.lr, epoch by epoch.", figure)


@styled
def confusion(counts: Any, names: Sequence[str]) -> Drawing:
    """Returns the matrix of how often each class was predicted for each label."""
    figure, (axes,) = make_axes(width=5.2, height=4.6)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    rgba = np.zeros((*share.shape, 4))  # one blue, more or less opaque, so that it suits a light and a dark page
    rgba[..., :3] = to_rgb(COLORS[0])
    rgba[..., 3] = np.sqrt(share)
    axes.imshow(rgba)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if share[row, column] > 0.7 else INK
            axes.text(column, row, f"{count}", ha="center", va="center", color=color, fontsize=8)
    axes.set(xlabel="predicted", ylabel="label", xticks=range(len(names)), yticks=range(len(names)))
    axes.set_xticklabels(names)
    axes.set_yticklabels(names)
    axes.grid(False)
    note = "Each row is a class of the test set, each column a predicted class; off the diagonal are mistakes."
    return Drawing("confusion", "Confusion matrix", f"{note} A stronger blue is a larger share of the row.", figure)


@styled
def mistakes(images: Any, labels: Sequence[str], predicted: Sequence[str], shares: Sequence[float]) -> Drawing:
    """Returns the images that cost the most, (N, H, W) of uint8, with what they are and what was predicted."""
    columns = 5
    rows = math.ceil(len(images) / columns)
    figure, axes = make_axes(columns, rows, width=7, height=1.75 * rows)
    for place, axis in enumerate(axes):
        axis.axis("off")
        if place < len(images):
            axis.imshow(images[place], cmap="gray_r", interpolation="none", vmin=0, vmax=255)
            title = f"{labels[place]} predicted {predicted[place]}\np = {shares[place]:.1g}"
            axis.set_title(title, fontsize=8, color=INK)
    note = "The test images with the highest loss among the wrong ones, with the probability given to the label."
    return Drawing("mistakes", "Worst mistakes", note, figure)


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
        axis.set(xlabel="epoch", ylabel="loss (nats per image)" if quantity == "loss" else "accuracy (%)")
        whole_numbers(axis)
    note = "Lines are means over the runs with fresh seeds, bands reach from the lowest to the highest of them."
    return Drawing("arm-curves", "Learning curves of the final runs", note, figure, samples)


@styled
def trial_curves(trials: Mapping[str, pd.DataFrame], best: str | None, column: str = "valid_accuracy") -> Drawing:
    """Returns the validation accuracy of all runs of a sweep, the best one's on top."""
    figure, (axes,) = make_axes(width=7.5)
    for place, (name, history) in enumerate(trials.items()):
        if name != best:
            marker = "." if len(history) == 1 else None
            axes.plot(
                history["epoch"],
                100 * history[column],
                color=COLORS[7],
                linewidth=0.9,
                alpha=0.7,
                marker=marker,
                gid=f"s0.{place}",
            )
    samples = [sample_of("other runs", 7, linestyle="-", linewidth=0.9)]
    if best is not None and best in trials:
        history = trials[best]
        axes.plot(
            history["epoch"], 100 * history[column], color=COLORS[1], marker="o", markersize=4, gid="s1", zorder=3
        )
        samples.append(sample_of(f"best: run {best}", 1, linestyle="-", marker="o", markersize=4))
    axes.set(xlabel="epoch", ylabel="validation accuracy (%)")
    whole_numbers(axes)
    note = "Each line is a run; those that end early were pruned, diverged, or still run."
    return Drawing("trial-curves", "Learning curves of all runs", note, figure, samples)


@styled
def optimization(trials: pd.DataFrame, label: str, is_maximized: bool) -> Drawing:
    """Returns what each trial reached, and the best so far; `trials` has trial, state and value."""
    figure, (axes,) = make_axes(width=7.5)
    samples: list[Sample] = []
    for place, (state, marker) in enumerate(STATES.items()):
        rows = trials[(trials["state"] == state) & trials["value"].notna()]
        if len(rows):
            gid, color = f"s{len(samples)}", COLORS[place]
            axes.plot(rows["trial"], rows["value"], linestyle="", marker=marker, color=color, gid=gid, markersize=6)
            samples.append(sample_of(state, place, linestyle="", marker=marker))
    complete = trials[(trials["state"] == "complete") & trials["value"].notna()].sort_values("trial")
    if len(complete):
        so_far = complete["value"].cummax() if is_maximized else complete["value"].cummin()
        axes.step(complete["trial"], so_far, where="post", color=INK, linewidth=1.2, gid=f"s{len(samples)}")
        samples.append(sample_of("best so far", 0, color=INK, linestyle="-", linewidth=1.2))
    axes.set(xlabel="trial", ylabel=label)
    whole_numbers(axes)
    better = "higher" if is_maximized else "lower"
    note = (
        f"Each mark is a trial, in the order of their beginnings; {better} is better. A flat step line: it has settled."
    )
    return Drawing("optimization", "Optimization history", note, figure, samples)


@styled
def pruning(trials: pd.DataFrame) -> Drawing:
    """Returns how long each trial was let run; `trials` has trial, state and reports."""
    if len(trials) > MAX_BARS:
        return _pruning_marks(trials)
    figure, (axes,) = make_axes(width=7.5, height=min(max(2.2, 0.16 * len(trials) + 1), 9))
    samples: list[Sample] = []
    for place, (state, (hatch, dash)) in enumerate(BARS.items()):
        rows = trials[trials["state"] == state]
        if len(rows):
            bars = axes.barh(
                rows["trial"], rows["reports"], color=COLORS[place], height=0.75, hatch=hatch, edgecolor=PAPER
            )
            for i, bar in enumerate(bars):
                bar.set_gid(f"s{len(samples)}.{i}")
            samples.append(sample_of(state, place, linestyle=dash, linewidth=6))
    axes.invert_yaxis()
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epochs run", ylabel="trial")
    whole_numbers(axes)
    note = "A bar is a trial and its length the epochs that it was let run: short ones were pruned, and saved the rest."
    return Drawing("pruning", "What was pruned when", note, figure, samples)


def _pruning_marks(trials: pd.DataFrame) -> Drawing:
    """Returns the same for more trials than bars have room for."""
    figure, (axes,) = make_axes(width=9.6)
    samples: list[Sample] = []
    for place, (state, marker) in enumerate(STATES.items()):
        rows = trials[trials["state"] == state]
        if len(rows):
            gid, color = f"s{len(samples)}", COLORS[place]
            axes.plot(rows["trial"], rows["reports"], linestyle="", marker=marker, color=color, markersize=4, gid=gid)
            samples.append(sample_of(state, place, linestyle="", marker=marker))
    axes.set(xlabel="trial", ylabel="epochs run")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    note = "A mark is a trial, and its height the epochs that it was let run: low ones were pruned, and saved the rest."
    return Drawing("pruning", "What was pruned when", note, figure, samples)


@styled
def costs(arms: Mapping[str, pd.DataFrame], metric: str, has_means: bool = False) -> Drawing:
    """Returns accuracy against size and time; the frames have num_parameters, train_seconds and the metric."""
    figure, axes = make_axes(2)
    samples: list[Sample] = []
    for place, (name, runs) in enumerate(arms.items()):
        marker = MARKERS[turned(place)]
        style: dict[str, Any] = {"color": COLORS[place % len(COLORS)], "marker": marker, "linestyle": ""}
        size, alpha = (4, 0.6) if has_means else (6, 0.8)
        for axis, column in zip(axes, ("num_parameters", "train_seconds"), strict=True):
            gid = f"s{place}.{column}"
            axis.plot(runs[column], 100 * runs[metric], **style, alpha=alpha, markersize=size, gid=gid)
            if has_means:
                axis.plot(runs[column].mean(), 100 * runs[metric].mean(), **style, markersize=10, gid=f"{gid}.mean")
        samples.append(sample_of(name, place, marker=marker, linestyle=""))
    part = {"test": "test", "valid": "validation"}[metric.partition("_")[0]]
    for axis, column, label in zip(
        axes, ("num_parameters", "train_seconds"), ("parameters", "training time (s)"), strict=True
    ):
        axis.set(xlabel=label, ylabel=f"{part} accuracy (%)")
        log_if_wide(axis, pd.concat([runs[column] for runs in arms.values()]))
    marks = "Large marks are means, small ones their runs" if has_means else "Each mark is a run"
    note = f"{marks}. Up and to the left is better: more accuracy for fewer parameters, or for less time."
    return Drawing("costs", "Accuracy and what it costs", note, figure, samples)


@styled
def slices(trials: pd.DataFrame, names: Sequence[str], label: str) -> Drawing:
    """Returns the value against each parameter; `trials` has state, value and the parameters."""
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure, axes = make_axes(columns, rows, height=2.7 * rows, width=9.6 if columns > 1 else 5)
    present = [state for state in STATES if (trials["state"] == state).any()]
    for axis, name in zip(axes, names, strict=False):
        known = trials[trials[name].notna() & trials["value"].notna()]
        is_number = pd.api.types.is_numeric_dtype(known[name]) and known[name].nunique() > 1
        levels = sorted(known[name].astype(str).unique())
        for place, state in enumerate(present):
            shown = known[known["state"] == state]
            x = shown[name] if is_number else shown[name].astype(str).map(levels.index)
            axis.plot(
                x,
                shown["value"],
                linestyle="",
                marker=STATES[state],
                markersize=5,
                alpha=0.8,
                gid=f"s{place}.{slug(name)}",
                color=COLORS[list(STATES).index(state)],
            )
        if is_number:
            if known[name].nunique() <= 5:  # a choice of numbers
                ticks = sorted(known[name].unique())
                axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            elif not log_if_wide(axis, known[name]) and pd.api.types.is_integer_dtype(known[name]):
                whole_numbers(axis)
        else:
            axis.set_xticks(range(len(levels)), [short(level) for level in levels])
            axis.set_xlim(-0.5, len(levels) - 0.5)
        axis.set(xlabel=name, ylabel=label)
    for axis in axes[len(names) :]:
        axis.axis("off")
    samples = [sample_of(s, list(STATES).index(s), linestyle="", marker=STATES[s]) for s in present]
    note = "Each mark is a trial that had the parameter. A trend in one panel is no proof: the others moved as well."
    return Drawing("slices", "Each parameter on its own", note, figure, samples)


@styled
def parallel(trials: pd.DataFrame, names: Sequence[str], label: str, is_maximized: bool) -> Drawing:
    """Returns all trials as lines through their parameters, colored by their value."""
    known = trials[trials["value"].notna()].sort_values("value", ascending=is_maximized)
    figure, (axes,) = make_axes(width=9.6, height=3.8)
    heights = pd.DataFrame(index=known.index)
    ticks: list[tuple[str, str]] = []
    for name in [*names, "value"]:
        column = known[name]
        if pd.api.types.is_numeric_dtype(column) and column.nunique() > 1:
            is_wide = bool(column.min() > 0 and column.max() > 10 * column.min())
            scaled = pd.Series(np.log(column), index=column.index) if is_wide else column
            heights[name] = (scaled - scaled.min()) / (scaled.max() - scaled.min())
            ticks.append((f"{column.min():.4g}", f"{column.max():.4g}"))
        else:
            levels = sorted(column.dropna().astype(str).unique())
            heights[name] = column.map(
                lambda v, levels=levels: levels.index(str(v)) / max(len(levels) - 1, 1), na_action="ignore"
            ).astype(float)
            ticks.append((short(levels[0]) if levels else "", short(levels[-1]) if len(levels) > 1 else ""))
    colors = matplotlib.colormaps["cividis"]
    for place, (_, row) in enumerate(heights.iterrows()):
        shade = 0.3 + 0.6 * place / max(len(heights) - 1, 1)  # its ends would vanish on dark or on light paper
        is_best = place == len(heights) - 1
        style: dict[str, Any] = {
            "color": COLORS[1] if is_best else colors(shade),
            "linewidth": 2.6 if is_best else 1.0,
        }
        axes.plot(
            range(len(row)),
            row.to_numpy(float),
            **style,
            alpha=1 if is_best else 0.75,
            marker="." if not is_best else "o",
            markersize=4,
            gid="s1" if is_best else f"s0.{place}",
        )
    for place, (low, high) in enumerate(ticks):
        axes.axvline(place, color=INK, linewidth=0.8)
        axes.text(place, -0.04, low, ha="center", va="top", fontsize=8)
        axes.text(place, 1.04, high, ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(ticks)), [*(f"\n{wrapped(name)}" for name in names), f"\n{wrapped(label)}"], fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.set_yticks([])
    axes.set_ylim(-0.02, 1.02)
    axes.grid(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    samples = [
        sample_of("trials: dark is worst, bright is best", 0, linestyle="-", color=to_hex(colors(0.5))),
        sample_of("best", 1, linestyle="-", linewidth=2.6),
    ]
    note = (
        "Each line is a trial; where the bright ones meet, good trials agree. A gap: the trial had no such parameter."
    )
    return Drawing("parallel", "Parallel coordinates", note, figure, samples)


@styled
def importance(shares: Mapping[str, float]) -> Drawing:
    figure, (axes,) = make_axes(width=7, height=max(1.6, 0.45 * len(shares) + 0.9))
    names = list(shares)[::-1]
    axes.barh(names, [shares[name] for name in names], color=COLORS[0], height=0.6)
    axes.set(xlabel="importance (share, sums to 1)")
    axes.grid(False, axis="y")
    note = (
        "How much each parameter decides whether a trial is among the best tenth, by PED-ANOVA (Watanabe et al. 2023). "
        "From fewer than fifty complete trials it is a rough guess."
    )
    return Drawing("importance", "Parameter importance", note, figure)


@styled
def pareto(trials: pd.DataFrame, labels: Sequence[str], front: Sequence[int]) -> Drawing:
    """Returns two objectives against each other; `trials` has trial and a column for each label."""
    figure, (axes,) = make_axes(width=7)
    is_front = trials["trial"].isin(front)
    for place, (rows, name) in enumerate(((trials[~is_front], "other trials"), (trials[is_front], "Pareto front"))):
        axes.plot(
            rows[labels[0]],
            rows[labels[1]],
            linestyle="",
            marker=MARKERS[place],
            color=(COLORS[7], COLORS[1])[place],
            gid=f"s{place}",
            label=name,
        )
    axes.set(xlabel=labels[0], ylabel=labels[1])
    samples = [
        sample_of("other trials", 7, linestyle="", marker="o"),
        sample_of("Pareto front", 1, linestyle="", marker="s"),
    ]
    note = "No trial is better in both objectives than one on the Pareto front."
    return Drawing("pareto", "Objectives against each other", note, figure, samples)


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
    note = "Marks are means over seeds, lines 95 % intervals for all seeds and images of this kind, dots single runs."
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
