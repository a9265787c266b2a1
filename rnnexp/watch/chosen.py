"""The page of a few runs that somebody has chosen: their curves in one figure, and what differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hydra_sweep.errors import counted, escape_unprintable
from hydra_sweep.text_table import cell_text
from rnnexp.record.result import METRICS, is_metric
from rnnexp.record.run_folder import RunFolder
from rnnexp.report import run_figures
from rnnexp.report.page import Cell, Page, Table, history
from rnnexp.results.collecting import relative
from rnnexp.results.columns import is_config
from rnnexp.schema.tree import GROUPS

LEFT_OUT = {"path", "status", "reason", "started", "ended", "train.resume"}  # of what differs between any two runs


def page(root: Path, runs: Mapping[str, Mapping[str, Any]], columns: Sequence[str]) -> Page:
    """Returns the page of these runs.

    Args:
        runs: their cells, by their paths below the root.
        columns: the order of the cells.
    """
    paths = [escape_unprintable(relative(path, Path("/"))) for path in runs]
    page = Page(root, "chosen runs", counted(len(runs), "chosen run"), ", ".join(paths))
    names = dict(zip(runs, _shortened(paths), strict=True))
    histories = {names[path]: history(RunFolder(root / path)) for path in runs}
    folders = {names[path]: path for path in runs}
    if drawn := {name: epochs for name, epochs in histories.items() if len(epochs)}:
        page.drawings.append(run_figures.several_curves(drawn, folders))
    if none := [name for name in histories if name not in drawn]:
        page.missing.append(f"No curves of {', '.join(none)}: no epoch has finished yet, or the history is damaged.")
    frame = pd.DataFrame([{"run": names[path], **row} for path, row in runs.items()])
    reached = [name for name in ("run", "status", *METRICS, "reason") if name in frame and frame[name].notna().any()]
    page.first_tables.append(Table.of("What they have reached", frame[reached], folders=list(runs)))
    if len(runs) > 1:
        differing, same = _compared(list(runs.values()), columns)
        note = "Marked: what is not as in the first run."
        page.tables.append(Table("Configuration: what differs", ["key", *names.values()], differing, note))
        page.tables += [Table.pairs("Configuration: what is the same", "key", same)] if same else []
    return page


def _compared(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> tuple[list[list[Cell]], list[tuple[str, Any]]]:
    """Returns a row for each key that differs, and those that all runs share; no measurements, and no times."""
    differing, same = [], []
    for key in sorted(columns, key=lambda key: not is_config(key) and key not in GROUPS):
        values = [row.get(key) for row in rows]
        texts = [cell_text(value, key) for value in values]
        if key in LEFT_OUT or is_metric(key) or all(value is None for value in values):
            continue
        if len(set(texts)) == 1:
            same.append((key, values[0]))
        else:
            differing.append([Cell(key), *(Cell(text, is_different=text != texts[0]) for text in texts)])
    return differing, same


def _shortened(paths: Sequence[str]) -> list[str]:
    """Returns the paths without the folders that all of them are in."""
    parts = [path.split("/") for path in map(Path.as_posix, map(Path, paths))]
    common = 0
    while min(map(len, parts)) > common + 1 and len({tuple(of[: common + 1]) for of in parts}) == 1:
        common += 1
    return ["/".join(of[common:]) for of in parts]
