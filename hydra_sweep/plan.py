"""What a sweep is asked to do, as a value: its goal, its trials, the commands that go on with it."""

from __future__ import annotations

import copy
import math
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import optuna
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial

from hydra_sweep import custom
from hydra_sweep.artifacts import ArtifactStore
from hydra_sweep.differences import flatten, is_same
from hydra_sweep.grammar import literal
from hydra_sweep.schedules import Schedule
from hydra_sweep.settings import SweeperConfig
from hydra_sweep.space import Cell, Space
from hydra_sweep.sweep_folder import SweepFolder

Compose = Callable[[list[str]], DictConfig]  # from overrides to a configuration, Hydra's part included
CELL = "cell"  # a trial's attribute: what the command has fixed in it, recorded as it begins
CONSTRAINT = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(<=|>=)\s*(\S+)\s*")


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric: `num_parameters <= 50000`."""

    metric: str
    is_upper: bool
    bound: float

    def violation(self, metrics: Mapping[str, float]) -> float:
        """Returns by how much the bound is passed; up to 0 it is kept. An unknown metric counts as passed."""
        if self.metric not in metrics:
            return 1.0
        return (metrics[self.metric] - self.bound) * (1 if self.is_upper else -1)

    def __str__(self) -> str:
        return f"{self.metric} {'<=' if self.is_upper else '>='} {self.bound:g}"


@dataclass(frozen=True)
class Command:
    """The command that a sweep was started with, to be told again with other overrides."""

    program: list[str]
    flags: list[str]

    @classmethod
    def current(cls, overrides: Sequence[str]) -> Command:
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        if spec is not None:
            program = ["python", "-m", spec.name.removesuffix(".__main__")]
        else:
            program = ["python", sys.argv[0]] if sys.argv[0].endswith(".py") else [Path(sys.argv[0]).name]
        flags = [arg for arg in sys.argv[1:] if arg not in overrides and arg not in ("-m", "--multirun")]
        return cls(program, flags)

    def line(self, *arguments: str) -> str:
        return shlex.join([*self.program, *self.flags, *arguments])


def made(kind: partial[Any], **options: Any) -> Any:
    """Returns a new sampler or pruner, which shares nothing with those made before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return kind.func(**copy.deepcopy(kind.keywords) | options)


@dataclass
class Goal:
    """What a sweep is to improve, within which bounds."""

    objectives: list[str]  # names of metrics; empty: the task returns plain numbers
    directions: list[str]
    constraints: list[Constraint]

    @classmethod
    def of_request(cls, request: Mapping[str, Any]) -> Goal:
        """Returns the goal of a recorded sweep."""
        found = [parsed for text in request.get("constraints", []) if (parsed := constraint_of(text))]
        return cls(list(request.get("objective", [])), list(request.get("direction", ["minimize"])), found)

    def label(self, index: int) -> str:
        """Returns the name of an objective."""
        return self.objectives[index] if self.objectives else "value" if len(self.directions) == 1 else f"value_{index}"

    def values(self, metrics: Mapping[str, float]) -> list[float] | None:
        """Returns the objectives among the metrics, or None if one is missing."""
        names = [self.label(i) for i in range(len(self.directions))]
        return [metrics[name] for name in names] if all(name in metrics for name in names) else None

    def violations(self, metrics: Mapping[str, float]) -> list[float]:
        return [constraint.violation(metrics) for constraint in self.constraints]


