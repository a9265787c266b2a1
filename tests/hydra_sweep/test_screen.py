"""The live screen, as a terminal shows it; in the process, but for one sweep under a real terminal."""

import logging
import os
import re
import signal
import sys
from dataclasses import asdict

import pyte
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from rich.console import Console
from sweeps import APPS, BASIC, JOBLIB, SECONDS, SPACE, budget, wait_for
from terminals import RealTerminal

from hydra_sweep.plan import Goal
from hydra_sweep.process import Process
from hydra_sweep.records import LEASE, OUTCOME, Lease, Outcome
from hydra_sweep.run_record import RunRecord, RunRecorder
from hydra_sweep.screen import Screen, above, spark
from hydra_sweep.sweep_folder import SweepFolder
from hydra_sweep.tally import Tally

RUNNING = TrialState.RUNNING


class Terminal:
    """A terminal in this process.

    Args:
        encoding: what it can show.
    """

    def __init__(self, columns=80, rows=24, encoding="utf-8", **options):
        self.shown = pyte.HistoryScreen(columns, rows, history=1000)
        self.stream = pyte.Stream(self.shown)
        self.encoding, self.written = encoding, ""
        self.console = Console(
            file=self,
            force_terminal=True,
            width=columns,
            height=rows,
            markup=False,
            highlight=False,
            emoji=False,
            color_system="standard",
            legacy_windows=False,
            **options,
        )

    def write(self, text):
        self.written += text
        self.stream.feed(text.replace("\n", "\r\n"))

    def flush(self):
        pass

    def isatty(self):
        return True

    def lines(self):
        """Returns what it shows, without the empty lines at the end."""
        return "\n".join(line.rstrip() for line in self.shown.display).rstrip().split("\n")


def trial(number, state=TrialState.COMPLETE, value=0.5, params=(), reports=(), worker=1, seconds=60.0):
    attrs = {OUTCOME: asdict(Outcome(seconds=seconds))}
    if state is RUNNING:
        attrs = {LEASE: asdict(Lease(Process(f"host{worker}", worker, 0.0), seconds=seconds))}
    kinds = {
        name: FloatDistribution(0, 9) if isinstance(v, float) else CategoricalDistribution([v])
        for name, v in dict(params).items()
    }
    made = create_trial(
        state=state,
        value=value if state is TrialState.COMPLETE else None,
        params=dict(params),
        distributions=kinds,
        intermediate_values=dict(enumerate(reports, 1)),
        user_attrs=attrs,
    )
    made.number = number
    return made


def screen(tmp_path, terminal, trials=(), n_trials=40, num_workers=2, goal=None):
    tally = Tally(goal or Goal(["valid_accuracy"], ["maximize"], []), n_trials, num_workers)
    tally.update(trials)
    return Screen(SweepFolder(tmp_path), tally, terminal.console)


TRIALS = [
    trial(0, value=0.91, params={"model": "gru", "optim.lr @ adam": 0.0123456789}),
    trial(1, TrialState.PRUNED, seconds=20.0),
    trial(2, TrialState.FAIL, seconds=10.0),
    trial(3, RUNNING, reports=[0.1, 0.5, 0.7], worker=7, seconds=12.0, params={"model": "lstm"}),
    trial(4, RUNNING, reports=[0.2], worker=8, seconds=3.0),
]


def test_a_row_for_each_worker_counts_the_best_and_the_time_left_fit_80_columns(tmp_path):
    terminal = Terminal(80)
    with screen(tmp_path, terminal, TRIALS) as shown:
        shown.draw(125)
        lines = terminal.lines()
    assert lines[0].startswith("3/40 trials  ━━")
    assert lines[0].endswith("  2 min 5 s, about 9 min left")
    assert lines[1] == "2 running, 1 complete, 1 pruned, 1 failed, 35 waiting"
    assert lines[2] == "best valid_accuracy 0.91, trial 0: model=gru optim.lr=0.01235"
    assert lines[3].split() == ["worker", "trial", "step", "valid_accuracy", "time"]
    assert lines[4].split() == ["1", "3", "3", "0.7", "▁▆█", "12", "s"]
    assert lines[5].split() == ["2", "4", "1", "0.2", "▁", "3", "s"]
    assert len(lines) == 6
    assert max(map(len, lines)) <= 80


