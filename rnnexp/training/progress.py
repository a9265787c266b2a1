"""How far a run is, and what stops it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from rnnexp.record.result import Status

Row = dict[str, float]  # one epoch: HISTORY_COLUMNS, and valid_NAME of each metric


@dataclass
class Progress:
    """How far a run is: with the weights and the optimizer, all that a checkpoint must hold.

    The random streams need no state, since each is drawn from (seed, name, epoch or step).
    """

    epoch: int = 0  # epochs done
    batch: int = 0  # batches done of the next one
    loss_sum: float = 0.0  # nats, over the examples of those batches
    num_correct: int = 0
    num_seen: int = 0
    seconds: float = 0.0
    history: list[Row] = field(default_factory=list)
    midway: list[Row] = field(default_factory=list)  # what was reported within epochs, `epoch` being a fraction
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)


class Taken(NamedTuple):
    """A step whose numbers may be on their way from the device."""

    batch: int  # of the epoch, from 1
    size: int
    loss: Tensor  # before it, in nats per example
    num_correct: Tensor


class Diverged(Exception):
    """The loss is no longer a number."""


class Ended(Exception):
    """A report within an epoch was answered by this status."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.value)
        self.status = status
