"""`python -m rnnexp compare`: architectures, or whatever else, tuned alike and judged on fresh seeds.

Each arm has searches of its own, on train and validation, with the same budget; the best few of each run again at the
final size, and the winner with seeds that no search has used; those runs alone see the test set, once. Every one of
these is an ordinary sweep, started as a user would, so each resumes, prunes and runs on workers as sweeps do.
`protocol.py` says what each of them is; here they are run, as far as that is not done yet.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hydra_sweep import signals
from hydra_sweep.compose import ComposeError
from hydra_sweep.differences import flatten
from hydra_sweep.errors import UserError, counted
from hydra_sweep.plan import key_of
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.command_line import CommandLine
from rnnexp.comparing import recorded
from rnnexp.comparing.arms import ArmSpec, arm_specs, merged
from rnnexp.comparing.protocol import Protocol
from rnnexp.comparing.sweeps import Chain, Sweeps
from rnnexp.record.comparison_folder import ComparisonFolder
from rnnexp.verdict import judge
from rnnexp.verdict.values import UNDECIDED, Arm, Candidate, Choice, Verdict

log = logging.getLogger("rnnexp")

OWN_KEYS = ("name", "hydra.run.dir", "n_trials")


@dataclass
class Comparison:
    """One comparison on its way."""

    protocol: Protocol
    lock: threading.Lock = field(default_factory=threading.Lock)  # of the state, which several chains change

    @classmethod
    def typed(
        cls, args: argparse.Namespace, cfg: DictConfig, place: Path, command: CommandLine, data: Sequence[str] = ()
    ) -> Comparison:
        """Returns what a command line asks for.

        Args:
            cfg: as composed.
            data: overrides of one of several data sets, which `cfg` has already.

        Raises:
            UserError: the arms make no sense.
        """
        whole = merged(args.overrides, data)
        overrides = [t for t in whole if key_of(t) not in OWN_KEYS and not key_of(t).startswith("compare.")]
        if cfg.compare.trials and "search" not in map(key_of, overrides):
            overrides.append("search=default")
        flags = ["--config-dir", args.config_dir] if args.config_dir else []
        flags += ["--config-path", args.config_path] if args.config_path else []
        arms = arm_specs(OmegaConf.to_object(OmegaConf.create({"a": cfg.compare.arms}))["a"], command.options)  # type: ignore[index, call-overload]
        composed = {arm.name: cfg for arm in arms}
        for arm in arms:
            with suppress(ComposeError):  # reported by the checks
                composed[arm.name] = command.compose(merged(whole, arm.overrides))
        name = f"{cfg.name}-{place.name}" if data else str(cfg.name)
        return cls(Protocol(name, ComparisonFolder(place), cfg, arms, flags, overrides, composed))

    @property
    def folder(self) -> ComparisonFolder:
        return self.protocol.folder

    def run(self, stop: signals.Stop) -> Verdict:
        """Searches, confirms and judges, as far as that is not done yet.

        Raises:
            UserError: the folder holds another comparison.
            SystemExit: a sweep failed or was stopped.
        """
        state, stages = self.state(), self.protocol.stages()
        for stage in stages:
            chains = list(self.chains(state, stage))
            sweeps = Sweeps(self.protocol.cfg, self.protocol.flags, stop)
            sweeps.run(chains, self.num_runs(len(chains), stage), partial(self.save, state))
            if stage not in state["looks"]:  # recorded before anybody sees what comes of it
                state["looks"].append(stage)
                self.save(state)
            verdict = self.judge(state, stage)
            if verdict.is_decided or stage == stages[-1]:
                break
            open_pairs = counted(sum(pair.verdict == UNDECIDED for pair in verdict.pairs), "pair")
            more = stages[stages.index(stage) + 1] - stage
            log.info("\n%s undecided with %d; %d more", open_pairs, stage, more)
        return verdict

    def save(self, state: Mapping[str, Any]) -> None:
        with self.lock:
            self.folder.save_state(state)

    def chains(self, state: dict[str, Any], replicates: int) -> Iterator[Chain]:
        """Yields what is missing until each arm has so many replicates, arm by arm of each search."""
        protocol = self.protocol
        for search in range(max(1, protocol.num_tuned(replicates))):
            for arm in protocol.arms:
                chosen = state["chosen"].setdefault(arm.name, {})
                if not protocol.num_searches:
                    chosen[str(search)] = {"overrides": []}
                batches = state["final"].setdefault(arm.name, {}).setdefault(str(search), [])
                begun = {seed for batch in batches for seed in batch["seeds"]}
                if new := [seed for seed in protocol.fresh_seeds(search, replicates) if seed not in begun]:
                    batches.append({"seeds": new, "is_done": False})
                if str(search) not in chosen or not all(batch["is_done"] for batch in batches):
                    label = arm.name if protocol.num_searches < 2 else f"{arm.name} {search + 1}"
                    yield Chain(label, partial(self.work, chosen, batches, arm, search))

    def share_left(self) -> float:
        """Returns how much of the first look is still to be run, from 0 to 1.

        Raises:
            UserError: the folder holds another comparison, or its record can't be read.
        """
        first = self.protocol.stages()[0]
        parts = max(1, self.protocol.num_tuned(first)) * len(self.protocol.arms)
        return len(list(self.chains(self.state(), first))) / parts

    def work(
        self,
        chosen: dict[str, Any],
        batches: list[dict[str, Any]],
        arm: ArmSpec,
        search: int,
        sweep: Callable[[Sequence[str]], None],
    ) -> None:
        """Tunes an arm once, and runs the winner with fresh seeds, as far as that is not done yet.

        Args:
            chosen: of the arm, by the number of its search; the winner is noted in it.
            batches: of fresh seeds of that winner; what is done is noted in them.
        """
        if str(search) not in chosen:
            winner = self.tune(arm, search, sweep)
            with self.lock:
                chosen[str(search)] = winner
        for batch in batches:
            if not batch["is_done"]:
                sweep(self.protocol.final_overrides(arm, search, chosen[str(search)]["overrides"], batch["seeds"]))
                with self.lock:
                    batch["is_done"] = True

    def tune(self, arm: ArmSpec, search: int, sweep: Callable[[Sequence[str]], None]) -> dict[str, Any]:
        """Searches, runs the best few again, and returns the best one of those."""
        protocol, objective = self.protocol, self.protocol.cfg.objective
        sweep(protocol.search_overrides(arm, search))
        best = self.best(arm, self.folder.search(arm.name, search))
        candidates = best[: protocol.cfg.compare.top]
        chosen = dict(best[0])
        if len(candidates) > 1:
            sweep(protocol.again_overrides(arm, search, [each["overrides"] for each in candidates]))
            again = self.best(arm, self.folder.again(arm.name, search))
            reached = {each["trial"]: each[objective] for each in again}  # they were tried in their order
            chosen = {name: candidates[again[0]["trial"]][name] for name in ("trial", "overrides")}
            chosen["candidates"] = [
                {"overrides": each["overrides"], "searched": each[objective], "again": reached.get(number)}
                for number, each in enumerate(candidates)
            ]
        return chosen

    def num_runs(self, num_chains: int, replicates: int) -> int:
        """Returns about how many runs so many chains have, to show how far they are."""
        settings = self.protocol.cfg.compare
        finals = len(self.protocol.fresh_seeds(0, replicates))
        tuned = settings.trials + (min(settings.top, settings.trials) if settings.top > 1 else 0)
        return num_chains * (finals + (tuned if self.protocol.num_searches else 0))

    def best(self, arm: ArmSpec, place: Path) -> list[dict[str, Any]]:
        """Returns the best configurations that a sweep has found, best first.

        Raises:
            UserError: it has found none.
        """
        folder = SweepFolder(place)
        try:
            if best := folder.read_best():
                entries = [best, *best.get("runners_up", [])]
                return [
                    {name: entry[name] for name in ("trial", self.protocol.cfg.objective, "overrides")}
                    for entry in entries
                ]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder}: {error}; delete its {folder.best.name} and rerun") from error
        raise UserError(f"arm {arm.name}: no trial of its search ended well; see {folder}")

    def state(self) -> dict[str, Any]:
        """Returns what was asked and what is done.

        Raises:
            UserError: the record can't be read, or asks for something else.
        """
        request = self.protocol.request()
        try:
            if not (state := self.folder.read_state()):
                return {"request": request, "chosen": {}, "final": {}, "looks": []}
            recorded_request = state["request"]
            state["chosen"], state["final"] = dict(state["chosen"]), dict(state["final"])
            if "looks" not in state:
                raise UserError(f"{self.folder.path} holds a comparison of an earlier version; choose another name=")
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.folder.state} can't be read ({error}); choose another name=") from error
        if recorded_request != request and self.protocol.cfg.resume != "force":
            old, new = (flatten(r) for r in (recorded_request, request))
            changes = [f"{k}: {old.get(k)} -> {new.get(k)}" for k in {**old, **new} if old.get(k) != new.get(k)]
            what = f"{self.folder.path} holds another comparison ({'; '.join(changes)})"
            raise UserError(f"{what}; choose another name=, or resume=force")
        return {**state, "request": request}

    def judge(self, state: Mapping[str, Any], replicates: int) -> Verdict:
        """Returns the verdict on the final runs, of so many replicates."""
        protocol, settings = self.protocol, self.protocol.cfg.compare
        arms, warnings = [], []
        for arm in protocol.arms:
            found = recorded.final_runs(self.folder.final(arm.name), self.folder.path)
            wanted = {
                seed: search
                for search in range(max(1, protocol.num_tuned(replicates)))
                for seed in protocol.fresh_seeds(search, replicates)
            }
            runs = [replace(run, search=wanted[run.seed]) for run in found.runs if run.seed in wanted]
            warnings += [f"arm {arm.name}: {text}" for text in found.warnings]
            if not runs:
                raise UserError(f"arm {arm.name}: none of its final runs ended well; see {found.folder}")
            chosen = state["chosen"][arm.name]
            choices = [
                self.choice(arm, int(n), chosen[n]) for n in sorted(chosen, key=int) if int(n) in wanted.values()
            ]
            arms.append(Arm(arm.name, runs, choices))
        if protocol.cfg.compare.budget != "seconds":
            warnings += recorded.unequal_budgets(arms)
        if protocol.num_searches and protocol.cfg.data.folds is None:
            warnings += recorded.few_validate(arms)
        return judge.judge(
            protocol.name,
            arms,
            replicate=protocol.replicate,
            looks=[look for look in state["looks"] if look <= replicates],
            planned=protocol.planned,
            smallest_effect=settings.smallest_effect,
            warnings=warnings,
            method=protocol.method(),
        )

    @property
    def goal(self) -> tuple[str, str]:
        """Returns what the searches improve, and which way."""
        return str(self.protocol.cfg.objective), str(self.protocol.cfg.direction)

    def choice(self, arm: ArmSpec, search: int, chosen: Mapping[str, Any]) -> Choice:
        place = SweepFolder(self.folder.search(arm.name, search))
        overrides = chosen["overrides"]
        typed = self.protocol.run_overrides(arm, search, overrides)
        return Choice(
            overrides=overrides,
            command=shlex.join(["rnnexp", *self.protocol.flags, *typed]),
            search=recorded.search(place, self.folder.path, *self.goal) if self.protocol.num_searches else None,
            candidates=[Candidate(**each) for each in chosen.get("candidates", [])],
        )
