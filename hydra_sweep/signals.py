"""Signals: who handles them, and SIGTERM and Ctrl-C as a flag that a loop reads where it can stop without loss."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from types import FrameType
from typing import Any

from hydra_sweep import streams


class Interrupted(Exception):
    """The run was asked to stop and has written its checkpoint; `signum` says by which signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class Paused(Interrupted):
    """The sweep goes on with other trials, and maybe with this one later; the text says after which step."""

    def __init__(self, step: int) -> None:
        super().__init__(signal.SIGTERM)
        self.args = (f"paused after step {step}",)


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
_is_shared = False  # whether several trials are at work in this process


@contextmanager
def shared() -> Iterator[None]:
    """Lets what is run meanwhile hear of signals by STOPPING: handlers of several trials would displace each other."""
    global _is_shared
    before, _is_shared = _is_shared, True
    try:
        yield
    finally:
        _is_shared = before


@contextmanager
def handling(handlers: Mapping[int, Any]) -> Iterator[dict[int, Any]]:
    """Installs handlers of signals, which what a task forks doesn't inherit. Yields the handlers of before.

    A handler in Python is heard too late by a process that is about to wait for a lock, and a pool that ends its
    processes would wait for it for ever. So forks get the system's own handlers; but not of Ctrl-C, which is the
    sweeper's to pass on. Outside the main thread, where Python allows no handlers, there are none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield {}
        return
    _INSTALLED.append(handlers)
    before = {signum: signal.signal(signum, handler) for signum, handler in handlers.items()}
    try:
        yield before
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        _INSTALLED.pop()


_INSTALLED: list[Mapping[int, Any]] = []  # by the blocks that are open, the outermost first


def _before_fork() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {*chain(*_INSTALLED)})  # a signal at the wrong moment would be lost


def _after_fork() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*chain(*_INSTALLED)})


def _after_fork_in_child() -> None:
    for handlers in _INSTALLED:
        for signum, handler in handlers.items():
            if signal.getsignal(signum) == handler:  # and not one that the task has installed
                signal.signal(signum, signal.SIG_IGN if signum == signal.SIGINT else signal.SIG_DFL)
    _after_fork()
    _INSTALLED.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)


@contextmanager
def catch() -> Iterator[Stop]:
    """Yields a flag that the first SIGTERM or SIGINT sets; the second one acts as it did before.

    No signal is lost: a handler of somebody's own, as a sweep has one, hears the first one, too, and one that came
    after the last check acts when the block is left. Outside the main thread, where Python allows no handlers, the
    flag stays unset.
    """
    if _is_shared:
        yield STOPPING
        return
    stop = Stop()
    before: dict[int, Any] = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}

    def handle(signum: int, frame: FrameType | None) -> None:
        stop.signum = signum
        streams.stop_waiting()
        for number, handler in before.items():
            signal.signal(number, handler)
        if callable(own := before[signum]) and own is not signal.default_int_handler:
            stop.is_heard = True
            own(signum, frame)

    with handling(dict.fromkeys(before, handle)):
        yield stop
    if stop.signum is not None and not stop.is_heard:
        signal.raise_signal(stop.signum)
