"""What every sweep of a comparison is, as overrides: searches, the best few run again, final runs; and what all costs.

    search k of an arm        compare.trials trials, validated; another sampler seed, training seed and split for each k
    its best few, again       compare.top of them at the final size, validated, with a seed of their own: one is chosen
    final runs of the winner  fresh seeds, tested, once each

Nothing is run here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hydra_sweep.errors import counted
from hydra_sweep.plan import key_of
from rnnexp.comparing.arms import ArmSpec, merged, quoted
from rnnexp.record.comparison_folder import ComparisonFolder
from rnnexp.schema.identity import WATCHING

# May change when a comparison goes on.
VOLATILE = ("workers", "workers_per_gpu", "stack", "resume", "hydra/launcher", *WATCHING)
MOST_TRIALS = 1000  # of a search that has its time
# May change, or are recorded otherwise.
EXTENDABLE = ("arms", "data", "epochs", "searches", "seeds", "smallest_effect", "estimate")
SEEDS_PER_LOOK = 5  # of compare.seeds=auto with one search
AGAIN = 1000  # after the first fresh seed come the seeds of final runs, and from here on those of the best few
PARTS = ("searches", "best of each, again", "final runs")
NO_STOP = "hydra.sweeper.stop={seconds:null,value:null,patience:null,steps:null}"
GRID = (  # what makes a plain grid of a search whose parameters all have their value
    *("n_trials=null", "repeats=1", "data.folds=null", "objective=null", "hydra/sweeper/pruner=none"),
    *("hydra.sweeper.enqueue=[]", "hydra.sweeper.enqueue_defaults=false", NO_STOP),
)


def is_volatile(override: str) -> bool:
    """Whether an override may change when a comparison goes on: `tracker=mlflow` may, and so may `tracker.uri=...`."""
    key = key_of(override)
    return key in VOLATILE or key.partition(".")[0] in WATCHING


@dataclass(frozen=True)
class Cost:
    """What one kind of a comparison's sweeps takes: so many runs of so many epochs at most, or searches of so long."""

    part: str
    runs: int
    epochs_each: int
    seconds_each: float = 0.0  # of a search that has its time, and not its trials

    @property
    def epochs(self) -> int:
        return self.runs * self.epochs_each


