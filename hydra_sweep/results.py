"""What a sweep has found: its best trials, and what its files say: sweep.yaml, results.csv, best.yaml."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from hydra_sweep.plan import Goal, Plan, key_of
from hydra_sweep.records import Outcome, is_paused
from hydra_sweep.run_record import PAUSED
from hydra_sweep.storage import hide_password

WORDS = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
STATES = ("complete", "pruned", "failed", "running", PAUSED, "waiting")  # in which they are told
NUM_RUNNERS_UP = 9  # that best.yaml has beside the best


def state_of(trial: FrozenTrial) -> str:
    """Returns what has become of a trial, in a word."""
    return PAUSED if is_paused(trial) else WORDS[trial.state]


def counts(trials: Sequence[FrozenTrial], n_trials: int) -> dict[str, int]:
    """Returns how many trials there are in each state; those of the budget that nobody has begun are waiting."""
    found = Counter(map(state_of, trials))
    found["waiting"] += n_trials - len(trials)
    return {state: found[state] for state in STATES}


def best(plan: Goal, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Returns the complete trials that keep the constraints, best first; of several objectives, the Pareto front."""
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE and trial.values]
    if plan.constraints:
        complete = [t for t in complete if all(v <= 0 for v in plan.violations(Outcome.of(t).metrics()))]
    signs = [-1 if direction == "maximize" else 1 for direction in plan.directions]
    costs = {t.number: tuple(s * v for s, v in zip(signs, t.values, strict=True)) for t in complete}
    complete.sort(key=lambda trial: (costs[trial.number], trial.number))
    if len(signs) == 1:
        return complete
    front: list[FrozenTrial] = []
    for trial in complete:  # sorted by the first objective: only those before can dominate
        cost = costs[trial.number]
        if not any(all(a <= b for a, b in zip(costs[t.number], cost, strict=True)) for t in front):
            front.append(trial)
    return front


def knee(plan: Goal, front: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """Returns the trial of a Pareto front that gives up least: the nearest to the best of each objective.

    Each objective is scaled to the front's own range, as in compromise programming (Zeleny 1973). A front of fewer than
    three has none.
    """
    if len(front) < 3:
        return None
    signs = [-1 if direction == "maximize" else 1 for direction in plan.directions]
    columns = list(zip(*([s * v for s, v in zip(signs, t.values, strict=True)] for t in front), strict=True))
    lows, widths = [min(column) for column in columns], [max(column) - min(column) for column in columns]

    def distance(place: int) -> float:
        return math.hypot(
            *((c[place] - low) / width for c, low, width in zip(columns, lows, widths, strict=True) if width)
        )

    return front[min(range(len(front)), key=distance)]


def sampled_texts(plan: Plan, trial: FrozenTrial) -> dict[str, str]:
    """Returns what was sampled, by key, as overrides have it."""
    return {key_of(text): text.partition("=")[2] for text in plan.overrides_of(trial.params)}


def request(plan: Plan, study_name: str) -> dict[str, Any]:
    """Returns what was asked, resolved, and how to go on."""
    return {
        "resume": plan.resume_command(),
        "study": study_name,
        "storage": hide_password(plan.url),
        "n_trials": plan.n_trials,
        "sampler": plan.sampler_name,
        "pruner": plan.pruner_name,
        "versions": {"optuna": optuna.__version__},
        "request": plan.request,
    }


def rows(plan: Plan, trials: Sequence[FrozenTrial]) -> list[dict[str, Any]]:
    """Returns the rows of results.csv: one for each run, so that repeats are rows of their own."""
    found = []
    for trial in trials:
        outcome = Outcome.of(trial)
        folder = trial.number if outcome.same_as is None else outcome.same_as
        sampled = sampled_texts(plan, trial)
        for number, run in enumerate(outcome.runs or [{}]):
            is_repeated, folds = plan.num_runs > 1, plan.settings.folds
            row: dict[str, Any] = {"trial": trial.number}
            row |= {"repeat": number // (folds or 1)} if is_repeated else {}
            row |= {"fold": number % folds} if folds else {}
            row |= {"state": WORDS[trial.state], "reason": outcome.reason, **run}
            row |= {name: value for name, value in sampled.items() if name not in row}
            row |= {"reports": len(trial.intermediate_values), "attempt": outcome.attempt}
            row |= {"seconds": round(outcome.seconds, 3), "worker": outcome.worker}
            found.append(row | {"folder": f"{folder}/{number}" if is_repeated else str(folder)})
    return found


def write_results(plan: Plan, trials: Sequence[FrozenTrial]) -> None:
    """Raises: UserError if there is no room."""
    table_rows = rows(plan, trials)
    last = ("reports", "attempt", "seconds", "worker", "folder")
    named = dict.fromkeys(name for row in table_rows for name in row) or ("trial", "state", "reason")
    names = [name for name in named if name not in last]
    plan.folder.write_table([*names, *last], table_rows)


def write_best(plan: Plan, trials: Sequence[FrozenTrial]) -> None:
    """Raises: UserError if there is no room."""
    top = best(plan, trials)
    if not top or not any(trial.values for trial in top):
        return
    chosen = top[:1] if len(plan.directions) == 1 else top
    entries = [_best_entry(plan, trial) for trial in chosen]
    content: Any = {"pareto_front": entries}
    if (middle := knee(plan, chosen)) is not None:
        content["knee"] = middle.number
    if len(plan.directions) == 1:
        others = [trial for trial in top[1:] if Outcome.of(trial).same_as is None and trial.params != top[0].params]
        content = entries[0] | {"runners_up": [_runner_up(plan, trial) for trial in others[:NUM_RUNNERS_UP]]}
    official = _official_results(chosen, len(plan.directions) > 1) if plan.settings.optimization_results else None
    plan.folder.write_best(content, official)


def _runner_up(plan: Plan, trial: FrozenTrial) -> dict[str, Any]:
    entry = _best_entry(plan, trial)
    return {name: entry[name] for name in (plan.label(0), "trial", "overrides")}


def _official_results(chosen: Sequence[FrozenTrial], has_several: bool) -> dict[str, Any]:
    """Returns the best as the official sweeper writes it, for programs that read that."""
    if has_several:
        return {"name": "optuna", "solutions": [{"params": t.params, "values": t.values} for t in chosen]}
    return {"name": "optuna", "best_params": chosen[0].params, "best_value": chosen[0].values[0]}


def _best_entry(plan: Plan, trial: FrozenTrial) -> dict[str, Any]:
    values = {plan.label(i): value for i, value in enumerate(trial.values)}
    outcome = Outcome.of(trial)
    folder = plan.folder.trial(trial.number if outcome.same_as is None else outcome.same_as)
    return values | {
        "trial": trial.number,
        "command": best_command(plan, trial),
        "overrides": plan.overrides_of(trial.params),
        "folder": str(folder),
    }


def best_command(plan: Plan, trial: FrozenTrial) -> str:
    """Returns the command that runs a trial's configuration again, with all its seeds."""
    overrides = [*plan.overrides_of(trial.params), *plan.all_runs_overrides()]
    # Of several best ones each has its name, so that all of them can be run.
    return plan.rerun_command(overrides, "-best" if len(plan.directions) == 1 else f"-best-{trial.number}")
