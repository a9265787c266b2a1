"""Makes docs/figures/terminal.svg, the live screen of a real sweep: `python docs/figures/terminal.py`, some minutes.

A search of small networks runs in a folder that is deleted afterwards. What its command says is shown above the screen,
as a terminal has it; the screen itself is drawn from the study and the records of its runs, by the very code that draws
it in a terminal.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.segment import SegmentLines
from rich.text import Text

from hydra_sweep.screen import Screen
from hydra_sweep.status import RecordedSweep
from hydra_sweep.sweep_folder import SweepFolder
from hydra_sweep.tally import Tally

TARGET = Path(__file__).parent / "terminal.svg"
SHOWN = "rnnexp -m search=quick name=mine n_trials=30 workers=4"  # what is typed but for the sizes, which are no matter
SIZES = "train.epochs=10 data.limit=2000 data.valid_size=500"
COLUMNS, ROWS = 96, 24
NUM_ENDED = 12  # trials after which the picture is taken
NUM_LINES = 6  # of them above the screen


def picture(said: list[str], sweep: RecordedSweep, began: float) -> str | None:
    """Returns the picture as SVG, once all workers have something to show."""
    tally = Tally(sweep.goal, sweep.n_trials, num_workers=4)
    ended = tally.update(sweep.trials())
    console = Console(file=io.StringIO(), force_terminal=True, record=True, width=COLUMNS, height=ROWS, highlight=False)
    screen = Screen(SweepFolder(sweep.folder), tally, console)
    steps = [len(one.trial.intermediate_values) for one in tally.running]
    if len(ended) < NUM_ENDED or len(steps) < 4 or min(steps) < 2 or max(steps) < 6:
        return None
    console.print(Text(f"$ {SHOWN}"))
    for line in [said[0].replace(str(sweep.folder.parent), "outputs/sweeps"), *said[-NUM_LINES:]]:
        console.print(Text(line), no_wrap=True, overflow="ellipsis", crop=True)
    console.print(SegmentLines(screen.lines(time.monotonic() - began), new_lines=True), end="")
    svg = console.export_svg(title=SHOWN, unique_id="terminal")
    return re.sub(r"@font-face\s*\{[^}]*\}\s*", "", svg)  # it loads nothing


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder, said, began = Path(scratch) / "outputs" / "sweeps" / "mine", [], time.monotonic()
        typed = [sys.executable, "-m", "rnnexp", *SHOWN.split()[1:], *SIZES.split()]
        with subprocess.Popen(typed, cwd=scratch, text=True, stdout=subprocess.PIPE) as command:
            assert command.stdout is not None
            threading.Thread(target=lambda: said.extend(map(str.rstrip, command.stdout or ())), daemon=True).start()
            while command.poll() is None:
                time.sleep(0.3)
                if len(said) < NUM_ENDED:
                    continue
                if svg := picture(said, RecordedSweep(folder, folder.parent), began):
                    TARGET.write_text(svg, encoding="utf-8")
                    command.terminate()
                    return
        sys.exit("there was no such moment; try once more")


if __name__ == "__main__":
    main()