@dataclass(frozen=True)
class Protocol:
    """How arms are compared.

    Args:
        flags: -cd and the like, for every sweep.
        overrides: as typed, for every sweep.
        configs: each arm's own configuration, as composed, by its name.
    """

    name: str
    folder: ComparisonFolder
    cfg: DictConfig
    arms: list[ArmSpec]
    flags: list[str]
    overrides: list[str]
    configs: Mapping[str, DictConfig]

    @property
    def num_searches(self) -> int:
        """Returns how many searches each arm has at first; 0: the arms run as they are."""
        return int(self.cfg.compare.searches) if self.cfg.compare.trials else 0

    @property
    def replicate(self) -> str:
        """Returns what is repeated: seed, or search, with the seeds of its winner."""
        return "search" if self.num_searches > 1 else "seed"

    @property
    def is_auto(self) -> bool:
        return bool(self.cfg.compare.seeds == "auto")

    @property
    def seeds_each(self) -> int:
        """Returns how many fresh seeds the winner of each of several searches has."""
        return 1 if self.is_auto else max(1, self.cfg.compare.seeds // max(1, self.num_searches))

    @property
    def planned(self) -> int | None:
        """Returns how many replicates an arm has at most."""
        most = self.cfg.compare.max_seeds
        return None if most is None else most // self.seeds_each if self.replicate == "search" else most

    def stages(self) -> list[int]:
        """Returns how many replicates each arm has at each look of this command."""
        if not self.is_auto:
            return [self.num_searches if self.replicate == "search" else self.cfg.compare.seeds]
        step = self.num_searches if self.replicate == "search" else SEEDS_PER_LOOK
        assert self.planned is not None
        return list(dict.fromkeys([step, *range(2 * step, self.planned, step), self.planned]))

    def num_tuned(self, replicates: int) -> int:
        """Returns how many searches each arm has, once it has so many replicates."""
        return replicates if self.replicate == "search" else self.num_searches

    def fresh_seeds(self, search: int, replicates: int) -> list[int]:
        """Returns the seeds of a winner's final runs."""
        first = self.cfg.compare.first_seed
        if self.replicate == "seed":
            return list(range(first, first + replicates))
        return list(range(first + search * self.seeds_each, first + (search + 1) * self.seeds_each))

    # The sweeps.

    def search_overrides(self, arm: ArmSpec, search: int) -> list[str]:
        settings, own = self.cfg.compare, self.configs[arm.name]
        budget = [f"n_trials={settings.trials}", "hydra/sweeper/pruner=none"]
        if settings.budget == "epochs":
            epochs = settings.trials * self.epochs_of_a_trial(arm)
            budget = [f"n_trials={epochs}", f"hydra.sweeper.stop.steps={epochs}"]
        elif settings.budget == "seconds":
            budget = [f"n_trials={MOST_TRIALS}", f"hydra.sweeper.stop.seconds={settings.seconds:g}"]
        seeds = [f"seed={own.seed + search * own.repeats}", f"hydra.sweeper.seed={own.hydra.sweeper.seed + search}"]
        place = self.named(self.folder.search(arm.name, search))
        presets = ["hydra.sweeper.enqueue_defaults=true"]  # what every user has without a search is tried first
        return merged(presets, self.overrides, arm.overrides, budget, seeds, self.split(arm, search), place)

    def again_overrides(self, arm: ArmSpec, search: int, candidates: Sequence[Sequence[str]]) -> list[str]:
        """Returns the sweep that runs the best few of a search again, as large as the final runs, but validated."""
        final = [text for text in self.cfg.compare.final if key_of(text) not in ("data.valid_size", "data.folds")]
        fixed = set(map(key_of, final))
        guesses = ",".join(
            f"[{','.join(quoted(text) for text in each if key_of(text) not in fixed)}]" for each in candidates
        )
        queue = [f"hydra.sweeper.enqueue=[{guesses}]", "hydra.sweeper.enqueue_defaults=false", NO_STOP]
        queue += [f"n_trials={len(candidates)}", "hydra/sweeper/pruner=none", "hydra/sweeper/sampler=random"]
        seeds = [f"seed={self.cfg.compare.first_seed + AGAIN + search * self.configs[arm.name].repeats}"]
        place = self.named(self.folder.again(arm.name, search))
        return merged(self.for_any_sampler(), arm.overrides, final, queue, seeds, self.split(arm, search), place)

    def final_overrides(self, arm: ArmSpec, search: int, chosen: Sequence[str], seeds: Sequence[int]) -> list[str]:
        grid = [f"seed={','.join(map(str, seeds))}", *GRID]
        place = self.named(self.folder.final_sweep(arm.name, search, seeds))
        final = list(self.cfg.compare.final)
        return merged(self.for_any_sampler(), arm.overrides, chosen, final, grid, self.split(arm, search), place)

    def run_overrides(self, arm: ArmSpec, search: int, chosen: Sequence[str]) -> list[str]:
        """Returns what to type to run a winner once more, with any seed."""
        found = merged(self.overrides, arm.overrides, chosen, list(self.cfg.compare.final), self.split(arm, search))
        found = [text for text in found if not key_of(text).startswith("hydra") and not is_volatile(text)]
        has_folds = self.cfg.data.folds is not None or "data.folds" in map(key_of, found)
        return merged(found, ["data.folds=null"]) if has_folds else found

    def for_any_sampler(self) -> list[str]:
        """Returns the overrides without those that are of the search's own sampler."""
        return [t for t in self.overrides if not key_of(t).startswith(("hydra.sweeper.", "hydra/sweeper/sampler"))]

    def split(self, arm: ArmSpec, search: int) -> list[str]:
        """Returns what gives each search, and the final runs of its winner, a validation part of its own."""
        data = self.configs[arm.name].data
        if self.replicate == "seed" or self.cfg.compare.splits == "same":
            return []
        first = data.split_seed if data.valid_seed is None else data.valid_seed
        return [f"data.valid_seed={first + search}"]

    def named(self, folder: Path) -> list[str]:
        """Returns the overrides that give a sweep its folder, and a name after it."""
        name = "-".join([self.name, *folder.relative_to(self.folder.path).parts])
        return [f"name={quoted(name)}", f"hydra.sweep.dir={quoted(str(folder))}", "hydra.sweeper.summary=false"]

    def request(self) -> dict[str, Any]:
        """Returns what must not change when the comparison goes on."""
        settings = OmegaConf.to_container(self.cfg.compare, resolve=True)
        assert isinstance(settings, dict)
        for name in EXTENDABLE:
            settings.pop(name)
        settings |= {"replicate": self.replicate}
        settings |= {"seeds_of_a_search": self.seeds_each} if self.replicate == "search" else {}
        overrides = [text for text in self.overrides if not is_volatile(text)]
        arms = {arm.name: arm.overrides for arm in self.arms}
        return {"arms": arms, "compare": settings, "overrides": sorted(overrides)}

    # What it costs, and how it is described.

    def epochs_of_a_trial(self, arm: ArmSpec) -> int:
        own = self.configs[arm.name]
        return int(own.train.epochs * own.repeats * (own.data.folds or 1))

    def costs(self, final_epochs: Mapping[str, int]) -> list[Cost]:
        """Returns what is to be trained for the first look, all arms together.

        Args:
            final_epochs: of a final run of each arm.
        """
        found: dict[Cost, int] = {}
        for arm in self.arms:
            for cost in self.costs_of(arm, final_epochs[arm.name]):
                kind = replace(cost, runs=0)
                found[kind] = found.get(kind, 0) + cost.runs
        return [
            replace(kind, runs=runs) for kind, runs in sorted(found.items(), key=lambda item: PARTS.index(item[0].part))
        ]

    def costs_of(self, arm: ArmSpec, final_epochs: int) -> list[Cost]:
        """Returns what is to be trained of one arm for the first look."""
        settings, replicates, own = self.cfg.compare, self.stages()[0], self.configs[arm.name]
        tuned, runs = self.num_tuned(replicates), own.repeats * (own.data.folds or 1)
        again = min(settings.top, settings.trials) if settings.top > 1 else 0
        finals = replicates * (self.seeds_each if self.replicate == "search" else 1)
        searches, again_, final = PARTS
        found = [
            Cost(searches, tuned * settings.trials * runs, int(own.train.epochs)),
            Cost(again_, tuned * again * runs, final_epochs),
            Cost(final, finals, final_epochs),
        ]
        if settings.budget == "seconds" and settings.trials:
            found[0] = Cost(searches, tuned, 0, settings.seconds)
        return [cost for cost in found if cost.runs]

    def method(self) -> list[str]:
        """Returns how the arms were compared, a sentence each."""
        return list(self._method())

    def _method(self) -> Iterator[str]:
        settings, folds = self.cfg.compare, self.cfg.data.folds
        trials, first = counted(settings.trials, "trial"), settings.first_seed
        if not settings.trials:
            yield "The arms ran as they were given: no search has tuned any of them."
            yield f"Each ran with fresh seeds from {first} on, and was tested once with each."
            return
        most = counted(self.cfg.train.epochs, "epoch") + (" on each fold" if folds else "")
        total = counted(settings.trials * self.cfg.train.epochs * (folds or 1), "epoch")
        validated = f", validated on {folds} stratified folds of the training part" if folds else ""
        budget = {
            "trials": f"{trials} of at most {most}, none of them pruned",
            "epochs": f"{total} in all, in as many trials as pruning makes of them",
            "seconds": f"{settings.seconds or 0:g} s on this machine, in as many trials as fit into that",
        }[settings.budget]
        had = "a search of its own" if self.num_searches == 1 else "independent searches of its own, all"
        yield (
            f"Each arm had {had} with the same budget: {budget}{validated}, the presets' own values first. They chose "
            f"by {self.cfg.objective}; no trial read the test set."
        )
        if self.num_searches > 1:
            yield (
                "Each search has another seed of its sampler and of its training"
                + (", and another split into training and validation" if settings.splits == "resample" else "")
                + ": the chance of searching is part of the intervals."
            )
        if settings.top > 1:
            yield (
                f"The best {settings.top} trials of a search ran again as large as the final runs, validated, with a "
                "seed of their own; the best one of these was chosen."
            )
        each = "" if self.num_searches == 1 else f", {counted(self.seeds_each, 'seed')} for each search"
        yield (
            f"The winner ran again with fresh seeds from {first} on{each}, which no search has used; those runs were "
            "tested, once each."
        )
