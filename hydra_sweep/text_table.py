"""Columns of values as lines of text that fit a terminal."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from hydra_sweep.errors import escape_unprintable

MIN_WIDTH = 6  # of a text that is shortened
GAP = "  "
Columns = Mapping[str, Sequence[Any]]  # from names to the values of all rows


def table(
    columns: Columns,
    width: int,
    flexible: Collection[str] | None = None,
    optional: Sequence[str] = (),
) -> list[str]:
    """Returns the lines of a table, none wider than `width`; for what is left out for that, see `fitting`."""
    lines = []
    for name, size in fitting(columns, width, flexible, optional).items():
        texts = [
            _shorten(text, size, keep_end=name == "path")
            for text in (escape_unprintable(name), *cells(columns[name], name))
        ]
        lines.append([text.rjust(size) if _are_numbers(columns[name]) else text.ljust(size) for text in texts])
    return [GAP.join(row).rstrip()[:width] for row in zip(*lines, strict=True)]


def fitting(
    columns: Columns,
    width: int,
    flexible: Collection[str] | None = None,
    optional: Sequence[str] = (),
) -> dict[str, int]:
    """Returns the columns of a table that fit into a width, and the width of each.

    Only texts are shortened, the widest first: a number that has lost its end is another number. Where that is not
    enough, columns are left out from the right, but for the first.

    Args:
        flexible: the columns that may be shortened; by default all that hold no numbers.
        optional: columns that are left out, the last of these first, before any other is shortened beyond a third of
            the width.
    """
    if flexible is None:
        flexible = [name for name in columns if not _are_numbers(columns[name])]
    widths = {name: column_width(name, columns[name]) for name in columns}

    def total(most: int) -> int:
        sizes = [min(size, most) if name in flexible else size for name, size in widths.items()]
        return sum(sizes) + len(GAP) * (len(sizes) - 1)

    for least, leaving in ((width // 3, [*optional][::-1]), (MIN_WIDTH, [*columns][:0:-1])):
        for name in leaving:
            if name in widths and total(least) > width:
                del widths[name]
    most = next((most for most in range(width, MIN_WIDTH, -1) if total(most) <= width), MIN_WIDTH)
    return {name: min(size, most) if name in flexible else size for name, size in widths.items()}


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values if value is not None)


def column_width(name: str, values: Iterable[Any]) -> int:
    """Returns how many characters a column takes, its name included."""
    return max(map(len, [escape_unprintable(name), *cells(values, name)]))


def cells(values: Iterable[Any], name: str) -> list[str]:
    """Returns a column's values as people write them."""
    return [cell_text(value, name) for value in values]


def cell_text(value: Any, name: str) -> str:
    """Returns a cell as people write it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if name.endswith(("_accuracy", "_loss")):
            return f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"
        if name == "train_seconds":
            return f"{value:.1f}"
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:g}"
    return escape_unprintable(str(value))


def _shorten(text: str, width: int, keep_end: bool) -> str:
    if len(text) <= width:
        return text
    return f"…{text[len(text) - width + 1 :]}" if keep_end else f"{text[: width - 1]}…"
