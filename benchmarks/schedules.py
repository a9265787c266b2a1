"""Searches replayed on recorded learning curves: which pruner, which sampler, and are the presets a good beginning?

    python benchmarks/schedules.py                    three hours on two cores; it goes on
    python benchmarks/schedules.py --seeds 20 --only asha none     fewer, for a look
    python benchmarks/schedules.py --table            no replaying: the table and the figure of what is in results/

Everything that decides is what decides in a real search: the study, its claims and pauses, the schedules, the samplers.
What trains is not: a worker's clock goes on by what an epoch of the configuration takes (results/curves.npz, written
by benchmarks/curves.py), and reports are the recorded ones. What a sampler proposes is answered by the recorded
configuration that is nearest to it, among those with the same cell and optimizer.

All have the same time: what forty trials take on four workers if nothing is pruned. A search with the regret r has
found a network whose validation accuracy is r points below that of the best recorded one. Leaves
results/schedules.json, .md and .png.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import math
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import optuna
from bench import RESULTS
from hydra._internal.utils import get_args_parser
from optuna.samplers._tpe import _truncnorm
from optuna.trial import TrialState
from scipy.special import log_ndtr
from tqdm import tqdm

from hydra_sweep.plan import Plan
from hydra_sweep.process import Process
from hydra_sweep.records import Curves as RecordedCurves
from hydra_sweep.records import Outcome
from hydra_sweep.schedules import Budget, Move
from hydra_sweep.signals import Paused
from hydra_sweep.study import SweepStudy
from hydra_sweep.trial import RunningTrial
from rnnexp.command_line import CommandLine
from rnnexp.schema.config import register_schemas
from rnnexp.schema.tree import CONFIG_DIR

CURVES, FILE = RESULTS / "curves.npz", RESULTS / "schedules.json"
NUM_WORKERS, NUM_FULL = 4, 40
START_SECONDS = 0.5  # that a trial takes to begin, or to be gone on with
WITHIN = (0.01, 0.003)  # of the best accuracy
ONE_EPOCH_SHARE = 0.15  # of the time that first epochs take with one_epoch: the best of 0.15, 0.25, ..., 0.55
PRUNERS: dict[str, dict[str, Any] | None] = {  # None: as hydra/sweeper/pruner= has it
    "none": None,
    "median": None,
    "Optuna's halving": {"_target_": "optuna.pruners.SuccessiveHalvingPruner", "min_resource": 1},
    "Optuna's hyperband": {"_target_": "optuna.pruners.HyperbandPruner", "max_resource": 10},
    "stopping": None,
    "asha": None,
    "hyperband": None,
    "pasha": None,
    "one_epoch": None,
}
SAMPLERS = {
    "random": ["hydra/sweeper/sampler=random"],
    "tpe one by one": ["hydra/sweeper/sampler=tpe", "hydra.sweeper.sampler.multivariate=false"],
    "tpe": ["hydra/sweeper/sampler=tpe"],
}
STARTS = {"": [], "presets first": ["hydra.sweeper.enqueue_defaults=true"]}


@dataclass(frozen=True)
class Arm:
    """A way to search."""

    pruner: str
    sampler: str
    start: str

    @property
    def name(self) -> str:
        return ", ".join(filter(None, (self.pruner, self.sampler, self.start)))


ARMS = [Arm(pruner, sampler, start) for start in STARTS for sampler in SAMPLERS for pruner in PRUNERS]


class Curves:
    """The recorded configurations, and which of them answers for another one."""

    def __init__(self) -> None:
        with np.load(CURVES) as file:
            self.values, self.seconds = file["values"].astype(float), file["seconds"].astype(float)
            self.params: list[dict[str, Any]] = json.loads(str(file["params"]))
        self.num_steps = self.values.shape[1]
        self.best = float(np.nanmax(self.values))
        self.groups: dict[Any, list[int]] = {}
        for place, params in enumerate(self.params):
            self.groups.setdefault(kind(params), []).append(place)
        self.points = [point(params) for params in self.params]

    @property
    def budget(self) -> float:
        """The time that NUM_FULL trials take on NUM_WORKERS workers, in s."""
        return (self.whole + START_SECONDS) * NUM_FULL / NUM_WORKERS

    @property
    def whole(self) -> float:
        """The time that a trial takes that nobody stops, in s, on average."""
        return float(np.mean(self.seconds * np.isfinite(self.values).sum(1)))

    def nearest(self, params: dict[str, Any]) -> int:
        mine = point(params)
        return min(self.groups[kind(params)], key=lambda place: math.dist(self.points[place], mine))


def kind(params: dict[str, Any]) -> tuple[Any, Any]:
    return params["model"], params["optim"]


RANGES = {"adadelta": (3e-2, 3.0), "adam": (1e-4, 3e-2), "sgd": (1e-3, 1.0)}  # of the learning rate, as in the space


def point(params: dict[str, Any]) -> tuple[float, ...]:
    """Returns where a configuration is among those of its kind; what matters most counts most."""
    named = {name.partition(" @ ")[0]: value for name, value in params.items()}
    low, high = RANGES[named["optim"]]
    return (
        4 * math.log(named["optim.lr"] / low) / math.log(high / low),
        2 * math.log(named["model.hidden_size"] / 32) / math.log(8),
        (named["model.num_layers"] - 1) / 2,
        math.log2(named["train.batch_size"] / 32) / 3,
        named.get("optim.momentum", named.get("optim.rho", 0.0)),
        named.get("model.dropout", 0.0),
        float(named.get("model.nonlinearity") == "relu"),
    )


class ReplayStudy(SweepStudy):
    """A sweep's study in this process's memory."""

    def __init__(self, plan: Plan) -> None:
        self.url, self.base, self.name = "", plan.study_name, plan.study_name
        self.storage = optuna.storages.InMemoryStorage()
        self.start_lock, self.curves = nullcontext(), RecordedCurves()
        self._create(self.name, plan.directions, {}, [])


class Silent:
    """In place of a run's record on the disk."""

    def note(self, *_: Any) -> None:
        pass


