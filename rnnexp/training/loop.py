"""Fit and evaluate: the loop, and all that it must remember to go on exactly. No Hydra, no Optuna, no files."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from hydra_sweep.seeds import derive
from hydra_sweep.signals import Interrupted, Stop
from rnnexp.data.loading import Dataset, Images
from rnnexp.record.result import Status
from rnnexp.schema.config import TrainConfig
from rnnexp.training.precision import Precision, forward

Schedule = Callable[[int, int, int], float]  # (step, num_steps, epoch) -> factor of the learning rate
Row = dict[str, float]  # one epoch, keys as schema.HISTORY_COLUMNS


@dataclass
class Progress:
    """How far a run is: with the weights and the optimizer, all that a checkpoint must hold.

    The random streams need no state, since each is drawn from (seed, name, epoch or step).
    """

    epoch: int = 0  # epochs done
    batch: int = 0  # batches done of the next one
    loss_sum: float = 0.0  # nats, over the images of those batches
    num_correct: int = 0
    num_seen: int = 0
    seconds: float = 0.0
    history: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)


class Diverged(Exception):
    """The loss is no longer a number."""


@dataclass
class Trainer:
    """One run's moving parts; `fit` moves them."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    data: Dataset
    cfg: TrainConfig
    seed: int
    augment: bool
    device: torch.device
    precision: Precision
    stop: Stop
    save: Callable[[Trainer], None]  # writes a checkpoint
    on_epoch: Callable[[Row], bool]  # is told each epoch's row, again when the run goes on; True prunes it
    note: Callable[[Trainer, Row], None] = lambda trainer, row: None  # is told each epoch's row once
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.base_lrs = [group.get("lr") for group in self.optimizer.param_groups]  # None: it has none to scale
        self.saved_at = time.monotonic()

    def fit(self) -> tuple[Status, str | None]:
        """Trains until the last epoch, or early, from wherever `progress` is. Returns the status and its reason.

        `on_epoch` hears of the epochs behind `progress` first: a process may have died between its checkpoint and its
        report. Only its answer to the latest epoch counts, and none once training has finished.

        Raises:
            Interrupted: a signal came; the checkpoint is written.
        """
        p, is_pruned = self.progress, False
        for row in p.history:
            is_pruned = self.on_epoch(row)
        while not self.is_finished():
            if is_pruned:
                return Status.PRUNED, f"pruned after epoch {p.epoch}"
            try:
                self.train_epoch()
                row = self.finish_epoch()
            except Diverged as diverged:
                return Status.DIVERGED, str(diverged)
            except Interrupted:
                self.save(self)
                raise
            self.save_checkpoint()
            self.note(self, row)
            is_pruned = self.on_epoch(row)
        return Status.COMPLETE, None

    def train_epoch(self) -> None:
        """Goes through the training images once, from the batch where `progress` is."""
        p, cfg, train = self.progress, self.cfg, self.data.train
        num_batches = math.ceil(len(train) / cfg.batch_size)
        order = torch.randperm(len(train), generator=generator(self.seed, "batches", p.epoch)).to(self.device)
        started = time.perf_counter() - p.seconds
        title = f"epoch {p.epoch + 1}/{cfg.epochs}"
        self.model.train()
        with tqdm(total=num_batches, initial=p.batch, desc=title, unit="batch", leave=False, disable=None) as bar:
            for index in torch.split(order, cfg.batch_size)[p.batch :]:
                self.stop.check()
                step = p.epoch * num_batches + p.batch
                seed_device(derive(self.seed, "dropout", step), self.device)
                x_BTI = self.data.sequences(
                    train.images[index], generator(self.seed, "augment", step) if self.augment else None
                )
                loss, num_correct = self.step(x_BTI, train.labels[index], step, num_batches)
                p.loss_sum += loss * len(index)
                p.num_correct += num_correct
                p.num_seen += len(index)
                p.batch += 1
                p.seconds = time.perf_counter() - started
                bar.set_postfix(loss=f"{p.loss_sum / p.num_seen:.4f}", refresh=False)
                bar.update()
                if time.monotonic() - self.saved_at > cfg.checkpoint_seconds:
                    self.save_checkpoint()

    def step(self, x_BTI: Tensor, labels: Tensor, step: int, num_batches: int) -> tuple[float, int]:
        """Takes one optimizer step. Returns the loss before it, in nats per image, and how many were right.

        Raises:
            Diverged: the loss is not finite; the weights are as before.
        """
        cfg = self.cfg
        factor = self.schedule(step, cfg.epochs * num_batches, step // num_batches)
        for group, base_lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            if base_lr is not None:
                group["lr"] = base_lr * factor
        logits_BO = forward(self.model, x_BTI, self.precision.name)
        loss = cross_entropy(logits_BO, labels, label_smoothing=cfg.label_smoothing)
        if not math.isfinite(value := loss.item()):
            raise Diverged(
                f"training loss was {value} in epoch {self.progress.epoch + 1}, batch {self.progress.batch + 1}"
            )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if cfg.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), cfg.clip_norm)
        self.optimizer.step()
        return value, int((logits_BO.argmax(1) == labels).sum())

    def finish_epoch(self) -> Row:
        """Validates, takes note of the epoch and of whether it is the best, and sets `progress` to the next one."""
        p = self.progress
        started = time.perf_counter()
        lr = self.optimizer.param_groups[0].get("lr", math.nan)
        valid_loss, valid_accuracy = self.evaluate(self.data.valid, "validation")
        if not math.isfinite(valid_loss):
            raise Diverged(f"validation loss was {valid_loss} after epoch {p.epoch + 1}")
        row: Row = {
            "epoch": p.epoch + 1,
            "lr": lr,
            "train_loss": p.loss_sum / p.num_seen,
            "train_accuracy": p.num_correct / p.num_seen,
            "valid_loss": valid_loss,
            "valid_accuracy": valid_accuracy,
            "epoch_seconds": p.seconds + time.perf_counter() - started,
        }
        p.history.append(row)
        p.epoch, p.batch, p.loss_sum, p.num_correct, p.num_seen, p.seconds = p.epoch + 1, 0, 0.0, 0, 0, 0.0
        if self.cfg.keep == "last" or not p.best_epoch or self.is_better(row, p.history[p.best_epoch - 1]):
            p.best_epoch = p.epoch
            p.best_weights = {key: value.detach().clone() for key, value in self.model.state_dict().items()}
        return row

    def is_better(self, row: Row, than: Row) -> bool:
        """Compares by `train.monitor`; between equal accuracies, by loss."""
        if self.cfg.monitor == "valid_accuracy" and row["valid_accuracy"] != than["valid_accuracy"]:
            return row["valid_accuracy"] > than["valid_accuracy"]
        return row["valid_loss"] < than["valid_loss"]

    def is_finished(self) -> bool:
        """Whether nothing is left to train."""
        return self.progress.epoch >= self.cfg.epochs or self.is_patience_over()

    def is_patience_over(self) -> bool:
        """Whether `train.patience` epochs have passed since the best one by `train.monitor`."""
        history = self.progress.history
        if self.cfg.patience is None or not history:
            return False
        best = 0
        for i, row in enumerate(history):
            best = i if self.is_better(row, history[best]) else best
        return len(history) - 1 - best >= self.cfg.patience

    def evaluate(self, part: Images, title: str) -> tuple[float, float]:
        """Returns mean cross-entropy in nats per image, and accuracy in [0, 1].

        Raises:
            Interrupted: a signal came.
        """
        loss_sum, num_correct = 0.0, 0
        for logits_BO, labels in self.outputs(part, title):
            loss_sum += cross_entropy(logits_BO, labels, reduction="sum").item()
            num_correct += int((logits_BO.argmax(1) == labels).sum())
        return loss_sum / len(part), num_correct / len(part)

    def outcomes(self, part: Images, title: str) -> tuple[Tensor, Tensor]:
        """Returns, for each image, the cross-entropy in nats, float32 (N,), and the predicted class, (N,).

        Raises:
            Interrupted: a signal came.
        """
        losses, predicted = [], []
        for logits_BO, labels in self.outputs(part, title):
            losses.append(cross_entropy(logits_BO, labels, reduction="none"))
            predicted.append(logits_BO.argmax(1))
        return torch.cat(losses), torch.cat(predicted)

    def outputs(self, part: Images, title: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields logits_BO and labels of one batch after the other, from the model in eval mode.

        Raises:
            Interrupted: a signal came.
        """
        self.model.eval()
        index = torch.arange(len(part), device=part.labels.device)
        with torch.inference_mode(), tqdm(total=len(part), desc=title, delay=1, leave=False, disable=None) as bar:
            for chunk in torch.split(index, self.cfg.eval_batch_size):
                self.stop.check()
                x_BTI = self.data.sequences(part.images[chunk])
                yield forward(self.model, x_BTI, self.precision.name), part.labels[chunk]
                bar.update(len(chunk))

    def save_checkpoint(self) -> None:
        self.save(self)
        self.saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Returns what `load_state_dict` needs to go on exactly, made of tensors and plain values alone."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": dict(vars(self.progress)),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])


def seed_device(seed: int, device: torch.device) -> None:
    """Sets the generator that the device's layers draw from; `torch.manual_seed` sets all, at 100 times the cost."""
    torch.default_generator.manual_seed(seed)
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).manual_seed(seed)


def generator(seed: int, stream: str, index: int) -> torch.Generator:
    """Returns a CPU generator at the start of a named stream."""
    return torch.Generator().manual_seed(derive(seed, stream, index))
