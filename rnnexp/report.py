"""`python -m rnnexp.report PATH`: one HTML file about a run, a sweep or a comparison, and its figures as PNG and SVG.

What can't be shown is said in a sentence. No torch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra_sweep import streams
from hydra_sweep.arguments import Parser
from hydra_sweep.errors import UserError
from hydra_sweep.files import atomic
from rnnexp.page import Page, comparison, run, sweep
from rnnexp.results import collect
from rnnexp.store import RunFolder

FORMATS = ("png", "svg")


def gather(path: str | Path) -> Page:
    """Returns what there is to show of a run, a sweep or a comparison.

    Raises:
        UserError: the folder is none of the three, or its record is damaged.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"no folder {path}; type the folder of a run, a sweep or a comparison")
    if (path / "comparison.json").exists():
        return comparison.page(path)
    if (path / "sweep.yaml").exists():
        return sweep.page(path)
    if RunFolder(path).is_run():
        return run.page(path)
    if (path / "compare.yaml").exists():
        raise UserError(
            f"{path} holds a comparison without a verdict yet; look at {path / 'search'} or {path / 'final'}"
        )
    frame = collect(path)
    if frame.empty:
        raise UserError(
            f"{path} holds no run, no sweep and no comparison; try outputs/runs/NAME or outputs/sweeps/NAME"
        )
    return sweep.runs_page(path, frame)


def write(path: str | Path, output: str | Path | None = None) -> Path:
    """Writes the page about a run, a sweep or a comparison and returns where it is: `report.html` in its folder.

    Raises:
        UserError: the folder is none of the three, or the page can't be written.
    """
    return _write(gather(path), Path(output) if output else Path(path) / "report.html")


def _write(page: Page, target: Path) -> Path:
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


@streams.command
def main(argv: Sequence[str] | None = None) -> int:
    """Writes the page and returns the exit status."""
    parser = Parser("rnnexp.report", description="Write a page about a run, a sweep or a comparison.")
    parser.add_argument("path", type=Path, help="folder of a run, a sweep or a comparison, or any folder of runs")
    parser.add_argument("--output", metavar="FILE", type=Path, help="the page (default: PATH/report.html)")
    parser.add_argument("--figures", metavar="FOLDER", type=Path, help="write each figure into this folder, too")
    parser.add_argument(
        "--format", default=",".join(FORMATS), help="of the figures: png, svg or png,svg (default: both)"
    )
    args = parser.parse_args(argv)
    try:
        for line in _lines(args):
            print(line)
    except (UserError, OSError) as error:
        print(f"rnnexp.report: {error}", file=sys.stderr)
        return 2
    return 0


def _lines(args: argparse.Namespace) -> Iterator[str]:
    formats = args.format.split(",")
    if unknown := [name for name in formats if name not in FORMATS]:
        raise UserError(f"--format must be png, svg or png,svg, got {unknown[0]}")
    page = gather(args.path)
    target = args.output or args.path / "report.html"
    yield f"page     {_write(page, target)}"
    if args.figures:
        written = write_figures(page, args.figures, formats)
        yield f"figures  {args.figures}: {', '.join(path.name for path in written)}"


if __name__ == "__main__":
    sys.exit(main())
