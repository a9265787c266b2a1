"""`rnnexp report PATH`: one HTML file about a run, a sweep or a comparison, and its figures as PNG and SVG.

What can't be shown is said in a sentence. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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


def gather(path: str | Path) -> Page:
    """Returns what there is to show of a run, a sweep or a comparison.

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
        return sweep_page.page(sweep)
    if RunFolder(path).is_run() or sweep.run_record("").exists():
        return run_page.page(path)
    if comparison.state.exists():
        raise UserError(
            f"{path} holds a comparison without a verdict yet; look at {comparison.searches} or {comparison.finals}"
        )
    frame = collect(path)
    if frame.empty:
        raise UserError(
            f"{path} holds no run, no sweep and no comparison; try outputs/runs/NAME or outputs/sweeps/NAME"
        )
    return sweep_page.runs_page(path, frame)


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
        out.write(page.html().encode())
    return target


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
