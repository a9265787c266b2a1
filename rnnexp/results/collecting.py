"""What the runs below a folder are and did, as pandas tables: a row for each run, or for each run and epoch.

The tables are read from the runs' folders alone: no database, and no torch. What a folder holds is `record`'s matter.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from hydra_sweep.errors import UserError
from hydra_sweep.hints import nearest_key
from hydra_sweep.run_record import PAUSED, RUNNING, STOPPED, RunRecord
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record import labels
from rnnexp.record.result import HISTORY_COLUMNS, METRICS, RunResult, Status, history_columns, is_metric
from rnnexp.record.run_folder import RunFolder
from rnnexp.results.columns import ENVIRONMENT, OWN, is_config, natural
from rnnexp.schema.tree import GROUPS

# The columns of every table, in their order. Those of the configuration, `optim.lr` and the like, come between HEAD
# and TAIL, `versions.*` at the end: whatever has a dot can't collide with a metric.
HEAD = ("path", "status", "reason", "tags", "notes", *GROUPS, "seed", "attempt", *METRICS)
PARTS = ("num_train", "num_valid", "num_test")  # examples of each
TAIL = (*PARTS, "fingerprint", "device", "threads", "precision", "git.commit", "git.dirty", "started", "ended", "host")
# What a result says beside its metrics.
ABOUT = ("reason", "seed", "attempt", "fingerprint", "device", "threads", "precision")


def collect(root: str | os.PathLike[str] = "outputs") -> pd.DataFrame:
    """Returns one row for each run in `root` or below it, in the natural order of their paths.

    A folder that is incomplete, truncated or corrupt is a row too: `status` and `reason` say so. Lists, such as
    `optim.betas`, are cells of text. Hidden folders, links to folders and folders inside a run are not looked into.

    Raises:
        UserError: there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"no folder {root}; type the folder that holds the runs, such as outputs")
    unlisted: list[OSError] = []
    paths = tqdm(list(run_paths(root, unlisted)), "reading", unit="run", leave=False, disable=None, delay=1)
    trials = ForeignTrials()
    rows = [{"path": path} | row for path in paths if (row := read_row(RunFolder(Path(path)), trials)) is not None]
    for error in unlisted:
        if not isinstance(error, FileNotFoundError):  # deleted a moment ago
            rows.append({"path": error.filename, "status": Status.CORRUPT.value, "reason": _explain(error)})
    return frame_of([row | {"path": relative(row["path"], root)} for row in rows], trials)


def frame_of(rows: list[dict[str, Any]], trials: ForeignTrials) -> pd.DataFrame:
    """Returns the table of these runs.

    Args:
        trials: the tables of sweeps that were read for them.
    """
    rows = sorted(rows, key=lambda row: natural(row["path"]))
    names: dict[str, Any] = {}
    for row in rows:
        names.update(row)
    config = sorted(filter(is_config, names), key=_group_rank)
    versions = [name for name in names if name.startswith(ENVIRONMENT) and name not in TAIL]
    measured = [name for name in names if name not in METRICS and is_metric(name)]  # by a configuration's own metrics
    reached = measured + [name for name in trials.columns if name not in OWN and name not in measured]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=[*HEAD, *reached, *config, *TAIL, *versions])
    for name in (*METRICS, *measured, *(name for name in reached if name in trials.objectives)):
        frame[name] = pd.to_numeric(frame[name])
    return frame


def relative(path: str, root: Path) -> str:
    """Returns a run's path as a table has it."""
    return _tidy(path.removeprefix(str(root)).lstrip(os.sep) or ".")


