"""Every run below a folder as one pandas table, and the command that shows it: `python -m rnnexp.results outputs`.

The table is read from the runs' folders alone: no database, and no torch. What a folder holds is `store.py`'s matter.
"""

from __future__ import annotations

import argparse
import csv
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

from rnnexp.schema import GROUPS, RunResult, Status, UserError, flatten, nearest
from rnnexp.store import RunFolder, atomic

# The columns of every table, in their order. Those of the configuration, `optim.lr` and the like, come between HEAD
# and TAIL, `versions.*` at the end: whatever has a dot can't collide with a metric.
METRICS = (
    "test_accuracy",
    "test_loss",
    "valid_accuracy",
    "valid_loss",
    "train_accuracy",
    "train_loss",
    "best_epoch",
    "epochs",
    "num_parameters",
    "train_seconds",
)
HEAD = ("path", "status", "reason", *GROUPS, "seed", "attempt", *METRICS)
TAIL = ("fingerprint", "device", "threads", "git.commit", "git.dirty", "started", "ended", "host")
ENVIRONMENT = ("git.", "versions.")  # dotted, but not of the configuration

# What the command shows: after path and status, as many as fit, in this order.
SHOWN_FIRST = ("model", "optim", "data", "schedule", "train", "experiment", "seed", "test_accuracy", "valid_accuracy")
SHOWN_IF_VARYING = ("data", "schedule", "train", "experiment")
SHOWN_LAST = (
    *("best_epoch", "epochs", "train_seconds", "num_parameters", "test_loss", "valid_loss", "train_accuracy"),
    *("train_loss", "data", "schedule", "attempt", "device", "threads", "started"),
)
GAP = "  "

# What a damaged file may raise; RecursionError: JSON or YAML nested without end.
UNREADABLE = (OSError, ValueError, csv.Error, RecursionError)


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
    config = sorted({name: 0 for row in rows for name in row if _is_config(name)}, key=_group_rank)
    versions = {name: 0 for row in rows for name in row if name.startswith(ENVIRONMENT) and name not in TAIL}
    frame: pd.DataFrame = pd.DataFrame(rows, columns=[*HEAD, *config, *TAIL, *versions])
    for name in METRICS:
        frame[name] = pd.to_numeric(frame[name])
    return frame


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
    # The last two come of YAML in another shape than Hydra's.
    with _noting(faults, folder.hydra_choices, (*UNREADABLE, AttributeError, TypeError)):
        row |= _choice_cells(folder.read_hydra_choices())
    with _noting(faults, folder.history):
        row |= _history_cells(folder.read_history())
    status = Status.CORRUPT if faults else Status.RUNNING if is_running else Status.UNFINISHED
    return row | {"status": status.value, "reason": _tidy("; ".join(faults)) or None}


@contextmanager
def _noting(faults: list[str], file: Path, expected: tuple[type[Exception], ...] = UNREADABLE) -> Iterator[None]:
    """Turns a file that can't be read into a line."""
    try:
        yield
    except expected as error:
        problem = _explain(error)
        faults.append(problem if problem.startswith(file.name) else f"{file.name}: {problem}")


