"""A parser of a command's options."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser of a command's options that says what is wrong in one line, and exits with status 2.

    Args:
        name: the command's module, such as hydra_sweep.status.
    """

    def __init__(self, name: str, description: str | None = None, **options: object) -> None:
        super().__init__(prog=f"python -m {name}", description=description, **options)  # type: ignore[arg-type]
        self.name = name

    def error(self, message: str) -> NoReturn:
        line = message.replace("the following arguments are required:", "it needs")
        print(f"{self.name}: {line}; {self.prog} --help lists what there is", file=sys.stderr)
        sys.exit(2)
