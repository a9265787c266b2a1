"""Every run below a folder as one pandas table, and the command that shows it: `python -m rnnexp.results outputs`.

    from rnnexp.results import collect, group, histories, pivot, where

    frame = collect("outputs")
    group(where(frame, "optim.lr < 0.1"), ["model", "optim"])

The table is read from the runs' folders alone: no database, and no torch. What a folder holds is `store.py`'s matter.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from rnnexp import formats
from rnnexp.checks import nearest
from rnnexp.frames import complete, flat, group, pivot, spelled, where
from rnnexp.schema import GROUPS, HISTORY_COLUMNS, METRICS, RunResult, Status, UserError, flatten
from rnnexp.store import RunFolder, atomic
from rnnexp.table import ENVIRONMENT, choose, is_config, table

# The columns of every table, in their order. Those of the configuration, `optim.lr` and the like, come between HEAD
# and TAIL, `versions.*` at the end: whatever has a dot can't collide with a metric.
HEAD = ("path", "status", "reason", *GROUPS, "seed", "attempt", *METRICS)
TAIL = ("fingerprint", "device", "threads", "git.commit", "git.dirty", "started", "ended", "host")


def collect(root: str | os.PathLike[str] = "outputs") -> pd.DataFrame:
    """Returns one row for each run in `root` or below it, in the natural order of their paths.

    A folder that is half-written, truncated or corrupt is a row too: `status` and `reason` say so. Lists, such as
    `optim.betas`, are cells of text. Hidden folders, links to folders and folders inside a run are not looked into.

    Raises:
        UserError: there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"no folder {root}; type the folder that holds the runs, such as outputs")
    unlisted: list[OSError] = []
    paths = tqdm(list(_run_paths(root, unlisted)), "reading", unit="run", leave=False, disable=None, delay=1)
    rows = [{"path": path} | _row(RunFolder(path)) for path in paths]
    for error in unlisted:
        if not isinstance(error, FileNotFoundError):  # deleted a moment ago
            rows.append({"path": error.filename, "status": Status.CORRUPT.value, "reason": _explain(error)})
    for row in rows:
        row["path"] = _tidy(os.path.relpath(row["path"], root))
    rows.sort(key=lambda row: _natural(row["path"]))
    config = sorted({name: 0 for row in rows for name in row if is_config(name)}, key=_group_rank)
    versions = {name: 0 for row in rows for name in row if name.startswith(ENVIRONMENT) and name not in TAIL}
    frame: pd.DataFrame = pd.DataFrame(rows, columns=[*HEAD, *config, *TAIL, *versions])
    for name in METRICS:
        frame[name] = pd.to_numeric(frame[name])
    return frame


