"""What runs, sweeps and comparisons have in common from Python: a folder, a page, and how they are shown."""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TypeVar

from hydra_sweep.errors import UserError, escape_unprintable

V = TypeVar("V", bound="View")


@dataclass(frozen=True)
class View:
    """A folder. With `trust`, networks that are neither rnnexp's nor torch's are built, and foreign servers asked."""

    path: Path
    trust: bool = field(default=False, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.path.resolve().name

    @property
    def place(self) -> Path:
        """Its folder as people read it: from the working directory, if it is below that."""
        here = Path.cwd()
        return self.path.relative_to(here) if self.path.is_relative_to(here) and self.path != here else self.path

    def report(self, output: str | os.PathLike[str] | None = None) -> Path:
        """Writes the page with all figures, one HTML file that loads nothing, and returns where it is.

        Args:
            output: by default `report.html` in the folder.

        Raises:
            UserError: there is nothing to show, or the page can't be written.
        """
        from rnnexp.guest import optuna_as_found

        with optuna_as_found():
            from rnnexp import report
        return report.write(self.path, None if output is None else Path(output))

    def lines(self) -> list[str]:
        raise NotImplementedError

    def __repr__(self) -> str:
        try:
            lines = self.lines()
        except (UserError, OSError) as error:
            lines = [str(error)]
        return "\n  ".join(escape_unprintable(line) for line in lines)


def or_text(show: Callable[[V], str]) -> Callable[[V], str]:
    """Lets a notebook show a damaged record as text, in place of a traceback."""

    @wraps(show)
    def shown(view: V) -> str:
        try:
            return show(view)
        except (UserError, OSError):
            return f"<pre>{html.escape(repr(view))}</pre>"

    return shown
