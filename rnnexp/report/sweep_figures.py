"""The figures of a sweep or of any runs, drawn once for the page and for files. No files are read, and no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.ticker import MaxNLocator

from hydra_sweep.text_table import cell_text
from rnnexp.report.drawing import (
    COLORS,
    INK,
    MARKERS,
    PAPER,
    Drawing,
    Marks,
    Sample,
    log_if_wide,
    make_axes,
    measured,
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
def trial_curves(
    trials: Mapping[str, pd.DataFrame],
    best: str | None,
    column: str = "valid_accuracy",
    label: str = "validation accuracy (%)",
    step: str = "epoch",
) -> Drawing:
    """Returns the validation accuracy of all runs of a sweep, the best one's on top, or another column by its steps."""
    figure, (axes,) = make_axes(width=7.5)
    scale = 100 if column.endswith("_accuracy") else 1
    marks: list[Marks] = []
    for place, (name, history) in enumerate(trials.items()):
        if name != best:
            marker = "." if len(history) == 1 else None
            (line,) = axes.plot(
                history[step],
                scale * history[column],
                color=COLORS[7],
                linewidth=0.9,
                alpha=0.7,
                marker=marker,
                gid=f"s0.{place}",
            )
            marks.append(Marks.of(line, f"run {name}", name))
    samples = [sample_of("other runs", 7, linestyle="-", linewidth=0.9)]
    if best is not None and best in trials:
        history = trials[best]
        (line,) = axes.plot(
            history[step], scale * history[column], color=COLORS[1], marker="o", markersize=4, gid="s1", zorder=3
        )
        marks.append(Marks.of(line, f"run {best}, the best", best))
        samples.append(sample_of(f"best: run {best}", 1, linestyle="-", marker="o", markersize=4))
    axes.set(xlabel=step, ylabel=label)
    whole_numbers(axes)
    note = "Each line is a run; those that end early were pruned, diverged, or still run."
    return Drawing("trial-curves", "Learning curves of all runs", note, figure, samples, marks)


@styled
def optimization(trials: pd.DataFrame, label: str, is_maximized: bool, names: Sequence[str] = ()) -> Drawing:
    """Returns what each trial reached, and the best so far.

    Args:
        trials: trial, state, value, and the parameters `names`, which marks tell.
    """
    figure, (axes,) = make_axes(width=7.5)
    samples: list[Sample] = []
    marks: list[Marks] = []
    for place, (state, marker) in enumerate(STATES.items()):
        rows = trials[(trials["state"] == state) & trials["value"].notna()]
        if len(rows):
            gid, color = f"s{len(samples)}", COLORS[place]
            axes.plot(rows["trial"], rows["value"], linestyle="", marker=marker, color=color, gid=gid, markersize=6)
            samples.append(sample_of(state, place, linestyle="", marker=marker))
            marks.append(_marks(axes, rows["trial"], rows["value"], gid, rows, label, names))
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
    return Drawing("optimization", "Optimization history", note, figure, samples, marks)


def _marks(
    axes: Axes, x: Any, y: Any, series: str, trials: pd.DataFrame, label: str, names: Sequence[str] = ()
) -> Marks:
    """Returns marks that tell of each trial its number, state, value and parameters, and lead to it."""
    texts = []
    for row in trials.to_dict("records"):
        lines = [f"trial {row['trial']}, {row['state']}"]
        lines += [measured(label, row["value"])] if pd.notna(row.get("value")) else []
        lines += [f"{name}={cell_text(row[name], name)}" for name in names if pd.notna(row[name])]
        texts.append("\n".join(lines))
    return Marks(axes, x.tolist(), y.tolist(), texts, folders(trials), series, is_read=False)


def folders(trials: pd.DataFrame) -> list[str]:
    """Returns the folder of each trial; that of one with repeats holds a folder for each."""
    found: list[str] = trials["folder" if "folder" in trials else "trial"].astype(str).tolist()
    return found


