"""The user's own modules are part of what a run is: edited, they are not mixed with what was run before."""

import subprocess
import sys
from pathlib import Path

import pytest
from sweeps import wait_for

import rnnexp as package
from hydra_sweep import sources

SMALL = "train.epochs=1 data.limit=100 data.valid_size=50 train.threads=1 workers=1 hydra/launcher=basic".split()
NETWORK = """
from torch import nn

from helpers.scale import SCALE


class Averager(nn.Module):
    def __init__(self, input_size, num_classes):
        super().__init__()
        self.layer = nn.Linear(input_size, num_classes)

    def forward(self, x_BTI):
        return SCALE * self.layer(x_BTI.mean(1))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Returns a folder with a network of the user's own, which imports a module of a package beside it."""
    (tmp_path / "helpers").mkdir()
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "mynets.py").write_text(NETWORK)
    (tmp_path / "helpers" / "__init__.py").write_text("")
    (tmp_path / "helpers" / "scale.py").write_text("from . import deep\n\nSCALE = deep.SCALE\n")
    (tmp_path / "helpers" / "deep.py").write_text("def later():\n    import unused\n\n\nSCALE = 1.0\n")
    (tmp_path / "unused.py").write_text("import torch, json\n")
    (tmp_path / "stranger.py").write_text("")
    (tmp_path / "conf" / "model" / "averager.yaml").write_text("_target_: mynets.Averager\n")
    for name in ("mynets", "helpers", "unused"):
        monkeypatch.delitem(sys.modules, name, raising=False)  # that of another test
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_own_files_are_those_that_are_imported_from_folders_of_ones_own(own):
    found = sources.own_files(
        ["mynets.Averager", "torch.nn.LSTM", "rnnexp.models.RecurrentClassifier", "no.such"], known=package.__path__
    )
    assert set(found) == {"mynets", "helpers", "helpers.scale", "helpers.deep", "unused"}
    assert found["helpers.scale"] == own / "helpers" / "scale.py"


def test_a_file_that_is_no_python_has_no_imports(own):
    (own / "mynets.py").write_text("class Averager(:\n")
    assert set(sources.own_files(["mynets.Averager"])) == {"mynets"}


def test_targets_are_found_at_any_depth():
    config = {"model": {"_target_": "a.B", "parts": [{"_target_": "c.D"}, 3]}, "optim": {"_target_": 5}}
    assert list(sources.targets(config)) == ["a.B", "c.D"]


def rnnexp(folder, *arguments, code=0):
    arguments = ["-cd", "conf", *arguments, *SMALL, "model=averager"]
    done = subprocess.run(
        [sys.executable, "-m", "rnnexp", *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.long
def test_edited_code_is_refused_by_runs_grids_and_searches(own):
    commands = {
        "run": (["name=one", "train.resume=true"],) * 2,
        "grid": (["-m", "seed=0", "name=grid"], ["-m", "seed=0,1", "name=grid"]),
        "search": tuple(["-m", "optim.lr=interval(0.1,1)", f"n_trials={n}", "name=search"] for n in (1, 2)),
    }
    for first, _ in commands.values():
        rnnexp(own, *first)
    (own / "stranger.py").write_text("# of no concern\n")
    rnnexp(own, *commands["run"][1])
    (own / "helpers" / "deep.py").write_text("SCALE = 2.0\n")
    assert "version of the code (helpers.deep has been edited" in rnnexp(own, *commands["run"][1], code=2)
    for kind in ("grid", "search"):
        assert "code: " in rnnexp(own, *commands[kind][1], code=2)


@pytest.mark.long
def test_an_interrupted_run_does_not_go_on_with_edited_code(own):
    stopped = "train.epochs=1000 data.limit=2000 train.checkpoint_seconds=0.001".split()
    command = [sys.executable, "-m", "rnnexp", "-cd", "conf", "model=averager", "name=one", *stopped]
    process = subprocess.Popen(command, cwd=own)
    wait_for((own / "outputs" / "runs" / "one" / "checkpoint.pt").exists, "a checkpoint")
    process.terminate()
    process.wait()
    (own / "mynets.py").write_text(NETWORK.replace("mean(1)", "sum(1)"))
    again = subprocess.run([*command, "train.resume=true"], cwd=own, capture_output=True, text=True, timeout=300)
    assert (process.returncode, again.returncode) == (143, 2)
    assert "mynets has been edited" in again.stderr


@pytest.mark.long
def test_an_edited_helper_of_another_app_is_noticed(start, tmp_path):
    app = tmp_path / "walker.py"
    app.write_text("import helper\n" + (Path(__file__).parents[1] / "apps" / "walker.py").read_text())
    helper = tmp_path / "helper.py"
    helper.write_text("")
    arguments = ("x=1,2", "hydra/launcher=basic")
    start(*arguments, app=app).end()
    start(*arguments, app=app).end()
    helper.write_text("# edited\n")
    assert "code: " in start(*arguments, app=app).end(2)
