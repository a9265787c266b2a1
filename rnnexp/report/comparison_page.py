"""The page of a comparison, from its verdict and the records of its final runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hydra_sweep.errors import UserError
from rnnexp.record.comparison_folder import ComparisonFolder
from rnnexp.record.run_folder import RunFolder
from rnnexp.report import comparison_figures, sweep_figures
from rnnexp.report.drawing import Drawing
from rnnexp.report.page import Cell, Page, Table, history
from rnnexp.verdict import text
from rnnexp.verdict.values import VERSION


def page(folder: ComparisonFolder) -> Page:
    """Raises: UserError if the verdict is damaged, or an earlier version's."""
    try:
        found = folder.read_verdict()
        if found["version"] != VERSION:
            raise UserError(f"{folder.verdict} was written by another version of rnnexp; run the comparison again")
        return _page(folder.path, found)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{folder.verdict} is damaged ({type(error).__name__}: {error}); run the comparison again"
        ) from error


def _page(path: Path, found: Mapping[str, Any]) -> Page:
    arms, pairs, metric = found["arms"], found["pairs"], str(found["metric"])
    part = {"test": "test", "valid": "validation"}[metric.partition("_")[0]]
    page = Page(path, "comparison", str(found["name"]), f"{len(arms)} arm{'s' * (len(arms) != 1)}, by {part} accuracy")
    page.subtitle += "" if found["state"] == "complete" else ", not finished yet"
    page.verdict = [*(pair["sentence"] for pair in pairs), *found["notes"]]
    page.warnings, page.method = list(found["warnings"]), list(found["method"])
    page.commands = [
        (str(arm["name"]), _command(choice))
        for arm in arms
        for choice in arm["choices"]
        if choice["command"] and len(arm["choices"]) == 1
    ]
    names = [str(arm["name"]) for arm in arms]
    dots, several = [arm["accuracies"] for arm in arms], text.SEVERAL[found["replicate"]]
    runs_of = [list(map(str, arm["runs"])) for arm in arms]
    intervals = [arm["accuracy"] for arm in arms]
    page.drawings.append(comparison_figures.forest(names, intervals, dots, part, several, runs_of))
    if pairs:
        page.drawings.append(comparison_figures.differences(pairs, found["smallest_effect"]))
    page.drawings += _search_drawings(arms, found["leads"])
    histories = {str(arm["name"]): [history(RunFolder(path / run)) for run in arm["runs"]] for arm in arms}
    histories = {name: [h for h in of if len(h)] for name, of in histories.items()}
    if all(histories.values()):
        page.drawings.append(comparison_figures.arm_curves(histories))
    else:
        page.missing.append("No learning curves: the runs' folders are not where the comparison found them.")
    rows = {str(arm["name"]): _arm_runs(path, arm, metric) for arm in arms}
    page.drawings.append(sweep_figures.costs(rows, metric, has_means=True))
    page.first_tables = [Table("Arms", *_arm_table(arms)), Table("Pairs", *_pair_table(pairs))]
    if len(found["looks"]) > 1 or found["planned"] > found["looks"][-1]["replicates"]:
        page.first_tables.append(Table("Looks", *_look_table(found)))
    if searched := [arm for arm in arms if any(choice["search"] for choice in arm["choices"])]:
        page.tables.append(Table("What each search has chosen", *_choice_table(searched, metric)))
    runs = pd.concat([of.assign(arm=name) for name, of in rows.items()])
    shown = runs[["arm", *(name for name in runs if name != "arm")]]
    on = list(shown.columns).index("folder")
    page.tables.append(Table.of("Runs", shown, folders=shown["folder"].tolist(), on=on))
    return page


