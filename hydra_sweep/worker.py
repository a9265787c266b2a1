"""The worker: asks for a trial, runs it in its folder, tells how it ended, until the budget is spent.

It is the task function that the sweeper hands to Hydra's launcher, one call for each worker. Nothing comes back through
the launcher, for a launcher loses what it returns when a neighbor dies: outcomes go to the study.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import env_override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from optuna.trial import TrialState

import hydra_sweep
from hydra_sweep import compat, lanes, streams
from hydra_sweep.heartbeat import Heartbeat, follow
from hydra_sweep.plan import Plan
from hydra_sweep.process import Process
from hydra_sweep.processes import Program
from hydra_sweep.returned import DiskFullError
from hydra_sweep.schedules import Budget
from hydra_sweep.signals import STOPPING, Interrupted, Paused, handling
from hydra_sweep.storage import explained
from hydra_sweep.study import FULL, STOP, WORKER, SweepStudy
from hydra_sweep.task import Task
from hydra_sweep.trial import RunningTrial

log = logging.getLogger("hydra_sweep")
WAIT_SECONDS = 0.5  # between two looks of a worker at what others do, on which the schedule waits
SPARE_SECONDS = 20  # of a job's time, in which no trial begins: it takes as long to load and to be saved again

os.register_at_fork(after_in_child=lambda: hydra_sweep.listen(None))  # what a task forks is not the trial


class Worker:
    """One long-lived worker.

    Args:
        config: the master configuration that trials are composed from.
        sweeper: the process that launched it.
        parent: the process without which the worker stops as well, if there is one and it was of this host.
        gpus: the devices of this machine that workers take in turn; empty: what the launcher gives them.
        num_workers: that share the sweep's trials, this one included.
        failed_before: trials of the sweep that had failed when its command was typed.
        only: the trials to run, if there are any; otherwise all that are to be had.
    """

    def __init__(
        self,
        plan: Plan,
        config: DictConfig,
        hydra_context: HydraContext,
        function: TaskFunction,
        sweeper: Process,
        parent: Process | None,
        gpus: Sequence[str],
        num_workers: int,
        failed_before: int,
        only: frozenset[int] = frozenset(),
    ) -> None:
        self.plan, self.config, self.hydra_context, self.function = plan, config, hydra_context, function
        self.sweeper, self.parent, self.gpus, self.num_workers, self.only = sweeper, parent, gpus, num_workers, only
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
        self.limit = JobTimeLimit(self.config.hydra.launcher)
        self.process = Process.current()
        self.task = Task(self.plan, self.config, self.hydra_context, self.function, self.program)
        self.schedule, _ = self.plan.schedule()
        self.has_room, self.is_spent = True, False  # the latter: there was nothing to begin, and nothing was given back
        logging.raiseExceptions = False  # a full disk is reported where it matters, not by the log
        self.is_alone = is_alone = self.process != self.sweeper  # in a process of its own, and not in the sweeper's
        if is_alone and self.gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus[HydraConfig.get().job.num % len(self.gpus)]
        if self.plan.is_database_gone():  # the sweeper says so
            return
        place = self.plan.folder.workers
        with explained(self.plan.url), _redirected(place, self.process.name, is_alone), _handlers(is_alone):
            settings = self.plan.settings
            self.study = SweepStudy(self.plan.url, self.plan.study_name, settings.storage_seconds, must_exist=True)
            self.artifact_store = self.plan.artifact_store()
            self.study.set(f"{WORKER}:{self.process.name}", vars(self.process) | {"sweeper": self.sweeper.name})
            with Heartbeat(self.study, settings, self.parent, is_alone, self.stop_requested) as self.heartbeat:
                self.work_side_by_side()
            is_unwanted = bool(self.stop_requested())
        if is_alone and not is_unwanted and not self.is_spent:
            self.limit.yield_to_queue(STOPPING.signum)

    def work_side_by_side(self) -> None:
        """Works on as many trials at once as `stack` says, but on no more than this worker's share of those left."""
        stack = self.plan.settings.stack
        if isinstance(stack, str):
            space = self.plan.space
            keys = frozenset(parameter.key for parameter in space.parameters)
            stack = compat.locate(stack)(self.task.composer(next(space.examples())), keys, space.is_search)
        trials = self.study.within_budget(self.plan.n_trials)
        num_open = self.plan.n_trials - sum(trial.state.is_finished() for trial in trials)
        number = 1 if self.only else max(1, min(stack, math.ceil(num_open / self.num_workers)))
        if number == 1:
            self.work()
            return
        log.info("%d trials side by side", number)
        # What each trial enters and leaves, in whichever order, is the same for all: it stays until the last one ends.
        with env_override(self.config.hydra.job.env_set), self.program.restored(self.function):
            lanes.side_by_side(self.work, number)

    def work(self) -> None:
        """Runs one trial after the other."""
        directions = list(self.plan.pruned_by.values())
        budget = Budget(self.plan.n_trials, self.plan.settings.stop.steps, self.schedule, directions)
        while self.has_room and STOPPING.signum is None and not self.stop_requested() and not self.limit.is_near():
            trials = self.study.trials()
            if self.study.num_failed(self.plan.n_trials, trials) >= self.max_failed:
                self.is_spent = True
                return
            known = [trial.trial_id for trial in self.heartbeat.trials]
            claimed = self.study.unacknowledged_claim(self.process, known, trials) or self.study.claim(
                self.process, budget, self.only, trials
            )
            if claimed is None and self.may_come():
                lanes.rest(WAIT_SECONDS)
                continue
            if claimed is None:
                self.is_spent = True
                return
            trial = RunningTrial(self.plan, self.study, self.task, *claimed, may_hang=self.is_alone)
            with self.heartbeat.of(trial):
                self.run_trial(trial)

    def may_come(self) -> bool:
        """Whether there may be something to claim later: what others report decides about paused trials."""
        pauses = self.schedule is not None and self.schedule.pauses
        return pauses and not self.only and self.study.is_left(self.plan.n_trials)

    def stop_requested(self) -> int | None:
        """Returns how the sweeper wants its workers to stop, if it does."""
        return self.study.attrs().get(f"{STOP}:{self.sweeper.name}")

    def run_trial(self, trial: RunningTrial) -> None:
        """Runs a claimed trial to its end and tells it, or gives it back when it is stopped."""
        started, before = time.monotonic(), trial.lease.seconds
        trial_id, lease = trial.trial_id, trial.lease
        folder = self.plan.folder.trial(trial.number)
        if self.artifact_store and lease.attempt > 1 and (problem := self.artifact_store.get_if_there(folder)):
            log.warning("trial %d restarts from scratch: %s", trial.number, problem)
        hydra_sweep.listen(trial)
        try:
            state, outcome = trial.run()
        except (Interrupted, KeyboardInterrupt, DiskFullError) as stopped:
            self.is_spent = False
            if isinstance(stopped, DiskFullError):
                self.has_room = False
                self.study.set(f"{FULL}:{self.sweeper.name}", f"trial {trial.number}: {stopped}")
            elif not trial.is_lost and not isinstance(stopped, Paused):
                STOPPING.signum = STOPPING.signum or getattr(stopped, "signum", signal.SIGINT)
            if self.study.is_held(trial_id, lease):
                if self.artifact_store and (problem := self.artifact_store.put(folder)):
                    log.warning("trial %d can go on from its checkpoint here only: %s", trial.number, problem)
                lease.seconds = before + time.monotonic() - started
                self.study.renew_lease(trial_id, lease)
                self.study.release(trial_id)
            if isinstance(stopped, KeyboardInterrupt):
                raise
            return
        finally:
            hydra_sweep.listen(None)
            self.task.restore_log()
        if state is TrialState.PRUNED and self.schedule and self.schedule.pauses:
            self.plan.folder.delete(trial.number, self.plan.settings.checkpoint_files)
        outcome.seconds = before + time.monotonic() - started
        outcome.attempt, outcome.worker = lease.attempt, self.process.name
        if self.artifact_store and folder.exists():
            problem = self.artifact_store.put(folder, self.plan.settings.artifact_store_exclude)
            outcome.reason = "; ".join(filter(None, [outcome.reason, problem])) or None
        if self.study.is_held(trial_id, lease):
            trial.tell(state, outcome)
        else:
            log.warning("trial %d was taken by another worker in the meantime", trial.number)


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


def prepare(sweeper: Process | None) -> None:
    """Prepares one of joblib's processes, which idle before and after their work.

    Signals to the group must not end one that idles, for joblib would kill its neighbors then.
    """
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)
    if sweeper:
        follow(sweeper)


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
