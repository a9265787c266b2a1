"""The one door: `rnnexp VERB ...`, the same as `python -m rnnexp VERB ...`. Without a verb it trains.

Each verb is a module, imported when it is typed. Nothing here imports Hydra, pandas or torch, so that `--help` answers
at once.
"""

from __future__ import annotations

import importlib
import re
import sys
from typing import NamedTuple

from hydra_sweep.commands import command
from hydra_sweep.errors import UserError
from hydra_sweep.hints import nearest
from rnnexp import __version__
from rnnexp.schema.tree import GROUPS, shipped_options


class Verb(NamedTuple):
    """What a verb does, in a line, and the module whose `main` does it."""

    module: str
    arguments: str
    does: str


VERBS = {
    "train": Verb("rnnexp.train", "KEY=VALUE ...", "one run or, with -m, many; the word may be left out"),
    "compare": Verb("rnnexp.comparing.command", "KEY=VALUE ...", "which is better? Tuned alike, tested once"),
    "results": Verb("rnnexp.results.command", "[PATH]", "every run in one table"),
    "tag": Verb("rnnexp.tag", "RUN ... +TAG -TAG", "tags and notes of runs, columns of the table"),
    "export": Verb("rnnexp.export", "PATH --to TRACKER", "runs to TensorBoard, MLflow, W&B or Trackio"),
    "report": Verb("rnnexp.report.command", "PATH", "a page with figures of a run, sweep or comparison"),
    "watch": Verb("rnnexp.watch.command", "[PATH]", "the same in a browser, live"),
    "status": Verb("rnnexp.status", "[NAME]", "what a sweep is doing, on any host"),
    "stop": Verb("rnnexp.stop", "NAME", "end a sweep; its command resumes it"),
    "predict": Verb("rnnexp.predict", "RUN FILE ...", "classify images or series with a trained network"),
    "reproduce": Verb("rnnexp.reproduce", "RUN", "run a recorded run again: is it identical?"),
    "data": Verb("rnnexp.datasets", "[list] ...", "list, describe or check data sets before training"),
    "fetch": Verb("rnnexp.fetch", "URL", "bring the runs of hosts that share no folder"),
    "proxy": Verb("rnnexp.proxy", "URL", "serve a sweep's study to hundreds of workers"),
}
HELP = """\
rnnexp {version} trains recurrent networks on series and images, one run or a
thousand, searches their hyperparameters, and says which is better.

  rnnexp model=lstm optim=adadelta             one run
  rnnexp -m model=rnn,gru,lstm seed=0,1,2      every combination, in parallel
  rnnexp -m search=default name=mine           a search; again: it goes on
  rnnexp data=series data.root=x.csv           your own series; images are
                                               data=images data.root=FOLDER
  rnnexp compare name=cells                    which network is better?
  rnnexp results                               every run in one table

Verbs; rnnexp VERB --help says more (python -m rnnexp VERB is the same):
{verbs}

Where a verb takes a path, the name of a run, sweep or comparison will do.
The shell completes all of them after  eval "$(rnnexp -sc install=bash)".

Groups, chosen as group=option; rnnexp train --help lists every key:
{groups}
"""


@command("rnnexp")
def main() -> int:
    """Hands the command line to the module of its verb and returns the exit status."""
    arguments = sys.argv[1:]
    first = arguments[0] if arguments else ""
    if arguments in (["--help"], ["-h"], ["help"]):
        print(help_text(), end="")
        return 0
    if "--version" in arguments:
        print(f"rnnexp {__version__}")
        return 0
    if first in ("-sc", "--shell-completion"):
        return int(importlib.import_module("rnnexp.completion").main())
    if first in VERBS:
        del sys.argv[1]
    elif re.fullmatch(r"[a-z]+", first) and (len(arguments) == 1 or not arguments[1].startswith("=")):
        raise UserError(f"there is no verb {first}{nearest(first, VERBS)}; rnnexp --help lists them")
    main_of_verb = importlib.import_module(VERBS.get(first, VERBS["train"]).module).main
    return int(main_of_verb())


def help_text() -> str:
    """Returns the verbs and the groups with their options."""
    verbs = "\n".join(f"  {f'{name} {verb.arguments}':<26}{verb.does}" for name, verb in VERBS.items())
    groups = "\n".join(f"  {group:<12}{', '.join(shipped_options(group))}" for group in (*GROUPS, "search", "tracker"))
    return HELP.format(version=__version__, verbs=verbs, groups=groups)


if __name__ == "__main__":
    sys.exit(main())
