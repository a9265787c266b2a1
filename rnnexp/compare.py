"""`python -m rnnexp.compare`: architectures, or whatever else, tuned alike and judged on fresh seeds.

Each arm has a search of its own, on train and validation, with the same budget; its best configuration runs again with
seeds that no search has used; those runs alone see the test set, once. Every search and every set of final runs is an
ordinary sweep, started as a user would, so each resumes, prunes and runs on workers as sweeps do. With `--from`, runs
that exist already are compared instead.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import logging
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from hydra_sweep import signals, streams
from hydra_sweep.arguments import Parser
from hydra_sweep.differences import flatten
from hydra_sweep.errors import UserError, counted
from hydra_sweep.files import atomic, read_yaml, with_json_checksum, yaml_text
from hydra_sweep.hints import nearest
from hydra_sweep.plan import key_of
from rnnexp import recorded, schema, verdict
from rnnexp.cli import CONFIG_DIR, fail, parsed
from rnnexp.preflight import CommandLine

log = logging.getLogger("rnnexp")

HELP = """\
rnnexp.compare tunes architectures alike, and says which is better, or that it
can't tell.

  python -m rnnexp.compare name=cells          the three networks, each
                                               with its own search
  python -m rnnexp.compare name=cells compare.seeds=10
                                               later: five more seeds each,
                                               nothing repeated
  python -m rnnexp.compare name=o compare.arms=optim model=gru
                                               the optimizers, on one network
  python -m rnnexp.compare name=q search=quick compare.trials=4 compare.seeds=3
                                               a first look, in minutes
  python -m rnnexp.compare name=r 'compare.arms=["optim.lr=0.1","optim.lr=1"]'
  python -m rnnexp.compare --from outputs/sweeps/grid --by model
                                               runs that exist already
                                               (--from . --help)

The same command again goes on where it stopped. Keys of its own, as this
command line has them; all those of python -m rnnexp --help hold for the runs:
{keys}

Results go to outputs/compare/NAME: comparison.json, report.html, compare.yaml,
and the sweeps in search/ and final/.
Exit status: 0 done, 1 a search failed, 2 a mistake in the command,
128 + signal when stopped.
"""
OWN_KEYS = ("name", "hydra.run.dir", "n_trials")
VOLATILE = ("workers", "resume", "hydra/launcher")  # may change when a comparison goes on
GRID = (  # what makes a plain grid of a search whose parameters all have their value
    *("n_trials=null", "repeats=1", "hydra/sweeper/pruner=none", "hydra.sweeper.enqueue=[]"),
    *("hydra.sweeper.enqueue_defaults=false", "hydra.sweeper.stop={seconds:null,value:null,patience:null,steps:null}"),
)
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class ComparisonFolder:
    """The folder of a comparison."""

    path: Path

    @property
    def request(self) -> Path:
        return self.path / "compare.yaml"

    @property
    def result(self) -> Path:
        return self.path / "comparison.json"

    @property
    def page(self) -> Path:
        return self.path / "report.html"

    def sweep(self, stage: str, arm: str) -> Path:
        """Returns the folder of an arm's search or final runs."""
        return self.path / stage / re.sub(r"[^\w.+-]+", "_", arm).strip("._")


@dataclass(frozen=True)
class ArmSpec:
    """What sets an arm apart from the others."""

    name: str
    overrides: list[str]


def arm_specs(arms: Any, options: Callable[[str], list[str]]) -> list[ArmSpec]:
    """Returns the arms that `compare.arms` asks for.

    Raises:
        UserError: a group that is none, or fewer than two arms, or two of one name.
    """
    wanted = [arms] if isinstance(arms, str) else list(arms) if isinstance(arms, list) else []
    if not wanted or not all(isinstance(word, str) and word.strip() for word in wanted):
        raise UserError(f"compare.arms must be a group, a list of groups or a list of overrides, got {arms!r}")
    if all("=" not in word for word in wanted):
        for group in wanted:
            if not options(group):
                hint = nearest(group, schema.GROUPS) or f"; there are {', '.join(schema.GROUPS)}"
                raise UserError(f"compare.arms={group}: no such group{hint}")
        cells = itertools.product(*(options(group) for group in wanted))
        found = [
            ArmSpec(" ".join(cell), [f"{group}={o}" for group, o in zip(wanted, cell, strict=True)]) for cell in cells
        ]
    else:
        for word in wanted:
            if "=" not in word:
                raise UserError(f"compare.arms: {word!r} is no override; write key=value, or groups alone")
        found = [ArmSpec(" ".join(word.split()), shlex.split(word)) for word in wanted]
    folders = {ComparisonFolder(Path()).sweep("", arm.name) for arm in found}
    if len(found) < 2 or len(folders) < len(found):
        raise UserError(f"compare.arms must name at least two different arms, got {', '.join(a.name for a in found)}")
    return found


