"""The study that all workers of a sweep share: its storage, who holds which trial, and how each trial ends.

The storage is the only thing that sweepers and workers have in common. A trial goes from WAITING to RUNNING by a
compare-and-set of the storage, so that no two workers get it; while it runs, its worker renews a lease (a user
attribute); a trial whose lease is dead becomes WAITING again, with its number, parameters and reports. So nothing of a
sweep's budget is lost or doubled by a kill. Trials beyond the budget, made by two workers at once, stay WAITING.

                     claim: a new trial, in one call with its lease
        (none) ----------------------------------------------.
                                                             v
        WAITING -- claim: compare-and-set, then the lease -> RUNNING -- end: outcome, then state --> COMPLETE
           ^                                                 |  |                                     PRUNED
           |-- release: its worker was stopped, and gives ---'  |                                     FAIL
           |   it back: the lease loses its holder first; or    |
           |   its schedule pauses it: noted before that        |
           |                                                    |
           '-- requeue_or_fail: its worker is gone, found by ---'-- as often as max_attempts allows
               whoever looks (a sweeper, or a worker that         without progress between --> FAIL
               has none): the count of losses first, then
               as release does

A paused trial waits, too, but is claimed only once the schedule has it go on, or end; which one is noted after the
claim. A worker may die between any two arrows of a chain. What is left then: RUNNING without a holder counts as lost
once it has not changed for `lease_seconds`; RUNNING with an outcome is run again, and its task answers from its own
record; a count of losses without the release is one loss more than there was. The `start_lock` makes SQLite's look at a
state and the change of it one step; servers have a row to lock. A sweeper's `.reap.lock` keeps two of them from
counting one loss twice, `.open.lock` from making two studies.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from enum import IntEnum
from typing import Any, cast

import optuna
from filelock import FileLock
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from hydra_sweep import optuna_compat
from hydra_sweep.curves import Situation
from hydra_sweep.errors import UserError, counted
from hydra_sweep.process import Process
from hydra_sweep.records import (
    LEASE,
    LOSSES,
    OUTCOME,
    PAUSE,
    RUNS,
    Curves,
    Lease,
    Outcome,
    Pause,
    SamplersView,
    is_paused,
    num_reports,
)
from hydra_sweep.schedules import Budget, Move
from hydra_sweep.storage import open_storage
from hydra_sweep.sweep_folder import SQLITE

optuna.logging.set_verbosity(optuna.logging.ERROR)

# User attributes of the study; `records` has those of a trial.
REQUEST, READY, ASIDE, STOP, FULL, WORKER = "request", "ready", "aside", "stop", "full", "worker"
START = "start"  # trials of other sweeps that the sampler learns from, as they were when this one began
SECONDS = "seconds"  # that a command has been at work, seconds:NAME:BORN of its process
NUM_STEPS = "num_steps"  # of a trial that runs to its end, all its runs together, as its task has said so


class StopMode(IntEnum):
    """How a sweep's workers are to stop, as the study keeps it; 0: they are not."""

    DRAIN = 1  # claim no more trials, end those that run
    PREEMPT = 2  # save running trials and give them back
    KILL = 3  # die


