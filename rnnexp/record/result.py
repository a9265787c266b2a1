"""What a run gives back, and what `result.json` and `test_outcomes.npz` hold. No torch."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class Status(str, Enum):
    """How a run ended, or, of a folder without a readable result, how it looks."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    TIMEOUT = "timeout"  # a trial that has had its trial_seconds; its kept epoch counts
    DIVERGED = "diverged"
    FAILED = "failed"
    RUNNING = "running"
    UNFINISHED = "unfinished"
    PAUSED = "paused"  # a trial whose sweep goes on with others first
    CORRUPT = "corrupt"


# Columns of history.csv, one row an epoch: losses in nats per example, accuracies in [0, 1]. Those of `metrics` in the
# configuration, valid_NAME, stand before the last one.
HISTORY_COLUMNS = ("epoch", "lr", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "epoch_seconds")
# All that may differ between two runs of one configuration and seed: times, and checksums of rows that hold them.
TIME_COLUMNS = ("epoch_seconds", "crc32")
# What a run is measured by; those of the test set are there for complete runs alone, and never in a search.
METRICS = (
    "test_accuracy",
    "test_loss",
    "valid_accuracy",
    "valid_loss",
    "train_accuracy",
    "train_loss",
    "best_epoch",
    "epochs",
    "num_parameters",
    "train_seconds",
)
EARLIER = (
    "is of an earlier version of rnnexp, which had MNIST's kin alone: its figures can be read; train it again for more"
)
FEW = 100  # validation examples: fewer choose by chance more than by merit
OWN_METRIC = re.compile(r"(valid|test)_[A-Za-z]\w*")


def few_to_validate(number: float | None) -> str:
    """Returns what to keep in mind of so many validation examples, if no folds are used; nothing if they are enough."""
    if not number or number >= FEW:  # nan, too, is none
        return ""
    return (
        f"{number:g} examples validate, fewer than {FEW}: what they choose is mostly chance; in a search or a "
        "comparison, data.folds=5 uses all of them"
    )


def is_metric(name: str) -> bool:
    """Whether a name is that of what a run is measured by: one of METRICS, or one of a configuration's `metrics`."""
    return name in METRICS or bool(OWN_METRIC.fullmatch(name))


def history_columns(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the columns of a history whose rows have these names."""
    own = [name for name in names if name not in HISTORY_COLUMNS and OWN_METRIC.fullmatch(name)]
    return (*HISTORY_COLUMNS[:-1], *own, HISTORY_COLUMNS[-1])


@dataclass
class RunResult:
    """What `result.json` holds.

    `metrics` has `epochs`, `best_epoch`, `train_loss`, `train_accuracy`, `valid_loss`, `valid_accuracy` (of the kept
    epoch), `test_loss`, `test_accuracy` (complete runs alone), `num_parameters` and `train_seconds`, and `valid_NAME`
    and `test_NAME` of each of `metrics`; losses in nats per example, accuracies in [0, 1]. `dataset`
    is the dataset's identity, the size of each part, and what its values were normalized by; records of before
    there were datasets have none. `precision` is the one that was computed in, be it asked for or `auto`'s choice.
    `is_stacked` tells that steps were computed in one program with those of other trials, as `reproduce` will do.
    """

    status: Status
    reason: str | None
    metrics: dict[str, float]
    seed: int
    attempt: int
    choices: dict[str, str]
    config: dict[str, Any]
    dataset: dict[str, Any]
    fingerprint: str
    device: str
    threads: int
    precision: str
    precision_reason: str
    environment: dict[str, Any]
    is_stacked: bool = False

    @property
    def is_of_an_earlier_version(self) -> bool:
        """Whether it was recorded before `data` had a `_target_`: it can be looked at, and not built again."""
        data = self.config.get("data")
        return isinstance(data, dict) and "_target_" not in data and not self.dataset

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RunResult:
        """Raises: ValueError if the text is not a whole result."""
        try:
            loaded = json.loads(text)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        names = {f.name for f in dataclasses.fields(cls)}
        later = {"precision", "precision_reason", "dataset", "is_stacked"}  # than the first records
        if not isinstance(loaded, dict) or not names - later <= loaded.keys():
            raise ValueError("not a result of rnnexp")
        loaded.setdefault("dataset", {})
        loaded.setdefault("is_stacked", False)
        kinds = dict.fromkeys(("metrics", "choices", "config", "dataset", "environment"), dict) | {
            "seed": int,
            "attempt": int,
            "is_stacked": bool,
        }
        for name, kind in kinds.items():
            if not isinstance(value := loaded[name], kind):
                raise ValueError(f"{name} must be {kind.__name__}, got {value!r:.40}")
        for name, value in loaded["metrics"].items():
            if not isinstance(value, (int, float)) or (isinstance(value, int) and abs(value) >= 2**63):
                raise ValueError(f"metrics.{name} must be a number, got {value!r:.40}")
        if not {"precision", "precision_reason"} <= loaded.keys():
            train = loaded["config"].get("train")
            asked = train.get("precision", "fp32") if isinstance(train, dict) else "fp32"
            loaded |= {"precision": asked, "precision_reason": f"train.precision={asked}"}
        return cls(**{name: loaded[name] for name in names} | {"status": Status(loaded["status"])})


@dataclass(frozen=True)
class TestOutcomes:
    """What a run made of each test example.

    Args:
        labels, predicted: N indices of classes, as uint8 or, of more than 256 classes, uint16.
        losses: (N,), in nats, as float32.
        worst: which of the examples cost the most of those that were wrong, the worst one first; None: not recorded.
        worst_x: those examples, in this order: images (K, H, W) or (K, H, W, C), or series (K, T, I), NaN where one has
            ended.
    """

    __test__ = False  # pytest would take it for a test

    labels: np.ndarray[Any, Any]
    predicted: np.ndarray[Any, Any]
    losses: np.ndarray[Any, Any]
    worst: np.ndarray[Any, Any] | None = None
    worst_x: np.ndarray[Any, Any] | None = None

    @property
    def accuracy(self) -> float:
        return float((self.predicted == self.labels).mean())

    @property
    def loss(self) -> float:
        return float(self.losses.mean(dtype="float64"))
