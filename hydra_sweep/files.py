"""Files that a kill or a full disk can't harm, and that say so if something else has.

Each file carries a CRC-32, so that a flipped byte is named and never a wrong number: JSON as its last key, YAML in a
comment before it, a CSV table in each row, there over all rows so far; zip files (`*.pt`, `*.npz`) have their own. A
file without one, of an older version or by another hand, is read as it is, but for a sweep's table. It finds damage,
not malice.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import yaml

from hydra_sweep.errors import UserError

HINT = "what was saved before is intact: make room and rerun"

MAX_TEXT_BYTES = 1 << 26  # of a file that is read whole
MAX_YAML_BYTES = 1 << 22  # which takes a minute
CHECKSUM_COLUMN = "crc32"
JSON_MARK = f',\n "{CHECKSUM_COLUMN}": '
YAML_MARK = f"# {CHECKSUM_COLUMN} "
BROKEN_ZIP = (BadZipFile, zlib.error, RuntimeError, NotImplementedError)


@contextmanager
def atomic(target: Path, hint: str = HINT, is_synced: bool = True) -> Iterator[IO[bytes]]:
    """Yields a file that takes `target`'s place, synced, once the block ends well; otherwise `target` stays as it was.

    Args:
        is_synced: False for what is written often, and elsewhere, too: a power cut may lose it, a kill does not.

    Raises:
        UserError: the disk is full or can't be written.
    """
    with explained(target, hint):
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        try:
            with os.fdopen(handle, "wb") as out:
                yield out
                out.flush()
                if is_synced:
                    os.fsync(out.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
            if is_synced:
                _sync_folder(target.parent)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)


def remove_partial_files(targets: Iterable[Path], seconds: float = 0.0) -> None:
    """Deletes what killed writers have left of files; with `seconds`, only what nobody has written to for so long."""
    for target in targets:
        for half in target.parent.glob(f".{target.name}-*"):
            with suppress(OSError):
                if not seconds or time.time() - half.stat().st_mtime > seconds:
                    half.unlink()


@contextmanager
def explained(path: Path, hint: str = HINT) -> Iterator[None]:
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


def whole_lines(content: bytes) -> str:
    return content[: content.rfind(b"\n") + 1].decode(errors="replace")


_boundary: ContextVar[str] = ContextVar("boundary", default="")


@contextmanager
def reading_below(folder: Path) -> Iterator[None]:
    """Refuses to read files of records outside of a folder, wherever links and recorded paths may lead.

    It holds for this thread, and for what goes through `read_bytes` or `check_place`.
    """
    token = _boundary.set(os.path.realpath(folder).rstrip(os.sep) + os.sep)
    try:
        yield
    finally:
        _boundary.reset(token)


def check_place(path: Path) -> None:
    """Raises: ValueError: the file is outside of the folder that is read."""
    boundary = _boundary.get()
    if boundary and not os.path.realpath(path).startswith(boundary):
        raise ValueError("it is outside of the folder that is read")


def read_bytes(path: Path, limit: int = MAX_TEXT_BYTES) -> bytes:
    """Returns what is in a file, which may be a stranger's.

    Raises:
        OSError: it can't be read.
        ValueError: it is no file, larger than `limit`, or outside of the folder that `reading_below` names.
    """
    check_place(path)
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
        return json.loads(check_json(read_bytes(path).decode()))
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


def yaml_text(content: Any) -> str:
    """Returns content as `read_yaml` reads it, with its sum."""
    text = yaml.dump(content, Dumper=_PlainDumper, sort_keys=False, width=1000, allow_unicode=True)
    return with_yaml_checksum(text.encode()).decode()


_PlainLoader.add_multi_constructor("tag:yaml.org,2002:python/object/apply:pathlib.", _path_text)


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def read_csv(path: Path) -> str:
    """Returns the text of a table with sums, without them.

    Raises:
        OSError: it can't be read.
        ValueError: it is damaged. It is so, too, where its header lacks the sums' column, as with zeros over it.
    """
    lines = read_bytes(path).decode().split("\n")[:-1]
    if lines and _row_and_checksum(lines[0])[1] != CHECKSUM_COLUMN:
        raise ValueError("it is damaged: its header is torn")
    return "\n".join(check_csv(lines)) + "\n"


def check_zip(content: IO[bytes], limit: int) -> None:
    """Raises: ValueError or one of BROKEN_ZIP: a sum is another one, or there is more in it than `limit` bytes."""
    with ZipFile(content) as file:
        if sum(part.file_size for part in file.infolist()) > limit:
            raise ValueError(f"it unpacks to more than {limit:,} bytes")
        if (damaged := file.testzip()) is not None:
            raise ValueError(f"its {damaged!r} is damaged")
    content.seek(0)


def with_json_checksum(text: str) -> str:
    """Returns an object's text, as `json.dumps(..., indent=1)` writes it, with its sum as the last key."""
    body = text.rstrip().removesuffix("\n}")
    return f"{body}{JSON_MARK}{_checksum(body)}\n}}\n"


def check_json(text: str) -> str:
    """Returns the text. Raises: ValueError if checksum mismatch."""
    body, mark, rest = text.rpartition(JSON_MARK)
    if mark and rest != f"{_checksum(body)}\n}}\n":
        raise ValueError("checksum mismatch")
    return text


def with_yaml_checksum(content: bytes) -> bytes:
    return f"{YAML_MARK}{zlib.crc32(content)}\n".encode() + content


def _check_yaml(text: str) -> str:
    """Returns the text. Raises: ValueError if checksum mismatch."""
    if text.startswith(YAML_MARK):
        mark, _, body = text.partition("\n")
        if mark != f"{YAML_MARK}{_checksum(body)}":
            raise ValueError("checksum mismatch")
    return text


def with_csv_checksums(rows: Iterable[str], before: str = "") -> Iterator[str]:
    """Yields rows, the header among them, as lines that end with the sum of all rows so far.

    Args:
        rows: without the ends of their lines, and with none inside.
        before: lines with checksums that are written already.
    """
    total = zlib.crc32("".join(row for row, _ in map(_row_and_checksum, before.splitlines())).encode())
    is_header = not before
    for row in rows:
        total = zlib.crc32(row.encode(), total)
        yield f"{row},{CHECKSUM_COLUMN if is_header else total}\n"
        is_header = False


def check_csv(lines: list[str]) -> list[str]:
    """Returns the rows of a table, its header first, without their sums.

    Raises:
        ValueError: a row's checksum is another one.
    """
    if not lines or _row_and_checksum(lines[0])[1] != CHECKSUM_COLUMN:
        # The end of a line is no end any more, or a new one is there.
        if any(CHECKSUM_COLUMN in line.split(",") for line in lines[:2]):
            raise ValueError("it is damaged: its header is torn")
        return lines
    rows, total = [], 0
    for number, (row, mark) in enumerate(map(_row_and_checksum, lines)):
        total = zlib.crc32(row.encode(), total)
        if number and mark != str(total):
            raise ValueError(f"checksum mismatch in row {number}")
        rows.append(row)
    return rows


def _row_and_checksum(line: str) -> tuple[str, str]:
    """Returns a row and its sum."""
    row, _, mark = line.rpartition(",")
    return row, mark


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode())
