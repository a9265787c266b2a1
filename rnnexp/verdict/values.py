"""What is compared and what comes of it, as values."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnexp.record.result import TestOutcomes
from rnnexp.verdict.curves import Anytime, Lead
from rnnexp.verdict.statistics import Estimate

ALPHA = 0.05  # of false alarms, over all pairs and all looks
POWER = 0.8  # at which the replicates that would be needed are counted
SMALLEST_EFFECT = 0.002  # of accuracy: a difference that would matter
VERSION = 2
BETTER, WORSE, SAME, UNDECIDED = "better", "worse", "same", "undecided"
OPPOSITE = {BETTER: WORSE, WORSE: BETTER, SAME: SAME, UNDECIDED: UNDECIDED}


@dataclass(frozen=True)
class Run:
    """A run of an arm that ended; `outcomes` is None where it kept no record of single test examples."""

    path: str
    seed: int
    metrics: Mapping[str, float]
    outcomes: TestOutcomes | None = None
    search: int = 0  # whose winner it is
    is_diverged: bool = False


@dataclass(frozen=True)
class Search:
    """What finding a configuration took. Of its trials, in the order in which they ended, there are these lists.

    Args:
        objective: the metric that `values` are, of the validation part.
        values: what the trials reached.
        trial_epochs, trial_seconds: what they cost; 0 for one that is like an earlier one.
    """

    folder: str
    trials: int
    complete: int
    pruned: int
    failed: int
    epochs: int
    seconds: float
    best_value: float
    values: list[float]
    objective: str = "valid_accuracy"
    larger_is_better: bool = True
    trial_epochs: list[float] = field(default_factory=list)
    trial_seconds: list[float] = field(default_factory=list)
    curve: dict[str, list[float]] = field(default_factory=dict)  # expected best of n trials: n, expected, low, high


@dataclass(frozen=True)
class Candidate:
    """One of the best trials of a search, as the search saw it and as it was when run again at the final size."""

    overrides: list[str]
    searched: float
    again: float | None  # None if it failed or diverged


@dataclass(frozen=True)
class Choice:
    """A configuration that an arm's final runs have, and where it comes from. Overrides and command run it again."""

    overrides: list[str] = field(default_factory=list)
    command: str = ""
    search: Search | None = None
    candidates: list[Candidate] = field(default_factory=list)


@dataclass(frozen=True)
class Arm:
    """What is compared: its final runs, and the configurations they have, one for each of its searches."""

    name: str
    runs: list[Run]
    choices: list[Choice] = field(default_factory=list)

    def values(self, metric: str) -> list[float]:
        return [run.metrics[metric] for run in self.runs]

    def mean(self, metric: str) -> float:
        return float(np.mean(self.values(metric)))


@dataclass(frozen=True)
class Interval:
    """A mean, the standard deviation between replicates, and the 95 % interval; None where one can't tell."""

    mean: float
    std: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, found: Estimate, least: float = -math.inf, most: float = math.inf, level: float = 0.95) -> Interval:
        """Cuts the interval off where no value can lie."""
        low, high = np.clip(found.interval(level), least, most).tolist()
        return cls(found.mean, *(None if math.isnan(value) else value for value in (found.std, low, high)))


@dataclass(frozen=True)
class Collapsed:
    """How many runs of an arm diverged or stayed near chance, their share with its 95 % interval, and the others."""

    number: int
    share: float
    low: float
    high: float
    others: Interval | None  # accuracy of the runs that did not collapse; None if there are none


@dataclass(frozen=True)
class ArmResult:
    """An arm as it is reported; all runs count in its means, those that collapsed included."""

    name: str
    seeds: list[int]
    runs: list[str]
    searches: list[int]  # of each run, whose winner it is
    accuracies: list[float]
    losses: list[float]
    accuracy: Interval
    loss: Interval
    collapsed: Collapsed
    num_parameters: int
    train_seconds: float  # mean of its runs, as is epochs
    epochs: float
    choices: list[Choice]
    selection: Selection | None = None
    anytime: dict[str, Anytime] = field(default_factory=dict)  # by "epochs" and "seconds"


@dataclass(frozen=True)
class Selection:
    """How far a search's order held: of the pairs among its best few, how many kept their order when run again."""

    kept: int
    pairs: int

    @property
    def tau(self) -> float:
        """Kendall's rank correlation: 1 if no pair is reversed, 0 if the order says nothing."""
        return 2 * self.kept / self.pairs - 1


@dataclass(frozen=True)
class Look:
    """One of the times at which the comparison was judged while replicates were added.

    Args:
        replicates: that each arm had.
        level: of a single pair's p-value at this look, so that all looks together have `ALPHA`.
        p_values: of the pairs, as if the look were the only one.
    """

    replicates: int
    level: float
    p_values: list[float | None]


@dataclass(frozen=True)
class Pair:
    """Arm a against arm b; `difference` is a's mean less b's, with a 95 % interval of its own over all looks."""

    a: str
    b: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_corrected: float | None
    p_same: float | None  # corrected, that they differ by less than the smallest effect of interest
    is_paired: bool
    judged_by: str  # mean; where runs collapsed: trained (by those that did not), or improvement
    probability: float  # that a new run of a beats a new run of b
    probability_low: float | None
    probability_high: float | None
    verdict: str  # better, worse, same or undecided
    replicates_needed: int | None
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What comparison.json holds. Accuracies are in [0, 1], losses in nats per example, times in seconds."""

    name: str
    metric: str
    state: str
    replicate: str  # what is repeated: seed or search
    smallest_effect: float
    arms: list[ArmResult]
    pairs: list[Pair]
    looks: list[Look]
    planned: int  # replicates at the last look
    leads: dict[str, list[Lead]]  # by "epochs" and "seconds"
    notes: list[str]
    warnings: list[str]
    method: list[str]
    version: int = VERSION

    @property
    def is_decided(self) -> bool:
        """Whether more replicates would change no verdict."""
        return all(pair.verdict != UNDECIDED for pair in self.pairs)

    @property
    def has_collapsed(self) -> bool:
        return any(arm.collapsed.number for arm in self.arms)

    def to_json(self) -> str:
        """Returns it as it is recorded."""
        return json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    """Returns a number of numpy's as Python's own."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} can't be recorded")
