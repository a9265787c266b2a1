"""Many at once: first starts, sweeps of one name, readers during a sweep, runs in one folder, clocks that disagree."""

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from optuna.trial import TrialState
from sweeps import (
    BASIC,
    JOBLIB,
    SPACE,
    assert_whole,
    budget,
    has_begun,
    rows,
    runs,
    trials,
    wait_for,
)

from hydra_sweep.heartbeat import StaleTrialDetector
from hydra_sweep.process import Process
from hydra_sweep.records import Lease
from hydra_sweep.schedules import Budget
from hydra_sweep.status import open_sweep, status
from hydra_sweep.study import SweepStudy
from rnnexp.data.idx import MNIST_MD5
from rnnexp.record.result import METRICS
from rnnexp.record.run_folder import RunFolder
from rnnexp.report import pages
from rnnexp.results.collecting import collect, histories
from rnnexp.results.command import main

RNNEXP = [sys.executable, "-m", "rnnexp"]


@pytest.mark.long
def test_eight_first_starts_at_once_share_an_empty_cache_and_end_alike(start, small, tmp_path, inject):
    inject("first start at once", 8)
    cache = tmp_path / "cache"
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "HOME": str(tmp_path)}
    names = [f"name=run{i}" for i in range(8)]
    commands = [start.run([*RNNEXP, *small, name], tmp_path, environment) for name in names]
    for command in commands:
        command.end()
    frame = collect(tmp_path / "outputs")
    assert frame["status"].tolist() == ["complete"] * 8
    assert frame["test_loss"].nunique() == frame["test_accuracy"].nunique() == 1
    [raw] = cache.rglob("raw")
    found = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in raw.iterdir() if path.name != ".lock"}
    assert found == MNIST_MD5


@pytest.mark.parametrize("launchers", [(BASIC, BASIC, BASIC), (JOBLIB, BASIC)], ids=["three", "two"])
def test_sweepers_started_at_once_share_one_budget(start, inject, launchers):
    inject("sweeps of one name at once", len(launchers))
    arguments = [*SPACE, "pause=0.05", budget(16)]
    commands = [start(*arguments, *launcher) for launcher in launchers]
    for command in commands:
        assert "16 trials: 16 complete" in command.end()
    folder = commands[0].folder
    assert_whole(folder, 16)
    assert runs(folder) == dict.fromkeys(range(16), 1)


@pytest.mark.long
def test_a_sweeper_finishes_what_a_killed_one_has_begun(start, inject):
    arguments = [*SPACE, "pause=1", "steps=12", budget(2), *BASIC]
    first = start(*arguments)
    wait_for(lambda: has_begun(first), "a trial to begin")
    second = start(*arguments)
    wait_for(lambda: len(runs(first.folder)) == 2, "both to be at work")
    second.signal(signal.SIGKILL)
    inject("kill of a sweep beside another")
    first.end()
    assert_whole(first.folder, 2)


# Readers.


def facts(frame):
    """Returns what a table says of its complete runs, by path."""
    frame = frame[frame["status"] == "complete"]
    return {row["path"]: {name: row[name] for name in ("seed", *METRICS)} for row in frame.to_dict("records")}


def cells(folder):
    """Returns the rows of results.csv without their sums, which are over those above, too."""
    return [{name: cell for name, cell in row.items() if name != "crc32"} for row in rows(folder)]


def test_whoever_reads_a_sweep_while_it_runs_meets_no_error_and_no_wrong_number(start, small, tmp_path, capsys, inject):
    folder = tmp_path / "outputs" / "sweeps" / "s"
    command = start.run([*RNNEXP, "-m", *small, "seed=0,1,2,3,4,5,6,7,8,9", "name=s", "workers=2"], folder)
    wait_for(lambda: (folder / "sweep.yaml").exists(), "the sweep to begin")
    tables, epochs, csvs, looks = [], [], [], 0
    while command.process.poll() is None:
        looks += 1
        frame = collect(folder)
        assert set(frame["status"]) <= {"running", "unfinished", "complete"}, frame["reason"].tolist()
        tables.append(facts(frame))
        epochs.append(histories(folder, ("path", "seed"), frame))
        if (folder / "results.csv").exists():
            csvs.append(cells(folder))
        assert main([str(folder)]) == 0 or frame.empty
        assert status(open_sweep(str(folder), trust=False))[0].startswith("s: ")
        if looks % 4 == 0:  # figures take their time
            page = pages.write(folder, tmp_path / "page.html").read_text()
            assert page.rstrip().endswith("</html>")
    inject("reading of a running sweep", looks)
    command.end()
    assert set(capsys.readouterr().err.splitlines()) <= {f"rnnexp results: no runs below {folder}"}  # before the first
    whole = collect(folder)
    assert whole["status"].tolist() == ["complete"] * 10
    final, final_epochs = facts(whole), histories(folder, ("path", "seed"), whole)
    assert looks >= 3
    assert any(0 < len(table) < 10 for table in tables)
    for table in tables:
        assert table == {path: final[path] for path in table}
    assert [len(table) for table in tables] == sorted(len(table) for table in tables)
    for some in epochs:
        merged = some.merge(final_epochs, how="left", indicator=True)
        assert (merged["_merge"] == "both").all()
    last = {row["trial"]: row for row in cells(folder)}
    for some in csvs:
        assert all(row == last[row["trial"]] for row in some)


