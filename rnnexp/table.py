"""A DataFrame of runs as lines of text that fit a terminal."""

from __future__ import annotations

from typing import Any

import pandas as pd

from rnnexp.schema import GROUPS, METRICS, printable

ENVIRONMENT = ("git.", "versions.")  # columns with a dot that are not of the configuration

# What the command shows: after path and status, as many as fit, in this order.
SHOWN_FIRST = ("model", "optim", "data", "schedule", "train", "experiment", "seed", "test_accuracy", "valid_accuracy")
SHOWN_IF_VARYING = ("data", "schedule", "train", "experiment")
SHOWN_LAST = (
    *("best_epoch", "epochs", "train_seconds", "num_parameters", "test_loss", "valid_loss", "train_accuracy"),
    *("train_loss", "data", "schedule", "attempt", "device", "threads", "precision", "started"),
)
# Columns of rnnexp's own runs that have no dot; any other is an objective, or a key, of a foreign app's sweep.
OWN = {*("path", "status", "reason", "seed", "attempt", *GROUPS, *METRICS)}
OWN |= {"fingerprint", "device", "threads", "started", "ended", "host"}
GAP = "  "


def is_config(name: str) -> bool:
    """Whether a column is a key of the configuration."""
    return "." in name and not name.startswith(ENVIRONMENT)


def choose(frame: pd.DataFrame, width: int) -> list[str]:
    """Returns the columns that tell the runs apart, as many as fit; none that is empty."""
    filled = [name for name in frame.columns if frame[name].notna().any()]
    varying = [name for name in filled if frame[name].nunique(dropna=False) > 1]
    config = [name for name in varying if is_config(name) and not _repeats_choice(frame, name)]
    optional = [name for name in config if _follows_choice(frame, name)]
    config = [name for name in config if name not in optional]
    config.sort(key=lambda name: frame[name].nunique() == 1)  # null or one value: last
    first = [name for name in SHOWN_FIRST if name not in SHOWN_IF_VARYING or frame[name].nunique() > 1]
    first += [name for name in filled if "." not in name and name not in OWN]  # what another Hydra app reaches
    room = width - _width(frame, "status") - len(GAP) - min(_width(frame, "path"), width // 5)
    if "reason" in filled:
        room -= min(_width(frame, "reason"), width // 8) + len(GAP)
    chosen = ["path", "status"]
    for name in dict.fromkeys([*first, *config, *SHOWN_LAST, *optional]):
        if name in filled and (needed := _width(frame, name) + len(GAP)) <= room:
            chosen.append(name)
            room -= needed
    return chosen + ["reason"] * ("reason" in filled)


def _repeats_choice(frame: pd.DataFrame, name: str) -> bool:
    """Whether a key says no more than its group's choice does, as `model.cell` and `model._target_` do."""
    group = name.partition(".")[0]
    if name.endswith("._target_") or group not in GROUPS:
        return name.endswith("._target_")
    present = frame[frame[name].notna()]
    return _cells(present, name) == _cells(present, group)


def _follows_choice(frame: pd.DataFrame, name: str) -> bool:
    """Whether a key has one value, and its group's choice alone decides who has it, as `model.nonlinearity` may."""
    group = name.partition(".")[0]
    if group not in GROUPS or frame[name].nunique() > 1:
        return False
    return all(column.nunique(dropna=False) == 1 for _, column in frame.groupby(group, dropna=False)[name])


def table(frame: pd.DataFrame, columns: list[str], width: int) -> list[str]:
    """Returns the lines of a table, none wider than `width`: the widest columns are shortened until it fits."""
    texts = {name: [printable(name), *_cells(frame, name)] for name in columns}
    widths = {name: min(max(map(len, texts[name])), width) for name in columns}
    while sum(widths.values()) + len(GAP) * (len(columns) - 1) > width and max(widths.values()) > 6:
        widths[max(widths, key=widths.__getitem__)] -= 1
    padded = []
    for name in columns:
        is_number = pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_bool_dtype(frame[name])
        short = [_shorten(text, widths[name], keep_end=name == "path") for text in texts[name]]
        padded.append([text.rjust(widths[name]) if is_number else text.ljust(widths[name]) for text in short])
    return [GAP.join(row).rstrip()[:width] for row in zip(*padded, strict=True)]


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
