"""Disks that are full, read-only, gone or without locks, and names of all kinds: one line, and nothing is lost."""

import csv
import errno
import functools
import io
import itertools
import os
import shutil
import subprocess
import sys
import time

import pytest
from disks import fill, mounted
from sweeps import (
    BASIC,
    JOBLIB,
    SPACE,
    WALKER,
    Starter,
    assert_whole,
    budget,
    essence,
    num_runs,
    opened,
    rows,
    trials,
    wait_for,
)

from hydra_sweep.errors import UserError
from hydra_sweep.files import atomic
from hydra_sweep.records import is_paused
from rnnexp.data import idx
from rnnexp.record.result import Status
from rnnexp.record.run_folder import RunFolder
from rnnexp.record.tensors import load_tensors
from rnnexp.report import pages
from rnnexp.results.collecting import collect
from rnnexp.runner import run

# Root without the right to pass over permissions.
BOUND = "setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search".split()
TINY = "data.limit=300 data.valid_size=100 model.hidden_size=32 model.num_layers=1 train.threads=1".split()
ROOM = [0, 1, 4, 5, 8, 16, 24, 28, 32, 40, 44, 48, 56, 64, 72, 80, 96]  # KiB


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def refusal(call, *args, **kwargs):
    """Returns the one line with which a call refuses."""
    with pytest.raises(UserError) as refused:
        call(*args, **kwargs)
    (line,) = str(refused.value).splitlines()
    return line


def history(folder):
    return [{k: v for k, v in row.items() if k != "epoch_seconds"} for row in RunFolder(folder).read_history()]


def rnnexp(*arguments, cwd, base=(*TINY, "train.epochs=1"), **environment):
    command = [sys.executable, "-W", "error", "-m", "rnnexp", *base, *arguments]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory, compose):
    folder = tmp_path_factory.mktemp("reference") / "run"
    run(compose(*TINY, "train.epochs=2"), folder)
    return folder


def test_a_disk_that_fills_up_anywhere_in_a_run_is_one_line_and_it_goes_on(reference, compose, tmp_path, inject):
    cfg = compose(*TINY, "train.epochs=2", "train.resume=true")
    refused = set()
    with mounted(tmp_path / "disk", "size=1m") as disk:
        for epoch, room in itertools.product((0, 2), ROOM):
            inject("disk full in a run")
            out, filler = disk / f"run{room}", disk / "filler"
            out.mkdir()
            if not epoch:
                fill(disk, room)
            try:
                run(cfg, out, on_epoch=lambda row, room=room: row["epoch"] == epoch and not fill(disk, room))  # noqa: B023
            except UserError as error:
                (line,) = str(error).splitlines()
                assert line.startswith("cannot write ")
                assert "No space left on device" in line
                refused.add(os.path.basename(line.split(":")[0]))
                assert history(out) == history(reference)[: len(history(out))]
                if (out / "checkpoint.pt").exists():
                    assert load_tensors(out / "checkpoint.pt", "cpu")["attempt"] == 1
                assert set(collect(out)["status"]) <= {"unfinished", "failed"}
            filler.unlink(missing_ok=True)
            result = run(cfg, out)
            assert result.status is Status.COMPLETE
            assert history(out) == history(reference)
            assert result.metrics["test_loss"] == RunFolder(reference).read_result().metrics["test_loss"]
            left = [path.name for path in out.rglob(".*") if path.name not in (".lock", ".hydra")]
            assert left == []
            shutil.rmtree(out)
    assert refused >= {"history.csv", "checkpoint.pt", "model.pt", "test_outcomes.npz"}


def test_a_page_and_a_table_for_which_there_is_no_room_leave_the_old_ones(reference, tmp_path, inject):
    with mounted(tmp_path / "disk", "size=256k") as disk:
        page, table = disk / "report.html", disk / "results.csv"
        for target in (page, table):
            target.write_text("the old one")
        fill(disk, 4)
        inject("disk full", 2)
        line = refusal(pages.write, reference, page)
        assert line == f"cannot write {page}: No space left on device; make room, or take --output FILE"

        def write():
            with atomic(table, "make room") as out:
                out.write(bytes(100_000))

        assert refusal(write) == f"cannot write {table}: No space left on device; make room"
        assert page.read_text() == table.read_text() == "the old one"
        assert sorted(os.listdir(disk)) == ["filler", "report.html", "results.csv"]


def test_data_for_which_there_is_no_room_are_unpacked_once_there_is(tmp_path, inject):
    with mounted(tmp_path / "disk", "size=1m") as disk:
        for size in ("1m", "50m"):
            inject("disk full, unpacking data")
            remount(disk, f"size={size}")
            line = refusal(idx.ensure, "mnist", str(disk))
            assert line.endswith("No space left on device; try data.root=FOLDER")
            raw = disk / "MNIST" / "raw"
            assert all(
                (raw / name).stat().st_size == idx.SOURCES["mnist"].sizes[name]
                for name in os.listdir(raw)
                if name[0] != "."
            )
        remount(disk, "size=100m")
        idx.ensure("mnist", str(disk))
        assert len(idx.read(disk, "mnist", "t10k-labels-idx1-ubyte")) == 10_000


