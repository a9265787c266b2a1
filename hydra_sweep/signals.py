"""SIGTERM and Ctrl-C as a flag that a loop reads where it can stop without losing anything."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from hydra_sweep import streams


class Interrupted(Exception):
    """The run was asked to stop and has written its checkpoint; `signum` says by which signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class Stop:
    """The flag: `signum` is the signal that came, or None."""

    signum: int | None = None
    is_heard = False  # somebody knows of it but this flag

    def check(self) -> None:
        """Raises: Interrupted if a signal has come."""
        if self.signum is not None:
            self.is_heard = True
            raise Interrupted(self.signum)


STOPPING = Stop()  # set by a signal in this process, be it a worker's or the sweeper's


@contextmanager
def catch() -> Iterator[Stop]:
    """Yields a flag that the first SIGTERM or SIGINT sets; the second one acts as it did before.

    No signal is lost: a handler of somebody's own, as a sweep has one, hears the first one, too, and one that came
    after the last check acts when the block is left. Outside the main thread, where Python allows no handlers, the
    flag stays unset.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: dict[int, Any] = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}

    def handle(signum: int, frame: FrameType | None) -> None:
        stop.signum = signum
        streams.stop_waiting()
        for number, handler in before.items():
            signal.signal(number, handler)
        if callable(own := before[signum]) and own is not signal.default_int_handler:
            stop.is_heard = True
            own(signum, frame)

    for signum in before:
        signal.signal(signum, handle)
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if stop.signum is not None and not stop.is_heard:
        signal.raise_signal(stop.signum)
