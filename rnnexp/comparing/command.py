"""`rnnexp compare`: architectures, or whatever else, tuned alike and judged on fresh seeds."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import hydra
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from hydra_sweep import signals, streams
from hydra_sweep.commands import Parser, command, fail
from hydra_sweep.compose import ComposeError
from hydra_sweep.errors import UserError
from hydra_sweep.files import explained
from rnnexp.command_line import CommandLine
from rnnexp.comparing import checks, pace, recorded
from rnnexp.comparing.arms import arms_meant, arms_text, data_specs, merged
from rnnexp.comparing.comparison import Comparison
from rnnexp.comparing.protocol import Protocol
from rnnexp.record.comparison_folder import ComparisonFolder, folder_name
from rnnexp.record.places import find
from rnnexp.record.result import few_to_validate
from rnnexp.schema.config import SCHEMAS, register_schemas
from rnnexp.schema.tree import CONFIG_DIR
from rnnexp.train import parsed
from rnnexp.verdict import across, text
from rnnexp.verdict.judge import judge
from rnnexp.verdict.values import SMALLEST_EFFECT, Verdict

log = logging.getLogger("rnnexp")

TIMING = "timing a few steps of each arm; compare.estimate=false begins at once"
HELP = """\
rnnexp compare tunes architectures alike, and says which is better, that they
are the same as far as it matters, or that it can't tell.

  rnnexp compare name=cells                    the three networks, each with
                                               five searches of its own
  rnnexp compare name=two 'compare.arms=["model=gru","model=lstm"]'
                                               these two alone
  rnnexp compare name=c compare.searches=1
                                               one search each: about the two
                                               configurations it finds
  rnnexp compare name=a compare.seeds=auto compare.max_seeds=20
                                               more searches until every pair
                                               is decided
  rnnexp compare name=o compare.arms=optim model=gru
                                               the optimizers, on one network
  rnnexp compare name=d compare.data=[mnist,kmnist]
                                               on several data sets
  rnnexp compare name=q search=quick compare.searches=2 \\
    compare.seeds=2 compare.trials=4 compare.top=2
                                               a first look, in minutes
  rnnexp compare name=r 'compare.arms=["optim.lr=0.1","optim.lr=1"]'
  rnnexp compare --from outputs/sweeps/grid --by model
                                               runs that exist already
                                               (--from . --help)

The same command again goes on where it stopped. Keys of its own, as this
command line has them; all those of rnnexp train --help hold for the runs:
{keys}

Results go to outputs/compare/NAME: comparison.json, report.html, compare.yaml,
and the sweeps in search/, again/ and final/; of several data sets, each has a
folder of its own there, and datasets.json says what all of them say together.
Exit status: 0 done, 1 a search failed, 2 a mistake in the command,
128 + signal when stopped.
"""


class ComparisonCommandLine(CommandLine):
    """A comparison's command line: it has search spaces, but no sweep and no run of its own."""

    def problems(self) -> list[str]:
        """Returns one line for each thing that is wrong; several values of a key are arms, and are written as such."""
        found = []
        for typed in self.overrides:
            key, _, value = typed.partition("=")
            try:
                override = OverridesParser.create().parse_override(typed)
            except HydraException:  # others are reported below
                if key == "compare.arms":
                    found.append(f"can't read {typed!r}; type {arms_meant(value, self.options)}")
            else:
                if override.is_discrete_sweep() and key == "compare.arms":
                    found.append(f"{typed}: several arms are a list; type {arms_meant(value, self.options)}")
                elif override.is_discrete_sweep():
                    arms = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
                    found.append(f"{typed} names several values; to compare them, type {arms_text(arms)}")
                elif key in SCHEMAS and isinstance(several := override.value(), list) and len(several) > 1:
                    arms = [f"{key}={option}" for option in several]
                    found.append(f"{typed} names several options; to compare them, type {arms_text(arms)}")
        return found or super().problems()

    def searched_keys(self, full: DictConfig) -> list[str]:
        return []

    def environment_errors(self, full: DictConfig) -> list[str]:
        return []


def finish(folder: ComparisonFolder, result: Verdict) -> Iterator[str]:
    """Writes the verdict and the page, and yields what to show."""
    folder.write_verdict(result.to_json())
    yield from _shown(text.lines(result, _width()), folder.verdict)


