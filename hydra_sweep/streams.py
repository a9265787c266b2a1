"""Standard streams that may go away: a pipe without a reader, a full disk, a terminal that was closed, or none at all.

Python raises wherever it prints to such a stream, and once more at its exit. Here that is decided in one place, below
every `print`, log handler and progress bar:

- a command that answers at once has nothing left to do. It ends quietly with status 141 when its reader is gone, which
  is what a shell calls 128 + SIGPIPE, and with a line and status 1 when its answer can't be written;
- a run, a sweep, a comparison or a server, for which printing is an aside, says so once on standard error, if there is
  one, and goes on. Its files hold what it would have shown.
"""

from __future__ import annotations

import errno
import io
import logging
import math
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDOUT, STDERR = 1, 2
PATIENCE_SECONDS = 2.0  # for the readers of a process that was asked to stop
CAN_WAIT = os.name == "posix"  # Windows can't select files, nor does it have select.PIPE_BUF
PIECE_BYTES = getattr(select, "PIPE_BUF", 512)

_is_aside = False  # whether what is printed is no more than an aside of something that goes on
_waits_until = math.inf  # the monotonic time after which a reader that has paused is waited for no longer


def keep_going() -> None:
    """Lets this process go on without its screen from here on."""
    global _is_aside
    _is_aside = True


def stop_waiting() -> None:
    """Lets this process end soon although the reader of its output has paused, as a terminal does by Ctrl-S."""
    global _waits_until
    _waits_until = min(_waits_until, time.monotonic() + PATIENCE_SECONDS)


def protect() -> None:
    """Makes the standard streams safe, those that are missing included; streams that somebody has replaced stay."""
    for handle in (0, STDOUT, STDERR):
        try:
            os.fstat(handle)
        except OSError:  # closed: the next file to be opened would land here and be printed into
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            os.set_inheritable(opened, True)
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    for name, handle in (("stdout", STDOUT), ("stderr", STDERR)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif stream is getattr(sys, f"__{name}__") and not isinstance(_raw(stream), _StandardFile):
            safe = _safe(stream, handle)
            setattr(sys, name, safe)
            setattr(sys, f"__{name}__", safe)
            hand_over(stream, safe)


class _StandardFile(io.FileIO):
    """File descriptor 1 or 2, to which a write never fails where the process goes on."""

    is_lost = False  # which has been said

    def write(self, data: ReadableBuffer, /) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left:
                left_seconds = _waits_until - time.monotonic()
                if not CAN_WAIT or select.select([], [self], [], min(max(left_seconds, 0), 0.5))[1]:
                    left = left[super().write(left[:PIECE_BYTES]) or 0 :]  # as much as it takes without blocking
                elif left_seconds <= 0:
                    break
        except OSError as error:
            was_lost, self.is_lost = self.is_lost, True
            if not was_lost and self.fileno() == STDOUT:
                _lose_output(error)
        return size


def _lose_output(error: OSError) -> None:
    """Says that standard output is gone.

    Raises:
        SystemExit: printing is all that this process is for.
    """
    if error.errno == errno.EPIPE and not _is_aside:
        sys.exit(128 + signal.SIGPIPE)
    line = f"standard output can't be written ({error.strerror or error})"
    with suppress(OSError):
        os.write(STDERR, f"{line}{'; continuing without it' if _is_aside else ''}\n".encode())
    if not _is_aside:
        sys.exit(1)


def _safe(stream: io.TextIOWrapper, handle: int) -> io.TextIOWrapper:
    """Returns a stream like a given one, over the same file descriptor."""
    with suppress(OSError):  # what can't be written any more is lost
        stream.flush()
    raw = _StandardFile(handle, "w", closefd=False)
    raw.name = stream.name
    is_unbuffered = isinstance(stream.buffer, io.RawIOBase)  # python -u
    return io.TextIOWrapper(
        raw if is_unbuffered else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="replace" if stream.errors == "strict" else stream.errors,  # an ASCII terminal shows ? for what it lacks
        newline="\n",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _raw(stream: Any) -> Any:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def hand_over(old: TextIO, new: TextIO) -> None:
    """Lets the log handlers that hold a stream write to another one."""
    for logger in [logging.root, *logging.root.manager.loggerDict.values()]:
        for handler in getattr(logger, "handlers", []):
            if isinstance(handler, logging.StreamHandler) and handler.stream is old:
                handler.setStream(new)
