"""What a task may return, raise or do: its trial ends with the reason in one clean line, its neighbors complete."""

import pytest
import yaml
from optuna.trial import TrialState
from sweeps import APPS, BASIC, JOBLIB, budget, rows, trials

from rnnexp.record.run_folder import RunFolder
from rnnexp.runner import run

MISFIT = APPS / "misfit.py"
REASONS = {
    "raise": "KeyError: 'lost'",
    "lines": 'RuntimeError: first, "quoted" second',
    "ansi": r"RuntimeError: \x1b[2J\x1b[31mred\x07 \x00\x9b \u202eend",
    "surrogate": r"ValueError: caf\udce9",
    "kind": r"Odd\nkind: text",
    "long": "RuntimeError: long long long ",
    "locked": "Locked: in",
    "deep": "RecursionError: maximum recursion depth exceeded",
    "memory": "MemoryError",
    "starve": "MemoryError",
    "mute": "Mute",
    "exit": "SystemExit: 3",
    "exit_text": r"SystemExit: \x1b[31mgone",
    "exit_mute": "SystemExit",
    "leave": "Leaving: by the back door",
    "cancel": "CancelledError",
    "interrupt": "KeyboardInterrupt",
    "none": "value must be a number, got NoneType None",
    "not_finite": "value is nan",
    "infinite": "value is -inf",
    "infinity": "value is inf",
    "text": "value must be a number, got str text",
    "pages": r"value must be a number, got str a\x1b[31mb a\x1b[31mb",
    "pair": "the task must return 1 objective, got 2",
    "many": "the task must return 1 objective, got 1000000",
    "array": "value must be a number, got ndarray [[0.",
    "complex": "value must be a number, got complex (1+2j)",
    "function": "value must be a number, got function ",
    "lock": "value must be a number, got lock <unlocked",
    "itself": "value must be a number, got list [[...]]",
    "empty": "the task returned no value; there are no metrics",
    "crowd": "the task returned no value; there are 0, 1, 2, 3, ",
    "mute_key": "a dict that can't be read: RuntimeError: no words",
    "huge": "value must be a number, got int ",
}
PRUNED = {"pruned": r"\x1b[31mno more", "optuna_pruned": r"\x1b[31mno more"}
WITH_TRACEBACK = ("raise", "lines", "ansi", "surrogate", "locked", "deep", "memory", "starve", "mute", "leave")
NO_LIMIT = "hydra.sweeper.max_failures=1000"
LAUNCHERS = pytest.mark.parametrize("launcher", [BASIC, JOBLIB], ids=["basic", "joblib"])


def misbehave(start, ways, *arguments):
    """Returns the command of a sweep with a trial for each way."""
    guesses = f"hydra.sweeper.enqueue={[f'what={way}' for way in ways]}"
    return start(f"what={','.join(ways)}", guesses, budget(len(ways)), NO_LIMIT, *arguments, app=MISFIT)


def assert_clean(text):
    """Fails if something but lines of printable text would reach the terminal."""
    assert all(line.isprintable() for line in text.split("\n")), repr(text)


def assert_states(folder, states):
    """Fails unless each way's trial has its state, in the table and in the study, and one line says why."""
    table = rows(folder)
    assert {row["what"]: row["state"] for row in table} == states
    assert len(table) == len(states)
    names = {"complete": TrialState.COMPLETE, "failed": TrialState.FAIL, "pruned": TrialState.PRUNED}
    assert [t.state for t in trials(folder)[: len(table)]] == [names[states[row["what"]]] for row in table]
    for row in table:
        assert row["reason"].isprintable()
        assert len(row["reason"]) < 700
        assert (row["reason"] == "") == (row["state"] == "complete")


@LAUNCHERS
def test_whatever_a_task_returns_or_raises_fails_its_own_trial_with_its_reason(start, inject, launcher):
    ways = ["good", *REASONS, *PRUNED, "numpy"]
    inject("result or exception of a task", len(ways) - 2)
    command = misbehave(start, ways, *launcher)
    out = command.end()
    assert_clean(out)
    states = {"good": "complete", "numpy": "complete"} | dict.fromkeys(REASONS, "failed")
    assert_states(command.folder, states | dict.fromkeys(PRUNED, "pruned"))
    table = {row["what"]: row for row in rows(command.folder)}
    for way, reason in (REASONS | PRUNED).items():
        assert table[way]["reason"].startswith(reason)
        log = (command.folder / table[way]["folder"] / "misfit.log").read_text()
        assert_clean(log)
        assert way in PRUNED or reason.split(",")[0] in log
    for way in WITH_TRACEBACK:
        log = (command.folder / table[way]["folder"] / "misfit.log").read_text()
        assert "Traceback (most recent call last)" in log
        assert 'misfit.py", line ' in log
    assert (table["good"]["value"], table["numpy"]["value"]) == ("1.0", "0.5")
    assert yaml.safe_load((command.folder / "best.yaml").read_text())["command"] == f"python {MISFIT} what=numpy"
    assert f"{len(ways)} trials: 2 complete, {len(PRUNED)} pruned, {len(REASONS)} failed" in out
    assert "Traceback" not in out
    assert "Logging error" not in out


