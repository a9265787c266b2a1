"""`rnnexp key=value ...`: one run or, with -m, many."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from functools import partial

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

import hydra_sweep
from hydra_sweep import streams
from hydra_sweep.commands import Parser, command, fail
from hydra_sweep.errors import UserError, counted, escape_unprintable
from hydra_sweep.signals import Interrupted
from rnnexp import task
from rnnexp.arguments import dashed
from rnnexp.command_line import CommandLine, expand_aliases, has_key, resume_command, without_hydra
from rnnexp.compat import get_args_parser
from rnnexp.record.result import Status, few_to_validate
from rnnexp.record.run_folder import RunFolder
from rnnexp.schema.config import register_schemas
from rnnexp.schema.tree import CONFIG_DIR, GROUPS

log = logging.getLogger("rnnexp")

DATE = len("2026-11-26")  # begins the name of a sweep that was given none
HELP = """\
rnnexp trains one configuration or, with -m, many. rnnexp --help: other verbs.

  rnnexp model=lstm optim=adadelta             one run
  rnnexp -m model=rnn,gru,lstm seed=0,1,2      every combination, in parallel
  rnnexp -m 'optim.lr=tag(log,interval(1e-3,1))' n_trials=20 name=lr
                                               a search; again: it goes on
  rnnexp -m search=default name=mine           ... with a whole search space
  rnnexp name=long train.epochs=50             a run with a name ...
  rnnexp name=long train.epochs=50 train.resume=true
                                               ... continued after a stop
  rnnexp experiment=notebook                   a whole recipe
  rnnexp data=series data.root=x.csv           your own series; images are
                                               data=images data.root=FOLDER

A run leaves its record in outputs/runs/NAME (the time, unless name=... is
given), each of many in outputs/sweeps/NAME/NUMBER: result.json, history.csv,
model.pt, checkpoint.pt, test_outcomes.npz, run.log and .hydra/. A sweep adds
results.csv, best.yaml, sweep.yaml and study.db; hydra.sweeper.*,
hydra/sweeper/sampler= and hydra/sweeper/pruner= set its details.

Groups, chosen as group=option:
{groups}

Keys, set as key=value, as this command line has them; an option's own are
listed with it, as by  rnnexp data=images --help:
{keys}

Options of the command:
  -m, --multirun     a grid (every combination of comma-separated values) or a
                     search (intervals, n_trials)
  -cd, --config-dir  a folder of your own options: FOLDER/model/mine.yaml is
                     then model=mine
  -c, --cfg job      show the configuration and stop
  --hydra-help       all that Hydra offers besides

