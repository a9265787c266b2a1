"""The page of one run: its curves, what it reads wrongly, and how it was made."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hydra_sweep.errors import UserError
from hydra_sweep.run_record import RunRecord
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record.run_folder import RunFolder
from rnnexp.report import run_figures
from rnnexp.report.page import Page, Table, history, tile
from rnnexp.results import collect
from rnnexp.results.columns import OWN, is_config

COMMIT = {"git.commit": "rnnexp's commit", "git.dirty": "rnnexp had uncommitted changes"}
NUM_CONFUSIONS = 20  # pairs of classes in the table
MAX_MATRIX = 200  # classes
TILES = (
    "test_accuracy",
    "test_loss",
    "valid_accuracy",
    "valid_loss",
    "best_epoch",
    "epochs",
    "num_parameters",
    "train_seconds",
    "seed",
)


def page(path: Path, collect: Callable[[Path], pd.DataFrame] = collect) -> Page:
    frame = collect(path)
    row = {str(name): value for name, value in frame.iloc[0].items()}
    folder = RunFolder(path)
    page = Page(path, "run", path.resolve().name)
    page.subtitle = " · ".join(str(row[name]) for name in ("model", "optim", "data") if not pd.isna(row[name]))
    page.subtitle += f" · {row['status']}" + (f": {row['reason']}" if not pd.isna(row["reason"]) else "")
    page.subtitle += "".join(f" · {row[name]}" for name in ("tags", "notes") if not pd.isna(row[name]))
    others = [name for name in row if "." not in name and name not in OWN]  # values and keys of another app
    first = [name for name in (*others, *TILES) if not pd.isna(row[name])]
    page.tiles = [(name.replace("_", " "), tile(row[name], name)) for name in first]
    shown = shlex.quote(str(path))
    is_ours = folder.result.exists() or folder.history.exists()  # and no other app's
    page.commands = [("again", f"rnnexp reproduce {shown}")] if is_ours and row["status"] == "complete" else []
    epochs = history(folder)
    if len(epochs):
        best = int(row["best_epoch"]) if not pd.isna(row["best_epoch"]) else None
        page.drawings.append(run_figures.curves(epochs, best))
        if epochs["lr"].nunique() > 1:
            page.drawings.append(run_figures.learning_rate(epochs))
    elif not _add_reports(page, path):
        page.missing.append(f"There are no learning curves: {_why_no_epochs(folder)}.")
    if is_ours:
        _add_outcomes(page, folder)
    config = [(name, row[name]) for name in frame.columns if is_config(name) and not pd.isna(row[name])]
    about = [
        (COMMIT.get(name, name) if is_ours else name, row[name])
        for name in frame.columns[list(frame.columns).index("fingerprint") :]
        if not pd.isna(row[name])
    ]
    page.tables += [
        Table.of("Epochs", epochs) if len(epochs) else Table("Epochs", [], []),
        Table.pairs("Configuration", "key", config),
        Table.pairs("Where it ran", "what", about),
    ]
    return page


def _add_reports(page: Page, path: Path) -> bool:
    """Adds what a trial of any other app has reported to its sweep. Returns whether it has."""
    try:
        record = RunRecord.read(SweepFolder(path).run_record(""))
    except ValueError:  # it is damaged: the row says so
        return False
    reports = [(step, value) for step, value in enumerate(record.reports if record else (), 1) if value is not None]
    if record and reports:
        page.drawings.append(run_figures.reported(pd.DataFrame(reports, columns=["step", "value"]), record.objective))
    return bool(reports)


def _why_no_epochs(folder: RunFolder) -> str:
    try:
        return "its history holds no numbers" if folder.read_history() else "no epoch has finished yet"
    except ValueError as error:
        return str(error)


def _add_outcomes(page: Page, folder: RunFolder) -> None:
    """Adds the confusion matrix, the classes and the worst mistakes, or says why not."""
    try:
        outcomes = folder.read_test_outcomes()
        if outcomes is None:
            page.missing.append("This run kept no record of single test examples: no confusion matrix and no mistakes.")
            return
        result = folder.read_result()
        dataset = result.dataset if result else {}
        highest = int(max(outcomes.labels.max(), outcomes.predicted.max()))
        classes = dataset.get("classes", list(range(highest + 1)))
        names = list(map(str, classes)) if isinstance(classes, list) else []
        if highest >= len(names):
            raise ValueError(f"there is a class {highest}, and the record names {len(names)}")
    except (UserError, ValueError) as error:
        page.missing.append(f"The test set can't be shown: {error}.")
        return
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (outcomes.labels, outcomes.predicted), 1)
    if len(names) <= MAX_MATRIX:
        page.drawings.append(run_figures.confusion(counts, names))
    else:
        page.missing.append(f"No confusion matrix: {len(names)} classes would be too many for one; the table has them.")
    page.tables += [_classes(counts, names), _confusions(counts, names)]
    worst = outcomes.worst
    is_of_images = dataset.get("kind") == "images"
    x = outcomes.worst_x
    if worst is None or x is None or (not is_of_images and x.ndim != 3):
        page.missing.append("This run kept none of its worst mistakes.")
    elif len(worst):
        labels, predicted = ([names[i] for i in part[worst]] for part in (outcomes.labels, outcomes.predicted))
        shares = np.exp(-outcomes.losses[worst]).tolist()
        draw = run_figures.mistaken_images if is_of_images else run_figures.mistaken_series
        page.drawings.append(draw(x, labels, predicted, shares))


def _classes(counts: Any, names: list[str]) -> Table:
    """Returns how well each class was told, the worst first."""
    right, labeled, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    frame = pd.DataFrame({"class": names, "test examples": labeled, "right": right})
    frame["recall"] = right / np.maximum(labeled, 1)
    frame["precision"] = right / np.maximum(predicted, 1)
    shares = [list(frame.columns).index(name) for name in ("recall", "precision")]
    table = Table.of("Classes", frame.sort_values("recall", kind="stable"))
    for row in table.rows:
        for place in shares:
            row[place] = replace(row[place], text=f"{row[place].value:.3f}")
    return table


def _confusions(counts: Any, names: list[str]) -> Table:
    """Returns the pairs of classes that were mistaken most often."""
    off = counts - np.diag(counts.diagonal())
    order = np.argsort(-off, axis=None, kind="stable")[:NUM_CONFUSIONS]
    pairs = [(names[i], names[j], int(off[i, j])) for i, j in zip(*np.unravel_index(order, off.shape), strict=True)]
    frame = pd.DataFrame([pair for pair in pairs if pair[2]], columns=["class", "predicted", "test examples"])
    return Table.of("Most frequent mistakes", frame)
