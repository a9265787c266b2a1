"""`import rnnexp`: what it offers, and that it costs nothing until it is used."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import rnnexp

PUBLIC = [name for name in rnnexp.__all__ if callable(getattr(rnnexp, name))]


def test_importing_it_imports_nothing_that_takes_its_time():
    heavy = {"torch", "numpy", "pandas", "optuna", "hydra", "omegaconf", "matplotlib", "tqdm"}
    program = f"import sys, rnnexp; dir(rnnexp); rnnexp.UserError; print(sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_its_verbs_need_no_torch_until_something_is_trained():
    program = "import sys, rnnexp; rnnexp.run, rnnexp.sweep, rnnexp.compare, rnnexp.load, rnnexp.collect; "
    done = subprocess.run(
        [sys.executable, "-c", f"{program} print('torch' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_it_offers_is_documented_and_listed(name):
    assert name in dir(rnnexp)
    assert (inspect.getdoc(getattr(rnnexp, name)) or "")[0].isupper()


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'rnnexp' has no attribute 'rum'"):
        rnnexp.rum  # noqa: B018
    assert not hasattr(rnnexp, "rum")


def test_importing_the_older_command_leaves_the_function_in_its_place(monkeypatch):
    compare = rnnexp.compare
    monkeypatch.delitem(sys.modules, "rnnexp.compare", raising=False)
    assert importlib.import_module("rnnexp.compare") is compare
    assert rnnexp.compare is compare
    import rnnexp.compare as imported

    assert imported is compare


SNIPPET = """
import rnnexp
run = rnnexp.run({"model": "gru"}, name="first")
reveal_type(run.metrics)
reveal_type(run.predict("seven.png").classes)
reveal_type(rnnexp.sweep(search="quick").best)
reveal_type(rnnexp.compare(arms="model").verdict)
rnnexp.rum
"""


@pytest.mark.long
def test_a_type_checker_knows_what_it_offers(tmp_path, monkeypatch):
    mypy = pytest.importorskip("mypy.api")
    (tmp_path / "snippet.py").write_text(SNIPPET)
    monkeypatch.setenv("MYPYPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    out, _, _ = mypy.run(["--config-file=", "--strict", "--follow-imports=silent", "snippet.py"])
    revealed = [line.partition('"')[2].rstrip('"') for line in out.splitlines() if "Revealed" in line]
    assert revealed == ["dict[str, float]", "list[str]", "rnnexp.views.run.Run", "str"], out
    assert 'Module has no attribute "rum"' in out


@pytest.mark.parametrize("module", ["rnnexp.results", "rnnexp.report", "rnnexp.predict", "rnnexp.train"])
def test_no_module_takes_the_place_of_what_is_offered(module):
    importlib.import_module(module)
    assert module.removeprefix("rnnexp.") not in rnnexp.__all__
