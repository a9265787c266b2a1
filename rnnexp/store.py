"""What a run leaves on disk: its names, writing it so that a kill or a full disk loses nothing, and reading it back.

Nothing else in the project spells the name of a file in a run's folder. No torch, except to
load tensors.

Each file carries a CRC-32, so that a flipped byte is a fault that is named and never a wrong number: JSON as its last
key, YAML in a comment before it, a CSV table in each row, there over all rows so far; zip files (`*.pt`, `*.npz`) have
their own. A file without one, of an older version or by another hand, is read as it is. It finds damage, not malice.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import stat
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError
from typing import IO, TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

import yaml
from filelock import FileLock, Timeout

from rnnexp.schema import GROUPS, HISTORY_COLUMNS, RunResult, UserError

if TYPE_CHECKING:
    import numpy as np
    import torch

RESUME_HINT = "what was saved before is intact: make room and go on with train.resume=true"
MAX_TEXT_BYTES = 1 << 26  # of a file that is read whole
MAX_YAML_BYTES = 1 << 22  # which takes a minute
MAX_OUTCOMES_BYTES = 1 << 26  # unpacked
SUM_COLUMN = "crc32"
JSON_MARK = f',\n "{SUM_COLUMN}": '
YAML_MARK = f"# {SUM_COLUMN} "
BROKEN_ZIP = (BadZipFile, zlib.error, RuntimeError, NotImplementedError)


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
        delete_halves((*own, self.hydra_config, self.hydra_choices))

    def is_claimed(self) -> bool:
        """Whether a living process holds the folder."""
        if not self.lock.exists():
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
            return RunResult.from_json(_check_json(read_bytes(self.result).decode()))
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
            table = csv.DictReader(_check_csv(_whole_lines(read_bytes(self.history)).splitlines()))
            rows = [row for row in table if None not in row and None not in row.values()]
            if tuple(table.fieldnames or HISTORY_COLUMNS) != HISTORY_COLUMNS:
                raise ValueError("it has other columns")
            return rows
        except FileNotFoundError:
            return []
        except (OSError, ValueError, csv.Error) as error:
            raise ValueError(f"{self.history.name} can't be read: {error}") from error

    def read_test_outcomes(self) -> TestOutcomes | None:
        """Returns what the run made of each test image; None if it was not tested.

        Raises:
            ValueError: the file is damaged, or holds other things.
        """
        import numpy as np

        try:
            content = io.BytesIO(read_bytes(self.test_outcomes))
            _check_zip(content, MAX_OUTCOMES_BYTES)
            with np.load(content, allow_pickle=False) as saved:
                outcomes = TestOutcomes(**{f.name: saved[f.name] for f in dataclasses.fields(TestOutcomes)})
        except FileNotFoundError:
            return None
        except (*BROKEN_ZIP, OSError, EOFError, ValueError, LookupError, TypeError) as error:
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

    def write_history(self, rows: list[dict[str, float]]) -> None:
        """Writes history.csv anew."""
        with atomic(self.history) as out:
            out.write("".join(seal_csv([",".join(HISTORY_COLUMNS), *map(_csv_row, rows)])).encode())

    def append_history(self, row: Mapping[str, float]) -> None:
        with _explained(self.history), self.history.open("a+", encoding="utf-8") as out:
            out.seek(0)
            out.writelines(seal_csv([_csv_row(row)], before=out.read()))

    def write_test_outcomes(self, outcomes: TestOutcomes) -> None:
        import numpy as np

        with atomic(self.test_outcomes) as out:
            np.savez_compressed(out, **vars(outcomes))

    def write_result(self, result: RunResult) -> None:
        with atomic(self.result) as out:
            out.write(seal_json(result.to_json()).encode())

    def seal_hydra_files(self) -> None:
        """Gives the files that Hydra wrote, and that the table reads, their sums."""
        for file in (self.hydra_config, self.hydra_choices):
            if file.exists() and not (content := file.read_bytes()).startswith(YAML_MARK.encode()):
                with atomic(file) as out:
                    out.write(_seal_yaml(content))


def load_tensors(path: Path, device: torch.device | str) -> dict[str, Any]:
    """Returns a dictionary of tensors and plain values that torch saved; nothing in it can run code.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or holds other things.
    """
    import torch

    try:
        content = io.BytesIO(path.read_bytes())
        _check_zip(content, content.getbuffer().nbytes)  # torch packs nothing
        loaded = torch.load(content, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    except UnpicklingError as error:  # torch's own text tells people to load it unsafely
        raise ValueError("it is damaged, or holds more than tensors and plain values") from error
    except (*BROKEN_ZIP, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not isinstance(loaded, dict):
        raise ValueError(f"it holds a {type(loaded).__name__}")
    return loaded


def save_tensors(path: Path, content: dict[str, Any]) -> None:
    """Writes what `load_tensors` reads, in one go: torch itself takes a full disk for a bug of its own.

    Raises:
        UserError: the disk is full or can't be written.
    """
    import torch

    packed = io.BytesIO()
    torch.save(content, packed)
    with atomic(path) as out:
        out.write(packed.getbuffer())


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


def delete_halves(targets: Iterable[Path], seconds: float = 0.0) -> None:
    """Deletes what killed writers have left of files; with `seconds`, only what nobody has written to for so long."""
    for target in targets:
        for half in target.parent.glob(f".{target.name}-*"):
            with suppress(OSError):
                if not seconds or time.time() - half.stat().st_mtime > seconds:
                    half.unlink()


@contextmanager
def _explained(path: Path, hint: str = RESUME_HINT) -> Iterator[None]:
    """Turns a failure to write into one line."""
    try:
        yield
    except (OSError, NotImplementedError) as error:  # the second of FileLock, where there are no locks
        raise UserError(f"cannot write {path}: {getattr(error, 'strerror', error) or error}; {hint}") from error


def _sync_folder(folder: Path) -> None:
    """Makes a rename last through a power cut, where the system can."""
    with suppress(OSError):  # Windows and some network file systems can't open a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _csv_row(row: Mapping[str, Any]) -> str:
    return ",".join(str(row[name]) for name in HISTORY_COLUMNS)


def _whole_lines(content: bytes) -> str:
    return content[: content.rfind(b"\n") + 1].decode(errors="replace")


def read_bytes(path: Path, limit: int = MAX_TEXT_BYTES) -> bytes:
    """Returns what is in a file, which may be a stranger's.

    Raises:
        OSError: it can't be read.
        ValueError: it is no file, or larger than `limit`.
    """
    about = path.stat()
    if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):  # a folder can't be read, and says so
        raise ValueError("it is a device or a pipe")
    if about.st_size > limit:
        raise ValueError(f"it has {about.st_size:,} bytes, and at most {limit:,} are read")
    return path.read_bytes()


def read_json(path: Path) -> Any:
    """Returns what a JSON file holds, as long as its sum is right.

    Raises:
        OSError: it can't be read.
        ValueError: it is damaged, or no JSON.
    """
    try:
        return json.loads(_check_json(read_bytes(path).decode()))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Returns the mapping that a YAML file holds; nothing if there is no file.

    Raises:
        ValueError: it can't be read, is damaged, or is no plain mapping: aliases, which may stand for billions of
            values, are none.
    """
    try:
        text = _check_yaml(read_bytes(path, MAX_YAML_BYTES).decode())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} can't be read: {getattr(error, 'strerror', error)}") from error
    try:
        loaded = yaml.load(text, _PlainLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not YAML") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path.name} is empty or not a mapping")
    return loaded


