"""About how long a comparison takes, by a few training steps of its very networks on this machine.

They are taken in a process of their own: its random streams, its memory and its threads are no run's. Of an arm that
is searched, the presets and a few draws of its space are timed, since what a search will favor is not known; so there
is a range beside the mean. Nothing here imports torch before that process does.
"""

from __future__ import annotations

import argparse
import heapq
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from hydra_sweep.errors import UserError, counted, describe_error
from hydra_sweep.machine import num_workers, visible_gpus
from hydra_sweep.quantities import about
from rnnexp.child import PYTHON
from rnnexp.command_line import without_hydra
from rnnexp.comparing.arms import ArmSpec, merged
from rnnexp.comparing.checks import command_line, final_epochs
from rnnexp.comparing.protocol import Cost, Protocol
from rnnexp.schema.config import plain_config, register_schemas

if TYPE_CHECKING:
    from rnnexp.training.loop import Trainer

NUM_DRAWS = 3  # of an arm's space, beside the presets
TIMED_SECONDS = 0.4  # of steps, and of batches that are validated, for each configuration
WARM_UP = 2  # steps
MOST_SECONDS = 120  # for all of it: a comparison is not to wait for its estimate
WIDE_RANGE = 1.5  # from which ratio on a range is told
CHILD = "from rnnexp.comparing.pace import main; main()"


class Unmeasured(UserError):
    """There is no estimate, and why."""


@dataclass(frozen=True)
class Pace:
    """How long an epoch of an arm takes, in s.

    Args:
        search: of each configuration that was timed, the presets first; empty if there is no search.
        final: of a final run with the presets.
    """

    search: list[float]
    final: float

    def of(self, cost: Cost, how: Any) -> float:
        """Returns the seconds of a part of a comparison.

        Args:
            how: what is taken of the configurations: their mean, the fastest or the slowest.
        """
        if cost.seconds_each:
            return cost.runs * cost.seconds_each
        typical = how(self.search) if self.search else 1.0
        return cost.epochs * (typical if cost.part == "searches" else self.final * typical / (self.search or [1.0])[0])


@dataclass(frozen=True)
class Estimate:
    """How long a comparison takes, in s."""

    runs: int
    workers: int
    typical: float
    low: float
    high: float
    num_valid: int | None = None  # the fewest examples that a search validates on, where no folds are used

    def line(self) -> str:
        text = f"{counted(self.runs, 'run')}: {about(self.typical)} on {counted(self.workers, 'worker')}"
        if self.high < WIDE_RANGE * self.low:
            return f"{text}, by a few steps of each arm"
        low, high = (about(seconds).removeprefix("about ") for seconds in (self.low, self.high))
        return f"{text}; {low} to {high}, depending on what the searches favor"


def seconds_so_far() -> float:
    """Returns how old this process is."""
    return time.time() - psutil.Process().create_time()


def estimate(
    comparisons: Mapping[str, Protocol],
    args: argparse.Namespace,
    shares: Mapping[str, float],
    command_seconds: float,
) -> Estimate:
    """Returns how long comparisons take, one after the other.

    Args:
        shares: of each, what is left to do, from 0 to 1.
        command_seconds: that a command like these sweeps' takes until it has checked itself.

    Raises:
        Unmeasured: the steps can't be taken, or take too long.
    """
    left = {name: protocol for name, protocol in comparisons.items() if shares[name]}
    candidates = {
        (name, arm.name): [*searched_configs(protocol, args, arm), final_config(protocol, args, arm)]
        for name, protocol in left.items()
        for arm in protocol.arms
    }
    worker_seconds, measured, num_valid = measure([config for found in candidates.values() for config in found])
    # A sweep is a command, which imports Hydra and checks itself, and then a worker, which imports torch.
    start_seconds = command_seconds + worker_seconds
    seconds = iter(measured)
    runs, workers, totals = 0.0, 1, [0.0, 0.0, 0.0]
    for name, protocol in left.items():
        workers = num_workers(protocol.cfg.workers, visible_gpus(), protocol.cfg.workers_per_gpu)
        work = []
        for arm in protocol.arms:
            *searched, final = (next(seconds) for _ in candidates[name, arm.name])
            costs = protocol.costs_of(arm, final_epochs(protocol, args, arm))
            work.append((Pace(searched, final), costs))
            runs += shares[name] * sum(cost.runs for cost in costs)
        num_chains = max(1, protocol.num_tuned(protocol.stages()[0]))
        for place, how in enumerate((statistics.fmean, min, max)):
            totals[place] += shares[name] * makespan(chains(work, how, num_chains, start_seconds), workers)
    typical, low, high = totals
    return Estimate(round(runs), workers, typical, low, high, num_valid)


def chains(work: Sequence[tuple[Pace, Sequence[Cost]]], how: Any, number: int, start_seconds: float) -> list[float]:
    """Returns how long each chain of sweeps takes one worker, in s, in the order in which they begin.

    Args:
        work: of each arm.
        number: of chains that each arm has.
        start_seconds: that each sweep takes before its first step.
    """
    each = [sum(pace.of(cost, how) for cost in costs) / number + len(costs) * start_seconds for pace, costs in work]
    return each * number


def makespan(chains: Sequence[float], workers: int) -> float:
    """Returns when the last of some chains ends that are begun in their order, shared out as `Sweeps` does.

    Args:
        chains: how long each takes one worker, in s.
    """
    slots = min(workers, len(chains))
    ends = [(0.0, slot) for slot in range(slots)]
    for seconds in chains:
        end, slot = ends[0]
        own = workers // slots + (slot < workers % slots)
        heapq.heapreplace(ends, (end + seconds / own, slot))
    return max(end for end, _ in ends)


