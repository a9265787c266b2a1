"""What a run leaves on disk: its names, writing it so that a kill or a full disk loses nothing, and reading it back.

Nothing else in the project spells the name of a file in a run's folder. No torch, except to
load tensors.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, TYPE_CHECKING, Any
from zipfile import BadZipFile

import yaml
from filelock import FileLock, Timeout

from rnnexp.schema import GROUPS, HISTORY_COLUMNS, RunResult, UserError

if TYPE_CHECKING:
    import numpy as np
    import torch

RESUME_HINT = "what was saved before is intact: make room and go on with train.resume=true"


@dataclass(frozen=True)
class TestOutcomes:
    """What a run made of each test image: N labels and readings as uint8, and losses in nats as float32."""

    __test__ = False  # pytest would take it for a test

    labels: np.ndarray[Any, Any]
    predicted: np.ndarray[Any, Any]
    losses: np.ndarray[Any, Any]

    @property
    def accuracy(self) -> float:
        return float((self.predicted == self.labels).mean())

    @property
    def loss(self) -> float:
        return float(self.losses.mean(dtype="float64"))


@dataclass(frozen=True)
class RunFolder:
    """The record of one run. `result.json` is written last: where it is, the run is over."""

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
    def hydra_config(self) -> Path:
        return self.path / ".hydra" / "config.yaml"

    @property
    def hydra_choices(self) -> Path:
        return self.path / ".hydra" / "hydra.yaml"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    def is_run(self) -> bool:
        """Whether something of a run is here."""
        return any(p.exists() for p in (self.result, self.history, self.checkpoint, self.hydra_config))

    @property
    def taken(self) -> str:
        """What a command is told that would run here anew."""
        return f"{self.path} holds a run already; type another name=, or train.resume=true to go on with it"

    def hold(self) -> FileLock:
        """Returns the folder's lock, held.

        Raises:
            UserError: another process holds it, or it can't be written.
        """
        with _explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock)
        with _explained(self.lock):
            try:
                lock.acquire(timeout=2)
            except Timeout:
                message = f"another process is running in {self.path}; wait for it, or take another name="
                raise UserError(message) from None
        return lock

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Holds the folder for this run.

        Raises:
            UserError: another process holds it, or it can't be written.
        """
        lock = self.hold()
        try:
            self._tidy()
            yield
        finally:
            lock.release()

    def _tidy(self) -> None:
        """Deletes what a writer that was killed has left of its files; whoever claims the folder is alone in it."""
        own = (self.result, self.history, self.checkpoint, self.model, self.test_outcomes)
        for target in (*own, self.hydra_config, self.hydra_choices):
            for half in target.parent.glob(f".{target.name}-*"):
                with suppress(OSError):
                    half.unlink()

    def is_claimed(self) -> bool:
        """Whether a living process holds the folder."""
        if not self.lock.exists():
            return False
        try:
            with FileLock(self.lock, blocking=False):
                return False
        except Timeout:
            return True
        except OSError:  # a folder that we may only read
            return False

    def read_result(self) -> RunResult | None:
        """Returns the result, or None if there is none.

        Raises:
            ValueError: the file is there but is not a whole result.
        """
        try:
            return RunResult.from_json(self.result.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"{self.result.name} can't be read: {error.strerror}") from error

    def read_history(self) -> list[dict[str, str]]:
        """Returns the rows of history.csv as text; a torn last row, and a file that is not there, count as nothing.

        Raises:
            ValueError: it can't be read.
        """
        try:
            text = self.history.read_text(encoding="utf-8", errors="replace")
            whole = text[: text.rfind("\n") + 1].splitlines()
            return [row for row in csv.DictReader(whole) if None not in row and None not in row.values()]
        except FileNotFoundError:
            return []
        except (OSError, csv.Error) as error:
            raise ValueError(f"{self.history.name} can't be read: {error}") from error

    def read_test_outcomes(self) -> TestOutcomes | None:
        """Returns what the run made of each test image; None if it was not tested.

        Raises:
            ValueError: the file is damaged, or holds other things.
        """
        import numpy as np

        try:
            with np.load(io.BytesIO(self.test_outcomes.read_bytes()), allow_pickle=False) as saved:
                outcomes = TestOutcomes(**{f.name: saved[f.name] for f in dataclasses.fields(TestOutcomes)})
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, LookupError, TypeError, BadZipFile, zlib.error) as error:
            raise ValueError(f"{self.test_outcomes.name} can't be read: {error}") from error
        shapes = {array.shape for array in vars(outcomes).values()}
        kinds = "".join(array.dtype.kind for array in vars(outcomes).values())
        if len(shapes) != 1 or len(shapes.pop()) != 1 or kinds != "uuf" or not len(outcomes.labels):
            raise ValueError(
                f"{self.test_outcomes.name} can't be read: not a label, a reading and a loss for each image"
            )
        return outcomes

    def read_hydra_config(self) -> dict[str, Any]:
        """Returns the configuration that Hydra wrote when the run began, or nothing.

        Raises:
            ValueError: it can't be read.
        """
        return _read_yaml(self.hydra_config)

    def read_hydra_choices(self) -> dict[str, str]:
        """Returns the group options that Hydra chose, or nothing.

        Raises:
            ValueError: they can't be read.
        """
        choices: Any = _read_yaml(self.hydra_choices)
        for key in ("hydra", "runtime", "choices") if choices else ():
            choices = choices.get(key)
            if not isinstance(choices, dict):
                raise ValueError(f"{self.hydra_choices.name} has no {key}")
        return {group: str(choices[group]) for group in GROUPS if choices.get(group) is not None}

    def write_history(self, rows: list[dict[str, float]]) -> None:
        """Writes history.csv anew."""
        with atomic(self.history) as out:
            out.write(_csv_line({name: name for name in HISTORY_COLUMNS}).encode())
            out.write("".join(map(_csv_line, rows)).encode())

    def append_history(self, row: Mapping[str, float]) -> None:
        with _explained(self.history), self.history.open("a", encoding="utf-8") as out:
            out.write(_csv_line(row))

    def write_test_outcomes(self, outcomes: TestOutcomes) -> None:
        import numpy as np

        with atomic(self.test_outcomes) as out:
            np.savez_compressed(out, **vars(outcomes))

    def write_result(self, result: RunResult) -> None:
        with atomic(self.result) as out:
            out.write(result.to_json().encode())


