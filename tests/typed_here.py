"""Commands of the shell, in this process: their exit status, and the lines that they print."""

import logging
import sys
from unittest import mock

from hydra.core.global_hydra import GlobalHydra

from rnnexp import cli


def type_here(capsys, *words):
    """Returns what a command ends with: its status, the lines of standard output and those of standard error."""
    capsys.readouterr()
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    with mock.patch.object(sys, "argv", ["rnnexp", *map(str, words)]):
        try:
            status = cli.main()
        except SystemExit as ended:
            status = ended.code
        finally:
            GlobalHydra.instance().clear()
            for handler in [handler for handler in root.handlers if handler not in handlers]:
                root.removeHandler(handler)
                handler.close()
            root.setLevel(level)
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


def problems(capsys, *words):
    """Returns the lines about mistakes that a command ends with, without the command's name."""
    status, _, lines = type_here(capsys, *words)
    assert status == 2, lines
    return [line.partition(": ")[2] for line in lines]
