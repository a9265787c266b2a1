"""One running trial: what it samples, how its task is run, what it reports, how it ends."""

from __future__ import annotations

import faulthandler
import logging
import math
import signal
import statistics
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import optuna
from omegaconf import DictConfig
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

import hydra_sweep
from hydra_sweep import custom, history, optuna_compat, returned
from hydra_sweep.errors import describe_error, escape_unprintable, safe_str
from hydra_sweep.plan import CELL, Plan, key_of
from hydra_sweep.process import Process
from hydra_sweep.records import REPORT, RUNS, Lease, Outcome, Pause
from hydra_sweep.results import WORDS
from hydra_sweep.returned import Failed
from hydra_sweep.run_record import PAUSED, RUNNING, RunRecord, RunRecorder
from hydra_sweep.schedules import Move
from hydra_sweep.seeds import derive
from hydra_sweep.signals import STOPPING, Interrupted, Paused
from hydra_sweep.study import NUM_STEPS, START, SweepStudy
from hydra_sweep.task import Task

log = logging.getLogger("hydra_sweep")
KEEPS_CONSTRAINTS = ("tpe", "gp", "nsgaii")


class SeededTrial(optuna_compat.Trial):
    """Draws each parameter by a sampler of its own, so that it is the same whatever was drawn before it.

    Args:
        sampler: from a parameter's name to its sampler.
        fixed: from the keys that the command line has fixed to their texts: user attributes, for a function that
            suggests parameters, as in the official sweeper.
    """

    def __init__(
        self,
        study: optuna.Study,
        trial_id: int,
        sampler: Callable[[str], optuna.samplers.BaseSampler],
        fixed: Mapping[str, str],
    ) -> None:
        super().__init__(study, trial_id)
        self._sampler, self._fixed = sampler, fixed

    @property
    def user_attrs(self) -> dict[str, Any]:
        return super().user_attrs | dict(self._fixed)

    def before_draw(self, name: str) -> None:
        self.study.sampler = self._sampler(name)


