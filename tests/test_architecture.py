"""Modules import only from floors below; what must stay light stays light."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Of the sweeper, a library of its own.
SWEEPER = (
    {
        "background",
        "compat",
        "optuna_compat",
        "curves",
        "errors",
        "hydra_errors",
        "hints",
        "process",
        "quantities",
        "seeds",
        "machine",
        "streams",
        "sources",
        "settings",
        "hydra_sweep",
    },
    {"differences", "files", "signals", "processes", "text_table", "commands", "schedules"},
    {"sweep_folder", "records", "lanes"},
    {"compose", "launchers", "run_record", "storage"},
    {"grammar", "artifacts", "study"},
    {"space"},
    {"custom", "declarations", "official"},
    {"plan"},
    {"history"},
    {"planning", "resume", "results", "returned", "task"},
    {"stop_rules", "summary", "tally", "trial"},
    {"heartbeat", "screen", "status"},
    {"progress", "worker"},
    {"sweeper"},
    {"stop", "fetch", "proxy"},
)
# Of what is built on it: its packages, and the modules that are in none.
RNNEXP = (
    {"compat", "arguments", "overrides", "schedules", "metrics", "schema", "models", "proxy", "child", "bars", "guest"},
    {"record", "data", "fetch", "composition"},
    {"training", "results", "callbacks", "status", "stop"},
    {"verdict", "trackers", "tag"},
    {"preconditions", "report"},
    {"runner", "watch"},
    {"predict", "reproduce", "command_line", "task"},
    {"train", "views"},
    {"datasets", "export"},
    {"comparing"},
    {"api"},
    {"compare"},
    {"cli"},
    {"__main__", "completion"},
)
FLOORS = {"hydra_sweep": SWEEPER, "rnnexp": RNNEXP}


def modules(package):
    """Returns the files of a package's modules, by their full names."""
    found = {}
    for path in (ROOT / package).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


FILES = {package: modules(package) for package in FLOORS}
ALL = FILES["hydra_sweep"] | FILES["rnnexp"]


def imports(module):
    """Returns the modules of ours that one imports, at its top or inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(ALL[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found.update(name if name in ALL else node.module for name in names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found & ALL.keys() - {"rnnexp"}


def unit(module):
    """Returns what has a floor: the package of a module, or the module itself where it is in none."""
    return module.split(".")[1] if "." in module else module


@pytest.mark.parametrize("package", FLOORS)
def test_every_module_has_a_floor_and_imports_from_those_below(package):
    floors = FLOORS[package]
    files = FILES[package].keys() - {"rnnexp"}
    assert {unit(module) for module in files} == set().union(*floors)
    for floor, members in enumerate(floors):
        below = set().union(*floors[:floor]) if floor else set()
        for module in files:
            if unit(module) in members:
                ours = {unit(name) for name in imports(module) if name.partition(".")[0] == package}
                assert ours - {unit(module)} <= below, module


def test_no_module_imports_itself_by_way_of_others():
    list(TopologicalSorter({module: imports(module) for module in ALL}).static_order())  # raises CycleError


FOLDERS = {"hydra_sweep.sweep_folder", "rnnexp.record.comparison_folder", "rnnexp.record.run_folder"}


def test_one_module_each_names_the_files_of_a_run_a_sweep_and_a_comparison():
    def strings(module):
        return {node.value for node in ast.walk(ast.parse(ALL[module].read_text())) if isinstance(node, ast.Constant)}

    named = {name: strings(name) for name in FOLDERS}
    files = {
        text
        for found in named.values()
        for text in found
        if re.fullmatch(r"[\w.]+\.(yaml|csv|json|db|pt|npz)", str(text))
    }
    assert {"sweep.yaml", "results.csv", "study.db", "comparison.json", "result.json", "checkpoint.pt"} < files
    for file in files:
        assert sum(file in found for found in named.values()) == 1, file
        assert not [name for name in ALL.keys() - FOLDERS if file in strings(name)], file


def test_no_module_is_longer_than_400_lines():
    assert {name: length for name, path in ALL.items() if (length := len(path.read_text().splitlines())) > 400} == {}


def test_the_sweeper_knows_nothing_of_networks_and_does_not_name_what_is_built_on_it():
    for path in (*FILES["hydra_sweep"].values(), *(ROOT / "hydra_plugins").rglob("*.py")):
        text = path.read_text()
        assert "rnnexp" not in text, path
        assert "import torch" not in text, path


PRIVATE = re.compile(
    r"hydra\._internal|unittest|\._(trial_id|suggest|return_value|contains|executor|fd)\b|import _locate"
)


def test_private_names_of_others_stand_in_one_module_of_each_package():
    for package, files in FILES.items():
        assert PRIVATE.search(files[f"{package}.compat"].read_text()), package
        for name, path in files.items():
            assert name.endswith("compat") or not PRIVATE.search(path.read_text()), path


@pytest.mark.parametrize(
    "module",
    [
        "rnnexp.schema.validation",
        "rnnexp.schedules",
        "rnnexp.record.run_folder",
        "rnnexp.data.idx",
        "rnnexp.results.command",
        "rnnexp.command_line",
        "rnnexp.cli",
        "rnnexp.predict",
        "rnnexp.reproduce",
        "hydra_sweep.sweeper",
        "rnnexp.comparing.command",
        "rnnexp.report.command",
        "rnnexp.watch.command",
        "rnnexp.watch.server",
        "rnnexp.tag",
        "rnnexp.export",
        "rnnexp.trackers.tensorboard",
        "rnnexp.trackers.mlflow",
        "rnnexp.trackers.wandb_like",
    ],
)
def test_what_answers_at_once_does_not_import_torch(module):
    program = f"import sys, {module}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_help_imports_no_library_that_takes_its_time():
    program = "import sys, rnnexp.cli; assert not {'torch', 'optuna', 'pandas', 'numpy'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True)


CONSTANTS = re.compile(r"\b(784|28 ?\* ?28|60_?000|10_?000|28|NUM_CLASSES)\b")
MNISTS_OWN = {"data/idx.py", "data/photographs.py", "data/strokes.py"}  # MNIST's files, and photos made like its digits


def test_no_constant_of_mnist_is_outside_its_own_modules():
    found = []
    for path in sorted((ROOT / "rnnexp").rglob("*.py")):
        if str(path.relative_to(ROOT / "rnnexp")) not in MNISTS_OWN:
            lines = path.read_text().splitlines()
            found += [f"{path.name}:{n}: {line}" for n, line in enumerate(lines, 1) if CONSTANTS.search(line)]
    assert found == []
