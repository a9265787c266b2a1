"""Runs that exist, in a tracker: once, whatever was there, and none that is at work."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from records import SMALL
from tracked import assert_equal, read

from hydra_sweep.signals import Interrupted
from rnnexp.export import main, recorded
from rnnexp.record.run_folder import RunFolder
from rnnexp.runner import run

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorBoard's own


def stop_after_one(row):
    raise Interrupted(15)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, compose):
    """Returns an `outputs` with a complete run, one that was stopped, one of no epoch, and a sweep of two trials."""
    outputs = tmp_path_factory.mktemp("trained") / "outputs"
    run(compose(*SMALL, "name=first", "tags=[good]"), outputs / "runs/first", choices={"model": "lstm"})
    with pytest.raises(Interrupted):
        run(compose(*SMALL, "name=stopped"), outputs / "runs/stopped", on_epoch=stop_after_one)
    (outputs / "runs/begun/.hydra").mkdir(parents=True)
    shutil.copy(outputs / "runs/first/.hydra/config.yaml", outputs / "runs/begun/.hydra")
    for number in ("2", "10"):
        run(compose(*SMALL, "train.epochs=1", "name=grid", f"seed={number}"), outputs / "sweeps/grid" / number)
    (outputs / "sweeps/grid/sweep.yaml").write_text("resume: x\n")
    return outputs


@pytest.fixture
def export(trained, tmp_path, monkeypatch, capsys):
    """Returns a function that types `rnnexp export ... --to tensorboard` beside it, and returns what it says."""
    shutil.copytree(trained, tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)

    def typed(*words, to="tensorboard", status=0):
        monkeypatch.setattr(sys, "argv", ["rnnexp", *words, "--to", to])
        assert main() == status
        said = capsys.readouterr()
        return (said.err if status == 2 else said.out).splitlines()

    return typed


def test_a_whole_folder_is_there_once_however_often_it_is_exported(export, compose, tmp_path):
    empty = "1 run without an epoch, left out"
    assert export("outputs") == ["tensorboard: 4 runs exported", empty]
    assert export("outputs", "first") == ["tensorboard: 0 runs exported, 4 there already", empty]
    found = read("tensorboard", Path("outputs"))
    folders = {"first": "runs/first", "stopped": "runs/stopped", "grid/2": "sweeps/grid/2", "grid/10": "sweeps/grid/10"}
    assert found.keys() == folders.keys()
    for name, folder in folders.items():
        assert_equal(found[name], Path("outputs", folder), is_exact=False)
    assert found["stopped"].status is None
    run(compose(*SMALL, "name=stopped", "train.resume=true"), tmp_path / "outputs/runs/stopped")
    assert export("stopped") == ["tensorboard: 1 run exported"]
    assert_equal(read("tensorboard", Path("outputs"))["stopped"], Path("outputs/runs/stopped"), is_exact=False)


def test_what_was_tracked_while_it_trained_is_not_exported_again(export, compose, tmp_path):
    tracked = ["tracker=tensorboard", f"tracker.folder={tmp_path}/outputs/tensorboard", "name=live"]
    run(compose(*SMALL, *tracked), tmp_path / "outputs/runs/live")
    assert export("live") == ["tensorboard: 0 runs exported, 1 there already"]


def test_a_run_that_moved_is_known_and_its_keys_say_where_to(export):
    assert export("first", "tracker.folder=shown") == ["tensorboard: 1 run exported"]
    Path("outputs/runs/first").rename("moved")
    assert export("moved", "tracker.folder=shown") == ["tensorboard: 0 runs exported, 1 there already"]
    assert [path.name for path in Path("shown").iterdir()] == ["first"]


def test_a_run_at_work_is_left_out(export):
    with RunFolder(Path("outputs/runs/first")).claim():
        assert export("first") == [
            "tensorboard: 0 runs exported",
            "1 run still running, left out; export again later",
        ]


def test_a_damaged_record_is_named_and_the_others_are_exported(export):
    history = Path("outputs/sweeps/grid/2/history.csv")
    history.write_text(history.read_text().replace(",0.", ",1.", 1))
    assert export("grid", status=1) == [
        "tensorboard: 1 run exported",
        "outputs/sweeps/grid/2: history.csv can't be read: checksum mismatch in row 1, left out",
    ]


@pytest.mark.parametrize("name", ["/tmp/elsewhere/x", "../../x", "..", "a/../../../x"])
def test_a_strangers_record_is_shown_below_the_folder_whatever_it_is_called(export, name):
    folder = RunFolder(Path("outputs/runs/first"))
    folder.write_result(replace(folder.read_result(), config=folder.read_result().config | {"name": name}))
    assert export("first", "tracker.folder=deep/er/shown") == ["tensorboard: 1 run exported"]
    (file,) = Path(".").rglob("events.out.tfevents.*")
    assert file.is_relative_to("deep/er/shown")
    assert not Path("/tmp/elsewhere").exists()


def test_a_strangers_record_that_lacks_what_ours_have_is_left_out(export):
    folder = RunFolder(Path("outputs/runs/first"))
    folder.write_result(replace(folder.read_result(), config={"name": "x"}))
    assert export("first", status=1)[1:] == ["outputs/runs/first: KeyError: 'seed', left out"]
    folder.tracker.write_text('{"id": "../../x"}')
    folder.write_result(replace(folder.read_result(), config={"name": "x", "seed": 0}))
    (line,) = export("first", status=2)
    assert "it has no id, but '../../x'" in line


def test_a_tracker_sees_of_a_record_what_it_would_have_seen_of_the_run(trained):
    _, view = recorded(RunFolder(trained / "runs/first"))
    assert (view.name, view.sweep, view.seed, view.tags) == ("first", None, 0, ("good",))
    assert view.choices == {"model": "lstm"}
    assert [row["epoch"] for row in view.history] == [1, 2, 3]
    assert abs(view.ended - (trained / "runs/first/result.json").stat().st_mtime) < 5
    trial = recorded(RunFolder(trained / "sweeps/grid/10"))[1]
    assert (trial.name, trial.sweep, trial.seed) == ("grid/10", "grid", 10)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nothing"], "rnnexp export: there is no folder nothing, and no run, sweep or comparison of that name"),
        (["outputs/runs/first/.hydra"], "rnnexp export: no runs in outputs/runs/first/.hydra; type a run, a sweep"),
        (["tracker.folder=x"], "rnnexp export: which runs? Type a folder or a name"),
        (["first", "tracker.foldr=x"], "rnnexp export: there is no key tracker.foldr (did you mean tracker.folder?)"),
    ],
)
def test_a_mistake_is_a_line(export, words, line):
    (said,) = export(*words, status=2)
    assert said.startswith(line)


def test_a_tracker_that_is_not_installed_or_unknown_is_a_line(export, monkeypatch):
    (said,) = export("first", to="mflow", status=2)
    assert "invalid choice: 'mflow' (choose from" in said
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (said,) = export("first", to="mlflow", status=2)
    assert said == "rnnexp export: tracker=mlflow is an extra; type pip install 'rnnexp[mlflow]'"