def _explain(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return (text or type(error).__name__).splitlines()[0]


def _result_cells(result: RunResult) -> dict[str, Any]:
    """Raises: ValueError if the JSON was whole, but its values are not a result's."""
    kinds = dict.fromkeys(("metrics", "choices", "config", "environment"), dict) | {"seed": int, "attempt": int}
    for name, kind in kinds.items():
        if not isinstance(value := getattr(result, name), kind):
            raise ValueError(f"{name} must be {kind.__name__}, got {value!r:.40}")
    metrics = {name: result.metrics[name] for name in METRICS if result.metrics.get(name) is not None}
    for name, value in metrics.items():
        if not isinstance(value, float) and (not isinstance(value, int) or abs(value) >= 2**63):
            raise ValueError(f"metrics.{name} must be a number, got {value!r:.40}")
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
    return {_tidy(name): _cell(value) for name, value in flatten(config).items() if _is_config(name)}


def _history_cells(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Returns the last epoch's figures, without those that are no numbers."""
    cells: dict[str, Any] = {"epochs": len(rows)} if rows else {}
    for name in METRICS:
        try:
            cells[name] = float(rows[-1][name])
        except (IndexError, KeyError, ValueError):
            continue
    return cells


def _is_config(name: str) -> bool:
    return "." in name and not name.startswith(ENVIRONMENT)


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
    parser = argparse.ArgumentParser("rnnexp.results", description="Show every run below a folder in one table.")
    parser.add_argument("root", nargs="?", default="outputs", help="folder that holds the runs (default: outputs)")
    parser.add_argument("--sort", metavar="COLUMN", help="sort by it; --sort=-COLUMN: from high to low")
    parser.add_argument("--columns", metavar="A,B,C", help="these columns only, in this order, in the files as well")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the whole table to this file too")
    parser.add_argument("--parquet", metavar="FILE", type=Path, help="likewise, with exact types; needs pyarrow")
    try:
        for line in _lines(parser.parse_args(argv)):
            encoding = sys.stdout.encoding or "utf-8"  # an ASCII terminal shows ? for what it lacks
            print(line.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except UserError as error:
        print(f"rnnexp.results: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # of `| head`: without this, Python complains once more at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _lines(args: argparse.Namespace) -> Iterator[str]:
    """Yields what the command prints, and writes the files that it was asked for."""
    frame = collect(args.root)
    if frame.empty:
        yield f"no runs below {args.root}"
        return
    columns = list(dict.fromkeys(name.strip() for name in args.columns.split(","))) if args.columns else []
    descending = (args.sort or "").startswith("-")
    by = (args.sort or "").removeprefix("-")
    for name in [*columns, by] if by else columns:
        if name not in frame.columns:
            raise UserError(f"no column {name}{nearest(name, frame.columns) or '; --csv FILE writes them all'}")
    statuses = [str(status) for status in frame["status"]]
    if by:
        frame = frame.iloc[_order(frame[by], descending)]
    asked = frame[columns] if columns else frame
    if args.csv:
        _write(args.csv, asked.to_csv(index=False).encode())
    if args.parquet:
        _write(args.parquet, _parquet(asked))
    width = shutil.get_terminal_size((120, 24)).columns
    yield from _table(frame, columns or _choose(frame, width), width)
    counts = [f"{n} {status.value}" for status in Status if (n := statuses.count(status.value))]
    yield textwrap.fill(f"{len(frame)} run{'s' * (len(frame) > 1)}: {', '.join(counts)}", max(width, 1))


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
    with atomic(path) as out:
        out.write(content)


def _parquet(frame: pd.DataFrame) -> bytes:
    """Returns the table in a format where a column has one type: numbers mixed with text become text."""
    plain = ("string", "boolean", "empty")
    objects = [name for name in frame.columns if frame[name].dtype == object]
    mixed = [name for name in objects if pd.api.types.infer_dtype(frame[name], skipna=True) not in plain]
    frame = frame.assign(**{name: frame[name].map(str, na_action="ignore") for name in mixed})
    try:
        return frame.to_parquet(index=False, engine="pyarrow")
    except ImportError:
        raise UserError("--parquet needs pyarrow; type pip install 'rnnexp[parquet]', or take --csv") from None


def _choose(frame: pd.DataFrame, width: int) -> list[str]:
    """Returns the columns that tell the runs apart, as many as fit; none that is empty."""
    filled = [name for name in frame.columns if frame[name].notna().any()]
    varying = [name for name in filled if frame[name].nunique(dropna=False) > 1]
    config = [name for name in varying if _is_config(name) and not _repeats_choice(frame, name)]
    optional = [name for name in config if _follows_choice(frame, name)]
    config = [name for name in config if name not in optional]
    config.sort(key=lambda name: frame[name].nunique() == 1)  # null or one value: last
    first = [name for name in SHOWN_FIRST if name not in SHOWN_IF_VARYING or frame[name].nunique() > 1]
    room = width - _width(frame, "status") - len(GAP) - min(_width(frame, "path"), width // 5)
    if "reason" in filled:
        room -= min(_width(frame, "reason"), width // 8) + len(GAP)
    chosen = ["path", "status"]
    for name in dict.fromkeys([*first, *config, *SHOWN_LAST, *optional]):
        if name in filled and (needed := _width(frame, name) + len(GAP)) <= room:
            chosen.append(name)
            room -= needed
    return chosen + ["reason"] * ("reason" in filled)


def _repeats_choice(frame: pd.DataFrame, name: str) -> bool:
    """Whether a key says no more than its group's choice does, as `model.cell` and `model._target_` do."""
    group = name.partition(".")[0]
    if name.endswith("._target_") or group not in GROUPS:
        return name.endswith("._target_")
    present = frame[frame[name].notna()]
    return _cells(present, name) == _cells(present, group)


def _follows_choice(frame: pd.DataFrame, name: str) -> bool:
    """Whether a key has one value, and its group's choice alone decides who has it, as `model.nonlinearity` may."""
    group = name.partition(".")[0]
    if group not in GROUPS or frame[name].nunique() > 1:
        return False
    return all(column.nunique(dropna=False) == 1 for _, column in frame.groupby(group, dropna=False)[name])


def _table(frame: pd.DataFrame, columns: list[str], width: int) -> list[str]:
    """Returns the lines of a table, none wider than `width`: the widest columns are shortened until it fits."""
    texts = {name: [_printable(name), *_cells(frame, name)] for name in columns}
    widths = {name: min(max(map(len, texts[name])), width) for name in columns}
    while sum(widths.values()) + len(GAP) * (len(columns) - 1) > width and max(widths.values()) > 6:
        widths[max(widths, key=widths.__getitem__)] -= 1
    padded = []
    for name in columns:
        is_number = pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_bool_dtype(frame[name])
        short = [_shorten(text, widths[name], keep_end=name == "path") for text in texts[name]]
        padded.append([text.rjust(widths[name]) if is_number else text.ljust(widths[name]) for text in short])
    return [GAP.join(row).rstrip()[:width] for row in zip(*padded, strict=True)]


def _width(frame: pd.DataFrame, name: str) -> int:
    return max(map(len, [_printable(name), *_cells(frame, name)]))


def _cells(frame: pd.DataFrame, name: str) -> list[str]:
    return [_text(value, name) for value in frame[name].tolist()]


def _text(value: Any, name: str) -> str:
    """Returns a cell as people write it."""
    if pd.isna(value):
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if name.endswith(("_accuracy", "_loss")):
            return f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"
        if name == "train_seconds":
            return f"{value:.1f}"
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:g}"
    return _printable(str(value))


def _printable(text: str) -> str:
    """Returns text that stays on its line and leaves the terminal as it is."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _shorten(text: str, width: int, keep_end: bool) -> str:
    if len(text) <= width:
        return text
    return f"…{text[len(text) - width + 1 :]}" if keep_end else f"{text[: width - 1]}…"


if __name__ == "__main__":
    sys.exit(main())
