"""The worker: asks for a trial, runs it in its folder, tells how it ended, until the budget is spent.

It is the task function that the sweeper hands to Hydra's launcher, one call for each worker. Nothing comes back through
the launcher, for a launcher loses what it returns when a neighbor dies: outcomes go to the study.
"""

from __future__ import annotations

import errno
import faulthandler
import logging
import math
import numbers
import os
import signal
import statistics
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import optuna
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, configure_log, run_job
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

import hydra_sweep
from hydra_sweep import compat, custom, streams
from hydra_sweep.compose import Composer
from hydra_sweep.errors import describe_error, escape_unprintable, safe_str
from hydra_sweep.plan import CELL, Plan
from hydra_sweep.process import Process
from hydra_sweep.processes import Program, handling, kill_children, leaving_if_forked
from hydra_sweep.seeds import derive
from hydra_sweep.signals import Interrupted, Stop
from hydra_sweep.storage import explained
from hydra_sweep.study import FULL, RUNS, STOP, WORKER, Lease, Outcome, StaleTrialDetector, StopMode, SweepStudy

log = logging.getLogger("hydra_sweep")
HAS_CONSTRAINTS = hasattr(optuna.Trial, "set_constraint")  # Optuna 5; 4.9 has constraints_func instead
KEEPS_CONSTRAINTS = ("tpe", "gp", "nsgaii")
SPARE_SECONDS = 20  # of a job's time, in which no trial begins: it takes as long to load and to be saved again
AT_WORK = threading.Lock()  # held while a worker of this process is at work
STOPPING = Stop()  # set by a signal in this process, be it a worker's own or the sweeper's

os.register_at_fork(after_in_child=lambda: hydra_sweep.listen(None))  # what a task forks is not the trial