@command("rnnexp compare")
def main(argv: Sequence[str] | None = None) -> int:
    """Checks the command line, then compares."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if any(text == "--from" or text.startswith("--from=") for text in arguments):
        return recorded_main(arguments)
    register_schemas()
    args = parsed("rnnexp compare", arguments, "compare")
    if args.multirun:
        raise UserError("a comparison runs its own sweeps; leave -m out")
    typed = ComparisonCommandLine(args, CONFIG_DIR)
    try:
        full = typed.compose(typed.overrides)
    except ComposeError as error:
        raise UserError(typed.problems() or error.problems) from error
    # Each of several data sets is checked with its own overrides, without which one may lack its data.root.
    if not args.help and full.compare.data is None and (problems := typed.problems()):
        raise UserError(problems)
    if args.help:
        keys = "".join(f"  compare.{line}\n" for line in OmegaConf.to_yaml(full.compare).splitlines())
        print(HELP.format(keys=keys))
        return 0
    command_seconds = pace.seconds_so_far()  # what each sweep takes for the same
    place = Path(full.hydra.run.dir).absolute()
    comparisons = wanted(args, typed, full, place)
    protocols = {name: comparison.protocol for name, comparison in comparisons.items()}
    found = []
    checked = tqdm(protocols.items(), "checking", disable=None, leave=False, delay=2) if not args.cfg else ()
    for name, protocol in checked:
        where = f"{name}: " if full.compare.data is not None else ""
        found += [f"{where}{problem}" for problem in checks.problems(protocol, args)]
    if found:
        raise UserError(found)
    streams.keep_going()  # from here on it works for hours: not for want of a screen is that to end
    shares = {name: comparison.share_left() for name, comparison in comparisons.items()}
    is_timed = not args.cfg and full.compare.estimate and any(shares.values())
    if is_timed:
        print(TIMING, flush=True)  # it takes as long as torch takes to be imported, and more
    costs = [] if args.cfg else checks.cost_lines(protocols, args)
    if is_timed:
        costs += estimate_lines(protocols, args, shares, command_seconds)

    @hydra.main(config_path=str(CONFIG_DIR), config_name="compare", version_base="1.3")
    def app(cfg: DictConfig) -> None:
        folder = ComparisonFolder(Path(HydraConfig.get().runtime.output_dir))
        moved = {}
        for data, protocol in protocols.items():  # a name that is the time has gone on since
            below = protocol.folder.path.relative_to(place)
            named = "-".join([cfg.name, *below.parts])
            moved[data] = Comparison(replace(protocol, name=named, folder=ComparisonFolder(folder.path / below)))
        for line in costs:
            log.info("%s", line)
        try:
            with FileLock(folder.lock, blocking=False), signals.catch() as stop:
                shown = compare(cfg.name, moved, folder, stop)
                for line in shown:
                    log.info("%s", line)
        except Timeout:
            busy = f"another process compares in {folder.path}; wait for it, or choose another name="
            fail("rnnexp compare", UserError(busy))
        except UserError as error:
            fail("rnnexp compare", error)

    sys.argv[1:] = arguments
    app()
    return 0


def estimate_lines(
    protocols: Mapping[str, Protocol], args: argparse.Namespace, shares: Mapping[str, float], command_seconds: float
) -> list[str]:
    """Returns how long comparisons take, or why that isn't known, and whether they choose by few examples."""
    try:
        found = pace.estimate(protocols, args, shares, command_seconds)
    except pace.Unmeasured as unmeasured:
        return [f"how long it takes can't be measured: {unmeasured}"]
    few = few_to_validate(found.num_valid) if any(protocol.num_searches for protocol in protocols.values()) else ""
    return [found.line(), *([few] if few else [])]


def wanted(args: argparse.Namespace, typed: CommandLine, full: DictConfig, place: Path) -> dict[str, Comparison]:
    """Returns the comparison that was asked for, or that of each data set, by its name.

    Raises:
        UserError: the arms or the data sets make no sense.
    """
    if full.compare.data is None:
        return {str(full.name): Comparison.typed(args, full, place, typed)}
    found = {}
    for spec in data_specs(OmegaConf.to_container(OmegaConf.create({"data": full.compare.data}))["data"]):  # type: ignore[index, call-overload]
        overrides = merged(typed.overrides, spec.overrides)
        args_of_data = argparse.Namespace(**vars(args) | {"overrides": overrides})
        if problems := ComparisonCommandLine(args_of_data, CONFIG_DIR).problems():
            raise UserError([f"{spec.name}: {problem}" for problem in problems])
        folder = place / folder_name(spec.name)
        found[spec.name] = Comparison.typed(args, typed.compose(overrides), folder, typed, spec.overrides)
    return found


