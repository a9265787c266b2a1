"""The page of a comparison across data sets, from what its data sets say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra_sweep.errors import UserError, counted
from rnnexp.record.comparison_folder import ComparisonFolder
from rnnexp.report import across_figures
from rnnexp.report.page import Cell, Page, Table
from rnnexp.verdict import text
from rnnexp.verdict.across import VERSION


def page(folder: ComparisonFolder) -> Page:
    """Raises: UserError if the record is damaged, or another version's."""
    try:
        found = folder.read_across()
        if found["version"] == VERSION:
            return _page(folder.path, found)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(
            f"{folder.across} is damaged ({type(error).__name__}: {error}); run the comparison again"
        ) from error
    raise UserError(f"{folder.across} was written by another version of rnnexp; run the comparison again")


def _page(path: Path, found: Mapping[str, Any]) -> Page:
    arms, data, pairs = found["arms"], found["data"], found["pairs"]
    names = [str(arm["name"]) for arm in arms]
    part = {"test": "test", "valid": "validation"}[str(found["metric"]).partition("_")[0]]
    about = f"{counted(len(arms), 'arm')} on {counted(len(data), 'data set')}, by {part} accuracy"
    page = Page(path, "comparison", str(found["name"]), about)
    page.verdict, page.warnings, page.method = list(found["verdict"]), list(found["warnings"]), list(found["method"])
    page.first_tables = [
        Table("Data sets", *_data_table(data, arms), "Mean accuracy (%) with its 95 % interval; the best in bold."),
        Table("Arms", *_arm_table(arms)),
        Table("Pairs", *_pair_table(pairs)),
    ]
    page.drawings = [
        across_figures.critical_difference(arms, found["groups"], len(data)),
        across_figures.accuracies(data, names),
        across_figures.against(data, names),
        across_figures.profiles(data, names),
    ]
    return page


def _data_table(
    data: Sequence[Mapping[str, Any]], arms: Sequence[Mapping[str, Any]]
) -> tuple[list[str], list[list[Cell]]]:
    rows = []
    for of in data:
        best = max(of["accuracies"])
        cells = [Cell(of["name"], folder=str(of["folder"]))]
        for mean, low, high in zip(of["accuracies"], of["lows"], of["highs"], strict=True):
            shown = text.percent(mean)
            shown += "" if low is None or high is None else f" [{text.percent(low)}, {text.percent(high)}]"
            cells.append(Cell(shown, mean, is_bold=mean == best))
        rows.append(cells)
    return ["data set", *(str(arm["name"]) for arm in arms)], rows


def _arm_table(arms: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Cell]]]:
    rows = []
    for arm in arms:
        low, high = arm["interquartile_low"], arm["interquartile_high"]
        interval = "-" if low is None or high is None else f"[{text.percent(low)}, {text.percent(high)}]"
        rows.append(
            [
                Cell(arm["name"]),
                Cell(f"{arm['mean_rank']:.2f}", arm["mean_rank"]),
                Cell(text.percent(arm["interquartile_mean"]), arm["interquartile_mean"]),
                Cell(interval),
            ]
        )
    return ["arm", "mean rank", "interquartile mean (%)", "95 % interval"], rows


def _pair_table(pairs: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Cell]]]:
    rows = [
        [
            Cell(f"{pair['a']} - {pair['b']}"),
            Cell(text.points(pair["difference"]), pair["difference"]),
            Cell(text.p_text(pair["p"]), pair["p"]),
            Cell(text.p_text(pair["p_corrected"]), pair["p_corrected"]),
            *(Cell(str(pair[name]), pair[name]) for name in ("wins", "draws", "losses")),
            Cell(pair["verdict"]),
        ]
        for pair in pairs
    ]
    return ["pair", "points on average", "p", "p, corrected", "wins", "draws", "losses", "verdict"], rows
