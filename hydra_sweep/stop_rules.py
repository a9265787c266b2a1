"""What ends a sweep before its budget is spent: `hydra.sweeper.stop`, and too many failed trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

from hydra_sweep import progress
from hydra_sweep.errors import counted
from hydra_sweep.plan import Plan
from hydra_sweep.study import Outcome, StopMode


@dataclass(frozen=True)
class End:
    """That a sweep is to end.

    Args:
        why: as it is shown.
        mode: how its workers are to stop.
        is_success: whether the command has done what was asked of it.
    """

    why: str
    mode: StopMode
    is_success: bool


def due(plan: Plan, trials: Sequence[FrozenTrial], seconds: float, num_failed: int) -> End | None:
    """Returns the end that a rule asks for now, or None.

    Args:
        trials: within the budget.
        seconds: since the command began.
        num_failed: trials of this command that have failed.
    """
    stop = plan.settings.stop
    if end := too_many_failures(plan, trials, num_failed):
        return end
    if stop.seconds is not None and seconds >= stop.seconds:
        return End(f"stop.seconds: {stop.seconds:g} s have passed", StopMode.PREEMPT, True)
    finished = [trial for trial in trials if trial.state.is_finished()]
    best = progress.best(plan, finished) if stop.value is not None or stop.patience is not None else []
    if stop.value is not None and best:
        value = best[0].values[0]
        if value >= stop.value if plan.directions[0] == "maximize" else value <= stop.value:
            return End(f"stop.value: {stop.value:g} is reached", StopMode.DRAIN, True)
    if stop.steps is not None:
        steps = sum(len(trial.intermediate_values) for trial in trials)
        if steps >= stop.steps:
            return End(f"stop.steps: {steps} of {stop.steps} steps are done", StopMode.DRAIN, True)
    if stop.patience is not None and best:
        since = sum(_ended_at(trial) > _ended_at(best[0]) for trial in finished)
        if since >= stop.patience:
            return End(f"stop.patience: no better trial among the last {since}", StopMode.DRAIN, True)
    return None


def too_many_failures(plan: Plan, trials: Sequence[FrozenTrial], num_failed: int) -> End | None:
    """Returns the end that `max_failures` asks for now, or None."""
    if num_failed < plan.settings.max_failures:
        return None
    failed = [Outcome.of(trial) for trial in trials if trial.state is TrialState.FAIL]
    reason = next(outcome.reason for outcome in reversed(failed) if outcome.same_as is None)
    why = f"{counted(num_failed, 'trial')} failed, the last: {reason} (hydra.sweeper.max_failures)"
    return End(why, StopMode.PREEMPT, False)


def _ended_at(trial: FrozenTrial) -> datetime:
    assert trial.datetime_complete is not None
    return trial.datetime_complete
