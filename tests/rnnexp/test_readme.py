"""What the pages show of files is true: the record, the tree of modules, the columns; a network of one's own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import DOCS, blocks, write_files

from rnnexp.record.result import HISTORY_COLUMNS
from rnnexp.results import collect
from rnnexp.schema import validation
from rnnexp.schema.config import plain_config
from rnnexp.schema.tree import CONFIG_DIR, GROUPS

ROOT = Path(__file__).parents[2]
RUNS, MODELS = DOCS / "runs.md", DOCS / "models.md"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_a_network_of_ones_own_trains_and_is_read_back_by_every_command_that_is_named(tmp_path):
    from PIL import Image, ImageDraw

    assert tmp_path / "mynets.py" in write_files(MODELS, tmp_path)
    seven = Image.new("L", (100, 100), 255)
    ImageDraw.Draw(seven).line([(30, 20), (70, 20), (45, 80)], width=9)
    seven.save(tmp_path / "seven.png")
    commands = (
        "rnnexp --config-dir myconf model=averager model.width=128 name=first train.epochs=1 data.limit=500",
        "rnnexp results --sort=-valid_accuracy --columns path,model,test_accuracy --csv runs.csv",
        "rnnexp predict first seven.png --trust",
        "rnnexp reproduce first --trust",
    )
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", *command.split()], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert collect(tmp_path / "outputs")["model"].tolist() == ["averager"]
    record = next(block.text for block in blocks(RUNS) if block.text.startswith("outputs/runs/first/"))
    files = re.findall(r"^  (\S+\.(?:csv|pt|log|json|npz)|\.hydra/) ", record, flags=re.MULTILINE)
    assert {name.rstrip("/") for name in files} == {
        path.name for path in (tmp_path / "outputs/runs/first").iterdir() if path.name != ".lock"
    }


def test_the_annotated_tree_names_every_module_and_nothing_else():
    fenced = re.findall(r"^```\n(.*?)^```$", CONTRIBUTING, flags=re.MULTILINE | re.DOTALL)
    tree = next(text for text in fenced if text.startswith("conf/  "))
    packages = {name for name in re.findall(r"(\w+)/", tree) if any((ROOT / "rnnexp").glob(f"{name}/*.py"))}
    assert packages == {path.parent.name for path in (ROOT / "rnnexp").glob("*/__init__.py")}
    named, package = set(), None
    for line in tree.splitlines():
        if begun := re.match(r"  ?(\w+)/", line):
            package = begun[1] if begun[1] in packages else None
        elif re.match(r" {0,2}\w", line):
            package = None
        named |= {(package, name) for name in re.findall(r"\b(\w+\.py)\b", line)}
    there = {
        (path.parent.name if path.parent.parent == ROOT / "rnnexp" else None, path.name)
        for folder in ("rnnexp", "hydra_sweep", "hydra_plugins", "benchmarks", "docs")
        for path in (ROOT / folder).rglob("*.py")
        if not {"environments", "_build"} & set(path.parts)  # the peers', and what `make docs` writes
    }
    assert named - {(None, "walker.py"), (None, "documents.py"), (None, "test_github.py")} == {
        found for found in there if not found[1].startswith("__")
    }
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}
    assert groups == {name.rstrip("/") for name in re.search(r"\n  (model/.*)\n", tree)[1].split()}


def test_the_columns_of_the_history_are_those_named():
    assert ", ".join(HISTORY_COLUMNS) in RUNS.read_text()


def test_every_option_of_every_group_has_a_test_that_runs_or_composes_it(compose):
    for group in GROUPS:
        for option in sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml")):
            named = ["data.root=somewhere"] if option in ("images", "series") else []
            cfg = compose(f"{group}={option}", *named)
            assert validation.range_problems(cfg) == []
            assert validation.target_problems(plain_config(cfg)) == []


def test_an_optimizer_and_a_schedule_of_ones_own_train(tmp_path):
    write_files(MODELS, tmp_path)
    command = "rnnexp --config-dir myconf model=gru optim=calm schedule=linear train.epochs=2 data.limit=2000"
    assert any(command in block.text for block in blocks(MODELS))
    small = "data.limit=100 model.hidden_size=4 train.threads=1 name=calm"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *command.split(), *small.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rates = [
        float(row.split(",")[1]) for row in (tmp_path / "outputs/runs/calm/history.csv").read_text().splitlines()[1:]
    ]
    assert 0.001 > rates[0] > rates[1] == pytest.approx(0.0001)
