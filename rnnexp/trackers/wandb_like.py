"""Weights & Biases, and what has its verbs: `init` a run, `log` to it, `finish` it.

They write in threads and processes of their own, and say nothing of what was lost there. So they are asked what they
have once a run has been finished.
"""

from __future__ import annotations

import io
import os
import sys
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from hydra_sweep.errors import counted
from rnnexp.callbacks import Row, RunView
from rnnexp.record.result import RunResult
from rnnexp.trackers.tracker import (
    KEY,
    Recorded,
    Tracker,
    Unwritten,
    final_metrics,
    flat_hyperparameters,
    hyperparameters,
    is_good,
    numbers,
)

STATUS = "status"
FLUSH_SECONDS = 10  # in which what was finished arrives on the disk: wandb's own process may be a little behind
ID = "rnnexp_id"  # among the hyperparameters, of a tracker that gives runs ids of its own


class WandbLike(Tracker):
    """A tracker with wandb's verbs.

    Args:
        project: its name.
        folder: where it keeps its files.
        options: more arguments of `init`.
    """

    def __init__(self, project: str, folder: str, options: Mapping[str, Any]) -> None:
        self.project, self.folder, self.options = project, Path(folder).absolute(), dict(options)
        self.run: Any = None

    @abstractmethod
    def init(self, run: RunView, run_id: str) -> Any:
        """Returns a run of the tracker's, to `log` to and to `finish`."""

    @abstractmethod
    def conclude(self, values: dict[str, Any], step: int) -> None:
        """Writes the final metrics and the status."""

    @abstractmethod
    def finish(self, is_good: bool) -> None:
        """Finishes the run."""

    def open(self, run: RunView, run_id: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with _untouched():
            self.run = self.init(run, run_id)

    def write(self, row: Row, seconds: float) -> None:
        self.run.log(numbers(row), step=int(row["epoch"]))

    def close(self, result: RunResult | None) -> None:
        if result is not None:
            values = final_metrics(result) | {STATUS: result.status.value}
            self.conclude(values, int(result.metrics.get("epochs", 0)))
        with _untouched():
            self.finish(result is not None and is_good(result))
        self.run = None

    def release(self) -> None:
        if self.run is not None:
            with _untouched():
                self.finish(False)
            self.run = None

    def check(self, result: RunResult | None, run: RunView) -> None:
        deadline = time.monotonic() + FLUSH_SECONDS
        while True:
            kept = self.look(run, self.run_id)
            lost = self.rows.keys() - kept.epochs
            if not lost and (result is None or kept.status == result.status.value):
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        what = f"{counted(len(lost), 'epoch')} of {len(self.rows)}" if lost else "how the run ended"
        raise Unwritten(f"{what} did not arrive; see {self.folder}")


class Wandb(WandbLike):
    """Weights & Biases.

    Args:
        mode: offline, or online.
    """

    option = "wandb"

    def __init__(self, project: str, folder: str, mode: str, options: Mapping[str, Any]) -> None:
        super().__init__(project, folder, options)
        self.mode = mode

    def look(self, run: RunView, run_id: str) -> Recorded:
        from rnnexp.trackers import wandb_files

        rows, summary = wandb_files.read(self.folder / "wandb", run_id)
        return Recorded(frozenset(step for step, row in rows if KEY in row), summary.get(STATUS))

    def init(self, run: RunView, run_id: str) -> Any:
        import wandb

        about = {
            "project": self.project,
            "dir": str(self.folder),
            "mode": self.mode,
            "id": run_id,
            "resume": "allow",
            "name": run.name,
            "group": run.sweep,
            "tags": list(run.tags),
            "notes": run.notes,
            "config": hyperparameters(run) | {"choices": dict(run.choices)},
            "reinit": "create_new",
            "settings": wandb.Settings(silent=True, console="off"),
        }
        return wandb.init(**about | self.options)

    def write(self, row: Row, seconds: float) -> None:
        self.run.log(numbers(row), step=int(row["epoch"]), commit=True)  # else with the next one

    def conclude(self, values: dict[str, Any], step: int) -> None:
        self.run.summary.update(values)

    def finish(self, is_good: bool) -> None:
        self.run.finish(exit_code=0 if is_good else 1)


class Trackio(WandbLike):
    """Trackio, which keeps a project in a file. One folder serves all runs of a process."""

    option = "trackio"

    def look(self, run: RunView, run_id: str) -> Recorded:
        storage = self._trackio().SQLiteStorage
        self.name, self.resumed = self._named(run, run_id)
        rows = storage.get_logs(self.project, self.name) if self.resumed else []
        status = next((row[STATUS] for row in reversed(rows) if STATUS in row), None)
        return Recorded(frozenset(row["step"] for row in rows if KEY in row), status)

    def init(self, run: RunView, run_id: str) -> Any:
        config = flat_hyperparameters(run) | {"tags": ", ".join(run.tags), "notes": run.notes, ID: run_id}
        about = {
            "project": self.project,
            "name": self.name,
            "group": run.sweep,
            "config": config,
            "resume": "must" if self.resumed else "never",
        }
        return self._trackio().init(**about | self.options)

    def conclude(self, values: dict[str, Any], step: int) -> None:
        self.run.log(values, step=step)

    def finish(self, is_good: bool) -> None:
        self._trackio().finish()  # not the run's own, which leaves it the current one, to be finished again at the end

    def _named(self, run: RunView, run_id: str) -> tuple[str, bool]:
        """Returns the name of a run, and whether it is there. Names are all that can be gone on with."""
        storage = self._trackio().SQLiteStorage
        if storage.get_project_db_path(self.project).exists():
            storage.init_db(self.project)  # what was begun on a full disk lacks its tables
        for name in (run.name, f"{run.name} {run_id[:6]}"):
            there = storage.get_latest_run_record_by_name(self.project, name)
            if there is None:
                return name, False
            if (storage.get_run_config(self.project, name, run_id=there["id"]) or {}).get(ID) == run_id:
                return name, True
        raise Unwritten(f"{self.project} has other runs of the names {run.name} and {name}")

    def _trackio(self) -> Any:
        """Returns the package, which reads where to keep things when it is imported."""
        if "trackio" not in sys.modules:
            os.environ["TRACKIO_DIR"] = str(self.folder)
        import trackio

        if (used := Path(trackio.TRACKIO_DIR).absolute()) != self.folder:
            raise Unwritten(f"this process keeps its runs in {used} already, and trackio can have no second folder")
        return trackio


@contextmanager
def _untouched() -> Iterator[None]:
    """Keeps what a tracker prints off the screen, and Python's ways to end as they were: wandb has its own."""
    before = sys.exit, sys.excepthook
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        sys.exit, sys.excepthook = before
