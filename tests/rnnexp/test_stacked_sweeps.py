"""Trials of ours side by side: ordinary records, exact resumes, and a line for what can't be."""

import os
import signal
import subprocess
import sys
import time

import pytest
from records import assert_identical
from sweeps import Starter, wait_for

from rnnexp.record.run_folder import RunFolder
from rnnexp.training.stack import AT_ONCE, trials_at_once

RUN = "data.limit=800 data.valid_size=200 model.hidden_size=8 model.dropout=0.2 train.batch_size=20".split()
GRID = [*RUN, "model=gru,rnn", "seed=0,1,2", "optim=adam", "train.epochs=4", "workers=1", "stack=4"]
COMMAND = [sys.executable, "-W", "error", "-m", "rnnexp"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Returns the folder of a sweep of six trials, four side by side."""
    base = tmp_path_factory.mktemp("undisturbed")
    subprocess.run([*COMMAND, "-m", *GRID, "name=s"], cwd=base, check=True, capture_output=True)
    return base / "outputs" / "sweeps" / "s"


def test_a_trial_of_a_stack_has_an_ordinary_record_that_is_reproduced_alone(undisturbed):
    trial = undisturbed / "4"
    result = RunFolder(trial).read_result()
    assert result.is_stacked
    assert result.metrics["test_accuracy"] > 0.1
    said = (trial / "run.log").read_text()
    assert said.count("epoch ") >= 4
    assert "steps in one program with those of other trials" in said
    command = [sys.executable, "-m", "rnnexp.reproduce", str(trial)]
    done = subprocess.run(command, cwd=undisturbed, capture_output=True, text=True)
    assert (done.returncode, "came out bit for bit" in done.stdout) == (0, True), done.stdout


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_stack_that_was_killed_goes_on_to_the_same_bits(undisturbed, tmp_path, epochs):
    starter = Starter(tmp_path)
    folder = tmp_path / "outputs" / "sweeps" / "s"
    try:
        command = starter.run([*COMMAND, "-m", *GRID, "name=s"], folder)

        def is_due():
            files = [folder / str(trial) / "history.csv" for trial in range(6)]
            return any(file.exists() and len(file.read_text().splitlines()) > epochs for file in files)

        wait_for(is_due, "an epoch")
        time.sleep(0.1)
        os.kill(command.workers()[0], signal.SIGKILL)
        command.end()
    finally:
        starter.kill()
    attempts = [RunFolder(folder / str(trial)).read_result().attempt for trial in range(6)]
    assert max(attempts) > 1
    for trial in range(6):
        assert_identical(folder / str(trial), undisturbed / str(trial))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("stack=many", "stack must be auto, off or a number of trials, got many; try stack=auto"),
        ("stack=true", "stack must be auto, off or a number of trials, got True; try stack=auto"),
        ("stack=0", "stack must be auto, off or a number of trials, got 0; try stack=auto"),
        ("stack=8 model=mingru", "stack must be auto or off but for model=rnn, gru and lstm with"),
        ("stack=8 model=gru,lstm model.layer_norm=true", "with model.layer_norm=false"),
    ],
)
def test_what_can_not_be_stacked_is_refused_in_a_line(tmp_path, words, line):
    command = [*COMMAND, "-m", *words.split(), "seed=0,1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert line in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "keys", "expected"),
    [
        ("model=rnn model.hidden_size=16", {"seed", "optim.lr", "optim"}, AT_ONCE),
        ("model=rnn model.hidden_size=16 stack=off", {"seed"}, 1),
        ("model=rnn model.hidden_size=16 stack=false", {"seed"}, 1),  # what YAML makes of off
        ("model=rnn model.hidden_size=16", {"seed", "model.num_layers"}, 1),
        ("model=rnn model.hidden_size=200", {"seed"}, 1),
        ("model=lru", {"seed"}, 1),
        ("model=rnn model.hidden_size=16 hydra.sweeper.trial_seconds=9", {"seed"}, 1),
        ("model=rnn model.hidden_size=16 tracker=tensorboard", {"seed"}, 1),
        ("model=rnn model.hidden_size=16 objective=train_seconds", {"seed"}, 1),
        ("model=lru stack=5", {"seed"}, 5),
    ],
)
def test_trials_are_stacked_by_themselves_where_that_was_found_to_pay(words, keys, expected):
    assert trials_at_once(composed(words.split()), keys, is_search=False) == expected


def test_a_search_learns_from_one_trial_after_the_other():
    words = ["model=rnn", "model.hidden_size=16"]
    assert trials_at_once(composed(words), {"seed"}, is_search=True) == 1
    assert trials_at_once(composed([*words, "stack=4"]), {"seed"}, is_search=True) == 4


def composed(words):
    """Returns a trial's configuration with Hydra's own part, as the sweeper has it."""
    from hydra import compose, initialize_config_dir

    from rnnexp.schema.config import register_schemas
    from rnnexp.schema.tree import CONFIG_DIR

    register_schemas()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("config", overrides=words, return_hydra_config=True)
