"""What a run leaves on disk: its names, writing it so that a kill or a full disk loses nothing, and reading it back.

Nothing else in the project spells the name of a file in a run's folder. No torch.

The order of writes, each of them whole or not at all:

    .hydra/                  what is computed
    checkpoint.pt            with each epoch, and now and then within one; on a signal
    history.csv              a row, after the checkpoint that has it: a resumed run writes the rows anew from there
    model.pt                 once training has ended
    test_outcomes.npz        of a complete run that is tested
    result.json              last

Beside them, whenever it is asked for, and of no meaning to the run: `tags.json` and `tracker.json`.

A process may die between any two of them: whatever is missing then is made again from the checkpoint, by the same
steps, to the same bits. The lock is held from before the first of them until after the last.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from hydra_sweep.errors import UserError
from hydra_sweep.files import (
    BROKEN_ZIP,
    atomic,
    check_csv,
    check_json,
    check_zip,
    explained,
    read_bytes,
    read_json,
    read_yaml,
    remove_partial_files,
    whole_lines,
    with_csv_checksums,
    with_json_checksum,
    with_yaml_checksum,
)
from rnnexp.record.result import RunResult, TestOutcomes, history_columns
from rnnexp.schema.tree import GROUPS

RESUME_HINT = "what was saved before is intact: make room and go on with train.resume=true"
MAX_OUTCOMES_BYTES = 256 * 2**20  # unpacked
LABELS_SECONDS = 60  # in which somebody may still be writing them, whoever holds the folder


class HydraFiles(NamedTuple):
    """The contents of what Hydra leaves in `.hydra/`; an empty one is not written."""

    config: str
    hydra: str = ""
    overrides: str = ""


@dataclass(frozen=True)
class RunFolder:
    """The record of one run. `result.json` is written last: where it is, the run has finished."""

    path: Path

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def history(self) -> Path:
        return self.path / "history.csv"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def model(self) -> Path:
        return self.path / "model.pt"

    @property
    def test_outcomes(self) -> Path:
        return self.path / "test_outcomes.npz"

    @property
    def labels(self) -> Path:
        """The tags and notes of a run that has been given others than it began with."""
        return self.path / "tags.json"

    @property
    def labels_lock(self) -> Path:
        return self.path / ".tags.lock"

    @property
    def tracker(self) -> Path:
        """By what trackers know the run, whatever its folder is called by now."""
        return self.path / "tracker.json"

    @property
    def hydra_config(self) -> Path:
        return self.path / ".hydra" / "config.yaml"

    @property
    def hydra_choices(self) -> Path:
        return self.path / ".hydra" / "hydra.yaml"

    @property
    def hydra_overrides(self) -> Path:
        return self.path / ".hydra" / "overrides.yaml"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    def is_run(self) -> bool:
        """Whether something of a run is here."""
        return any(p.exists() for p in (self.result, self.history, self.checkpoint, self.hydra_config))

    @property
    def taken(self) -> str:
        """What a command is told that would run here anew."""
        return f"{self.path} holds a run already; choose another name=, or train.resume=true to go on with it"

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Holds the folder for this run.

        The lock protects everything in the folder: of two commands of one name, the second writes nothing.

        Raises:
            UserError: another process holds it, or it can't be written.
        """
        with explained(self.path, RESUME_HINT):
            self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock)
        with explained(self.lock, RESUME_HINT):
            try:
                lock.acquire(timeout=2)
            except Timeout:
                message = f"another process is running in {self.path}; wait for it, or choose another name="
                raise UserError(message) from None
        try:
            self._tidy()
            yield
        finally:
            lock.release()

    def _tidy(self) -> None:
        """Deletes what a writer that was killed has left of its files; whoever claims the folder is alone in it."""
        own = (self.result, self.history, self.checkpoint, self.model, self.test_outcomes)
        remove_partial_files((*own, self.tracker, self.hydra_config, self.hydra_choices, self.hydra_overrides))
        remove_partial_files([self.labels], LABELS_SECONDS)

    def is_claimed(self) -> bool:
        """Whether a living process holds the folder."""
        if (
            self.lock.is_symlink() or not self.lock.is_file()
        ):  # a lock is opened for writing: no link leads it elsewhere
            return False
        try:
            with FileLock(self.lock, blocking=False):
                return False
        except Timeout:
            return True
        except (OSError, NotImplementedError):  # a folder that we may only read, or one without locks
            return False

    def read_result(self) -> RunResult | None:
        """Returns the result, or None if there is none.

        Raises:
            ValueError: the file is there but is not a whole result.
        """
        try:
            return RunResult.from_json(check_json(read_bytes(self.result).decode()))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"{self.result.name} can't be read: {error.strerror}") from error

    def read_history(self) -> list[dict[str, str]]:
        """Returns the rows of history.csv as text; a torn last row, and a file that is not there, count as nothing.

        Raises:
            ValueError: it can't be read, or is damaged.
        """
        try:
            table = csv.DictReader(check_csv(whole_lines(read_bytes(self.history)).splitlines()))
            rows = [row for row in table if None not in row and None not in row.values()]
            if table.fieldnames and tuple(table.fieldnames) != history_columns(table.fieldnames):
                raise ValueError("it has other columns")
            return rows
        except FileNotFoundError:
            return []
        except (OSError, ValueError, csv.Error) as error:
            raise ValueError(f"{self.history.name} can't be read: {error}") from error

    def read_test_outcomes(self) -> TestOutcomes | None:
        """Returns what the run made of each test example; None if it was not tested.

        Raises:
            ValueError: the file is damaged, or holds other things.
        """
        import numpy as np

        try:
            content = io.BytesIO(read_bytes(self.test_outcomes))
            check_zip(content, MAX_OUTCOMES_BYTES)
            with np.load(content, allow_pickle=False) as saved:
                needed = {f.name for f in dataclasses.fields(TestOutcomes) if f.default is dataclasses.MISSING}
                outcomes = TestOutcomes(**{name: saved[name] for name in {*needed, *saved.files}})
        except FileNotFoundError:
            return None
        except (*BROKEN_ZIP, OSError, EOFError, ValueError, LookupError, TypeError) as error:
            raise ValueError(f"{self.test_outcomes.name} can't be read: {error}") from error
        each = (outcomes.labels, outcomes.predicted, outcomes.losses)
        shapes, kinds = {array.shape for array in each}, "".join(array.dtype.kind for array in each)
        if len(shapes) != 1 or len(shapes.pop()) != 1 or kinds != "uuf" or not len(outcomes.labels):
            raise ValueError(
                f"{self.test_outcomes.name} can't be read: not a label, a prediction and a loss for each example"
            )
        if not _are_examples(outcomes.worst, outcomes.worst_x, len(outcomes.labels)):
            raise ValueError(f"{self.test_outcomes.name} can't be read: its worst mistakes are not examples")
        return outcomes

    def tracker_id(self) -> str:
        """Returns by what trackers know this run: made up once, and kept in the folder wherever it goes.

        Of a finished run in a folder that can't be written, it is made of the result instead.

        Raises:
            UserError: it can't be kept.
            ValueError: tracker.json is damaged.
        """
        try:
            found = str(read_json(self.tracker)["id"])
            if not re.fullmatch("[0-9a-f]{16}", found):
                raise ValueError(f"it has no id, but {found!r:.40}")
            return found
        except FileNotFoundError:
            pass
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ValueError(f"{self.tracker} can't be read ({getattr(error, 'strerror', error)})") from error
        made = secrets.token_hex(8)
        try:
            with atomic(self.tracker, "no tracker can follow the run without it") as out:
                out.write(with_json_checksum(json.dumps({"id": made}, indent=1) + "\n").encode())
        except UserError:
            if not self.result.exists():
                raise
            return hashlib.sha256(self.result.read_bytes()).hexdigest()[:16]
        return made

    def read_hydra_config(self) -> dict[str, Any]:
        """Returns the configuration that Hydra wrote when the run began, or nothing.

        Raises:
            ValueError: it can't be read.
        """
        return read_yaml(self.hydra_config)

    def read_hydra_choices(self) -> dict[str, str]:
        """Returns the group options that Hydra chose, or nothing.

        Raises:
            ValueError: they can't be read.
        """
        choices: Any = read_yaml(self.hydra_choices)
        for key in ("hydra", "runtime", "choices") if choices else ():
            choices = choices.get(key)
            if not isinstance(choices, dict):
                raise ValueError(f"{self.hydra_choices.name} has no {key}")
        return {group: str(choices[group]) for group in GROUPS if choices.get(group) is not None}

    def write_history(self, rows: Sequence[Mapping[str, float]], metrics: Iterable[str] = ()) -> None:
        """Writes history.csv anew.

        Args:
            metrics: names of the configuration's `metrics`.
        """
        columns = history_columns(f"valid_{name}" for name in metrics)
        lines = [",".join(columns), *(_csv_row(row, columns) for row in rows)]
        with atomic(self.history, RESUME_HINT) as out:
            out.write("".join(with_csv_checksums(lines)).encode())

    def append_history(self, row: Mapping[str, float]) -> None:
        with explained(self.history, RESUME_HINT), self.history.open("a+", encoding="utf-8") as out:
            out.seek(0)
            out.writelines(with_csv_checksums([_csv_row(row, history_columns(row))], before=out.read()))

    def write_test_outcomes(self, outcomes: TestOutcomes) -> None:
        import numpy as np

        with atomic(self.test_outcomes, RESUME_HINT) as out:
            np.savez_compressed(out, **{name: array for name, array in vars(outcomes).items() if array is not None})

    def write_result(self, result: RunResult) -> None:
        with atomic(self.result, RESUME_HINT) as out:
            out.write(with_json_checksum(result.to_json()).encode())

    def write_hydra_files(self, contents: HydraFiles) -> None:
        """Writes what Hydra leaves of a configuration: for the table while the run has no result yet, and for people.

        Hydra's own writing is turned off (`output_subdir`): it would come before this folder is claimed.
        """
        with explained(self.hydra_config, RESUME_HINT):
            self.hydra_config.parent.mkdir(exist_ok=True)
        for file, text in zip((self.hydra_config, self.hydra_choices, self.hydra_overrides), contents, strict=True):
            if text:
                with atomic(file, RESUME_HINT) as out:
                    out.write(with_yaml_checksum(text.encode()))


def _are_examples(worst: Any, x: Any, number: int) -> bool:
    """Whether arrays are indices of so many examples, and the examples; or neither is there."""
    if worst is None or x is None:
        return worst is x
    is_index = worst.ndim == 1 and worst.dtype.kind == "i" and bool(((worst >= 0) & (worst < number)).all())
    return (
        is_index and x.ndim in (3, 4) and x.dtype.kind in "fiu" and len(x) == len(worst) and (not len(x) or x.size > 0)
    )


def _csv_row(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    return ",".join(str(row[name]) for name in columns)