@pytest.mark.parametrize("what", ["full", "read-only"])
@pytest.mark.parametrize("many", [False, True])
def test_a_command_on_a_disk_that_takes_nothing_is_one_line(tmp_path, what, many, inject):
    inject(f"disk {what}")
    with mounted(tmp_path / "disk", "size=64k") as disk:
        if what == "full":
            fill(disk, 0)
        else:
            remount(disk, "ro")
        before = sorted(os.listdir(disk))
        done = rnnexp("name=a", *(["-m", "seed=0,1"] if many else []), cwd=disk)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("sweep: cannot " if many else "rnnexp: cannot write ")
        assert many or sorted(os.listdir(disk)) == before


@pytest.mark.parametrize("launcher", [BASIC, pytest.param(JOBLIB, marks=pytest.mark.long)], ids=["basic", "joblib"])
@pytest.mark.parametrize("is_freed", [False, True])
def test_a_disk_that_fills_up_in_a_sweep_ends_it_in_a_line_and_it_goes_on(tmp_path, launcher, is_freed, inject):
    inject("disk full in a sweep")
    with mounted(tmp_path / "disk", "size=3m") as disk:
        start = Starter(disk)
        words = [*SPACE, "pause=0.1", budget(6), *launcher, f"hydra.sweeper.storage_seconds={60 if is_freed else 2}"]
        try:
            command = start(*words, name="sweep")
            wait_for(lambda: num_runs(command) >= 2, "a second trial to begin")
            filler = fill(disk, 0)
            if is_freed:
                time.sleep(2)
                filler.unlink()
            assert command.process.wait(timeout=120) in ((0, 1) if is_freed else (1, 2))
            filler.unlink(missing_ok=True)
            said = (disk / "0.out").read_text()
            assert "Traceback" not in said
            assert "No space left on device" in said or "database or disk is full" in said
            assert not {"FAIL", "PRUNED"} & {trial.state.name for trial in trials(disk / "sweep")}
            start(*words, name="sweep").end()
            assert_whole(disk / "sweep", 6)
            assert {row["state"] for row in rows(disk / "sweep")} == {"complete"}
            start(*words, name="undisturbed").end()
            assert essence(disk / "sweep", 6) == essence(disk / "undisturbed", 6)
        finally:
            start.kill()


@pytest.mark.long
def test_paused_trials_that_fill_a_disk_end_the_search_in_a_line_and_it_goes_on(tmp_path, inject):
    """Nine checkpoints of half a megabyte, most of them of paused trials."""
    inject("disk full of paused trials")
    words = [
        "-m",
        "optim=adam",
        "optim.lr=tag(log,interval(1e-3,1e-1))",
        "n_trials=9",
        "hydra/sweeper/pruner=asha",
        "hydra.sweeper.pruner.reduction_factor=3",
    ]
    words += ["workers=1", "hydra/launcher=basic", "name=s"]
    search = functools.partial(rnnexp, *words, base=[*TINY[:2], *TINY[3:], "model.hidden_size=96", "train.epochs=4"])
    with mounted(tmp_path / "disk", "size=3m") as disk:
        done = search(cwd=disk)
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stdout + done.stderr
        assert "No space left on device" in done.stdout + done.stderr
        sweep = disk / "outputs" / "sweeps" / "s"
        assert sum(map(is_paused, trials(sweep))) > 1
        remount(disk, "size=30m")
        assert search(cwd=disk).returncode == 0
        assert search(cwd=tmp_path).returncode == 0
        found = [
            [[row[key] for key in ("trial", "state", "optim.lr", "valid_accuracy", "epochs")] for row in rows(place)]
            for place in (sweep, tmp_path / "outputs" / "sweeps" / "s")
        ]
        assert found[0] == found[1]
        assert len(found[0]) == 9


