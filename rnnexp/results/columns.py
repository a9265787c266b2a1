"""Which columns of the table of runs are shown, where not all of them fit."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from hydra_sweep.text_table import GAP, MIN_WIDTH, cells, column_width
from rnnexp.record.result import METRICS
from rnnexp.schema.identity import WATCHERS
from rnnexp.schema.tree import GROUPS

ENVIRONMENT = ("git.", "versions.")  # columns with a dot that are not of the configuration

# What the command shows after path and status, in this order; which of them it is, `choose` says.
SHOWN_FIRST = (
    "tags",
    "model",
    "optim",
    "data",
    "schedule",
    "train",
    "experiment",
    "seed",
    "test_accuracy",
    "valid_accuracy",
)
SHOWN_IF_VARYING = ("data", "schedule", "train", "experiment")
SHOWN_LAST = (
    *("best_epoch", "epochs", "train_seconds", "num_parameters", "test_loss", "valid_loss", "train_accuracy"),
    *("train_loss", "data", "schedule", "attempt", "device", "threads", "precision", "started"),
)
# Columns of rnnexp's own runs that have no dot; any other is an objective, or a key, of a foreign app's sweep.
OWN = {*("path", "status", "reason", "seed", "attempt", *GROUPS, *METRICS)}
OWN |= {
    "tags",
    "notes",
    "num_train",
    "num_valid",
    "num_test",
    "fingerprint",
    "device",
    "threads",
    "precision",
    "started",
    "ended",
    "host",
}
HEADLINES = ("test_accuracy", "valid_accuracy")  # what runs are compared by; never left out for want of room


def is_config(name: str) -> bool:
    """Whether a column is a key of the configuration. Of what only watches a run there are none."""
    return "." in name and not name.startswith((*ENVIRONMENT, *(f"{key}." for key in WATCHERS)))


def columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Returns a frame as `text_table` takes it."""
    return {str(name): frame[name].tolist() for name in frame}


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
    reached = [name for name in filled if "." not in name and name not in OWN]  # by other apps, or metrics of one's own
    order = dict.fromkeys(["path", "status", *first, *reached, *config, *SHOWN_LAST, *repeated, "notes", "reason"])
    urgent = ["path", *varying.intersection(["status"]), *HEADLINES, *reached, "reason"]
    urgent += [name for name in (*first, *config) if name in varying]

    shortened = {"path": max(width // 5, MIN_WIDTH)}
    shortened |= dict.fromkeys(["tags", "notes", "reason"], max(width // 8, MIN_WIDTH))
    chosen, room = set(), width + len(GAP)
    for name in dict.fromkeys([*urgent, *order]):
        if name in filled:
            needed = min(column_width(name, frame[name].tolist()), shortened.get(name, width)) + len(GAP)
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
    return cells(present[name].tolist(), name) == cells(present[group].tolist(), group)


def _follows_choice(frame: pd.DataFrame, name: str) -> bool:
    """Whether a group's choice alone decides what a key is, as that of `optim` may decide about `optim.lr`."""
    group = name.partition(".")[0]
    if group not in GROUPS:
        return False
    return all(column.nunique(dropna=False) == 1 for _, column in frame.groupby(group, dropna=False)[name])


def natural(value: Any) -> tuple[Any, ...]:
    """Returns a sorting key that puts numbers before text, run 2 before run 10, and what is missing last."""
    if isinstance(value, str):
        return 1, [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", value)], value
    return (2,) if pd.isna(value) else (0, value)
