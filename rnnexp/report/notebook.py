"""What a notebook shows of a run, a sweep or a comparison: a table or two and one small figure, as a piece of HTML.

It has no colors of its own for text and lines, so that it can be read on a dark background, too; names that come from
folders and records are escaped. Whole pages are `rnnexp.report.write`'s.
"""

from __future__ import annotations

import html
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hydra_sweep.errors import escape_unprintable
from rnnexp.report.drawing import COLORS, MARKERS, Drawing, make_axes, sample_of, short, styled, whole_numbers
from rnnexp.results.formats import to_html

WIDTH, HEIGHT = 4.4, 1.9  # inches of a figure
ADAPTIVE = {"var(--ink)": "currentColor", "var(--grid)": "rgba(128, 128, 128, 0.3)", "var(--paper)": "none"}
MAX_CHARACTERS = 1000  # of a title or a line


def cell(title: str, lines: Sequence[str], tables: Sequence[pd.DataFrame], drawing: Drawing | None = None) -> str:
    """Returns HTML for the output of a notebook's cell."""
    parts = [f"<div><strong>{_text(title)}</strong></div>", *(f"<div>{_text(line)}</div>" for line in lines)]
    parts += [to_html(table) for table in tables if len(table)]
    if drawing:
        parts.append(svg(drawing))
    return f'<div class="rnnexp">{"".join(parts)}</div>'


def svg(drawing: Drawing) -> str:
    """Returns a figure in the colors of whatever is around it."""
    text = drawing.svg()
    for variable, color in ADAPTIVE.items():
        text = text.replace(variable, color)
    return text


@styled
def curves(epochs: pd.DataFrame) -> Drawing:
    """Returns the accuracies of a run's epochs, of which there must be some."""
    figure, (axes,) = make_axes(width=WIDTH, height=HEIGHT)
    for place, (part, name) in enumerate((("train", "training"), ("valid", "validation"))):
        accuracies = 100 * epochs[f"{part}_accuracy"]
        if accuracies.notna().any():
            sample = sample_of(name, place)
            style = {"color": sample.get_color(), "linestyle": sample.dash, "marker": MARKERS[place]}
            axes.plot(epochs["epoch"], accuracies, label=name, markersize=3, **style)
    axes.set(xlabel="epoch", ylabel="accuracy (%)")
    whole_numbers(axes)
    axes.legend(frameon=False, fontsize="small")
    return Drawing(_key(epochs), "Learning curves", "", figure)


@styled
def search(trials: pd.DataFrame, objective: str, is_maximized: bool) -> Drawing:
    """Returns the objective of each trial and the best so far.

    Args:
        trials: with `trial` and the objective, a row for each trial that has one; there must be some.
    """
    figure, (axes,) = make_axes(width=WIDTH, height=HEIGHT)
    best = trials[objective].cummax() if is_maximized else trials[objective].cummin()
    axes.plot(trials["trial"], trials[objective], ".", color=COLORS[0], label="trial")
    axes.step(trials["trial"], best, where="post", color=COLORS[1], label="best so far")
    axes.set(xlabel="trial", ylabel=short(objective, 30))
    whole_numbers(axes)
    axes.legend(frameon=False, fontsize="small")
    return Drawing(_key(trials[[objective]]), "Trials", "", figure)


@styled
def arms(names: Sequence[str], intervals: Sequence[Mapping[str, Any]]) -> Drawing:
    """Returns the mean accuracy of each arm with its 95 % interval.

    Args:
        intervals: `mean`, `low` and `high` of each, fractions; the ends are None where one can't tell.
    """
    figure, (axes,) = make_axes(width=WIDTH, height=0.9 + 0.3 * len(names))
    for place, (name, of) in enumerate(zip(names, intervals, strict=True)):
        mean, low, high = (100 * (of["mean"] if of[end] is None else of[end]) for end in ("mean", "low", "high"))
        axes.errorbar(
            mean,
            place,
            xerr=[[max(0, mean - low)], [max(0, high - mean)]],
            fmt=MARKERS[place % len(MARKERS)],
            color=COLORS[place % len(COLORS)],
            capsize=3,
            label=name,
        )
    axes.set_yticks(range(len(names)), [short(name, 24) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("accuracy (%)")
    return Drawing(_key(pd.DataFrame(list(intervals))), "Accuracies", "", figure)


def _key(frame: pd.DataFrame) -> str:
    """Returns the beginning of a figure's ids: two outputs of one notebook must not share theirs."""
    return f"rnnexp-{zlib.crc32(frame.to_csv().encode()):08x}"


def _text(text: str) -> str:
    return html.escape(escape_unprintable(text[:MAX_CHARACTERS]))
