"""The figures of one run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

from rnnexp.report.drawing import (
    COLORS,
    INK,
    MARKERS,
    Drawing,
    Sample,
    make_axes,
    sample_of,
    styled,
    whole_numbers,
)


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
