"""A comparison's sweeps, several at a time: each a command of its own, as a user would type it.

A search learns from each of its trials, so it is best run one trial after the other; and a winner's final runs are few.
So the workers that the comparison may use are shared out among chains of sweeps that need nothing of each other: one
worker each, or more where there are more workers than chains.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue

from omegaconf import DictConfig
from tqdm import tqdm

from hydra_sweep import signals
from hydra_sweep.machine import num_workers, visible_gpus
from hydra_sweep.quantities import about
from rnnexp.child import PYTHON

log = logging.getLogger("rnnexp")


class SweepFailed(Exception):
    """A sweep ended with this exit status, or was stopped."""

    def __init__(self, status: int) -> None:
        super().__init__(f"exit status {status}")
        self.status = status


@dataclass(frozen=True)
class Chain:
    """Sweeps of which each needs the one before; `work` is handed a function that runs one."""

    label: str
    work: Callable[[Callable[[Sequence[str]], None]], None]


@dataclass
class Sweeps:
    """Runs chains on the workers that a configuration allows.

    Args:
        flags: -cd and the like, for every sweep.
        stop: the signals that this process has got.
    """

    cfg: DictConfig
    flags: list[str]
    stop: signals.Stop
    children: set[subprocess.Popen[str]] = field(default_factory=set)
    told: set[subprocess.Popen[str]] = field(default_factory=set)  # to end
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, chains: Sequence[Chain], num_runs: int, save: Callable[[], None]) -> None:
        """Runs all chains, and saves what is known after each.

        Args:
            num_runs: that all chains train, at most: for the progress bar.
            save: is called in this thread, whenever a chain has ended.

        Raises:
            SystemExit: a sweep failed or was stopped.
            UserError: a chain can't go on.
        """
        if not chains:
            return
        gpus = visible_gpus()
        workers = num_workers(self.cfg.workers, gpus, self.cfg.workers_per_gpu)
        num_slots = min(workers, len(chains))
        slots: SimpleQueue[int] = SimpleQueue()
        for slot in range(num_slots):
            slots.put(slot)
        self.bar = tqdm(total=num_runs, unit="run", disable=not sys.stderr.isatty(), leave=False, dynamic_ncols=True)
        began, done, failure = time.monotonic(), 0, None

        def work(chain: Chain) -> None:
            slot = slots.get()
            mine = workers // num_slots + (slot < workers % num_slots)
            environment = {"CUDA_VISIBLE_DEVICES": ",".join(gpus[slot % len(gpus) :: num_slots])} if gpus else {}
            try:
                chain.work(lambda overrides: self.sweep(chain.label, overrides, mine, environment))
            finally:
                slots.put(slot)

        with ThreadPoolExecutor(num_slots) as pool, self.bar:
            pending: set[Future[None]] = {pool.submit(work, chain) for chain in chains}
            while pending:
                ended, pending = wait(pending, 0.2, FIRST_COMPLETED)
                for future in ended:
                    error = None if future.cancelled() else future.exception()
                    failure = failure or error
                    done += error is None and not future.cancelled()
                if self.stop.signum is not None or failure:
                    self.stop.is_heard = self.stop.signum is not None
                    for future in pending:
                        future.cancel()
                    self.end_children()
                if ended:
                    save()
                if ended and pending and not failure and self.stop.signum is None:
                    left = (time.monotonic() - began) / max(done, 1) * (len(chains) - done)
                    self.say(f"{done} of {len(chains)} parts done, {about(left)} left")
        if self.stop.signum is not None:
            log.info("\nstopped; the same command goes on")
            sys.exit(128 + self.stop.signum)
        if isinstance(failure, SweepFailed):
            log.info("\na sweep failed, see above; the same command goes on")
            sys.exit(failure.status)
        if failure:
            raise failure

    def sweep(self, label: str, overrides: Sequence[str], workers: int, environment: dict[str, str]) -> None:
        """Runs one sweep, and shows what it prints.

        Raises:
            SweepFailed: it failed, or was stopped.
        """
        own = [text for text in overrides if not text.startswith("workers=")]
        command = [*PYTHON, "-m", "rnnexp", "-m", *self.flags, *own, f"workers={workers}"]
        with self.lock:
            if self.stop.signum is not None:
                raise SweepFailed(128 + self.stop.signum)
            # A session of its own: of Ctrl-C in a terminal it hears once, from here.
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env={**os.environ, **environment},
                start_new_session=True,
            )
            self.children.add(child)
        assert child.stdout is not None
        with child.stdout:
            for line in child.stdout:
                self.show(label, line.rstrip("\n"))
        status = child.wait()
        with self.lock:
            self.children.discard(child)
        if status:
            raise SweepFailed(128 - status if status < 0 else status)

    def show(self, label: str, line: str) -> None:
        """Shows a line of a sweep: on a terminal, trials are counted by the bar and only the rest is shown."""
        if self.bar.disable:
            self.say(f"{label} | {line}" if line else "")
        elif line.startswith("trial "):
            self.bar.update()
        elif line.startswith("sweep:") or "rror" in line:
            self.say(f"{label} | {line}")

    def say(self, text: str) -> None:
        with self.lock:
            tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def end_children(self) -> None:
        """Lets the sweeps that run save what they have, and end."""
        with self.lock:
            for child in self.children - self.told:  # once each: a second signal would end it at once
                self.told.add(child)
                with suppress(ProcessLookupError):
                    child.send_signal(signal.SIGTERM)
