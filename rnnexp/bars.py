"""Bars for whoever watches, in a terminal or a notebook, and nothing for anybody else."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

IS_HIDDEN: ContextVar[bool | None] = ContextVar("IS_HIDDEN", default=None)  # None: shown in a terminal


@contextmanager
def hidden(progress: bool | None) -> Iterator[None]:
    """Hides the bars inside of a run as well, where no bar is wanted."""
    before = IS_HIDDEN.set(True if progress is False else None)
    try:
        yield
    finally:
        IS_HIDDEN.reset(before)


def are_shown(progress: bool | None) -> bool:
    """Returns whether somebody wants, or would see, a bar.

    Args:
        progress: as it was asked for; None: in a terminal and in a notebook.
    """
    if progress is not None:
        return progress
    return in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def in_notebook() -> bool:
    """Returns whether this is Jupyter's kernel, whose output is no terminal but is looked at all the same."""
    ipython = sys.modules.get("IPython")  # which a notebook has imported
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def bar(total: int | None, title: str, unit: str, progress: bool | None) -> Any:
    """Returns tqdm's bar: a widget where a notebook has them, else text on standard error.

    Args:
        total: None if it is not known.
        progress: see `are_shown`.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # text will do
        from tqdm.auto import tqdm
    return tqdm(total=total, desc=title, unit=unit, disable=not are_shown(progress), leave=False, dynamic_ncols=True)