@cache
def curves() -> Curves:
    return Curves()


@cache
def plan_of(arm: Arm) -> Plan:
    """Returns the plan that a command line makes."""
    register_schemas()
    pruner = arm.pruner if PRUNERS[arm.pruner] is None else "none"
    budget = num_begun(arm)
    words = ["-m", "search=default", f"n_trials={budget}", f"hydra/sweeper/pruner={pruner}", "name=replay"]
    typed = CommandLine(get_args_parser().parse_args([*words, *SAMPLERS[arm.sampler], *STARTS[arm.start]]), CONFIG_DIR)
    if problems := typed.problems():
        sys.exit("\n".join(problems))
    return replace(typed.plan, pruner_name=arm.pruner, pruner_config=PRUNERS[arm.pruner] or typed.plan.pruner_config)


def num_begun(arm: Arm) -> int:
    """Returns a number of trials that the time can't be too long for; of one_epoch, the one that suits it best."""
    found = curves()
    first = float(np.mean(found.seconds)) + START_SECONDS
    room = found.budget * NUM_WORKERS
    return int(room / first * (ONE_EPOCH_SHARE if arm.pruner == "one_epoch" else 1))


def replay(task: tuple[Arm, int]) -> list[tuple[float, float]]:
    """Returns when a search found something better, in s, and its validation accuracy."""
    arm, seed = task
    found, plan = curves(), plan_of(arm)
    plan = replace(plan, settings=replace(plan.settings, seed=seed))
    study, trace = ReplayStudy(plan), [(0.0, 0.0)]
    workers = [Process("replay", number, 0.0) for number in range(NUM_WORKERS)]
    schedule, _ = plan.schedule()
    _truncnorm._log_ndtr = log_ndtr  # scipy's has the same values, and doesn't take them one by one
    places: dict[int, int] = {}  # of the recorded configurations that answer, by the trial's number
    order = itertools.count()
    events = [(0.0, next(order), worker, None) for worker in range(NUM_WORKERS)]
    idle: list[int] = []  # workers that wait for what others report
    while events:
        now, _, worker, trial = heapq.heappop(events)
        if now > found.budget:
            break
        if trial is not None:
            value = found.values[places[trial.number], trial.step]
            if value > trace[-1][1]:
                trace.append((now, value))
            goes_on = advance(trial, study, found, places[trial.number])
            trial = trial if goes_on else None
            for other in idle:
                heapq.heappush(events, (now, next(order), other, None))
            idle.clear()
        if trial is None:
            if (trial := begin(study, plan, workers[worker], schedule)) is None:
                idle += [worker] if study.is_left(plan.n_trials) else []
                continue
            if trial.number not in places:
                places[trial.number] = found.nearest(trial.trial.params)  # type: ignore[union-attr]
            now += START_SECONDS
            if trial.pause and trial.pause.then is Move.END:
                trial.tell(TrialState.PRUNED, outcome(found.values[places[trial.number], : trial.step]))
                heapq.heappush(events, (now, next(order), worker, None))
                continue
        heapq.heappush(events, (now + found.seconds[places[trial.number]], next(order), worker, trial))
    return trace


