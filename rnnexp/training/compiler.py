"""torch's compiler, put off: torch's optimizers import it to tell it that they are not to be compiled.

That takes as long as the import of torch itself, and nothing here is compiled. So a stand-in answers the optimizers;
whatever else somebody asks of it, as a network of a user's own that is compiled, imports the compiler.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

NAME = "torch._dynamo"


class StandIn(ModuleType):
    """What `torch.optim` uses of the compiler outside of compiled code, as in torch 2.14."""

    def __init__(self) -> None:
        super().__init__(NAME, __doc__)
        self.__spec__ = importlib.util.find_spec(NAME)
        self.left_alone: list[Callable[..., Any]] = []

    def graph_break(self, msg: str = "") -> None:
        """Does nothing, as the compiler's own does where nothing is compiled."""

    def disable(self, fn: Callable[..., Any] | None = None, recursive: bool = True, **options: Any) -> Any:
        """Returns a function as it is, if it is torch that asks: see `torch._disable_dynamo`."""
        if fn is None or options != {"wrapping": False}:
            return self.__getattr__("disable")(fn, recursive, **options)
        self.left_alone.append(fn)
        return fn

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # which `import torch._dynamo.eval_frame` asks for
            raise AttributeError(name)
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME], torch._dynamo
            for function in self.left_alone:
                vars(function).pop("__dynamo_disable", None)  # torch's memory of it: from now on it asks the compiler
        return getattr(importlib.import_module(NAME), name)


def put_off() -> None:
    """Lets the compiler be imported when somebody asks for more of it than an optimizer does."""
    if NAME not in sys.modules:
        sys.modules[NAME] = torch._dynamo = StandIn()