class _PlainLoader(yaml.SafeLoader):
    """Makes plain values alone, and each but once."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def _path_text(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> str:
    """Returns the text of a path as OmegaConf writes it: a list of its parts, which name no code of anybody's."""
    if suffix not in ("PosixPath", "WindowsPath", "Path") or not isinstance(node, yaml.SequenceNode):
        raise yaml.YAMLError(f"{node.tag} is not read")
    return str(PurePosixPath(*map(str, loader.construct_sequence(node))))


_PlainLoader.add_multi_constructor("tag:yaml.org,2002:python/object/apply:pathlib.", _path_text)


def yaml_text(content: Any) -> str:
    """Returns content as `read_yaml` reads it, with its sum."""
    text = yaml.dump(content, Dumper=_PlainDumper, sort_keys=False, width=1000, allow_unicode=True)
    return _seal_yaml(text.encode()).decode()


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def read_csv(path: Path) -> str:
    """Returns the text of a table, without its sums.

    Raises:
        OSError: it can't be read.
        ValueError: it is damaged.
    """
    return "\n".join(_check_csv(read_bytes(path).decode().split("\n")[:-1])) + "\n"


def _check_zip(content: IO[bytes], limit: int) -> None:
    """Raises: ValueError or one of BROKEN_ZIP: a sum is another one, or there is more in it than `limit` bytes."""
    with ZipFile(content) as file:
        if sum(part.file_size for part in file.infolist()) > limit:
            raise ValueError(f"it unpacks to more than {limit:,} bytes")
        if (damaged := file.testzip()) is not None:
            raise ValueError(f"its {damaged!r} is damaged")
    content.seek(0)