def test_120_columns_have_the_configuration_of_each_trial_too(tmp_path):
    terminal = Terminal(120)
    with screen(tmp_path, terminal, TRIALS) as shown:
        shown.draw(1)
        lines = terminal.lines()
    assert lines[4].endswith("model=lstm")
    assert len(lines[0]) == 120


def record(tmp_path, run, **facts):
    file = SweepFolder(tmp_path).run_record(run)
    with RunRecorder(file, RunRecord(int(run.partition("/")[0]), "running", {}, "value")) as recorder:
        recorder.note(None, facts.pop("metrics"), facts.pop("num_steps"))
        recorder.record.step = facts.pop("step")
        recorder.written = 0.0
        recorder._write()
        recorder.record.state = "complete"  # so that it stays as it is


def test_the_step_of_how_many_and_the_loss_come_from_the_runs_own_record(tmp_path):
    metrics = {"train_loss": 0.5, "valid_loss": 0.25, "valid_accuracy": 0.7}
    record(tmp_path, "3", metrics=metrics, num_steps=10, step=3)
    terminal = Terminal(80)
    with screen(tmp_path, terminal, TRIALS) as shown:
        shown.draw(1)
        lines = terminal.lines()
    assert lines[3].split() == ["worker", "trial", "step", "valid_accuracy", "valid_loss", "time"]
    assert lines[4].split()[:5] == ["1", "3", "3/10", "0.7", "0.25"]
    assert lines[5].split()[:5] == ["2", "4", "1", "0.2", "-"]


def test_a_repeat_is_named_by_its_folder(tmp_path):
    for run in ("3/0", "3/1"):
        record(tmp_path, run, metrics={}, num_steps=5, step=2)
    terminal = Terminal(80)
    with screen(tmp_path, terminal, TRIALS) as shown:
        shown.draw(1)
        assert terminal.lines()[4].split()[:3] == ["1", "3/1", "2/5"]


def test_a_record_that_is_damaged_costs_its_columns_alone(tmp_path):
    record(tmp_path, "3", metrics={}, num_steps=5, step=2)
    (tmp_path / "3" / "trial.json").write_text('{"trial": 3')
    terminal = Terminal(80)
    with screen(tmp_path, terminal, TRIALS) as shown:
        shown.draw(1)
        assert terminal.lines()[4].split()[:3] == ["1", "3", "3"]


def test_a_worker_keeps_its_row_and_a_new_one_takes_that_of_one_that_is_gone(tmp_path):
    terminal = Terminal(80)
    with screen(tmp_path, terminal, TRIALS[3:], n_trials=9) as shown:
        shown.draw(1)
        shown.tally.update([trial(3), TRIALS[4]])
        shown.draw(2)
        assert terminal.lines()[4].split() == ["1", "idle"]
        shown.tally.update([trial(3), TRIALS[4], trial(5, RUNNING, worker=7, reports=[0.3])])
        shown.draw(3)
        assert [line.split()[:2] for line in terminal.lines()[4:]] == [["1", "5"], ["2", "4"]]
        shown.tally.update([trial(3), trial(4), trial(5, RUNNING, worker=7), trial(6, RUNNING, worker=9)])
        shown.draw(4)
        assert [line.split()[:2] for line in terminal.lines()[4:]] == [["1", "5"], ["2", "6"]]


