"""The sweeper: opens or resumes the study, launches the workers, watches over them, and shows what comes of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

from filelock import FileLock
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from hydra_sweep import artifacts, machine, results, storage, streams
from hydra_sweep.background import Background
from hydra_sweep.commands import show
from hydra_sweep.compose import Composer
from hydra_sweep.errors import UserError, counted, describe_error
from hydra_sweep.heartbeat import StaleTrialDetector
from hydra_sweep.launchers import LauncherKind, WorkerPool
from hydra_sweep.optuna_compat import trial_id
from hydra_sweep.plan import Plan
from hydra_sweep.planning import code_version, make, refuse_official
from hydra_sweep.process import Process
from hydra_sweep.progress import Progress
from hydra_sweep.records import LOSSES, Lease, is_paused, num_reports
from hydra_sweep.resume import open_study
from hydra_sweep.signals import STOPPING, handling
from hydra_sweep.stop_rules import Cause, End, due, too_many_failures
from hydra_sweep.study import FULL, STOP, WORKER, StopMode
from hydra_sweep.summary import dry_run
from hydra_sweep.worker import Worker, prepare


def sweep(config: DictConfig, hydra_context: HydraContext, task: TaskFunction, arguments: Sequence[str]) -> None:
    """Runs a multirun to the end of its budget, or as far as it is let.

    Raises:
        UserError: something is wrong with the request, or the folder holds another sweep.
        SystemExit: 1 if too many trials failed, 128 + signal if it was stopped.
    """
    streams.protect()  # most apps have theirs as Python gives them
    refuse_official()

    loader = hydra_context.config_loader
    code = partial(code_version, task, config)
    plan = make(config, arguments, Composer(loader, config), code=code, config_loader=loader)
    if plan.n_trials == 0:
        print("\n".join(dry_run(plan)))
        return
    streams.keep_going()
    with storage.explained(plan.url):
        Sweeper(plan, config, hydra_context, task).run()


class Sweeper:
    """One command's part in a sweep: others may take part at the same time, here or elsewhere.

    Raises:
        UserError: the launcher or the storage isn't there, or the folder holds another sweep.
    """

    def __init__(self, plan: Plan, config: DictConfig, hydra_context: HydraContext, task: TaskFunction) -> None:
        self.plan, self.config, self.hydra_context, self.task = plan, config, hydra_context, task
        self.process = Process.current()
        self.end: End | None = None  # that came early
        self.pool = WorkerPool(config, hydra_context, self.say)
        if not plan.settings.wait and not self.pool.kind.outlives_sweeper:
            raise UserError(
                "wait=false needs hydra/launcher=slurm; the workers of this launcher end with their command"
            )
        if plan.settings.hang_seconds is not None and self.pool.kind is LauncherKind.BASIC:
            raise UserError(
                "hang_seconds kills the process of a trial that hangs, which is this one with the basic launcher; "
                "try hydra/launcher=joblib"
            )
        self.study = open_study(plan)
        self.watch = StaleTrialDetector(plan.settings.lease_seconds)
        self.reap_lock = FileLock(plan.folder.reap_lock)
        self.started = time.monotonic()
        self.failed_before = self.study.num_failed(plan.n_trials)

    def trials(self) -> list[FrozenTrial]:
        """Returns the trials within the budget."""
        return self.study.within_budget(self.plan.n_trials)

    def num_failed(self) -> int:
        """Returns how many trials have failed since the command was typed."""
        return self.study.num_failed(self.plan.n_trials) - self.failed_before

    def seconds(self) -> float:
        """Returns for how long all commands of this sweep have been at work, if that is to end it."""
        if self.plan.settings.stop.seconds is None:
            return 0.0
        return self.study.note_seconds(self.process, time.monotonic() - self.started)

    def run(self) -> None:
        self.write_request()
        num_workers = self.num_workers()
        progress = Progress(self.plan, self.study, num_workers)
        monitor = Monitor(self, progress)
        STOPPING.signum = None
        self.study.set(f"{STOP}:{self.process.name}", 0)  # that of an earlier sweeper with this pid
        self.study.set(f"{FULL}:{self.process.name}", None)
        with self.handlers(), progress, monitor, self.pool.tidy(self.plan.folder.workers):
            self.run_workers(num_workers, monitor)
            if not self.plan.settings.wait and self.pool.jobs and not self.is_stopping():
                look = f"{self.plan.settings.status_command} {self.plan.folder}"
                self.say(f"{counted(num_workers, 'worker')} on the way; {look}")
                return
            self.wait_for_trials()
            if not self.is_stopping() and (end := too_many_failures(self.plan, self.trials(), self.num_failed())):
                monitor.end(end)  # for the last trials
            self.pool.cancel()  # those that still wait for their turn
        self.fetch()
        progress.summary(STOPPING.signum, str(self.end) if self.end else None)
        if self.plan.is_database_gone():
            self.end = End(Cause.DATABASE_LOST, (self.plan.folder.database, self.plan.folder.table.name))
            show("sweep", [str(self.end)])
        if STOPPING.signum is not None:
            sys.exit(128 + STOPPING.signum)
        all_failed = not self.plan.is_grid and {trial.state for trial in self.trials()} == {TrialState.FAIL}
        if (self.end and not self.end.cause.is_success) or all_failed:
            sys.exit(1)

    def run_workers(self, num_workers: int, monitor: Monitor) -> None:
        """Keeps so many workers at work until the budget is spent or a rule ends the sweep."""
        progress, idle_launches = None, 0
        while not self.is_stopping() and not self.plan.is_database_gone():
            num_open, num_running = self.left()
            if not num_open and not num_running:
                break
            monitor.check_rules()  # a rule of an earlier command may hold already
            if self.is_stopping():
                break
            crash_suspects = self.crash_suspects() if self.pool.kind.is_waited_for else frozenset[int]()
            missing = min(1 if crash_suspects else num_workers - self.pool.count(), num_open)
            if missing <= 0:  # workers are at the rest, and may leave some of it to us
                time.sleep(0.5)
                continue
            before, progress = progress, self.progress()
            idle_launches = idle_launches + 1 if progress == before else 0
            if idle_launches >= 3 * self.plan.settings.max_attempts:
                self.end = End(Cause.NO_PROGRESS, (self.plan.folder.workers,))
                break
            self.launch(missing, crash_suspects)
            if not self.plan.settings.wait:
                break

    def wait_for_trials(self) -> None:
        """Waits until no worker of this sweeper holds a trial."""
        while any(self.holds(trial) for trial in self.trials()) and self.pool.count():
            time.sleep(0.2)

    def fetch(self) -> None:
        """Fetches the folders of trials that were run elsewhere, unless somebody waits for the end."""
        if STOPPING.signum is None and (place := self.plan.artifact_store()):
            show("sweep", artifacts.fetch(place, self.plan.folder.path))

    def say(self, text: str) -> None:
        if not self.is_stopping():
            show("sweep", [text])

    def write_request(self) -> None:
        """Writes what was asked. Deletes what killed writers have left."""
        self.plan.folder.remove_partial_files()
        self.plan.folder.write_request(results.request(self.plan, self.study.name), OmegaConf.to_yaml(self.config))

    def progress(self) -> tuple[int, int]:
        """Returns how many trials finished, and how many reports there are."""
        trials = self.trials()
        return sum(t.state.is_finished() for t in trials), num_reports(trials)

    def left(self) -> tuple[int, int]:
        """Returns how many trials of the budget nobody has begun or holds, and how many are running."""
        self.reap()
        trials = self.trials()
        waiting = sum(trial.state is TrialState.WAITING for trial in trials)
        return waiting + self.plan.n_trials - len(trials), sum(t.state is TrialState.RUNNING for t in trials)

    def crash_suspects(self) -> frozenset[int]:
        """Returns the trials that fail when they are lost once more: they run alone.

        A worker that dies takes its neighbors with it, and nobody can tell who was first.
        """
        last = self.plan.settings.max_attempts - 1
        waiting = [t for t in self.trials() if t.state is TrialState.WAITING and not is_paused(t)]
        lost = {t.number: t.user_attrs.get(LOSSES) for t in waiting}
        return frozenset(n for n, losses in lost.items() if last and losses and losses["count"] >= last)

    def is_stopping(self) -> bool:
        return STOPPING.signum is not None or self.end is not None

    def holds(self, trial: FrozenTrial) -> bool:
        """Whether a worker of this sweeper is recorded as running the trial."""
        lease = Lease.of(trial)
        if trial.state is not TrialState.RUNNING or lease is None or lease.process is None:
            return False
        worker = self.study.attrs().get(f"{WORKER}:{lease.process.name}")
        return worker is not None and worker["sweeper"] == self.process.name

    def reap(self, has_ended: bool = False) -> None:
        """Gives trials back whose workers are gone; with `has_ended`, all that this sweeper's own workers hold."""
        with self.reap_lock:  # of two sweepers that see the same loss, the second sees it mended
            lost = self.watch.lost(self.study)
            lost += [trial for trial in self.study.trials() if has_ended and self.holds(trial)]
            for trial in {trial.number: trial for trial in lost}.values():
                if not self.study.is_held(trial_id(trial), Lease.of(trial)):
                    continue
                if STOPPING.signum is not None:  # killed by us, which is not the trial's fault
                    self.study.release(trial_id(trial))
                else:
                    self.study.requeue_or_fail(trial, self.plan.settings.max_attempts)

    def num_workers(self) -> int:
        """Returns how many workers are wanted at once."""
        self.gpus = machine.visible_gpus() if self.pool.kind is LauncherKind.JOBLIB else []
        settings = self.plan.settings
        if self.pool.kind is LauncherKind.BASIC:
            if (settings.workers or 1) > 1:
                print("sweep: the basic launcher runs one worker; for more add hydra/launcher=joblib")
            return 1
        return machine.num_workers(settings.workers, self.gpus, settings.workers_per_gpu)

    def launch(self, num_workers: int, only: frozenset[int]) -> None:
        """Starts workers, and waits for them if the launcher does; on these trials, if any, and on no others."""
        parent = None if self.pool.kind.outlives_sweeper else self.process
        context = self.hydra_context, self.task, self.process
        worker = Worker(self.plan, self.config, *context, parent, self.gpus, num_workers, self.failed_before, only)
        place = ["hydra.output_subdir=null", "hydra.sweep.subdir=workers", "hydra/job_logging=none"]
        self.pool.launch(worker, [[*next(self.plan.space.examples()), *place]] * num_workers, partial(prepare, parent))
        if self.pool.kind.is_waited_for:
            self.reap(has_ended=True)

    @contextmanager
    def handlers(self) -> Iterator[None]:
        """Lets the first Ctrl-C or SIGTERM stop the sweep softly, the second at once."""

        def handle(signum: int, frame: FrameType | None) -> None:
            if STOPPING.signum is not None:
                raise KeyboardInterrupt
            STOPPING.signum = signum
            streams.stop_waiting()

        with handling(dict.fromkeys((signal.SIGTERM, signal.SIGINT), handle)) as before:
            try:
                yield
            except KeyboardInterrupt:
                for signum in before:
                    signal.signal(signum, lambda signum, _: os._exit(128 + signum))
                STOPPING.signum = STOPPING.signum or signal.SIGINT
                self.pass_on(StopMode.KILL)
                self.kill_workers(signal.SIGKILL)
                self.pool.cancel()
                time.sleep(0.2)
                self.reap(has_ended=True)

    def pass_on(self, how: int) -> None:
        """Tells this sweeper's workers to stop: those of this host by a signal, others through the study."""
        self.study.set(f"{STOP}:{self.process.name}", how)
        if how == StopMode.PREEMPT:
            self.kill_workers(signal.SIGTERM)

    def kill_workers(self, signum: int) -> None:
        for key, value in self.study.attrs().items():
            if key.startswith(WORKER) and value["sweeper"] == self.process.name:
                process = Process(value["host"], value["pid"], value["born"])
                if process.is_here() and not process.is_dead() and process != self.process:
                    with suppress(ProcessLookupError):
                        os.kill(process.pid, signum)