Exit status: 0 done, 1 diverged or failed, 2 a mistake in the command,
128 + signal when stopped.
"""


@hydra.main(config_path=str(CONFIG_DIR), config_name="config", version_base="1.3")
def app(cfg: DictConfig) -> dict[str, float]:
    """Runs one configuration in the folder that Hydra made for it. Returns its metrics."""
    streams.keep_going()
    is_trial = HydraConfig.get().mode is RunMode.MULTIRUN
    try:
        result = task.train(cfg, partial(report, num_steps=cfg.train.epochs * cfg.train.reports_per_epoch))
    except UserError as error:
        if is_trial:
            raise
        fail("rnnexp", error)
    except Interrupted as stopped:
        if is_trial:
            raise
        log.warning("resume  %s", resume_command(sys.argv, cfg.name, HydraConfig.get().runtime.output_dir))
        sys.exit(128 + stopped.signum)
    log.info("results in %s", HydraConfig.get().runtime.output_dir)
    if is_trial and result.status is not Status.COMPLETE:
        diverged = "diverged: " if result.status is Status.DIVERGED else ""
        raise hydra_sweep.Pruned(f"{diverged}{result.reason}", result.metrics)
    if result.status is Status.DIVERGED:
        sys.exit(1)
    return result.metrics


def report(row: dict[str, float], num_steps: int) -> bool | Status:
    """Reports an epoch to the sweep, if there is one. Returns whether, and how, the run is to end."""
    is_over = hydra_sweep.report(row, num_steps)
    return Status.TIMEOUT if hydra_sweep.is_overtime() else is_over


@command("rnnexp")
def main() -> int:
    """Checks the command line, then hands it to Hydra."""
    logging.raiseExceptions = False  # a full disk is reported where it matters, not by the log
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does, for the console script: a user's own models
    register_schemas()
    args = parsed("rnnexp train", sys.argv[1:])
    flags = [argument for argument in sys.argv[1:] if argument not in args.overrides]
    sys.argv[1:] = [*flags, *expand_aliases(args.overrides)]  # Hydra's parser wants the flags together
    if not (args.hydra_help or args.info or args.shell_completion):
        typed = CommandLine(args, CONFIG_DIR)
        if args.help:
            print(help_text(typed))
            return 0
        if problems := typed.problems():
            raise UserError(problems)
        if args.cfg and args.multirun:  # Hydra refuses the two together
            print(typed.shown_space(args.cfg))
            return 0
        if typed.full and not args.multirun and not args.cfg and sys.stdout.isatty():
            print(first_line(typed.full), flush=True)  # torch takes seconds to be imported
    gc.enable()
    app()
    if args.multirun and not args.cfg and (few := few_line(typed)):
        print(few, flush=True)
    return 0


def few_line(typed: CommandLine) -> str:
    """Returns what to keep in mind of a search that has chosen by few examples, as one of its runs has counted them."""
    if typed.full is None or not typed.plan.space.is_search or not typed.plan.settings.summary:
        return ""
    if typed.full.data.folds is not None or typed.plan.n_trials == 0:  # the latter only shows what it would do
        return ""
    place = typed.plan.folder.path
    if not place.exists():  # its name is the time, which has gone on until Hydra made it
        later = [path for path in place.parent.glob(f"{place.name[:DATE]}*") if path.name > place.name]
        place = min(later, default=place)
    found = next(place.rglob(RunFolder(place).result.name), None)
    try:
        result = RunFolder(found.parent).read_result() if found else None
    except (OSError, ValueError):  # the table says so
        return ""
    return few_to_validate(result.dataset.get("num_valid")) if result else ""  # records of before have no such number


def first_line(full: DictConfig) -> str:
    """Returns what a run will do, in a line that a terminal has from the first second on."""
    choices = full.hydra.runtime.choices
    data = f"{choices.data} {full.data.root}" if choices.data in ("images", "series") else choices.data
    epochs = counted(full.train.epochs, "epoch")
    line = f"{choices.model} by {choices.optim} on {data}, {epochs}, seed {full.seed}"
    resuming = ", resuming if it has begun" if full.train.resume else ""
    return escape_unprintable(f"{line}{resuming} ...")


def parsed(name: str, arguments: list[str], config_name: str | None = None) -> argparse.Namespace:
    """Returns the arguments of a command as Hydra parses them; an option that isn't there ends it with a line.

    Args:
        config_name: of the command's own configuration; by default what is typed, else `config`.
    """
    parser = Parser(name, parents=[get_args_parser()], add_help=False)
    args, unknown = parser.parse_known_intermixed_args(arguments)
    args.config_name = config_name or args.config_name
    if unknown:
        command = CommandLine(argparse.Namespace(**vars(args) | {"overrides": []}), CONFIG_DIR)
        presets = without_hydra(command.compose([]))
        lines = []
        for typed, key, value in dashed(arguments, unknown):
            line = f"{typed}: options are written key=value, without dashes"
            known = key if has_key(presets, key) else command.nearest_key(key, presets)
            known = known.removeprefix(" (did you mean ").removesuffix("?)")
            lines.append(f"{line}; type {known}={value or 'VALUE'}" if known else f"{line}; {parser.prog} --help")
        raise UserError(
            lines or [f"{' '.join(unknown)}: options are written key=value; {parser.prog} --help lists them"]
        )
    return args


def help_text(command: CommandLine) -> str:
    """Returns the groups with their options and every key with its value."""
    cfg = without_hydra(command.compose(command.overrides))
    cfg.name = "TIME" if "name" not in {text.partition("=")[0] for text in command.overrides} else cfg.name
    groups = "\n".join(f"  {group:<12}{', '.join(command.options(group))}" for group in (*GROUPS, "search", "tracker"))
    keys = "".join(f"  {line}\n" for line in OmegaConf.to_yaml(cfg).splitlines())
    return HELP.format(groups=groups, keys=keys.rstrip())