@styled
def pruning(trials: pd.DataFrame, label: str = "value", step: str = "epoch") -> Drawing:
    """Returns how long each trial was let run; `trials` has trial, state and reports."""
    if len(trials) > MAX_BARS:
        return _pruning_marks(trials, label, step)
    figure, (axes,) = make_axes(width=7.5, height=min(max(2.2, 0.16 * len(trials) + 1), 9))
    samples: list[Sample] = []
    marks: list[Marks] = []
    for place, (state, (hatch, dash)) in enumerate(BARS.items()):
        rows = trials[trials["state"] == state]
        if len(rows):
            bars = axes.barh(
                rows["trial"], rows["reports"], color=COLORS[place], height=0.75, hatch=hatch, edgecolor=PAPER
            )
            for i, bar in enumerate(bars):
                bar.set_gid(f"s{len(samples)}.{i}")
            marks.append(_marks(axes, rows["reports"], rows["trial"], f"s{len(samples)}", rows, label, ["reports"]))
            samples.append(sample_of(state, place, linestyle=dash, linewidth=6))
    axes.invert_yaxis()
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel=f"{step}s run", ylabel="trial")
    whole_numbers(axes)
    note = (
        f"A bar is a trial and its length the {step}s that it was let run: short ones were pruned, and saved the rest."
    )
    return Drawing("pruning", "What was pruned when", note, figure, samples, marks)


def _pruning_marks(trials: pd.DataFrame, label: str, step: str) -> Drawing:
    """Returns the same for more trials than bars have room for."""
    figure, (axes,) = make_axes(width=9.6)
    samples: list[Sample] = []
    marks: list[Marks] = []
    for place, (state, marker) in enumerate(STATES.items()):
        rows = trials[trials["state"] == state]
        if len(rows):
            gid, color = f"s{len(samples)}", COLORS[place]
            axes.plot(rows["trial"], rows["reports"], linestyle="", marker=marker, color=color, markersize=4, gid=gid)
            marks.append(_marks(axes, rows["trial"], rows["reports"], gid, rows, label, ["reports"]))
            samples.append(sample_of(state, place, linestyle="", marker=marker))
    axes.set(xlabel="trial", ylabel=f"{step}s run")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    note = (
        f"A mark is a trial, and its height the {step}s that it was let run: low ones were pruned, and saved the rest."
    )
    return Drawing("pruning", "What was pruned when", note, figure, samples, marks)


@styled
def costs(arms: Mapping[str, pd.DataFrame], metric: str, has_means: bool = False) -> Drawing:
    """Returns accuracy against size and time.

    Args:
        arms: num_parameters, train_seconds and the metric of each run, and its folder if that is known.
    """
    figure, axes = make_axes(2)
    samples: list[Sample] = []
    marks: list[Marks] = []
    for place, (name, runs) in enumerate(arms.items()):
        marker = MARKERS[turned(place)]
        style: dict[str, Any] = {"color": COLORS[place % len(COLORS)], "marker": marker, "linestyle": ""}
        size, alpha = (4, 0.6) if has_means else (6, 0.8)
        for axis, column in zip(axes, ("num_parameters", "train_seconds"), strict=True):
            gid = f"s{place}.{column}"
            places = runs.get("folder", pd.Series("", index=runs.index)).astype(str).tolist()
            names = [f"{name}, run {folder}" if folder else name for folder in places]
            (line,) = axis.plot(runs[column], 100 * runs[metric], **style, alpha=alpha, markersize=size, gid=gid)
            marks.append(Marks.of(line, names, places))
            if has_means:
                x, y = runs[column].mean(), 100 * runs[metric].mean()
                (line,) = axis.plot(x, y, **style, markersize=10, gid=f"{gid}.mean")
                marks.append(Marks.of(line, f"{name}, mean"))
        samples.append(sample_of(name, place, marker=marker, linestyle=""))
    part = {"test": "test", "valid": "validation"}[metric.partition("_")[0]]
    for axis, column, label in zip(
        axes, ("num_parameters", "train_seconds"), ("parameters", "training time (s)"), strict=True
    ):
        axis.set(xlabel=label, ylabel=f"{part} accuracy (%)")
        log_if_wide(axis, pd.concat([runs[column] for runs in arms.values()]))
    large = "Large marks are means, small ones their runs" if has_means else "Each mark is a run"
    note = f"{large}. Up and to the left is better: more accuracy for fewer parameters, or for less time."
    return Drawing("costs", "Accuracy and what it costs", note, figure, samples, marks)


