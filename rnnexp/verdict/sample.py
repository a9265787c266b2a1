"""An arm's replicates as numbers, and the estimates that follow from them."""

from __future__ import annotations

import functools
import itertools
import math
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
    """The replicates of an arm: each is a run with a seed of its own, or all runs of one search's winner.

    Args:
        keys: what pairs a replicate with one of another arm.
        has_collapsed: of each replicate, whether one of its runs did.
    """

    name: str
    replicates: list[list[Run]]
    keys: list[tuple[int, ...]]
    has_collapsed: list[bool]

    @classmethod
    def of(cls, arm: Arm, replicate: str, is_collapsed: Sequence[bool]) -> Sample:
        """Returns an arm's replicates, which are seeds or searches; `is_collapsed` is of its runs."""
        runs = list(zip(arm.runs, is_collapsed, strict=True))
        groups = [[of] for of in runs]
        if replicate == "search":
            runs.sort(key=lambda of: (of[0].search, of[0].seed))
            groups = [list(group) for _, group in itertools.groupby(runs, key=lambda of: of[0].search)]
        found = [[run for run, _ in group] for group in groups]
        keys = [(of[0].search, *(run.seed for run in of)) if replicate == "search" else (of[0].seed,) for of in found]
        return cls(arm.name, found, keys, [any(flag for _, flag in group) for group in groups])

    def __len__(self) -> int:
        return len(self.replicates)

    def take(self, places: Sequence[int]) -> Sample:
        """Returns the replicates at these places."""
        parts = ([of[i] for i in places] for of in (self.replicates, self.keys, self.has_collapsed))
        return Sample(self.name, *parts)  # type: ignore[arg-type]

    def first(self, number: int) -> Sample:
        return self.take(range(min(number, len(self))))

    def in_order(self) -> Sample:
        return self.take(sorted(range(len(self)), key=self.keys.__getitem__))

    def trained(self) -> Sample:
        """Returns those without a collapsed run."""
        return self.take([i for i, is_out in enumerate(self.has_collapsed) if not is_out])

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


@dataclass(frozen=True)
class Couple:
    """Two arms' replicates, and what they say about which of the two is better."""

    a: Sample
    b: Sample
    metric: str
    num_examples: int

    def first(self, number: int) -> Couple:
        """Returns the couple as it was when each arm had so many replicates; arms that have not as many stay."""
        if len(self.a) != len(self.b):
            return self
        return Couple(self.a.first(number), self.b.first(number), self.metric, self.num_examples)

    @property
    def is_paired(self) -> bool:
        """Whether the replicates can be subtracted one by one: they have the same seeds."""
        keys = self.a.keys
        return len(keys) > 1 and sorted(keys) == sorted(self.b.keys) and len(set(keys)) == len(keys)

    @functools.cached_property
    def difference(self) -> Estimate:
        """a's mean less b's, all replicates counted."""
        a, b, paired = self.a, self.b, self.is_paired
        if paired:
            a, b = a.in_order(), b.in_order()
        a_scores, b_scores = a.scores(self.metric), b.scores(self.metric)
        if a_scores is not None and b_scores is not None and _read_the_same_examples(a, b):
            return statistics.difference(a_scores, b_scores, paired, _span(self.metric))
        variance = sum(arm.example_variance(self.metric, self.num_examples) for arm in (a, b))
        return statistics.difference_of_runs(a.values(self.metric), b.values(self.metric), variance, paired)

    @property
    def has_humps(self) -> bool:
        """Whether means say little, since some runs collapsed and others did not."""
        return any(self.a.has_collapsed) or any(self.b.has_collapsed)

    @functools.cached_property
    def trained(self) -> Estimate | None:
        """a's mean less b's of the replicates without a collapsed run, if it tells which arm is ahead.

        That is so if the arm that is ahead has collapsed no more often, too. Where it has, which of the two is better
        is another question.
        """
        a, b = self.a.trained(), self.b.trained()
        if min(len(a), len(b)) < 2:
            return None
        if self.is_paired and len(both := set(a.keys) & set(b.keys)) > 1:
            a, b = (of.take([i for i, key in enumerate(of.keys) if key in both]) for of in (a, b))
        found = Couple(a, b, self.metric, self.num_examples).difference
        more = float(np.mean(self.a.has_collapsed)) - float(np.mean(self.b.has_collapsed))
        return found if found.mean * more <= 0 and found.mean != 0 else None

    @property
    def judged_by(self) -> str:
        return "mean" if not self.has_humps else "improvement" if self.trained is None else "trained"

    @property
    def is_ahead(self) -> bool:
        """Whether a is, by what the couple is judged by."""
        if not self.has_humps:
            return self.difference.mean > 0
        if self.trained is not None:
            return self.trained.mean > 0
        wins = statistics.probability_of_improvement(self.a.values(self.metric), self.b.values(self.metric))
        return wins[0] > 0.5

    def p_value(self) -> float:
        """Returns that of the two not being equally good; nan if single replicates can't tell."""
        if not self.has_humps:
            return self.difference.p_value()
        if self.trained is not None:
            return self.trained.p_value()
        return statistics.improvement_p_value(self.a.values(self.metric), self.b.values(self.metric))

    def p_value_of_sameness(self, margin: float) -> float:
        """Returns that of differing by the margin or more; nan if that can't be told."""
        if self.has_humps or math.isnan(self.difference.p_value()):
            return math.nan
        return self.difference.p_value_of_sameness(margin)


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
