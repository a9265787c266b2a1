"""`python -m rnnexp.compare`: architectures, or whatever else, tuned alike and judged on fresh seeds.

Each arm has a search of its own, on train and validation, with the same budget; its best configuration runs again with
seeds that no search has used; those runs alone see the test set, once. Every search and every set of final runs is an
ordinary sweep, started as a user would, so each resumes, prunes and runs on workers as sweeps do. With `--from`, runs
that exist already are compared instead.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hydra_sweep import signals
from hydra_sweep.differences import flatten
from hydra_sweep.errors import UserError, counted
from hydra_sweep.plan import key_of
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.cli import CONFIG_DIR
from rnnexp.command_line import CommandLine
from rnnexp.compare import recorded
from rnnexp.compare.arms import ArmSpec, arm_specs, arms_text, choice_problems, merged, quoted
from rnnexp.record.comparison_folder import ComparisonFolder
from rnnexp.verdict import judge
from rnnexp.verdict.values import Arm, Verdict

log = logging.getLogger("rnnexp")

OWN_KEYS = ("name", "hydra.run.dir", "n_trials")
VOLATILE = ("workers", "resume", "hydra/launcher")  # may change when a comparison goes on
GRID = (  # what makes a plain grid of a search whose parameters all have their value
    *("n_trials=null", "repeats=1", "data.folds=null", "objective=null", "hydra/sweeper/pruner=none"),
    "hydra.sweeper.enqueue=[]",
    *("hydra.sweeper.enqueue_defaults=false", "hydra.sweeper.stop={seconds:null,value:null,patience:null,steps:null}"),
)
PR_SET_PDEATHSIG = 1


@dataclass
class Comparison:
    """One comparison on its way: which arms, with which commands, and what is done of it."""

    name: str
    folder: ComparisonFolder
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
            epochs = settings.trials * self.cfg.train.epochs * (self.cfg.data.folds or 1)
            budget = [f"n_trials={epochs}", f"hydra.sweeper.stop.steps={epochs}"]
        return merged(self.overrides, arm.overrides, budget, self.named(self.folder.search(arm.name)))

    def final_overrides(self, arm: ArmSpec, chosen: Sequence[str], seeds: Sequence[int]) -> list[str]:
        grid = [f"seed={','.join(map(str, seeds))}", *GRID]
        kept = [t for t in self.overrides if not key_of(t).startswith(("hydra.sweeper.", "hydra/sweeper/sampler"))]
        first_to_last = "-".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
        place = self.named(self.folder.final(arm.name) / first_to_last)
        return merged(kept, arm.overrides, chosen, list(self.cfg.compare.final), grid, place)

    def named(self, folder: Path) -> list[str]:
        """Returns the overrides that give a sweep its folder, and a name after it."""
        name = "-".join([self.name, *folder.relative_to(self.folder.path).parts])
        return [f"name={quoted(name)}", f"hydra.sweep.dir={quoted(str(folder))}", "hydra.sweeper.summary=false"]

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
                    f"{arms_text([text, others[0]])}"
                )
        settings, searched = self.cfg.compare, range(self.cfg.seed, self.cfg.seed + self.cfg.repeats)
        fresh = range(settings.first_seed, settings.first_seed + settings.seeds)
        if used := set(searched) & set(fresh):
            found.append(f"compare.first_seed={settings.first_seed}: the searches use seed {max(used)}; take another")
        if settings.trials and not isinstance(self.cfg.objective, str):
            found.append(f"a comparison needs one objective, got {self.cfg.objective}; try objective=valid_accuracy")
        if "data.folds" in map(key_of, settings.final):
            found.append("compare.final: data.folds is to choose by; the final runs train on the whole training part")
        if not settings.trials and self.cfg.data.folds is not None:
            found.append("compare.trials=0 has nothing to choose by folds; leave data.folds out")
        if not settings.trials and "search" in map(key_of, self.overrides):
            found.append("compare.trials=0 runs the arms as they are; leave search=... out, or type compare.trials=20")
        for arm in self.arms:
            chosen: list[str] = []
            if settings.trials and not found:
                search = self.command_line(args, self.search_overrides(arm))
                found += [f"arm {arm.name}: {problem}" for problem in search.problems()]
                if not found:
                    space = search.plan.space
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

    def run(self, stop: signals.Stop) -> Verdict:
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
                self.folder.save_state(state)
        for number, arm in enumerate(self.arms, 1):
            batches = state["final"].setdefault(arm.name, [])
            first = settings.first_seed + sum(len(batch["seeds"]) for batch in batches)
            if new := list(range(first, settings.first_seed + settings.seeds)):
                batches.append({"seeds": new, "is_done": False})
                self.folder.save_state(state)
            for batch in batches:
                if not batch["is_done"]:
                    log.info("\n== arm %d of %d, %s: fresh seeds %s", number, len(self.arms), arm.name, batch["seeds"])
                    chosen = state["chosen"][arm.name]["overrides"]
                    self.sweep(self.final_overrides(arm, chosen, batch["seeds"]), stop)
                    batch["is_done"] = True
                    self.folder.save_state(state)
        return self.judge(state)

    def state(self) -> dict[str, Any]:
        """Returns what was asked and what is done.

        Raises:
            UserError: the record can't be read, or asks for something else.
        """
        request = self.request()
        try:
            if not (state := self.folder.read_state()):
                return {"request": request, "chosen": {}, "final": {}}
            recorded_request = state["request"]
            state["chosen"], state["final"] = dict(state["chosen"]), dict(state["final"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.folder.state} can't be read ({error}); choose another name=") from error
        if recorded_request != request and self.cfg.resume != "force":
            old, new = (flatten(r) for r in (recorded_request, request))
            changes = [f"{k}: {old.get(k)} -> {new.get(k)}" for k in {**old, **new} if old.get(k) != new.get(k)]
            what = f"{self.folder.path} holds another comparison ({'; '.join(changes)})"
            raise UserError(f"{what}; choose another name=, or resume=force")
        return {**state, "request": request}

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
        folder = SweepFolder(self.folder.search(arm.name))
        try:
            if best := folder.read_best():
                return {name: best[name] for name in ("trial", self.cfg.objective, "overrides")}
        except (ValueError, KeyError) as error:
            raise UserError(f"{folder}: {error}; delete its {folder.best.name} and rerun") from error
        raise UserError(f"arm {arm.name}: no trial of its search ended well; see {folder}")

    def judge(self, state: Mapping[str, Any]) -> Verdict:
        """Returns the verdict on the final runs, and leaves it in the folder."""
        arms, warnings = [], []
        for arm in self.arms:
            chosen = state["chosen"][arm.name]["overrides"]
            found = recorded.final_runs(self.folder.final(arm.name), self.folder.path)
            warnings += [f"arm {arm.name}: {text}" for text in found.warnings]
            if not found.runs:
                raise UserError(f"arm {arm.name}: none of its final runs ended well; see {found.folder}")
            place = SweepFolder(self.folder.search(arm.name))
            search = recorded.search(place, self.folder.path) if self.cfg.compare.trials else None
            overrides = merged(self.overrides, arm.overrides, chosen, list(self.cfg.compare.final))
            overrides = [t for t in overrides if not key_of(t).startswith("hydra") and key_of(t) not in VOLATILE]
            if self.cfg.data.folds is not None or "data.folds" in map(key_of, overrides):
                overrides = merged(overrides, ["data.folds=null"])
            command = shlex.join(["python", "-m", "rnnexp", *self.flags, *overrides])
            arms.append(Arm(arm.name, found.runs[: self.cfg.compare.seeds], chosen, command, search))
        warnings += recorded.unequal_budgets(arms)
        return judge.judge(
            self.name, arms, smallest_effect=self.cfg.compare.smallest_effect, warnings=warnings, method=self.method()
        )

    def method(self) -> list[str]:
        settings = self.cfg.compare
        trials, seeds = counted(settings.trials, "trial"), counted(settings.seeds, "seed")
        folds = self.cfg.data.folds
        most = counted(self.cfg.train.epochs, "epoch") + (" on each fold" if folds else "")
        total = counted(settings.trials * self.cfg.train.epochs * (folds or 1), "epoch")
        validated = f", validated on {folds} stratified folds of the training part" if folds else ""
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
            f"Each arm had a search of its own with the same budget: {budget}{validated}. It chose by "
            f"{self.cfg.objective}; no trial read the test set.",
            f"The best configuration of each arm ran again with {seeds} from {settings.first_seed} on, "
            "which no search has used; those runs were tested, once each.",
        ]


def _die_with_us() -> None:
    """Makes a child stop when this process is killed, where the system can: it would go on for hours."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
