"""How far a sweep is: its trials by state, the best so far, who runs what and for how long, and the time left.

Trials that have ended are looked at once each, so that a look at a sweep of thousands costs what is new in it.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

from hydra_sweep.plan import Goal
from hydra_sweep.records import Lease, Outcome
from hydra_sweep.results import STATES, best, state_of
from hydra_sweep.run_record import PAUSED

NUM_RECENT = 20  # trials that an estimate is made from, at least; two of each worker where there are many


@dataclass
class Running:
    """A trial that runs, as it was seen last."""

    trial: FrozenTrial
    lease: Lease | None
    seconds: float  # that all its attempts have run, pauses between them left out

    @property
    def worker(self) -> str:
        return self.lease.process.name if self.lease and self.lease.process else ""


class Tally:
    """The numbers that are shown of a sweep while it runs.

    Args:
        num_workers: that this command wants; more may be at work for other commands.
    """

    def __init__(self, goal: Goal, n_trials: int, num_workers: int) -> None:
        self.goal, self.n_trials, self.num_workers = goal, n_trials, num_workers
        self.counts = dict.fromkeys(STATES, 0)
        self.top: list[FrozenTrial] = []  # the best so far, or the Pareto front
        self.running: list[Running] = []
        self.paused: list[FrozenTrial] = []  # since the last time
        self._steps_paused: dict[int, int] = {}  # after which a trial was seen to be paused last
        self._durations: deque[float] = deque(maxlen=max(NUM_RECENT, 2 * num_workers))  # s, of the latest to end
        self._ended: set[int] = set()
        self._num_settled = 0  # first trials that have all ended
        self._began: dict[tuple[int, int], float] = {}  # of a trial's attempt, in the time of `time.monotonic`

    @property
    def num_ended(self) -> int:
        return len(self._ended)

    def update(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Takes note of the trials within the budget, by number. Returns those that have ended since the last time."""
        now = time.monotonic()
        counts: Counter[str] = Counter()
        ended, running, paused = [], [], []
        for trial in trials[self._num_settled :]:
            if not trial.state.is_finished():
                counts[state_of(trial)] += 1
                paused += [trial] if state_of(trial) == PAUSED else []
                running += [trial] if trial.state is TrialState.RUNNING else []
            elif trial.number not in self._ended:
                ended.append(trial)
        self._add(ended)
        while self._num_settled < len(trials) and trials[self._num_settled].number in self._ended:
            self._num_settled += 1
        counts["waiting"] += self.n_trials - len(trials)
        self.counts |= {state: counts[state] for state in ("running", PAUSED, "waiting")}
        self._look_at(running, now)
        steps = {trial.number: len(trial.intermediate_values) for trial in paused}
        self.paused = [trial for trial in paused if self._steps_paused.get(trial.number) != steps[trial.number]]
        self._steps_paused |= steps
        return ended

    def _add(self, ended: Sequence[FrozenTrial]) -> None:
        for trial in sorted(ended, key=lambda trial: trial.datetime_complete or datetime.min):
            self._ended.add(trial.number)
            self.counts[state_of(trial)] += 1
            if (outcome := Outcome.of(trial)).same_as is None:  # an answer from the record takes no time
                self._durations.append(outcome.seconds)
        self.top = best(self.goal, [*self.top, *ended])
        if len(self.goal.directions) == 1:
            del self.top[1:]

    def _look_at(self, running: Sequence[FrozenTrial], now: float) -> None:
        """Notes who runs what: a trial's time goes on from what its lease had when it was first seen."""
        self.running, began = [], {}
        for trial in running:
            lease = Lease.of(trial)
            key = (trial.number, lease.attempt if lease else 1)
            began[key] = self._began.get(key, now - (lease.seconds if lease else 0.0))
            self.running.append(Running(trial, lease, now - began[key]))
        self._began = began

    def seconds_left(self) -> float | None:
        """Returns about how long the rest takes, or None while there is nothing to base that on."""
        waiting = self.counts["waiting"] + self.counts[PAUSED]
        return seconds_left(self._durations, [one.seconds for one in self.running], waiting, self.num_workers)


def seconds_left(
    durations: Sequence[float], running: Sequence[float], num_waiting: int, num_workers: int
) -> float | None:
    """Returns about how long the rest of a sweep takes, or None if nothing is known of what is left.

    Pauses between commands are in none of the numbers that it is made from.

    Args:
        durations: of trials that have ended lately, pruned ones included, in s.
        running: how long each of the running trials has run by now.
        num_waiting: trials that nobody has begun.
    """
    if not durations:
        return None
    mean = statistics.fmean(durations)
    # Short trials end first. Those that run have taken at least as long as they have, or the first minutes of a sweep
    # would promise too much.
    mean = statistics.fmean([*durations, *(seconds for seconds in running if seconds > mean)])
    slots = [0.0] * max(0, num_workers - len(running)) if num_waiting else []
    for seconds in running:
        longer = [duration - seconds for duration in durations if duration > seconds]
        if not longer and not num_waiting:
            return None  # none has ever taken so long
        slots.append(statistics.fmean(longer) if longer else mean)
    if not slots:
        return 0.0
    rounds, rest = divmod(num_waiting, len(slots))
    slots.sort()
    return max(left + (rounds + (place < rest)) * mean for place, left in enumerate(slots))