def num_runs(typed: CommandLine, full: DictConfig, place: Path) -> int:
    """Returns about how many runs comparisons have at their first look.

    Raises:
        UserError: the arms or the data sets make no sense.
    """
    comparisons = wanted(typed.args, typed, full, place).values()
    looks = [(each, each.protocol.stages()[0]) for each in comparisons]
    tuned = [(each, max(1, each.protocol.num_tuned(look)) * len(each.protocol.arms), look) for each, look in looks]
    return sum(each.num_runs(num_chains, look) for each, num_chains, look in tuned)


def compare(
    name: str, comparisons: Mapping[str, Comparison], folder: ComparisonFolder, stop: signals.Stop
) -> Iterator[str]:
    """Runs comparisons on one data set after the other, and yields what to show of each, and of all together."""
    verdicts, pages_of = [], []
    for number, (data, comparison) in enumerate(comparisons.items(), 1):
        if len(comparisons) > 1:
            yield f"\n== data set {number} of {len(comparisons)}: {data}"
        result = comparison.run(stop)
        if len(comparisons) > 1:
            result = replace(result, name=data)
        verdicts.append(result)
        pages_of.append(os.path.relpath(comparison.folder.path, folder.path))
        yield from finish(comparison.folder, result)
    if len(comparisons) > 1:
        yield from finish_across(folder, across.across(name, verdicts, pages_of))


def finish_across(folder: ComparisonFolder, found: across.Across) -> Iterator[str]:
    """Writes what several data sets say together, and the page, and yields what to show."""
    folder.write_across(found.to_json())
    yield from _shown(across.lines(found, _width()), folder.across)


def _shown(lines: Sequence[str], numbers: Path) -> Iterator[str]:
    """Yields what is concluded, and where its numbers are; writes the page beside them, and yields where that is."""
    from rnnexp.report import pages

    yield from ("", *lines, "", f"numbers  {numbers}", f"page     {pages.write(numbers.parent)}")


def recorded_main(arguments: Sequence[str]) -> int:
    """Compares runs that exist already and returns the exit status."""
    parser = Parser("rnnexp compare", description="Compare runs that exist already.")
    parser.add_argument("--from", dest="root", metavar="FOLDER", required=True, help="folder, or sweep, of the runs")
    parser.add_argument("--by", metavar="A,B", default="model", help="columns that make the arms (default: model)")
    parser.add_argument("--where", metavar="EXPR", help="only runs of which this holds, as \"optim == 'adam'\"")
    metrics = ("test_accuracy", "valid_accuracy")
    parser.add_argument("--metric", choices=metrics, default=metrics[0], help="default: test_accuracy")
    parser.add_argument(
        "--smallest-effect", type=float, default=SMALLEST_EFFECT, help="a difference that would matter (0.002)"
    )
    parser.add_argument(
        "--across", metavar="A,B", default="", help="columns that tell data sets apart, as data or data.root"
    )
    parser.add_argument("--output", metavar="FOLDER", type=Path, help="write comparison.json and report.html here")
    args = parser.parse_args(arguments)
    by, data = (_names(text) for text in (args.by, args.across))
    args.root = find(args.root)
    frame = recorded.load(args.root, args.where, [*by, *data])
    groups = recorded.by_data(frame, data) if data else {args.root.name: frame}
    method = ["These runs existed before the comparison: what the warnings name was not controlled."]
    verdicts, folders = [], []
    for name, runs in groups.items():
        folder = args.output and (args.output / folder_name(name) if data else args.output)
        arms, warnings = recorded.arms(runs, args.root, by, args.metric, folder or args.root)
        about = {"metric": args.metric, "smallest_effect": args.smallest_effect, "warnings": warnings}
        verdicts.append(judge(name, arms, method=method, **about))
        folders.append(folder)
    found = across.across(args.root.name, verdicts, [folder_name(name) for name in groups]) if data else None
    for result, folder in zip(verdicts, folders, strict=True):
        if folder:
            with explained(folder):
                folder.mkdir(parents=True, exist_ok=True)
        shown = finish(ComparisonFolder(folder), result) if folder else text.lines(result, _width())
        print("\n".join([*([f"\n{result.name}"] if data else []), *shown]))
    if found:
        print(
            "\n".join(
                finish_across(ComparisonFolder(args.output), found) if args.output else across.lines(found, _width())
            )
        )
    return 0


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _width() -> int:
    return shutil.get_terminal_size((120, 24)).columns