@dataclass
class Plan(Goal):
    """A checked sweep, complete and picklable: workers get it as it is.

    `n_trials` is the total. What is queued is tried first, a grid's cells follow in their order; each once, whatever
    the number of its trial, so a sweep may be typed again with more cells, with fewer, or in another order.
    """

    folder: SweepFolder
    url: str
    study_name: str
    settings: SweeperConfig
    sampler_name: str
    pruner_name: str
    sampler_config: dict[str, Any]  # as `instantiate` takes it, all fields of its own class included
    pruner_config: dict[str, Any]
    space: Space
    overrides: list[str]  # of every trial, before its sampled ones
    queue: list[dict[str, Any]]
    n_trials: int
    first_seed: int
    request: dict[str, Any]
    command: Command
    arguments: list[str]  # as typed

    def artifact_store(self) -> ArtifactStore | None:
        """Returns where the trials' folders go, if they go anywhere: below the study's name."""
        url = self.settings.artifact_store
        return ArtifactStore(f"{url.rstrip('/')}/{self.study_name}", self.settings.storage_seconds) if url else None

    def schedule(self) -> tuple[Schedule | None, optuna.pruners.BasePruner]:
        """Returns the schedule of ours that its pruner is, if it is one, and what Optuna asks."""
        found = made(self._pruner)
        return (found, optuna.pruners.NopPruner()) if isinstance(found, Schedule) else (None, found)

    def sampler(self, **options: Any) -> optuna.samplers.BaseSampler:
        """Returns a new sampler, with these arguments beside those that are configured."""
        found: optuna.samplers.BaseSampler = made(self._sampler, **options)
        return found

    def is_random(self, number: int) -> bool:
        """Whether a trial is drawn at random, whatever the sampler: a share of all, spread evenly."""
        share = self.random_share
        return math.floor((number + 1) * share) > math.floor(number * share)

    @cached_property
    def random_share(self) -> float:
        if self.settings.random_share is not None:
            return self.settings.random_share
        schedule, _ = self.schedule()
        return 1 / 3 if self.sampler_name == "tpe" and schedule is not None and schedule.pauses else 0.0

    # Hydra takes 2 ms to make an object, and a trial wants a sampler for each of its parameters.

    @cached_property
    def _sampler(self) -> partial[Any]:
        found: partial[Any] = instantiate(self.sampler_config, _partial_=True)
        return found

    @cached_property
    def _pruner(self) -> partial[Any]:
        found: partial[Any] = instantiate(self.pruner_config, _partial_=True)
        return found

    @property
    def pruned_by(self) -> dict[str, str]:
        """The reported metrics that the pruner goes by, each with its direction."""
        if self.settings.prune_by:
            return {self.settings.prune_by: self.settings.prune_direction or self.directions[0]}
        return {self.label(i): direction for i, direction in enumerate(self.directions)}

    @property
    def are_reports_objectives(self) -> bool:
        """Whether what a study keeps of each step is its one objective, so that samplers may learn from it."""
        return list(self.pruned_by.items()) == [(self.label(0), self.directions[0])] and len(self.directions) == 1

    def is_database_gone(self) -> bool:
        """Whether the folder's own database, which every sweep has that names no storage, is no longer there."""
        return self.settings.storage is None and not self.folder.database.exists()

    @property
    def is_grid(self) -> bool:
        """Whether its trials are cells, one for each combination; a search may be one, too (sampler=grid)."""
        return not self.space.is_search or self.sampler_name == "grid"

    @cached_property
    def wanted(self) -> dict[Cell, dict[str, Any]]:
        """The first guesses and a grid's cells in their order, each with its parameters."""
        cells = self.space.cells() if self.is_grid else ()
        return {self.space.cell(params): params for params in (*self.queue, *cells)}

    def cell_of(self, trial: FrozenTrial) -> Cell | None:
        """Returns what was not left to the sampler in a trial, or None if it has not begun."""
        if (recorded := trial.user_attrs.get(CELL)) is not None:
            return tuple(recorded)
        # The first edition recorded its parameters alone.
        return self.space.cell(trial.params) if trial.state.is_finished() else None

    def next_cell(self, number: int, trials: Sequence[FrozenTrial]) -> Cell:
        """Returns the cell of a trial that has not begun; an empty one leaves all to the sampler.

        Such trials take what is left in the order of their numbers: so workers agree that begin at the same time.
        """
        cells = {trial.number: self.cell_of(trial) for trial in trials}
        taken = set(cells.values())
        left = (cell for cell in self.wanted if cell not in taken)
        return next(cell for other, cell in ((n, next(left, ())) for n in cells if cells[n] is None) if other == number)

    def aside(self, trials: Sequence[FrozenTrial]) -> list[int]:
        """Returns the trials that a grid doesn't ask for, of those that an earlier command has left."""
        if not self.is_grid:
            return []
        left = set(self.wanted)
        found = []
        for trial in trials:
            cell = self.cell_of(trial)
            if cell in left:
                left.remove(cell)
            elif cell is not None:
                found.append(trial.number)
        return found

    def overrides_of(self, params: Mapping[str, Any]) -> list[str]:
        """Returns a trial's sampled overrides."""
        declared = [p.override(params[p.name]) for p in self.space.parameters if p.name in params]
        return declared + (custom.overrides(self.space, params) if self.settings.custom_search_space else [])

    def trial_overrides(self, sampled: Sequence[str]) -> list[str]:
        """Returns all overrides of a trial: as they were typed, then those of the configuration."""
        places = {key_of(text): i for i, text in enumerate(self.arguments)}
        return sorted([*self.overrides, *sampled], key=lambda text: places.get(key_of(text), len(places)))

    @property
    def num_runs(self) -> int:
        """How many runs of each configuration there are: its repeats, each on every fold."""
        return self.settings.repeats * (self.settings.folds or 1)

    def run_overrides(self, number: int) -> list[str]:
        """Returns the seed and the fold of one of these runs, as far as there are several of them."""
        repeat, fold = divmod(number, self.settings.folds or 1)
        seeds, folds = self._varied([self.first_seed + repeat], [fold])
        return seeds + folds

    def all_runs_overrides(self) -> list[str]:
        """Returns the seeds and the folds of all these runs."""
        repeats, folds = self.settings.repeats, self.settings.folds or 1
        seeds, places = self._varied(range(self.first_seed, self.first_seed + repeats), range(folds))
        return seeds + places

    def _varied(self, seeds: Sequence[int], folds: Sequence[int]) -> tuple[list[str], list[str]]:
        settings = self.settings
        seed, fold = (",".join(map(str, values)) for values in (seeds, folds))
        return (
            [f"{settings.seed_key}={seed}"] if settings.repeats > 1 else [],
            [f"{settings.fold_key}={fold}"] if settings.folds else [],
        )

    def rerun_command(self, overrides: Sequence[str], suffix: str) -> str:
        """Returns the command that runs a trial's configuration alone, under a name of its own if runs have names."""
        kept = [t for t in self.trial_overrides(overrides) if key_of(t) not in self.settings.sweep_keys]
        key, _, name = self.settings.resume_with.partition("=")
        named = [f"{key}={literal(name + suffix)}"] if key in self.settings.sweep_keys else []
        return self.command.line(*["-m"] * (self.num_runs > 1), *kept, *named)

    def resume_command(self) -> str:
        typed = {key_of(text) for text in self.arguments}
        more = [] if key_of(self.settings.resume_with) in typed else [self.settings.resume_with]
        return self.command.line("-m", *self.arguments, *more)


def key_of(text: str) -> str:
    """Returns the key of an override, without its sign."""
    return text.partition("=")[0].lstrip("+~").partition("@")[0]


def constraint_of(text: str) -> Constraint | None:
    match = CONSTRAINT.fullmatch(text)
    try:
        return Constraint(match[1], match[2] == "<=", float(match[3])) if match else None
    except ValueError:
        return None


def without_cells(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns two requests without the cells of a grid, which are found by their values: it may have others now."""
    both = {"kind": new["kind"], **old}, dict(new)  # the first edition did not record the kind
    if both[0]["kind"] == both[1]["kind"] != "search":
        return both[0] | {"space": {}}, both[1] | {"space": {}}
    return both


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns `key: old -> new` for everything that a request asks otherwise than the recorded one."""
    before, after = flatten(old), flatten(new)
    lines = []
    for key in dict.fromkeys([*before, *after]):
        if not is_same(before.get(key), after.get(key)) or (key in before) != (key in after):
            name = key.removeprefix("config.").removeprefix("space.")
            lines.append(f"{name}: {_short(before.get(key, 'absent'))} -> {_short(after.get(key, 'absent'))}")
    return lines


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
