"""The record of one run of a trial, in its own folder: what a table can be made of, whatever the app leaves there.

It needs no database, is a second old at most while the run goes on, and travels with its folder. A trial has one run,
or one for each repeat and fold. The study decides what became of a trial: a run that is complete here may be run again
if its worker died before it told so.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from hydra_sweep.errors import UserError
from hydra_sweep.files import atomic, read_json, remove_partial_files, with_json_checksum
from hydra_sweep.sweep_folder import GOES_ON

log = logging.getLogger("hydra_sweep")
RUNNING, STOPPED, PAUSED = "running", "stopped", "paused"
STATES = (RUNNING, STOPPED, PAUSED, "complete", "pruned", "failed")
PAUSE_SECONDS = 1.0  # between two writings of a run that goes on
MAX_REPORTS = 2000  # that are kept: a task may report each batch


@dataclass
class RunRecord:
    """What a run was given, has reported and came to.

    Args:
        trial: its number.
        sampled: from keys to what was sampled for them, as overrides have it.
        num_steps: how many reports there will be unless it stops early, as far as the task says so.
        objective: its name; of several, that of the first.
        step: how many reports there were.
        reports: the objective in each of them, as far as it was in there; the first 2,000.
        metrics: what was reported last, in the end what the task returned: all that are numbers.
    """

    trial: int
    state: str
    sampled: dict[str, str]
    objective: str
    reason: str | None = None
    step: int = 0
    num_steps: int | None = None
    reports: list[float | None] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    attempt: int = 1
    seconds: float = 0.0  # of this attempt
    worker: str = ""

    @classmethod
    def read(cls, file: Path) -> RunRecord | None:
        """Returns what a file holds, or None if there is none.

        Raises:
            ValueError: it can't be read, or is damaged.
        """
        try:
            content: Any = read_json(file)
            content.pop("crc32", None)
            record = cls(**content)
            if not record._is_sound():
                raise ValueError("it holds other things")
            return record
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{file.name} can't be read: {getattr(error, 'strerror', None) or error}") from error

    def _is_sound(self) -> bool:
        """Whether all is of its kind: the file may be a stranger's."""
        texts = (self.state, self.objective, self.worker, *self.sampled, *self.sampled.values(), *self.metrics)
        numbers = (*self.metrics.values(), *(value for value in self.reports if value is not None), self.seconds)
        counts = (self.trial, self.step, self.attempt, self.num_steps or 0)
        return (
            self.state in STATES
            and isinstance(self.reason, str | None)
            and all(isinstance(text, str) for text in texts)
            and all(isinstance(number, int | float) for number in numbers)
            and all(isinstance(count, int) for count in counts)
        )

    @staticmethod
    def is_held(file: Path) -> bool:
        """Whether a living process runs what a file is the record of."""
        if not (lock := _lock(file)).exists():
            return False
        try:
            with FileLock(lock, blocking=False):
                return False
        except Timeout:
            return True
        except (OSError, NotImplementedError):  # a folder that we may only read, or one without locks
            return False


class RunRecorder:
    """Keeps the record of a run while it goes on, in a `with` block; a full disk costs the record and not the run."""

    def __init__(self, file: Path, record: RunRecord) -> None:
        self.file, self.record = file, record
        self.lock = FileLock(_lock(file))
        self.began = time.monotonic()
        self.written = -math.inf

    def __enter__(self) -> RunRecorder:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.lock.acquire(blocking=False)
            remove_partial_files([self.file])
        except (OSError, NotImplementedError, Timeout) as error:  # it is only to be seen that it runs
            log.warning("%s can't be locked: %s", self.file.parent, error)
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.record.state == RUNNING:
            self.end(STOPPED)
        self.lock.release()

    def note(self, value: float | None, metrics: Mapping[str, float], num_steps: int | None) -> None:
        """Notes a report, which is written within a second, or with the next one."""
        record = self.record
        record.step += 1
        record.metrics = {name: number for name, number in metrics.items() if math.isfinite(number)}
        record.num_steps = num_steps
        if len(record.reports) < MAX_REPORTS:
            record.reports.append(value if value is not None and math.isfinite(value) else None)
        if time.monotonic() - self.written > PAUSE_SECONDS:
            self._write()

    def end(self, state: str, metrics: Mapping[str, float] | None = None, reason: str | None = None) -> None:
        """Notes how it ended."""
        self.record.state, self.record.reason = state, reason
        self.record.metrics = dict(metrics) if metrics else self.record.metrics
        self._write()

    def _write(self) -> None:
        self.written = time.monotonic()
        self.record.seconds = round(self.written - self.began, 3)
        try:
            with atomic(self.file, GOES_ON, is_synced=False) as out:
                out.write(with_json_checksum(json.dumps(asdict(self.record), indent=1)).encode())
        except UserError as error:
            log.warning("%s", error)


def _lock(file: Path) -> Path:
    return file.parent / f".{file.name}.lock"
