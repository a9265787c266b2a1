"""The table of the runs below a folder while it goes on changing: what has not changed is not read again.

A run that has ended costs two questions to the file system at each look, one that has not about ten; ten thousand runs
are looked at in a fraction of a second, where `collect` takes two or three.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record.run_folder import RunFolder
from rnnexp.results.collecting import ForeignTrials, frame_of, read_row, relative, stamp_of

FILES = RunFolder(Path())
ENDED, HISTORY = FILES.result.name, FILES.history.name
CONFIG, CHOICES = str(FILES.hydra_config), str(FILES.hydra_choices)
OWN_FILES = {FILES.result.name, FILES.history.name, FILES.checkpoint.name, SweepFolder(Path()).run_record("0").name}
# A file may change twice within what its time of change can tell apart. What has changed just now is read again.
RACY_SECONDS = 2.0


@dataclass(frozen=True)
class Entry:
    """A run as it was read last.

    Args:
        stamps: what was found of its files then; None: it changed so recently that it is to be read again.
        changed: when its files changed last, in seconds since 1970.
        serial: the version of the table that this entry is new in.
    """

    row: Mapping[str, Any]
    stamps: tuple[Any, ...] | None
    changed: float
    serial: int

    @cached_property
    def text(self) -> str:
        """All its texts in lower case, for a search in them."""
        return "\n".join(value for value in self.row.values() if isinstance(value, str)).lower()


@dataclass(frozen=True)
class Seen:
    """What was below a folder at one look.

    Args:
        version: of the table: another one whenever a run has changed, come or gone.
        runs: by their paths below the folder; that of the folder itself is nothing.
        folders: the names of the files in each folder that is no run and was looked into.
    """

    root: Path
    version: int
    frame: pd.DataFrame
    runs: Mapping[str, Entry]
    folders: Mapping[str, frozenset[str]]
    trials: ForeignTrials = field(repr=False)

    def below(self, folder: str) -> dict[str, Entry]:
        """Returns the runs in a folder, or the run that it is, by their paths below it."""
        if folder in self.runs:
            return {"": self.runs[folder]}
        start = f"{folder}{os.sep}" if folder else ""
        return {path[len(start) :]: entry for path, entry in self.runs.items() if path.startswith(start)}

    def collect(self, folder: Path) -> pd.DataFrame:
        """Returns what `results.collect` does of a folder below this one."""
        found = self.below(inside(self.root, folder)).items()
        rows = [{**entry.row, "path": relative(path, Path("/"))} for path, entry in found]
        return frame_of(rows, self.trials)


def inside(root: Path, folder: Path) -> str:
    """Returns a folder's path below another one, as `Seen` has it."""
    path = os.path.relpath(folder, root)
    return "" if path == "." else path


class Follower:
    """Looks at the runs below a folder again and again; one that is not there yet, or no longer, is empty."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.trials = ForeignTrials()
        self.seen = Seen(self.root, 0, frame_of([], self.trials), {}, {}, self.trials)

    def look(self) -> Seen:
        """Reads what has changed, and returns what there is now. One thread alone may look."""
        before, version = self.seen, self.seen.version + 1
        runs: dict[str, Entry] = {}
        folders: dict[str, frozenset[str]] = {}
        for path, files in self._walk(str(self.root), ""):
            if files is not None:
                folders[path] = files
            elif (entry := self._entry(path, before.runs.get(path), version)) is not None:
                runs[path] = entry
        trials = self.trials.known()
        is_same = runs.keys() == before.runs.keys() and all(entry.serial < version for entry in runs.values())
        if is_same and before.version:
            self.seen = Seen(self.root, before.version, before.frame, runs, folders, trials)
        else:
            rows = [{**entry.row, "path": relative(path, Path("/"))} for path, entry in runs.items()]
            self.seen = Seen(self.root, version, frame_of(rows, trials), runs, folders, trials)
        return self.seen

    def _walk(self, folder: str, path: str) -> Iterator[tuple[str, frozenset[str] | None]]:
        """Yields each folder as `collect` finds them: of a run its path, of any other the names of its files, too."""
        if os.path.exists(os.path.join(folder, ENDED)):  # most folders are of runs that have ended: not even listed
            yield path, None
            return
        try:
            with os.scandir(folder) as found:
                entries = list(found)
            names = {entry.name for entry in entries}
            is_run = bool(names & OWN_FILES) or RunFolder(Path(folder)).is_run()
        except FileNotFoundError:  # deleted a moment ago
            return
        except OSError:  # no permission: its row will say so
            is_run = True
        if is_run:
            yield path, None
            return
        below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        yield path, frozenset(names - {*below})
        for name in below:
            if not name.startswith("."):
                yield from self._walk(os.path.join(folder, name), os.path.join(path, name))

    def _entry(self, path: str, known: Entry | None, version: int) -> Entry | None:
        """Returns a run's entry, the known one if nothing has changed, or None if it has been deleted."""
        folder = os.path.join(self.root, path) if path else str(self.root)
        stamps = self._ended_stamps(folder) or self._running_stamps(folder)
        if known and known.stamps == stamps:
            return known
        if (row := read_row(RunFolder(Path(folder)), self.trials)) is None:
            return None
        newest = max((stamp[0] for stamp in stamps if isinstance(stamp, tuple) and len(stamp) == 3), default=0) / 1e9
        kept = stamps if time.time() - newest > RACY_SECONDS else None
        # By their texts: a number that is not there is not equal to itself.
        is_same = known is not None and str(known.row) == str(row)
        return Entry(row, kept, newest, known.serial if known and is_same else version)

    def _ended_stamps(self, folder: str) -> tuple[Any, ...] | None:
        """Returns what tells that a run that has ended is as it was; None if it hasn't.

        The folder's own time changes with each file that is written whole: those take another's place.
        """
        result = stamp_of(os.path.join(folder, ENDED))
        return (result, stamp_of(folder)) if result else None

    def _running_stamps(self, folder: str) -> tuple[Any, ...]:
        """Returns what tells that a run that has not ended, or a trial of any other app, is as it was."""
        path = Path(folder)
        try:
            told: Any = sorted((self.trials.ended(path) or self.trials.recorded(path)).items())
        except (OSError, ValueError) as error:
            told = str(error)
        names = ("", HISTORY, CONFIG, CHOICES)
        return (*(stamp_of(os.path.join(folder, name)) for name in names), RunFolder(path).is_claimed(), str(told))
