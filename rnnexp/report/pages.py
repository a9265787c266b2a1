"""`rnnexp report PATH`: one HTML file about a run, a sweep or a comparison, and its figures as PNG and SVG.

What can't be shown is said in a sentence. Dots and rows lead to the page of their run, where it has one: `--runs`
writes those, too. No torch.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from tqdm import tqdm

from hydra_sweep.errors import UserError
from hydra_sweep.files import atomic
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record.comparison_folder import ComparisonFolder
from rnnexp.record.run_folder import RunFolder
from rnnexp.report import across_page, comparison_page, run_page, sweep_page
from rnnexp.report.page import Page
from rnnexp.results import collect

FORMATS = ("png", "svg")
PAGE = "report.html"  # in the folder that it is about


def gather(path: str | Path, collect: Callable[[Path], pd.DataFrame] = collect) -> Page:
    """Returns what there is to show of a run, a sweep or a comparison.

    Args:
        collect: gives the table of the runs below a folder; by default reads it.

    Raises:
        UserError: the folder is none of the three, or its record is damaged.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"no folder {path}; type the folder of a run, a sweep or a comparison")
    comparison, sweep = ComparisonFolder(path), SweepFolder(path)
    if comparison.across.exists():
        return across_page.page(comparison)
    if comparison.verdict.exists():
        return comparison_page.page(comparison)
    if sweep.is_sweep():
        return sweep_page.page(sweep, collect)
    if RunFolder(path).is_run() or sweep.run_record("").exists():
        return run_page.page(path, collect)
    frame = collect(path)
    if frame.empty:
        what = "a comparison that has no run yet" if comparison.state.exists() else "no run, no sweep and no comparison"
        raise UserError(f"{path} holds {what}; try outputs/runs/NAME or outputs/sweeps/NAME")
    page = sweep_page.runs_page(path, frame)
    if comparison.state.exists():
        page.kind = "comparison"
        page.warnings.append("It has no verdict yet: these are the runs that there are so far.")
    return page


def write(path: str | Path, output: str | Path | None = None) -> Path:
    """Writes the page about a run, a sweep or a comparison and returns where it is: `report.html` in its folder.

    Raises:
        UserError: the folder is none of the three, or the page can't be written.
    """
    return write_page(gather(path), Path(output) if output else Path(path) / PAGE)


def write_page(page: Page, target: Path) -> Path:
    if not target.parent.is_dir() or target.is_dir():
        raise UserError(f"cannot write {target}: it must be a file in a folder that exists; try --output report.html")
    with atomic(target, "make room, or take --output FILE") as out:
        out.write(page.html(links(page.path, target.parent)).encode(errors="backslashreplace"))
    return target


def write_runs(path: str | Path) -> int:
    """Writes the page of each run below a folder, so that others lead there, and returns their number.

    Raises:
        UserError: there is no such folder, or a page can't be written.
    """
    runs = [run for run in collect(path)["path"] if run != "."]
    for run in tqdm(runs, "writing", unit="page", leave=False, disable=None, delay=1):
        write(Path(path) / run)
    return len(runs)


def links(folder: Path, base: Path) -> Callable[[str], str]:
    """Returns a function from what lies below a page's own folder to the URL of its page, seen from `base`.

    Nothing where there is no page: a report of a thousand trials does not write a thousand pages unless it is asked to.
    """

    @functools.cache
    def link(below: str) -> str:
        page = folder / below / PAGE
        try:
            return f"./{quote(os.fsencode(Path(os.path.relpath(page, base)).as_posix()))}" if page.is_file() else ""
        except ValueError:  # on another drive of Windows'
            return ""

    return link


def write_figures(page: Page, folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Writes each figure of the page into a folder, once for each format, and returns their paths.

    Raises:
        UserError: the folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}; try another folder") from error
    written = []
    for drawing in page.drawings:
        for suffix in formats:
            written.append(folder / f"{drawing.key}.{suffix}")
            with atomic(written[-1], "make room, or take another folder") as out:
                out.write(drawing.file(suffix))
    return written