def test_thousands_of_warnings_stay_off_the_screen_and_harm_nothing(start, inject):
    inject("warning of a task", 5000)
    command = misbehave(start, ["complain", "good"], *JOBLIB)
    out = command.end()
    assert_clean(out)
    assert_states(command.folder, {"complain": "complete", "good": "complete"})
    assert "this is warning" not in out
    printed = "".join(file.read_text() for file in (command.folder / "workers").glob("*.log"))
    assert printed.count("UserWarning: \x1b[31mthis is warning") == 5000


def test_a_task_that_takes_its_process_along_fails_and_its_neighbors_complete(start, inject):
    inject("crash of a worker", 6)
    command = misbehave(start, ["good", "crash", "vanish", "numpy"], *JOBLIB)
    out = command.end()
    assert_clean(out)
    assert_states(command.folder, {"good": "complete", "crash": "failed", "vanish": "failed", "numpy": "complete"})
    for row in rows(command.folder):
        if row["state"] == "failed":
            assert row["reason"] == "its worker died 3 times in the same place (killed, out of memory, or hung?)"
    printed = "".join(file.read_text() for file in (command.folder / "workers").glob("*.log"))
    assert "Segmentation fault" in printed


def test_a_trial_that_ends_the_process_of_a_sweep_without_workers_fails_after_resumes(start, inject):
    arguments = ["x=1", "y=1,2,3", "poison=2", "how=exit", *BASIC]
    for _ in range(3):
        start(*arguments).end(9)
        inject("crash of a sweep's only process")
    command = start(*arguments)
    command.end()
    assert [row["state"] for row in rows(command.folder)] == ["complete", "failed", "complete"]
    assert "its worker died 3 times" in rows(command.folder)[1]["reason"]


HANG = "hydra.sweeper.hang_seconds=6"


def test_a_task_that_hangs_is_ended_and_fails_with_the_reason_and_its_neighbors_complete(start, inject):
    """Be it that it waits for ever, or that it lets no other thread of Python run."""
    inject("hang", 4)
    command = misbehave(start, ["good", "hang", "hold", "numpy"], HANG, "hydra.sweeper.max_attempts=2", *JOBLIB)
    assert_clean(command.end())
    states = {"good": "complete", "hang": "failed", "hold": "failed", "numpy": "complete"}
    assert_states(command.folder, states)
    reasons = {row["what"]: row["reason"] for row in rows(command.folder)}
    place = "its worker died 2 times in the same place"
    assert reasons["hang"] == f"{place} (no report for 6 s, hydra.sweeper.hang_seconds)"
    assert reasons["hold"] == f"{place} (killed, out of memory, or hung?)"
    printed = "".join(file.read_text() for file in (command.folder / "workers").glob("*.log"))
    assert f'File "{MISFIT}", line ' in printed
    assert " in hang\n" in printed
    assert " in hold\n" in printed


@pytest.mark.long
def test_a_task_that_reports_is_no_hang_however_long_it_takes(start):
    command = start("x=1", "steps=10", "pause=1.5", "hydra.sweeper.hang_seconds=12", *JOBLIB)
    command.end()
    [row] = rows(command.folder)
    assert (row["state"], row["attempt"], row["reports"]) == ("complete", "1", "10")
    assert float(row["seconds"]) > 12


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["hydra.sweeper.hang_seconds=5", *BASIC],
            "sweep: hang_seconds kills the process of a trial that hangs, which is this one with the basic launcher; "
            "try hydra/launcher=joblib",
        ),
        (["hydra.sweeper.hang_seconds=0", *JOBLIB], "sweep: hydra.sweeper.hang_seconds must be > 0, got 0.0"),
    ],
    ids=["basic", "zero"],
)
def test_a_watch_that_can_not_be_kept_is_refused_in_one_line(start, arguments, line):
    command = start("x=1,2", *arguments)
    assert command.end(2).splitlines() == [line]
    assert not (command.folder / "study.db").exists()


def test_a_run_that_fails_has_its_reason_in_one_clean_line(compose, small, tmp_path, inject):
    def fail(row):
        raise RuntimeError("\x1b[31mred\ncaf\udce9")

    inject("exception in a run")
    with pytest.raises(RuntimeError):
        run(compose(*small), tmp_path, on_epoch=fail)
    assert RunFolder(tmp_path).read_result().reason == r"RuntimeError: \x1b[31mred caf\udce9"
