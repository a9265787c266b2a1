"""The one table: runs, sweeps and comparisons; filtered, sorted and grouped as a browser asks, as JSON can hold it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from hydra_sweep.errors import UserError, counted
from hydra_sweep.hints import nearest_key
from hydra_sweep.text_table import cells
from rnnexp.record.result import Status
from rnnexp.results import where
from rnnexp.results.aggregation import complete, means, mixed_keys, mixed_text, spelled_groups
from rnnexp.results.collecting import relative
from rnnexp.results.columns import HEADLINES, choose, natural
from rnnexp.results.following import Seen

KINDS = {"all": "", "runs": "run", "sweeps": "sweep", "comparisons": "comparison"}
TOP = "top"  # what is in no sweep and in no comparison
OWN = ("kind", "within", "changed", "trials", "n_trials", "summary")  # columns that the table of results has not
MAX_ROWS = 5000
MOST_WIDTHS = 4  # of windows, for which columns are chosen in advance
MOST = 24  # runs that one figure can still tell apart


@dataclass(frozen=True)
class Query:
    """What a browser asks of the table.

    Args:
        text: words, all of which must be somewhere in a row's texts.
        where: an expression, as `rnnexp results --where` takes it.
        show: one of KINDS, or TOP.
        sort: a column; with a minus, from high to low.
        columns, group, values: names with commas between them.
        width: characters that the columns may take where none are named.
    """

    text: str = ""
    where: str = ""
    show: str = "all"
    sort: str = ""
    columns: str = ""
    group: str = ""
    values: str = ""
    limit: int = 200
    width: int = 120

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Query:
        """Returns the query that an address has. Raises: UserError: a number is none."""
        texts = {name: text for name, text in asked.items() if name in cls.__dataclass_fields__}
        numbers = {name: text for name in ("limit", "width") if (text := texts.pop(name, ""))}
        if wrong := [name for name, text in numbers.items() if not re.fullmatch(r"\d{1,6}", text)]:
            raise UserError(f"{wrong[0]} must be a whole number, got {numbers[wrong[0]]!r:.40}")
        return cls(**texts, **{name: int(text) for name, text in numbers.items()})  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Watched:
    """All rows at one look.

    Args:
        groups: rows of sweeps and comparisons, by path.
        within: the group that each run and each group is in.
        usual: the columns that were chosen for each width that has been asked for.
    """

    seen: Seen
    groups: Mapping[str, Mapping[str, Any]]
    within: Mapping[str, str]
    version: str
    usual: dict[int, list[str]] = field(default_factory=dict)

    @cached_property
    def paths(self) -> dict[str, str]:
        """Returns each folder by its path in the table: not every name on a disk can be written as text."""
        return {relative(path, Path("/")): path for path in (*self.groups, *self.seen.runs)}

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Returns the table of results with OWN, and a row for each sweep and comparison."""
        runs = self.seen.frame
        folders = [self.paths[path] for path in runs["path"]]
        own: dict[str, Any] = {
            "kind": "run",
            "within": [self._above(path) for path in folders],
            "changed": [self.seen.runs[path].changed for path in folders],
        }
        groups = [{**row, "within": self._above(path)} for path, row in self.groups.items()]
        parts = [pd.DataFrame(groups).dropna(axis=1, how="all"), runs.assign(**own)]
        found: pd.DataFrame = pd.concat([part for part in parts if len(part)] or parts[1:], ignore_index=True)
        first = ["path", "status", *OWN]
        ordered: pd.DataFrame = found.reindex(columns=[*first, *(name for name in found if name not in first)])
        return ordered

    @cached_property
    def filled(self) -> list[str]:
        """Returns the columns that hold anything."""
        return [str(name) for name in self.frame.columns if self.frame[name].notna().any()]

    def _above(self, path: str) -> str | None:
        return relative(above, Path("/")) if (above := self.within.get(path)) is not None else None

    def text(self, path: str) -> str:
        """Returns what a search for words looks into."""
        folder = self.paths[path]
        if folder in self.seen.runs:
            return f"{path.lower()}\n{self.seen.runs[folder].text}"
        return "\n".join(value for value in self.groups[folder].values() if isinstance(value, str)).lower()

    def usual_columns(self, width: int) -> list[str]:
        """Returns the columns of runs that tell them apart, as many as fit."""
        if width not in self.usual:
            self.usual[width] = choose(self.seen.frame, width) if len(self.seen.frame) else ["path", "status"]
        return self.usual[width]

    def prepare(self, widths: Iterable[int]) -> Watched:
        """Computes what most answers need, here and not where somebody waits for one."""
        _ = self.frame, self.filled, self.paths
        for width in [*widths][-MOST_WIDTHS:]:
            self.usual_columns(width)
        return self


