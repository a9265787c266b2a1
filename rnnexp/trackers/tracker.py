"""What all trackers share: which epochs are still to be written, whatever was stopped, killed or out of reach.

A tracker is a copy, made of rows that history.csv has; the run never waits for it to be right. One run, or one trial,
is one run of the tracker's, known by an id that stays in the run's folder (`tracker.json`). Before anything is written,
the tracker is asked which epochs it has, so that a run that goes on after SIGKILL, or is exported twice, is neither
doubled nor torn. A tracker that fails, be it a full disk or a server that is away, costs one line: the rows are kept,
and it is asked once more when the run ends. What it lacks even then, `rnnexp export` adds later.
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from hydra_sweep.differences import flatten
from hydra_sweep.errors import describe_error
from rnnexp.callbacks import Callback, Row, RunView
from rnnexp.record.result import RunResult, Status
from rnnexp.record.run_folder import RunFolder
from rnnexp.schema.identity import SWEEP_KEYS, WATCHING

FINAL = "final/"  # before the metrics of the result, which are the kept epoch's: no epoch's metric has their name
KEY = "train_loss"  # which each row has


class Recorded(NamedTuple):
    """What a tracker has of a run.

    Args:
        status: how the run has ended, if the tracker was told so.
    """

    epochs: frozenset[int] = frozenset()
    status: str | None = None


class Unwritten(Exception):
    """A tracker has not kept what it was given, and has not said so."""


class Tracker(Callback):
    """One tracker. `option` is its name in `tracker=NAME`, `loggers` are those that it has to itself."""

    option: str
    loggers: tuple[str, ...] = ()

    @abstractmethod
    def look(self, run: RunView, run_id: str) -> Recorded:
        """Returns what there is of a run. Makes nothing."""

    @abstractmethod
    def open(self, run: RunView, run_id: str) -> None:
        """Begins the tracker's run, or goes on with it, after `look`."""

    @abstractmethod
    def write(self, row: Row, seconds: float) -> None:
        """Writes an epoch.

        Args:
            seconds: when it ended, since 1970.
        """

    @abstractmethod
    def close(self, result: RunResult | None) -> None:
        """Writes how the run ended, if it has, and lets go of it."""

    def release(self) -> None:
        """Lets go of a run in which something has failed, so that `look` sees all that it has got."""

    def on_start(self, run: RunView) -> None:
        self.rows = {int(row["epoch"]): row for row in run.history}
        self.times = times(run)
        self.is_open = self.is_failing = self.has_written = False
        self.recorded = Recorded()
        with self._noticing():
            self.run_id = RunFolder(run.folder).tracker_id()
            self.recorded = self.look(run, self.run_id)
            is_beginning = self.recorded.status is None and run.ended is None
            if is_beginning or self._missing():
                self._write_missing(run)

    def on_epoch(self, row: Row, run: RunView) -> None:
        self.rows[int(row["epoch"])] = row
        self.times[int(row["epoch"])] = time.time()
        if not self.is_failing:
            with self._noticing():
                self._write_missing(run)

    def on_end(self, result: RunResult | None, run: RunView) -> None:
        with self._noticing():
            if self.is_failing:  # perhaps it can do it now
                self.is_open, self.is_failing = False, False
                self.release()
                self.run_id = RunFolder(run.folder).tracker_id()
                self.recorded = self.look(run, self.run_id)
            is_told = result is None or self.recorded.status == result.status.value
            if self._missing() or not is_told:
                self._write_missing(run)
            if self.is_open:
                self.is_open = False
                self.close(result)
                self.check(result, run)

    def problem(self, error: BaseException, run: RunView) -> str:
        return (
            f"tracker {self.option}: {describe_error(error)}; the run goes on, and rnnexp export {run.folder} "
            f"--to {self.option} adds later what is missing"
        )

    def check(self, result: RunResult | None, run: RunView) -> None:
        """Raises: Unwritten if a closed run lacks something; for trackers that don't say so themselves."""

    def _missing(self) -> list[int]:
        return sorted(self.rows.keys() - self.recorded.epochs)

    def _write_missing(self, run: RunView) -> None:
        if not self.is_open:
            self.open(run, self.run_id)
            self.is_open = self.has_written = True
        for epoch in self._missing():
            self.write(self.rows[epoch], self.times.get(epoch, time.time()))
            self.recorded = self.recorded._replace(epochs=self.recorded.epochs | {epoch})

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """Keeps what a tracker says of itself off the screen, and takes note of a failure, which is told in a line."""
        try:
            with warnings.catch_warnings(), _silent(self.loggers):
                warnings.simplefilter("ignore")
                yield
        except BaseException:
            self.is_failing = True
            raise


@contextmanager
def _silent(names: tuple[str, ...]) -> Iterator[None]:
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def times(run: RunView) -> dict[int, float]:
    """Returns when each epoch of a run ended, in seconds since 1970, as far as it is known."""
    found: dict[int, float] = {}
    if (at := run.ended) is None:
        return found
    for row in reversed(run.history):
        found[int(row["epoch"])] = at
        at -= row["epoch_seconds"]
    return found


def numbers(row: Mapping[str, float]) -> dict[str, float]:
    """Returns the cells of a row that were measured."""
    return {name: float(value) for name, value in row.items() if math.isfinite(value)}


def final_metrics(result: RunResult) -> dict[str, float]:
    """Returns the metrics of a result, by the names that trackers have for them."""
    return {f"{FINAL}{name}": value for name, value in numbers(result.metrics).items()}


def is_good(result: RunResult) -> bool:
    """Whether a run ended as it was meant to: pruning is one way."""
    return result.status in (Status.COMPLETE, Status.PRUNED, Status.TIMEOUT)


def hyperparameters(run: RunView) -> dict[str, Any]:
    """Returns the configuration that a run is made of, nested."""
    skipped = {*SWEEP_KEYS, *WATCHING, "experiment"}
    return {key: value for key, value in run.config.items() if key not in skipped}


def flat_hyperparameters(run: RunView) -> dict[str, Any]:
    """Returns it as the table of runs has it: `model` is the option that was chosen, `model.hidden_size` a key."""
    return {**run.choices, **flatten(hyperparameters(run))}
