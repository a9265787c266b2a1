"""The command: its first line is the URL, a port that is taken is one line, and Ctrl-C another."""

import re
import shlex
import socket
from pathlib import Path

import pytest
from fake_runs import finished

from rnnexp.watch import command
from rnnexp.watch.command import main
from rnnexp.watch.server import Server
from rnnexp.watch.table import MOST

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def until_interrupted(monkeypatch):
    """Lets a server be interrupted as soon as it serves, and returns their ports."""
    ports = []

    def interrupted(self, poll_interval=0.5):
        ports.append(self.server_address[1])
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", interrupted)
    return ports


@pytest.fixture
def taken():
    """Returns a port that another program has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_the_first_line_is_the_url_and_ctrl_c_is_one_line(tmp_path, until_interrupted, capsys):
    finished(tmp_path / "a")
    assert main([str(tmp_path), "--port", "0"]) == 130
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"http://127.0.0.1:{until_interrupted[0]}/",
        f"shows {tmp_path} as it changes; Ctrl-C ends it",
    ]
    assert printed.err == "stopped\n"


def test_a_port_that_was_asked_for_and_is_taken_is_one_line(tmp_path, taken, capsys):
    assert main([str(tmp_path), "--port", str(taken)]) == 2
    assert capsys.readouterr().err == (
        f"rnnexp watch: cannot listen on 127.0.0.1:{taken} (Address already in use); choose another --port, "
        "or leave it out\n"
    )


def test_another_port_is_taken_where_the_usual_one_is_not_free(tmp_path, taken, until_interrupted, capsys, monkeypatch):
    monkeypatch.setattr(command, "PORT", taken)
    assert main([str(tmp_path)]) == 130
    printed = capsys.readouterr()
    assert until_interrupted[0] > taken
    assert printed.out.startswith(f"http://127.0.0.1:{until_interrupted[0]}/\n")
    assert printed.err.splitlines()[0] == f"port {taken} is taken, so this is another one"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "there is no folder nowhere here; runs make outputs in the folder where they are started"),
        (["/nowhere"], "/nowhere is not a folder; type the one that holds the runs, such as outputs"),
        (["--port", "70000", "."], "--port must be between 0 and 65535, got 70000"),
        (["--port", "x", "."], "argument --port: invalid int value: 'x'"),
    ],
)
def test_a_mistake_is_one_line(arguments, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(f"rnnexp watch: {line}")


def test_a_name_is_found_and_watching_may_begin_before_the_first_run(tmp_path, until_interrupted, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--port", "0"]) == 130
    assert capsys.readouterr().out.splitlines()[1].startswith("shows outputs as it changes")
    finished(tmp_path / "outputs" / "sweeps" / "mine" / "0")
    assert main(["mine", "--port", "0"]) == 130
    assert capsys.readouterr().out.splitlines()[1].startswith("shows outputs/sweeps/mine as it changes")


@pytest.mark.parametrize("has_browser", [True, False])
def test_open_opens_the_browser_or_says_that_there_is_none(tmp_path, capsys, monkeypatch, has_browser):
    opened = []
    monkeypatch.setattr(command.webbrowser, "open", lambda url: opened.append(url) or has_browser)
    monkeypatch.setattr(command.threading, "Thread", Now)
    monkeypatch.setattr(Server, "serve_forever", lambda self: None)
    assert main([str(tmp_path), "--port", "0", "--open"]) == 0
    printed = capsys.readouterr()
    assert opened == [printed.out.splitlines()[0]]
    assert ("no browser could be started" in printed.err) == (not has_browser)


class Now:
    """A thread that does its work where it is started."""

    def __init__(self, target, args, daemon):
        self.start = lambda: target(*args)


DOCUMENTED = [
    shlex.split(line, comments=True)[2:]
    for line in re.findall(r"^rnnexp watch.*$", (DOCS / "watch.md").read_text(), re.M)
]


@pytest.mark.parametrize("arguments", DOCUMENTED, ids=" ".join)
def test_the_documented_commands_serve(arguments, tmp_path, monkeypatch, until_interrupted, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs" / "sweeps").mkdir(parents=True)
    monkeypatch.setattr(command.webbrowser, "open", lambda url: True)
    assert main(arguments) == 130
    assert re.match(r"http://127\.0\.0\.1:\d+/\n", capsys.readouterr().out)


def test_the_documentation_says_the_port_and_how_many_runs_can_be_chosen():
    text = (DOCS / "watch.md").read_text()
    assert len(DOCUMENTED) == 4
    assert f"http://127.0.0.1:{command.PORT}/" in text
    assert f"up to {MOST} runs" in text
