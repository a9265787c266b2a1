"""Who is at work: a process, told from every other on every host."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Process:
    """A process, told from every other on every host, whatever the clocks say."""

    host: str
    pid: int
    born: float  # seconds since its host started

    @classmethod
    def current(cls) -> Process:
        return cls.here(os.getpid())

    @classmethod
    def here(cls, pid: int) -> Process:
        """Returns a process of this host. Raises: psutil.NoSuchProcess."""
        return cls(_host(), pid, _born(pid))

    @property
    def name(self) -> str:
        return f"{self.host.partition(' ')[0]}-{self.pid}"

    def is_here(self) -> bool:
        return self.host == _host()

    def is_dead(self) -> bool:
        """Whether it is known to be gone: only of this host can that be known."""
        if not self.is_here():
            return False
        try:
            return abs(_born(self.pid) - self.born) > 1 or psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


def _born(pid: int) -> float:
    """Returns when a process began, in a count that stays when the clock is set: on Linux, since the host started."""
    since = psutil.boot_time() if psutil.LINUX else 0.0  # asked first: psutil before 6 keeps it for the next question
    return psutil.Process(pid).create_time() - since


def _host() -> str:
    """Returns the host's name, and which of its process namespaces this is (containers may share the name)."""
    try:
        return f"{platform.node()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()
