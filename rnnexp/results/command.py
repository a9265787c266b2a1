"""`rnnexp results`: every run below a folder in one table."""

from __future__ import annotations

import argparse
import shutil
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hydra_sweep.commands import Parser, command, show
from hydra_sweep.errors import UserError, counted
from hydra_sweep.files import atomic
from hydra_sweep.hints import nearest, nearest_key
from hydra_sweep.text_table import fitting, table
from rnnexp.record.places import find
from rnnexp.record.result import Status
from rnnexp.results import formats
from rnnexp.results.aggregation import (
    MixedConfigurations,
    complete,
    flat,
    group,
    mixed_keys,
    mixed_text,
    pivot,
    spelled,
    spelled_groups,
)
from rnnexp.results.collecting import collect
from rnnexp.results.columns import choose, columns, natural
from rnnexp.results.filtering import where


class NothingFound(UserError):
    """The folder holds no runs."""

    exit_status = 1


@command("rnnexp results")
def main(argv: Sequence[str] | None = None) -> int:
    """Shows the table and returns the exit status."""
    for line in _lines(_parser().parse_args(argv)):
        print(line)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser("rnnexp results", description="Show every run below a folder in one table.")
    parser.add_argument(
        "root",
        nargs="?",
        default="outputs",
        help="folder that holds the runs, or the name of a sweep (default: outputs)",
    )
    parser.add_argument(
        "--where", metavar="EXPR", help='only runs of which this holds: "optim.lr > 0.1 and seed in (0, 1)"'
    )
    parser.add_argument("--sort", metavar="COLUMN", help="sort by it; --sort=-COLUMN: from high to low")
    parser.add_argument(
        "--columns",
        metavar="A,B,C",
        help="these columns only, in this order, in the files as well; with --rows: the one across",
    )
    shapes = parser.add_argument_group("means over runs, of those that are complete")
    shapes.add_argument("--group", metavar="A,B", help="mean, std, n and best for each combination of these columns")
    shapes.add_argument("--rows", metavar="A,B", help="these columns down, and one across: --columns says which")
    shapes.add_argument("--values", metavar="A,B", help="of which columns (default: test_accuracy); one with --rows")
    shapes.add_argument("--any-status", action="store_true", help="runs that are not complete count as well")
    files = parser.add_argument_group("formats, of what is shown; a file has all columns of the plain table")
    files.add_argument("--format", choices=["table", *formats.TEXT], default="table", help="print it so")
    files.add_argument(
        "--output", metavar="FILE", type=Path, help=f"write it here, as its name ends: {' '.join(formats.SUFFIXES)}"
    )
    for name in formats.TEXT:
        files.add_argument(f"--{name}", metavar="FILE", type=Path, help=f"write {name} here; - prints it instead")
    files.add_argument("--parquet", metavar="FILE", type=Path, help="with exact types; needs pyarrow")
    return parser


def _lines(args: argparse.Namespace) -> Iterator[str]:
    """Yields what the command prints, and writes the files that it was asked for."""
    is_plain = not args.group and not args.rows
    if is_plain and (args.values or args.any_status):
        raise UserError("--values and --any-status are for means; add --group model, or --rows model --columns optim")
    files, printed = _formats(args)
    args.root = find(args.root)
    everything = collect(args.root)
    if everything.empty:
        raise NothingFound(f"no runs below {args.root}")
    frame = where(everything, args.where) if args.where else everything
    width = shutil.get_terminal_size((120, 24)).columns
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixedConfigurations)  # said below, with what to type
        shown, exact = (_plain if is_plain else _shaped)(frame, args, width)
    if not is_plain and (warning := _mixed_warning(frame, args)):
        show("rnnexp results", [f"warning: {warning}"])
    contents = {}
    for path, name in files.items():
        if name == "parquet":
            contents[path] = formats.to_parquet(exact)
        else:
            contents[path] = formats.TEXT[name](exact if name == "csv" or is_plain else shown).encode()
    for path, content in contents.items():
        _write(path, content)
    for name in printed:
        yield formats.TEXT[name](exact if name == "csv" else shown).rstrip("\n")
    if printed:
        return
    flexible = None if is_plain else [name for name in _names(args.group or args.rows) if name in shown]
    yield from table(columns(shown), width, flexible)
    statuses = [str(status) for status in frame["status"]]
    counts = [f"{n} {status.value}" for status in Status if (n := statuses.count(status.value))]
    text = f"{counted(len(frame), 'run')}: {', '.join(counts) or 'none of which that holds'}"
    if not is_plain:
        meant = frame if args.any_status else complete(frame)
        text += f"; {left_out} not complete, left out" if (left_out := len(frame) - len(meant)) else ""
        hint = ", try --values valid_accuracy" if meant["valid_accuracy"].notna().any() else ""
        for name in _values(args) if len(meant) else ():
            text += f"; none has {name}{hint}" if meant[name].isna().all() else ""
    if hidden := [str(name) for name in shown if name not in fitting(columns(shown), width, flexible)]:
        text += f"; too narrow here for {', '.join(hidden)}: --csv - prints {'it' if len(hidden) == 1 else 'them'}"
    yield textwrap.fill(text, max(width, 1))