class Failed(Exception):
    """The task raised, or its return is no objective; the text says why, in one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(safe_str(reason))


class DiskFullError(Exception):
    """The disk is full: the trial is none the worse for it, and the next one would fare no better."""


class Worker:
    """One long-lived worker.

    Args:
        config: the master configuration that trials are composed from.
        sweeper: the process that launched it.
        leash: the process without which the worker stops as well, if there is one and it was of this host.
        gpus: the devices of this machine that workers take in turn; empty: what the launcher gives them.
        failed_before: trials of the sweep that had failed when its command was typed.
        only: the trials to run, if there are any; otherwise all that are to be had.
    """

    def __init__(
        self,
        plan: Plan,
        config: DictConfig,
        hydra_context: HydraContext,
        task: TaskFunction,
        sweeper: Process,
        parent: Process | None,
        gpus: Sequence[str],
        failed_before: int,
        only: frozenset[int] = frozenset(),
    ) -> None:
        self.plan, self.config, self.hydra_context, self.task, self.sweeper = plan, config, hydra_context, task, sweeper
        self.parent, self.gpus, self.only = parent, gpus, only
        self.max_failed = failed_before + plan.settings.max_failures
        self.program = Program.current()
        self.made_of = tuple(vars(self))

    def __getstate__(self) -> dict[str, Any]:
        """Returns what it was made of: a job that is queued again begins anew."""
        return {name: getattr(self, name) for name in (*self.made_of, "made_of")}

    def __call__(self, cfg: DictConfig) -> None:
        """Works until there is nothing to claim, its time is up, or it is asked to stop."""
        streams.protect()
        streams.keep_going()
        limit = JobTimeLimit(self.config.hydra.launcher)
        self.process = Process.current()
        self.composer = Composer(self.hydra_context.config_loader, self.config)
        self.has_room = True
        logging.raiseExceptions = False  # a full disk is reported where it matters, not by the log
        self.is_alone = is_alone = self.process != self.sweeper  # in a process of its own, and not in the sweeper's
        if is_alone and self.gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus[HydraConfig.get().job.num % len(self.gpus)]
        place = self.plan.folder / "workers"
        with explained(self.plan.url), _redirected(place, self.process.name, is_alone), _handlers(is_alone):
            seconds = self.plan.settings.storage_seconds
            self.study = SweepStudy(self.plan.url, self.plan.study_name, seconds, is_patient=True)
            self.artifact_store = self.plan.artifact_store()
            self.study.set(f"{WORKER}:{self.process.name}", vars(self.process) | {"sweeper": self.sweeper.name})
            with Heartbeat(self, is_alone) as heartbeat:
                while self.has_room and STOPPING.signum is None and not self.stop_requested() and not limit.is_near():
                    if self.study.num_failed(self.plan.n_trials) >= self.max_failed:
                        return
                    max_steps = self.plan.settings.stop.steps
                    claimed = self.study.unacknowledged_claim(self.process) or self.study.claim(
                        self.process, self.plan.n_trials, self.only, max_steps
                    )
                    if claimed is None:
                        return
                    with heartbeat.holding(*claimed):
                        self.run_trial(*claimed)
            is_unwanted = bool(self.stop_requested())
        if is_alone and not is_unwanted:
            limit.yield_to_queue(STOPPING.signum)

    def stop_requested(self) -> int | None:
        """Returns how the sweeper wants its workers to stop, if it does."""
        return self.study.attrs().get(f"{STOP}:{self.sweeper.name}")

    def run_trial(self, trial_id: int, lease: Lease) -> None:
        """Runs a claimed trial to its end and tells it, or gives it back when it is stopped."""
        started, before = time.monotonic(), lease.seconds
        active = RunningTrial(self, trial_id, lease)
        folder = self.plan.folder / str(active.number)
        if self.artifact_store and lease.attempt > 1 and (problem := self.artifact_store.get_if_there(folder)):
            log.warning("trial %d restarts from scratch: %s", active.number, problem)
        hydra_sweep.listen(active)
        try:
            state, outcome = active.run()
        except (Interrupted, KeyboardInterrupt, DiskFullError) as stopped:
            if isinstance(stopped, DiskFullError):
                self.has_room = False
                self.study.set(f"{FULL}:{self.sweeper.name}", f"trial {active.number}: {stopped}")
            elif not active.is_lost:
                STOPPING.signum = STOPPING.signum or getattr(stopped, "signum", signal.SIGINT)
            if self.study.is_held(trial_id, lease):
                if self.artifact_store and (problem := self.artifact_store.put(folder)):
                    log.warning("trial %d can go on from its checkpoint here only: %s", active.number, problem)
                lease.seconds = before + time.monotonic() - started
                self.study.renew_lease(trial_id, lease)
                self.study.release(trial_id)
            if isinstance(stopped, KeyboardInterrupt):
                raise
            return
        finally:
            hydra_sweep.listen(None)
            configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        outcome.seconds = before + time.monotonic() - started
        outcome.attempt, outcome.worker = lease.attempt, self.process.name
        if (
            self.artifact_store
            and folder.exists()
            and (problem := self.artifact_store.put(folder, self.plan.settings.artifact_store_exclude))
        ):
            outcome.reason = "; ".join(filter(None, [outcome.reason, problem]))
        if self.study.is_held(trial_id, lease):
            active.tell(state, outcome)
        else:
            log.warning("trial %d was taken by another worker in the meantime", active.number)

    def compose(self, overrides: Sequence[str], number: int, subdir: str) -> DictConfig:
        """Returns a trial's configuration, its folder and number included."""
        place = [f"hydra.sweep.dir='{_quoted(self.plan.folder)}'", f"hydra.sweep.subdir={subdir}"]
        cfg = self.composer([*self.plan.trial_overrides(overrides), *place])
        with open_dict(cfg):
            cfg.hydra.job.id, cfg.hydra.job.num = f"{cfg.hydra.job.name}_{number}", number
            root = (cfg.hydra.job_logging or {}).get("root")
            if root and "console" in root.get("handlers", []) and not cfg.hydra.verbose:  # the sweeper has the screen
                root.handlers = [name for name in root.handlers if name != "console"]
        return cfg


class JobTimeLimit:
    """The time that a job of a cluster has, and what becomes of it when its time is up or its place is wanted.

    submitit has Slurm send SIGUSR2 before the time limit, and queues the job again when it arrives. A job that is
    preempted gets SIGTERM, and is queued again by Slurm itself unless it ends before it is killed.

    Args:
        launcher: `hydra.launcher`; only submitit's jobs on Slurm have limits.
    """

    def __init__(self, launcher: DictConfig) -> None:
        self.has_queue = "timeout_min" in launcher and "SLURM_JOB_ID" in os.environ
        self.ends = math.inf
        if self.has_queue:
            notice = float(launcher.get("signal_delay_s", 0))
            self.ends = time.monotonic() + 60 * launcher.timeout_min - notice

    def is_near(self) -> bool:
        """Whether it is too late to begin with a trial."""
        return time.monotonic() > self.ends - SPARE_SECONDS

    def yield_to_queue(self, signum: int | None) -> None:
        """Lets the job be queued again, with its trials given back; a job that has done all it can just ends."""
        if not self.has_queue:
            return
        if signum == signal.SIGTERM:
            time.sleep(600)  # until Slurm kills it: one that ends before is not queued again
        elif signum == signal.SIGUSR2 or self.is_near():
            os.kill(os.getpid(), signal.SIGUSR2)  # submitit's own handler is back