def _search_drawings(arms: Sequence[Mapping[str, Any]], leads: Mapping[str, Any]) -> list[Drawing]:
    """Returns what there is to see of the arms' searches."""
    searches = {str(arm["name"]): [choice["search"] for choice in arm["choices"] if choice["search"]] for arm in arms}
    searches = {name: found for name, found in searches.items() if found}
    if not searches:
        return []
    one = next(iter(searches.values()))[0]
    objective, larger = str(one["objective"]), bool(one["larger_is_better"])
    drawings = [
        comparison_figures.searches(
            {name: [search["values"] for search in found] for name, found in searches.items()}, objective, larger
        )
    ]
    chosen = {
        str(arm["name"]): [
            [{**each, "is_chosen": each["overrides"] == choice["overrides"]} for each in choice["candidates"]]
            for choice in arm["choices"]
        ]
        for arm in arms
    }
    if any(map(any, chosen.values())):
        drawings.append(comparison_figures.selection(chosen, objective))
    curves = {name: found[0]["curve"] for name, found in searches.items() if found[0]["curve"].get("n")}
    if curves and all(len(found) == 1 for found in searches.values()):
        drawings.append(comparison_figures.expected_best(curves))
    least = min(map(len, searches.values()))
    if all(arm["anytime"] for arm in arms):
        drawings.append(
            comparison_figures.anytime({str(arm["name"]): arm["anytime"] for arm in arms}, objective, least)
        )
    if leads.get("epochs") and all(len(found) > 1 for found in searches.values()):
        drawings.append(comparison_figures.leads(leads["epochs"]))
    return drawings


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
    has_collapsed = any(arm["collapsed"]["number"] for arm in arms)
    rows: list[dict[str, Cell]] = []
    for arm in arms:
        accuracy, collapsed = arm["accuracy"], arm["collapsed"]
        others, std = collapsed["others"], accuracy["std"]
        searches = [choice["search"] for choice in arm["choices"] if choice["search"]]
        spent = text.spent([search["trials"] for search in searches], *_sums(searches)) if searches else "-"
        row = {
            "arm": Cell(arm["name"]),
            "accuracy (%)": Cell(text.percent(accuracy["mean"]), accuracy["mean"]),
            "95 % interval": Cell(_interval(accuracy, text.percent)),
            "std": Cell("-") if std is None else Cell(text.percent(std), std),
        }
        if has_collapsed:
            number = f"{collapsed['number']} of {len(arm['runs'])}"
            mean = others["mean"] if collapsed["number"] and others else None
            row["collapsed"] = Cell(number, collapsed["share"])
            row["without those (%)"] = Cell("-") if mean is None else Cell(text.percent(mean), mean)
        row |= {
            "loss": Cell(f"{arm['loss']['mean']:.4f}", arm["loss"]["mean"]),
            "parameters": Cell(f"{arm['num_parameters']:,}", arm["num_parameters"]),
            "s per run": Cell(f"{arm['train_seconds']:.1f}", arm["train_seconds"]),
            "epochs": Cell(f"{arm['epochs']:g}", arm["epochs"]),
            "searched": Cell(spent),
        }
        rows.append(row)
    return list(rows[0]), [list(row.values()) for row in rows]


def _sums(searches: Sequence[Mapping[str, Any]]) -> tuple[int, float]:
    return sum(search["epochs"] for search in searches), sum(search["seconds"] for search in searches)


def _choice_table(arms: Sequence[Mapping[str, Any]], metric: str) -> tuple[list[str], list[list[Cell]]]:
    """Returns the configuration of each search's winner, what it reached there, and in its final runs."""
    rows = []
    objective = str(
        next(choice["search"] for arm in arms for choice in arm["choices"] if choice["search"])["objective"]
    )
    columns = ["arm", "search", _header(objective), _header(metric), "configuration", "command"]
    for arm in arms:
        for number, choice in enumerate(arm["choices"]):
            best = choice["search"]["best_value"]
            runs = [a for a, search in zip(arm["accuracies"], arm["searches"], strict=True) if search == number]
            mean = sum(runs) / len(runs) if runs else None
            rows.append(
                [
                    Cell(arm["name"]),
                    Cell(str(number + 1), number + 1),
                    Cell(text.percent(best) if objective.endswith("accuracy") else f"{best:.4f}", best),
                    Cell("-") if mean is None else Cell(text.percent(mean), mean),
                    Cell(" ".join(choice["overrides"])),
                    Cell(_command(choice)),
                ]
            )
    return columns, rows


def _header(metric: str) -> str:
    return metric.replace("_", " ") + (" (%)" if metric.endswith("accuracy") else "")


def _command(choice: Mapping[str, Any]) -> str:
    """Returns it as it is typed today; records of before the one command spell it otherwise."""
    return re.sub(r"^python -m rnnexp(?= |$)", "rnnexp", str(choice["command"]))


def _look_table(found: Mapping[str, Any]) -> tuple[list[str], list[list[Cell]]]:
    """Returns each look's p-values, as if it were the only one, beside the level that they are held against."""
    pairs = [f"{pair['a']} - {pair['b']}" for pair in found["pairs"]]
    rows = [
        [
            Cell(f"{look['replicates']} of {found['planned']}", look["replicates"]),
            Cell(f"{look['level']:.4f}", look["level"]),
            *(Cell("-") if p is None else Cell(text.p_text(p), p) for p in look["p_values"]),
        ]
        for look in found["looks"]
    ]
    return [text.SEVERAL[found["replicate"]], "level of one pair", *(f"p, {pair}" for pair in pairs)], rows


def _pair_table(pairs: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Cell]]]:
    columns = [
        "pair",
        "verdict",
        "points",
        "95 % interval",
        "p",
        "p, corrected",
        "p, same",
        "P(better)",
        "its interval",
        "paired",
    ]
    rows = [
        [
            Cell(f"{pair['a']} - {pair['b']}"),
            Cell(pair["verdict"]),
            Cell(text.points(pair["difference"]), pair["difference"]),
            Cell(_interval(pair, text.points)),
            *(
                Cell("-") if pair[p] is None else Cell(text.p_text(pair[p]), pair[p])
                for p in ("p", "p_corrected", "p_same")
            ),
            Cell(f"{pair['probability']:.2f}", pair["probability"]),
            Cell(_interval(pair, "{:.2f}".format, "probability_")),
            Cell("yes" if pair["is_paired"] else "no"),
        ]
        for pair in pairs
    ]
    return columns, rows


def _interval(of: Mapping[str, Any], text: Callable[[float], str], prefix: str = "") -> str:
    low, high = of[f"{prefix}low"], of[f"{prefix}high"]
    return "-" if low is None else f"[{text(low)}, {text(high)}]"
