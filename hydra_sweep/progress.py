"""What people see of a sweep: its lines, its table, and the files in its folder."""

from __future__ import annotations

import math
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from hydra_sweep.errors import UserError, counted
from hydra_sweep.plan import Goal, Plan, key_of
from hydra_sweep.storage import hide_password
from hydra_sweep.study import Outcome, SweepStudy
from hydra_sweep.text_table import table

WORDS = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
NUM_RUNNERS_UP = 9  # that best.yaml has beside the best
BAR_FORMAT = "{n_fmt}/{total_fmt} {unit}, {remaining} left{postfix} |{bar}|"  # cut at the right: what matters is first


class ProgressDisplay:
    """The live line of a terminal, or a line for each trial that ends; and the files, kept current with it."""

    def __init__(self, plan: Plan, study: SweepStudy, shown: set[int], num_workers: int) -> None:
        self.plan, self.study, self.shown = plan, study, set(shown)
        self.interval = 0.5  # s between two looks at the study; grows with what a look costs
        self.written = -1
        self.is_live = sys.stderr.isatty()
        kind = "grid" if plan.is_grid else f"search by {plan.sampler_name}, pruner {plan.pruner_name}"
        workers = counted(num_workers, "worker")
        if plan.settings.trial_overrides:
            workers += f" with {' '.join(plan.settings.trial_overrides)}"
        print(f"{plan.folder}: {kind}, {counted(plan.n_trials, 'trial')}, {workers}", flush=True)
        if shown:
            print(f"resuming: {finished_text(len(shown), plan.n_trials)}", flush=True)
        self.bar = tqdm(
            total=plan.n_trials,
            initial=len(shown),
            unit=f"trial{'s' * (plan.n_trials != 1)}",
            disable=not self.is_live,
            leave=False,
            smoothing=0,
            dynamic_ncols=True,
            bar_format=BAR_FORMAT,
        )

    def say(self, text: str) -> None:
        tqdm.write(f"sweep: {text}", file=sys.stderr)

    def update(self) -> None:
        """Shows what has changed, and writes the files if trials have ended."""
        began = time.monotonic()
        trials = self.study.within_budget(self.plan.n_trials)
        ended = [trial for trial in trials if trial.state.is_finished()]
        if len(ended) != self.written:
            self.written = len(ended)
            try:
                write_results(self.plan, ended)
                write_best(self.plan, self.study, ended)
            except UserError as error:
                self.say(str(error))
        top = best(self.plan, ended)
        for trial in ended:
            if trial.number not in self.shown:
                self.shown.add(trial.number)
                if not self.is_live:
                    print(line(self.plan, trial, bool(top) and top[0].number == trial.number), flush=True)
        if self.is_live:
            count = {state: sum(trial.state is state for trial in trials) for state in WORDS}
            shown = (TrialState.FAIL, TrialState.RUNNING, TrialState.PRUNED)
            parts = [f"{count[s]} {WORDS[s]}" for s in shown if count[s]]
            if top and len(self.plan.directions) == 1 and top[0].value is not None:
                parts.insert(0, f"best {number_text(top[0].value)} (trial {top[0].number})")
            self.bar.n = len(ended)
            self.bar.set_postfix_str(", ".join(parts), refresh=True)
        self.interval = max(0.5, 20 * (time.monotonic() - began))

    def summary(self, signum: int | None, why: str | None) -> None:
        """Shows what came of the sweep, and how to go on with it, if that is wanted."""
        self.bar.close()
        if self.plan.settings.summary or why:
            print("\n".join(summary(self.plan, self.study, signum, why)), flush=True)


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
    names = [name for name in dict.fromkeys(name for row in table_rows for name in row) if name not in last]
    plan.folder.write_table([*names, *last], table_rows)


def write_best(plan: Plan, study: SweepStudy, trials: Sequence[FrozenTrial]) -> None:
    """Raises: UserError if there is no room."""
    top = best(plan, trials)
    if not top or not any(trial.values for trial in top):
        return
    chosen = top[:1] if len(plan.directions) == 1 else top
    entries = [_best_entry(plan, trial) for trial in chosen]
    content: Any = {"pareto_front": entries}
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


def summary(plan: Plan, study: SweepStudy, signum: int | None, why: str | None) -> list[str]:
    """Returns the lines that end a sweep."""
    trials = study.within_budget(plan.n_trials)
    lines = [""]
    top = best(plan, trials)
    if top:
        several = len(plan.directions) > 1
        lines += [
            f"Pareto front, {counted(len(top), 'trial')}:" if several else f"best of {counted(len(trials), 'trial')}:"
        ]
        lines += _table(plan, top[:10])
        lines += [f"... and {len(top) - 10} more in best.yaml"] if several and len(top) > 10 else []
    states = {WORDS[s]: sum(trial.state is s for trial in trials) for s in WORDS}
    states["waiting"] += plan.n_trials - len(trials)
    counts = [f"{n} {word}" for word, n in states.items() if n]
    lines += [*([""] if top else []), f"{counted(plan.n_trials, 'trial')}: {', '.join(counts)}"]
    lines += [saved] if (saved := saved_by_pruning(trials)) else []
    lines += [f"folder   {plan.folder}", f"table    {plan.folder.table}"]
    if top and top[0].values:
        lines += [f"best     {best_command(plan, top[0])}"]
    lines += [f"resume   {plan.resume_command()}"]
    if plan.settings.storage is None:
        lines += [f"look     optuna-dashboard {hide_password(plan.url)}"]
    if why:
        lines += [f"ended early: {why}"]
    elif signum is not None:
        lines += ["stopped; the resume line goes on"]
    return lines


def sampled_texts(plan: Plan, trial: FrozenTrial) -> dict[str, str]:
    """Returns what was sampled, by key, as overrides have it."""
    return {key_of(text): text.partition("=")[2] for text in plan.overrides_of(trial.params)}


def short_number(text: str) -> str:
    """Returns a long number as four digits; any other text stays."""
    try:
        return f"{float(text):.4g}" if len(text) > 8 else text
    except ValueError:
        return text


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


def dry_run(plan: Plan) -> list[str]:
    """Returns what a sweep would do."""
    total = plan.space.num_cells
    kind = "grid" if plan.is_grid else f"search by {plan.sampler_name}, pruner {plan.pruner_name}"
    cells = f", {total} combinations" if total is not None else ""
    lines = [f"{kind}{cells}; nothing is run"]
    lines += [f"  {text}" for text in plan.space.describe()]
    always = [text for text in plan.overrides if key_of(text) not in plan.settings.sweep_keys]
    lines += [f"always    {' '.join(always)}"] if always else []
    goals = [f"{direction} {plan.label(i)}" for i, direction in enumerate(plan.directions)]
    lines += [f"objective {', '.join(goals)}"] if not plan.is_grid else []
    lines += [f"subject to {', '.join(map(str, plan.constraints))}"] if plan.constraints else []
    lines += [f"first     {' '.join(plan.overrides_of(guess))}" for guess in plan.queue]
    return lines


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


def finished_text(ended: int, total: int) -> str:
    return f"{ended} of {counted(total, 'trial')} finished"


def duration(seconds: float) -> str:
    """Returns a time in its two largest units: 45 s, 12 min 5 s, 3 h 20 min, 2 d 4 h."""
    left = round(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or parts:
            parts.append(f"{number} {unit}" if number else "")
    return " ".join(part for part in parts[:2] if part) or "0 s"


def number_text(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else str(value)
