"""The comparisons that README.md and docs/ show could begin as they stand."""

import re
import sys

import pytest
from documents import PAGES, commands, write_files
from series_data import gestures

from rnnexp.comparing.command import main
from rnnexp.comparing.sweeps import Sweeps

COMMANDS = {
    each.arguments[1:]: each.page for page in PAGES for each in commands(page) if each.arguments[0] == "compare"
}
DOWNLOADS = "fashion_mnist"


@pytest.mark.parametrize("arguments", [c for c in COMMANDS if "--from" not in c], ids=" ".join)
def test_every_comparison_that_is_shown_could_begin(arguments, tmp_path, monkeypatch, capsys):
    gestures(tmp_path / "gestures.npz")
    write_files(COMMANDS[arguments], tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    untimed = [] if any(text.startswith("compare.estimate=") for text in arguments) else ["compare.estimate=false"]
    monkeypatch.setattr(sys, "argv", ["rnnexp compare", *arguments, *untimed])  # test_pace.py times a comparison's arms
    begun = []
    monkeypatch.setattr(Sweeps, "run", lambda *_: begun.append(1) or sys.exit(7))
    if DOWNLOADS in " ".join(arguments):
        assert main() == 2  # without a network, a line that says which file to put where
        assert "fashion_mnist" in capsys.readouterr().err
        return
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 7, capsys.readouterr().err
    assert begun
    assert re.search(r"^\d arms.* +runs +", capsys.readouterr().out, re.M)


def test_commands_of_both_kinds_are_shown():
    assert len(COMMANDS) > 8
    assert any("--from" in command for command in COMMANDS)
