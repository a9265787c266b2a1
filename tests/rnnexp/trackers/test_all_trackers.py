"""Each real package, offline: killed and resumed, in a sweep, on a full disk, exported, read by its own reader.

All four watch the same runs, in commands of their own: what is killed here is a process.
"""

import shutil
import subprocess
import sys

import pytest
from disks import mounted
from records import SMALL, assert_identical
from tracked import OPTIONS, all_four, assert_equal, read

from hydra_sweep.errors import UserError
from rnnexp.export import chosen, exported, runs_in
from rnnexp.runner import run

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]  # the packages' own
RUN = [*SMALL, "train.epochs=4", "data.limit=500", "name=first"]
MINE = """
import os, signal
from disks import fill
from pathlib import Path
from rnnexp.callbacks import Callback
class Kill(Callback):
    def on_epoch(self, row, run):
        if row["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
class Fill(Callback):
    def on_epoch(self, row, run):
        if row["epoch"] == 1:
            fill(Path("disk"), 0)
"""


def command(folder, *arguments):
    """Runs rnnexp in a folder and returns what came of it."""
    (folder / "mine.py").write_text(MINE)
    shutil.copy(sys.modules["disks"].__file__, folder)
    return subprocess.run(
        [sys.executable, "-m", "rnnexp", *arguments], cwd=folder, capture_output=True, text=True, timeout=1800
    )


def assert_ended_well(done):
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.fixture(scope="module")
def reference(tmp_path_factory, compose):
    """Returns the folder of the run that nobody watches."""
    out = tmp_path_factory.mktemp("reference") / "run"
    run(compose(*RUN), out)
    return out


@pytest.fixture(scope="module")
def resumed(tmp_path_factory, reference):
    """Returns the folder of a command that was killed in its second epoch, and has gone on."""
    folder = tmp_path_factory.mktemp("killed")
    killed = command(folder, *RUN, *all_four("outputs", "{_target_:mine.Kill}"))
    assert killed.returncode == -9, killed.stderr
    assert "tracker" not in killed.stdout + killed.stderr
    done = command(folder, *RUN, *all_four("outputs"), "train.resume=true")
    assert_ended_well(done)
    assert "tracker" not in done.stdout + done.stderr  # none has failed
    assert_identical(reference, folder / "outputs" / "runs" / "first")
    return folder


@pytest.mark.parametrize("option", OPTIONS)
def test_a_run_that_is_killed_and_goes_on_is_there_once_with_each_epoch(resumed, option):
    found = read(option, resumed / "outputs")
    assert found.keys() == {"first"}
    assert_equal(found["first"], resumed / "outputs" / "runs" / "first", is_exact=option != "tensorboard")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Returns the folder of a sweep of four trials, two in each of two processes."""
    folder = tmp_path_factory.mktemp("swept")
    small = ["train.epochs=2", "data.limit=300", "data.valid_size=100", "model.hidden_size=8", "optim=adam"]
    named = ["name=grid", "tags=good,new", "notes=a, b: c", "seed=0,1,2,3", "workers=2"]
    assert_ended_well(command(folder, "-m", *small, *named, *all_four("outputs")))
    return folder


@pytest.mark.parametrize("option", OPTIONS)
def test_each_trial_is_a_run_of_its_own_below_its_sweep(swept, option):
    found = read(option, swept / "outputs")
    assert found.keys() == {f"grid/{number}" for number in range(4)}
    for name, tracked in found.items():
        assert_equal(tracked, swept / "outputs" / "sweeps" / name, is_exact=option != "tensorboard")
        assert (tracked.status, tracked.group) == ("complete", "grid")
        if option != "tensorboard":
            assert int(tracked.config["seed"]) == int(name.partition("/")[2])
    assert not [path for path in (swept / "outputs").rglob("*.log") if "the run goes on" in path.read_text()]


@pytest.fixture(scope="module")
def filled(tmp_path_factory, reference):
    """Yields the folder of a run whose trackers' disk was full from its first epoch on, and has room again."""
    folder = tmp_path_factory.mktemp("filled")
    with mounted(folder / "disk", "size=8m") as disk:
        trackers = all_four("disk")
        trackers[-1] = trackers[-1].replace("callbacks=[", "callbacks=[{_target_:mine.Fill},")
        done = command(folder, *RUN, *trackers)
        assert_ended_well(done)
        said = [line for line in (done.stdout + done.stderr).splitlines() if "the run goes on" in line]
        assert sorted(line.split(":")[0] for line in said) == sorted(f"tracker {option}" for option in OPTIONS)
        assert_identical(reference, folder / "outputs" / "runs" / "first")
        assert "disk" not in done.stderr.replace("disk is full", "")
        (disk / "filler").unlink()
        yield folder


@pytest.mark.parametrize("option", OPTIONS)
def test_a_full_disk_costs_a_line_and_what_it_left_out_is_exported_once(filled, option):
    key = "uri=sqlite:///" + str(filled / "disk" / "mlflow.db")
    folder = {"tensorboard": "/tensorboard", "wandb": "", "trackio": "/trackio"}.get(option, "")
    key = f"tracker.{key}" if option == "mlflow" else f"tracker.folder={filled}/disk{folder}"
    runs = runs_in([str(filled / "outputs")])
    for told in ("1 run exported", "0 runs exported, 1 there already"):
        counts = exported(chosen(option, [key]), runs)
        assert list(counts.told(option)) == [f"{option}: {told}"]
    assert_equal(read(option, filled / "disk")["first"], runs[0].path, is_exact=option != "tensorboard")


def test_a_server_that_is_away_costs_a_line(compose, reference, tmp_path, caplog):
    run(compose(*RUN, "tracker=mlflow", "tracker.uri=http://127.0.0.1:9"), tmp_path / "run")
    (line,) = [record.message for record in caplog.records if record.name == "rnnexp" and record.levelno > 20]
    assert line.startswith("tracker mlflow: MlflowException: ")
    assert f"rnnexp export {tmp_path / 'run'} --to mlflow" in line
    assert_identical(reference, tmp_path / "run")
    with pytest.raises(UserError, match="MlflowException.*what is exported stays, and the same command goes on"):
        exported(chosen("mlflow", ["tracker.uri=http://127.0.0.1:9"]), runs_in([str(tmp_path)]))
