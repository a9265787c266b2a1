"""A Hydra app that goes wrong in the way that it is told."""

import asyncio
import ctypes
import os
import re
import resource
import sys
import threading
import time
import warnings

import hydra
import numpy as np
import psutil
from hydra.core.config_store import ConfigStore
from optuna import TrialPruned

from hydra_sweep import Pruned, report

DEFAULTS = [{"override hydra/sweeper": "optuna"}, "_self_"]
ConfigStore.instance().store("config", {"defaults": DEFAULTS, "what": "good", "x": 0.0})


class Mute(Exception):
    """Cannot be told."""

    def __str__(self):
        raise RuntimeError("no words")

    def __hash__(self):
        return 1


class Leaving(BaseException):
    """Is nobody's Exception."""


class Locked(Exception):
    """Cannot be pickled."""

    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


Odd = type("Odd\nkind", (Exception,), {})


def fail(error):
    raise error


def starve():
    """Takes more memory than it allows itself; the limit stays."""
    room = psutil.Process().memory_info().vms + 2**28
    resource.setrlimit(resource.RLIMIT_AS, (room, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return len(bytearray(2**30))


def complain():
    warnings.simplefilter("always")
    for number in range(5000):
        warnings.warn(f"\x1b[31mthis is warning {number}", stacklevel=1)
    return 1.0


def hang():
    report(1.0)
    time.sleep(1e6)


def hold():
    """Hangs and lets no other thread of Python run."""
    re.match("(a+)+b", 50 * "a")


def itself():
    held = []
    held.append(held)
    return held


WAYS = {
    "good": lambda: 1.0,
    "numpy": lambda: np.float32(0.5),
    "raise": lambda: fail(KeyError("lost")),
    "lines": lambda: fail(RuntimeError('first, "quoted"\nsecond')),
    "ansi": lambda: fail(RuntimeError("\x1b[2J\x1b[31mred\x07\r\0\x9b\u2028\u202eend")),
    "surrogate": lambda: fail(ValueError("caf\udce9")),
    "kind": lambda: fail(Odd("text")),
    "long": lambda: fail(RuntimeError("long " * 10**6)),
    "locked": lambda: fail(Locked("in")),
    "deep": lambda: (lambda f: f(f))(lambda f: f(f)),
    "memory": lambda: fail(MemoryError()),
    "starve": starve,
    "mute": lambda: fail(Mute()),
    "exit": lambda: sys.exit(3),
    "exit_text": lambda: sys.exit("\x1b[31mgone\n"),
    "exit_mute": lambda: sys.exit(Mute()),
    "leave": lambda: fail(Leaving("by the back door")),
    "cancel": lambda: fail(asyncio.CancelledError()),
    "interrupt": lambda: fail(KeyboardInterrupt()),
    "none": lambda: None,
    "not_finite": lambda: float("nan"),
    "infinite": lambda: float("-inf"),
    "infinity": lambda: np.float64("inf"),
    "text": lambda: "text",
    "pages": lambda: "a\x1b[31mb\n" * 10**6,
    "pair": lambda: [1, 2],
    "many": lambda: list(range(10**6)),
    "array": lambda: np.zeros((1000, 1000)),
    "complex": lambda: 1 + 2j,
    "function": lambda: lambda: 1,
    "lock": threading.Lock,
    "itself": itself,
    "empty": dict,
    "crowd": lambda: dict.fromkeys(range(10**5), "text"),
    "mute_key": lambda: {Mute(): 1.0},
    "huge": lambda: 10**400,
    "pruned": lambda: fail(Pruned("\x1b[31mno\nmore")),
    "optuna_pruned": lambda: fail(TrialPruned("\x1b[31mno\nmore")),
    "complain": complain,
    "crash": lambda: ctypes.string_at(0),
    "vanish": lambda: os._exit(0),
    "hang": hang,
    "hold": hold,
}


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def app(cfg):
    return WAYS[cfg.what]()


if __name__ == "__main__":
    app()
