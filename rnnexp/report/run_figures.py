"""The figures of one run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

from rnnexp.report.drawing import (
    COLORS,
    INK,
    MARKERS,
    Drawing,
    Marks,
    Sample,
    make_axes,
    sample_of,
    styled,
    whole_numbers,
)

MAX_NUMBERS = 25  # classes whose counts are written into the matrix
MAX_LINES = 8  # features of a series that are drawn


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
    losses.set_ylabel("loss (nats per example)")
    accuracies.set_ylabel("accuracy (%)")
    note = "Lower loss and higher accuracy are better; where validation turns and training does not, it overfits."
    return Drawing("curves", "Learning curves", note + " The dotted line is the kept epoch.", figure, samples)


PANELS = (("valid", "loss", 1), ("valid", "accuracy", 100), ("train", "loss", 1), ("train", "accuracy", 100))


@styled
def several_curves(histories: Mapping[str, pd.DataFrame], folders: Mapping[str, str]) -> Drawing:
    """Returns the learning curves of some runs in one figure.

    Args:
        folders: of each run, where its page is.
    """
    figure, axes = make_axes(2, 2)
    samples: list[Sample] = []
    marks: list[Marks] = []
    for place, (name, history) in enumerate(histories.items()):
        sample = sample_of(name, place)
        samples.append(sample)
        for axis, (part, quantity, factor) in zip(axes, PANELS, strict=True):
            values = factor * history[f"{part}_{quantity}"]
            style: dict[str, Any] = {"color": sample.get_color(), "linestyle": sample.dash}
            style["marker"] = "." if len(history) == 1 else None
            (line,) = axis.plot(history["epoch"], values, **style, gid=f"s{place}.{part}_{quantity}")
            marks.append(Marks.of(line, name, folders[name]))
    for axis, (part, quantity, _) in zip(axes, PANELS, strict=True):
        of = "validation" if part == "valid" else "training"
        axis.set(xlabel="epoch", ylabel=f"{of} loss (nats)" if quantity == "loss" else f"{of} accuracy (%)")
        whole_numbers(axis)
    note = "Each line is a run, as far as it has come. Lower loss and higher accuracy are better."
    return Drawing("chosen-curves", "Learning curves", note, figure, samples, marks)


@styled
def reported(history: pd.DataFrame, label: str) -> Drawing:
    """Returns what a trial has reported to its sweep; `history` has step and value."""
    figure, (axes,) = make_axes(width=7.5)
    axes.plot(
        history["step"], history["value"], color=COLORS[0], marker="o" if len(history) < 50 else None, markersize=4
    )
    axes.set(xlabel="step", ylabel=label)
    whole_numbers(axes)
    return Drawing("reported", "What it reported", "The value that the search was told, step by step.", figure)


@styled
def learning_rate(history: pd.DataFrame) -> Drawing:
    figure, (axes,) = make_axes(height=2.6)
    (line,) = axes.plot(history["epoch"], history["lr"], color=COLORS[0], marker="o", markersize=4)
    axes.set(xlabel="epoch", ylabel="learning rate of its last step")
    whole_numbers(axes)
    note = "What the schedule made of optim.lr, epoch by epoch."
    return Drawing("learning-rate", "Learning rate", note, figure, marks=[Marks.of(line, "")])


@styled
def confusion(counts: Any, names: Sequence[str]) -> Drawing:
    """Returns the matrix of how often each class was predicted for each label; of many classes, without the numbers."""
    number = len(names)
    side = min(max(4.6, 0.22 * number), 11.0)
    figure, (axes,) = make_axes(width=side + 0.6, height=side)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    rgba = np.zeros((*share.shape, 4))  # one blue, more or less opaque, so that it suits a light and a dark page
    rgba[..., :3] = to_rgb(COLORS[0])
    rgba[..., 3] = np.sqrt(share)
    axes.imshow(rgba)
    has_numbers = number <= MAX_NUMBERS
    cells = [(int(row), int(column)) for row, column in np.argwhere(counts)]
    told = [f"{names[i]} predicted as {names[j]}\n{counts[i, j]:,} of {counts[i].sum():,}" for i, j in cells]
    for (row, column), count in np.ndenumerate(counts):
        if count and has_numbers:
            color = "white" if share[row, column] > 0.7 else INK
            size = 8.0 if number <= 12 and len(str(counts.max())) < 5 else 6.0
            axes.text(column, row, f"{count}", ha="center", va="center", color=color, fontsize=size)
    shown = [shortened(name, 16) for name in names]
    size = 10.0 if number <= 12 else max(4.0, min(9.0, 0.6 * 72 * side / number))
    is_wide = max(map(len, shown)) > 3 or number > 40
    axes.set(xlabel="predicted", ylabel="label", xticks=range(number), yticks=range(number))
    axes.set_xticklabels(shown, fontsize=size, rotation=90 if is_wide else 0)
    axes.set_yticklabels(shown, fontsize=size)
    axes.grid(False)
    note = "Each row is a class of the test set, each column a predicted class; off the diagonal are mistakes."
    note += " A stronger blue is a larger share of the row."
    marks = Marks(axes, [column for _, column in cells], [row for row, _ in cells], told, is_read=False)
    return Drawing("confusion", "Confusion matrix", note, figure, marks=[marks])


MISTAKES_NOTE = (
    "The test examples with the highest loss among the wrong ones: what each is and, beside it, the probability that "
    "the network gave this label; below, what it predicted."
)


@styled
def mistaken_images(images: Any, labels: Sequence[str], predicted: Sequence[str], shares: Sequence[float]) -> Drawing:
    """Returns the images that cost the most, (K, H, W) or (K, H, W, C), with what they are and what was predicted.

    Gray ones are drawn dark on light; floats from the lowest to the highest value of all.
    """
    columns = 5
    rows = math.ceil(len(images) / columns)
    figure, axes = make_axes(columns, rows, width=7, height=1.75 * rows)
    if images.dtype == np.uint8:
        low, high = 0.0, 255.0
    else:
        low, high = float(np.min(images)), float(np.max(images))
    colored = images.ndim == 4 and images.shape[3] == 3
    if colored:
        images = np.clip((images - low) / ((high - low) or 1), 0, 1)
    elif images.ndim == 4:
        images = images.mean(3)
    for place, axis in enumerate(axes):
        axis.axis("off")
        if place < len(images):
            style: dict[str, Any] = {} if colored else {"cmap": "gray_r", "vmin": low, "vmax": high}
            axis.imshow(images[place], interpolation="none", **style)
            axis.set_title(_mistake(labels[place], predicted[place], shares[place]), fontsize=8, color=INK)
    return Drawing("mistakes", "Worst mistakes", MISTAKES_NOTE, figure)


@styled
def mistaken_series(series: Any, labels: Sequence[str], predicted: Sequence[str], shares: Sequence[float]) -> Drawing:
    """Returns the series that cost the most, (K, T, I) with NaN past their ends, a line for each feature."""
    columns = 4
    rows = math.ceil(len(series) / columns)
    figure, axes = make_axes(columns, rows, width=8, height=1.7 * rows)
    num_features = series.shape[2]
    for place, axis in enumerate(axes):
        if place >= len(series):
            axis.axis("off")
            continue
        values = series[place]
        values = values[~np.isnan(values).all(1)]
        for feature in range(min(num_features, MAX_LINES)):
            axis.plot(values[:, feature], color=COLORS[feature % len(COLORS)], linewidth=0.9)
        axis.set_title(_mistake(labels[place], predicted[place], shares[place]), fontsize=8, color=INK)
        axis.tick_params(labelsize=7)
        whole_numbers(axis)
    more = f" The first {MAX_LINES} of {num_features} features." if num_features > MAX_LINES else ""
    more = more or (" A line for each feature." if num_features > 1 else "")
    return Drawing("mistakes", "Worst mistakes", f"{MISTAKES_NOTE}{more}", figure)


def _mistake(label: str, predicted: str, share: float) -> str:
    return f"{shortened(label, 18)} (p = {share:.1g})\npredicted {shortened(predicted, 18)}"


def shortened(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 3]}..."