class SweepStudy:
    """One sweep's study in its storage.

    Args:
        url: as `open_storage` takes it.
        name: of the study.
        seconds: how long a storage that is away is tried again.
        must_exist: its storage has been opened before, so it is tried again from the first moment and never made anew;
            otherwise, a storage that can't be opened is an error at once.
    """

    def __init__(self, url: str, name: str, seconds: float, must_exist: bool = False) -> None:
        self.url, self.base = url, name
        self.storage = open_storage(url, seconds, must_exist)
        file = url.removeprefix(SQLITE)
        # SQLite has no row to lock between Optuna's look at a trial's state and its change of it.
        self.start_lock: AbstractContextManager[Any] = FileLock(f"{file}.lock") if file != url else nullcontext()
        self.name = self._latest() or name
        self.curves = Curves()

    @property
    def exists(self) -> bool:
        """Whether it was made to its end."""
        return self._latest() is not None and READY in self.attrs()

    @functools.cached_property
    def id(self) -> int:
        return self.storage.get_study_id_from_name(self.name)

    def create(self, directions: Sequence[str], request: Mapping[str, Any]) -> None:
        """Makes the study, or joins the one that another sweeper makes at this moment.

        Raises:
            UserError: there is one of this name that no sweep has made.
        """
        try:
            self._create(self.base, directions, request, [])
        except optuna.exceptions.DuplicatedStudyError as error:
            deadline = time.monotonic() + 10
            while READY not in self.attrs() and not self.trials() and time.monotonic() < deadline:
                time.sleep(0.1)
            if READY not in self.attrs():  # its maker died; nothing can have been run
                made = [direction.name.lower() for direction in self.storage.get_study_directions(self.id)]
                if self.trials() or made != list(directions):
                    found = f"{counted(len(self.trials()), 'trial')}, {' and '.join(made)}"
                    raise UserError(
                        f"the storage has a study {self.base} that is no sweep's ({found}); choose another name, or "
                        "hydra.sweeper.study_name="
                    ) from error
                self.set(REQUEST, dict(request))
                self.set(READY, True)

    def migrate(
        self,
        directions: Sequence[str],
        request: Mapping[str, Any],
        convert: Callable[[FrozenTrial], FrozenTrial],
    ) -> None:
        """Goes on in another study of the same storage, with the same trials as far as they still mean something."""
        number = int(self.name.rpartition("~")[2]) + 1 if "~" in self.name else 2
        trials = [convert(trial) for trial in self.trials()]
        name = f"{self.base}~{number}"
        if name in optuna.get_all_study_names(self.storage):  # a renewal that was killed
            optuna.delete_study(study_name=name, storage=self.storage)
        self._create(name, directions, request, trials)

    def _create(
        self, name: str, directions: Sequence[str], request: Mapping[str, Any], trials: list[FrozenTrial]
    ) -> None:
        made = [StudyDirection.MINIMIZE if d == "minimize" else StudyDirection.MAXIMIZE for d in directions]
        study_id = self.storage.create_new_study(made, name)
        for trial in trials:
            self.storage.create_new_trial(study_id, template_trial=trial)
        self.storage.set_study_user_attr(study_id, REQUEST, dict(request))
        self.storage.set_study_user_attr(study_id, READY, True)
        self.name, self.id = name, study_id

    def _latest(self) -> str | None:
        """Returns the name of the newest study of this sweep that was made to its end."""
        found = []
        for study in self.storage.get_all_studies():  # Optuna's summaries would count the trials, one by one
            base, _, number = study.study_name.rpartition("~")
            if study.study_name == self.base:
                found.append((1, study.study_name))
            elif base == self.base and number.isdigit() and READY in study.user_attrs:
                found.append((int(number), study.study_name))
        return max(found)[1] if found else None

    def view(self, has_reports: bool = True, others: Sequence[FrozenTrial] = ()) -> SamplersView:
        """Returns the storage as samplers are to see it."""
        return SamplersView(self.storage, has_reports, others)

    def optuna(
        self, sampler: optuna.samplers.BaseSampler, pruner: optuna.pruners.BasePruner, view: SamplersView
    ) -> optuna.Study:
        """Returns Optuna's own object for one trial's questions."""
        return optuna.Study(self.name, cast(BaseStorage, view), sampler=sampler, pruner=pruner)

    def attrs(self) -> dict[str, Any]:
        return self.storage.get_study_user_attrs(self.id)

    def set(self, key: str, value: Any) -> None:
        self.storage.set_study_user_attr(self.id, key, value)

    def stop(self, how: StopMode) -> None:
        """Tells all sweepers and workers of this sweep to stop."""
        for name in self.stop_modes():
            self.set(f"{STOP}:{name}", how)

    def stop_modes(self) -> dict[str, int]:
        """Returns how each sweeper that has ever worked at this sweep was told to stop; 0 for one that was not."""
        attrs = self.attrs()
        found = {value["sweeper"]: 0 for key, value in attrs.items() if key.startswith(f"{WORKER}:")}
        return found | {key.removeprefix(f"{STOP}:"): how for key, how in attrs.items() if key.startswith(f"{STOP}:")}

    def note_seconds(self, process: Process, seconds: float) -> float:
        """Notes for how long a command has been at work. Returns for how long all of them have, one after the other."""
        key = f"{SECONDS}:{process.name}:{process.born:.0f}"
        self.set(key, round(seconds, 1))
        return float(sum(value for name, value in self.attrs().items() if name.startswith(f"{SECONDS}:")))

    def trials(self) -> list[FrozenTrial]:
        """Returns all trials, by number; they are the storage's own objects, to be read only."""
        return self.storage.get_all_trials(self.id, deepcopy=False)

    @functools.cached_property
    def aside(self) -> frozenset[int]:
        """The trials that earlier commands have asked for and this one doesn't."""
        return frozenset(self.attrs().get(ASIDE, ()))

    def set_aside(self, numbers: Sequence[int]) -> None:
        """Sets trials aside, and no others; before any worker is at work."""
        if self.aside != frozenset(numbers):
            self.set(ASIDE, list(numbers))
            self.aside = frozenset(numbers)

    # Those that take `trials` take all of them as they were just now; None: as they are.

    def num_failed(self, n_trials: int, trials: list[FrozenTrial] | None = None) -> int:
        """Returns how many trials within the budget have failed, those aside that were refused as duplicates."""
        failed = [trial for trial in self.within_budget(n_trials, trials) if trial.state is TrialState.FAIL]
        return sum(Outcome.of(trial).same_as is None for trial in failed)

    def within_budget(self, n_trials: int, trials: list[FrozenTrial] | None = None) -> list[FrozenTrial]:
        """Returns the trials within the budget that the command asks for, by number."""
        found = self.trials() if trials is None else trials
        return (
            [trial for trial in found if trial.number not in self.aside][:n_trials] if self.aside else found[:n_trials]
        )

    def claim(
        self,
        process: Process,
        budget: Budget,
        only: Collection[int] = (),
        trials: list[FrozenTrial] | None = None,
    ) -> tuple[int, Lease] | None:
        """Takes a trial that waits for a worker, or one that its schedule wants, or a new one, within the budget.

        Args:
            only: numbers; if there are any, no other trial is taken.

        Returns:
            Its id and lease, or None.
        """
        n_trials, schedule = budget.n_trials, budget.schedule
        trials = self.within_budget(n_trials, trials)
        pauses = schedule is not None and schedule.pauses
        for trial in trials:
            if trial.state is not TrialState.WAITING or (only and trial.number not in only):
                continue
            if not is_paused(trial) and (held := self._take(trial, process)):
                return held
            if is_paused(trial) and not pauses and (held := self._resume(trial, process, Move.GO_ON)):
                return held  # what an earlier command has paused
        if only:
            return None
        is_spent = budget.max_steps is not None and num_reports(trials) >= budget.max_steps
        if schedule and pauses:
            situation = self.situation(trials, 0 if is_spent else n_trials - len(trials), budget.directions)
            if turn := schedule.next_turn(replace(situation, is_spent=is_spent)):
                trial = next(trial for trial in trials if trial.number == turn.number)
                return self._resume(trial, process, turn.move) or self.claim(process, budget)  # another was faster
        if is_spent or len(trials) >= n_trials:
            return None
        lease = Lease(process)
        new = create_trial(state=TrialState.RUNNING, user_attrs={LEASE: asdict(lease)})
        trial_id = self.storage.create_new_trial(self.id, template_trial=new)
        if self.storage.get_trial_number_from_id(trial_id) - len(self.aside) >= n_trials:  # another worker was faster
            self.storage.set_trial_user_attr(trial_id, LEASE, None)
            self.storage.set_trial_state_values(trial_id, TrialState.WAITING)
            return None
        return trial_id, lease

    def situation(self, trials: Sequence[FrozenTrial], num_unbegun: int, directions: Sequence[str]) -> Situation:
        """Returns what schedules decide by.

        Args:
            trials: within the budget.
            num_unbegun: trials of the budget that are still to come.
            directions: of what trials have reported at each step.
        """
        curves = self.curves.of(trials, directions)
        return Situation(curves, num_unbegun, self.attrs().get(NUM_STEPS))

    def pause(self, trial_id: int, step: int) -> None:
        """Notes that a running trial is to wait for its schedule, once its worker has given it back."""
        self.storage.set_trial_user_attr(trial_id, PAUSE, Pause(step).recorded())

    def is_left(self, n_trials: int) -> bool:
        """Whether a trial within the budget runs or is paused: there may be something to do yet."""
        return any(t.state is TrialState.RUNNING or is_paused(t) for t in self.within_budget(n_trials))

    def _take(self, trial: FrozenTrial, process: Process) -> tuple[int, Lease] | None:
        """Takes a waiting trial, unless another worker was faster."""
        trial_id, before = optuna_compat.trial_id(trial), Lease.of(trial)
        if not self._start(trial_id):
            return None
        lease = Lease(process, before.attempt + 1, before.seconds) if before else Lease(process)
        self.storage.set_trial_user_attr(trial_id, LEASE, asdict(lease))
        return trial_id, lease

    def _resume(self, trial: FrozenTrial, process: Process, move: Move) -> tuple[int, Lease] | None:
        """Takes a paused trial, unless another worker was faster, and notes what is to become of it."""
        if held := self._take(trial, process):
            pause = replace(Pause.of(trial) or Pause(0), then=move)
            self.storage.set_trial_user_attr(held[0], PAUSE, pause.recorded())
        return held

    def unacknowledged_claim(
        self, process: Process, known: Collection[int], trials: list[FrozenTrial]
    ) -> tuple[int, Lease] | None:
        """Returns a trial that a worker holds without knowing: the storage gave it, but its answer was lost.

        Args:
            known: the ids of the trials that the worker knows of.
        """
        for trial in trials:
            held = Lease.of(trial) if trial.state is TrialState.RUNNING else None
            if held and held.process == process and optuna_compat.trial_id(trial) not in known:
                return optuna_compat.trial_id(trial), held
        return None

    def _start(self, trial_id: int) -> bool:
        try:
            with self.start_lock:
                return self.storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def is_held(self, trial_id: int, lease: Lease | None) -> bool:
        """Whether the trial is still run by this worker, in this attempt."""
        trial = self.storage.get_trial(trial_id)
        held = Lease.of(trial)
        holders = [(one.process, one.attempt) if one else None for one in (held, lease)]
        return trial.state is TrialState.RUNNING and holders[0] == holders[1]

    def renew_lease(self, trial_id: int, lease: Lease) -> None:
        lease.beat, lease.seen = lease.beat + 1, time.time()
        self.storage.set_trial_user_attr(trial_id, LEASE, asdict(lease))

    def release(self, trial_id: int) -> None:
        """Gives a trial back, to be gone on with.

        Its lease loses its holder first: the next worker's trial must not look like that of one that is gone.
        """
        if lease := Lease.of(self.storage.get_trial(trial_id)):
            self.storage.set_trial_user_attr(trial_id, LEASE, asdict(replace(lease, process=None)))
        self.storage.set_trial_state_values(trial_id, TrialState.WAITING)

    def requeue_or_fail(self, trial: FrozenTrial, max_attempts: int) -> bool:
        """Gives a trial back whose worker is gone, or fails it if its workers die without progress. Returns: failed?"""
        progress = len(trial.intermediate_values) + len(trial.user_attrs.get(RUNS, []))
        losses = trial.user_attrs.get(LOSSES, {"count": 0, "progress": -1})
        count = losses["count"] + 1 if progress == losses["progress"] else 1
        self.storage.set_trial_user_attr(optuna_compat.trial_id(trial), LOSSES, {"count": count, "progress": progress})
        if count < max_attempts:
            self.release(optuna_compat.trial_id(trial))
            return False
        lease = Lease.of(trial)
        why = lease.why if lease and lease.why else "killed, out of memory, or hung?"
        reason = f"its worker died {count} times in the same place ({why})"
        outcome = Outcome(reason, seconds=lease.seconds if lease else 0.0, attempt=lease.attempt if lease else 1)
        self.end(optuna_compat.trial_id(trial), TrialState.FAIL, None, outcome)
        return True

    def note(self, trial_id: int, outcome: Outcome, values: Sequence[float] | None) -> None:
        """Records how a trial ends, and the sum over it: it must not change any more."""
        outcome.crc32 = outcome.sum(self.storage.get_trial(trial_id), values)
        self.storage.set_trial_user_attr(trial_id, OUTCOME, asdict(outcome))

    def check(self) -> None:
        """Raises: ValueError if a trial's sum is another one, or whatever reading the study raises."""
        for trial in self.trials() if self._latest() else []:
            outcome, _ = Outcome.of(trial), Lease.of(trial)
            values = trial.values if trial.state is TrialState.COMPLETE else None
            has_sum = trial.state.is_finished() and outcome.crc32 is not None
            if has_sum and outcome.crc32 != outcome.sum(trial, values):
                raise ValueError(f"checksum mismatch in trial {trial.number}")

    def end(self, trial_id: int, state: TrialState, values: Sequence[float] | None, outcome: Outcome) -> None:
        """Ends a trial; what has finished already stays as it is."""
        try:
            self.note(trial_id, outcome, values)
            self.storage.set_trial_state_values(trial_id, state, values)
        except UpdateFinishedTrialError:
            pass
