"""What a page shows and how it becomes HTML: one file that is complete in itself.

It loads nothing, and nothing in it runs but its own script, whose hash it names. What comes from folders is text that
the template escapes. `rnnexp watch` serves the same pages, with its own links and policy.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from matplotlib.markers import MarkerStyle
from matplotlib.transforms import Affine2D

from hydra_sweep.errors import escape_unprintable
from hydra_sweep.text_table import cell_text
from rnnexp import __version__
from rnnexp.record.run_folder import RunFolder
from rnnexp.report.drawing import VARIABLES, Drawing, Sample

ASSETS = Path(__file__).parent
DASHES: dict[Any, tuple[float, ...]] = {"-": (), "--": (3.7, 1.6), "-.": (6.4, 1.6, 1, 1.6), ":": (1, 1.65)}


@dataclass(frozen=True)
class Cell:
    """One cell of a table; `folder` is that of the run or the like whose page it leads to, from the page's own."""

    text: str
    value: float | None = None
    folder: str = ""
    is_bold: bool = False
    is_different: bool = False  # from its neighbors, which is to be seen

    @property
    def is_number(self) -> bool:
        return self.value is not None


@dataclass(frozen=True)
class Table:
    title: str
    columns: list[str]
    rows: list[list[Cell]]
    note: str = ""

    @classmethod
    def of(cls, title: str, frame: pd.DataFrame, note: str = "", folders: Sequence[str] = (), on: int = 0) -> Table:
        """Returns a frame as the table of results shows it; the cells of column `on` lead to `folders`."""
        columns = [str(name) for name in frame.columns]
        rows = [
            [_cell(value, name) for name, value in zip(columns, row, strict=True)] for row in frame.to_numpy(object)
        ]
        for row, folder in zip(rows, folders, strict=False):
            row[on] = replace(row[on], folder=folder)
        return cls(title, columns, rows, note)

    @classmethod
    def pairs(cls, title: str, name: str, pairs: Sequence[tuple[str, Any]]) -> Table:
        """Returns names with values of all kinds."""
        return cls(title, [name, "value"], [[Cell(key), Cell(cell_text(value, key))] for key, value in pairs])


@dataclass(frozen=True)
class Served:
    """What a page has more when `rnnexp watch` serves it, which goes on changing.

    Args:
        crumbs: names and URLs of the pages above it.
        tag: of this state of it, by which a newer one is asked for.
        table: the URL of its runs in the table, if it has several.
    """

    crumbs: Sequence[tuple[str, str]]
    tag: str
    table: str = ""


@dataclass
class Page:
    """What a page shows, from top to bottom."""

    path: Path
    kind: str
    title: str
    subtitle: str = ""
    verdict: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tiles: list[tuple[str, str]] = field(default_factory=list)
    commands: list[tuple[str, str]] = field(default_factory=list)
    first_tables: list[Table] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # figures that can't be drawn, and why
    tables: list[Table] = field(default_factory=list)
    method: list[str] = field(default_factory=list)

    def html(self, link: Callable[[str], str] = lambda folder: "", served: Served | None = None) -> str:
        """Returns the page as one file.

        Args:
            link: from a folder, seen from the page's own, to the URL of its page; nothing where it has none.
            served: of a page that goes on changing, and whose policy is a header.
        """
        style, script = ((ASSETS / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(ASSETS), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
        )
        drawings = [
            {
                "key": drawing.key,
                "title": drawing.title,
                "note": drawing.note,
                "svg": drawing.svg(link),
                "series": [
                    {"label": escape_unprintable(str(s.get_label())), "swatch": _swatch(s)} for s in drawing.series
                ],
            }
            for drawing in self.drawings
        ]
        return environment.get_template("template.html").render(
            page={**vars(self), "drawings": drawings}
            | {name: escape_unprintable(getattr(self, name)) for name in ("title", "subtitle")},
            link=link,
            served=served,
            style=style,
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            version=__version__,
            now=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        )


def history(folder: RunFolder) -> pd.DataFrame:
    """Returns a run's epochs as numbers; what can't be read is left out."""
    try:
        frame: pd.DataFrame = pd.DataFrame(folder.read_history())
    except ValueError:
        frame = pd.DataFrame()
    for name in frame:
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    whole: pd.DataFrame = frame.dropna()
    return whole


def tile(value: Any, name: str) -> str:
    """Returns a headline number with its unit."""
    if name.endswith("_accuracy"):
        return f"{100 * value:.2f} %"
    if name == "num_parameters":
        return f"{value:,.0f}"
    return cell_text(value, name) + (" s" if name == "train_seconds" else "")


def _cell(value: Any, name: str) -> Cell:
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and value == value
    return Cell(
        cell_text(value.item() if isinstance(value, np.generic) else value, name), float(value) if is_number else None
    )


def _swatch(sample: Sample) -> str:
    """Returns a sample of a line and its marker as a small SVG."""
    color = str(sample.get_color())
    for plain, variable in VARIABLES.items():
        color = color.replace(plain, variable)
    parts, width = [], sample.get_linewidth()
    if sample.dash:
        dashes = DASHES[sample.dash] if isinstance(sample.dash, str) else sample.dash[1]
        line = f'<line x1="1" y1="6" x2="33" y2="6" stroke="{color}" stroke-width="{width:g}"'
        parts.append(f'{line} stroke-dasharray="{" ".join(f"{width * part:g}" for part in dashes) or "none"}"/>')
    if (marker := sample.get_marker()) not in (None, "None", ""):
        shape = MarkerStyle(marker)
        transform = shape.get_transform() + Affine2D().scale(9, -9).translate(17, 6)
        outlines = map(np.asarray, shape.get_path().to_polygons(transform, closed_only=False))
        d = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in outline) for outline in outlines)
        parts.append(f'<path d="{d}" stroke="{color}" fill="{color if shape.is_filled() else "none"}"/>')
    return f'<svg viewBox="0 0 34 12" aria-hidden="true">{"".join(parts)}</svg>'