def searched_configs(protocol: Protocol, args: argparse.Namespace, arm: ArmSpec) -> Iterator[DictConfig]:
    """Yields configurations that a search of an arm may try, the presets first; none if there is no search."""
    import optuna

    from hydra_sweep import optuna_compat

    if not protocol.cfg.compare.trials:
        return
    search = command_line(args, protocol.search_overrides(arm, 0))
    plan = search.plan
    yield without_hydra(search.composer(plan.trial_overrides([])))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(NUM_DRAWS):
        yield without_hydra(search.composer(plan.trial_overrides(plan.space.sample(optuna_compat.ask(study).draw))))


def final_config(protocol: Protocol, args: argparse.Namespace, arm: ArmSpec) -> DictConfig:
    """Returns the configuration of a final run of an arm's presets."""
    overrides = protocol.final_overrides(arm, 0, [], protocol.fresh_seeds(0, 1)[:1])
    final = command_line(args, overrides)
    always = list(final.compose(overrides).hydra.sweeper.trial_overrides)
    return without_hydra(final.compose(merged(always, overrides)))


def measure(configs: Sequence[DictConfig]) -> tuple[float, list[float], int | None]:
    """Times configurations in a process of its own, which takes as long to start as the worker of a sweep does.

    Returns:
        How long it took to start, and how long an epoch of each takes, in s; and the fewest examples that one of them
        validates on, if not by folds.

    Raises:
        Unmeasured: one of them can't be timed, or it takes too long.
    """
    began, start_seconds = time.monotonic(), 0.0
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    bar = tqdm(total=len(configs), desc="measuring the pace", disable=None, leave=False)
    found: list[float] = []
    nums_valid: list[int] = []
    with subprocess.Popen([*PYTHON, "-c", CHILD], text=True, **pipes) as child, bar:
        watchdog = threading.Timer(MOST_SECONDS, child.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            with suppress(BrokenPipeError):  # it has ended, which the lack of an answer will say
                child.stdin.write(json.dumps([plain_config(config) for config in configs]))
                child.stdin.close()
            while len(found) < len(configs):
                answer = json.loads(child.stdout.readline() or "{}")
                if "seconds" not in answer:
                    is_late = time.monotonic() - began >= MOST_SECONDS
                    why = f"it takes longer than {MOST_SECONDS} s" if is_late else "its process was killed"
                    raise Unmeasured(answer.get("problem", why))
                if answer["seconds"] is None:
                    start_seconds = time.monotonic() - began
                else:
                    found.append(answer["seconds"])
                    nums_valid += [number] if (number := answer["num_valid"]) else []
                    bar.update()
        finally:
            watchdog.cancel()
            child.kill()
    return start_seconds, found, min(nums_valid, default=None)


def main() -> None:
    """Reads configurations from standard input, and answers with a line for each, after one that it has started."""
    asked = json.loads(sys.stdin.read())
    register_schemas()
    try:
        import rnnexp.runner  # noqa: F401  - what a sweep imports, too

        _answer(seconds=None)
        for config in asked:
            seconds, num_valid = timed(OmegaConf.create(config))
            _answer(seconds=seconds, num_valid=num_valid)
    except Exception as error:  # whatever it is, the run itself will say it better
        _answer(problem=describe_error(error, 160))


def _answer(**content: Any) -> None:
    print(json.dumps(content), flush=True)


def timed(cfg: DictConfig) -> tuple[float, int | None]:
    """Returns about how long an epoch takes, validation included, by a few of its batches.

    Beside it, on how many examples it validates: None of folds, which validate on all of them.

    It draws from torch's own generators and changes its settings: not in a process that trains.

    Raises:
        UserError: the configuration can't run here.
    """
    from hydra_sweep.signals import Stop
    from rnnexp.data import loading
    from rnnexp.runner import checked
    from rnnexp.training.attempt import Attempt
    from rnnexp.training.build import build

    cfg = checked(cfg, test=False)
    dataset = loading.take(cfg.data, False)
    attempt = Attempt.begin(cfg, None, {})
    trainer = build(
        attempt,
        dataset,
        Stop(),
        save=lambda trainer: None,
        note=lambda trainer, row: None,
        on_epoch=lambda row: False,
        test=False,
    )
    valid = trainer.data.valid
    num_valid = None if valid is None or cfg.data.folds is not None else len(valid)
    return _train_seconds(trainer) + _valid_seconds(trainer), num_valid


def _train_seconds(trainer: Trainer) -> float:
    """Returns about how long all training batches take."""
    from rnnexp.data.sequences import batches
    from rnnexp.training.loop import generator
    from rnnexp.training.progress import Diverged

    order = batches(trainer.data.train, trainer.cfg.batch_size, generator(trainer.seed, "batches", 0))
    timed = 0
    trainer.model.train()
    began = time.perf_counter()
    with suppress(Diverged):  # as fast as any other
        for step, index in enumerate(order):
            if step == min(WARM_UP, len(order) - 1):
                began = time.perf_counter()
            trainer.train_batch(index, step, len(order))
            timed += step >= min(WARM_UP, len(order) - 1)
            if timed and time.perf_counter() - began > TIMED_SECONDS:
                break
    return len(order) * (time.perf_counter() - began) / max(1, timed)


def _valid_seconds(trainer: Trainer) -> float:
    """Returns about how long validation takes."""
    if (valid := trainer.data.valid) is None:
        return 0.0
    began, done = time.perf_counter(), 0
    for _, index in trainer.outputs(valid, "validation"):
        done += len(index)
        if time.perf_counter() - began > TIMED_SECONDS:
            break
    return len(valid) * (time.perf_counter() - began) / done