def load_tensors(path: Path, device: torch.device | str) -> dict[str, Any]:
    """Returns a dictionary of tensors and plain values that torch saved; nothing in it can run code.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or holds other things.
    """
    import torch

    try:
        loaded = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    except UnpicklingError as error:  # torch's own text tells people to load it unsafely
        raise ValueError("it is damaged, or holds more than tensors and plain values") from error
    except (RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not isinstance(loaded, dict):
        raise ValueError(f"it holds a {type(loaded).__name__}")
    return loaded


@contextmanager
def atomic(target: Path, hint: str = RESUME_HINT) -> Iterator[IO[bytes]]:
    """Yields a file that takes `target`'s place, synced, once the block ends well; otherwise `target` stays as it was.

    Raises:
        UserError: the disk is full or can't be written.
    """
    with _explained(target, hint):
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        try:
            with os.fdopen(handle, "wb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
            _sync_folder(target.parent)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)


@contextmanager
def _explained(path: Path, hint: str = RESUME_HINT) -> Iterator[None]:
    """Turns a failure to write into one line."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; {hint}") from error


def _sync_folder(folder: Path) -> None:
    """Makes a rename last through a power cut, where the system can."""
    with suppress(OSError):  # Windows and some network file systems can't open a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _csv_line(row: Mapping[str, Any]) -> str:
    return ",".join(str(row[name]) for name in HISTORY_COLUMNS) + "\n"


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ValueError(f"{path.name} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not YAML") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path.name} is empty or not a mapping")
    return loaded
