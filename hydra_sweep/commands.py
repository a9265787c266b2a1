"""What all commands share: their options, their mistakes as lines on standard error, their exit status."""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn, ParamSpec

from hydra_sweep import streams
from hydra_sweep.errors import UserError, escape_unprintable

P = ParamSpec("P")
MAX_LINE = 1000  # characters of a problem


class Parser(argparse.ArgumentParser):
    """A parser of a command's options that says what is wrong in one line, and exits with status 2.

    Args:
        name: the command, such as `app status`, or the module that is one, such as hydra_sweep.status.
    """

    def __init__(self, name: str, description: str | None = None, **options: object) -> None:
        program = f"python -m {name}" if "." in name else name
        super().__init__(prog=program, description=description, **options)  # type: ignore[arg-type]
        self.name = name

    def error(self, message: str) -> NoReturn:
        line = message.replace("the following arguments are required:", "it needs")
        raise UserError(f"{line}; {self.prog} --help lists what there is")


def command(name: str) -> Callable[[Callable[P, int]], Callable[P, int]]:
    """Returns a decorator for a command's `main`.

    Its standard streams are safe, as `streams.py` has it. A `UserError`, or a file that can't be read or written, is a
    line for each problem and the error's exit status; Ctrl-C ends it with a line. A bug keeps its traceback.
    """

    def decorate(main: Callable[P, int]) -> Callable[P, int]:
        @functools.wraps(main)
        def safe(*args: P.args, **kwargs: P.kwargs) -> int:
            streams.protect()
            try:
                _check_working_directory()
                return main(*args, **kwargs)
            except UserError as error:
                show(name, error.problems)
                return error.exit_status
            except OSError as error:
                show(name, [f"{error.filename}: {error.strerror}" if error.filename else str(error)])
                return UserError.exit_status
            except KeyboardInterrupt:
                print("stopped", file=sys.stderr)
                return 128 + signal.SIGINT
            finally:
                sys.stdout.flush()  # here, where a failure can still become the exit status

        return safe

    return decorate


def show(name: str, problems: Iterable[str]) -> None:
    """Prints a line for each problem on standard error, after the command's name."""
    for problem in problems:
        line = problem if len(problem) <= MAX_LINE else f"{problem[: MAX_LINE - 4]} ..."
        print(f"{name}: {escape_unprintable(line)}", file=sys.stderr)


def fail(name: str, error: UserError) -> NoReturn:
    """Ends the process with a line for each problem, where an exception would be Hydra's to show."""
    show(name, error.problems)
    sys.exit(error.exit_status)


def _check_working_directory() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UserError("this working directory has been deleted; type cd to one that is there") from None