# One folder.


def test_of_two_runs_in_one_folder_the_second_refuses_and_the_record_is_the_first_ones(start, small, tmp_path, inject):
    inject("run in a folder in use")
    one, two = (start.run([*RNNEXP, *small, "name=same", f"seed={seed}"], tmp_path) for seed in (1, 2))
    codes = sorted(command.process.wait(180) for command in (one, two))
    assert codes == [0, 2]
    loser = one if one.process.returncode else two
    [line] = loser.log.read_text().splitlines()
    assert line.startswith("rnnexp: ")
    assert "another process is running in " in line or " holds a run already; choose another name=" in line
    folder = tmp_path / "outputs" / "runs" / "same"
    result = RunFolder(folder).read_result()
    assert result.seed == (2 if loser is one else 1)
    assert yaml.safe_load((folder / ".hydra" / "config.yaml").read_text())["seed"] == result.seed
    log = (folder / "run.log").read_text()
    assert f"seed {result.seed}" in log
    assert f"seed {3 - result.seed}" not in log


# Clocks.

LIBFAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
ODD_SLEEP = """
import runpy, select, sys, time
time.sleep = lambda seconds: select.select((), (), (), seconds)  # which libfaketime, unlike Python's own, leaves alone
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def held(command):
    """Returns the leases of the trials that a sweep's only process holds."""
    leases = [Lease.of(trial) for trial in trials(command.folder) if trial.state is TrialState.RUNNING]
    return [lease for lease in leases if lease and lease.process and lease.process.pid == command.process.pid]


def num_steps(command):
    return sum(len(trial.intermediate_values) for trial in trials(command.folder))


NO_FAKETIME = pytest.mark.skipif(LIBFAKETIME is None, reason="no faketime here: apt-get install faketime")


@NO_FAKETIME
@pytest.mark.parametrize("shift", ["-3600", "+3600"])
def test_a_clock_that_is_set_in_one_worker_kills_no_living_trial_and_keeps_no_dead_one(start, tmp_path, inject, shift):
    clock = tmp_path / "clock"
    clock.write_text("+0")
    environment = os.environ | {
        "LD_PRELOAD": str(LIBFAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",  # s, after which it looks at the file again
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # which nobody can set
    }
    arguments = [*SPACE, "steps=25", "pause=0.2", budget(4), "hydra.sweeper.lease_seconds=2", *BASIC]
    odd = start(*arguments, before=("-c", ODD_SLEEP), environment=environment)
    wait_for(lambda: has_begun(odd), "a trial to begin")
    even = start(*arguments)
    wait_for(lambda: held(odd) and held(even), "both to be at work")
    clock.write_text(shift)
    inject("clock set by an hour")
    wait_for(lambda: any(abs(time.time() - lease.seen) > 3000 for lease in held(odd)), "a lease by the other clock")
    done = num_steps(odd)
    wait_for(lambda: num_steps(odd) >= done + 20 and held(odd), "both to go on")
    assert set(runs(odd.folder).values()) == {1}
    odd.signal(signal.SIGKILL)
    odd.end(-signal.SIGKILL)
    even.end()
    assert_whole(odd.folder, 4)
    table = rows(odd.folder)
    assert {row["state"] for row in table} == {"complete"}
    assert sum(int(row["attempt"]) - 1 for row in table) <= 1


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere psutil corrects itself")
@pytest.mark.parametrize("shift", [-3600, 3600])
def test_a_process_is_the_same_whatever_is_done_to_the_clock(tmp_path, monkeypatch, shift):
    study = SweepStudy(f"sqlite:///{tmp_path / 'study.db'}", "a study", 5)
    study.create(["minimize"], {})
    study.claim(Process.current(), Budget(1))
    watch, booted = StaleTrialDetector(30), psutil.boot_time()
    assert not watch.lost(study)
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + shift)
    assert psutil.boot_time() == booted + shift
    assert not Process.current().is_dead()
    assert not watch.lost(study)
