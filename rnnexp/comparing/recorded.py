"""Runs that are on disk already, as the arms of a comparison, and what about them was not controlled. No torch."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hydra_sweep.errors import UserError, counted
from hydra_sweep.hints import nearest
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record.result import Status, few_to_validate
from rnnexp.record.run_folder import RunFolder
from rnnexp.results import collect
from rnnexp.results.aggregation import mixed_keys, mixed_text
from rnnexp.results.columns import is_config
from rnnexp.results.filtering import where
from rnnexp.schema.identity import is_computed
from rnnexp.schema.tree import GROUPS
from rnnexp.verdict import curves
from rnnexp.verdict.values import Arm, Run, Search

FAILED = ("failed", "waiting", "running")  # states in the table of a sweep


@dataclass(frozen=True)
class FinalRuns:
    folder: Path
    runs: list[Run]
    warnings: list[str]


def final_runs(folder: Path, relative_to: Path) -> FinalRuns:
    """Returns an arm's final runs, in the order of their seeds, and what is to be said of those that failed.

    A run that diverged is a result; one that failed, by an error or a lost machine, says nothing of the arm.
    """
    frame = collect(folder)
    is_tested = (frame["status"] == Status.COMPLETE.value) & frame["test_accuracy"].notna()
    is_good = is_tested | (frame["status"] == Status.DIVERGED.value)
    left_out = frame[~is_good]["status"].value_counts()
    warnings = [f"{count} of {len(frame)} final runs {status}, left out" for status, count in left_out.items()]
    return FinalRuns(folder, _runs(frame[is_good].sort_values("seed"), folder, relative_to), warnings)


def _runs(frame: pd.DataFrame, root: Path, relative_to: Path) -> list[Run]:
    """Raises: UserError if a run's record of its test examples is damaged."""
    runs = []
    for row in frame.to_dict("records"):
        path = root / row["path"]
        try:
            outcomes = RunFolder(path).read_test_outcomes()
        except ValueError as error:
            raise UserError(f"{path}: {error}; delete that file to compare without it") from error
        metrics = {str(name): value for name, value in row.items() if isinstance(value, (int, float))}
        is_diverged = row["status"] == Status.DIVERGED.value
        runs.append(
            Run(os.path.relpath(path, relative_to), int(row["seed"]), metrics, outcomes, is_diverged=is_diverged)
        )
    return runs


def search(folder: SweepFolder, relative_to: Path, objective: str, direction: str) -> Search:
    """Returns what one of an arm's searches took, from its sweep's table.

    Args:
        objective, direction: what it improved, and which way.
    """
    try:
        rows = pd.read_csv(io.StringIO(folder.read_table()), dtype={"folder": str})
    except (OSError, ValueError) as error:
        raise UserError(f"{folder.table} can't be read ({error}); rerun the sweep's command") from error
    rows = rows.reindex(columns=list(dict.fromkeys([*rows.columns, objective, "epochs", "train_seconds"])))
    is_larger = direction == "maximize"
    states = rows.groupby("trial")["state"].first()
    drawn = rows[~rows["state"].isin(FAILED)]
    worst = 0.0 if is_larger else float(rows[objective].max())  # of a trial that diverged at once
    values = drawn.fillna({objective: worst}).groupby("trial")[objective].mean()
    paid = rows.drop_duplicates("folder")  # a repeated configuration costs nothing
    cost = paid.groupby("trial")[["epochs", "train_seconds"]].sum().reindex(values.index, fill_value=0)
    is_accuracy = is_larger and objective == "valid_accuracy"
    curve = vars(curves.expected_best(values.tolist())) if is_accuracy else {}
    return Search(
        folder=os.path.relpath(folder.path, relative_to),
        trials=len(states),
        complete=int((states == "complete").sum()),
        pruned=int((states == "pruned").sum()),
        failed=int((states == "failed").sum()),
        epochs=int(paid["epochs"].sum()),
        seconds=float(paid["train_seconds"].sum()),
        best_value=float(values.max() if is_larger else values.min()),
        values=values.tolist(),
        objective=objective,
        larger_is_better=is_larger,
        trial_epochs=cost["epochs"].astype(float).tolist(),
        trial_seconds=cost["train_seconds"].astype(float).tolist(),
        curve={"n": [float(n) for n in range(1, len(values) + 1)], **curve} if curve else {},
    )


def unequal_budgets(arms: Sequence[Arm]) -> list[str]:
    """Returns a line if the searches did not get the same number of epochs, within a tenth."""
    spent = {arm.name: sum(choice.search.epochs for choice in arm.choices if choice.search is not None) for arm in arms}
    spent = {name: epochs for name, epochs in spent.items() if epochs}
    if not spent or max(spent.values()) <= 1.1 * min(spent.values()):
        return []
    listed = ", ".join(f"{name} {epochs}" for name, epochs in spent.items())
    return [f"the searches did not spend the same number of epochs: {listed}"]


def few_validate(arms: Sequence[Arm]) -> list[str]:
    """Returns a line if so few examples validate that the searches have chosen by chance."""
    numbers = [run.metrics.get("num_valid", 0.0) for arm in arms for run in arm.runs]
    few = few_to_validate(min((number for number in numbers if number > 0), default=None))
    return [few] if few else []


