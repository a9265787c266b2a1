"""The process that a task finds, as its program would have it alone, and the end of the processes that tasks leave.

A launcher's worker is a process of the launcher's making: `__main__` is a module of the launcher, and multiprocessing
starts processes as the launcher does. A `DataLoader` with workers, a pool or a spawned process then fails, hangs, or
can't import what the program has defined. `Program` gives the task the process of the program, and hands it back.

What a task leaves running goes on until its worker ends, as it would until its program ends; then it is killed. It is
known by a variable in its environment, which stays when its parent dies or it leaves the session. Out of reach is what
was started with another environment, and what a worker has left that was killed together with its sweeper.
"""

from __future__ import annotations

import inspect
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import psutil

from hydra_sweep import compat
from hydra_sweep.background import Background

GRACE_SECONDS = 3  # for a worker's end, which threads and processes of its tasks may hold up for ever


@dataclass(frozen=True)
class Program:
    """What multiprocessing knows of a program; of the sweeper's process, to be told to its workers.

    Args:
        main: the module that was run by `python -m`, if one was.
        file: the script, or that module's file.
        start_method: as the program has chosen it; None: Python's default.
    """

    main: str | None
    file: str | None
    start_method: str | None

    @classmethod
    def current(cls) -> Program:
        main = sys.modules["__main__"]
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        method: str | None = multiprocessing.get_start_method(allow_none=True)
        if method == multiprocessing.get_all_start_methods()[0]:
            method = None  # the default is set for good by whoever asks for it, such as joblib as it is imported
        return cls(spec and spec.name, file and os.path.abspath(file), method)

    @contextmanager
    def restored(self, task: Callable[..., Any]) -> Iterator[None]:
        """Gives this process to a task as the program would, and hands it back afterwards."""
        before = multiprocessing.get_start_method(allow_none=True)
        compat.forget_inherited_tracker()  # the sweeper's, which would report on its screen what is lost with a worker
        multiprocessing.set_start_method(self.start_method, force=True)
        try:
            with _main_module(self._module(task)), compat.first_process():
                yield
        finally:
            multiprocessing.set_start_method(before, force=True)

    def _module(self, task: Callable[..., Any]) -> ModuleType:
        """Returns the program's main module with as much in it as has come along with the task."""
        current, task = sys.modules["__main__"], inspect.unwrap(task)
        if Program.current().file == self.file:
            return current
        main = ModuleType("__main__")
        if getattr(task, "__module__", None) == "__main__":
            vars(main).update(getattr(task, "__globals__", {}))
        main.__file__ = self.file
        main.__spec__ = ModuleSpec(self.main, None, origin=self.file) if self.main else None
        return main


@contextmanager
def _main_module(main: ModuleType) -> Iterator[None]:
    names = ("__main__", "__mp_main__")  # the latter is what spawned children call it
    before = {name: sys.modules[name] for name in names}
    sys.modules.update(dict.fromkeys(names, main))
    try:
        yield
    finally:
        sys.modules.update(before)


def leaving_if_forked(task: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a task whose forked children end where it ends: the rest of the trial is their parent's business."""

    @wraps(task)
    def call(*args: Any, **kwargs: Any) -> Any:
        parent = os.getpid()
        status = 0
        try:
            return task(*args, **kwargs)
        except BaseException as error:
            if os.getpid() == parent:
                raise
            status = _exit_status(error)
        finally:
            if os.getpid() != parent:
                with suppress(Exception):
                    sys.stdout.flush(), sys.stderr.flush()
                os._exit(status)

    return call


def _exit_status(error: BaseException) -> int:
    """Returns the status that Python ends with because of an exception, once it has said why."""
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
        return 1
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    return 1


@contextmanager
def marked() -> Iterator[str]:
    """Yields the variable that marks what is started meanwhile, in the environment of all of that."""
    mark = f"HYDRA_SWEEP_{os.getpid()}"
    os.environ[mark] = "1"
    try:
        yield mark
    finally:
        del os.environ[mark]


def kill_orphans(mark: str) -> None:
    """Kills the marked processes whose worker is gone."""
    ours = {child.pid for child in psutil.Process().children(recursive=True)}
    _kill(found for found in _marked(mark) if found.pid not in ours)


class OrphansKiller(Background):
    """Kills what a worker leaves that was killed, while its neighbors go on.

    joblib hears that a worker is gone when the last process closes its end of a pipe, and what was forked has it, too.

    Args:
        mark: of all that workers and their tasks have started.
    """

    def __init__(self, mark: str) -> None:
        super().__init__("orphans")
        self.mark = mark
        self.trees: dict[psutil.Process, set[psutil.Process]] = {}  # from workers to what they have started so far

    def run(self) -> None:
        while not self.done.wait(1.0):
            with suppress(psutil.Error, OSError):
                self.look()

    def look(self) -> None:
        before = self.trees.keys()
        self.update()
        while before - self.trees.keys():
            before, marked = self.trees.keys(), list(_marked(self.mark))
            self.update()  # a worker that was started meanwhile is no orphan
            spared = {found.pid for worker, tree in self.trees.items() for found in (worker, *tree)}
            _kill(iter(marked), spared)

    def update(self) -> None:
        self.trees = {worker: tree | self.trees.get(worker, set()) for worker, tree in _trees().items()}


def _trees() -> dict[psutil.Process, set[psutil.Process]]:
    """Returns the living children of this process, and what each of them has started."""
    below = {found.pid: found for found in psutil.Process().children(recursive=True)}
    parents = {}
    for pid, found in below.items():
        with suppress(psutil.Error):
            if found.status() != psutil.STATUS_ZOMBIE:
                parents[pid] = found.ppid()
    trees: dict[psutil.Process, set[psutil.Process]] = {
        below[pid]: set() for pid, parent in parents.items() if parent == os.getpid()
    }
    for pid in parents:
        root = pid
        while (parent := parents.get(root, os.getpid())) != os.getpid():
            root = parent
        if pid != root and below.get(root) in trees:
            trees[below[root]].add(below[pid])
    return trees


def kill_left(mark: str) -> None:
    """Kills all marked processes and those that the tasks of this very process have left."""
    # Daemons are ended by Python: a pool would wait for ever for a lock that one of them has held. For others it waits.
    daemons = {child.pid for child in multiprocessing.active_children() if child.daemon}
    _kill(_marked(mark), daemons)
    _kill(iter(psutil.Process().children(recursive=True)), daemons)


def kill_children() -> None:
    """Kills what this process has started, and what that has."""
    _kill(iter(psutil.Process().children(recursive=True)))


def _marked(mark: str) -> Iterator[psutil.Process]:
    for found in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if found.pid != os.getpid() and mark in found.environ():
                yield found


def _kill(processes: Iterator[psutil.Process], spared: Container[int | None] = ()) -> None:
    for found in processes:
        with suppress(psutil.Error):
            # A tracker ends by itself once it has removed what the others have left in the system.
            if found.pid not in spared and "resource_tracker" not in " ".join(found.cmdline()):
                found.kill()
