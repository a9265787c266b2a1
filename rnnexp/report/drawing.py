"""What a figure is: its style, the page's and the file's form of it, its legend, and what a pointer finds in it.

Colors are Okabe and Ito's, which color-blind readers can tell apart; each series has a dash or a marker of its own as
well, so that it can be read in gray. Text, grid and background have colors that stand for the page's own: `svg` puts
style variables in their place, so that one drawing serves light and dark.

Matplotlib draws, for pages as for files. A page gives it hover and links by a list of its marks, which a few lines of
script search for the one nearest to the pointer: a figure costs some kilobytes more, where a plotting library for
browsers would add megabytes to each page and draw PNG and SVG otherwise than the page.
"""

from __future__ import annotations

import functools
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ParamSpec

import matplotlib
import numpy as np
import pandas as pd
from jinja2.utils import htmlsafe_json_dumps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

P = ParamSpec("P")
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)), (0, (3, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK, GRID, PAPER = "#1a1b1c", "#d8d9da", "#fdfeff"
VARIABLES = {INK: "var(--ink)", GRID: "var(--grid)", PAPER: "var(--paper)"}
UNIT = re.compile(r"(.*?) \(([^)]*)\)(.*)")  # in an axis' label
SERIES = re.compile(r"(s(\d+))\b.*")  # a gid, the gid of its series, and its number
MAX_MARKS = 8192  # of a figure, some forty bytes each
NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.facecolor": PAPER,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # a name may have dollars
    "xtick.color": INK,
    "ytick.color": INK,
}


class Sample(Line2D):
    """A series in a legend. Its dash is kept as it was given: a line gives back "--" for all that have no name."""

    def __init__(self, label: str, dash: Any, **kwargs: Any) -> None:
        super().__init__([], [], label=label, linestyle=dash, **kwargs)
        self.dash = dash


@dataclass(frozen=True)
class Marks:
    """Places of a figure that say what they are when a pointer is near; a click opens the page of the run that one is.

    Args:
        x, y: in the coordinates of the data.
        names: what each is called; for all of them, or one for each.
        folders: each one's run, from the page's own folder; nothing where there is none.
        series: the gid of the series that they are part of, and are hidden with.
        is_read: whether what the axes say of a place belongs to it as well.
    """

    axes: Axes
    x: Sequence[float]
    y: Sequence[float]
    names: str | Sequence[str]
    folders: str | Sequence[str] = ""
    series: str = ""
    is_read: bool = True

    @classmethod
    def of(cls, line: Line2D, names: str | Sequence[str], folders: str | Sequence[str] = "") -> Marks:
        """Returns the places of a line that has been plotted."""
        assert isinstance(line.axes, Axes)
        x, y = (np.asarray(values, float).tolist() for values in (line.get_xdata(), line.get_ydata()))
        found = SERIES.fullmatch(str(line.get_gid()))
        return cls(line.axes, x, y, names, folders, found[1] if found else "")

    def text(self, i: int) -> str:
        name = self.names if isinstance(self.names, str) else self.names[i]
        read = reading(self.axes, self.x[i], self.y[i]) if self.is_read else ""
        return "\n".join(filter(None, (name, read)))

    def folder(self, i: int) -> str:
        return self.folders if isinstance(self.folders, str) else self.folders[i]


def reading(axes: Axes, x: float, y: float) -> str:
    """Returns what the axes say of a place: `epoch 3, validation accuracy 91.25 %`; one without a label, nothing."""
    return ", ".join(measured(label, at) for label, at in ((axes.get_xlabel(), x), (axes.get_ylabel(), y)) if label)


def measured(label: str, value: float) -> str:
    """Returns a value by the label of its axis, with the label's unit behind it."""
    name = " ".join(label.split())
    number = f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
    if (found := UNIT.fullmatch(name)) is not None:
        name, number = found[1] + found[3], f"{number} {found[2]}"
    return f"{name} {number}"


@dataclass
class Drawing:
    """A figure with its title, the sentence that says how to read it, and the series that can be hidden.

    A series' artists have the `gid` that is its place in `series`: "s0", "s1" and so on.
    """

    key: str  # of the file, and of the ids in the page
    title: str
    note: str
    figure: Figure
    series: list[Sample] = field(default_factory=list)
    marks: list[Marks] = field(default_factory=list)  # lines of a series that has none are marked by what it is called

    def svg(self, link: Callable[[str], str] = lambda folder: "") -> str:
        """Returns the figure for a page: without a legend, in the page's colors, with ids and marks of its own.

        Args:
            link: from a run's folder to the URL of its page; nothing where it has none.
        """
        text = self._saved("svg").decode()
        text = text[text.index("<svg") :]
        text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{self.key}-", text)
        for color, variable in VARIABLES.items():
            text = text.replace(color, variable)
        least = 0.75 * 72 * self.figure.get_figwidth()  # narrower, it scrolls instead of shrinking
        marks = htmlsafe_json_dumps(list(self._places(link)), separators=(",", ":"))  # without < > & '
        about = f'role="img" aria-label="{self.title}" style="min-width: {least:.0f}pt" data-marks=\'{marks}\''
        return text.replace("<svg ", f"<svg {about} ", 1)

    def _places(self, link: Callable[[str], str]) -> Iterator[list[Any]]:
        """Yields where each mark is in the drawing as it was saved last, its series, its text, and its URL if any."""
        named = {(marks.axes, marks.series) for marks in self.marks}
        marked = list(self.marks)
        for line in (line for axes in self.figure.axes for line in axes.lines):
            found = SERIES.fullmatch(str(line.get_gid()))
            if found and (line.axes, found[1]) not in named:
                marked.append(Marks.of(line, str(self.series[int(found[2])].get_label())))
        step = math.ceil(sum(len(marks.x) for marks in marked) / MAX_MARKS)
        width, height = 72 * self.figure.get_figwidth(), 72 * self.figure.get_figheight()
        for marks in (marks for marks in marked if len(marks.x)):
            pixels = marks.axes.transData.transform(np.column_stack([marks.x, marks.y]).astype(float))
            inside = marks.axes.transAxes.inverted().transform(pixels)
            places = self.figure.transFigure.inverted().transform(pixels)
            for i in range((len(marks.x) - 1) % step, len(marks.x), step):  # the last one always: how it ended
                if np.isfinite(inside[i]).all() and inside[i].min() > -0.02 and inside[i].max() < 1.02:
                    x, y = (round(float(at), 1) for at in (width * places[i][0], height * (1 - places[i][1])))
                    url = link(folder) if (folder := marks.folder(i)) else ""
                    yield [x, y, marks.series, marks.text(i), *([url] if url else [])]

    def file(self, suffix: str) -> bytes:
        """Returns the figure as a file of its own, png or svg, with a legend."""
        if len(self.series) > 1:
            labels = [short(str(sample.get_label()), 40) for sample in self.series]
            columns = max(1, min(len(labels), 100 // (max(map(len, labels)) + 6)))
            with matplotlib.rc_context(STYLE):
                self.figure.legend(self.series, labels, loc="outside lower center", ncols=columns, frameon=False)
        try:
            return self._saved(suffix)
        finally:
            while self.figure.legends:
                self.figure.legends[0].remove()

    def _saved(self, suffix: str) -> bytes:
        out = io.BytesIO()
        about = {"Date": None} if suffix == "svg" else {"Software": None}
        with matplotlib.rc_context({**STYLE, "svg.hashsalt": self.key}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # the browser has other fonts
            self.figure.savefig(out, format=suffix, dpi=200, metadata=about)
        return out.getvalue() if suffix != "svg" else NO_XML.sub("\ufffd", out.getvalue().decode()).encode()


def styled(draw: Callable[P, Drawing]) -> Callable[P, Drawing]:
    """Draws in our style, without touching anybody else's."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Drawing:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return styled


def make_axes(
    num_columns: int = 1, num_rows: int = 1, width: float = 0.0, height: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Returns a figure, in inches, and its axes row by row."""
    size = width or min(4.6 * num_columns + 0.4, 9.6), height or 3.3 * num_rows
    figure = Figure(figsize=size, layout="constrained")
    return figure, list(np.ravel(figure.subplots(num_rows, num_columns, squeeze=False)))


def sample_of(label: str, place: int, linestyle: Any = None, **kwargs: Any) -> Sample:
    dash = DASHES[turned(place)] if linestyle is None else linestyle
    return Sample(label, dash, **{"color": COLORS[place % len(COLORS)]} | kwargs)


def turned(place: int) -> int:
    """Returns the place of a series' dash and marker: once the colors repeat, they are others."""
    return (place + place // len(COLORS)) % len(COLORS)


def whole_numbers(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def log_if_wide(axes: Axes, values: pd.Series[Any]) -> bool:
    """Takes a logarithmic axis for positive values over more than a decade."""
    is_wide = len(values) > 0 and float(values.min()) > 0 and float(values.max()) > 10 * float(values.min())
    if is_wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    return is_wide


def slug(name: str) -> str:
    return re.sub(r"\W+", "-", name)


def short(text: str, most: int = 12) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def wrapped(name: str) -> str:
    return name.replace(".", ".\n")