def answer(table: Watched, query: Query) -> dict[str, Any]:
    """Returns the rows that a query asks for, as texts.

    Raises:
        UserError: the expression can't be read, or a column is not there.
    """
    frame = table.frame
    if query.show == TOP:
        frame = frame[frame["within"].isna()]
    elif kind := KINDS.get(query.show):
        frame = frame[frame["kind"] == kind]
    if query.where.strip():
        frame = where(frame, query.where)
    if words := query.text.lower().split():
        frame = frame[[all(word in text for word in words) for text in map(table.text, frame["path"])]]
    common = {
        "root": str(table.seen.root),
        "total": len(table.frame),
        "found": len(frame),
        "counts": _counts(frame),
        "every": table.filled,
        "most": MOST,
    }
    return common | (_grouped(frame, query) if query.group.strip() else _plain(table, frame, query))


def _counts(frame: pd.DataFrame) -> str:
    """Returns how many runs there are, by status, and how many sweeps and comparisons."""
    kinds = frame["kind"].value_counts()
    found = [counted(int(kinds.get(kind, 0)), kind) for kind in ("run", "sweep", "comparison") if kinds.get(kind, 0)]
    statuses = frame["status"][frame["kind"] == "run"].value_counts()
    if told := [f"{statuses[status.value]:,} {status.value}" for status in Status if status.value in statuses]:
        found[0] += f" ({', '.join(told)})"
    return ", ".join(found)


def _plain(table: Watched, frame: pd.DataFrame, query: Query) -> dict[str, Any]:
    names = _names(query.columns)
    if not names:
        usual = table.usual_columns(query.width)
        has_groups = bool((frame["kind"] != "run").any())
        names = [*usual[:2], "changed", *usual[2:], *(["summary"] if has_groups else [])]
    by = query.sort.removeprefix("-") or "changed"
    for name in (*names, by):
        if name not in frame:
            raise UserError(f"no column {name}{nearest_key(name, frame.columns)}")
    order = _order(frame, by, query.sort.startswith("-") or not query.sort)
    shown = frame.iloc[order[: max(1, min(query.limit, MAX_ROWS))]]
    columns = [_column(shown, name) for name in names]
    rows = [
        {"path": path, "url": page_url(table.paths[path]), "kind": kind, "status": str(status), "cells": row}
        | ({"progress": f"{ended:g} of {asked:g}"} if asked == asked and asked is not None else {})
        for path, kind, status, ended, asked, *row in zip(
            *(shown[name].tolist() for name in ("path", "kind", "status", "trials", "n_trials")), *columns, strict=True
        )
    ]
    numeric = [bool(pd.api.types.is_numeric_dtype(shown[name].infer_objects().dtype)) for name in names]
    return {"columns": names, "numeric": numeric, "rows": rows}


def _column(frame: pd.DataFrame, name: str) -> list[Any]:
    """Returns a column's texts; times, which a browser says in its own words, as numbers."""
    values = frame[name].tolist()
    return [round(value, 3) for value in values] if name == "changed" else cells(values, name)


def _order(frame: pd.DataFrame, by: str, descending: bool) -> list[int]:
    """Returns the places of rows in sorted order: missing values last, and a sweep before its own trials."""
    values, missing = frame[by].tolist(), frame[by].isna().tolist()
    if by == "changed":
        values = [(value, kind != "run") for value, kind in zip(values, frame["kind"], strict=True)]
        return sorted(range(len(values)), key=values.__getitem__, reverse=descending)
    present = [i for i, gone in enumerate(missing) if not gone]
    present.sort(key=lambda i: natural(values[i]), reverse=descending)
    return present + [i for i, gone in enumerate(missing) if gone]


def _grouped(frame: pd.DataFrame, query: Query) -> dict[str, Any]:
    """Returns means over the complete runs of each group, and the expression that chooses each group's runs."""
    runs, by = frame[frame["kind"] == "run"], _names(query.group)
    done = complete(runs)
    values = _names(query.values) or [next((name for name in HEADLINES if done[name].notna().any()), HEADLINES[0])]
    found = means(runs, by, values, any_status=False)
    told = spelled_groups(found)
    if (sort := query.sort.removeprefix("-")) in told:
        column = found[{"mean ± std (n)": "mean"}.get(sort, sort)]
        order = sorted(range(len(column)), key=lambda i: natural(column.iloc[i]), reverse=query.sort.startswith("-"))
        found, told = found.iloc[order], told.iloc[order]
    rows = [
        {"cells": list(row), "where": " and ".join(_equals(name, value) for name, value in zip(by, key, strict=True))}
        for row, key in zip(
            zip(*(_column(told, str(name)) for name in told), strict=True),
            zip(*(found[name].tolist() for name in by), strict=True),
            strict=True,
        )
    ]
    keys = mixed_keys(done, by)
    return {
        "columns": [str(name) for name in told],
        "numeric": [name not in (*by, "value") for name in told],
        "rows": rows[: query.limit],
        "warning": mixed_text("a group", keys) if keys else "",
        "left_out": len(runs) - len(done),
    }


def _equals(name: str, value: Any) -> str:
    return f"{name} == {'null' if pd.isna(value) else repr(value)}"


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def page_url(path: str) -> str:
    """Returns the URL of a folder's page."""
    return f"/at/{quote(os.fsencode(Path(path).as_posix())) if path else ''}"
