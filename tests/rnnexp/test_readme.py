"""What the README shows is true: its commands run, its tree exists, its columns are those of the files."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser

from rnnexp.command_line import CommandLine
from rnnexp.record.result import HISTORY_COLUMNS
from rnnexp.results import collect
from rnnexp.schema import validation
from rnnexp.schema.config import plain_config, register_schemas
from rnnexp.schema.tree import CONFIG_DIR, GROUPS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
COMMANDS = re.findall(r"python -m (rnnexp[\w.]*)((?: [^\s`#&]+)*)", README)


def blocks(language):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    return [text for name, text in fenced if name == language]


RUNS = sorted({rest.strip() for module, rest in COMMANDS if module == "rnnexp"} - {"...", "-m ...", "--help"})
RUNS = [text for text in RUNS if "data.root=" not in text and "data=waves" not in text]  # run by test_data_docs.py


@pytest.mark.parametrize("arguments", RUNS)
def test_every_command_of_the_readme_is_sound(tmp_path, monkeypatch, arguments):
    write_own_network(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    register_schemas()
    args = get_args_parser().parse_intermixed_args(shlex.split(arguments))
    assert CommandLine(args, CONFIG_DIR).problems() == []


def write_own_network(folder):
    """Writes the README's own class and its YAML file where the README says they are."""
    for block in [*blocks("python"), *blocks("yaml")]:
        if name := re.match(r"(?:# @package _global_\n)?# (\S+\.(?:py|yaml))\n", block):
            path = folder / name[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
    assert (folder / "mynets.py").exists()


def test_the_readmes_own_network_trains_and_is_read_back_by_every_command_it_names(tmp_path):
    from PIL import Image, ImageDraw

    write_own_network(tmp_path)
    seven = Image.new("L", (100, 100), 255)
    ImageDraw.Draw(seven).line([(30, 20), (70, 20), (45, 80)], width=9)
    seven.save(tmp_path / "seven.png")
    commands = (
        "rnnexp --config-dir myconf model=averager model.width=128 name=first train.epochs=1 data.limit=500",
        "rnnexp.results outputs --sort=-valid_accuracy --columns path,model,test_accuracy --csv runs.csv",
        "rnnexp.predict outputs/runs/first seven.png --trust",
        "rnnexp.reproduce outputs/runs/first --trust",
    )
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", *command.split()], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert collect(tmp_path / "outputs")["model"].tolist() == ["averager"]
    record = next(block for block in blocks("") if block.startswith("outputs/runs/first/"))
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
        for folder in ("rnnexp", "hydra_sweep", "hydra_plugins", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if "environments" not in path.parts  # the peers'
    }
    assert named - {(None, "walker.py")} == {found for found in there if not found[1].startswith("__")}
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}
    assert groups == {name.rstrip("/") for name in re.search(r"\n  (model/.*)\n", tree)[1].split()}


def test_the_columns_of_the_history_are_those_named():
    assert ", ".join(HISTORY_COLUMNS) in README


def test_every_option_of_every_group_has_a_test_that_runs_or_composes_it(compose):
    for group in GROUPS:
        for option in sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml")):
            named = ["data.root=somewhere"] if option in ("images", "series") else []
            cfg = compose(f"{group}={option}", *named)
            assert validation.range_problems(cfg) == []
            assert validation.target_problems(plain_config(cfg)) == []
