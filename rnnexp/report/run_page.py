"""The page of one run: its curves, what it reads wrongly, and how it was made."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hydra_sweep.errors import UserError
from rnnexp.data.files import CLASS_NAMES, test_images
from rnnexp.record.run_folder import RunFolder
from rnnexp.report import run_figures
from rnnexp.report.page import Page, Table, history, tile
from rnnexp.results import collect
from rnnexp.results.columns import is_config
from rnnexp.schema.config import DataConfig

NUM_MISTAKES = 20
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


def page(path: Path) -> Page:
    frame = collect(path)
    row = {str(name): value for name, value in frame.iloc[0].items()}
    folder = RunFolder(path)
    page = Page(path, "run", path.resolve().name)
    page.subtitle = " · ".join(str(row[name]) for name in ("model", "optim", "data") if not pd.isna(row[name]))
    page.subtitle += f" · {row['status']}" + (f": {row['reason']}" if not pd.isna(row["reason"]) else "")
    page.tiles = [(name.replace("_", " "), tile(row[name], name)) for name in TILES if not pd.isna(row[name])]
    shown = shlex.quote(str(path))
    page.commands = [("again", f"python -m rnnexp.reproduce {shown}")] if row["status"] == "complete" else []
    epochs = history(folder)
    if len(epochs):
        best = int(row["best_epoch"]) if not pd.isna(row["best_epoch"]) else None
        page.drawings.append(run_figures.curves(epochs, best))
        if epochs["lr"].nunique() > 1:
            page.drawings.append(run_figures.learning_rate(epochs))
    else:
        page.missing.append(f"There are no learning curves: {_why_no_epochs(folder)}.")
    _add_outcomes(page, folder, row)
    config = [(name, row[name]) for name in frame.columns if is_config(name) and not pd.isna(row[name])]
    about = [
        (name, row[name])
        for name in frame.columns[list(frame.columns).index("fingerprint") :]
        if not pd.isna(row[name])
    ]
    page.tables = [
        Table.of("Epochs", epochs) if len(epochs) else Table("Epochs", [], []),
        Table.pairs("Configuration", "key", config),
        Table.pairs("Where it ran", "what", about),
    ]
    return page


def _why_no_epochs(folder: RunFolder) -> str:
    try:
        return "its history holds no numbers" if folder.read_history() else "no epoch has finished yet"
    except ValueError as error:
        return str(error)


def _add_outcomes(page: Page, folder: RunFolder, row: Mapping[str, Any]) -> None:
    """Adds the confusion matrix and the worst mistakes, or says why not."""
    try:
        outcomes = folder.read_test_outcomes()
        if outcomes is None:
            page.missing.append("This run kept no record of single test images: no confusion matrix and no mistakes.")
            return
        name = str(row.get("data.name"))
        names = CLASS_NAMES.get(name, tuple(map(str, range(10))))
        counts = np.zeros((len(names), len(names)), int)
        np.add.at(counts, (outcomes.labels, outcomes.predicted), 1)
        page.drawings.append(run_figures.confusion(counts, names))
        wrong = np.flatnonzero(outcomes.predicted != outcomes.labels)
        worst = wrong[np.argsort(-outcomes.losses[wrong], kind="stable")][:NUM_MISTAKES]
        root = row.get("data.root")
        data = DataConfig(name=name, root=None if pd.isna(root) else str(root))
        pixels = np.frombuffer(test_images(data), np.uint8).reshape(-1, 28, 28)
        if len(pixels) != len(outcomes.labels):
            raise ValueError(f"{len(outcomes.labels)} outcomes for {len(pixels)} images")
    except (UserError, ValueError, IndexError, KeyError) as error:
        page.missing.append(f"The test set can't be shown: {error}.")
        return
    if len(worst):
        labels, predicted = ([names[i] for i in part[worst]] for part in (outcomes.labels, outcomes.predicted))
        page.drawings.append(
            run_figures.mistakes(pixels[worst], labels, predicted, np.exp(-outcomes.losses[worst]).tolist())
        )
