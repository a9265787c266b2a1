"""An arm's replicates as numbers, and the estimates that follow from them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hydra_sweep.errors import UserError
from rnnexp.record.result import TestOutcomes
from rnnexp.verdict import statistics
from rnnexp.verdict.statistics import Array, Estimate
from rnnexp.verdict.values import Arm, Run


@dataclass(frozen=True)
class Sample:
    """The replicates of an arm: each is a run with a seed of its own, or all runs of one search's winner."""

    name: str
    replicates: list[list[Run]]
    keys: list[tuple[int, ...]]  # what pairs a replicate with one of another arm

    @classmethod
    def of(cls, arm: Arm, replicate: str) -> Sample:
        if replicate == "seed":
            return cls(arm.name, [[run] for run in arm.runs], [(run.seed,) for run in arm.runs])
        by_search = sorted(arm.runs, key=lambda run: (run.search, run.seed))
        groups = [list(runs) for _, runs in itertools.groupby(by_search, key=lambda run: run.search)]
        return cls(arm.name, groups, [(runs[0].search, *(run.seed for run in runs)) for runs in groups])

    def __len__(self) -> int:
        return len(self.replicates)

    def first(self, number: int) -> Sample:
        return Sample(self.name, self.replicates[:number], self.keys[:number])

    def in_order(self) -> Sample:
        order = sorted(range(len(self)), key=self.keys.__getitem__)
        return Sample(self.name, [self.replicates[i] for i in order], [self.keys[i] for i in order])

    def without(self, replicates: Sequence[bool]) -> Sample:
        """Returns those of which this is not true."""
        kept = [i for i, is_out in enumerate(replicates) if not is_out]
        return Sample(self.name, [self.replicates[i] for i in kept], [self.keys[i] for i in kept])

    @property
    def runs(self) -> list[Run]:
        return [run for runs in self.replicates for run in runs]

    def values(self, metric: str) -> list[float]:
        """Returns the mean of each replicate's runs."""
        return [float(np.mean([run.metrics[metric] for run in runs])) for runs in self.replicates]

    def scores(self, metric: str) -> Array | None:
        """Returns what each replicate made of each example, (R, N), or None if a run kept no record of them."""
        outcomes = [run.outcomes for run in self.runs]
        first = outcomes[0]
        if not metric.startswith("test_") or first is None:
            return None
        if any(o is None or not np.array_equal(o.labels, first.labels) for o in outcomes):
            return None
        of: Callable[[Any], Any] = _hits if metric.endswith("accuracy") else lambda o: o.losses
        return np.stack([np.mean([of(run.outcomes) for run in runs], 0, float) for runs in self.replicates])

    def mean(self, metric: str, num_examples: int) -> Estimate:
        """Returns the mean over replicates and examples."""
        if (scores := self.scores(metric)) is not None:
            return statistics.mean(scores, _span(metric))
        return statistics.mean_of_runs(self.values(metric), self.example_variance(metric, num_examples))

    def example_variance(self, metric: str, num_examples: int) -> float:
        """Returns a bound for accuracies; a loss without single examples has an interval for its replicates alone."""
        if not metric.endswith("accuracy"):
            return 0.0
        return statistics.binomial_variance(float(np.mean(self.values(metric))), num_examples)


def is_paired(a: Sample, b: Sample) -> bool:
    """Whether the replicates of two arms can be subtracted one by one: they have the same seeds."""
    return len(a) > 1 and sorted(a.keys) == sorted(b.keys) and len(set(a.keys)) == len(a)


def difference(a: Sample, b: Sample, metric: str, num_examples: int) -> Estimate:
    """Returns a's mean less b's."""
    if paired := is_paired(a, b):
        a, b = a.in_order(), b.in_order()
    a_scores, b_scores = a.scores(metric), b.scores(metric)
    if a_scores is not None and b_scores is not None and _read_the_same_examples(a, b):
        return statistics.difference(a_scores, b_scores, paired, _span(metric))
    variance = sum(arm.example_variance(metric, num_examples) for arm in (a, b))
    return statistics.difference_of_runs(a.values(metric), b.values(metric), variance, paired)


def num_examples(arms: Sequence[Arm], metric: str) -> int:
    """Returns how many examples the runs were measured on; the fewest, if they differ.

    Raises:
        UserError: a run doesn't say.
    """
    part, found = metric.partition("_")[0], []
    for run in (run for arm in arms for run in arm.runs):
        if run.outcomes is not None and part == "test":
            found.append(len(run.outcomes.labels))
        elif run.metrics.get(f"num_{part}", 0) > 0:
            found.append(int(run.metrics[f"num_{part}"]))
        elif not run.is_diverged:
            raise UserError(f"{run.path} doesn't record how many examples it was measured on; run it again")
    return min(found, default=1)


def _hits(outcomes: TestOutcomes) -> Any:
    return outcomes.predicted == outcomes.labels


def _span(metric: str) -> float:
    return 1.0 if metric.endswith("accuracy") else 0.0


def _read_the_same_examples(a: Sample, b: Sample) -> bool:
    one, other = a.runs[0].outcomes, b.runs[0].outcomes
    return one is not None and other is not None and np.array_equal(one.labels, other.labels)