def histories(
    root: str | os.PathLike[str] = "outputs",
    columns: Sequence[str] = ("path", "status", *GROUPS, "seed"),
    frame: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Returns one row for each run and epoch, tidy: the run's columns, then those of its history.csv.

    Runs that still go on have the epochs that are over, runs whose history can't be read have none.

    Args:
        columns: of the table of runs, to tell the rows apart; a metric's comes as `run_valid_loss`, beside the epoch's.
        frame: the runs, as `collect(root)` returned them or a part of that; by default all.

    Raises:
        UserError: there is no such folder, or no such column.
    """
    runs = collect(root) if frame is None else frame
    for name in columns:
        if name not in runs.columns:
            raise UserError(f"no column {name}{nearest(name, runs.columns)}")
    renamed = {name: f"run_{name}" if name in HISTORY_COLUMNS else name for name in columns}
    rows: list[dict[str, Any]] = []
    for path, about in zip(runs["path"], runs[list(columns)].rename(columns=renamed).to_dict("records"), strict=True):
        try:
            epochs = RunFolder(Path(root) / path).read_history()
            rows += [about | {name: float(epoch[name]) for name in HISTORY_COLUMNS} for epoch in epochs]
        except (ValueError, KeyError):
            continue
    found: pd.DataFrame = pd.DataFrame(rows, columns=[*renamed.values(), *HISTORY_COLUMNS])
    found["epoch"] = found["epoch"].astype(int)
    return found


def _run_paths(root: Path, unlisted: list[OSError]) -> Iterator[Path]:
    for top, folders, _ in os.walk(root, onerror=unlisted.append):
        try:
            is_run = RunFolder(Path(top)).is_run()
        except OSError:  # no permission: its row will say so
            is_run = True
        if is_run:
            yield Path(top)
        folders[:] = [] if is_run else [name for name in folders if not name.startswith(".")]


def _row(folder: RunFolder) -> dict[str, Any]:
    """Returns the cells of a run, as far as it can be read."""
    row: dict[str, Any] = {}
    faults: list[str] = []
    is_running = False
    with _noting(faults, folder.result):
        # Asked first: a run that ends between the two questions has its result by the second.
        is_running = not folder.result.exists() and folder.is_claimed()
        if result := folder.read_result():
            return _result_cells(result)
    with _noting(faults, folder.hydra_config):
        config = folder.read_hydra_config()
        row |= _config_cells(config) | {"seed": _cell(config.get("seed"))}
    with _noting(faults, folder.hydra_choices):
        row |= _choice_cells(folder.read_hydra_choices())
    with _noting(faults, folder.history):
        row |= _history_cells(folder.read_history())
    status = Status.CORRUPT if faults else Status.RUNNING if is_running else Status.UNFINISHED
    return row | {"status": status.value, "reason": _tidy("; ".join(faults)) or None}


@contextmanager
def _noting(faults: list[str], file: Path) -> Iterator[None]:
    """Turns a file that can't be read into a line."""
    try:
        yield
    except (ValueError, OSError, RecursionError) as error:  # YAML can hold itself
        problem = _explain(error)
        faults.append(problem if problem.startswith(file.name) else f"{file.name}: {problem}")


def _explain(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return (text or type(error).__name__).splitlines()[0]


def _result_cells(result: RunResult) -> dict[str, Any]:
    metrics = {name: result.metrics[name] for name in METRICS if name in result.metrics}
    recorded = flatten(result.environment)
    about = {name: recorded[name] for name in recorded if name in TAIL or name.startswith(ENVIRONMENT)}
    about |= {name: getattr(result, name) for name in ("reason", "seed", "attempt", "fingerprint", "device", "threads")}
    cells = {_tidy(name): _cell(value) for name, value in about.items()}
    return (
        {"status": result.status.value} | _choice_cells(result.choices) | metrics | _config_cells(result.config) | cells
    )


def _choice_cells(choices: Mapping[str, Any]) -> dict[str, Any]:
    return {group: _cell(choices.get(group)) for group in GROUPS}


def _config_cells(config: Mapping[str, Any]) -> dict[str, Any]:
    return {_tidy(name): _cell(value) for name, value in flatten(config).items() if is_config(name)}


def _history_cells(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Returns the last epoch's figures, without those that are no numbers."""
    cells: dict[str, Any] = {"epochs": len(rows)} if rows else {}
    for name in METRICS:
        try:
            cells[name] = float(rows[-1][name])
        except (IndexError, KeyError, ValueError):
            continue
    return cells


def _group_rank(name: str) -> int:
    group = name.partition(".")[0]
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def _cell(value: Any) -> Any:
    """Returns what a table can sort, group and write: a number, a text, a truth, or None."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _tidy(str(value))


def _tidy(text: str) -> str:
    """Returns text that UTF-8 can hold: a path's undecodable bytes, and JSON's lone surrogates, are spelled out."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _natural(value: Any) -> tuple[Any, ...]:
    """Returns a sorting key that puts numbers before text, and run 2 before run 10."""
    if isinstance(value, (int, float)):
        return 0, value
    return 1, [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(value))], value


def main(argv: Sequence[str] | None = None) -> int:
    """Shows the table and returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        for line in _lines(args):
            encoding = sys.stdout.encoding or "utf-8"  # an ASCII terminal shows ? for what it lacks
            print(line.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except UserError as error:
        print(f"rnnexp.results: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # of `| head`: without this, Python complains once more at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("rnnexp.results", description="Show every run below a folder in one table.")
    parser.add_argument("root", nargs="?", default="outputs", help="folder that holds the runs (default: outputs)")
    parser.add_argument(
        "--where", metavar="EXPR", help='only runs of which this holds: "optim.lr > 0.1 and seed in (0, 1)"'
    )
    parser.add_argument("--sort", metavar="COLUMN", help="sort by it; --sort=-COLUMN: from high to low")
    parser.add_argument("--columns", metavar="A,B,C", help="these columns only, in this order, in the files as well")
    shapes = parser.add_argument_group("means over runs, of those that are complete")
    shapes.add_argument("--group", metavar="A,B", help="mean, std, n and best for each combination of these columns")
    shapes.add_argument(
        "--rows", metavar="A,B", help="a table of two dimensions: these columns down, --columns A across"
    )
    shapes.add_argument(
        "--values", metavar="A,B", default="test_accuracy", help="of which column (default: test_accuracy)"
    )
    files = parser.add_argument_group("files, of what is shown; the plain table is written whole")
    for name in formats.TEXT:
        files.add_argument(f"--{name}", metavar="FILE", type=Path, help=f"write {name} here; - prints it instead")
    files.add_argument("--parquet", metavar="FILE", type=Path, help="with exact types; needs pyarrow")
    return parser


def _lines(args: argparse.Namespace) -> Iterator[str]:
    """Yields what the command prints, and writes the files that it was asked for."""
    everything = collect(args.root)
    if everything.empty:
        yield f"no runs below {args.root}"
        return
    frame = where(everything, args.where) if args.where else everything
    width = shutil.get_terminal_size((120, 24)).columns
    is_plain = not args.group and not args.rows
    shown, exact = (_plain if is_plain else _shaped)(frame, args, width)
    printed = [name for name in formats.TEXT if str(getattr(args, name)) == "-"]
    for name in [name for name in (*formats.TEXT, "parquet") if getattr(args, name) and name not in printed]:
        if name == "parquet":
            content = formats.to_parquet(exact)
        else:
            content = formats.TEXT[name](exact if name == "csv" or is_plain else shown).encode()
        _write(getattr(args, name), content)
    if printed:
        for name in printed:
            yield formats.TEXT[name](exact if name == "csv" else shown).rstrip("\n")
        return
    yield from table(shown, list(shown.columns), width)
    statuses = [str(status) for status in frame["status"]]
    counts = [f"{n} {status.value}" for status in Status if (n := statuses.count(status.value))]
    text = f"{len(frame)} run{'s' * (len(frame) != 1)}: {', '.join(counts) or 'none of which that holds'}"
    left_out = len(frame) - len(complete(frame))
    text += f"; {left_out} not complete, left out" if left_out and not is_plain else ""
    yield textwrap.fill(text, max(width, 1))


def _plain(frame: pd.DataFrame, args: argparse.Namespace, width: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the runs with the columns that fit or were asked for, and with all of them."""
    columns = _names(args.columns)
    descending = (args.sort or "").startswith("-")
    by = (args.sort or "").removeprefix("-")
    for name in [*columns, by] if by else columns:
        if name not in frame.columns:
            raise UserError(f"no column {name}{nearest(name, frame.columns) or '; --csv FILE writes them all'}")
    if by:
        frame = frame.iloc[_order(frame[by], descending)]
    return frame[columns or choose(frame, width)], frame[columns] if columns else frame


def _shaped(frame: pd.DataFrame, args: argparse.Namespace, width: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns means over runs, as they are shown and as numbers."""
    values, across = _names(args.values), _names(args.columns)
    if args.group:
        if args.rows or across:
            raise UserError("--group goes without --rows and --columns; its own columns are --values")
        found = group(frame, _names(args.group), values)
    elif len(across) != 1 or len(values) != 1:
        raise UserError(
            "--rows wants one column across and one value; try --rows model --columns optim --values test_loss"
        )
    else:
        pivoted = pivot(frame, _names(args.rows), across[0], values[0])
        return spelled(pivoted, values[0]), flat(pivoted)
    if args.sort:
        by = args.sort.removeprefix("-")
        if by not in found:
            raise UserError(f"no column {by}{nearest(by, found.columns)}; there are {', '.join(found.columns)}")
        found = found.iloc[_order(found[by], args.sort.startswith("-"))]
    return found, found


def _names(text: str | None) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip())) if text else []


def _order(column: pd.Series[Any], descending: bool) -> list[int]:
    """Returns the places of a column's values in sorted order, those of missing ones last."""
    values, missing = column.tolist(), column.isna().tolist()
    present = [i for i, gone in enumerate(missing) if not gone]
    present.sort(key=lambda i: _natural(values[i]), reverse=descending)
    return present + [i for i, gone in enumerate(missing) if gone]


def _write(path: Path, content: bytes) -> None:
    """Raises: UserError if the file can't be written, or is a folder or a device."""
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise UserError(f"cannot write {path}: its folder must exist and it must be a file; try runs{path.suffix}")
    with atomic(path, "make room, or take another place") as out:
        out.write(content)


if __name__ == "__main__":
    sys.exit(main())
