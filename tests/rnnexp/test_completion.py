"""The shell completes verbs, names, groups and keys."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp import completion

CELLS = ("rnn", "gru", "lstm", "mingru", "minlstm", "lru", "rglru")
SCRIPT = """
eval "$(rnnexp -sc install=bash)"
COMP_LINE="$1"; COMP_POINT=${#1}; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
hydra_bash_completion
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def query(tmp_path, monkeypatch, capsys):
    """Returns a function from what is typed to the words that may come next."""
    for place in ("runs/first", "sweeps/fast-search", "compare/cells"):
        (tmp_path / "outputs" / place).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def words(line):
        monkeypatch.setattr(sys, "argv", ["rnnexp", "-sc", "query=bash"])
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        assert completion.main() == 0
        return capsys.readouterr().out.split()

    return words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rnnexp report f", ["fast-search", "first"]),
        ("rnnexp predict ", ["cells", "fast-search", "first"]),
        ("rnnexp data d", ["describe"]),
        ("rnnexp data check mn", ["mnist"]),
        ("rnnexp fetch ", []),
    ],
)
def test_names_are_completed(query, line, words):
    assert query(line) == words


@pytest.mark.long
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here: apt-get install bash")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rnnexp rep", {"report", "reproduce", "repeats="}),
        ("rnnexp model=", {f"model={cell}" for cell in CELLS}),
        ("rnnexp train optim=ad", {"optim=adam", "optim=adadelta"}),
        ("rnnexp model=gru optim.l", {"optim.lr="}),
    ],
)
def test_bash_completes_verbs_groups_and_keys(tmp_path, line, words):
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    command = ["bash", "-c", SCRIPT, "bash", line]
    done = subprocess.run(command, cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, timeout=100)
    assert set(done.stdout.split()) == words, done.stderr