def begin(study: SweepStudy, plan: Plan, process: Process, schedule: Any) -> RunningTrial | None:
    """Returns the trial that a free worker takes up, if there is one."""
    directions = list(plan.pruned_by.values())
    if (claimed := study.claim(process, Budget(plan.n_trials, None, schedule, directions))) is None:
        return None
    trial = RunningTrial(plan, study, None, *claimed)  # type: ignore[arg-type]
    trial.sample()
    trial.recorder = Silent()  # type: ignore[assignment]
    trial.step = len(trial.reported)
    return trial


def advance(trial: RunningTrial, study: SweepStudy, found: Curves, place: int) -> bool:
    """Reports a trial's next step. Returns whether it goes on."""
    values = found.values[place]
    if not math.isfinite(values[trial.step]):  # it diverged
        trial.tell(TrialState.PRUNED, outcome(values[: trial.step]))
        return False
    try:
        is_pruned = trial.report({"valid_accuracy": float(values[trial.step])}, found.num_steps)
    except Paused:
        study.release(trial.trial_id)
        return False
    if is_pruned or trial.step == found.num_steps:
        trial.tell(TrialState.PRUNED if is_pruned else TrialState.COMPLETE, outcome(values[: trial.step]))
        return False
    return True


def outcome(values: np.ndarray) -> Outcome:
    """Returns what a trial came to: its kept epoch is its best one."""
    return Outcome(runs=[{"valid_accuracy": float(values.max(initial=0.0))}])


def summary(traces: Sequence[Sequence[tuple[float, float]]], draws: np.random.Generator) -> dict[str, Any]:
    """Returns the mean regret at parts of the time, the time to come near the best, and how sure that is."""
    found = curves()
    moments = np.linspace(0, found.budget, 201)
    best = np.array([[value for time, value in trace if time <= now][-1] for trace in traces for now in moments])
    regret = found.best - best.reshape(len(traces), -1)
    index = draws.integers(len(traces), size=(2000, len(traces)))

    def with_band(values: np.ndarray) -> list[float]:
        return [float(values.mean()), *map(float, np.quantile(values[index].mean(1), (0.025, 0.975)))]

    parts = {part: with_band(regret[:, round(200 * part)]) for part in (0.25, 0.5, 1.0)}
    curve = [with_band(regret[:, place]) for place in range(0, 201, 4)]
    near = {}
    for within in WITHIN:
        wanted = found.best - within
        times = np.array([next((t for t, v in trace if v >= wanted), math.nan) for trace in traces])
        # Who has not come so near by the end counts with the whole time: a lower bound for the mean.
        spent = np.where(np.isnan(times), found.budget, times) / found.budget
        near[within] = {"time": with_band(spent), "share": float(np.isfinite(times).mean())}
    return {"regret": parts, "near": near, "curve": curve, "seeds": len(traces)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="of each way to search; 200")
    parser.add_argument("--only", nargs="+", default=list(PRUNERS), choices=list(PRUNERS), help="these pruners")
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=list(SAMPLERS), help="these samplers")
    parser.add_argument("--starts", nargs="+", default=list(STARTS), choices=list(STARTS), help="'' or presets first")
    parser.add_argument("--table", action="store_true", help="replay nothing")
    args = parser.parse_args()
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    arms = [a for a in ARMS if a.pruner in args.only and a.sampler in args.samplers and a.start in args.starts]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for arm in tqdm([] if args.table else arms, disable=not sys.stderr.isatty()):
            if known.get(arm.name, {}).get("seeds", 0) < args.seeds:
                traces = list(pool.map(replay, [(arm, seed) for seed in range(args.seeds)], chunksize=5))
                known[arm.name] = json.loads(json.dumps(summary(traces, np.random.default_rng(0))))
                FILE.write_text(json.dumps(known) + "\n")
    text = table(known)
    (RESULTS / "schedules.md").write_text(text)
    draw(known)
    sys.stdout.write(text)