def test_trials_side_by_side_have_a_row_each_and_the_number_of_their_worker(tmp_path):
    terminal = Terminal(80)
    first = [trial(number, RUNNING, worker=7 + number // 2) for number in range(4)]
    with screen(tmp_path, terminal, first, n_trials=9) as shown:
        shown.draw(1)
        assert [line.split()[:2] for line in terminal.lines()[-4:]] == [["1", "0"], ["1", "1"], ["2", "2"], ["2", "3"]]
        shown.tally.update(
            [first[0], trial(1), first[2], trial(3), *(trial(n, RUNNING, worker=12 - n) for n in (4, 5))]
        )
        shown.draw(2)
        assert [line.split()[:2] for line in terminal.lines()[-4:]] == [["1", "0"], ["1", "5"], ["2", "2"], ["2", "4"]]


def test_lines_that_are_printed_meanwhile_come_above_in_their_order_and_nothing_stays_of_the_screen(tmp_path):
    terminal = Terminal(80, 12)
    terminal.write("$ command\n")
    with screen(tmp_path, terminal, TRIALS) as shown:
        for second in range(30):
            shown.print(f"trial {second} complete")
            shown.draw(second)
        lines = terminal.lines()
        assert lines[:6] == [f"trial {second} complete" for second in range(24, 30)]
        assert lines[6].startswith("3/40 trials")
        assert sum("worker" in line for line in lines) == 1
    above_it = ["".join(line[x].data for x in range(80)).rstrip() for line in terminal.shown.history.top]
    assert [*above_it, *terminal.lines()] == ["$ command", *(f"trial {second} complete" for second in range(30))]


@pytest.mark.parametrize("rows", range(1, 8))
def test_a_terminal_of_few_rows_shows_what_matters_most_and_is_not_overrun(tmp_path, rows):
    trials = [trial(0), *(trial(n, RUNNING, worker=n) for n in range(1, 6))]
    terminal = Terminal(80, rows)
    with screen(tmp_path, terminal, trials) as shown:
        shown.draw(1)
        shown.draw(2)
        lines = terminal.lines()
        assert lines[0].startswith("1/40 trials")
        assert len(lines) <= max(1, rows - 1)
        assert not terminal.shown.history.top
        if rows == 7:
            assert [line.split()[0] for line in lines] == ["1/40", "5", "best", "worker", "1", "…"]
            assert lines[-1].split() == ["…", "+4", "more"]


@pytest.mark.parametrize("columns", [1, 5, 20, 45])
def test_a_terminal_of_few_columns_is_not_overrun_either(tmp_path, columns):
    terminal = Terminal(columns, 24)
    with screen(tmp_path, terminal, TRIALS) as shown:
        shown.draw(1)
        assert max(shown.drawn) <= columns
        assert len(shown.drawn) < 24


def test_a_terminal_that_becomes_smaller_or_larger_is_drawn_anew(tmp_path):
    terminal = Terminal(120)
    with screen(tmp_path, terminal, TRIALS) as shown:
        shown.print("before")
        shown.draw(1)
        for columns, rows in ((60, 24), (60, 5), (100, 30)):
            terminal.shown.resize(rows, columns)
            terminal.console.size = (columns, rows)
            shown.draw(2)
            lines = [line for line in terminal.lines() if line]
            assert max(map(len, lines)) <= columns
            assert sum(line.startswith("3/40 trials") for line in lines) == 1


def test_a_terminal_that_wraps_long_lines_when_it_becomes_narrower_is_wiped(tmp_path):
    terminal = Terminal(100)
    with screen(tmp_path, terminal, TRIALS) as shown:
        shown.draw(1)
        wide = len([width for width in shown.drawn[:-1] if width > 50])  # above the cursor
        terminal.console.size = (50, 24)
        start = len(terminal.written)
        shown.draw(2)
    # As many rows up as the wrapped lines have more, before the rows that were drawn are erased as ever.
    assert terminal.written[start:].startswith(f"\x1b[{wide}A\x1b[J")


def test_what_a_terminal_echoes_begins_no_new_line(tmp_path):
    terminal = Terminal(80)
    with screen(tmp_path, terminal, TRIALS) as shown:
        for second in range(3):
            shown.draw(second)
            assert terminal.shown.cursor.x == 0
            terminal.write("^C")
        shown.print("stopping")
        lines = terminal.lines()
        assert [line.split()[0] for line in lines] == ["stopping", "3/40", "2", "best", "worker", "1", "2"]


HOSTILE = "[red]\x1b[31m\x1b]0;title\x07\r\n\u202eb[/red]"


def test_what_comes_from_outside_is_text_and_neither_markup_nor_control(tmp_path):
    goal = Goal([HOSTILE], ["maximize"], [])
    trials = [trial(0, params={HOSTILE: HOSTILE}), trial(1, RUNNING, params={"x": HOSTILE}, reports=[1.0])]
    terminal = Terminal(120)
    with screen(tmp_path, terminal, trials, goal=goal) as shown:
        shown.draw(1)
        shown.print(f"trial 0 {HOSTILE}")
        assert "\x1b]" not in terminal.written
        assert "\x07" not in terminal.written
        assert "\u202e" not in terminal.written
        text = "\n".join(terminal.lines())
    assert "[red]\\x1b[31m\\x1b]0;title" in text
    assert terminal.shown.title == ""


def test_wide_characters_do_not_break_the_columns(tmp_path):
    trials = [trial(0, params={"模型": "门控循环单元" * 30}), trial(1, RUNNING, reports=[1.0])]
    terminal = Terminal(80)
    with screen(tmp_path, terminal, trials) as shown:
        shown.draw(1)
        shown.draw(2)
        lines = terminal.lines()
    assert sum(line.startswith("1/40") for line in lines) == 1
    assert lines[3].startswith("     模型=门控循环")
    assert lines[4].endswith("…")


def test_a_terminal_that_knows_ascii_alone_gets_no_more(tmp_path):
    terminal = Terminal(120, encoding="ascii")
    trials = [*TRIALS[:3], *(trial(n, RUNNING, worker=n, reports=[0.1, 0.9]) for n in range(3, 40))]
    with screen(tmp_path, terminal, trials) as shown:
        shown.draw(1)
    assert terminal.written.isascii()
    assert "_@" in terminal.written


def test_no_color_has_no_color(tmp_path, monkeypatch):
    def codes(**options):
        terminal = Terminal(80, **options)
        with screen(tmp_path, terminal, TRIALS) as shown:
            shown.draw(1)
        return terminal.written

    assert "\x1b[32m" in codes()
    assert "\x1b[32m" not in codes(no_color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in codes()


def test_the_cursor_stays_visible_for_whatever_comes_after_a_kill(tmp_path):
    terminal = Terminal(80)
    with screen(tmp_path, terminal, TRIALS) as shown:
        shown.draw(1)
        assert not terminal.shown.cursor.hidden


@pytest.mark.parametrize(
    ("values", "width", "curve"),
    [
        ([], 8, ""),
        ([0.3], 8, "▁"),
        ([1, 1, 1], 8, "▁▁▁"),
        ([0, 1], 8, "▁█"),
        ([8, 7, 6, 5, 4, 3, 2, 1], 8, "█▇▆▅▄▃▂▁"),
        (range(800), 8, "▁▂▃▄▅▆▇█"),
        ([0.0, float("nan"), 1.0, float("inf")], 8, "▁█"),
        ([-1e308, 1e308], 8, "▁▁"),  # their distance is no number
        (range(9), 0, ""),
    ],
)
def test_a_curve_in_one_line(values, width, curve):
    assert spark(list(values), width) == curve


def test_what_others_print_and_log_comes_line_by_line_and_a_bar_as_it_ends_up():
    lines, handler = [], logging.StreamHandler(sys.stderr)
    log = logging.getLogger("of an app")
    log.addHandler(handler)
    with above(lines.append):
        print("half", end="")
        print(" a line")
        assert not sys.stdout.isatty()
        for share in (10, 50, 100):
            sys.stderr.write(f"\r{share} %")
        sys.stderr.write("\n")
        log.warning("logged")
        print("windows", end="\r\n")
        sys.stdout.writelines(["a\n", "b"])
    log.removeHandler(handler)
    assert lines == ["half a line", "100 %", "logged", "windows", "a", "b"]
    assert handler.stream is not sys.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks on this system")
def test_a_forked_process_prints_for_itself(monkeypatch, tmp_path):
    lines = []
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        with above(lines.append):
            if (pid := os.fork()) == 0:
                print("from the child", flush=True)
                os._exit(0)
            os.waitpid(pid, 0)
    assert ((tmp_path / "out").read_text(), lines) == ("from the child\n", [])


def watched():
    """Returns an environment in which a terminal is drawn on."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "COLUMNS", "LINES", "NO_COLOR")}
    return kept | {"TERM": "xterm-256color"}


@pytest.mark.long
@pytest.mark.parametrize("columns", [80, 120])
def test_a_real_sweep_in_a_real_terminal_survives_a_killed_worker_a_resize_and_ctrl_c(start, columns):
    with RealTerminal(columns) as terminal:
        walk = (*JOBLIB, *SPACE, budget(500), "steps=20", "pause=0.3")
        command = start(*walk, environment=watched(), terminal=terminal)

        def workers():
            """Returns the rows of the workers that are at work."""
            return [line for line in terminal.lines() if re.match(r" +\d+ +\d+ +\d+/20 ", line)]

        wait_for(lambda: len(workers()) == 2 and "▁" in "".join(workers()), "two workers")
        shown = "\n".join(terminal.lines())
        assert "2 running" in shown
        assert max(map(len, terminal.lines())) <= columns
        assert ("x=" in workers()[0]) == (columns == 120)
        os.kill(command.workers()[0], signal.SIGKILL)
        wait_for(lambda: "sweep: lost workers" in terminal.text(), "a lost worker to be told")
        wait_for(lambda: len(workers()) == 2, "two workers again")
        terminal.resize(60, 12)
        wait_for(lambda: workers() and max(map(len, terminal.lines())) <= 60, "it to be drawn anew")
        wait_for(lambda: " complete" in terminal.text(), "a trial to end")
        assert sum("/500 trials" in line for line in terminal.lines()) == 1
        terminal.type(b"\x03")
        wait_for(lambda: "sweep: stopping: running trials are saved first" in terminal.text(), "Ctrl-C")
        command.end(128 + signal.SIGINT)
        wait_for(lambda: "stopped; the resume line goes on" in terminal.text(), "the summary")
        assert not any("/500 trials  " in line for line in terminal.lines())
        assert terminal.is_sane()


@pytest.mark.long
@pytest.mark.parametrize("variable", ["TERM=dumb", "CI=true"])
def test_a_terminal_that_nobody_watches_gets_plain_lines(start, variable):
    name, _, value = variable.partition("=")
    with RealTerminal(120) as terminal:
        command = start(*SPACE, *BASIC, budget(3), environment=os.environ | {name: value}, terminal=terminal)
        assert command.process.wait(SECONDS) == 0
        wait_for(lambda: "3 trials: 3 complete" in terminal.text(), "the summary")
        assert len(re.findall(r"^trial [012] complete  loss ", terminal.text(), re.M)) == 3


@pytest.mark.long
def test_what_a_task_prints_in_the_sweepers_own_process_comes_above_the_screen(start):
    with RealTerminal(100, 50) as terminal:
        command = start("x=1,2", *BASIC, app=APPS / "talker.py", environment=watched(), terminal=terminal)
        wait_for(lambda: terminal.lines()[-1].split()[:3] == ["1", "1", "0"], "the second trial in the last row")
        wait_for(lambda: "begins 2" in terminal.lines()[:-5], "its line above")
        assert command.process.wait(SECONDS) == 0
        wait_for(lambda: "2 trials: 2 complete" in terminal.text(), "the summary")
        text = terminal.text()
        for number in (1, 2):
            assert text.count(f"begins {number}") == text.count(f"ends {number}") == 1
            assert text.count(f"walks {number}: 100%") == 1  # a bar comes as it ends up
        assert "0/2 trials" not in text
