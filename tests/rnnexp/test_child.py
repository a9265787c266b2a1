"""Commands in processes of their own: how they end, and how they are ended."""

import os
import signal
import sys
import threading
import time

import psutil
import pytest

from hydra_sweep.errors import UserError
from rnnexp.child import CommandFailed, completed, own_paths

WAITS = """
import pathlib, signal, sys, time

def handle(signum, frame):
    pathlib.Path("saved").write_text("")
    sys.exit(143)

signal.signal(signal.SIGTERM, handle)
pathlib.Path("begun").write_text("")
time.sleep(60)
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Returns a function from the source of a module to the words that run it."""
    monkeypatch.chdir(tmp_path)

    def made(source):
        (tmp_path / "a_command.py").write_text(source)
        return ["a_command"]

    return made


def test_what_it_prints_comes_back(command):
    words = command("import sys; print('one'); print(sys.argv[1:])")
    assert completed([*words, "a b", "größe"]) == "one\n['a b', 'größe']"


def test_its_mistakes_are_raised_line_by_line(command):
    lines = ["sweep: x holds another sweep:", "sweep:   seed: 0 -> 1", "a warning of somebody else's"]
    words = command(f"import sys; print('\\n'.join({lines!r}), file=sys.stderr); sys.exit(2)")
    with pytest.raises(UserError) as caught:
        completed(words)
    assert caught.value.problems == ["x holds another sweep:", "  seed: 0 -> 1"]


def test_lines_that_nobody_of_ours_has_said_are_told_as_they_are(command):
    with pytest.raises(UserError, match="no such thing"):
        completed(command("import sys; print('no such thing', file=sys.stderr); sys.exit(2)"))


def test_another_end_tells_the_last_lines(command):
    with pytest.raises(CommandFailed, match="ended with status 3; the same call goes on\n(?s:.*)99"):
        completed(command("import sys\nfor n in range(100): print(n)\nsys.exit(3)"))
    with pytest.raises(CommandFailed, match="ended with signal 9"):
        completed(command("import os; os.kill(os.getpid(), 9)"))


def test_somebody_looks_meanwhile(command):
    looks = []
    completed(command("import time; time.sleep(2)"), lambda: looks.append(time.monotonic()))
    assert looks


def interrupted_once_it_has_begun(folder):
    def interrupt():
        while not (folder / "begun").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def test_ctrl_c_lets_it_save_what_it_has_and_leaves_no_process(command, tmp_path):
    thread = interrupted_once_it_has_begun(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        completed(command(WAITS))
    thread.join()
    assert (tmp_path / "saved").exists()
    assert not [child for child in psutil.Process().children() if "a_command" in " ".join(child.cmdline())]


def test_what_goes_wrong_with_a_look_ends_it_too(command, tmp_path):
    def look():
        if (tmp_path / "begun").exists():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        completed(command(WAITS), look)
    assert (tmp_path / "saved").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to be told of its parent's death")
def test_it_ends_when_the_process_that_started_it_is_killed(command, tmp_path):
    import subprocess

    words = command(WAITS)
    program = f"from rnnexp.child import completed; completed({words!r})"
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    while not (tmp_path / "begun").exists():
        time.sleep(0.05)
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    child.wait(30)
    assert (tmp_path / "saved").exists()


def test_it_finds_the_modules_that_this_process_finds(command, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "my_networks.py").write_text("NAME = 'mine'")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    assert str(tmp_path / "elsewhere") in own_paths()
    assert completed(command("import my_networks; print(my_networks.NAME)")) == "mine"


def test_a_word_that_no_command_can_have_is_a_line():
    with pytest.raises(UserError, match=r"'a\\x00' can't be an argument"):
        completed(["rnnexp", "a\0"])
