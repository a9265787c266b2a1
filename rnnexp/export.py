"""`rnnexp export PATH... --to mlflow`: runs that exist, in a tracker. What it has already is not written again.

The same trackers write it as `tracker=NAME` does while a run trains, and know a run by the same id: what was tracked
and is exported, or is exported twice, is there once; what a full disk or a server that was away has left out is added.
"""

from __future__ import annotations

import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from hydra_sweep.commands import Parser, command
from hydra_sweep.errors import UserError, counted, describe_error, escape_unprintable
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.callbacks import RunView, configured, numeric
from rnnexp.record import labels
from rnnexp.record.places import find
from rnnexp.record.result import RunResult
from rnnexp.record.run_folder import RunFolder
from rnnexp.results.collecting import run_paths
from rnnexp.results.columns import natural
from rnnexp.schema.trackers import TRACKERS
from rnnexp.schema.tree import CONFIG_DIR

if TYPE_CHECKING:
    from rnnexp.trackers.tracker import Tracker

EPILOG = """\
  rnnexp export first --to tensorboard
  rnnexp export my-search --to mlflow tracker.uri=http://host:5000
  rnnexp export outputs --to wandb tracker.project=thesis

tracker.KEY=VALUE sets what tracker=NAME has in training, too; rnnexp train
tracker=NAME --help shows the keys. What a tracker has already stays there
once.
"""


@command("rnnexp export")
def main() -> int:
    """Exports the runs and returns the exit status."""
    parser = Parser(
        "rnnexp export",
        description="Write runs that exist into a tracker.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a run, a sweep or any folder of runs, or its name")
    parser.add_argument("--to", required=True, choices=[*TRACKERS], help="which tracker")
    args = parser.parse_intermixed_args()
    is_key = [text.startswith(("tracker.", "+tracker.")) and "=" in text for text in args.paths]
    keys = [text for text, is_it in zip(args.paths, is_key, strict=True) if is_it]
    typed = [text for text, is_it in zip(args.paths, is_key, strict=True) if not is_it]
    if not typed:
        raise UserError("which runs? Type a folder or a name, such as rnnexp export outputs --to mlflow")
    tracker, runs = chosen(args.to, keys), runs_in(typed)
    counts = exported(tracker, runs)
    for line in counts.told(tracker.option):
        print(escape_unprintable(line))
    return 1 if counts.corrupt else 0


def chosen(option: str, keys: Sequence[str]) -> Tracker:
    """Returns a tracker as `tracker=option` would have it in training.

    Raises:
        UserError: its package is not installed, or a key is wrong.
    """
    from rnnexp.command_line import CommandLine, without_hydra
    from rnnexp.schema.config import register_schemas
    from rnnexp.train import parsed

    register_schemas()
    words = ["--cfg", "job", f"tracker={option}", *keys]  # --cfg: nothing will run
    line = CommandLine(parsed("rnnexp export", words), CONFIG_DIR)
    if problems := line.problems():
        raise UserError(problems)
    (tracker,) = configured(without_hydra(line.compose(line.overrides)))
    return tracker  # type: ignore[return-value]


def runs_in(typed: Sequence[str]) -> list[RunFolder]:
    """Returns the runs in folders, each once.

    Raises:
        UserError: there is no such folder, or no run in it.
    """
    found: dict[Path, None] = {}
    for text in typed:
        place = find(text)
        paths = list(run_paths(place, [])) if place.is_dir() else []
        if not paths:
            raise UserError(f"no runs in {place}; type a run, a sweep, or a folder of them, such as outputs")
        found |= dict.fromkeys(map(Path, sorted(paths, key=natural)))
    return [RunFolder(path) for path in found]


@dataclass
class Counts:
    """What became of the runs."""

    written: int = 0
    known: int = 0
    running: int = 0
    empty: int = 0
    corrupt: list[str] = field(default_factory=list)  # a line each

    def told(self, option: str) -> Iterator[str]:
        """Yields lines for the user."""
        known = f", {self.known:,} there already" if self.known else ""
        yield f"{option}: {counted(self.written, 'run')} exported{known}"
        if self.running:
            yield f"{counted(self.running, 'run')} still running, left out; export again later"
        if self.empty:
            yield f"{counted(self.empty, 'run')} without an epoch, left out"
        yield from (f"{line}, left out" for line in self.corrupt)


def exported(tracker: Tracker, runs: Sequence[RunFolder]) -> Counts:
    """Exports runs, and returns what became of them.

    Raises:
        UserError: the tracker fails; what is written already stays, and the same command goes on.
    """
    counts = Counts()
    for folder in tqdm(runs, "exporting", unit="run", leave=False, disable=None, delay=1):
        with held(folder) as is_held:
            if not is_held:
                counts.running += 1
                continue
            try:
                result, view = recorded(folder)
            except (ValueError, LookupError, TypeError) as error:  # the latter of a stranger's record
                counts.corrupt.append(
                    f"{folder.path}: {error if isinstance(error, ValueError) else describe_error(error)}"
                )
                continue
            if view is None:
                counts.empty += 1
                continue
            try:
                is_new = write(tracker, result, view)
            except Exception as error:  # every tracker has its own
                hint = "what is exported stays, and the same command goes on"
                raise UserError(f"{folder.path}: {describe_error(error)}; {hint}") from error
            counts.written += is_new
            counts.known += not is_new
    return counts


@contextmanager
def held(folder: RunFolder) -> Iterator[bool]:
    """Keeps a run from going on meanwhile. Yields whether nobody else does."""
    with ExitStack() as stack:
        is_free = not folder.is_claimed()
        if is_free:
            try:
                stack.enter_context(folder.claim())
            except UserError:  # somebody was faster, or the folder can't be written, and so neither go on
                is_free = not folder.is_claimed()
        yield is_free


def write(tracker: Tracker, result: RunResult | None, view: RunView) -> bool:
    """Writes what a tracker lacks of a run. Returns whether it lacked anything."""
    tracker.on_start(view)
    tracker.on_end(result, view)
    return tracker.has_written


def recorded(folder: RunFolder) -> tuple[RunResult | None, RunView | None]:
    """Returns the result of a run, and what a tracker is to see of it; nothing where no epoch has finished.

    Raises:
        ValueError: the record is damaged.
    """
    result = folder.read_result()
    config: dict[str, Any] = result.config if result else folder.read_hydra_config()
    choices = result.choices if result else folder.read_hydra_choices()
    given, rows = labels.read(folder, config), numeric(folder.read_history())
    if not rows or "name" not in config:
        return result, None
    named = config if "${" not in str(config["name"]) else config | {"name": folder.path.resolve().name}
    view = RunView.of(folder, named, choices, given, trial_of(folder))
    return result, replace(view, history=rows, ended=ended(result, folder))


def trial_of(folder: RunFolder) -> str | None:
    """Returns the folder of a trial below its sweep's, such as 3 or 3/0; None for a run of its own."""
    path = folder.path.resolve()
    for place in (path.parent, path.parent.parent):
        if SweepFolder(place).is_sweep():
            return path.relative_to(place).as_posix()
    return None


def ended(result: RunResult | None, folder: RunFolder) -> float:
    """Returns when the last epoch ended, in seconds since 1970, as far as it is known."""
    text = result.environment.get("ended") if result else None
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return folder.history.stat().st_mtime


if __name__ == "__main__":
    sys.exit(main())
