"""docs/trackers.md: every block runs as it stands, in an empty folder, and does what the text says."""

import re
import shlex
from pathlib import Path

import documents
import pytest
from hydra._internal.utils import get_args_parser
from tracked import assert_equal, read

from rnnexp.command_line import CommandLine, expand_aliases
from rnnexp.results import collect
from rnnexp.schema.config import register_schemas
from rnnexp.schema.trackers import TRACKERS
from rnnexp.schema.tree import CONFIG_DIR

TEXT = (Path(__file__).parents[2] / "docs" / "trackers.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]
TRAINING = [line for line in COMMANDS if re.match(r"rnnexp (?!results|tag|export)", line)]


def write_modules(folder):
    for language, block in BLOCKS:
        if language == "python":
            (folder / re.match(r"# (\w+\.py)", block)[1]).write_text(block)


@pytest.mark.parametrize("command", TRAINING)
def test_each_command_that_trains_is_sound(tmp_path, monkeypatch, command):
    write_modules(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    register_schemas()
    args = get_args_parser().parse_intermixed_args(expand_aliases(shlex.split(command)[1:]))
    assert CommandLine(args, CONFIG_DIR).problems() == []


def test_the_tables_have_every_tracker_and_every_key_of_its():
    assert re.findall(r"^\| `(\w+)` \| `pip", TEXT, re.MULTILINE) == list(TRACKERS)
    keys = {name for kind in TRACKERS.values() for name in kind.__dataclass_fields__} - {"_target_"}
    assert {name for name in keys if f"tracker.{name}" in TEXT} == keys


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Returns the folder in which all blocks have run, and what each command has said."""
    folder, said = tmp_path_factory.mktemp("trackers"), {}
    write_modules(folder)
    for command in COMMANDS:
        done = documents.run(command, folder)
        assert "the run goes on" not in done.stdout + done.stderr, command
        said[command] = done.stdout
    return folder, said


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # the packages' own
def test_what_the_commands_leave_is_what_the_text_says(ran):
    folder, said = ran
    outputs = folder / "outputs"
    assert said["rnnexp export outputs --to tensorboard"] == "tensorboard: 4 runs exported, 1 there already\n"
    assert said["rnnexp export cells --to trackio tracker.project=thesis"] == "trackio: 4 runs exported\n"
    assert said["rnnexp export first cells --to wandb"] == "wandb: 5 runs exported\n"
    places = {"first": outputs / "runs/first"} | {f"cells/{n}": outputs / f"sweeps/cells/{n}" for n in range(4)}
    for option, names in {"tensorboard": places, "wandb": places, "mlflow": [*places][1:]}.items():
        found = read(option, outputs)
        assert found.keys() == {*names}
        for name in names:
            assert_equal(found[name], places[name], is_exact=option != "tensorboard")
    table = collect(outputs).set_index("path")
    assert table.loc["runs/second", ["tags", "notes"]].tolist() == ["good, best", "wider, and with dropout"]
    assert table.loc["sweeps/cells/3", ["tags", "notes"]].tolist() == ["best", "to be run again with more data"]
    assert said["rnnexp results --where \"'best' in tags\" --columns path,tags,notes"].count("\nruns/") == 1
    bells = (folder / "bells.txt").read_text()
    assert {"third: complete", "bells/0: complete", "bells/1: complete", "fourth: complete"} <= {*bells.splitlines()}
    assert re.search(r"^third, epoch 1: 0\.\d{3}$", bells, re.MULTILINE)
