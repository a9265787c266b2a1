"""Going on with a sweep: what is recorded against what is asked now, and what of it still means something."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from hydra_sweep import history
from hydra_sweep.errors import UserError, counted
from hydra_sweep.optuna_compat import contains
from hydra_sweep.plan import Plan, differences, without_cells
from hydra_sweep.process import Process
from hydra_sweep.records import OUTCOME, PAUSE, REPORT, Lease, Outcome
from hydra_sweep.storage import hide_password
from hydra_sweep.study import REQUEST, START, WORKER, SweepStudy
from hydra_sweep.sweep_folder import SQLITE, SweepFolder


def open_study(plan: Plan) -> SweepStudy:
    """Returns the sweep's study: a new one, or the recorded one if it asks for the same.

    Raises:
        UserError: the folder holds another sweep, or one whose study is gone.
    """
    try:
        plan.folder.path.mkdir(parents=True, exist_ok=True)
        with FileLock(plan.folder.open_lock):
            if plan.settings.storage is None:
                if not plan.folder.database.exists():
                    refuse_orphans(plan.folder)
                for file in plan.folder.database_files():
                    if not os.access(file, os.W_OK):
                        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
            study = open_checked(plan.url, plan.study_name, plan.settings.storage_seconds)
            if not study.exists:
                refuse_orphans(plan.folder)
                records, lines = history.found(plan)
                study.create(plan.directions, plan.request)
                if records:
                    study.set(START, records)
                print(*lines, sep="\n", end="\n" * bool(lines), flush=True)
            recorded = study.attrs().get(REQUEST, {})
            changes = differences(*without_cells(recorded, plan.request))
            if changes and plan.settings.resume != "force":
                lines = [f"{plan.folder} holds a sweep that asked for something else:"]
                lines += [f"  {change}" for change in changes]
                lines += ["choose another name, or resume=force to go on with it all the same"]
                raise UserError(lines)
            if differences(recorded, plan.request):
                migrate(plan, study)
            study.set_aside(plan.aside(study.trials()))
            name_metrics(study, [plan.label(i) for i in range(len(plan.directions))])
    except OSError as error:
        raise UserError(f"cannot write {error.filename or plan.folder}: {error.strerror or error}") from error
    return study


def name_metrics(study: SweepStudy, names: Sequence[str]) -> None:
    """Tells Optuna's own tools, such as its dashboard, what the objectives are called, unless they know."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        found = optuna.Study(study.name, study.storage)
        if found.metric_names is None:
            found.set_metric_names(list(names))


def refuse_orphans(folder: SweepFolder) -> None:
    """Raises: UserError if trials are here without their study: their numbers would be given out again."""
    if trials := folder.trials():
        raise UserError(
            f"{folder} holds {counted(len(trials), 'trial')} but not the study; choose another name, or move them away"
        )


def migrate(plan: Plan, study: SweepStudy) -> None:
    """Lets a sweep go on that now asks for something else: what was found stays, as far as it still means something."""
    if is_at_work(study):
        raise UserError(f"{plan.folder}: another command is at work on this sweep; stop it first")
    recorded = study.attrs().get(REQUEST, {})
    known = {parameter.name: parameter.distribution for parameter in plan.space.parameters}
    is_same_objective = (recorded.get("objective"), recorded.get("direction")) == (plan.objectives, plan.directions)
    trials = study.trials()

    def is_compatible(trial: FrozenTrial, name: str) -> bool:
        try:
            check_distribution_compatibility(trial.distributions[name], known.get(name, trial.distributions[name]))
        except ValueError:
            return False
        return True

    if is_same_objective and all(is_compatible(trial, name) for trial in trials for name in trial.params):
        study.set(REQUEST, plan.request)
        return

    def convert(trial: FrozenTrial) -> FrozenTrial:
        values = trial.values if is_same_objective else plan.values(Outcome.of(trial).metrics())
        distributions = dict(trial.distributions)
        for name, value in trial.params.items():
            if is_compatible(trial, name):
                continue
            del distributions[name]
            with suppress(ValueError, TypeError):  # it is not among the values that there are now
                if contains(known[name], value):
                    distributions[name] = known[name]
        return copied(trial, values, distributions, reports=is_same_objective)

    study.migrate(plan.directions, plan.request, convert)


def is_at_work(study: SweepStudy) -> bool:
    """Whether another command's workers run trials of a sweep, or are about to."""
    running = [Lease.of(trial) for trial in study.trials() if trial.state is TrialState.RUNNING]
    found = [lease.process for lease in running if lease and lease.process]
    for key, value in study.attrs().items():
        if key.startswith(f"{WORKER}:") and value["host"] == Process.current().host:
            found.append(Process(value["host"], value["pid"], value["born"]))
    return any(process != Process.current() and not process.is_dead() for process in found)


def copied(
    trial: FrozenTrial,
    values: Sequence[float] | None,
    distributions: Mapping[str, BaseDistribution],
    reports: bool,
) -> FrozenTrial:
    """Returns a trial for another study: without what it no longer means, and waiting if it was not over.

    Args:
        distributions: of the parameters that it keeps.
    """
    is_finished = trial.state.is_finished()
    state = trial.state if is_finished else TrialState.WAITING
    has_none = state is TrialState.COMPLETE and values is None  # a grid's trials may do without
    if has_none and not reports:
        state = TrialState.FAIL
    kept = {name: value for name, value in trial.params.items() if name in distributions}
    made = create_trial(
        state=TrialState.WAITING if has_none else state,
        values=list(values) if values is not None and state is not TrialState.FAIL else None,
        params=kept,
        distributions={name: distributions[name] for name in kept},
        user_attrs=trial.user_attrs if reports else _without_reports(trial.user_attrs),
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values if reports else {},
    )
    made.state = state
    if recorded := trial.user_attrs.get(OUTCOME):
        outcome = Outcome(**recorded)
        outcome.crc32 = outcome.sum(made, made.values if state is TrialState.COMPLETE else None)
        made.user_attrs = made.user_attrs | {OUTCOME: asdict(outcome)}
    made.datetime_start, made.datetime_complete = trial.datetime_start, trial.datetime_complete
    return made


def _without_reports(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a trial's attributes without what they say of reports: that it is paused, and what was reported."""
    return {key: value for key, value in attrs.items() if key != PAUSE and key.partition(":")[0] != REPORT}


def open_checked(url: str, name: str, seconds: float) -> SweepStudy:
    """Returns a study whose every trial can be read and is as it was written.

    Raises:
        UserError: it is damaged, or its storage can't be opened.
    """
    try:
        study = SweepStudy(url, name, seconds)
        study.check()
    except UserError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, SQLAlchemyError, StorageInternalError) as error:
        cause = " ".join(str(error.__cause__ or error).split())[:160]
        where = hide_password(url).removeprefix(SQLITE)
        raise UserError(
            f"the study in {where} can't be read ({cause}); put a copy of it back, or choose another name"
        ) from error
    return study