def seal_json(text: str) -> str:
    """Returns an object's text, as `json.dumps(..., indent=1)` writes it, with its sum as the last key."""
    body = text.rstrip().removesuffix("\n}")
    return f"{body}{JSON_MARK}{_sum(body)}\n}}\n"


def _check_json(text: str) -> str:
    """Returns the text. Raises: ValueError if its sum is another one."""
    body, mark, rest = text.rpartition(JSON_MARK)
    if mark and rest != f"{_sum(body)}\n}}\n":
        raise ValueError("it is damaged: its sum is another one")
    return text


def _seal_yaml(content: bytes) -> bytes:
    return f"{YAML_MARK}{zlib.crc32(content)}\n".encode() + content


def _check_yaml(text: str) -> str:
    """Returns the text. Raises: ValueError if its sum is another one."""
    if text.startswith(YAML_MARK):
        mark, _, body = text.partition("\n")
        if mark != f"{YAML_MARK}{_sum(body)}":
            raise ValueError("it is damaged: its sum is another one")
    return text


def seal_csv(rows: Iterable[str], before: str = "") -> Iterator[str]:
    """Yields rows, the header among them, as lines that end with the sum of all rows so far.

    Args:
        rows: without the ends of their lines, and with none inside.
        before: sealed lines that are written already.
    """
    total = zlib.crc32("".join(row for row, _ in map(_row_and_sum, before.splitlines())).encode())
    is_header = not before
    for row in rows:
        total = zlib.crc32(row.encode(), total)
        yield f"{row},{SUM_COLUMN if is_header else total}\n"
        is_header = False


def _check_csv(lines: list[str]) -> list[str]:
    """Returns the rows of a table, its header first, without their sums.

    Raises:
        ValueError: a row's sum is another one.
    """
    if not lines or _row_and_sum(lines[0])[1] != SUM_COLUMN:
        # The end of a line is no end any more, or a new one is there.
        if any(SUM_COLUMN in line.split(",") for line in lines[:2]):
            raise ValueError("it is damaged: its header is torn")
        return lines
    rows, total = [], 0
    for number, (row, mark) in enumerate(map(_row_and_sum, lines)):
        total = zlib.crc32(row.encode(), total)
        if number and mark != str(total):
            raise ValueError(f"it is damaged: the sum of row {number} is another one")
        rows.append(row)
    return rows


def _row_and_sum(line: str) -> tuple[str, str]:
    """Returns a row and its sum."""
    row, _, mark = line.rpartition(",")
    return row, mark


def _sum(text: str) -> int:
    return zlib.crc32(text.encode())
