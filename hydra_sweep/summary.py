"""A sweep in words: what it would do, each trial that ends, what came of all."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Sequence
from importlib.util import find_spec

from optuna.trial import FrozenTrial, TrialState

from hydra_sweep.errors import counted
from hydra_sweep.plan import Plan, key_of
from hydra_sweep.quantities import duration, number_text, short_number
from hydra_sweep.records import Outcome
from hydra_sweep.results import WORDS, best, best_command, counts, knee, sampled_texts
from hydra_sweep.run_record import PAUSED
from hydra_sweep.storage import hide_password
from hydra_sweep.study import SweepStudy
from hydra_sweep.text_table import table


def headline(plan: Plan, num_workers: int) -> str:
    """Returns the line that begins a sweep."""
    workers = counted(num_workers, "worker")
    if plan.settings.trial_overrides:
        workers += f" with {' '.join(plan.settings.trial_overrides)}"
    return f"{plan.folder}: {_kind(plan)}, {counted(plan.n_trials, 'trial')}, {workers}"


def _kind(plan: Plan) -> str:
    if plan.is_grid:
        return "grid"
    at_random = f", {100 * plan.random_share:.0f} % drawn at random" if plan.random_share else ""
    return f"search by {plan.sampler_name}, pruner {plan.pruner_name}{at_random}"


def dry_run(plan: Plan) -> list[str]:
    """Returns what a sweep would do."""
    total = plan.space.num_cells
    cells = f", {total} combinations" if total is not None else ""
    lines = [f"{_kind(plan)}{cells}; nothing is run"]
    lines += [f"  {text}" for text in plan.space.describe()]
    always = [text for text in plan.overrides if key_of(text) not in plan.settings.sweep_keys]
    lines += [f"always    {' '.join(always)}"] if always else []
    goals = [f"{direction} {plan.label(i)}" for i, direction in enumerate(plan.directions)]
    lines += [f"objective {', '.join(goals)}"] if not plan.is_grid else []
    lines += [f"subject to {', '.join(map(str, plan.constraints))}"] if plan.constraints else []
    lines += [f"first     {' '.join(plan.overrides_of(guess))}" for guess in plan.queue]
    return lines


def line(plan: Plan, trial: FrozenTrial, is_best: bool) -> str:
    """Returns a finished trial as one line."""
    outcome = Outcome.of(trial)
    values = [f"{plan.label(i)} {number_text(value)}" for i, value in enumerate(trial.values or [])]
    if trial.state is TrialState.PRUNED:
        values.append(f"after {counted(len(trial.intermediate_values), 'report')}")
    width = len(str(plan.n_trials - 1))
    sampled = [f"{key}={short_number(text)}" for key, text in sampled_texts(plan, trial).items()]
    parts = [f"trial {trial.number:>{width}} {WORDS[trial.state]:<8}", *values, *sampled]
    parts.append(f"{outcome.seconds:.1f} s")
    parts += [f"({outcome.reason})"] if outcome.reason else []
    return "  ".join(parts) + ("  best so far" if is_best else "")


def paused_line(plan: Plan, trial: FrozenTrial) -> str:
    """Returns a trial that its schedule has paused as one line, with what it was paused for."""
    step = max(trial.intermediate_values, default=0)
    value = f"{next(iter(plan.pruned_by))} {number_text(trial.intermediate_values[step])}" if step else ""
    width = len(str(plan.n_trials - 1))
    sampled = [f"{key}={short_number(text)}" for key, text in sampled_texts(plan, trial).items()]
    parts = [f"trial {trial.number:>{width}} {PAUSED:<8}", value, f"after {counted(step, 'report')}", *sampled]
    return "  ".join(filter(None, parts))


def summary(plan: Plan, study: SweepStudy, signum: int | None, why: str | None) -> list[str]:
    """Returns the lines that end a sweep."""
    trials = study.within_budget(plan.n_trials)
    lines = [""]
    top = best(plan, trials)
    if top:
        several, num_ended = len(plan.directions) > 1, sum(trial.state.is_finished() for trial in trials)
        lines += [
            f"Pareto front, {counted(len(top), 'trial')}:" if several else f"best of {counted(num_ended, 'trial')}:"
        ]
        lines += _table(plan, top[:10])
        lines += [f"... and {len(top) - 10} more in best.yaml"] if several and len(top) > 10 else []
    states = ", ".join(f"{number} {state}" for state, number in counts(trials, plan.n_trials).items() if number)
    lines += [*([""] if top else []), f"{counted(plan.n_trials, 'trial')}: {states}"]
    lines += [saved] if (saved := saved_by_pruning(trials)) else []
    lines += [f"folder   {plan.folder}", f"table    {plan.folder.table}"]
    if top and top[0].values:
        lines += [f"best     {best_command(plan, top[0])}"]
    if len(plan.directions) > 1 and (middle := knee(plan, top)):
        lines += [
            f"knee     {best_command(plan, middle)}  (trial {middle.number}, which gives up least of any objective)"
        ]
    lines += [f"resume   {plan.resume_command()}"]
    if plan.settings.storage is None:
        missing = "" if find_spec("optuna_dashboard") else "  (pip install optuna-dashboard)"
        lines += [f"look     optuna-dashboard {hide_password(plan.url)}{missing}"]
    if why:
        lines += [f"ended early: {why}"]
    elif signum is not None:
        lines += ["stopped; the resume line goes on"]
    return lines


def _table(plan: Plan, trials: Sequence[FrozenTrial]) -> list[str]:
    """Returns the trials as a table, keys without their group where that is clear."""
    keys = dict.fromkeys(
        [p.key for p in plan.space.parameters] + [key for t in trials for key in sampled_texts(plan, t)]
    )
    leaves = [key.rpartition(".")[2] for key in keys]
    taken = {"trial", "seconds", *(plan.label(i) for i in range(len(plan.directions)))}
    names = {
        key: leaf if leaves.count(leaf) == 1 and leaf not in taken else key
        for key, leaf in zip(keys, leaves, strict=True)
    }
    cells = []
    for trial in trials:
        values = {plan.label(i): value for i, value in enumerate(trial.values or [])}
        sampled = sampled_texts(plan, trial)
        shown = {name: short_number(sampled[key]) if key in sampled else None for key, name in names.items()}
        cells.append({"trial": trial.number, **values, **shown, "seconds": round(Outcome.of(trial).seconds, 1)})
    found = dict.fromkeys(name for row in cells for name in row)
    columns = {name: [row.get(name) for row in cells] for name in found}
    filled = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    varying = [name for name, values in filled.items() if len(set(values)) > 1]
    optional = [name for name in [*varying, *filled] if name in [*names.values(), "seconds"]]
    return table(filled, shutil.get_terminal_size((120, 24)).columns, names.values(), list(dict.fromkeys(optional)))


def saved_by_pruning(trials: Sequence[FrozenTrial]) -> str | None:
    """Returns what pruning has saved, by the reports and the pace of the trials."""
    full = [len(t.intermediate_values) for t in trials if t.state is TrialState.COMPLETE and t.intermediate_values]
    pruned = [t for t in trials if t.state is TrialState.PRUNED and t.intermediate_values]
    if not full or not pruned:
        return None
    steps = statistics.median(full)
    seconds = done = whole = 0.0
    for trial in trials:
        done += len(trial.intermediate_values)
        whole += len(trial.intermediate_values)
    for trial in pruned:
        missing = max(0.0, steps - len(trial.intermediate_values))
        whole += missing
        seconds += missing * Outcome.of(trial).seconds / len(trial.intermediate_values)
    share = 100 * (1 - done / whole) if whole else 0
    return f"pruning saved about {duration(seconds)} ({share:.0f} % of the steps)"


def finished_text(ended: int, total: int) -> str:
    return f"{ended} of {counted(total, 'trial')} finished"