@styled
def slices(trials: pd.DataFrame, names: Sequence[str], label: str) -> Drawing:
    """Returns the value against each parameter; `trials` has state, value and the parameters."""
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure, axes = make_axes(columns, rows, height=2.7 * rows, width=9.6 if columns > 1 else 5)
    present = [state for state in STATES if (trials["state"] == state).any()]
    marks: list[Marks] = []
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
            marks.append(_marks(axis, x, shown["value"], f"s{place}", shown, label, names))
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
    return Drawing("slices", "Each parameter on its own", note, figure, samples, marks)


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
    marks: list[Marks] = []
    for place, (index, row) in enumerate(heights.iterrows()):
        shade = 0.3 + 0.6 * place / max(len(heights) - 1, 1)  # its ends would vanish on dark or on light paper
        is_best = place == len(heights) - 1
        style: dict[str, Any] = {
            "color": COLORS[1] if is_best else colors(shade),
            "linewidth": 2.6 if is_best else 1.0,
        }
        series = "s1" if is_best else "s0"
        axes.plot(
            range(len(row)),
            row.to_numpy(float),
            **style,
            alpha=1 if is_best else 0.75,
            marker="." if not is_best else "o",
            markersize=4,
            gid=series if is_best else f"{series}.{place}",
        )
        told = _marks(axes, row, row, series, known.loc[[index]], label, names)
        marks.append(replace(told, x=range(len(row)), y=row.tolist(), names=told.names[0], folders=told.folders[0]))
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
    return Drawing("parallel", "Parallel coordinates", note, figure, samples, marks)


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
    places = list(range(len(names)))
    marks = Marks(axes, [shares[name] for name in names], places, names)
    return Drawing("importance", "Parameter importance", note, figure, marks=[marks])


@styled
def pareto(trials: pd.DataFrame, labels: Sequence[str], front: Sequence[int], knee: int | None = None) -> Drawing:
    """Returns two objectives against each other; `trials` has trial and a column for each label."""
    figure, (axes,) = make_axes(width=7)
    is_front = trials["trial"].isin(front)
    marks: list[Marks] = []
    for place, (rows, name) in enumerate(((trials[~is_front], "other trials"), (trials[is_front], "Pareto front"))):
        (line,) = axes.plot(
            rows[labels[0]],
            rows[labels[1]],
            linestyle="",
            marker=MARKERS[place],
            color=(COLORS[7], COLORS[1])[place],
            gid=f"s{place}",
            label=name,
        )
        marks.append(Marks.of(line, [f"trial {number}" for number in rows["trial"]], folders(rows)))
    axes.set(xlabel=labels[0], ylabel=labels[1])
    samples = [
        sample_of("other trials", 7, linestyle="", marker="o"),
        sample_of("Pareto front", 1, linestyle="", marker="s"),
    ]
    note = "No trial is better in both objectives than one on the Pareto front."
    at_knee = trials[trials["trial"] == knee]
    if len(at_knee):
        axes.annotate(
            f"knee: trial {knee}",
            (at_knee[labels[0]].iloc[0], at_knee[labels[1]].iloc[0]),
            (8, 8),
            textcoords="offset points",
            fontsize="small",
        )
        note += f" Trial {knee}, its knee, is nearest to the best of each, as parts of the front's own ranges."
    return Drawing("pareto", "Objectives against each other", note, figure, samples, marks)
