"""A DataFrame of runs as lines of text that fit a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from rnnexp.schema import GROUPS, METRICS, printable

ENVIRONMENT = ("git.", "versions.")  # columns with a dot that are not of the configuration

# What the command shows after path and status, in this order; which of them it is, `choose` says.
SHOWN_FIRST = ("model", "optim", "data", "schedule", "train", "experiment", "seed", "test_accuracy", "valid_accuracy")
SHOWN_IF_VARYING = ("data", "schedule", "train", "experiment")
SHOWN_LAST = (
    *("best_epoch", "epochs", "train_seconds", "num_parameters", "test_loss", "valid_loss", "train_accuracy"),
    *("train_loss", "data", "schedule", "attempt", "device", "threads", "precision", "started"),
)
# Columns of rnnexp's own runs that have no dot; any other is an objective, or a key, of a foreign app's sweep.
OWN = {*("path", "status", "reason", "seed", "attempt", *GROUPS, *METRICS)}
OWN |= {"fingerprint", "device", "threads", "precision", "started", "ended", "host"}
HEADLINES = ("test_accuracy", "valid_accuracy")  # what runs are compared by; never left out for want of room
MIN_WIDTH = 6  # of a text that is shortened
GAP = "  "


def is_config(name: str) -> bool:
    """Whether a column is a key of the configuration."""
    return "." in name and not name.startswith(ENVIRONMENT)


def choose(frame: pd.DataFrame, width: int) -> list[str]:
    """Returns the columns that tell the runs apart, as many as fit; none that is empty.

    First a status that varies, the headlines and why a run failed; then what varies; last what all runs share.
    """
    filled = [name for name in frame.columns if frame[name].notna().any()]
    varying = {name for name in filled if frame[name].nunique(dropna=False) > 1}
    config = [name for name in filled if name in varying and is_config(name) and not _repeats_choice(frame, name)]
    follows = {name for name in config if _follows_choice(frame, name)}
    repeated = [name for name in config if name in follows and frame[name].nunique() == 1]
    config = [name for name in config if name not in repeated]
    config.sort(key=lambda name: (name in follows, frame[name].nunique() == 1))  # what says least: last
    first = [name for name in SHOWN_FIRST if name not in SHOWN_IF_VARYING or frame[name].nunique() > 1]
    reached = [name for name in filled if "." not in name and name not in OWN]  # by another Hydra app
    order = dict.fromkeys(["path", "status", *first, *reached, *config, *SHOWN_LAST, *repeated, "reason"])
    urgent = ["path", *varying.intersection(["status"]), *HEADLINES, *reached, "reason"]
    urgent += [name for name in (*first, *config) if name in varying]

    shortened = {"path": max(width // 5, MIN_WIDTH), "reason": max(width // 8, MIN_WIDTH)}
    chosen, room = set(), width + len(GAP)
    for name in dict.fromkeys([*urgent, *order]):
        if name in filled:
            needed = min(_width(frame, name), shortened.get(name, width)) + len(GAP)
            if needed <= room:
                chosen.add(name)
                room -= needed
    return [name for name in order if name in chosen]


def _repeats_choice(frame: pd.DataFrame, name: str) -> bool:
    """Whether a key says no more than its group's choice does, as `model.cell` and `model._target_` do."""
    group = name.partition(".")[0]
    if name.endswith("._target_") or group not in GROUPS:
        return name.endswith("._target_")
    present = frame[frame[name].notna()]
    return _cells(present, name) == _cells(present, group)


def _follows_choice(frame: pd.DataFrame, name: str) -> bool:
    """Whether a group's choice alone decides what a key is, as that of `optim` may decide about `optim.lr`."""
    group = name.partition(".")[0]
    if group not in GROUPS:
        return False
    return all(column.nunique(dropna=False) == 1 for _, column in frame.groupby(group, dropna=False)[name])


def table(
    frame: pd.DataFrame,
    columns: Sequence[str],
    width: int,
    flexible: Collection[str] | None = None,
    optional: Sequence[str] = (),
) -> list[str]:
    """Returns the lines of a table, none wider than `width`; for what is left out for that, see `fitting`."""
    lines = []
    for name, size in fitting(frame, columns, width, flexible, optional).items():
        texts = [_shorten(text, size, keep_end=name == "path") for text in (printable(name), *_cells(frame, name))]
        lines.append([text.rjust(size) if _is_number(frame, name) else text.ljust(size) for text in texts])
    return [GAP.join(row).rstrip()[:width] for row in zip(*lines, strict=True)]


def fitting(
    frame: pd.DataFrame,
    columns: Sequence[str],
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
        flexible = [name for name in columns if not _is_number(frame, name)]
    widths = {name: _width(frame, name) for name in columns}

    def total(most: int) -> int:
        sizes = [min(size, most) if name in flexible else size for name, size in widths.items()]
        return sum(sizes) + len(GAP) * (len(sizes) - 1)

    for least, leaving in ((width // 3, [*optional][::-1]), (MIN_WIDTH, [*columns][:0:-1])):
        for name in leaving:
            if name in widths and total(least) > width:
                del widths[name]
    most = next((most for most in range(width, MIN_WIDTH, -1) if total(most) <= width), MIN_WIDTH)
    return {name: min(size, most) if name in flexible else size for name, size in widths.items()}


def _is_number(frame: pd.DataFrame, name: str) -> bool:
    return pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_bool_dtype(frame[name])


def _width(frame: pd.DataFrame, name: str) -> int:
    return max(map(len, [printable(name), *_cells(frame, name)]))


def _cells(frame: pd.DataFrame, name: str) -> list[str]:
    return [cell_text(value, name) for value in frame[name].tolist()]


def cell_text(value: Any, name: str) -> str:
    """Returns a cell as people write it."""
    if pd.isna(value):
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if name.endswith(("_accuracy", "_loss")):
            return f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"
        if name == "train_seconds":
            return f"{value:.1f}"
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:g}"
    return printable(str(value))


def _shorten(text: str, width: int, keep_end: bool) -> str:
    if len(text) <= width:
        return text
    return f"…{text[len(text) - width + 1 :]}" if keep_end else f"{text[: width - 1]}…"