class SeededTrial(compat.Trial):
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

    def before(self, name: str) -> None:
        self.study.sampler = self._sampler(name)


class RunningTrial:
    """The trial that a worker runs at the moment; hears what its task reports."""

    def __init__(self, worker: Worker, trial_id: int, lease: Lease) -> None:
        self.worker, self.plan, self.study = worker, worker.plan, worker.study
        self.trial_id, self.lease = trial_id, lease
        self.is_search = self.plan.space.is_search
        frozen = self.study.storage.get_trial(trial_id)
        self.number = frozen.number
        self.fixed = self._fixed(frozen)
        recorded = frozen.user_attrs.get(RUNS, {"runs": [], "step": 0})
        self.runs: list[dict[str, float]] = list(recorded["runs"])  # of the repeats that are done
        self.step: int = recorded["step"]  # reports so far, of all repeats together
        self.reported = dict(frozen.intermediate_values)
        self.is_lost = False
        self.quiet_since = math.inf  # while the task is at work, when it was last heard of
        settings = self.plan.settings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self.pruner = instantiate(self.plan.pruner_config)
        self.reports_repeats = self.plan.pruner_name == "wilcoxon" and settings.repeats > 1
        self.trial: optuna.Trial | None = None

    def _fixed(self, frozen: FrozenTrial) -> dict[str, Any]:
        """Returns the parameters that are not left to the sampler; records them, for the trial to keep them."""
        cell = self.plan.cell_of(frozen)
        if cell is None:
            cell = self.plan.next_cell(self.number, self.study.within_budget(self.plan.n_trials))
            self.study.storage.set_trial_user_attr(self.trial_id, CELL, list(cell))
        return self.plan.wanted.get(cell, {})

    def sampler(self, *purpose: str) -> optuna.samplers.BaseSampler:
        """Returns a sampler whose draws depend on the sweep's seed, the trial's number and the purpose alone.

        So a resumed sweep neither draws its first points again nor others than an uninterrupted one.
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
        if self.plan.constraints and not HAS_CONSTRAINTS and name in KEEPS_CONSTRAINTS:
            options["constraints_func"] = self._recorded_violations
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler: optuna.samplers.BaseSampler = instantiate(self.plan.sampler_config, **options)
            if self.fixed:
                sampler = optuna.samplers.PartialFixedSampler(self.fixed, sampler)
        return sampler

    def _recorded_violations(self, trial: FrozenTrial) -> list[float]:
        return self.plan.violations(Outcome.of(trial).metrics())

    def sample(self) -> list[str]:
        """Returns the trial's sampled overrides; what an earlier attempt has drawn stays."""
        study = self.study.optuna(self.sampler(), self.pruner)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parameters that a sampler can't model, and of experimental ones
            self.trial = trial = SeededTrial(study, self.trial_id, self.sampler, self.plan.space.fixed_texts())
            _ = trial.relative_params  # now, so that they don't depend on which parameters are drawn already
            overrides = self.plan.space.sample(trial.draw)
            if not (path := self.plan.settings.custom_search_space):
                return overrides
            try:
                return overrides + custom.suggest(
                    path, self.worker.composer(self.plan.overrides), trial, self.plan.space
                )
            except Exception as error:  # a user's own code
                raise Failed(f"custom_search_space: {describe_error(error)}") from error

    def run(self) -> tuple[TrialState, Outcome]:
        """Runs all repeats. Returns how the trial ended.

        Raises:
            Interrupted: it was stopped, and can go on.
            NoRoom: so it can once there is room.
        """
        outcome = Outcome(runs=self.runs)
        try:
            overrides = self.sample()
            if (same := self._duplicate()) is not None:
                return self._answer(same, outcome)
            repeats = self.plan.settings.repeats
            for repeat in range(len(self.runs), repeats):
                job = self._run_once(overrides, repeat)
                if isinstance(job, hydra_sweep.Pruned):
                    self.runs.append(_numbers(job.metrics))
                    outcome.reason = safe_str(job)
                    return TrialState.PRUNED, outcome
                self.runs.append(job)
                if repeats > 1:
                    recorded = {"runs": self.runs, "step": self.step}
                    self.study.storage.set_trial_user_attr(self.trial_id, RUNS, recorded)
                if self.reports_repeats and self._tell_step(repeat + 1, job) and repeat + 1 < repeats:
                    outcome.reason = f"pruned after {repeat + 1} repeats"
                    return TrialState.PRUNED, outcome
        except Failed as failed:
            where = "".join(traceback.format_exception(failed.__cause__)) if failed.__cause__ else ""
            log.error("\n".join(map(escape_unprintable, f"trial {self.number} failed: {failed}\n{where}".splitlines())))
            outcome.reason = str(failed)
            return TrialState.FAIL, outcome
        return TrialState.COMPLETE, outcome

    def _run_once(self, overrides: list[str], repeat: int) -> dict[str, float] | hydra_sweep.Pruned:
        """Runs the task once. Returns its metrics, or that it was pruned.

        Raises:
            Failed: it raised, left, or returned no objective.
            Interrupted: it was stopped.
            NoRoom: the disk is full.
        """
        repeats, key = self.plan.settings.repeats, self.plan.settings.seed_key
        subdir, seed = str(self.number), []
        if repeats > 1:
            subdir, seed = f"{self.number}/{repeat}", [f"{key}={self.plan.first_seed + repeat}"]
        try:
            cfg = self.worker.compose([*overrides, *seed], self.number, subdir)
            self.count_silence(True)
            with self.worker.program.restored(self.worker.task):
                job: JobReturn = run_job(
                    task_function=leaving_if_forked(self.worker.task),
                    config=cfg,
                    job_dir_key="hydra.sweep.dir",
                    job_subdir_key="hydra.sweep.subdir",
                    hydra_context=self.worker.hydra_context,
                )
            returned = compat.returned(job)
        except Interrupted:
            raise
        except BaseException as error:  # SystemExit and the like pass Hydra; composing, making the folder
            if isinstance(error, KeyboardInterrupt) and STOPPING.signum is not None:
                raise  # the second Ctrl-C; a first one raises nothing
            returned = error
        finally:
            self.count_silence(False)
        if isinstance(returned, Interrupted):
            raise returned
        if isinstance(returned, hydra_sweep.Pruned):
            return returned
        if isinstance(returned, optuna.TrialPruned):
            return hydra_sweep.Pruned(safe_str(returned) or "pruned")
        if isinstance(returned, BaseException):
            raise (
                DiskFullError(describe_error(returned))
                if is_for_lack_of_room(returned)
                else Failed(describe_error(returned))
            ) from returned
        try:
            return self._metrics(returned)
        except Failed:
            raise
        except Exception as error:  # what it returned may have any methods
            raise Failed(f"a {type(returned).__name__} that can't be read: {describe_error(error)}") from error

    def count_silence(self, is_on: bool) -> None:
        """Begins to count for how long the task has not been heard of, or stops to."""
        self.quiet_since = time.monotonic() if is_on else math.inf
        seconds = self.plan.settings.hang_seconds
        if seconds is None or not self.worker.is_alone:
            return
        if is_on:  # for a task that lets no other thread of Python run, such as the keeper
            faulthandler.dump_traceback_later(2 * seconds, exit=True, file=2)
        else:
            faulthandler.cancel_dump_traceback_later()

    def _metrics(self, returned: Any) -> dict[str, float]:
        """Returns what the task returned as named numbers.

        Raises:
            Failed: an objective is missing, or is not a finite number.
        """
        plan = self.plan
        labels = [plan.label(i) for i in range(len(plan.directions))]
        if isinstance(returned, Mapping):
            metrics = _numbers(returned)
            given = dict(returned)
            if not plan.space.is_search and not plan.objectives:
                return metrics
        else:
            several = isinstance(returned, Sequence) and not isinstance(returned, (str, bytes))
            values = list(returned) if several else [returned]
            if returned is None and plan.is_grid:
                return {}
            if len(values) != len(labels):
                wanted = f"{len(labels)} objective{'s' * (len(labels) > 1)}"
                raise Failed(f"the task must return {wanted}, got {len(values)}")
            given = dict(zip(labels, values, strict=True))
            metrics = _numbers(given)
        for label in labels:
            if label not in given:
                known = safe_str(", ".join(map(str, given))) or "no metrics"
                hint = "" if plan.objectives or not given else "; choose with hydra.sweeper.objective=NAME"
                raise Failed(f"the task returned no {label}; there are {known}{hint}")
            if label not in metrics:
                raise Failed(f"{label} must be a number, got {_shown(given[label])}")
            if not math.isfinite(metrics[label]):
                raise Failed(f"{label} is {metrics[label]}")
        return metrics

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

    def report(self, value: float | Mapping[str, float]) -> bool:
        """Notes a step of the running repeat. Returns whether to prune.

        What an earlier attempt has reported stays; for its last step the question is asked again, in case that
        the answer was not heard.
        """
        self.count_silence(False)
        try:
            return self._report(value)
        finally:
            self.count_silence(True)

    def _report(self, value: float | Mapping[str, float]) -> bool:
        if STOPPING.signum is not None:
            raise Interrupted(STOPPING.signum)
        if self.is_lost:
            raise Interrupted(signal.SIGTERM)
        if len(self.plan.directions) > 1 or self.reports_repeats:
            return False
        label = self.plan.label(0)
        number = value.get(label) if isinstance(value, Mapping) else value
        if number is None or not math.isfinite(number):
            return False
        self.step += 1
        done = [run[label] for run in self.runs if label in run]
        return self._tell_step(self.step, {label: statistics.fmean([*done, float(number)])})

    def _tell_step(self, step: int, metrics: Mapping[str, float]) -> bool:
        assert self.trial is not None
        label = self.plan.label(0)
        if step in self.reported and step != max(self.reported):
            return False
        if step not in self.reported and label in metrics:
            self.reported[step] = metrics[label]
            self.trial.report(metrics[label], step)
        return bool(self.trial.should_prune())

    def tell(self, state: TrialState, outcome: Outcome) -> None:
        """Records the end: first for us, then for the sampler, then in the trial's state, for good."""
        metrics = outcome.metrics()
        trial_id = self.trial_id
        values = self.plan.values(metrics) if state is TrialState.COMPLETE else None
        if values is None and state is TrialState.COMPLETE and not self.plan.is_grid:
            state, outcome.reason = TrialState.FAIL, "a repeat lacks the objective"
        self.study.note(trial_id, outcome, values)
        if self.plan.constraints and HAS_CONSTRAINTS and state is not TrialState.FAIL and self.trial:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # set by an earlier attempt already
                for constraint in self.plan.constraints:
                    self.trial.set_constraint(str(constraint), constraint.violation(metrics))
        if state is TrialState.COMPLETE and values is None:  # a grid whose task returns nothing
            self.study.end(trial_id, state, None, outcome)
            return
        study = self.study.optuna(self.sampler("after"), self.pruner)
        with warnings.catch_warnings(), suppress(ValueError):  # ValueError: ended by another in the meantime
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.tell(self.number, values, state=state)


