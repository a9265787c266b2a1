"""A command of rnnexp as a process of its own, which does not outlive the one that started it.

A sweep signals, forks, and at its end kills whatever its tasks have left behind: in a notebook's process, or anybody's,
that would hit what is not its own. As the process that a shell would start it is the same there and here.
"""

from __future__ import annotations

import os
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO

from hydra_sweep.errors import UserError

# Python that is asked to stop when we are gone, even by SIGKILL, where the system can: it would go on for hours. It
# asks for that itself: a process with threads may do next to nothing between fork and exec. 1 is PR_SET_PDEATHSIG.
ASK_FIRST = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGTERM); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
PYTHON = [sys.executable, "-c", ASK_FIRST] if sys.platform == "linux" else [sys.executable]
SAYERS = ("rnnexp", "rnnexp compare", "sweep")  # that begin a line about a mistake
LOOK_SECONDS = 0.5  # between two looks at how far it is
TAIL = 12  # lines that are told of a command that failed


class CommandFailed(RuntimeError):
    """A sweep or a comparison did not come to its end, through no mistake of the call; its record is there."""


def completed(words: Sequence[str], look: Callable[[], None] = lambda: None) -> str:
    """Runs `python -m WORDS` to its end, and returns what it printed.

    Args:
        look: is called now and then meanwhile, in this thread.

    Raises:
        UserError: with the lines that the command has for its user.
        CommandFailed: it ended with another status than 0.
        KeyboardInterrupt: Ctrl-C came; the command has saved what it was at. A second Ctrl-C ends it at once.
    """
    if faulty := [word for word in words if "\0" in word]:
        raise UserError(f"{faulty[0]!r} can't be an argument of a command")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(  # a session of its own: of Ctrl-C in a terminal it hears once, from here
            [*PYTHON, "-m", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=os.environ | ({"PYTHONPATH": os.pathsep.join(paths)} if (paths := own_paths()) else {}),
            start_new_session=True,
        )
        try:
            status = _wait(child, look)
        except BaseException:
            _end(child)
            raise
        said, problems = _lines(out), _lines(err)
    if status == UserError.exit_status:
        raise UserError([_without_sayer(line) for line in problems if _without_sayer(line) != line] or problems)
    if status:
        how = f"status {status}" if status > 0 else f"signal {-status}"
        told = "\n".join([*said[-TAIL:], *problems[-TAIL:]])
        raise CommandFailed(f"python -m {words[0]} ended with {how}; the same call goes on\n{told}".rstrip())
    return "\n".join(said)


def own_paths() -> list[str]:
    """Returns the folders that this process finds modules in, and a new one might not: a user's own networks."""
    known = {*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()}
    library = sysconfig.get_path("stdlib")
    found = [os.path.abspath(path) for path in sys.path if path]
    return [path for path in found if path not in known and not path.startswith(library) and os.path.isdir(path)]


def _wait(child: subprocess.Popen[bytes], look: Callable[[], None]) -> int:
    looked = time.monotonic()
    while True:
        try:
            return child.wait(0.1)
        except subprocess.TimeoutExpired:
            if time.monotonic() - looked > LOOK_SECONDS:
                look()
                looked = time.monotonic()


def _end(child: subprocess.Popen[bytes]) -> None:
    """Lets a command save what it has, and end; at once when Ctrl-C comes again."""
    while child.poll() is None:
        child.terminate()
        try:
            child.wait()
        except KeyboardInterrupt:
            continue


def _lines(file: IO[bytes]) -> list[str]:
    file.seek(0)
    return [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]


def _without_sayer(line: str) -> str:
    sayer, _, rest = line.partition(": ")
    return rest if sayer in (*SAYERS, "rnnexp.compare") else line