def table(found: dict[str, dict[str, Any]]) -> str:
    """Returns Markdown: a row for each way to search."""
    budget = curves().budget
    lines = [
        f"{len(curves().params)} recorded configurations, the best {100 * curves().best:.2f} %; {NUM_WORKERS} workers, "
        f"{budget:,.0f} s. Regret in points of validation accuracy after a part of the time, means with 95 % bands; "
        "then, as a part of the whole, the time to come so near to the best (who did not counts with all of it), and "
        "who did.",
        "",
        "| pruner | sampler | first | regret at 25 % | at 50 % | at 100 % | "
        + " | ".join(f"to within {100 * within:g} | did" for within in WITHIN)
        + " | seeds |",
        "|---" * (7 + 2 * len(WITHIN)) + "|",
    ]
    for arm in ARMS:
        if one := found.get(arm.name):
            regrets = " | ".join(band(one["regret"][part], 100) for part in sorted(one["regret"], key=float))
            near = " | ".join(f"{band(n['time'], 100)} % | {100 * n['share']:.0f} %" for n in one["near"].values())
            first = arm.start.removesuffix(" first")
            lines.append(f"| {arm.pruner} | {arm.sampler} | {first} | {regrets} | {near} | {one['seeds']} |")
    return "\n".join(lines) + "\n"


def band(values: Sequence[float], factor: float) -> str:
    mean, low, high = (factor * value for value in values)
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def draw(found: dict[str, dict[str, Any]]) -> None:
    """Draws the regret of each pruner against time, a panel for each sampler."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    shown = [(start, sampler) for start in STARTS for sampler in SAMPLERS]
    shown = [(b, s) for b, s in shown if any(Arm(pruner, s, b).name in found for pruner in PRUNERS)]
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure, panels = plt.subplots(rows, columns, figsize=(4.2 * columns, 3.4 * rows), sharey=True, squeeze=False)
    for panel, (start, sampler) in zip(panels.flat, shown, strict=False):
        for place, pruner in enumerate(PRUNERS):
            if one := found.get(Arm(pruner, sampler, start).name):
                mean, low, high = 100 * np.array(one["curve"]).T
                share = np.linspace(0, 100, len(mean))
                style = "--" if pruner.startswith("Optuna") else "-"
                panel.plot(share, mean, style, color=f"C{place}", label=pruner, linewidth=1.5)
                panel.fill_between(share, low, high, color=f"C{place}", alpha=0.15, linewidth=0)
        panel.set(title=", ".join(filter(None, (sampler, start))), xlabel="% of the time", yscale="log")
        panel.grid(alpha=0.2)
    panels[0, 0].set_ylabel("regret, points of validation accuracy")
    panels[0, -1].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(RESULTS / "schedules.png", dpi=120)


if __name__ == "__main__":
    main()