class Heartbeat(threading.Thread):
    """Keeps a worker's lease alive, and passes on what its sweeper wants."""

    def __init__(self, worker: Worker, is_alone: bool) -> None:
        super().__init__(name="keeper", daemon=True)
        self.worker, self.is_alone = worker, is_alone
        self.seconds = worker.plan.settings.lease_seconds / 6
        self.done = threading.Event()
        self.held: tuple[int, Lease] | None = None
        self.watch = StaleTrialDetector(worker.plan.settings.lease_seconds)

    def __enter__(self) -> Heartbeat:
        self.start()
        if self.is_alone:
            AT_WORK.acquire()
            if parent := self.worker.parent:
                _follow(parent)
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join()
        if self.is_alone:
            AT_WORK.release()

    @contextmanager
    def holding(self, trial_id: int, lease: Lease) -> Iterator[None]:
        self.held, self.since = (trial_id, lease), time.monotonic()
        self.base = lease.seconds
        try:
            yield
        finally:
            self.held = None

    def run(self) -> None:
        beaten = time.monotonic()
        while not self.done.wait(1.0):
            try:
                if self.is_alone and self.worker.parent and self.worker.parent.is_dead():
                    self.stop()
                self.end_hang()
                if time.monotonic() - beaten >= self.seconds:
                    beaten = time.monotonic()
                    self.beat()
                    if self.worker.parent is None:  # there may be no sweeper to do it
                        self.reap()
                    how = self.worker.stop_requested() if self.is_alone else None
                    if how == StopMode.KILL:
                        kill_children()
                        os._exit(128 + signal.SIGKILL)
                    elif how == StopMode.PREEMPT:
                        self.stop()
            except Exception as error:  # the storage is away; the next beat will tell
                log.warning("lease not renewed: %s", error)

    def beat(self) -> None:
        if (held := self.held) is None:
            return
        trial_id, lease = held
        if self.worker.study.is_held(trial_id, lease):
            lease.seconds = self.base + time.monotonic() - self.since
            self.worker.study.renew_lease(trial_id, lease)
        elif self.held is held and isinstance(hydra_sweep._listener, RunningTrial):
            hydra_sweep._listener.is_lost = True

    def end_hang(self) -> None:
        """Kills this process, once it has said why, if the task has not been heard of for too long."""
        seconds, active = self.worker.plan.settings.hang_seconds, hydra_sweep._listener
        if seconds is None or not self.is_alone or not isinstance(active, RunningTrial):
            return
        study, trial_id, lease = active.study, active.trial_id, active.lease
        if time.monotonic() - active.quiet_since < seconds or not study.is_held(trial_id, lease):
            return
        lease.why = f"no report for {seconds:g} s, hydra.sweeper.hang_seconds"
        study.renew_lease(trial_id, lease)
        if time.monotonic() - active.quiet_since >= seconds:  # still, however long the storage has taken
            faulthandler.dump_traceback(2)
            kill_children()
            os.kill(os.getpid(), signal.SIGKILL)
        lease.why = None

    def reap(self) -> None:
        """Gives trials back whose workers are gone."""
        study = self.worker.study
        for trial in self.watch.lost(study):
            if study.is_held(compat.trial_id(trial), Lease.of(trial)):
                study.requeue_or_fail(trial, self.worker.plan.settings.max_attempts)

    def stop(self) -> None:
        """Stops the worker as a signal would: its task may be in the middle of something that only it can end."""
        if STOPPING.signum is None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)
            STOPPING.signum = STOPPING.signum or signal.SIGTERM


