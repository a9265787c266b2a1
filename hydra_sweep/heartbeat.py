"""Both ends of liveness: renewing the lease of a running trial, and noticing one that nobody renews any more."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hydra_sweep import optuna_compat
from hydra_sweep.background import Background
from hydra_sweep.process import Process
from hydra_sweep.processes import kill_children
from hydra_sweep.records import Lease
from hydra_sweep.settings import SweeperConfig
from hydra_sweep.signals import STOPPING
from hydra_sweep.study import StopMode, SweepStudy
from hydra_sweep.trial import RunningTrial

log = logging.getLogger("hydra_sweep")
AT_WORK = threading.Lock()  # held while a worker of this process is at work


class Heartbeat(Background):
    """Renews the leases of the trials that a worker runs, and passes on what its sweeper wants.

    Args:
        parent: the process without which the worker stops, if there is one.
        is_alone: whether the worker has a process of its own, and is not in the sweeper's.
        stop_requested: returns how the sweeper wants its workers to stop, if it does.
    """

    def __init__(
        self,
        study: SweepStudy,
        settings: SweeperConfig,
        parent: Process | None,
        is_alone: bool,
        stop_requested: Callable[[], int | None],
    ) -> None:
        super().__init__("heartbeat")
        self.study, self.settings, self.parent, self.is_alone = study, settings, parent, is_alone
        self.stop_requested = stop_requested
        self.seconds = settings.lease_seconds / 6  # between two beats
        self.trials: dict[RunningTrial, tuple[float, float]] = {}  # since when, and how long each had run before
        self.detector = StaleTrialDetector(settings.lease_seconds)

    def __enter__(self) -> Heartbeat:
        super().__enter__()
        if self.is_alone:
            AT_WORK.acquire()
            if self.parent:
                follow(self.parent)
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        if self.is_alone:
            AT_WORK.release()

    @contextmanager
    def of(self, trial: RunningTrial) -> Iterator[None]:
        """Beats for a trial meanwhile."""
        self.trials[trial] = time.monotonic(), trial.lease.seconds
        try:
            yield
        finally:
            del self.trials[trial]

    def run(self) -> None:
        beaten = time.monotonic()
        while not self.done.wait(1.0):
            try:
                if self.is_alone and self.parent and self.parent.is_dead():
                    self.stop()
                self.end_hang()
                if time.monotonic() - beaten >= self.seconds:
                    beaten = time.monotonic()
                    self.beat()
                    if self.parent is None:  # there may be no sweeper to do it
                        self.requeue_stale()
                    how = self.stop_requested() if self.is_alone else None
                    if how == StopMode.KILL:
                        kill_children()
                        os._exit(128 + signal.SIGKILL)
                    elif how == StopMode.PREEMPT:
                        self.stop()
            except Exception as error:  # the storage is away; the next beat will tell
                log.warning("lease not renewed: %s", error)

    def beat(self) -> None:
        for trial, (since, before) in [*self.trials.items()]:
            if self.study.is_held(trial.trial_id, trial.lease):
                trial.lease.seconds = before + time.monotonic() - since
                self.study.renew_lease(trial.trial_id, trial.lease)
            elif trial in self.trials:
                trial.is_lost = True

    def end_hang(self) -> None:
        """Kills this process, once it has said why, if a task has not been heard of for too long."""
        if (seconds := self.settings.hang_seconds) is not None and self.is_alone:
            for trial in [*self.trials]:
                self.end_if_silent(trial, seconds)

    def end_if_silent(self, trial: RunningTrial, seconds: float) -> None:
        if time.monotonic() - trial.quiet_since < seconds or not self.study.is_held(trial.trial_id, trial.lease):
            return
        trial.lease.why = f"no report for {seconds:g} s, hydra.sweeper.hang_seconds"
        self.study.renew_lease(trial.trial_id, trial.lease)
        if time.monotonic() - trial.quiet_since >= seconds:  # still, however long the storage has taken
            faulthandler.dump_traceback(2)
            kill_children()
            os.kill(os.getpid(), signal.SIGKILL)
        trial.lease.why = None

    def requeue_stale(self) -> None:
        """Gives trials back whose workers are gone."""
        for trial in self.detector.lost(self.study):
            if self.study.is_held(optuna_compat.trial_id(trial), Lease.of(trial)):
                self.study.requeue_or_fail(trial, self.settings.max_attempts)

    def stop(self) -> None:
        """Stops the worker as a signal would: its task may be in the middle of something that only it can end."""
        if STOPPING.signum is None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)
            STOPPING.signum = STOPPING.signum or signal.SIGTERM


@cache
def follow(sweeper: Process) -> None:
    """Ends this process once its sweeper is gone and its own work is over: joblib's would idle on for minutes."""

    def follow() -> None:
        while not sweeper.is_dead():
            time.sleep(1.0)
        with AT_WORK:
            kill_children()
            os._exit(0)

    threading.Thread(target=follow, name="parent", daemon=True).start()


class StaleTrialDetector:
    """Tells which running trials have lost their worker, by watching their leases.

    Of this host a process that is gone is seen at once, and one that lives is never taken for lost. Of other hosts a
    lease counts as lost when it has not moved for `seconds` of this process's own time.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.seen: dict[int, tuple[Any, float]] = {}

    def lost(self, study: SweepStudy) -> list[FrozenTrial]:
        running = [trial for trial in study.trials() if trial.state is TrialState.RUNNING]
        lost = [trial for trial in running if self._is_lost(trial)]
        ids = {optuna_compat.trial_id(trial) for trial in running}
        self.seen = {trial_id: seen for trial_id, seen in self.seen.items() if trial_id in ids}
        return lost

    def _is_lost(self, trial: FrozenTrial) -> bool:
        lease = Lease.of(trial)
        if lease and lease.process and lease.process.is_here():
            return lease.process.is_dead()
        sign = (lease.process, lease.attempt, lease.beat) if lease else None
        now = time.monotonic()
        before, since = self.seen.get(optuna_compat.trial_id(trial), (None, now))
        if optuna_compat.trial_id(trial) not in self.seen or before != sign:
            since = now
        self.seen[optuna_compat.trial_id(trial)] = (sign, since)
        return now - since > self.seconds