def choice_problems(final: CommandLine) -> Iterator[str]:
    """Yields what would choose by the test set in an arm's final runs."""
    cfg = final.composer(next(final.plan().space.examples()))
    if cfg.data.valid_from == "test" and (cfg.train.keep == "best" or cfg.train.patience is not None):
        yield "data.valid_from=test would choose the epoch by the test set; try train.keep=last train.patience=null"


def merged(*lists: Sequence[str]) -> list[str]:
    """Returns overrides of which each key is set once, by the last list that has it."""
    found: dict[str, str] = {}
    for text in itertools.chain(*lists):
        found.pop(key_of(text), None)
        found[key_of(text)] = text
    return list(found.values())


@dataclass
class Comparison:
    """One comparison on its way: which arms, with which commands, and what is done of it."""

    name: str
    place: ComparisonFolder
    cfg: DictConfig
    arms: list[ArmSpec]
    flags: list[str]  # -cd and the like, for every sweep
    overrides: list[str]  # as typed, for every sweep

    @classmethod
    def typed(cls, args: argparse.Namespace, cfg: DictConfig, place: Path, command: CommandLine) -> Comparison:
        """Raises: UserError if the arms make no sense."""
        overrides = [t for t in args.overrides if key_of(t) not in OWN_KEYS and not key_of(t).startswith("compare.")]
        if cfg.compare.trials and "search" not in map(key_of, overrides):
            overrides.append("search=default")
        flags = ["--config-dir", args.config_dir] if args.config_dir else []
        flags += ["--config-path", args.config_path] if args.config_path else []
        arms = arm_specs(OmegaConf.to_object(OmegaConf.create({"a": cfg.compare.arms}))["a"], command.options)  # type: ignore[index, call-overload]
        return cls(cfg.name, ComparisonFolder(place), cfg, arms, flags, overrides)

    def search_overrides(self, arm: ArmSpec) -> list[str]:
        settings = self.cfg.compare
        budget = [f"n_trials={settings.trials}", "hydra/sweeper/pruner=none"]
        if settings.budget == "epochs":
            epochs = settings.trials * self.cfg.train.epochs
            budget = [f"n_trials={epochs}", f"hydra.sweeper.stop.steps={epochs}"]
        return merged(self.overrides, arm.overrides, budget, self.named("search", arm))

    def final_overrides(self, arm: ArmSpec, chosen: Sequence[str], seeds: Sequence[int]) -> list[str]:
        grid = [f"seed={','.join(map(str, seeds))}", *GRID]
        kept = [t for t in self.overrides if not key_of(t).startswith(("hydra.sweeper.", "hydra/sweeper/sampler"))]
        place = self.named("final", arm, "-".join(map(str, dict.fromkeys((seeds[0], seeds[-1])))))
        return merged(kept, arm.overrides, chosen, list(self.cfg.compare.final), grid, place)

    def named(self, stage: str, arm: ArmSpec, part: str = "") -> list[str]:
        folder = self.place.sweep(stage, arm.name) / part
        name = "-".join([self.name, *folder.relative_to(self.place.path).parts])
        return [f"name={_quoted(name)}", f"hydra.sweep.dir={_quoted(str(folder))}", "hydra.sweeper.summary=false"]

    def request(self) -> dict[str, Any]:
        """Returns what must not change when the comparison goes on."""
        settings = OmegaConf.to_container(self.cfg.compare, resolve=True)
        assert isinstance(settings, dict)
        for name in ("seeds", "smallest_effect", "arms"):
            settings.pop(name)
        overrides = [text for text in self.overrides if key_of(text) not in VOLATILE]
        arms = {arm.name: arm.overrides for arm in self.arms}
        return {"arms": arms, "compare": settings, "overrides": sorted(overrides)}

    def problems(self, args: argparse.Namespace) -> list[str]:
        """Returns what keeps the searches from running, a line each."""
        found = []
        for text in args.overrides:
            if key_of(text) == "n_trials":
                found.append(f"{text}: a comparison's searches have compare.trials each; type compare.trials=...")
        every_arms = set.intersection(*({key_of(text) for text in arm.overrides} for arm in self.arms))
        for text in self.overrides:
            if key_of(text) in every_arms:
                others = [t for arm in self.arms for t in arm.overrides if key_of(t) == key_of(text) and t != text]
                found.append(
                    f"{text}: each arm sets {key_of(text)} itself; leave it out, or name the arms: "
                    f"{_arms_text([text, others[0]])}"
                )
        settings, searched = self.cfg.compare, range(self.cfg.seed, self.cfg.seed + self.cfg.repeats)
        fresh = range(settings.first_seed, settings.first_seed + settings.seeds)
        if used := set(searched) & set(fresh):
            found.append(f"compare.first_seed={settings.first_seed}: the searches use seed {max(used)}; take another")
        if settings.trials and not isinstance(self.cfg.objective, str):
            found.append(f"a comparison needs one objective, got {self.cfg.objective}; try objective=valid_accuracy")
        if not settings.trials and "search" in map(key_of, self.overrides):
            found.append("compare.trials=0 runs the arms as they are; leave search=... out, or type compare.trials=20")
        for arm in self.arms:
            chosen: list[str] = []
            if settings.trials and not found:
                search = self.command_line(args, self.search_overrides(arm))
                found += [f"arm {arm.name}: {problem}" for problem in search.problems()]
                if not found:
                    space = search.plan().space
                    keys = {parameter.key for parameter in space.parameters}
                    chosen = [text for text in next(space.examples()) if key_of(text) in keys]
            if not found:
                final = self.command_line(args, self.final_overrides(arm, chosen, fresh))
                problems = final.problems() or list(choice_problems(final))
                found += [f"arm {arm.name}, final runs: {problem}" for problem in problems]
        return found

    def command_line(self, args: argparse.Namespace, overrides: list[str]) -> CommandLine:
        """Returns the command line of one of its sweeps."""
        changed = {"multirun": True, "config_name": None, "overrides": overrides}
        return CommandLine(argparse.Namespace(**vars(args) | changed), CONFIG_DIR)

    def run(self, stop: signals.Stop) -> verdict.Comparison:
        """Searches, confirms and judges, as far as that is not done yet.

        Raises:
            UserError: the folder holds another comparison.
            SystemExit: a sweep failed or was stopped.
        """
        state = self.state()
        settings = self.cfg.compare
        for number, arm in enumerate(self.arms, 1):
            if not settings.trials:
                state["chosen"][arm.name] = {"overrides": []}
            elif arm.name not in state["chosen"]:
                log.info("\n== arm %d of %d, %s: search", number, len(self.arms), arm.name)
                self.sweep(self.search_overrides(arm), stop)
                state["chosen"][arm.name] = self.choose(arm)
                self.keep(state)
        for number, arm in enumerate(self.arms, 1):
            batches = state["final"].setdefault(arm.name, [])
            first = settings.first_seed + sum(len(batch["seeds"]) for batch in batches)
            if new := list(range(first, settings.first_seed + settings.seeds)):
                batches.append({"seeds": new, "is_done": False})
                self.keep(state)
            for batch in batches:
                if not batch["is_done"]:
                    log.info("\n== arm %d of %d, %s: fresh seeds %s", number, len(self.arms), arm.name, batch["seeds"])
                    chosen = state["chosen"][arm.name]["overrides"]
                    self.sweep(self.final_overrides(arm, chosen, batch["seeds"]), stop)
                    batch["is_done"] = True
                    self.keep(state)
        return self.judge(state)

    def state(self) -> dict[str, Any]:
        """Returns what was asked and what is done.

        Raises:
            UserError: the record can't be read, or asks for something else.
        """
        request = self.request()
        try:
            if not (state := read_yaml(self.place.request)):
                return {"request": request, "chosen": {}, "final": {}}
            recorded_request = state["request"]
            state["chosen"], state["final"] = dict(state["chosen"]), dict(state["final"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.place.request} can't be read ({error}); choose another name=") from error
        if recorded_request != request and self.cfg.resume != "force":
            old, new = (flatten(r) for r in (recorded_request, request))
            changes = [f"{k}: {old.get(k)} -> {new.get(k)}" for k in {**old, **new} if old.get(k) != new.get(k)]
            what = f"{self.place.path} holds another comparison ({'; '.join(changes)})"
            raise UserError(f"{what}; choose another name=, or resume=force")
        return {**state, "request": request}

    def keep(self, state: Mapping[str, Any]) -> None:
        with atomic(self.place.request, "make room and rerun") as out:
            out.write(yaml_text(dict(state)).encode())

    def sweep(self, overrides: list[str], stop: signals.Stop) -> None:
        """Runs one sweep as a command of its own, and passes signals on to it.

        Raises:
            SystemExit: it failed, or was stopped.
        """
        command = [sys.executable, "-m", "rnnexp", "-m", *self.flags, *overrides]
        # A session of its own: of Ctrl-C in a terminal it hears once, from here.
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_us)
        told = None
        while True:
            with suppress(subprocess.TimeoutExpired):
                status = child.wait(0.2)
                break
            if stop.signum is not None and stop.signum != told:
                told = stop.signum
                stop.is_heard = True
                child.send_signal(signal.SIGTERM)
        if status:
            log.info("\nstopped; the same command goes on" if told else "\nthe sweep above failed")
            sys.exit(128 + told if told else 128 - status if status < 0 else status)

    def choose(self, arm: ArmSpec) -> dict[str, Any]:
        """Returns the best configuration that an arm's search has found.

        Raises:
            UserError: it has found none.
        """
        folder = self.place.sweep("search", arm.name)
        try:
            if best := read_yaml(folder / "best.yaml"):
                return {name: best[name] for name in ("trial", self.cfg.objective, "overrides")}
        except (ValueError, KeyError) as error:
            raise UserError(f"{folder}: {error}; delete its best.yaml and rerun") from error
        raise UserError(f"arm {arm.name}: no trial of its search ended well; see {folder}")

    def judge(self, state: Mapping[str, Any]) -> verdict.Comparison:
        """Returns the verdict on the final runs, and leaves it in the folder."""
        arms, warnings = [], []
        for arm in self.arms:
            chosen = state["chosen"][arm.name]["overrides"]
            found = recorded.final_runs(self.place.sweep("final", arm.name), self.place.path)
            warnings += [f"arm {arm.name}: {text}" for text in found.warnings]
            if not found.runs:
                raise UserError(f"arm {arm.name}: none of its final runs ended well; see {found.folder}")
            place = self.place.sweep("search", arm.name)
            search = recorded.search(place, self.place.path) if self.cfg.compare.trials else None
            texts = merged(self.overrides, arm.overrides, chosen, list(self.cfg.compare.final))
            texts = [t for t in texts if not key_of(t).startswith("hydra") and key_of(t) not in VOLATILE]
            command = shlex.join(["python", "-m", "rnnexp", *self.flags, *texts])
            arms.append(verdict.Arm(arm.name, found.runs[: self.cfg.compare.seeds], chosen, command, search))
        warnings += recorded.unequal_budgets(arms)
        return verdict.judge(
            self.name, arms, smallest_effect=self.cfg.compare.smallest_effect, warnings=warnings, method=self.method()
        )

    def method(self) -> list[str]:
        settings = self.cfg.compare
        trials, seeds = counted(settings.trials, "trial"), counted(settings.seeds, "seed")
        most, total = (counted(n * self.cfg.train.epochs, "epoch") for n in (1, settings.trials))
        budget = {
            "trials": f"{trials} of at most {most}, none of them pruned",
            "epochs": f"{total} in all, in as many trials as pruning makes of them",
        }[settings.budget]
        if not settings.trials:
            return [
                "The arms ran as they were given: no search has tuned any of them.",
                f"Each ran with {seeds} from {settings.first_seed} on, and was tested once with each.",
            ]
        return [
            f"Each arm had a search of its own with the same budget: {budget}. It chose by {self.cfg.objective}; no "
            "trial read the test set.",
            f"The best configuration of each arm ran again with {seeds} from {settings.first_seed} on, "
            "which no search has used; those runs were tested, once each.",
        ]