class Monitor(Background):
    """Watches while the launcher holds the main thread: signals, lost workers, rules that end the sweep.

    Shows nothing itself: nothing that only shows may end what watches.
    """

    def __init__(self, sweeper: Sweeper, progress: Progress) -> None:
        super().__init__("monitor")
        self.sweeper, self.progress = sweeper, progress
        self.passed_on = 0

    def run(self) -> None:
        last = 0.0
        while not self.done.wait(0.2):
            try:
                if STOPPING.signum is not None and self.passed_on < StopMode.PREEMPT:
                    self.pass_on(StopMode.PREEMPT)
                    self.progress.say("stopping: running trials are saved first; Ctrl-C again stops at once")
                if time.monotonic() - last > self.progress.interval:
                    self.sweeper.reap()
                    self.check_rules()
                    last = time.monotonic()
            except Exception as error:  # the storage is away: the workers wait for it, and so do we
                self.progress.say(f"can't look at the study just now: {describe_error(error)}")
                last = time.monotonic()

    def pass_on(self, how: int) -> None:
        before, self.passed_on = self.passed_on, how
        try:
            self.sweeper.pass_on(how)
        except Exception:  # it is tried again
            self.passed_on = before
            raise

    def check_rules(self) -> None:
        if self.passed_on:
            return
        sweeper, attrs = self.sweeper, self.sweeper.study.attrs()
        if told := attrs.get(f"{STOP}:{sweeper.process.name}"):
            self.end(End(Cause.STOP_REQUESTED, mode=StopMode(told)))
        elif full := attrs.get(f"{FULL}:{sweeper.process.name}"):
            self.end(End(Cause.DISK_FULL, (full,)))
        elif end := due(sweeper.plan, sweeper.trials(), sweeper.seconds(), sweeper.num_failed()):
            self.end(end)

    def end(self, end: End) -> None:
        self.sweeper.end = end
        self.progress.say(str(end))
        self.pass_on(end.mode or end.cause.mode)
