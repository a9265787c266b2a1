"""What ends a sweep before its budget is spent: `hydra.sweeper.stop`, and too many failed trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from optuna.trial import FrozenTrial, TrialState

from hydra_sweep import results
from hydra_sweep.errors import counted
from hydra_sweep.plan import Plan
from hydra_sweep.records import Outcome, is_paused, num_reports
from hydra_sweep.study import StopMode


class Cause(Enum):
    """What may end a sweep early: what is shown, how its workers stop, whether the command did what was asked."""

    SECONDS = "stop.seconds: {:g} s have passed", StopMode.PREEMPT, True
    VALUE = "stop.value: {:g} is reached", StopMode.DRAIN, True
    STEPS = "stop.steps: {} of {} steps are done", StopMode.DRAIN, True
    PATIENCE = "stop.patience: no better trial among the last {}", StopMode.DRAIN, True
    FAILURES = "{} failed, the last: {} (hydra.sweeper.max_failures)", StopMode.PREEMPT, False
    STOP_REQUESTED = "stopped from elsewhere", StopMode.DRAIN, True
    DISK_FULL = "the disk is full: {}; make room and rerun", StopMode.PREEMPT, False
    NO_PROGRESS = "the workers end without getting any further; see the files in {}", StopMode.DRAIN, False
    DATABASE_LOST = (
        "{} was deleted while it ran: {} has what was found, but the sweep can't go on; put it back, or choose another "
        "name",
        StopMode.KILL,
        False,
    )

    def __init__(self, message: str, mode: StopMode, is_success: bool) -> None:
        self.message, self.mode, self.is_success = message, mode, is_success


@dataclass(frozen=True)
class End:
    """That a sweep is to end.

    Args:
        values: for the message.
        mode: how the workers are to stop, if not as usual for the cause.
    """

    cause: Cause
    values: tuple[object, ...] = ()
    mode: StopMode | None = None

    def __str__(self) -> str:
        return self.cause.message.format(*self.values)


def due(plan: Plan, trials: Sequence[FrozenTrial], seconds: float, num_failed: int) -> End | None:
    """Returns the end that a rule asks for now, or None.

    Args:
        trials: within the budget.
        seconds: that all commands of the sweep have been at work.
        num_failed: trials of this command that have failed.
    """
    stop = plan.settings.stop
    if end := too_many_failures(plan, trials, num_failed):
        return end
    if stop.seconds is not None and seconds >= stop.seconds:
        return End(Cause.SECONDS, (stop.seconds,))
    finished = [trial for trial in trials if trial.state.is_finished()]
    best = results.best(plan, finished) if stop.value is not None or stop.patience is not None else []
    if stop.value is not None and best:
        value = best[0].values[0]
        if value >= stop.value if plan.directions[0] == "maximize" else value <= stop.value:
            return End(Cause.VALUE, (stop.value,))
    if stop.steps is not None:
        steps = num_reports(trials)
        if steps >= stop.steps and not is_any_left(plan, trials):
            return End(Cause.STEPS, (steps, stop.steps))
    if stop.patience is not None and best:
        since = sum(_ended_at(trial) > _ended_at(best[0]) for trial in finished)
        if since >= stop.patience:
            return End(Cause.PATIENCE, (since,))
    return None


def is_any_left(plan: Plan, trials: Sequence[FrozenTrial]) -> bool:
    """Whether workers have yet to end paused trials, or to have the best of them run to its end."""
    schedule, _ = plan.schedule()
    return bool(schedule and schedule.pauses) and any(is_paused(t) or t.state is TrialState.RUNNING for t in trials)


def too_many_failures(plan: Plan, trials: Sequence[FrozenTrial], num_failed: int) -> End | None:
    """Returns the end that `max_failures` asks for now, or None."""
    if num_failed < plan.settings.max_failures:
        return None
    failed = [Outcome.of(trial) for trial in trials if trial.state is TrialState.FAIL]
    reason = next(outcome.reason for outcome in reversed(failed) if outcome.same_as is None)
    return End(Cause.FAILURES, (counted(num_failed, "trial"), reason))


def _ended_at(trial: FrozenTrial) -> datetime:
    assert trial.datetime_complete is not None
    return trial.datetime_complete
