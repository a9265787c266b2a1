"""The table and the figure of what has been measured; the measuring itself is `make bench`."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def copy(tmp_path):
    """Returns the benchmarks without results and environments, where the table may be written."""
    return shutil.copytree(
        BENCHMARKS, tmp_path / "benchmarks", ignore=shutil.ignore_patterns("results", "environments", "__pycache__")
    )


def table(copy, **benchmarks):
    machine = {"processor": "P", "cores": 2, "capability": "AVX512", "memory_gb": 24, "python": "3", "torch": "2"}
    machine |= {"date": "2026-11-23", "commit": "abc", "load_at_end": 0.1}
    (copy / "results").mkdir()
    for name, rows in benchmarks.items():
        (copy / "results" / f"{name}.json").write_text(json.dumps({"machine": machine, "rows": rows}))
    done = subprocess.run([sys.executable, copy / "run.py", "--table"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (copy / "results" / "table.md").read_text() == done.stdout
    assert (copy / "results" / "ratios.png").read_bytes()[:4] == b"\x89PNG"
    return done.stdout


def test_a_row_says_its_median_range_and_whether_the_goal_is_met(copy):
    row = {"against": "peer", "unit": "s", "ours": [1.0, 2.0, 4.0], "theirs": [3.0, 3.0, 4.0]}
    text = table(
        copy,
        start=[row | {"what": "slow", "goal": 1.6}, row | {"what": "quick", "goal": 1.5}, row | {"what": "known"}],
        best=[
            {"what": "accuracy", "against": "", "unit": "%", "ours": [99.4, 99.7], "goal": 99.5, "higher": True},
            {"what": "minutes", "against": "", "unit": "min", "ours": [11.0, 12.0], "goal": 10},
        ],
    )
    assert "| slow | 2 [1, 4] s | peer | 3 [3, 4] s | 1.5 [1, 3] x | 1.6 | **not met** |" in text  # round by round
    assert "| 1.5 | met |" in text
    assert "| known | 2 [1, 4] s | peer | 3 [3, 4] s | 1.5 [1, 3] x |  |  |" in text
    assert "| accuracy | 99.55 [99.40, 99.70] % |  |  |  | >= 99.5 % | met |" in text
    assert "| minutes | 11.5 [11, 12] min |  |  |  | <= 10 min | **not met** |" in text


def test_an_unknown_benchmark_is_refused_with_those_that_there_are(copy):
    done = subprocess.run([sys.executable, copy / "run.py", "speed"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no benchmark speed; there are start, cells, epoch, collect, watch, fast, best, search" in done.stderr


def test_every_benchmark_measures_and_is_described():
    text = (BENCHMARKS / "README.md").read_text()
    run = ast.parse((BENCHMARKS / "run.py").read_text())
    lists = {n.targets[0].id: ast.literal_eval(n.value) for n in run.body if isinstance(n, ast.Assign)}
    for name in (*lists["USUAL"], *lists["RARE"]):
        tree = ast.parse((BENCHMARKS / f"{name}.py").read_text())
        assert "measure" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert f"| `{name}` |" in text
