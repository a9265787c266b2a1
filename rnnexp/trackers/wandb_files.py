"""What wandb has written on this machine of a run: the records in its `run-ID.wandb` files.

wandb has no reader for Python. The files are logs of LevelDB's format, blocks of 32 KiB with records that may be cut
into pieces, each record a protocol buffer that comes with wandb; `wandb leet inspect --json FILE` prints the same.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAGIC = b":W&B"
HEADER = 7  # bytes at the beginning of a file, and of each piece
BLOCK = 1 << 15
PIECE = struct.Struct("<4xHB")  # checksum, length, and which piece of a record it is
FULL, FIRST, MIDDLE, LAST = range(1, 5)


def read(folder: Path, run_id: str) -> tuple[list[tuple[int, dict[str, Any]]], dict[str, Any]]:
    """Returns the rows of a run, each with its step, and its summary, of all attempts together.

    Args:
        folder: in which wandb makes one for each attempt.
    """
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    rows: list[tuple[int, dict[str, Any]]] = []
    summary: dict[str, Any] = {}
    for path in sorted(folder.glob(f"*run-*-{run_id}/run-{run_id}.wandb")):
        for content in records(path.read_bytes()):
            try:
                record = Record.FromString(content)
            except DecodeError:  # torn when the machine failed
                break
            if record.HasField("history"):
                rows.append((record.history.step.num, _values(record.history.item)))
            elif record.HasField("summary"):
                summary |= _values(record.summary.update)
    return rows, summary


def records(content: bytes) -> Iterator[bytes]:
    """Yields the records of a file, up to one that was torn when its writer was killed."""
    if not content.startswith(MAGIC):
        return
    at, parts = HEADER, b""
    while at + HEADER <= len(content):
        if (left := BLOCK - at % BLOCK) < HEADER:  # no room for a piece: the rest of the block is empty
            at += left
            continue
        length, kind = PIECE.unpack_from(content, at)
        piece = content[at + HEADER : at + HEADER + length]
        if len(piece) < length or kind not in (FULL, FIRST, MIDDLE, LAST):
            return
        at += HEADER + length
        parts = piece if kind in (FULL, FIRST) else parts + piece
        if kind in (FULL, LAST):
            yield parts


def _values(items: Any) -> dict[str, Any]:
    """Returns keys and values; of nested ones, their keys with dots."""
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
