"""What a call of an app's task came to: named numbers, or why there are none."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from numbers import Integral, Real
from typing import Any

import optuna

import hydra_sweep
from hydra_sweep.errors import describe_error, escape_unprintable, safe_str
from hydra_sweep.plan import Plan
from hydra_sweep.signals import STOPPING, Interrupted


class Failed(Exception):
    """The task raised, or its return is no objective; the text says why, in one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(safe_str(reason))


class DiskFullError(Exception):
    """The disk is full: the trial is none the worse for it, and the next one would fare no better."""


def outcome(call: Callable[[], Any]) -> Any:
    """Returns what a call returns, or that it was pruned.

    Raises:
        Failed: it raised, or left.
        Interrupted: it was stopped.
        DiskFullError: the disk is full.
    """
    try:
        returned = call()
    except Interrupted:
        raise
    except BaseException as error:  # SystemExit and the like pass Hydra; composing, making the folder
        if isinstance(error, KeyboardInterrupt) and STOPPING.signum is not None:
            raise  # the second Ctrl-C; a first one raises nothing
        returned = error
    if isinstance(returned, Interrupted):
        raise returned
    if isinstance(returned, optuna.TrialPruned):
        return hydra_sweep.Pruned(safe_str(returned))
    if isinstance(returned, BaseException) and not isinstance(returned, hydra_sweep.Pruned):
        raise (
            DiskFullError(describe_error(returned))
            if is_for_lack_of_room(returned)
            else Failed(describe_error(returned))
        ) from returned
    return returned


def metrics(plan: Plan, returned: Any) -> dict[str, float]:
    """Returns what a task returned as named numbers.

    Raises:
        Failed: an objective is missing, or is not a finite number.
    """
    try:
        return _metrics(plan, returned)
    except Failed:
        raise
    except Exception as error:  # what it returned may have any methods
        raise Failed(f"a {type(returned).__name__} that can't be read: {describe_error(error)}") from error


def _metrics(plan: Plan, returned: Any) -> dict[str, float]:
    labels = [plan.label(i) for i in range(len(plan.directions))]
    if isinstance(returned, Mapping):
        found = numbers(returned)
        given = dict(returned)
        if not plan.space.is_search and not plan.objectives:
            return found
    else:
        several = isinstance(returned, Sequence) and not isinstance(returned, (str, bytes))
        values = list(returned) if several else [returned]
        if returned is None and plan.is_grid:
            return {}
        if len(values) != len(labels):
            wanted = f"{len(labels)} objective{'s' * (len(labels) > 1)}"
            raise Failed(f"the task must return {wanted}, got {len(values)}")
        given = dict(zip(labels, values, strict=True))
        found = numbers(given)
    for label in labels:
        if label not in given:
            known = safe_str(", ".join(map(str, given))) or "no metrics"
            hint = "" if plan.objectives or not given else "; choose with hydra.sweeper.objective=NAME"
            raise Failed(f"the task returned no {label}; there are {known}{hint}")
        if label not in found:
            raise Failed(f"{label} must be a number, got {_shown(given[label])}")
        if not math.isfinite(found[label]):
            raise Failed(f"{label} is {found[label]}")
    return found


def numbers(metrics: Mapping[Any, Any]) -> dict[str, float]:
    """Returns the metrics that are real numbers, numpy's and torch's scalars included."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        with suppress(Exception):  # an array of several numbers, or a number too large
            number = value.item() if hasattr(value, "item") else value
            if isinstance(number, Integral) and abs(int(number)) < 2**53:  # exact as a float, too
                found[escape_unprintable(str(name))] = int(number)
            elif isinstance(number, Real):
                found[escape_unprintable(str(name))] = float(number)
    return found


def _shown(value: Any) -> str:
    """Returns a value's type and the beginning of its text."""
    return f"{type(value).__name__} {safe_str(value, 40)}".rstrip()


def is_for_lack_of_room(error: BaseException | None) -> bool:
    """Whether a full disk, or a quota, is behind it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
