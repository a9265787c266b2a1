"""Trials side by side in one worker, whose tasks have their steps computed together.

Each trial has a stack of calls of its own, a greenlet, that runs until its task asks for what `together` computes for
all of them at once. One runs at a time, and gives way there alone: nothing needs a lock, and what is one for the whole
process (Hydra's configuration, the log, the working directory, who hears reports) is exchanged with it.
"""

from __future__ import annotations

import contextvars
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from hydra.core.hydra_config import HydraConfig

import hydra_sweep
from hydra_sweep import signals

if TYPE_CHECKING:
    from greenlet import greenlet

A = TypeVar("A")
R = TypeVar("R")
Function = Callable[[Sequence[Any]], Sequence[Any]]


def together(function: Callable[[Sequence[A]], Sequence[R]], argument: A) -> R:
    """Returns what a function makes of an argument.

    It is called with the arguments of all trials that run side by side in this worker and ask for this function, once
    each of them has asked for something; it is to return, or raise, as much for each as if that were alone.
    """
    return function([argument])[0] if _running is None else _running.ask(function, argument)


def are_many() -> bool:
    """Returns whether the trial that asks is one of several in this process."""
    return _running is not None


def give_way() -> None:
    """Lets the trials beside this one go on, if there are any."""
    if _running is not None:
        _running.rest(0.0)


def rest(seconds: float) -> None:
    """Sleeps, while the trials beside this one go on."""
    if _running is None:
        time.sleep(seconds)
    else:
        _running.rest(seconds)


def side_by_side(work: Callable[[], None], number: int) -> None:
    """Calls `work` so many times at once. Returns when all calls have; what one raises ends all."""
    if number == 1:
        work()
        return
    with signals.shared():
        lanes = [_Lane(work) for _ in range(number)]
        try:
            while lanes := [lane for lane in lanes if not lane.calls.dead]:
                now = time.monotonic()
                ready = [lane for lane in lanes if lane.asked is None and lane.rests_until <= now]
                for lane in ready:
                    lane.go_on()
                if asking := [lane for lane in lanes if lane.asked]:
                    _answer(asking)
                elif not ready:
                    time.sleep(max(0.0, min(lane.rests_until for lane in lanes) - now))
        finally:
            for lane in lanes:
                if not lane.calls.dead:
                    lane.end()


class _Lane:
    """The calls of one trial after the other; None is asked while they go on or rest."""

    def __init__(self, work: Callable[[], None]) -> None:
        from greenlet import getcurrent, greenlet

        self.calls: greenlet = greenlet(work)
        self.calls.gr_context = contextvars.copy_context()
        self.hub = getcurrent()
        self.state = _ProcessState.current()
        self.asked: tuple[Function, Any] | None = None
        self.answer: Any = None
        self.error: BaseException | None = None
        self.rests_until = 0.0

    def go_on(self) -> None:
        """Lets the calls go on until they end, ask or rest."""
        self._switch(self.calls.switch)

    def end(self) -> None:
        """Ends the calls as a second Ctrl-C would."""
        with suppress(KeyboardInterrupt):
            self._switch(lambda: self.calls.throw(KeyboardInterrupt))

    def _switch(self, switch: Callable[[], Any]) -> None:
        global _running
        before, _running = _ProcessState.current(), self
        self.state.restore()
        try:
            switch()
        finally:
            _running = None
            self.state = _ProcessState.current()
            before.restore()

    def ask(self, function: Callable[[Sequence[A]], Sequence[R]], argument: A) -> R:
        self.asked = function, argument
        self.hub.switch()
        error, self.error = self.error, None
        if error:
            raise error
        answer, self.answer = self.answer, None
        return answer  # type: ignore[no-any-return]

    def rest(self, seconds: float) -> None:
        self.rests_until = time.monotonic() + seconds
        self.hub.switch()


_running: _Lane | None = None  # whose turn it is


def _forget() -> None:
    global _running
    _running = None


if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks
    os.register_at_fork(after_in_child=_forget)  # what a task forks is not the trial


def _answer(lanes: Sequence[_Lane]) -> None:
    """Computes what is asked for, by each function once."""
    for function in {lane.asked[0]: None for lane in lanes if lane.asked}:
        asking = [(lane, lane.asked[1]) for lane in lanes if lane.asked and lane.asked[0] is function]
        try:
            answers = function([argument for _, argument in asking])
            for (lane, _), answer in zip(asking, answers, strict=True):
                lane.answer, lane.asked = answer, None
        except Exception as error:
            for lane, _ in asking:
                lane.error, lane.asked = error, None


class _ProcessState(NamedTuple):
    """What Hydra and a trial set for the whole process."""

    listener: hydra_sweep.Listener | None
    config: Any
    handlers: list[logging.Handler]
    level: int
    folder: str

    @classmethod
    def current(cls) -> _ProcessState:
        root = logging.getLogger()
        config = HydraConfig.instance().cfg
        return cls(hydra_sweep.listener(), config, [*root.handlers], root.level, os.getcwd())

    def restore(self) -> None:
        hydra_sweep.listen(self.listener)
        HydraConfig.instance().cfg = self.config
        root = logging.getLogger()
        root.handlers[:] = self.handlers
        if root.level != self.level:
            root.setLevel(self.level)
        if os.getcwd() != self.folder:
            os.chdir(self.folder)
