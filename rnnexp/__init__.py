"""Recurrent networks on series and on images read as sequences: train, search, and compare honestly."""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydra_sweep.errors import UserError
    from rnnexp.api import compare, load, run, sweep
    from rnnexp.callbacks import Callback
    from rnnexp.child import CommandFailed
    from rnnexp.results import collect, group, histories, pivot, where
    from rnnexp.views import Comparison, Predictions, Run, Sweep

__version__ = "0.1.0"

# torch's OpenMP threads wait for one another by spinning, as it comes until their time slice is over: two processes on
# one machine then stop each other for whole time slices, and a step was seen to take 70 to 1,700 ms instead of 14. A
# thousand turns (some microseconds) cost nothing alone (EXPERIMENTS.md). Read when torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

COMMANDS = ("compare", "fetch", "predict", "proxy", "report", "reproduce", "results", "status", "stop", "watch")
if sys.argv[:1] == ["-m"]:  # python -m looks for one of our modules: of most of them it would run nothing, silently
    for _text in sys.orig_argv[1:]:
        _module = _text.removeprefix("-m")
        if _module.startswith("rnnexp.") and _module.removeprefix("rnnexp.") not in (*COMMANDS, "__main__"):
            _names = ", ".join(f"rnnexp.{name}" for name in COMMANDS)
            print(
                f"{_module} is not a command; type python -m rnnexp (with -m for a sweep), or one of {_names}",
                file=sys.stderr,
            )
            sys.exit(2)
        if _module == "rnnexp" or _module.startswith("rnnexp."):
            break  # what follows are its arguments

# What `import rnnexp` offers, imported when it is asked for: torch, pandas, Optuna and Hydra take their time.
_FROM = {
    "rnnexp.api": ("compare", "load", "run", "sweep"),
    "rnnexp.callbacks": ("Callback",),
    "rnnexp.child": ("CommandFailed",),
    "rnnexp.results": ("collect", "group", "histories", "pivot", "where"),
    "rnnexp.views": ("Comparison", "Predictions", "Run", "Sweep"),
    "hydra_sweep.errors": ("UserError",),
}
_MODULES = {name: module for module, names in _FROM.items() for name in names}
__all__ = [
    "Callback",
    "CommandFailed",
    "Comparison",
    "Predictions",
    "Run",
    "Sweep",
    "UserError",
    "collect",
    "compare",
    "group",
    "histories",
    "load",
    "pivot",
    "run",
    "sweep",
    "where",
]


if not TYPE_CHECKING:  # a checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(_MODULES[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
