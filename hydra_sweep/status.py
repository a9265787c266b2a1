"""`python -m hydra_sweep.status [NAME]`: what a sweep is doing, wherever its workers are. No torch."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from hydra_sweep.commands import Parser, command
from hydra_sweep.errors import UserError, counted
from hydra_sweep.plan import Goal
from hydra_sweep.quantities import about, number_text, short_number
from hydra_sweep.records import Lease, Outcome
from hydra_sweep.results import best, counts
from hydra_sweep.resume import open_checked
from hydra_sweep.storage import hide_password
from hydra_sweep.study import REQUEST, STOP
from hydra_sweep.summary import finished_text
from hydra_sweep.sweep_folder import SQLITE, SweepFolder
from hydra_sweep.text_table import table

RECENT = 20  # trials that the pace is measured by
PAUSE = timedelta(seconds=10)  # without any trial: more than a worker takes between two of them
SWEEPS = Path("multirun")  # where Hydra has them, unless an app says otherwise


def run(program: str, sweeps: Path) -> int:
    """Shows one sweep, or all of those below a folder, and returns the exit status."""
    parser = Parser(program, description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("name", nargs="?", help=f"a sweep below {sweeps}, or its folder; without it, all of them")
    parser.add_argument("--watch", action="store_true", help="show it again every two seconds, until Ctrl-C")
    parser.add_argument("--trust", action="store_true", help=trust_help(sweeps))
    args = parser.parse_args()
    try:
        while True:
            lines = status(open_sweep(args.name, sweeps, args.trust)) if args.name else overview(sweeps)
            print("\033[H\033[J" * (args.watch and sys.stdout.isatty()) + "\n".join(lines), flush=True)
            if not args.watch:
                break
            time.sleep(2)
    except KeyboardInterrupt:
        pass
    return 0


@command("hydra_sweep.status")
def main() -> int:
    return run("hydra_sweep.status", SWEEPS)


def trust_help(sweeps: Path) -> str:
    return f"open the server that its study is on, although the sweep is not below {sweeps}"


class RecordedSweep:
    """A sweep as its folder and its storage have it.

    Args:
        trust: opens the server that its sweep.yaml names, although the sweep is not below `sweeps`, and so may be a
            stranger's: who writes there may run code here, and learn the password for it.
        to_write: opens the study itself, where a copy would do for reading.

    Raises:
        UserError: there is no sweep, its storage can't be opened, or it needs `trust`.
    """

    def __init__(self, folder: Path, sweeps: Path = SWEEPS, trust: bool = False, to_write: bool = False) -> None:
        self.folder = folder
        files = SweepFolder(folder)
        try:
            self.recorded = files.read_request()
            url, name = str(self.recorded["storage"]), str(self.recorded["study"])
            self.n_trials = int(self.recorded["n_trials"])
        except (KeyError, TypeError, ValueError) as error:
            if not files.is_sweep():
                raise UserError(f"{folder} holds no sweep; without a name, those of {sweeps} are listed") from error
            raise UserError(f"{files.request} is damaged; rerun the sweep's command") from error
        if url.startswith(SQLITE):
            if not files.database.exists():
                raise UserError(f"{folder} has lost its {files.database.name}")
            place = SweepFolder(folder.absolute())  # it may have been moved
            if not to_write and not all(os.access(path, os.W_OK) for path in (folder, files.database)):
                place = SweepFolder(Path(tempfile.mkdtemp()))  # SQLite reads nothing where it may write nothing
                weakref.finalize(self, shutil.rmtree, place.path, ignore_errors=True)
                for file in files.database_files():
                    shutil.copyfile(file, place.path / file.name)
            url = place.database_url
        elif not trust and not folder.resolve().is_relative_to(sweeps.resolve()):
            raise UserError(f"{folder} has its study at {hide_password(url)}; if you trust that server, add --trust")
        self.study = open_checked(url, name.partition("~")[0], seconds=10)
        if not self.study.exists:
            raise UserError(f"{folder}: its storage has no study {name}")
        self.goal = Goal.of_request(self.study.attrs().get(REQUEST, {}))

    def trials(self) -> list[FrozenTrial]:
        """Returns the trials within the budget."""
        return self.study.within_budget(self.n_trials)


def open_sweep(name: str, sweeps: Path = SWEEPS, trust: bool = False, to_write: bool = False) -> RecordedSweep:
    """Returns a sweep by its name below a folder of sweeps, or by its own folder."""
    named = sweeps / name
    return RecordedSweep(named if SweepFolder(named).is_sweep() else Path(name), sweeps, trust, to_write)


def overview(root: Path) -> list[str]:
    """Returns a line for each sweep below a folder, the newest last."""
    found = [folder for folder in map(SweepFolder, root.glob("*")) if folder.is_sweep()]
    lines = []
    for folder in sorted(found, key=lambda folder: folder.request.stat().st_mtime):
        try:
            lines.append(headline(RecordedSweep(folder.path, root)))
        except (UserError, OSError) as error:
            lines.append(f"{folder.path.name}: {error}")
    return lines or [f"there are no sweeps in {root}"]


def headline(sweep: RecordedSweep) -> str:
    """Returns how far a sweep is, in a line."""
    trials = sweep.trials()
    ended = sum(trial.state.is_finished() for trial in trials)
    parts = ", ".join(f"{number} {state}" for state, number in counts(trials, sweep.n_trials).items() if number)
    return f"{sweep.folder.name}: {finished_text(ended, sweep.n_trials)} ({parts})"


def status(sweep: RecordedSweep) -> list[str]:
    """Returns everything about a sweep: trials by state, the best, the pace, and who is at work."""
    trials = sweep.trials()
    ended = [trial for trial in trials if trial.state.is_finished()]
    lines = [headline(sweep)]
    top = best(sweep.goal, ended)
    if len(sweep.goal.directions) > 1:
        lines.append(f"Pareto front: {counted(len(top), 'trial')}")
    elif top and top[0].values:
        texts = [f"{name.partition(' @ ')[0]}={short_number(str(value))}" for name, value in top[0].params.items()]
        lines.append(f"best    {sweep.goal.label(0)} {number_text(top[0].values[0])}, trial {top[0].number}")
        lines.append(f"        {' '.join(texts)}")
    if pace := _pace(ended):
        number = f"{pace:,.0f}" if pace >= 10 else f"{pace:.2g}"
        left = sweep.n_trials - len(ended)
        lines.append(f"pace    {number} trials/h" + (f", {about(left / pace * 3600)} left" if left else ""))
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    if any(how for key, how in sweep.study.attrs().items() if key.startswith(STOP)) and running:
        lines.append("stop requested")
    if running:
        lines += ["", *_workers(running)]
    return lines


def _pace(ended: Sequence[FrozenTrial]) -> float | None:
    """Returns how many trials end in an hour, by the recent ones; pauses, in which nothing ran, don't count."""
    outcomes = [(trial.datetime_complete, Outcome.of(trial)) for trial in ended]
    ran = [(end, timedelta(seconds=out.seconds)) for end, out in outcomes if end and out.same_as is None]
    recent = sorted(ran)[-RECENT:]
    if len(recent) < 2:
        return None
    first, last = recent[0][0], recent[-1][0]
    busy, until = last - first, first
    for begin, end in sorted((end - lasted, end) for end, lasted in recent[1:]):
        if begin - until > PAUSE:
            busy -= begin - until
        until = max(until, end)
    return (len(recent) - 1) * 3600 / busy.total_seconds() if busy else None


def _workers(running: Sequence[FrozenTrial]) -> list[str]:
    """Returns a table of who runs what, and for how long its lease has not been renewed."""
    rows = []
    for trial in running:
        lease = Lease.of(trial)
        process = lease.process if lease else None
        sign = "none yet"
        if process and process.is_here():
            sign = "gone" if process.is_dead() else "at work"
        elif lease and lease.seen:
            sign = f"{max(0, round(time.time() - lease.seen))} s ago"
        rows.append(
            {
                "trial": trial.number,
                "host": process.host.partition(" ")[0] if process else "",
                "process": str(process.pid) if process else "",
                "since": _clock(trial.datetime_start),
                "attempt": lease.attempt if lease else 1,
                "reports": len(trial.intermediate_values),
                "sign of life": sign,
            }
        )
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return table(columns, shutil.get_terminal_size((120, 24)).columns)


def _clock(moment: datetime | None) -> str:
    return f"{moment:%H:%M:%S}" if moment else ""


if __name__ == "__main__":
    sys.exit(main())
