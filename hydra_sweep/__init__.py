"""Grids and searches through Hydra's multirun: what a task function needs to know of them.

A task reports as it goes and asks whether to stop; it returns its objective (a number, a sequence of numbers, or a
mapping of metrics that `hydra.sweeper.objective` selects from). Outside a sweep all of this does nothing::

    @hydra.main(version_base="1.3", config_name="config")
    def task(cfg):
        for epoch in range(cfg.epochs):
            loss = ...
            if report(loss):
                raise Pruned
        return loss
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Pruned(Exception):
    """Raised by a task that stops because `report` said so, or because going on is pointless.

    Args:
        reason: is kept in the trial's row.
        metrics: as a complete task would return them, as far as they are known.
    """

    def __init__(self, reason: str = "", metrics: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.metrics = dict(metrics or {})


class Listener(Protocol):
    """The running trial, as a task sees it."""

    is_search: bool
    is_overtime: bool

    def report(self, value: float | Mapping[str, float], num_steps: int | None = None) -> bool: ...


_listener: Listener | None = None


def listen(listener: Listener | None) -> None:
    """Sets who hears `report` in this process."""
    global _listener
    _listener = listener


def listener() -> Listener | None:
    """Returns who hears `report` in this process."""
    return _listener


def report(value: float | Mapping[str, float], num_steps: int | None = None) -> bool:
    """Reports the objective, or a mapping that holds it, after each step. Returns whether the trial is to be pruned.

    Args:
        num_steps: how many steps there will be if nothing stops them early: what is shown meanwhile tells it.

    Raises:
        Interrupted: the sweep was asked to stop; let it pass.
    """
    return _listener is not None and _listener.report(value, num_steps)


def is_overtime() -> bool:
    """Returns whether a trial is to end for `trial_seconds`: what it has reached counts."""
    return _listener is not None and _listener.is_overtime


def is_search() -> bool:
    """Returns whether this is a trial that a choice will be made from, so that it must not see test data."""
    return _listener is not None and _listener.is_search
