"""Modules import only from floors below; what must stay light stays light; presets stay apart."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rnnexp.cli import CONFIG_DIR

PACKAGE = Path(__file__).parent.parent / "rnnexp"
FLOORS = (
    {"schema", "seeds", "schedules", "interrupt"},
    {"checks", "dataset_files", "models", "machine", "prepare", "store"},
    {"data", "table"},
    {"train", "results"},
    {"run"},
    {"predict", "reproduce", "preflight"},
    {"cli"},
    {"__main__"},
)


def imports(module):
    """Yields the modules of rnnexp that one imports, at its top or inside its functions."""
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "rnnexp":
            yield from (alias.name for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rnnexp."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("rnnexp."))


def test_every_module_has_a_floor_and_imports_from_those_below():
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert modules == set().union(*FLOORS)
    for floor, members in enumerate(FLOORS):
        below = set().union(*FLOORS[:floor]) if floor else set()
        for module in members:
            assert set(imports(module)) <= below, module


@pytest.mark.parametrize(
    "module",
    ["schema", "schedules", "store", "dataset_files", "table", "results", "preflight", "cli", "predict", "reproduce"],
)
def test_what_answers_at_once_does_not_import_torch(module):
    program = f"import sys, rnnexp.{module}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_experiment_sets_no_numbers_of_one_optimizer_model_or_schedule():
    """They would leak into another option of the group, chosen on the command line."""
    experiments = sorted((CONFIG_DIR / "experiment").glob("*.yaml"))
    assert experiments
    for path in experiments:
        assert not {"model", "optim", "schedule"} & yaml.safe_load(path.read_text()).keys(), path.name


def test_an_experiment_with_another_optimizer_has_that_optimizers_own_numbers(compose):
    assert compose("experiment=notebook", "optim=adam").optim == compose("optim=adam").optim
    assert compose("experiment=notebook", "model=gru").model == compose("model=gru").model
