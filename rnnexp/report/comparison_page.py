"""The page of a comparison, from its verdict and the records of its final runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hydra_sweep.errors import UserError, counted
from rnnexp.record.comparison_folder import ComparisonFolder
from rnnexp.record.run_folder import RunFolder
from rnnexp.report import comparison_figures, sweep_figures
from rnnexp.report.page import Cell, Page, Table, history
from rnnexp.verdict import text


def page(folder: ComparisonFolder) -> Page:
    """Raises: UserError if the verdict is damaged."""
    try:
        return _page(folder.path, folder.read_verdict())
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(
            f"{folder.verdict} is damaged ({type(error).__name__}: {error}); run the comparison again"
        ) from error


def _page(path: Path, found: Mapping[str, Any]) -> Page:
    arms, pairs, metric = found["arms"], found["pairs"], str(found["metric"])
    part = {"test": "test", "valid": "validation"}[metric.partition("_")[0]]
    page = Page(path, "comparison", str(found["name"]), f"{len(arms)} arm{'s' * (len(arms) != 1)}, by {part} accuracy")
    page.subtitle += "" if found["state"] == "complete" else ", not finished yet"
    page.verdict, page.warnings = [pair["sentence"] for pair in pairs], list(found["warnings"])
    page.method = list(found["method"])
    page.commands = [(str(arm["name"]), str(arm["command"])) for arm in arms if arm["command"]]
    names = [str(arm["name"]) for arm in arms]
    page.drawings.append(
        comparison_figures.forest(names, [arm["accuracy"] for arm in arms], [arm["accuracies"] for arm in arms], part)
    )
    if pairs:
        page.drawings.append(comparison_figures.differences(pairs))
    searches = {str(arm["name"]): arm["search"] for arm in arms if arm["search"] and arm["search"]["values"]}
    if searches:
        page.drawings.append(comparison_figures.searches({name: search["values"] for name, search in searches.items()}))
    if curves := {name: search["curve"] for name, search in searches.items() if search["curve"].get("n")}:
        page.drawings.append(comparison_figures.expected_best(curves))
    histories = {str(arm["name"]): [history(RunFolder(path / run)) for run in arm["runs"]] for arm in arms}
    histories = {name: [h for h in of if len(h)] for name, of in histories.items()}
    if all(histories.values()):
        page.drawings.append(comparison_figures.arm_curves(histories))
    else:
        page.missing.append("No learning curves: the runs' folders are not where the comparison found them.")
    rows = {str(arm["name"]): _arm_runs(path, arm, metric) for arm in arms}
    page.drawings.append(sweep_figures.costs(rows, metric, has_means=True))
    page.first_tables = [Table("Arms", *_arm_table(arms)), Table("Pairs", *_pair_table(pairs))]
    runs = pd.concat([of.assign(arm=name) for name, of in rows.items()])
    page.tables.append(Table.of("Runs", runs[["arm", *(name for name in runs if name != "arm")]]))
    if searches:
        values = pd.DataFrame({name: pd.Series(search["values"]) for name, search in searches.items()})
        page.tables.append(
            Table.of("Trials of the searches", values.rename_axis("trial").reset_index(), "Validation accuracies.")
        )
    return page


def _arm_runs(path: Path, arm: Mapping[str, Any], metric: str) -> pd.DataFrame:
    """Returns what each run of an arm cost, as its own record has it, or as the comparison has it on average."""
    rows = []
    for run, seed, accuracy, loss in zip(arm["runs"], arm["seeds"], arm["accuracies"], arm["losses"], strict=True):
        try:
            result = RunFolder(path / run).read_result()
        except ValueError:
            result = None
        metrics = result.metrics if result else arm
        cost = {name: metrics.get(name, arm[name]) for name in ("num_parameters", "train_seconds", "epochs")}
        rows.append({"seed": seed, metric: accuracy, metric.replace("accuracy", "loss"): loss, **cost, "folder": run})
    frame: pd.DataFrame = pd.DataFrame(rows)
    return frame


def _arm_table(arms: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Cell]]]:
    columns = [
        "arm",
        "accuracy (%)",
        "95 % interval",
        "std",
        "loss",
        "parameters",
        "s per run",
        "epochs",
        "search",
        "best of it",
        "configuration",
    ]
    rows = []
    for arm in arms:
        accuracy, search = arm["accuracy"], arm["search"]
        spent = "-"
        if search:
            trials, epochs = counted(search["trials"], "trial"), counted(search["epochs"], "epoch")
            spent = f"{trials}, {epochs}, {search['seconds']:,.0f} s"
        rows.append(
            [
                Cell(arm["name"]),
                Cell(text.percent(accuracy["mean"]), accuracy["mean"]),
                Cell(_interval(accuracy, text.percent)),
                Cell("-") if accuracy["std"] is None else Cell(text.percent(accuracy["std"]), accuracy["std"]),
                Cell(f"{arm['loss']['mean']:.4f}", arm["loss"]["mean"]),
                Cell(f"{arm['num_parameters']:,}", arm["num_parameters"]),
                Cell(f"{arm['train_seconds']:.1f}", arm["train_seconds"]),
                Cell(f"{arm['epochs']:g}", arm["epochs"]),
                Cell(spent),
                Cell(text.percent(search["best_value"]), search["best_value"]) if search else Cell("-"),
                Cell(" ".join(arm["overrides"])),
            ]
        )
    return columns, rows


def _pair_table(pairs: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Cell]]]:
    columns = [
        "pair",
        "points",
        "95 % interval",
        "p",
        "p, corrected",
        "P(better)",
        "its interval",
        "verdict",
        "paired by seed",
    ]
    rows = [
        [
            Cell(f"{pair['a']} - {pair['b']}"),
            Cell(text.points(pair["difference"]), pair["difference"]),
            Cell(_interval(pair, text.points)),
            *(Cell("-") if pair[p] is None else Cell(text.p_text(pair[p]), pair[p]) for p in ("p", "p_corrected")),
            Cell(f"{pair['probability']:.2f}", pair["probability"]),
            Cell(_interval(pair, "{:.2f}".format, "probability_")),
            Cell(pair["verdict"]),
            Cell("yes" if pair["is_paired"] else "no"),
        ]
        for pair in pairs
    ]
    return columns, rows


def _interval(of: Mapping[str, Any], text: Callable[[float], str], prefix: str = "") -> str:
    low, high = of[f"{prefix}low"], of[f"{prefix}high"]
    return "-" if low is None else f"[{text(low)}, {text(high)}]"