class RunningTrial:
    """The trial that a worker runs at the moment; hears what its task reports.

    Args:
        may_hang: whether a task that is not heard of for too long can take its process along.
    """

    def __init__(
        self, plan: Plan, study: SweepStudy, task: Task, trial_id: int, lease: Lease, may_hang: bool = True
    ) -> None:
        self.plan, self.study, self.task, self.may_hang = plan, study, task, may_hang
        self.trial_id, self.lease = trial_id, lease
        self.is_search = self.plan.space.is_search
        frozen = self.study.storage.get_trial(trial_id)
        self.number = frozen.number
        self.fixed = self._fixed(frozen)
        recorded = frozen.user_attrs.get(RUNS, {"runs": [], "step": 0})
        self.runs: list[dict[str, float]] = list(recorded["runs"])  # of the repeats that are done
        self.step: int = recorded["step"]  # reports so far, of all repeats together
        self.reported = dict(frozen.intermediate_values)
        self.num_steps: int | None = None  # until its end, all runs together, as far as the task says so
        self.is_lost = self.is_overtime = False
        self.began, self.before = time.monotonic(), lease.seconds
        self.best: dict[str, float] = {}  # what the running repeat has reported at its best step
        self.quiet_since = math.inf  # while the task is at work, when it was last heard of
        self.pause = Pause.of(frozen)
        self.schedule, self.pruner = self.plan.schedule()
        self.reports_repeats = self.plan.pruner_name == "wilcoxon" and self.plan.num_runs > 1
        self.trial: optuna.Trial | None = None

    def _fixed(self, frozen: FrozenTrial) -> dict[str, Any]:
        """Returns the parameters that are not left to the sampler; records them, for the trial to keep them."""
        cell = self.plan.cell_of(frozen)
        if cell is None:
            cell = ()  # where nothing is planned, all is left to the sampler, whatever others have
            if self.plan.wanted:
                cell = self.plan.next_cell(self.number, self.study.within_budget(self.plan.n_trials))
            self.study.storage.set_trial_user_attr(self.trial_id, CELL, list(cell))
        return self.plan.wanted.get(cell, {})

    def sampler(self, *purpose: str, draws: bool = True) -> optuna.samplers.BaseSampler:
        """Returns a sampler whose draws depend on the sweep's seed, the trial's number and the purpose alone.

        So a resumed sweep neither draws its first points again nor others than an uninterrupted one.

        Args:
            draws: or only notes what it keeps of a trial that has ended.
        """
        settings, name = self.plan.settings, self.plan.sampler_name
        seed = derive(settings.seed, "/".join(("sampler", *purpose)), self.number) % 2**32
        options: dict[str, Any] = {"seed": seed}
        if name == "qmc":  # one sequence for all trials
            options = {
                "seed": settings.seed,
                "independent_sampler": optuna.samplers.RandomSampler(seed=seed),
            }
        elif name in ("gp", "cmaes"):
            options["independent_sampler"] = optuna.samplers.RandomSampler(seed=seed)
        if self.plan.constraints and not optuna_compat.HAS_CONSTRAINTS and name in KEEPS_CONSTRAINTS:
            options["constraints_func"] = self._recorded_violations
        is_random = draws and self.plan.is_random(self.number)
        sampler = optuna.samplers.RandomSampler(seed=seed) if is_random else self.plan.sampler(**options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return optuna.samplers.PartialFixedSampler(self.fixed, sampler) if self.fixed else sampler

    def _recorded_violations(self, trial: FrozenTrial) -> list[float]:
        return self.plan.violations(Outcome.of(trial).metrics())

    def _others(self) -> list[FrozenTrial]:
        """Returns the trials of other sweeps that the sampler learns from."""
        if not self.plan.settings.start_from:
            return []
        return history.as_trials(self.study.attrs().get(START, ()), self.plan.space)

    def sample(self) -> list[str]:
        """Returns the trial's sampled overrides; what an earlier attempt has drawn stays."""
        view = self.study.view(self.plan.are_reports_objectives, self._others())
        study = self.study.optuna(self.sampler(), self.pruner, view)
        with view.kept(self.study.id), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parameters that a sampler can't model, and of experimental ones
            self.trial = trial = SeededTrial(study, self.trial_id, self.sampler, self.plan.space.fixed_texts())
            _ = trial.relative_params  # now, so that they don't depend on which parameters are drawn already
            overrides = self.plan.space.sample(trial.draw)
            if not (path := self.plan.settings.custom_search_space):
                return overrides
            try:
                return overrides + custom.suggest(path, self.task.composer(self.plan.overrides), trial, self.plan.space)
            except Exception as error:  # a user's own code
                raise Failed(f"custom_search_space: {describe_error(error)}") from error

    def run(self) -> tuple[TrialState, Outcome]:
        """Runs all repeats, on all folds. Returns how the trial ended.

        Raises:
            Interrupted: it was stopped, and can go on.
            DiskFullError: so it can once there is room.
        """
        outcome = Outcome(runs=self.runs)
        try:
            overrides = self.sample()
            if (same := self._duplicate()) is not None:
                return self._answer(same, outcome)
            num_runs = self.plan.num_runs
            for number in range(len(self.runs), num_runs):
                job = self._run_once(overrides, number)
                if isinstance(job, hydra_sweep.Pruned) and self.is_overtime:
                    self.runs.append(self._reached(job))
                    outcome.reason = f"timeout: it ran for trial_seconds={self.plan.settings.trial_seconds:g}"
                    return TrialState.COMPLETE, outcome
                if isinstance(job, hydra_sweep.Pruned):
                    self.runs.append(returned.numbers(job.metrics))
                    outcome.reason = safe_str(job) or None
                    return TrialState.PRUNED, outcome
                self.runs.append(job)
                if num_runs > 1:
                    recorded = {"runs": self.runs, "step": self.step}
                    self.study.storage.set_trial_user_attr(self.trial_id, RUNS, recorded)
                if self.reports_repeats and self._note_step(number + 1, job) and self._is_pruned(number + 1):
                    outcome.reason = f"pruned after {number + 1} {'runs' if self.plan.settings.folds else 'repeats'}"
                    return TrialState.PRUNED, outcome
        except Failed as failed:
            where = "".join(traceback.format_exception(failed.__cause__)) if failed.__cause__ else ""
            log.error("\n".join(map(escape_unprintable, f"trial {self.number} failed: {failed}\n{where}".splitlines())))
            outcome.reason = str(failed)
            return TrialState.FAIL, outcome
        return TrialState.COMPLETE, outcome

    def _run_once(self, overrides: list[str], number: int) -> dict[str, float] | hydra_sweep.Pruned:
        """Runs the task once, and keeps the record of that. Returns its metrics, or that it was pruned.

        Raises:
            Failed: it raised, left, or returned no objective.
            Interrupted: it was stopped.
            DiskFullError: the disk is full.
        """
        subdir = str(self.number) if self.plan.num_runs == 1 else f"{self.number}/{number}"
        run_overrides = [*overrides, *self.plan.run_overrides(number)]
        cfg = returned.outcome(lambda: self.task.compose(run_overrides, self.number, subdir))
        sampled = {key_of(text): text.partition("=")[2] for text in run_overrides}
        record = RunRecord(self.number, RUNNING, sampled, self.plan.label(0), attempt=self.lease.attempt)
        record.worker = Process.current().name
        self.best = {}
        with RunRecorder(self.plan.folder.run_record(subdir), record) as self.recorder:
            try:
                answer = returned.outcome(lambda: self._run_task(cfg))
                found: dict[str, float] | hydra_sweep.Pruned = (
                    answer if isinstance(answer, hydra_sweep.Pruned) else returned.metrics(self.plan, answer)
                )
            except Failed as failed:
                self.recorder.end(WORDS[TrialState.FAIL], reason=str(failed))
                raise
            except Paused as paused:
                self.recorder.end(PAUSED, reason=str(paused))
                raise
            if isinstance(found, hydra_sweep.Pruned) and self.is_overtime:
                self.recorder.end(WORDS[TrialState.COMPLETE], self._reached(found), "timeout")
            elif isinstance(found, hydra_sweep.Pruned):
                self.recorder.end(WORDS[TrialState.PRUNED], returned.numbers(found.metrics), safe_str(found) or None)
            else:
                self.recorder.end(WORDS[TrialState.COMPLETE], found)
        return found

    def _reached(self, job: hydra_sweep.Pruned) -> dict[str, float]:
        """Returns the metrics of a run that has ended for its time: the task's own, or those of its best report."""
        return self.best | returned.numbers(job.metrics)

    def _run_task(self, cfg: DictConfig) -> Any:
        self.count_silence(True)
        try:
            return self.task.run(cfg)
        finally:
            self.count_silence(False)

    def count_silence(self, is_on: bool) -> None:
        """Begins to count for how long the task has not been heard of, or stops to."""
        self.quiet_since = time.monotonic() if is_on else math.inf
        seconds = self.plan.settings.hang_seconds
        if seconds is None or not self.may_hang:
            return
        if is_on:  # for a task that lets no other thread of Python run, such as the heartbeat
            faulthandler.dump_traceback_later(2 * seconds, exit=True, file=2)
        else:
            faulthandler.cancel_dump_traceback_later()

    def _duplicate(self) -> FrozenTrial | None:
        """Returns a complete trial of the same configuration, unless duplicates are to be run."""
        if self.plan.settings.duplicates == "rerun" or self.runs or self.reported:
            return None
        assert self.trial is not None
        params = self.trial.params
        for trial in self.study.within_budget(self.plan.n_trials):
            if trial.state is TrialState.COMPLETE and trial.params == params and Outcome.of(trial).same_as is None:
                return trial
        return None

    def _answer(self, same: FrozenTrial, outcome: Outcome) -> tuple[TrialState, Outcome]:
        outcome.same_as = same.number
        if self.plan.settings.duplicates == "refuse":
            outcome.reason = f"the same configuration as trial {same.number}"
            return TrialState.FAIL, outcome
        outcome.runs = Outcome.of(same).runs
        outcome.reason = f"result of trial {same.number}, the same configuration"
        return TrialState.COMPLETE, outcome

    def report(self, value: float | Mapping[str, float], num_steps: int | None = None) -> bool:
        """Notes a step of the running repeat. Returns whether to prune.

        What an earlier attempt has reported stays; for its last step the question is asked again, in case that
        the answer was not heard.
        """
        self.count_silence(False)
        try:
            return self._report(value, num_steps)
        finally:
            self.count_silence(True)

    def _report(self, value: float | Mapping[str, float], num_steps: int | None) -> bool:
        if STOPPING.signum is not None:
            raise Interrupted(STOPPING.signum)
        if self.is_lost:
            raise Interrupted(signal.SIGTERM)
        label = self.plan.label(0)
        reported = returned.numbers(value if isinstance(value, Mapping) else {label: value})
        self.recorder.note(reported.get(label), reported, num_steps)
        is_over = self._is_over(reported)
        numbers = {name: reported.get(name, math.nan) for name in self.plan.pruned_by}
        if self.reports_repeats or not all(map(math.isfinite, numbers.values())):
            return is_over
        self.step += 1
        self.num_steps = None if num_steps is None else num_steps * self.plan.num_runs
        if self.schedule and self.num_steps and self.step == 1:
            self.study.set(NUM_STEPS, self.num_steps)
        done = {name: [run[name] for run in self.runs if name in run] for name in numbers}
        means = {name: statistics.fmean([*done[name], numbers[name]]) for name in numbers}
        is_to_be_decided = self._note_step(self.step, means)
        return is_over or (is_to_be_decided and self._decide(self.step))

    def _is_over(self, reported: Mapping[str, float]) -> bool:
        """Notes the best report of the running repeat. Returns whether the trial has had its time."""
        label, sign = self.plan.label(0), -1 if self.plan.directions[0] == "maximize" else 1
        if math.isfinite(value := reported.get(label, math.nan)) and sign * value <= sign * self.best.get(
            label, sign * math.inf
        ):
            self.best = dict(reported)
        seconds = self.plan.settings.trial_seconds
        self.is_overtime = seconds is not None and self.before + time.monotonic() - self.began >= seconds
        return self.is_overtime

    def _note_step(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Notes what was reported at a step, once. Returns whether anything may be decided: not of earlier steps."""
        assert self.trial is not None
        if step in self.reported and step != max(self.reported):
            return False
        names = list(self.plan.pruned_by)
        if step not in self.reported and names[0] in metrics:
            self.reported[step] = metrics[names[0]]
            if len(self.plan.directions) == 1:
                self.trial.report(metrics[names[0]], step)
            else:  # which Optuna's own trial has no reports of
                values = [metrics[name] for name in names]
                self.study.storage.set_trial_user_attr(self.trial_id, f"{REPORT}:{step}", values)
                self.study.storage.set_trial_intermediate_value(self.trial_id, step, values[0])
        return True

    def _is_pruned(self, number: int) -> bool:
        """Whether the trial is to end after so many repeats; after the last one it has ended by itself."""
        return self._decide(number) and number < self.plan.num_runs

    def _decide(self, step: int) -> bool:
        """Returns whether the trial is to end after a step.

        Raises:
            Paused: it is to wait.
        """
        assert self.trial is not None
        if self.schedule is None:  # Optuna's own trial can't be asked where there are several objectives
            return not isinstance(self.pruner, optuna.pruners.NopPruner) and bool(self.trial.should_prune())
        if self.pause and step <= self.pause.step:  # it has been decided since
            return self.pause.then is Move.END
        if not self.schedule.decides_at(self.number, step, self.num_steps):
            return False
        trials = self.study.within_budget(self.plan.n_trials)
        num_unbegun = self.plan.n_trials - len(trials)
        situation = self.study.situation(trials, num_unbegun, list(self.plan.pruned_by.values()))
        move = self.schedule.at_report(self.number, step, situation)
        if move is Move.PAUSE:
            self.study.pause(self.trial_id, step)
            raise Paused(step)
        return move is Move.END

    def tell(self, state: TrialState, outcome: Outcome) -> None:
        """Records the end: first for us, then for the sampler, then in the trial's state, for good."""
        metrics = outcome.metrics()
        trial_id = self.trial_id
        values = self.plan.values(metrics) if state is TrialState.COMPLETE else None
        if values is None and state is TrialState.COMPLETE and not self.plan.is_grid:
            state, outcome.reason = TrialState.FAIL, "a repeat lacks the objective"
        self.study.note(trial_id, outcome, values)
        if self.plan.constraints and optuna_compat.HAS_CONSTRAINTS and state is not TrialState.FAIL and self.trial:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # set by an earlier attempt already
                for constraint in self.plan.constraints:
                    self.trial.set_constraint(str(constraint), constraint.violation(metrics))
        if state is TrialState.COMPLETE and values is None:  # a grid whose task returns nothing
            self.study.end(trial_id, state, None, outcome)
            return
        view = self.study.view(self.plan.are_reports_objectives)
        study = self.study.optuna(self.sampler("after", draws=False), self.pruner, view)
        with warnings.catch_warnings(), suppress(ValueError):  # ValueError: ended by another in the meantime
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.tell(self.number, values, state=state)
