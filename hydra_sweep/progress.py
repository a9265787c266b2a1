"""What is shown of a sweep while it runs, a live screen or plain lines, and its files, which are kept current."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from queue import SimpleQueue
from typing import TYPE_CHECKING

from hydra_sweep.background import Background
from hydra_sweep.errors import UserError, describe_error
from hydra_sweep.plan import Plan
from hydra_sweep.results import write_best, write_results
from hydra_sweep.study import SweepStudy
from hydra_sweep.summary import finished_text, headline, line, paused_line, summary
from hydra_sweep.tally import Tally

if TYPE_CHECKING:
    from hydra_sweep.screen import Screen

SECONDS = 0.5  # between two looks at the study
SHARE = 20  # of all time, a twentieth at most goes into looking, and another one into writing


class Progress(Background):
    """Shows how a sweep goes, and keeps its files current.

    In a thread of its own, so that a terminal that is paused, or an error in what is shown, holds up nothing else. On a
    terminal, whatever this process prints meanwhile comes above the screen.
    """

    def __init__(self, plan: Plan, study: SweepStudy, num_workers: int) -> None:
        super().__init__("progress")
        self.plan, self.study = plan, study
        self.began = time.monotonic()
        self.interval = SECONDS  # between two looks; grows with what a look costs
        self.tally = Tally(plan, plan.n_trials, num_workers)
        self.are_files_old, self.writing_due = True, 0.0
        self.lines: SimpleQueue[str] = SimpleQueue()  # to come above the screen
        self.texts: SimpleQueue[str] = SimpleQueue()
        self.screen: Screen | None = None
        self.above = ExitStack()
        ended = self.tally.update(study.within_budget(plan.n_trials))
        print(headline(plan, num_workers), flush=True)
        if ended:
            print(f"resuming: {finished_text(len(ended), plan.n_trials)}", flush=True)

    def __enter__(self) -> Progress:
        if is_watched():
            from rich.console import Console

            from hydra_sweep.screen import Screen, above

            console = Console(file=sys.stdout, force_terminal=True, markup=False, highlight=False, emoji=False)
            self.screen = Screen(self.plan.folder, self.tally, console)
            self.above.enter_context(above(self.lines.put))
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.above.close()
        self.screen = None
        self._show()

    def say(self, text: str) -> None:
        """Shows a line of the sweeper's own, from any thread."""
        self.texts.put(text)

    def run(self) -> None:
        with ExitStack() as stack:
            if self.screen:
                stack.enter_context(self.screen)
            due = 0.0
            while not self.done.wait(0.2):
                self._show()
                if time.monotonic() >= due:
                    self.look()
                    due = time.monotonic() + self.interval
            self.writing_due = 0.0
            self._show()
            self.look()

    def look(self) -> None:
        """Shows what has changed, and writes the files if trials have ended."""
        began = time.monotonic()
        try:
            ended = self.tally.update(self.study.within_budget(self.plan.n_trials))
            for trial in self.tally.paused:
                self._print(paused_line(self.plan, trial))
            for trial in ended:
                is_best = bool(self.tally.top) and self.tally.top[0].number == trial.number
                self._print(line(self.plan, trial, is_best))
            if self.screen:
                self.screen.draw(began - self.began)
            self.interval = max(SECONDS, SHARE * (time.monotonic() - began))
            self.are_files_old |= bool(ended)
            if self.are_files_old and time.monotonic() >= self.writing_due:
                self._write()
        except Exception as error:  # the storage is away
            self._say(f"can't look at the study just now: {describe_error(error)}")

    def _write(self) -> None:
        began = time.monotonic()
        ended = [trial for trial in self.study.within_budget(self.plan.n_trials) if trial.state.is_finished()]
        self.are_files_old = False  # on a full disk they are written once there is more to write
        try:
            write_results(self.plan, ended)
            write_best(self.plan, ended)
        except UserError as error:
            self._say(str(error))
        self.writing_due = time.monotonic() + SHARE * (time.monotonic() - began)

    def _show(self) -> None:
        """Shows what others have had to say."""
        while not self.lines.empty():
            self._print(self.lines.get())
        while not self.texts.empty():
            self._say(self.texts.get())

    def _print(self, line: str) -> None:
        if self.screen:
            self.screen.print(line)
        else:
            print(line, flush=True)

    def _say(self, text: str) -> None:
        if self.screen:
            self.screen.print(f"sweep: {text}")
        else:
            print(f"sweep: {text}", file=sys.stderr, flush=True)

    def summary(self, signum: int | None, why: str | None) -> None:
        """Shows what came of the sweep, and how to go on with it, if that is wanted."""
        if self.plan.settings.summary or why:
            print("\n".join(summary(self.plan, self.study, signum, why)), flush=True)


def is_watched() -> bool:
    """Whether standard output and error are terminals that can be drawn on, and that somebody watches."""
    is_dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    is_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return not is_dumb and not is_ci and sys.stdout.isatty() and sys.stderr.isatty()
