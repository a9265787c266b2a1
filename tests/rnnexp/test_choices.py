"""Whatever names a best or feeds a choice is a search, and no search sees the test set, whatever way leads to it."""

import itertools
import random
import shutil
import subprocess
import sys

import platformdirs
import pytest
from hydra._internal.utils import get_args_parser

from hydra_sweep.settings import PRUNERS, SAMPLERS
from rnnexp.command_line import CommandLine
from rnnexp.comparing.command import main as compare
from rnnexp.results import collect
from rnnexp.schema.config import register_schemas
from rnnexp.schema.tree import CONFIG_DIR

SMALL = (
    "train.epochs=1 data.limit=100 data.valid_size=50 model.hidden_size=4 model.num_layers=1 train.threads=1"
).split()
SPACES = (
    ["optim.lr=interval(0.1,1)", "n_trials=3"],
    ["optim.lr=tag(step:0.1,interval(0.1,1))", "n_trials=3"],
    ["model=gru,rnn", "n_trials=3"],
    ["train.epochs=int(interval(1,3))", "model=gru,rnn", "n_trials=3"],
    ["search=quick"],
)
ON_TEST = ["data.valid_from=test", "data.valid_size=0"]
SPLITS = ("data.split_seed=1,2", "data.valid_size=1000,2000", "data.valid_from=train,test")


@pytest.fixture
def faults(tmp_path, monkeypatch):
    """Returns what a sweep's command line finds wrong with itself."""
    monkeypatch.chdir(tmp_path)
    register_schemas()
    return lambda *arguments: CommandLine(get_args_parser().parse_args(["-m", *arguments]), CONFIG_DIR).problems()


def searches():
    """Yields each sampler with each pruner, on one of the spaces that the sampler can search."""
    draw = random.Random(0)
    for sampler in SAMPLERS:
        for pruner in PRUNERS:
            space = draw.choice(SPACES[1:3] if sampler == "grid" else SPACES)
            yield [f"hydra/sweeper/sampler={sampler}", f"hydra/sweeper/pruner={pruner}", *space]


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, 7))])
def test_no_search_validates_on_the_test_set(faults, part):
    for search in list(searches())[part::7]:
        assert faults(*search, *ON_TEST) == [
            "a search with data.valid_from=test would choose by the test set; try data.valid_from=train "
            "data.valid_size=0.1"
        ]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("space", SPACES)
def test_no_search_is_among_splits(faults, space, split):
    key = split.partition("=")[0]
    assert f"{key} can't be searched: the luckiest split would win; fix it, or run a grid" in faults(*space, split)


def test_repeats_share_their_split(faults):
    assert "repeats must share their split" in faults("search=quick", "hydra.sweeper.seed_key=data.split_seed")[0]
    assert faults("data.split_seed=1,2") == []


def test_a_grid_that_names_a_best_does_not_validate_on_the_test_set(faults):
    assert "would name the best by the test set" in faults("seed=0,1", *ON_TEST)[0]
    assert faults("seed=0,1", *ON_TEST, "objective=null") == []


def test_a_grid_that_validates_on_nothing_names_no_best(faults):
    nothing = ("data.valid_size=0", "train.keep=last")
    assert "a grid with data.valid_size=0 has no valid_accuracy" in faults("seed=0,1", *nothing)[0]
    assert faults("seed=0,1", *nothing, "objective=null") == []
    assert faults("seed=0,1", *nothing, "data.folds=3") == []
    assert faults("experiment=notebook", "optim.lr=0.5,1") == []


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["data.folds=2,3"], "data.folds must be the same in all runs of a sweep"),
        (["seed=0,1", "hydra.sweeper.folds=2"], "data.folds must be the same in all runs of a sweep"),
        (["seed=0,1", "data.folds=2", "hydra.sweeper.fold_key=data.split_seed"], "folds are those of data.fold"),
        (["seed=0,1", "data.fold=1"], "data.fold is one of data.folds, and there are none; got 1"),
        (["seed=0,1", "data.folds=2", "data.valid_from=test", "data.valid_size=0"], "data.valid_from must be train"),
        (
            [
                "optim.lr=interval(0.1,1)",
                "n_trials=2",
                "metrics=[macro_f1]",
                "objective=valid_macro_f1",
                "direction=minimize",
            ],
            "direction=minimize would look for the worst valid_macro_f1",
        ),
    ],
)
def test_folds_and_metrics_of_a_sweep_that_make_no_sense_are_a_line(faults, typed, line):
    assert line in "\n".join(faults(*typed))
    assert faults("seed=0,1", "data.folds=2", "data.fold=0,1") == []


@pytest.mark.parametrize("chosen_by", ["train.keep=best", "train.patience=2,train.keep=last"])
@pytest.mark.parametrize("trials", [0, 2])
@pytest.mark.parametrize("budget", ["trials", "epochs"])
def test_final_runs_choose_no_epoch_by_the_test_set(tmp_path, monkeypatch, capsys, trials, budget, chosen_by):
    monkeypatch.chdir(tmp_path)
    final = ",".join(f'"{text}"' for text in [*ON_TEST, *chosen_by.split(",")])
    arguments = [f"compare.trials={trials}", f"compare.final=[{final}]"]
    arguments += [f"compare.budget={budget}"] if trials else []
    monkeypatch.setattr(sys, "argv", ["rnnexp.compare", *arguments])
    assert compare() == 2
    assert "data.valid_from=test would choose the epoch by the test set" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def unreadable(tmp_path_factory):
    """Returns a folder of data whose test images nothing can parse."""
    root = tmp_path_factory.mktemp("data")
    shutil.copytree(f"{platformdirs.user_cache_dir('rnnexp')}/MNIST", root / "MNIST")
    images = root / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    images.write_bytes(bytes(images.stat().st_size))
    return root


@pytest.mark.long
@pytest.mark.parametrize(
    ("sampler", "pruner"), [*zip(itertools.cycle(sorted(SAMPLERS)), sorted(PRUNERS)), ("grid", "none"), ("tpe", "asha")]
)
def test_a_search_goes_through_where_the_test_set_can_not_be_read(tmp_path, unreadable, sampler, pruner):
    space = ["optim.lr=tag(step:0.01,interval(0.1,0.3))", "n_trials=2", "workers=1"]
    names = [f"hydra/sweeper/sampler={sampler}", f"hydra/sweeper/pruner={pruner}", "name=s"]
    arguments = [*space, *names, *SMALL, f"data.root={unreadable}", "hydra/launcher=basic"]
    command = [sys.executable, "-W", "error", "-m", "rnnexp", "-m", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    table = collect(tmp_path / "outputs" / "sweeps" / "s")
    assert set(table["status"]) <= {"complete", "pruned"}
    assert 1 <= len(table) <= 2  # one may have the result of the other, the same configuration
    assert table["test_accuracy"].isna().all()
