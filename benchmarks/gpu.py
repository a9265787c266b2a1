"""On a GPU: an epoch of the notebook's model beside the plain loop and Lightning; trials side by side beside processes.

The epoch is that of epoch.py, with network and data on the GPU. Trials are a grid of seeds of an LSTM of two layers of
100, a sixteenth of MNIST twice each: as many side by side in one program as `stack=` says, beside one process that
trains one at a time, and beside as many processes, but no more than there are cores. All take turns; figures are
seconds a trial.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator

import torch
from bench import Row, Subject, environment, in_turn
from data_root import data_root
from epoch import NUM_IMAGES, PATH, PEERS
from stack import seconds_of

from hydra_sweep.errors import counted
from hydra_sweep.machine import num_physical_cores

SIDE_BY_SIDE = (1, 8, 32, 64, 128)
AN_EPOCH, GOALS = 3.0, {(64, "stack=off, 1 process"): 15.0}


def measure(rounds: int = 3) -> Iterator[Row]:
    if not torch.cuda.is_available():
        raise SystemExit("benchmarks/gpu.py measures on an NVIDIA GPU, and torch sees none here")
    yield from epochs(rounds)
    yield from trials(rounds)


def epochs(rounds: int, device: str = "cuda") -> Iterator[Row]:
    root, images, on = data_root(), str(NUM_IMAGES), [f"--{device}"]
    lightning = environment("lightning", "lightning")
    subjects = {
        "ours": Subject(
            *(sys.executable, PEERS / "ours.py", f"data.limit={images}", f"train.device={device}"), env=PATH
        ),
        **{
            f"the notebook's loop, {workers} workers": Subject(
                *(sys.executable, PEERS / "notebook.py", root, images, workers, *on), env=PATH
            )
            for workers in ("4", "0")
        },
        "Lightning": Subject(lightning, PEERS / "lightning_epoch.py", root, images, "32-true", device, env=PATH),
    }
    try:
        seconds = in_turn(subjects, rounds, "epoch")
    finally:
        for subject in subjects.values():
            subject.close()
    ours = seconds.pop("ours")
    for name, theirs in seconds.items():
        yield Row(f"epoch of the notebook's model, {device}", name, "s", ours, theirs, goal=AN_EPOCH)


def trials(rounds: int, device: str = "cuda", side_by_side: tuple[int, ...] = SIDE_BY_SIDE) -> Iterator[Row]:
    found: dict[int | str, list[float]] = defaultdict(list)
    many = num_physical_cores()
    for _ in range(rounds):
        for workers in {1, many}:
            name = f"stack=off, {counted(workers, 'process', 'processes')}"
            found[name].append(a_trial(max(8, many), workers, "off", device))
        for number in side_by_side:
            found[number].append(a_trial(max(8, number), 1, str(number), device))
    for number in side_by_side:
        for beside in (name for name in found if isinstance(name, str)):
            goal = GOALS.get((number, beside))
            yield Row(f"a trial, {number} side by side, {device}", beside, "s", found[number], found[beside], goal=goal)


def a_trial(num_trials: int, workers: int, stack: str, device: str) -> float:
    """Returns the time of a sweep for each of its trials, in s."""
    size = ("model.hidden_size=100", "data.limit=3750", "data.valid_size=500", "train.epochs=2", "train.batch_size=64")
    how = (f"workers={workers}", f"stack={stack}", f"train.device={device}")
    return seconds_of(*size, *how, f"seed=range({num_trials})") / num_trials
