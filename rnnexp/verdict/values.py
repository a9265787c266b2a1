"""What is compared and what comes of it, as values."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rnnexp.record.result import TestOutcomes
from rnnexp.verdict.statistics import Estimate

ALPHA = 0.05  # of false alarms, over all pairs
POWER = 0.8  # at which the seeds that would be needed are counted
SMALLEST_EFFECT = 0.002  # of accuracy: a difference that would matter
VERSION = 1


@dataclass(frozen=True)
class Run:
    """A complete run of an arm; `outcomes` is None where it kept no record of single test examples."""

    path: str
    seed: int
    metrics: Mapping[str, float]
    outcomes: TestOutcomes | None = None


@dataclass(frozen=True)
class Search:
    """What finding an arm's configuration took; `values` are its trials' validation accuracies, in their order."""

    folder: str
    trials: int
    complete: int
    pruned: int
    failed: int
    epochs: int
    seconds: float
    best_value: float
    values: list[float]
    curve: dict[str, list[float]] = field(default_factory=dict)  # expected best of n trials: n, expected, low, high


@dataclass(frozen=True)
class Arm:
    """What is compared. Overrides and command tell how to run it again."""

    name: str
    runs: list[Run]
    overrides: list[str] = field(default_factory=list)
    command: str = ""
    search: Search | None = None

    def values(self, metric: str) -> list[float]:
        return [run.metrics[metric] for run in self.runs]

    def mean(self, metric: str) -> float:
        return float(np.mean(self.values(metric)))


@dataclass(frozen=True)
class Interval:
    """A mean, the standard deviation between runs, and the 95 % interval; None where one run can't tell."""

    mean: float
    std: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, found: Estimate, least: float = -math.inf, most: float = math.inf) -> Interval:
        """Cuts the interval off where no value can lie."""
        low, high = np.clip(found.interval(), least, most).tolist()
        return cls(found.mean, *(None if math.isnan(value) else value for value in (found.std, low, high)))


@dataclass(frozen=True)
class ArmResult:
    name: str
    overrides: list[str]
    command: str
    seeds: list[int]
    runs: list[str]
    accuracies: list[float]
    losses: list[float]
    accuracy: Interval
    loss: Interval
    num_parameters: int
    train_seconds: float  # mean of its runs, as is epochs
    epochs: float
    search: Search | None


@dataclass(frozen=True)
class Pair:
    """Arm a against arm b; `difference` is a's mean less b's, with its own 95 % interval."""

    a: str
    b: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_corrected: float | None
    is_paired: bool
    probability: float  # that a new run of a beats a new run of b
    probability_low: float | None
    probability_high: float | None
    verdict: str  # better, worse or undecided
    seeds_needed: int | None
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What comparison.json holds. Accuracies are in [0, 1], losses in nats per example, times in seconds."""

    name: str
    metric: str
    state: str
    arms: list[ArmResult]
    pairs: list[Pair]
    warnings: list[str]
    method: list[str]
    version: int = VERSION

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False) + "\n"