def histories(
    root: str | os.PathLike[str] = "outputs",
    columns: Sequence[str] = ("path", "status", *GROUPS, "seed"),
    frame: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Returns one row for each run and epoch, tidy: the run's columns, then those of its history.csv.

    Runs that are still running have the epochs that have finished, runs whose history can't be read have none.

    Args:
        columns: of the table of runs, to tell the rows apart; a metric's comes as `run_valid_loss`, beside the epoch's.
        frame: the runs, as `collect(root)` returned them or a part of that; by default all.

    Raises:
        UserError: there is no such folder, or no such column.
    """
    runs = collect(root) if frame is None else frame
    for name in columns:
        if name not in runs.columns:
            raise UserError(f"no column {name}{nearest_key(name, runs.columns)}")
    renamed = {name: f"run_{name}" if name in HISTORY_COLUMNS else name for name in columns}
    rows: list[dict[str, Any]] = []
    for path, about in zip(runs["path"], runs[list(columns)].rename(columns=renamed).to_dict("records"), strict=True):
        try:
            epochs = RunFolder(Path(root) / path).read_history()
            numbers = [{name: float(epoch[name]) for name in history_columns(epoch)} for epoch in epochs]
            rows += [about | row for row in numbers]
        except (ValueError, KeyError):
            continue
    measured = history_columns(dict.fromkeys(name for row in rows for name in row if name not in renamed.values()))
    found: pd.DataFrame = pd.DataFrame(rows, columns=[*renamed.values(), *measured])
    found["epoch"] = found["epoch"].astype(int)
    return found


def run_paths(root: Path, unlisted: list[OSError]) -> Iterator[str]:
    """Yields the folders of runs in a folder or below it.

    Args:
        unlisted: takes an error for each folder that can't be listed.
    """
    finished = RunFolder(root).result.name, SweepFolder(root).run_record("0").name
    for top, folders, files in os.walk(root, onerror=unlisted.append):
        try:
            is_run = any(name in files for name in finished) or RunFolder(Path(top)).is_run()
        except OSError:  # no permission: its row will say so
            is_run = True
        if is_run:
            yield top
        folders[:] = [] if is_run else [name for name in folders if not name.startswith(".")]


Stamp = tuple[int, int, int] | None  # of a file that is not there: None


def stamp_of(path: str) -> Stamp:
    """Returns what changes when a file does: the time of its last change, its size, and its number on the disk."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino


class ForeignTrials:
    """What sweeps say of trials of any other Hydra app, which leave no record of ours.

    A trial that has ended is in the sweep's table, any other has the record that its worker keeps in its folder.
    `objectives` and `columns` are the names of all that were found so far: of values; and of values, sampled keys,
    other metrics and the number of reports.
    """

    def __init__(self) -> None:
        self.tables: dict[Path, tuple[Stamp, dict[str, dict[str, Any]]]] = {}
        self.names: dict[Path, tuple[list[str], list[str]]] = {}
        self.objectives: dict[str, None] = {}
        self.columns: dict[str, None] = {}

    def known(self) -> ForeignTrials:
        """Returns the names that were found so far, for another thread."""
        found = ForeignTrials()
        found.objectives, found.columns = dict(self.objectives), dict(self.columns)
        return found

    def ended(self, folder: Path) -> dict[str, Any]:
        """Returns status, reason, attempt, metrics, sampled keys and number of reports, if the table has the trial.

        Raises:
            OSError, ValueError: it can't be read, or is damaged.
        """
        return self._row(folder, lambda sweep, run: self._table(sweep).get(run))

    def recorded(self, folder: Path) -> dict[str, Any]:
        """Returns the same by the record that is in the folder, if there is one.

        Raises:
            ValueError: it can't be read, or is damaged.
        """
        return self._row(folder, _recorded_cells)

    def _row(self, folder: Path, source: Callable[[SweepFolder, str], dict[str, Any] | None]) -> dict[str, Any]:
        folder = folder.absolute()
        for path in (folder.parent, folder.parent.parent):  # with repeats a trial's folder has one for each
            sweep = SweepFolder(path)
            if sweep.is_sweep():
                found = source(sweep, str(folder.relative_to(path)))
                return self._named(sweep, found) if found else {}
        return {}

    def _table(self, sweep: SweepFolder) -> dict[str, dict[str, Any]]:
        """Returns the cells of each run in a sweep's table, by its folder."""
        stamp = stamp_of(str(sweep.table))
        if sweep.path not in self.tables or self.tables[sweep.path][0] != stamp:
            self.tables[sweep.path] = stamp, {}  # of a damaged table, for its other trials
            if stamp:
                self.tables[sweep.path] = stamp, _table_cells(sweep)
        return self.tables[sweep.path][1]

    def _named(self, sweep: SweepFolder, cells: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the cells whose names may be columns, objectives first; none may pass for a run's own status."""
        if sweep.path not in self.names:
            asked = sweep.read_request().get("request") or {}
            directions = asked.get("direction") or ["minimize"]
            numbered = ["value"] if len(directions) == 1 else [f"value_{i}" for i in range(len(directions))]
            keys = dict.fromkeys(str(name).partition(" @ ")[0] for name in asked.get("space") or {})
            self.names[sweep.path] = [str(name) for name in asked.get("objective") or numbered], [*keys]
        objectives, keys_of = self.names[sweep.path]
        reached = dict.fromkeys([*objectives, *keys_of, *(name for name in cells if name not in ABOUT_TRIAL), REPORTS])
        free = [n for n in reached if n in cells and not is_config(n) and (n not in OWN or n in METRICS)]
        self.objectives.update(dict.fromkeys(objectives))
        self.columns.update(dict.fromkeys(free))
        return {name: cells[name] for name in (*free, "status", "reason", "attempt") if name in cells}


REPORTS = "reports"  # how many steps a task has reported
ABOUT_TRIAL = ("status", "reason", "attempt", REPORTS)
NOT_SHOWN = ("trial", "repeat", "fold", "state", "seconds", "worker", "folder")  # of a sweep's table


def _table_cells(sweep: SweepFolder) -> dict[str, dict[str, Any]]:
    """Returns the cells of each run in a sweep's table, by its folder.

    Raises:
        OSError, ValueError: it can't be read, or is damaged.
    """
    found: dict[str, dict[str, Any]] = {}
    rows = csv.DictReader(io.StringIO(sweep.read_table()))
    if missing := {"state", "reason", "folder"} - {*(rows.fieldnames or ())}:
        raise ValueError(f"{sweep.table.name} is damaged: it has no column {min(missing)}")
    for row in rows:
        cells = {name: _number(text) for name, text in row.items() if text and name not in NOT_SHOWN}
        cells |= {"status": row["state"], "reason": row["reason"] or None}
        found.setdefault(row["folder"], cells)  # a trial that another one's result answers comes later
    return found


def _recorded_cells(sweep: SweepFolder, run: str) -> dict[str, Any]:
    """Returns the cells of a run by its own record: it runs, was stopped, or has ended while no sweeper looked.

    Raises:
        ValueError: the record can't be read, or is damaged.
    """
    file = sweep.run_record(run)
    if (record := RunRecord.read(file)) is None:
        return {}
    is_running = record.state == RUNNING and RunRecord.is_held(file)
    ended = record.state not in (RUNNING, STOPPED)
    status = record.state if ended else (Status.RUNNING if is_running else Status.UNFINISHED).value
    sampled = {key: _number(text) for key, text in record.sampled.items()}
    cells = {**sampled, **record.metrics, "status": status, "reason": record.reason, "attempt": record.attempt}
    return cells | ({REPORTS: record.step} if record.step else {})


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return _tidy(text)


def read_row(folder: RunFolder, trials: ForeignTrials) -> dict[str, Any] | None:
    """Returns the cells of a run, as far as it can be read; None if it has been deleted since it was listed."""
    row: dict[str, Any] = {}
    problems: list[str] = []
    remarks: list[str] = []  # what says nothing against the run itself
    is_running = False
    with _noting(problems, folder.result):
        result = folder.read_result()
        if not result:
            is_running = folder.is_claimed()
            result = folder.read_result()  # asked again: the run may have ended between the two questions
        if result:
            row = _result_cells(result)
            with _noting(remarks, folder.labels):
                row |= _label_cells(folder, result.config)
            return row | {"reason": _tidy("; ".join(filter(None, [result.reason, *remarks]))) or None}
    with _noting(problems, folder.hydra_config):
        config = folder.read_hydra_config()
        row |= _flat(config, _config_column) | ({"seed": _cell(config["seed"])} if "seed" in config else {})
        with _noting(remarks, folder.labels):
            row |= _label_cells(folder, config)
    with _noting(problems, folder.hydra_choices):
        row |= _choice_cells(folder.read_hydra_choices())
    with _noting(problems, folder.history):
        row |= _history_cells(folder.read_history())
    is_foreign = not is_running and not folder.history.exists() and not folder.checkpoint.exists()
    of_sweep, of_run = SweepFolder(folder.path.parent).table, SweepFolder(folder.path).run_record("")
    for file, source in ((of_sweep, trials.ended), (of_run, trials.recorded)):
        with _noting(problems, file):
            if is_foreign and not problems and (found := source(folder.path)):
                return row | found
    if not problems and not any(value is not None for value in row.values()) and not folder.is_run():
        return None
    status = Status.CORRUPT if problems else Status.RUNNING if is_running else Status.UNFINISHED
    if status is Status.UNFINISHED and (paused := _paused(folder)):
        status = Status.PAUSED
        remarks.insert(0, paused)
    return row | {"status": status.value, "reason": _tidy("; ".join([*problems, *remarks])) or None}


def _paused(folder: RunFolder) -> str | None:
    """Returns why a trial waits, if its sweep has paused it."""
    with suppress(ValueError):
        record = RunRecord.read(SweepFolder(folder.path).run_record(""))
        return record.reason if record and record.state == PAUSED else None
    return None


@contextmanager
def _noting(problems: list[str], file: Path) -> Iterator[None]:
    """Turns a file that can't be read into a line."""
    try:
        yield
    except (ValueError, OSError, RecursionError) as error:  # YAML can hold itself
        problem = _explain(error)
        problems.append(problem if problem.startswith(file.name) else f"{file.name}: {problem}")


def _explain(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return (text or type(error).__name__).splitlines()[0]


def _result_cells(result: RunResult) -> dict[str, Any]:
    return (
        {"status": result.status.value}
        | _choice_cells(result.choices)
        | {name: value for name, value in result.metrics.items() if is_metric(name)}
        | _flat(result.config, _config_column)
        | _flat(result.environment, _environment_column)
        | {name: _cell(result.dataset[name]) for name in PARTS if name in result.dataset}
        | {name: _cell(getattr(result, name)) for name in ABOUT}
    )


def _label_cells(folder: RunFolder, config: Mapping[str, Any]) -> dict[str, Any]:
    found = labels.read(folder, config)
    return {"tags": _cell(", ".join(found.tags) or None), "notes": _cell(found.notes)}


def _choice_cells(choices: Mapping[str, Any]) -> dict[str, Any]:
    return {group: _cell(choices.get(group)) for group in GROUPS}


def _flat(config: Mapping[Any, Any], column: Callable[[str], str], prefix: str = "") -> dict[str, Any]:
    """Returns the cells of nested keys, named as `flatten` does and then by `column`; an empty name is left out."""
    cells: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):  # as JSON and YAML have them
            cells.update(_flat(value, column, f"{prefix}{key}."))
        elif name := column(f"{prefix}{key}"):
            cells[name] = _cell(value)
    return cells


# The same string object for every run: ten thousand runs with names of their own would be most of the memory.
@lru_cache(maxsize=1 << 14)
def _config_column(key: str) -> str:
    return _tidy(key) if is_config(key) else ""


@lru_cache(maxsize=1 << 14)
def _environment_column(key: str) -> str:
    return _tidy(key) if key in TAIL or key.startswith(ENVIRONMENT) else ""


def _history_cells(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Returns the last epoch's figures, without those that are no numbers."""
    cells: dict[str, Any] = {"epochs": len(rows)} if rows else {}
    for name, text in rows[-1].items() if rows else ():
        with suppress(ValueError):
            if is_metric(name) and not math.isnan(value := float(text)):
                cells[name] = value
    return cells


def _group_rank(name: str) -> int:
    group = name.partition(".")[0]
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def _cell(value: Any) -> Any:
    """Returns what a table can sort, group and write: a number, a text, a truth, or None."""
    return value if value is None or isinstance(value, (bool, int, float)) else _tidy(str(value))


def _tidy(text: str) -> str:
    """Returns text that UTF-8 can hold: a path's undecodable bytes, and JSON's lone surrogates, are spelled out."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
