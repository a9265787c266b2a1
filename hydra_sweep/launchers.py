"""The workers that a launcher runs, whatever launcher it is.

Hydra's launchers wait until all of their jobs have ended, and raise at the first one that was lost. That suits workers
that live and die together (basic, joblib). Workers that are jobs of their own (of Slurm, of Ray) are looked after one
by one: their launcher's wait is left out, so that it hands its jobs out instead, to be asked and replaced.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_sweep import compat, processes
from hydra_sweep.errors import UserError, describe_error


class LauncherKind(Enum):
    """The launchers that are known here, by their classes or their packages; workers of any other are waited for."""

    BASIC = compat.BASIC_LAUNCHER
    JOBLIB = "hydra_plugins.hydra_joblib_launcher"
    SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
    SUBMITIT = "hydra_plugins.hydra_submitit_launcher"  # its other executors, which run here
    RAY = "hydra_plugins.hydra_ray_launcher"
    OTHER = ""

    @classmethod
    def of(cls, launcher: DictConfig) -> LauncherKind:
        """Returns the kind of `hydra.launcher`."""
        return next(kind for kind in cls if f"{launcher._target_}.".startswith(f"{kind.value}.") or not kind.value)

    @property
    def package(self) -> str | None:
        """What must be installed for it, if anything."""
        return {
            LauncherKind.SLURM: "hydra-submitit-launcher",
            LauncherKind.SUBMITIT: "hydra-submitit-launcher",
            LauncherKind.RAY: "hydra-ray-launcher",
        }.get(self)

    @property
    def is_waited_for(self) -> bool:
        """Whether a launch returns only after all of its workers have ended."""
        return self not in (LauncherKind.SLURM, LauncherKind.SUBMITIT, LauncherKind.RAY)

    @property
    def outlives_sweeper(self) -> bool:
        """Whether the workers go on when the command that launched them is gone."""
        return self is LauncherKind.SLURM

    @property
    def runs_here(self) -> bool:
        """Whether the workers are on this machine for certain."""
        return self in (LauncherKind.BASIC, LauncherKind.JOBLIB)


@dataclass
class Job:
    """A worker that runs, or waits to be run, on its own.

    Args:
        result: what it returned, None while it isn't over; raises if it was lost.
    """

    name: str
    result: Callable[[], JobReturn | None]
    cancel: Callable[[], None]


class WorkerPool:
    """The workers of one sweeper.

    Args:
        config: the master configuration, with `hydra.launcher`.
        say: shows a line.

    Raises:
        UserError: the launcher isn't installed.
    """

    def __init__(self, config: DictConfig, hydra_context: HydraContext, say: Callable[[str], None]) -> None:
        self.config, self.hydra_context, self.say = config.copy(), hydra_context, say
        self.kind = LauncherKind.of(config.hydra.launcher)
        self.jobs: list[Job] = []
        self.mark: str | None = None  # of the processes that workers and their tasks start
        if root := self.config.hydra.hydra_logging.get("root"):
            with open_dict(self.config):
                root.level = "WARNING"  # "launching 2 jobs", the workers, would mislead
        logging.getLogger("hydra_plugins").setLevel(logging.WARNING)
        package = self.kind.package
        if package and importlib.util.find_spec(f"hydra_plugins.{package.replace('-', '_')}") is None:
            raise UserError(f"this launcher is a package of its own: type pip install {package}")

    def launch(self, task: TaskFunction, overrides: Sequence[Sequence[str]], prepare: partial[None]) -> None:
        """Starts a worker for each list of overrides.

        Args:
            prepare: called first in each of joblib's processes, which idle before and after their work.
        """
        config = self.config.copy()
        with open_dict(config):
            if "n_jobs" in config.hydra.launcher:
                # One job of one would be run in this very process by joblib, and could take it along.
                config.hydra.launcher.n_jobs = max(2, len(overrides))
        launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=self.hydra_context, task_function=task
        )
        if not self.kind.is_waited_for:
            self.jobs += (_ray_jobs if self.kind is LauncherKind.RAY else _submitit_jobs)(launcher, overrides)
            return
        if self.kind is LauncherKind.JOBLIB:
            if "OMP_WAIT_POLICY" not in os.environ:
                # GNU's OpenMP threads wait for one another by spinning until their time slice is over: workers beside
                # each other stop one another for whole time slices. A thousand turns are some microseconds.
                os.environ.setdefault("GOMP_SPINCOUNT", "1000")
            launcher.joblib |= {"initializer": prepare.func, "initargs": prepare.args}  # type: ignore[attr-defined]
        try:
            jobs = launcher.launch(overrides, initial_job_idx=0)
        except Exception as error:  # a killed worker ends the launcher's call, and its neighbors
            self.say(f"lost workers ({describe_error(error, 200)}); continuing")
            if self.mark:
                processes.kill_orphans(self.mark)
            return
        for returned in jobs or []:
            self._look_at(returned)

    def count(self) -> int:
        """Returns how many workers there are, those that wait for their turn included."""
        left = []
        for job in self.jobs:
            try:
                if (returned := job.result()) is None:
                    left.append(job)
                else:
                    self._look_at(returned)
            except Exception as error:
                self.say(f"lost worker {job.name} ({describe_error(error, 200)}); continuing")
        self.jobs = left
        return len(left)

    def _look_at(self, returned: JobReturn) -> None:
        if returned.status is JobStatus.FAILED:
            self.say(f"a worker ended: {describe_error(compat.returned(returned))}")

    @contextmanager
    def tidy(self, folder: Path) -> Iterator[None]:
        """Ends the workers that joblib keeps, and all that their tasks have left running.

        Workers that are jobs of their own end by themselves, and their cluster cleans up after them.

        Args:
            folder: for logs.
        """
        if not self.kind.is_waited_for:
            yield
            return
        if self.kind is LauncherKind.JOBLIB:
            _start_trackers(folder / "resources.log")
        with processes.marked() as self.mark:
            try:
                with processes.OrphansKiller(self.mark) if self.kind is LauncherKind.JOBLIB else nullcontext():
                    yield
            finally:
                _end_joblib_workers()
                processes.kill_left(self.mark)

    def cancel(self) -> None:
        """Ends all workers that are left, at once."""
        for job in self.jobs:
            with suppress(Exception):
                job.cancel()
        self.jobs = []


def _start_trackers(log: Path) -> None:
    """Starts the trackers of what processes leave in the system, which clean up after killed ones and print that.

    Whoever stops a sweep has workers killed, and nothing to do about it: it belongs in a log.
    """
    sys.stderr.flush()
    screen = os.dup(2)
    try:
        with suppress(OSError):  # on a full disk it goes to the screen
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as file:
                os.dup2(file.fileno(), 2)
        compat.start_trackers()
    finally:
        os.dup2(screen, 2)
        os.close(screen)


def _end_joblib_workers() -> None:
    """Lets joblib's idle workers end as Python does, so that they clean up after themselves; kills those that don't."""
    if (executor := compat.joblib_executor()) is None:
        return

    def kill(pids: Sequence[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    patience = threading.Timer(processes.GRACE_SECONDS, kill, [compat.executor_pids(executor)])
    patience.start()
    executor.shutdown(wait=True)
    patience.cancel()


def _submitit_jobs(launcher: Launcher, overrides: Sequence[Sequence[str]]) -> list[Job]:
    """Returns the jobs of a submitit array."""
    import submitit

    with compat.replaced(submitit.Job, "results", lambda job: [job]):
        jobs: Any = launcher.launch(overrides, initial_job_idx=0)

    def result(job: Any) -> JobReturn | None:
        return job.results()[0] if job.done() else None

    return [Job(job.job_id, partial(result, job), partial(job.cancel, check=False)) for job in jobs]


def _ray_jobs(launcher: Launcher, overrides: Sequence[Sequence[str]]) -> list[Job]:
    """Returns the tasks of a Ray cluster, which sends nothing home unless the environment says otherwise."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    init: Any = OmegaConf.to_container(launcher.ray_cfg.init)  # type: ignore[attr-defined]
    if (
        init.get("address") not in (None, "local") and not ray.is_initialized()
    ):  # to its own call the launcher adds what no cluster takes
        try:
            ray.init(**init)
        except ConnectionError as error:
            raise UserError(f"hydra.launcher.ray.init.address: no Ray cluster answers at {init['address']}") from error
    with compat.replaced(ray, "get", lambda task: task):
        tasks: Any = launcher.launch(overrides, initial_job_idx=0)

    def result(task: Any) -> JobReturn | None:
        return ray.get(task) if ray.wait([task], timeout=0)[0] else None

    return [Job(task.hex()[:8], partial(result, task), partial(ray.cancel, task, force=True)) for task in tasks]