def prepare(sweeper: Process | None) -> None:
    """Prepares one of joblib's processes, which idle before and after their work.

    Signals to the group must not end one that idles, for joblib would kill its neighbors then.
    """
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)
    if sweeper:
        _follow(sweeper)


@cache
def _follow(sweeper: Process) -> None:
    """Ends this process once its sweeper is gone and its own work is over: joblib's would idle on for minutes."""

    def follow() -> None:
        while not sweeper.is_dead():
            time.sleep(1.0)
        with AT_WORK:
            kill_children()
            os._exit(0)

    threading.Thread(target=follow, name="leash", daemon=True).start()


@contextmanager
def _handlers(is_alone: bool) -> Iterator[None]:
    """Lets SIGTERM and SIGUSR2 stop a worker after its checkpoint; Ctrl-C is the sweeper's to pass on.

    In the sweeper's own process the handlers are the sweeper's.
    """
    if not is_alone:
        yield
        return
    STOPPING.signum = None

    def handle(signum: int, frame: FrameType | None) -> None:
        STOPPING.signum = STOPPING.signum or signum
        if signum == signal.SIGUSR2:
            signal.raise_signal(signal.SIGTERM)  # which the running task listens to

    with handling({signal.SIGTERM: handle, signal.SIGINT: signal.SIG_IGN, signal.SIGUSR2: handle}):
        yield


@contextmanager
def _redirected(folder: Path, name: str, is_alone: bool) -> Iterator[None]:
    """Sends what a worker's process prints, crashes included, to a file of its own."""
    if not is_alone:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush(), sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    with (folder / f"{name}.log").open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        for handle, target in zip(saved, (1, 2), strict=True):
            os.dup2(handle, target)
            os.close(handle)


def _numbers(metrics: Mapping[Any, Any]) -> dict[str, float]:
    """Returns the metrics that are real numbers, numpy's and torch's scalars included."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        with suppress(Exception):  # an array of several numbers, or a number too large
            number = value.item() if hasattr(value, "item") else value
            if isinstance(number, numbers.Integral) and abs(int(number)) < 2**53:  # exact as a float, too
                found[escape_unprintable(str(name))] = int(number)
            elif isinstance(number, numbers.Real):
                found[escape_unprintable(str(name))] = float(number)
    return found


def _shown(value: Any) -> str:
    """Returns a value's type and the beginning of its text."""
    return f"{type(value).__name__} {safe_str(value, 40)}".rstrip()


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace("'", "\\'")


def is_for_lack_of_room(error: BaseException | None) -> bool:
    """Whether a full disk, or a quota, is behind it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