def _arms_text(overrides: Sequence[str]) -> str:
    """Returns what to type for arms of these overrides, quoted for a shell."""
    return shlex.quote(f"compare.arms=[{','.join(json.dumps(text) for text in overrides)}]")


def _quoted(text: str) -> str:
    """Returns a value as Hydra's grammar has it."""
    if re.fullmatch(r"[\w./+-]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _die_with_us() -> None:
    """Makes a child stop when this process is killed, where the system can: it would go on for hours."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class ComparisonCommandLine(CommandLine):
    """A comparison's command line: it has search spaces, but no sweep and no run of its own."""

    def problems(self) -> list[str]:
        """Returns one line for each thing that is wrong; several values of a key are arms, and are written as such."""
        found = []
        for text in self.texts:
            with suppress(HydraException):  # reported below
                override = OverridesParser.create().parse_override(text)
                if override.is_discrete_sweep():
                    arms = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
                    found.append(f"{text} names several values; to compare them, type {_arms_text(arms)}")
        return found or super().problems()

    def searched_keys(self, full: DictConfig) -> list[str]:
        return []

    def place_problems(self, full: DictConfig) -> list[str]:
        return []


def finish(place: ComparisonFolder, result: verdict.Comparison) -> Iterator[str]:
    """Writes comparison.json and the page, and yields what to show."""
    with atomic(place.result, "make room and rerun") as out:
        out.write(with_json_checksum(result.to_json()).encode())
    yield ""
    yield from verdict.lines(result, _width())
    yield ""
    yield f"numbers  {place.result}"
    from rnnexp import report

    yield f"page     {report.write(place.path, place.page)}"


@streams.command
def main(argv: Sequence[str] | None = None) -> int:
    """Checks the command line, then compares."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if any(text == "--from" or text.startswith("--from=") for text in arguments):
        return recorded_main(arguments)
    schema.register()
    args = parsed("rnnexp.compare", arguments, "compare")
    if args.multirun:
        fail(["a comparison runs its own sweeps; leave -m out"])
    command = ComparisonCommandLine(args, CONFIG_DIR)
    if problems := command.problems() if not args.help else []:
        fail(problems)
    try:
        full = command.compose(command.texts)
        if args.help:
            keys = "".join(f"  compare.{line}\n" for line in OmegaConf.to_yaml(full.compare).splitlines())
            print(HELP.format(keys=keys))
            return 0
        comparison = Comparison.typed(args, full, Path(full.hydra.run.dir).absolute(), command)
        if not args.cfg and (problems := comparison.problems(args)):
            fail(problems)
        comparison.state()
    except UserError as error:
        fail(str(error).splitlines())

    @hydra.main(config_path=str(CONFIG_DIR), config_name="compare", version_base="1.3")
    def app(cfg: DictConfig) -> None:
        comparison.place = ComparisonFolder(Path(HydraConfig.get().runtime.output_dir))
        try:
            with FileLock(comparison.place.path / ".lock", blocking=False), signals.catch() as stop:
                result = comparison.run(stop)
            for line in finish(comparison.place, result):
                log.info("%s", line)
        except Timeout:
            fail([f"another process compares in {comparison.place.path}; wait for it, or choose another name="])
        except UserError as error:
            fail(str(error).splitlines())

    sys.argv[1:] = arguments
    streams.keep_going()
    app()
    return 0


def recorded_main(arguments: Sequence[str]) -> int:
    """Compares runs that exist already and returns the exit status."""
    parser = Parser("rnnexp.compare", description="Compare runs that exist already.")
    parser.add_argument("--from", dest="root", metavar="FOLDER", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--by", metavar="A,B", default="model", help="columns that make the arms (default: model)")
    parser.add_argument("--where", metavar="EXPR", help="only runs of which this holds, as \"optim == 'adam'\"")
    metrics = ("test_accuracy", "valid_accuracy")
    parser.add_argument("--metric", choices=metrics, default=metrics[0], help="default: test_accuracy")
    parser.add_argument(
        "--smallest-effect", type=float, default=verdict.SMALLEST_EFFECT, help="a difference that would matter (0.002)"
    )
    parser.add_argument("--output", metavar="FOLDER", type=Path, help="write comparison.json and report.html here")
    args = parser.parse_args(arguments)
    by = [name.strip() for name in args.by.split(",") if name.strip()]
    try:
        relative_to = args.output or args.root
        arms, warnings = recorded.arms(args.root, by, args.metric, args.where, relative_to)
        method = ["These runs existed before the comparison: what the warnings name was not controlled."]
        result = verdict.judge(
            args.root.name,
            arms,
            metric=args.metric,
            smallest_effect=args.smallest_effect,
            warnings=warnings,
            method=method,
        )
        if args.output:
            args.output.mkdir(parents=True, exist_ok=True)
        shown = finish(ComparisonFolder(args.output), result) if args.output else verdict.lines(result, _width())
        print("\n".join(shown))
    except UserError as error:
        fail(str(error).splitlines())
    except OSError as error:
        fail([f"cannot write {args.output}: {error.strerror or error}"])
    return 0


def _width() -> int:
    return shutil.get_terminal_size((120, 24)).columns


if __name__ == "__main__":
    sys.exit(main())