def load(root: Path, expression: str | None, columns: Sequence[str]) -> pd.DataFrame:
    """Returns the table of the runs below a folder.

    Args:
        expression: only the runs of which it holds.
        columns: that must be there.

    Raises:
        UserError: one of them isn't.
    """
    frame = collect(root)
    if expression:
        frame = where(frame, expression)
    for name in columns:
        if name not in frame.columns:
            raise UserError(f"no column {name}{nearest(name, frame.columns) or '; try --by model'}")
    return frame


def by_data(frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Returns the runs of each data set, told apart by some columns."""
    return {_group_name(key): group for key, group in frame.groupby(list(columns), dropna=False)}


def arms(
    everything: pd.DataFrame, root: Path, by: Sequence[str], metric: str, relative_to: Path
) -> tuple[list[Arm], list[str]]:
    """Returns the runs of a table that ended as arms, and what was not controlled about them.

    Args:
        everything: as `load` returns it.
        by: columns of the table; each combination of their values is an arm.
        metric: test_accuracy or valid_accuracy.
        relative_to: the folder that the arms name their runs from.

    Raises:
        UserError: there are fewer than two arms.
    """
    status = everything["status"]
    is_complete = status == Status.COMPLETE.value
    frame = everything[(is_complete & everything[metric].notna()) | (status == Status.DIVERGED.value)]
    others = status[~is_complete & (status != Status.DIVERGED.value)].value_counts()
    warnings = [f"{counted(n, 'run')} {name}, left out" for name, n in others.items() if n]
    is_tested = everything.loc[is_complete, metric].notna()
    if (~is_tested).any():
        warnings.append(
            f"{counted(int((~is_tested).sum()), 'complete run')} without {metric}, as trials of a search are; left out"
        )
    twice = frame.duplicated("fingerprint")
    if twice.any():
        warnings.append(f"{counted(int(twice.sum()), 'repeat')} of another run, seed included; left out")
        frame = frame[~twice]
    groups = {_group_name(key): group.sort_values("seed") for key, group in frame.groupby(list(by), dropna=False)}
    if len(groups) < 2:
        varying = [n for n in frame.columns if (is_config(n) or n in GROUPS) and frame[n].nunique(dropna=False) > 1]
        hint = f"; columns that vary: {', '.join(varying[:8])}" if varying else ""
        untested = f"; try --metric valid_{metric.partition('_')[2]}" if not len(frame) and len(is_tested) else ""
        raise UserError(
            f"{root} holds {counted(len(frame), 'run')} to compare, of {len(groups)} different {', '.join(by)}"
            f"{hint}{untested}"
        )
    found = [Arm(name, _runs(group, root, relative_to)) for name, group in groups.items()]
    return found, [*warnings, *_not_controlled(groups, by, metric)]


def _group_name(key: Any) -> str:
    return " ".join(str(value) for value in (key if isinstance(key, tuple) else (key,)))


def _not_controlled(groups: dict[str, pd.DataFrame], by: Sequence[str], metric: str) -> list[str]:
    """Returns, a line each, what else than the arms may make the difference."""
    frame = pd.concat(groups.values())
    own = {name.partition(".")[0] for name in by}
    keys = [n for n in frame.columns if is_config(n) and is_computed(n) and n.partition(".")[0] not in own]
    said = ["how hard each arm was tuned is not known here; rnnexp compare gives each the same budget"]
    for name, group in groups.items():
        if mixed := mixed_keys(group, by):
            said.append(mixed_text(f"arm {name}", mixed))
        elif group["seed"].duplicated().any():
            said.append(f"arm {name} has several runs of one seed, which are not independent")
    unlike = [key for key in keys if len({frozenset(group[key].astype(str)) for group in groups.values()}) > 1]
    if unlike:
        said.append(f"not the same in all arms: {', '.join(unlike)}")
    counts = {name: len(group) for name, group in groups.items()}
    if len(set(counts.values())) > 1:
        said.append(f"not as many runs of each: {', '.join(f'{name} {n}' for name, n in counts.items())}")
    epochs = {name: group["epochs"].mean() for name, group in groups.items()}
    if max(epochs.values()) > 1.1 * min(epochs.values()):
        said.append(f"not as many epochs of training: {', '.join(f'{name} {n:.1f}' for name, n in epochs.items())}")
    if "data.valid_from" in frame and (frame["data.valid_from"] == "test").any():
        kept = (
            "the kept epoch was the best on the test set" if (frame["train.keep"] == "best").any() else "tested anyway"
        )
        said.append(
            f"validation was the test set itself ({kept}): whatever was chosen by it, was chosen by the test set"
        )
    if metric.startswith("valid_"):
        said.append("validation has chosen the epoch that was kept, if nothing more: these accuracies are optimistic")
    if frame["git.commit"].nunique(dropna=False) > 1:
        said.append(f"made by {frame['git.commit'].nunique(dropna=False)} versions of the code")
    return said
