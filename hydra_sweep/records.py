"""What a study keeps of a trial beside what Optuna keeps: who holds it, that it is paused, and how it has ended."""

from __future__ import annotations

import copy
import json
import statistics
import zlib
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from hydra_sweep import optuna_compat
from hydra_sweep.curves import Curve, Phase
from hydra_sweep.process import Process
from hydra_sweep.schedules import Move

# User attributes of a trial.
LEASE, LOSSES, RUNS, OUTCOME, PAUSE = "lease", "losses", "runs", "outcome", "pause"
REPORT = "report"  # of several objectives at a step, report:STEP; Optuna keeps one number of each


@dataclass
class Lease:
    """Who holds a running trial. `beat` counts the renewals: that it moves is the sign of life, not a clock's time.

    A trial that waits to be gone on with has a lease of nobody.
    """

    process: Process | None
    attempt: int = 1
    seconds: float = 0.0  # that all attempts together have run
    beat: int = 0
    why: str | None = None  # its holder ends its own process, if it does
    seen: float = 0.0  # when it was renewed by its holder's clock, in s since 1970; to be shown, not to be relied on

    @classmethod
    def of(cls, trial: FrozenTrial) -> Lease | None:
        if (recorded := trial.user_attrs.get(LEASE)) is None:
            return None
        process = Process(**recorded["process"]) if recorded["process"] else None
        return cls(**recorded | {"process": process})


@dataclass(frozen=True)
class Pause:
    """That a schedule has paused a trial, and what it wants of it since then."""

    step: int
    then: Move | None = None

    @classmethod
    def of(cls, trial: FrozenTrial) -> Pause | None:
        if (recorded := trial.user_attrs.get(PAUSE)) is None:
            return None
        return cls(recorded["step"], Move(recorded["then"]) if recorded["then"] else None)

    def recorded(self) -> dict[str, Any]:
        return {"step": self.step, "then": self.then.value if self.then else None}


def num_reports(trials: Iterable[FrozenTrial]) -> int:
    """Returns how many steps all trials together have reported."""
    return sum(len(trial.intermediate_values) for trial in trials)


def is_paused(trial: FrozenTrial) -> bool:
    """Whether a trial waits for its schedule, and not only for a worker."""
    pause = Pause.of(trial) if trial.state is TrialState.WAITING else None
    return pause is not None and pause.then is None


def curve_of(trial: FrozenTrial, directions: Sequence[str]) -> Curve:
    """Returns a trial as its schedule sees it.

    Args:
        directions: of what it has reported at each step.
    """
    signs = [-1.0 if direction == "maximize" else 1.0 for direction in directions]
    reported = {step: [value] for step, value in trial.intermediate_values.items()}
    if len(signs) > 1:
        reported = {step: trial.user_attrs[f"{REPORT}:{step}"] for step in reported}
    costs = {step: tuple(s * v for s, v in zip(signs, values, strict=True)) for step, values in reported.items()}
    pause = Pause.of(trial)
    if trial.state is TrialState.COMPLETE:
        phase = Phase.COMPLETE
    elif trial.state.is_finished() or (pause and pause.then is Move.END):
        phase = Phase.ENDED
    else:
        phase = Phase.PAUSED if is_paused(trial) else Phase.OPEN
    return Curve(trial.number, costs, phase)


class Curves:
    """Trials as their schedule sees them; one that has ended is looked at once."""

    def __init__(self) -> None:
        self._ended: dict[tuple[int, tuple[str, ...]], Curve] = {}

    def of(self, trials: Iterable[FrozenTrial], directions: Sequence[str]) -> list[Curve]:
        return [self._of(trial, tuple(directions)) for trial in trials]

    def _of(self, trial: FrozenTrial, directions: tuple[str, ...]) -> Curve:
        key = trial.number, directions
        if (curve := self._ended.get(key)) is None:
            curve = curve_of(trial, directions)
            if trial.state.is_finished():
                self._ended[key] = curve
        return curve


@dataclass
class Outcome:
    """How a trial ended, beside what Optuna records itself.

    `runs` has, for each repeat, the metrics that its task returned.
    """

    reason: str | None = None
    runs: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    attempt: int = 1
    worker: str = ""
    same_as: int | None = None  # the trial whose result this one reuses
    crc32: int | None = None  # over all that is known of the trial: a flipped bit in the database is no result

    @classmethod
    def of(cls, trial: FrozenTrial) -> Outcome:
        return cls(**trial.user_attrs.get(OUTCOME, {}))

    def sum(self, trial: FrozenTrial, values: Sequence[float] | None) -> int:
        """Returns the sum over this outcome and what Optuna keeps of the trial itself.

        Args:
            values: of a complete trial; of any other, Optuna makes its own.
        """
        drawn = {name: distribution_to_json(kind) for name, kind in trial.distributions.items()}
        reports = sorted(trial.intermediate_values.items())
        own = asdict(replace(self, crc32=None))
        content = [own, trial.params, drawn, reports, values and [float(value) for value in values]]
        return zlib.crc32(json.dumps(content, sort_keys=True, default=str).encode())

    def metrics(self) -> dict[str, float]:
        """Returns the mean of each metric that all repeats have."""
        shared = [name for name in self.runs[0] if all(name in run for run in self.runs)] if self.runs else []
        if len(self.runs) == 1:
            return dict(self.runs[0])
        return {name: statistics.fmean(run[name] for run in self.runs) for name in shared}


CHANGED = (TrialState.WAITING, TrialState.PRUNED)  # what a sampler may see otherwise than it is


class SamplersView:
    """A storage as samplers are to see it: a paused trial is one that was pruned, from which they learn.

    Of a trial that waits they would know nothing, and most of those that a schedule has paused stay so to the end.

    Args:
        has_reports: whether what was reported at each step is the objective.
        others: trials of other sweeps, which come first.
    """

    def __init__(self, storage: BaseStorage, has_reports: bool = True, others: Sequence[FrozenTrial] = ()) -> None:
        self._seen, self._has_reports, self._others = storage, has_reports, others
        self._kept: list[FrozenTrial] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._seen, name)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        trials = self._trials(study_id) if self._kept is None else self._kept
        wanted = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(wanted) if deepcopy else wanted

    @contextmanager
    def kept(self, study_id: int) -> Iterator[None]:
        """Has all that is asked meanwhile answered from one look at the trials: samplers ask for each parameter."""
        self._kept = self._trials(study_id)
        try:
            yield
        finally:
            self._kept = None

    def _trials(self, study_id: int) -> list[FrozenTrial]:
        found = [*self._others, *self._seen.get_all_trials(study_id, deepcopy=False)]
        trials = [self._shown(trial) if trial.state in CHANGED else trial for trial in found]
        if not optuna_compat.HAS_CONSTRAINTS and len(self._seen.get_study_directions(study_id)) > 1:
            # Optuna 4.9 has TPE compute with the values of those that are pruned, which have none.
            trials = [trial for trial in trials if trial.state is not TrialState.PRUNED]
        return trials

    def _shown(self, trial: FrozenTrial) -> FrozenTrial:
        is_pruned = trial.state is TrialState.PRUNED or is_paused(trial)
        if not is_pruned or (trial.state is TrialState.PRUNED and self._has_reports):
            return trial
        shown = copy.copy(trial)
        shown.state = TrialState.PRUNED
        if not self._has_reports:
            shown.intermediate_values = {}
        return shown
