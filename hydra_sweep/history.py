"""What other sweeps have found, told to the sampler of a new one, as far as it fits the new one's space."""

from __future__ import annotations

import csv
import io
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from hydra_sweep import optuna_compat
from hydra_sweep.errors import UserError, counted
from hydra_sweep.plan import Plan
from hydra_sweep.run_record import RunRecord
from hydra_sweep.space import Space
from hydra_sweep.sweep_folder import SweepFolder

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
MAX_SHOWN = 3  # reasons why trials don't fit, and keys that differ


def found(plan: Plan) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the trials that `start_from` names, as a study can keep them, and a line about each sweep.

    Raises:
        UserError: one is no sweep, or can't be read.
    """
    records: list[dict[str, Any]] = []
    lines = []
    for name in plan.settings.start_from:
        folder = SweepFolder(_place(plan, str(name)))
        fitting, line = _of_sweep(plan, folder)
        records += fitting
        lines.append(f"start_from={name}: {line}")
    return records, lines


def as_trials(records: Sequence[Mapping[str, Any]], space: Space) -> list[FrozenTrial]:
    """Returns kept trials as a sampler takes them, with numbers below those of its own sweep."""
    distributions = {parameter.name: parameter.distribution for parameter in space.parameters}
    made = []
    for place, record in enumerate(records):
        if not record["params"].keys() <= distributions.keys():  # the space is another one by now
            continue
        trial = create_trial(
            state=STATES[record["state"]],
            values=record["values"] if record["state"] == "complete" else None,
            params=record["params"],
            distributions={name: distributions[name] for name in record["params"]},
            intermediate_values={step: value for step, value in enumerate(record["reports"], 1) if value is not None},
        )
        optuna_compat.renumber(trial, place - len(records))
        made.append(trial)
    return made


def _place(plan: Plan, name: str) -> Path:
    """Returns the folder of a sweep: one beside the new one, or any."""
    beside = plan.folder.path.parent / name
    return beside if SweepFolder(beside).is_sweep() else Path(name)


def _of_sweep(plan: Plan, folder: SweepFolder) -> tuple[list[dict[str, Any]], str]:
    """Returns the trials of a sweep that fit, and how many those are, and why the others don't.

    Raises:
        UserError: it is no sweep, or can't be read.
    """
    if not folder.is_sweep():
        raise UserError(f"start_from: {folder} holds no sweep")
    try:
        asked = folder.read_request().get("request") or {}
        rows = list(csv.DictReader(io.StringIO(folder.read_table())))
        fixed = {str(key): _text(value) for key, value in (asked.get("config") or {}).items()} | folder.read_choices()
    except (OSError, ValueError) as error:
        raise UserError(f"start_from: {folder} can't be read: {error}") from error
    by_trial: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        if row.get("state") in STATES:
            by_trial.setdefault(row["trial"], []).append(row)
    records, reasons = [], Counter[str]()
    for runs in by_trial.values():
        try:
            records.append(_record(plan, folder, runs, fixed))
        except ValueError as error:
            reasons[str(error)] += 1
    line = f"{len(records)} of {counted(len(by_trial), 'finished trial')} tell the sampler what to expect"
    if reasons:
        told = "; ".join(f"{number} times {reason}" for reason, number in reasons.most_common(MAX_SHOWN))
        line += f"; the others don't fit: {told}"
    differing = _differing(plan, asked.get("config") or {})
    if records and differing:
        line += f"; they had another {', '.join(differing[:MAX_SHOWN])}" + ", ..." * (len(differing) > MAX_SHOWN)
    return records, line


def _record(plan: Plan, folder: SweepFolder, runs: Sequence[dict[str, str]], fixed: dict[str, str]) -> dict[str, Any]:
    """Returns a trial by the rows of its runs.

    Raises:
        ValueError: it is not in the space, or lacks the objective.
    """
    params = plan.space.fitting(fixed | {key: text for key, text in runs[0].items() if text})
    state = runs[0]["state"]
    metrics = {}
    for label in (plan.label(i) for i in range(len(plan.directions))):
        with suppress(KeyError, ValueError):
            metrics[label] = statistics.fmean(float(run[label]) for run in runs)
    if (values := plan.values(metrics)) is None and state == "complete":
        raise ValueError(f"it has no {plan.label(0)}")
    reports: list[float | None] = []
    if plan.are_reports_objectives and len(runs) == 1:
        with suppress(ValueError):
            record = RunRecord.read(folder.run_record(runs[0]["folder"]))
            reports = record.reports if record and record.objective == plan.label(0) else []
    return {"params": params, "state": state, "values": values, "reports": reports}


def _differing(plan: Plan, config: Mapping[str, Any]) -> list[str]:
    """Returns the keys that another sweep had other values of, beside those that are searched here or there."""
    mine = plan.request.get("config") or {}
    return sorted(str(key) for key, value in config.items() if key in mine and mine[key] != value)


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)
