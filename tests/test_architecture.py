"""Modules import only from floors below; what must stay light stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Of the sweeper, a library of its own.
SWEEPER = (
    {
        "background",
        "compat",
        "errors",
        "hints",
        "process",
        "seeds",
        "machine",
        "streams",
        "sources",
        "settings",
        "hydra_sweep",
    },
    {"arguments", "differences", "files", "signals", "processes", "text_table"},
    {"compose", "launchers", "storage"},
    {"grammar", "artifacts", "study"},
    {"space"},
    {"custom", "declarations", "official"},
    {"plan"},
    {"planning", "progress", "resume", "task"},
    {"status", "stop_rules", "trial"},
    {"heartbeat"},
    {"worker"},
    {"sweeper"},
    {"stop", "fetch", "proxy"},
)
# Of what is built on it.
RNNEXP = (
    {"compat", "synonyms", "arguments", "schema", "stats", "strokes", "schedules", "fused"},
    {"checks", "dataset_files", "models", "machine", "prepare", "store"},
    {"data", "drawing", "table"},
    {"frames", "precision"},
    {"train", "formats", "collect", "verdict", "figures"},
    {"run", "results"},
    {"recorded", "page"},
    {"page.run", "page.sweep", "page.comparison"},
    {"predict", "reproduce", "report", "preflight"},
    {"cli", "proxy", "stop", "status", "fetch"},
    {"__main__", "compare"},
)
FLOORS = {"hydra_sweep": SWEEPER, "rnnexp": RNNEXP}


def modules(package):
    """Returns the files of a package's modules, by names without the package's."""
    return {
        ".".join(path.relative_to(ROOT / package).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / package).rglob("*.py")
        if path != ROOT / "rnnexp" / "__init__.py"
    }


FILES = {package: modules(package) for package in FLOORS}
FILES["hydra_sweep"]["hydra_sweep"] = FILES["hydra_sweep"].pop("__init__")


def imports(package, module):
    """Yields the modules of a package that one imports, at its top or inside its functions."""
    known = FILES[package]
    for node in ast.walk(ast.parse(known[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            base = node.module.removeprefix(package).lstrip(".")
            for alias in node.names:
                name = f"{base}.{alias.name}".lstrip(".")
                yield from [name] if name in known else [base] if base else [package] if package in known else []
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            yield from (name.removeprefix(f"{package}.") for name in names if name.split(".")[0] == package)


@pytest.mark.parametrize("package", FLOORS)
def test_every_module_has_a_floor_and_imports_from_those_below(package):
    floors = FLOORS[package]
    assert FILES[package].keys() == set().union(*floors)
    for floor, members in enumerate(floors):
        below = set().union(*floors[:floor]) if floor else set()
        for module in members:
            assert set(imports(package, module)) - {"rnnexp"} <= below, module


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
        assert PRIVATE.search(files["compat"].read_text()), package
        for name, path in files.items():
            assert name == "compat" or not PRIVATE.search(path.read_text()), path


@pytest.mark.parametrize(
    "module",
    [
        "rnnexp.schema",
        "rnnexp.schedules",
        "rnnexp.store",
        "rnnexp.dataset_files",
        "rnnexp.table",
        "rnnexp.results",
        "rnnexp.preflight",
        "rnnexp.cli",
        "rnnexp.predict",
        "rnnexp.reproduce",
        "hydra_sweep.sweeper",
        "rnnexp.compare",
        "rnnexp.report",
    ],
)
def test_what_answers_at_once_does_not_import_torch(module):
    program = f"import sys, {module}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
