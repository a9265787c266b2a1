"""The notebook in docs/ runs from its first cell to its last, and is stored with what it showed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from records import assert_identical, histories

import rnnexp

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs").glob("*.ipynb"))


@pytest.mark.long
@pytest.mark.filterwarnings("default")  # of Jupyter's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_is_stored_as_it_ran(path, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    stored = nbformat.read(path, 4)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert "/tmp" not in path.read_text()
    nbclient.NotebookClient(stored, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "outputs").is_dir()

    if path.stem == "python":
        check_records(tmp_path)


def check_records(folder):
    """Checks that the notebook from Python has left what the shell leaves."""
    words = "data.limit=2000 data.valid_size=500 train.epochs=3 train.threads=1 optim=adam optim.lr=0.01 model=gru"
    command = [sys.executable, "-m", "rnnexp", *words.split(), "name=shell"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    assert_identical(folder / "outputs/runs/first", folder / "outputs/runs/shell")
    comparison = rnnexp.load(folder / "outputs/compare/cells")
    recorded = json.loads(comparison.folder.verdict.read_text())
    assert comparison.table["test_accuracy"].tolist() == [arm["accuracy"]["mean"] for arm in recorded["arms"]]
    assert comparison.pairs["p_corrected"].tolist() == [pair["p_corrected"] for pair in recorded["pairs"]]
    sweep = rnnexp.load(folder / "outputs/sweeps/look")
    assert len(sweep.table) == 6
    assert histories(sweep.best.path) == histories(folder / "outputs/runs/best")


def test_there_is_a_notebook():
    assert NOTEBOOKS