@pytest.fixture
def bound(tmp_path):
    """Returns a function that runs Python without the right to pass over permissions."""
    before = BOUND if os.geteuid() == 0 else []
    if before and (not shutil.which("setpriv") or subprocess.run([*BOUND, "true"], capture_output=True).returncode):
        pytest.skip("setpriv is not here to take root's rights away")

    def bound(*words):
        command = [*before, sys.executable, *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    return bound


@pytest.mark.parametrize(
    ("module", "what"),
    [
        ("rnnexp.report", "."),
        ("rnnexp.predict", "."),
        ("rnnexp.predict", "model.pt"),
        ("rnnexp.reproduce", "."),
        ("rnnexp.reproduce", "history.csv"),
        ("rnnexp", "."),
        ("rnnexp", "checkpoint.pt"),
    ],
)
def test_a_run_that_may_not_be_read_is_one_line(reference, bound, tmp_path, module, what, inject):
    inject("permission denied")
    run = shutil.copytree(reference, tmp_path / "outputs" / "runs" / "a")
    if module == "rnnexp":
        for name in ("result.json", "model.pt", "test_outcomes.npz"):
            (run / name).unlink()
        arguments = [*TINY, "name=a", "train.epochs=2", "train.resume=true"]
    else:
        arguments = [run, *(["x.png"] if module == "rnnexp.predict" else [])]
    (run / what).chmod(0)
    done = bound("-m", module, *arguments)
    (run / what).chmod(0o755)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "ermission denied" in line or "can't be written" in line


def test_runs_that_may_not_be_read_are_in_the_table_with_the_reason(reference, bound, tmp_path, inject):
    inject("permission denied", 2)
    for name in "abc":
        shutil.copytree(reference, tmp_path / name)
    (tmp_path / "a").chmod(0)
    (tmp_path / "b" / "result.json").chmod(0)
    done = bound("-m", "rnnexp.results", ".", "--csv", "-")
    (tmp_path / "a").chmod(0o755)
    found = {row["path"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
    assert {path: row["status"] for path, row in found.items()} == {"a": "corrupt", "b": "corrupt", "c": "complete"}
    assert "Permission denied" in found["a"]["reason"]
    assert found["b"]["test_accuracy"] == ""


def test_a_sweep_that_may_not_be_written_is_one_line(start, bound, tmp_path, inject):
    words = [*SPACE, budget(3), "hydra/launcher=basic", "hydra.sweeper.objective=loss"]
    command = start(*words, name="sweep")
    command.end()
    folder, before = command.folder, essence(command.folder, 3)
    again = [WALKER, "-m", f"hydra.sweep.dir={folder}", *words]
    for arguments, what, mode in [
        (again, ".", 0),
        (again, ".", 0o555),
        (again, "study.db", 0o444),
        (again, "study.db", 0),
        (["-m", "rnnexp.stop", folder], ".", 0),
        (["-m", "rnnexp.status", folder], ".", 0),
        (["-m", "rnnexp.report", folder], ".", 0),
    ]:
        inject("permission denied")
        (folder / what).chmod(mode)
        done = bound(*arguments)
        folder.chmod(0o755)
        for file in folder.glob("study.db*"):
            file.chmod(0o644)
        assert done.returncode == 2, (arguments, what, done.stderr)
        (line,) = done.stderr.splitlines()
        assert any(word in line for word in ("ermission denied", "unable to open", "readonly")), line
    assert essence(folder, 3) == before


def test_a_sweep_that_may_not_be_written_is_told_to_stop_in_vain(sweep, bound, inject):
    inject("permission denied")
    left = sweep(WALKER, *SPACE, budget(100), "hydra.sweeper.objective=loss", "hydra.sweeper.stop.value=1e9")
    opened(left.folder).set("stop:another-sweeper", 0)  # which was not told to stop
    (left.folder / "study.db").chmod(0o444)
    done = bound("-m", "rnnexp.stop", left.folder)
    (left.folder / "study.db").chmod(0o644)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "readonly" in line or "ermission denied" in line


def test_a_folder_that_vanishes_in_a_run_is_one_line(compose, tmp_path, inject):
    inject("folder vanished")

    def vanish(row):
        shutil.rmtree(tmp_path / "run")
        return False

    line = refusal(run, compose(*TINY, "train.epochs=3"), tmp_path / "run", on_epoch=vanish)
    assert line.startswith(f"cannot write {tmp_path / 'run'}")
    assert "No such file or directory" in line


NAMES = [
    "with space",
    'it\'s "quoted"',
    "new\nline",
    "tab\there",
    "größe-日本",
    "a" * 255,
    "-rf",
    "$HOME;`id`",
    "{x}[y]",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_any_name_holds_a_run_that_is_read_back(reference, compose, tmp_path, name, inject):
    inject("hostile folder name")
    out = tmp_path / name
    run(compose(*TINY, "train.epochs=2"), out)
    assert history(out) == history(reference)
    row = collect(tmp_path).iloc[0]
    assert (row["status"], row["path"]) == ("complete", name)
    assert pages.write(out) == out / "report.html"
    assert run(compose(*TINY, "train.epochs=2", "train.resume=true"), out) == RunFolder(out).read_result()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_line(compose, tmp_path, monkeypatch, number, inject):
    inject("no locks")

    def refuse(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    (tmp_path / "run").mkdir()
    line = refusal(run, compose(*TINY), tmp_path / "run")
    assert line.startswith(f"cannot write {tmp_path / 'run'}")
    assert refusal(idx.ensure, "mnist", str(tmp_path / "data")).startswith("cannot write mnist into ")
    assert len(collect(tmp_path / "run")) <= 1


def test_a_home_that_cannot_be_written_is_one_line(tmp_path, inject):
    inject("home read-only")
    done = rnnexp("name=a", cwd=tmp_path, HOME="/proc/1", XDG_CACHE_HOME="/proc/nobody")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("rnnexp: cannot write mnist into /proc/nobody/rnnexp/MNIST/raw: ")
    assert line.endswith("; try data.root=FOLDER")
