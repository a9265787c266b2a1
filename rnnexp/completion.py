"""Completion in the shell: verbs, and names of runs, sweeps and comparisons; groups and keys are Hydra's to complete.

    eval "$(rnnexp -sc install=bash)"       in ~/.bashrc; in zsh, too, after autoload -Uz bashcompinit && bashcompinit
    rnnexp -sc install=fish | source        in fish

The shell runs `rnnexp -sc query=bash` with what has been typed in COMP_LINE.
"""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from io import StringIO

from rnnexp.cli import VERBS
from rnnexp.record.places import names
from rnnexp.schema.tree import shipped_options


def main() -> int:
    """Prints the words that may come next, or, when it is installed, what the shell is to evaluate."""
    line = os.environ.get("COMP_LINE", "")
    line = line[: int(os.environ.get("COMP_POINT", len(line)))]
    program, *typed = line.split(" ") if line else ["rnnexp"]
    verb = typed[0] if typed else ""
    if not any(text.startswith("query=") for text in sys.argv[1:]):
        return train()
    for word in own_words(typed):
        if word.startswith(typed[-1]):
            print(word)
    if len(typed) > 1 and verb in VERBS:
        if verb not in ("train", "compare"):
            return 0
        os.environ["COMP_LINE"] = " ".join([program, *typed[1:]])
        os.environ["COMP_POINT"] = str(len(os.environ["COMP_LINE"]))
    with redirect_stdout(StringIO()) as printed:
        status = train()
    print(*(word for word in printed.getvalue().split() if not word.endswith("_schema")), sep="\n")
    return status


def train() -> int:
    """Has Hydra answer, and returns the exit status."""
    from rnnexp.train import main

    return main()


def own_words(typed: list[str]) -> list[str]:
    """Returns what may stand where the last word is being typed, and is not Hydra's."""
    if len(typed) < 2:
        return [*VERBS] if typed else []
    verb = VERBS.get(typed[0])
    if verb is None:
        return []
    if typed[0] == "data":
        return ["list", "describe", "check"] if len(typed) == 2 else shipped_options("data")
    takes_names = any(word in verb.arguments for word in ("PATH", "NAME", "RUN"))
    return names() if takes_names else []


if __name__ == "__main__":
    sys.exit(main())