def _formats(args: argparse.Namespace) -> tuple[dict[Path, str], list[str]]:
    """Returns the format of each file to write, and the formats to print."""
    files: dict[Path, str] = {}
    printed = [args.format] if args.format != "table" else []
    for name in (*formats.TEXT, "parquet"):
        path = getattr(args, name)
        if path and str(path) != "-":
            files[path] = name
        elif path and name == "parquet":
            raise UserError("--parquet can't be printed; name a file, such as runs.parquet")
        elif path:
            printed.append(name)
    if args.output:
        if args.output.suffix not in formats.SUFFIXES:
            raise UserError(f"--output {args.output} must end with one of {' '.join(formats.SUFFIXES)}")
        files[args.output] = formats.SUFFIXES[args.output.suffix]
    return files, list(dict.fromkeys(printed))


def _plain(frame: pd.DataFrame, args: argparse.Namespace, width: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the runs with the columns that fit or were asked for, and with all of them."""
    columns = _names(args.columns)
    descending = (args.sort or "").startswith("-")
    by = (args.sort or "").removeprefix("-")
    for name in [*columns, by] if by else columns:
        if name not in frame.columns:
            raise UserError(f"no column {name}{nearest_key(name, frame.columns) or '; --csv FILE writes them all'}")
    if by:
        frame = frame.iloc[_order(frame[by], descending)]
    return frame[columns or choose(frame, width)], frame[columns] if columns else frame


def _shaped(frame: pd.DataFrame, args: argparse.Namespace, width: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns means over runs, as they are shown and as numbers."""
    across = _names(args.columns)
    if args.group and (args.rows or across):
        raise UserError("--group goes without --rows and --columns; its own columns are --values")
    if args.group:
        found = group(frame, _names(args.group), _values(args), args.any_status)
        if args.sort:
            by = args.sort.removeprefix("-")
            if by not in found:
                raise UserError(f"no column {by}{nearest(by, found.columns)}; there are {', '.join(found.columns)}")
            found = found.iloc[_order(found[by], args.sort.startswith("-"))]
        return spelled_groups(found), found
    if len(across) != 1 or len(_values(args)) != 1:
        raise UserError(
            "--rows wants one column across and one value; try --rows model --columns optim --values test_loss"
        )
    if args.sort:
        raise UserError("--sort is for the plain table and --group; a table with --rows is in the order of its rows")
    [value] = _values(args)
    pivoted = pivot(frame, _names(args.rows), across[0], value, args.any_status)
    return spelled(pivoted, value), flat(pivoted)


def _mixed_warning(frame: pd.DataFrame, args: argparse.Namespace) -> str | None:
    """Returns what to say of means over several configurations, and what to type instead."""
    rows = frame if args.any_status else complete(frame)
    down, across = _names(args.group or args.rows), _names(args.columns)
    if not (keys := mixed_keys(rows, [*down, *across])):
        return None
    typed = f"--{'group' if args.group else 'rows'} {','.join([*down, *keys])}"
    value = rows[keys[-1]].tolist()[0]
    example = f"{keys[-1]} == {'null' if pd.isna(value) else repr(value)}"
    return f'{mixed_text("a group", keys)}; type {typed}, or choose by --where "{example}"'


def _values(args: argparse.Namespace) -> list[str]:
    return _names(args.values or "test_accuracy")


def _names(text: str | None) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip())) if text else []


def _order(column: pd.Series[Any], descending: bool) -> list[int]:
    """Returns the places of a column's values in sorted order, those of missing ones last."""
    values, missing = column.tolist(), column.isna().tolist()
    present = [i for i, gone in enumerate(missing) if not gone]
    present.sort(key=lambda i: natural(values[i]), reverse=descending)
    return present + [i for i, gone in enumerate(missing) if gone]


def _write(path: Path, content: bytes) -> None:
    """Raises: UserError if the file can't be written, or is a folder or a device."""
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise UserError(f"cannot write {path}: its folder must exist and it must be a file; try runs{path.suffix}")
    with atomic(path, "make room, or take another place") as out:
        out.write(content)
