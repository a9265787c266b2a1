"""`rnnexp report PATH`: one HTML file about a run, a sweep or a comparison, and its figures as files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra_sweep.commands import Parser, command
from hydra_sweep.errors import UserError, counted
from rnnexp.record.places import find
from rnnexp.report.pages import FORMATS, PAGE, gather, write_figures, write_page, write_runs


@command("rnnexp report")
def main(argv: Sequence[str] | None = None) -> int:
    """Writes the page and returns the exit status."""
    parser = Parser("rnnexp report", description="Write a page about a run, a sweep or a comparison.")
    parser.add_argument("path", help="a run, a sweep or a comparison, by name or folder, or any folder of runs")
    parser.add_argument("--output", metavar="FILE", type=Path, help="the page (default: PATH/report.html)")
    parser.add_argument("--runs", action="store_true", help="write the page of each run in it, too: dots lead there")
    parser.add_argument("--figures", metavar="FOLDER", type=Path, help="write each figure into this folder, too")
    parser.add_argument(
        "--format", default=",".join(FORMATS), help="of the figures: png, svg or png,svg (default: both)"
    )
    for line in _lines(parser.parse_args(argv)):
        print(line)
    return 0


def _lines(args: argparse.Namespace) -> Iterator[str]:
    formats = args.format.split(",")
    if unknown := [name for name in formats if name not in FORMATS]:
        raise UserError(f"--format must be png, svg or png,svg, got {unknown[0]}")
    args.path = find(args.path)
    page = gather(args.path)
    if args.runs:
        yield f"pages    of {counted(write_runs(args.path), 'run')}, {PAGE} in each one's folder"
    target = args.output or args.path / PAGE
    yield f"page     {write_page(page, target)}"
    if args.figures:
        written = write_figures(page, args.figures, formats)
        yield f"figures  {args.figures}: {', '.join(path.name for path in written)}"
