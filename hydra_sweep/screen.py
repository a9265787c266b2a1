"""The live screen of a sweep: the last lines of a terminal, drawn anew twice a second; what is printed goes above them.

Nothing of the terminal is set that would have to be set back, so it is sane after any death, that of this very process
included. All drawing is done by one thread, which may wait for a terminal that is paused without holding up another.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, TextIO

from optuna.trial import FrozenTrial
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment, SegmentLines
from rich.table import Table
from rich.text import Text

from hydra_sweep import streams
from hydra_sweep.errors import counted, escape_unprintable
from hydra_sweep.quantities import about, duration, number_text, short_number
from hydra_sweep.run_record import RunRecord
from hydra_sweep.sweep_folder import SweepFolder
from hydra_sweep.tally import Running, Tally

WIDE = 100  # columns, from which on each row has its configuration
BEST_LINES = 3  # for what the best trial was given
SPARKS, ASCII_SPARKS = "▁▂▃▄▅▆▇█", "_.-=+*#@"
STYLES = {"complete": "green", "pruned": "yellow", "failed": "red", "running": "cyan", "paused": "blue"}


class Screen:
    """The live lines of a sweep, in a `with` block.

    Args:
        folder: of the sweep, in which its runs have their records.
        console: that is drawn on.
    """

    def __init__(self, folder: SweepFolder, tally: Tally, console: Console) -> None:
        self.folder, self.tally, self.console = folder, tally, console
        self.slots: list[tuple[str, int]] = []  # by row, the worker and the trial that have had it last
        self.live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self.loss: str | None = None  # the column that stands beside the objective's, once one was reported
        self.drawn: list[int] = []  # widths of the lines that are on the screen
        self.width = console.width

    def __enter__(self) -> Screen:
        self.live.start()
        self.console.show_cursor(True)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo_reflow()
        self.live.update("", refresh=True)
        self.live.stop()

    def print(self, line: str) -> None:
        """Prints a line above, whatever is in it; its colors stay."""
        text = Text.from_ansi(line) if "\x1b" in line else Text(line.expandtabs())
        if not text.plain.isprintable():
            text = Text(escape_unprintable(line))
        self._undo_reflow()
        self.console.print(text, soft_wrap=True)
        self._to_margin()

    def draw(self, seconds: float) -> None:
        """Draws how far the sweep is, so many seconds after its command began."""
        self._undo_reflow()
        lines = self.lines(seconds)
        self.drawn = [Segment.get_line_length(line) for line in lines]
        self.live.update(SegmentLines(lines, new_lines=True), refresh=True)
        self._to_margin()

    def _to_margin(self) -> None:
        """Leaves the cursor at the left, where what a terminal echoes, such as ^C, begins no new line."""
        self.console.file.write("\r")
        self.console.file.flush()

    def _undo_reflow(self) -> None:
        """Wipes away what a terminal that has become narrower has made of long lines: more rows than were drawn."""
        width, self.width = self.width, self.console.width
        if self.width < width and not self.console.legacy_windows:
            added = sum(max(0, math.ceil(drawn / self.width) - 1) for drawn in self.drawn[:-1])  # above the cursor
            if added:
                self.console.file.write(f"\x1b[{added}A\x1b[J")
        if self.width != width:
            self.drawn = []

    def lines(self, seconds: float) -> list[list[Segment]]:
        """Returns what is drawn, line by line: as many as the terminal has room for, the most important ones first."""
        width, height = self.console.size
        room = max(1, height - 1)
        runs = self._runs()
        lines = self._rendered(self._bar(seconds))
        lines += self._rendered(self._counts()) if room > 1 else []
        wanted = len(runs) + 1 if runs else 0
        best = self._best()
        for_best = min(BEST_LINES, max(room - len(lines) - wanted, min(1, room - len(lines) - 3)))
        if best and for_best > 0:
            lines += self._cropped(best, for_best)
        if wanted and room - len(lines) > 1:
            lines += self._rendered(self._table(runs, room - len(lines) - 1, width))
        return lines[:room]

    def _rendered(self, content: RenderableType) -> list[list[Segment]]:
        return self.console.render_lines(content, self.console.options, pad=False)

    def _cropped(self, text: Text, most: int) -> list[list[Segment]]:
        """Returns a text as so many lines at most, the later ones indented."""
        width = max(2, self.console.width - 5)
        rows = text.wrap(self.console, width, overflow="fold")
        found = []
        for place, row in enumerate(rows[:most]):
            row.rstrip()
            if place == most - 1 < len(rows) - 1:
                row.truncate(width - 2)
                row.append("…" if not self.console.options.ascii_only else "...")
            indented = Text("     " * (place > 0), no_wrap=True, overflow="crop")
            found += self._rendered(indented.append_text(row))
        return found

    def _bar(self, seconds: float) -> RenderableType:
        """Returns how many trials have ended, as a bar, and how long it has taken and will take."""
        tally = self.tally
        times = duration(seconds)
        if tally.num_ended < tally.n_trials and (left := tally.seconds_left()) is not None:
            times += f", {about(left)} left"
        grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True, justify="right")
        ended = Text(f"{tally.num_ended:,}/{counted(tally.n_trials, 'trial')}", style="bold")
        bar = ProgressBar(max(1, tally.n_trials), tally.num_ended, complete_style="cyan", finished_style="green")
        grid.add_row(ended, bar, Text(times))
        return grid

    def _counts(self) -> Text:
        shown = Text(no_wrap=True, overflow="ellipsis")
        for state in ("running", *(state for state in self.tally.counts if state != "running")):
            if number := self.tally.counts[state]:
                shown.append(", " if shown else "")
                shown.append(f"{number:,} {state}", STYLES.get(state, "dim"))
        return shown

    def _best(self) -> Text | None:
        """Returns the best trial, its value and what it was given."""
        goal, top = self.tally.goal, self.tally.top
        if not top or not top[0].values:
            return None
        if len(goal.directions) > 1:
            return Text(f"Pareto front: {counted(len(top), 'trial')}")
        text = Text("best ", style="bold")
        text.append(escape_unprintable(f"{goal.label(0)} {number_text(top[0].values[0])}"), "bold green")
        return text.append(f", trial {top[0].number}: {_given(top[0])}", "not bold")

    def _table(self, runs: Sequence[_Run | None], room: int, width: int) -> Table:
        """Returns a row for each trial that a worker runs or has run last, as many as there is room for."""
        self.loss = next((name for run in runs if run for name in run.losses(self._label)), self.loss)
        loss = self.loss
        table = Table(box=None, pad_edge=False, expand=True, header_style="dim", padding=(0, 2, 0, 0), show_edge=False)
        for name in ("worker", "trial", "step"):
            table.add_column(name, justify="right", no_wrap=True)
        for metric in filter(None, (self._label, loss)):
            table.add_column(Text(escape_unprintable(metric)), justify="right", no_wrap=True, max_width=16)
        table.add_column("", no_wrap=True, ratio=1, min_width=8, max_width=24 if width < WIDE else 16)
        table.add_column("time", justify="right", no_wrap=True)
        if width >= WIDE:
            table.add_column("", no_wrap=True, ratio=3, overflow="ellipsis")
        hidden = max(0, len(runs) - room + 1) if len(runs) > room else 0
        names = list(dict.fromkeys(worker for worker, _ in self.slots))
        rows = [(names.index(worker) + 1, run) for (worker, _), run in zip(self.slots, runs, strict=True)]
        for worker, run in sorted(rows, key=itemgetter(0))[: len(runs) - hidden]:
            table.add_row(*self._cells(worker, run, loss, width))
        if hidden:
            table.add_row("…" if not self.console.options.ascii_only else "...", f"+{hidden}", "more")
        return table

    def _cells(self, worker: int, run: _Run | None, loss: str | None, width: int) -> Iterator[RenderableType]:
        yield str(worker)
        if run is None:
            yield Text("idle", "dim")
            return
        values = run.values()
        yield run.name
        yield run.step
        yield number_text(values[-1]) if values else "-"
        if loss:
            yield number_text(run.record.metrics[loss]) if run.record and loss in run.record.metrics else "-"
        yield _Spark(values, "cyan")
        yield duration(run.running.seconds)
        if width >= WIDE:
            yield Text(_given(run.running.trial, is_short=True), "dim")

    @property
    def _label(self) -> str:
        return self.tally.goal.label(0)

    def _runs(self) -> list[_Run | None]:
        """Returns what each row shows; None: nothing just now. A worker keeps its rows, a new one takes free ones."""
        running = {(one.worker or f"trial {one.trial.number}", one.trial.number): one for one in self.tally.running}
        for new in [key for key in running if key not in self.slots]:
            free = [place for place, key in enumerate(self.slots) if key not in running]
            own = [place for place in free if self.slots[place][0] == new[0]]
            if free:
                self.slots[(own or free)[0]] = new
            else:
                self.slots.append(new)
        found = [running.get(key) for key in self.slots]
        return [_Run.read(self.folder, one) if one else None for one in found]


class _Run:
    """What a worker runs just now: a trial, or one of its repeats."""

    def __init__(self, name: str, running: Running, record: RunRecord | None) -> None:
        self.name, self.running, self.record = name, running, record

    @classmethod
    def read(cls, folder: SweepFolder, running: Running) -> _Run:
        """Returns it with its record, as far as that is here: the worker may be of another host."""
        number = running.trial.number
        for file in folder.run_records(number)[-1:]:
            try:
                return cls(str(file.parent.relative_to(folder.path)), running, RunRecord.read(file))
            except ValueError:  # half of it, on a file system that is slow to tell
                break
        return cls(str(number), running, None)

    @property
    def step(self) -> str:
        if self.record:
            return f"{self.record.step}/{self.record.num_steps}" if self.record.num_steps else str(self.record.step)
        return str(len(self.running.trial.intermediate_values))

    def values(self) -> list[float]:
        """Returns the objective by step."""
        if reported := self.running.trial.intermediate_values:
            return [reported[step] for step in sorted(reported)]
        return [value for value in self.record.reports if value is not None] if self.record else []

    def losses(self, objective: str) -> list[str]:
        """Returns the name of what it reports beside the objective that is worth a column: its last loss."""
        names = [name for name in (self.record.metrics if self.record else ()) if name.endswith("loss")]
        return [] if objective.endswith("loss") else names[-1:]


class _Spark:
    """A curve in one line, as wide as there is room: each character is the mean of what it stands for."""

    def __init__(self, values: Sequence[float], style: str) -> None:
        self.values, self.style = values, style

    def __rich_console__(self, console: Console, options: Any) -> Iterator[Text]:
        yield Text(spark(self.values, options.max_width, options.ascii_only), self.style, no_wrap=True)

    def __rich_measure__(self, console: Console, options: Any) -> Any:
        from rich.measure import Measurement

        return Measurement(1, max(1, min(len(self.values), options.max_width)))


def spark(values: Sequence[float], width: int, is_ascii: bool = False) -> str:
    """Returns a curve in so many characters at most, the lowest value at the bottom, the highest at the top."""
    levels = ASCII_SPARKS if is_ascii else SPARKS
    known = [value for value in values if math.isfinite(value)]
    if not known or width < 1:
        return ""
    size = max(1.0, len(known) / width)
    parts = [known[int(i * size) : max(int(i * size) + 1, int((i + 1) * size))] for i in range(min(width, len(known)))]
    means = [sum(part) / len(part) for part in parts]
    low, high = min(means), max(means)
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return levels[0] * len(means)
    return "".join(levels[min(len(levels) - 1, int((mean - low) / span * len(levels)))] for mean in means)


def _given(trial: FrozenTrial, is_short: bool = False) -> str:
    """Returns what was sampled for a trial; if it is to be short, keys without their group where that is clear."""
    pairs = {name.partition(" @ ")[0]: short_number(str(value)) for name, value in trial.params.items()}
    leaves = [key.rpartition(".")[2] for key in pairs]
    names = [leaf if is_short and leaves.count(leaf) == 1 else key for key, leaf in zip(pairs, leaves, strict=True)]
    return escape_unprintable(" ".join(f"{name}={value}" for name, value in zip(names, pairs.values(), strict=True)))


class _Above:
    """A standard stream whose lines are printed above the screen; one that overwrites itself comes as it ends up.

    No terminal as far as anybody can see: others' progress bars stay off.
    """

    def __init__(self, stream: TextIO, put: Callable[[str], None]) -> None:
        self.stream, self.put = stream, put
        self.rest = ""
        self.owner, self.lock = os.getpid(), threading.Lock()

    def write(self, text: str) -> int:
        if os.getpid() != self.owner:  # a process that was forked has no screen
            return self.stream.write(text)
        with self.lock:
            *lines, self.rest = (self.rest + text).split("\n")
            self.rest = self.rest.rpartition("\r")[2] if not self.rest.endswith("\r") else self.rest
            for line in lines:
                self.put(line.rstrip("\r").rpartition("\r")[2])
        return len(text)

    def writelines(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if os.getpid() != self.owner:
            self.stream.flush()

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def above(put: Callable[[str], None]) -> Iterator[None]:
    """Hands each line that this process prints meanwhile to `put`, those of the log included."""
    before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    proxies: dict[str, Any] = {name: _Above(stream, put) for name, stream in before.items()}
    for name, proxy in proxies.items():
        before[name].flush()
        setattr(sys, name, proxy)
        streams.hand_over(before[name], proxy)
    try:
        yield
    finally:
        for name, proxy in proxies.items():
            if getattr(sys, name) is proxy:
                setattr(sys, name, before[name])
            streams.hand_over(proxy, before[name])
            if proxy.rest:
                put(proxy.rest)
