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
    {"streams", "synonyms", "arguments"},
    {
        "schema",
        "cores",
        "seeds",
        "stats",
        "sources",
        "strokes",
        "schedules",
        "interrupt",
        "fused",
        "sweep",
        "sweep.settings",
        "sweep.processes",
    },
    {"checks", "dataset_files", "models", "machine", "prepare", "store", "sweep.fleet", "sweep.compose"},
    {"data", "drawing", "table", "sweep.space", "sweep.storage"},
    {"frames", "sweep.depot", "sweep.custom", "sweep.official", "precision"},
    {"train", "formats", "collect", "verdict", "figures", "sweep.plan"},
    {"run", "results", "sweep.study"},
    {"sweep.show", "sweep.worker", "recorded", "page"},
    {"sweep.sweeper", "page.run", "page.sweep", "page.comparison"},
    {"predict", "reproduce", "report", "preflight", "status"},
    {"cli", "proxy", "stop", "fetch"},
    {"__main__", "compare"},
)
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py"
}


def imports(module):
    """Yields the modules of rnnexp that one imports, at its top or inside its functions."""
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rnnexp":
            base = node.module.removeprefix("rnnexp").lstrip(".")
            for alias in node.names:
                name = f"{base}.{alias.name}".lstrip(".")
                yield from [name] if name in FILES else [base] if base else []
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("rnnexp.") for a in node.names if a.name.startswith("rnnexp."))


def test_every_module_has_a_floor_and_imports_from_those_below():
    assert FILES.keys() == set().union(*FLOORS)
    for floor, members in enumerate(FLOORS):
        below = set().union(*FLOORS[:floor]) if floor else set()
        for module in members:
            assert set(imports(module)) <= below, module


def test_the_sweeper_knows_nothing_of_networks_and_data():
    generic = {"sweep", *(name for name in FILES if name.startswith("sweep."))}
    beside = {"schema", "cores", "seeds", "interrupt", "checks", "store", "sources", "streams", "synonyms", "table"}
    assert set().union(*(imports(name) for name in generic)) <= generic | beside


@pytest.mark.parametrize(
    "module",
    [
        "schema",
        "schedules",
        "store",
        "dataset_files",
        "table",
        "results",
        "preflight",
        "cli",
        "predict",
        "reproduce",
        "sweep.sweeper",
        "compare",
        "report",
    ],
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
