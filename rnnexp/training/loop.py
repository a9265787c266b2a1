"""Fit and evaluate: the loop, and all that it must remember to go on exactly. No Hydra, no Optuna, no files."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from hydra_sweep.errors import UserError
from hydra_sweep.lanes import give_way, together
from hydra_sweep.quantities import about
from hydra_sweep.seeds import derive
from hydra_sweep.signals import Interrupted, Stop
from rnnexp.bars import IS_HIDDEN
from rnnexp.data.sequences import Sequences, batches, by_length
from rnnexp.data.splitting import Part, Parts
from rnnexp.record.result import Status
from rnnexp.schema.config import TrainConfig
from rnnexp.training.precision import Inputs, Precision, forward
from rnnexp.training.progress import Diverged, Ended, Progress, Row, Taken
from rnnexp.training.steps import STEPS_AHEAD, Step, alone, in_one_program

Schedule = Callable[[int, int, int], float]  # (step, num_steps, epoch) -> factor of the learning rate
Metric = Callable[[Any, Any], float]  # (labels, probabilities of shape (N, O)) -> the larger, the better
BAR_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"  # in 80 columns
NUM_PACED = 5  # latest epochs that the time left is judged by


@dataclass
class Trainer:
    """One run's moving parts; `fit` moves them."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    data: Parts
    sequences: Sequences
    cfg: TrainConfig
    metrics: Mapping[str, Metric]  # beside loss and accuracy
    class_weights: Tensor | None  # (O,), of the training loss; None: all alike
    seed: int
    device: torch.device
    precision: Precision
    stop: Stop
    save: Callable[[Trainer], None]  # writes a checkpoint
    # Is told each epoch's row, and what `reports_per_epoch` asks for within epochs, again when the run goes on; True
    # prunes it, or the status with which it is to end.
    on_epoch: Callable[[Row], bool | Status]
    note: Callable[[Trainer, Row], None] = lambda trainer, row: None  # is told each epoch's row once
    is_stacked: bool = False  # its steps are computed in one program with those of the trials beside it
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.base_lrs = [group.get("lr") for group in self.optimizer.param_groups]  # None: it has none to scale
        self.saved_at = time.monotonic()
        self.taken: list[Taken] = []  # that `progress` doesn't count yet
        self.first_paced = 0  # epochs that other attempts have done, maybe elsewhere, are no measure of the pace here

    def fit(self) -> tuple[Status, str | None]:
        """Trains until the last epoch, or early, from wherever `progress` is. Returns the status and its reason.

        `on_epoch` hears of the epochs behind `progress` first: a process may have died between its checkpoint and its
        report. Only its answer to the latest epoch counts, and none once training has finished.

        Raises:
            Interrupted: a signal came; the checkpoint is written.
        """
        p = self.progress
        ended: bool | Status = False
        self.first_paced = p.epoch + (p.batch > 0)
        for row in sorted([*p.midway, *p.history], key=lambda row: row["epoch"]):
            ended = self.on_epoch(row)
        while not self.is_finished():
            if ended:
                status = as_status(ended)
                is_within = any(row["epoch"] > p.epoch for row in p.midway)
                where = f"in epoch {p.epoch + 1}, after batch {p.batch}" if is_within else f"after epoch {p.epoch}"
                return status, f"{status.value} {where}"
            try:
                self.train_epoch()
                row = self.finish_epoch()
            except Diverged as diverged:
                return Status.DIVERGED, str(diverged)
            except Ended as midway:
                ended = midway.status
                continue
            except Interrupted:
                self.save(self)
                raise
            self.save_checkpoint()
            self.note(self, row)
            ended = self.on_epoch(row)
        return Status.COMPLETE, None

    def train_epoch(self) -> None:
        """Goes through the training examples once, from the batch where `progress` is.

        Raises:
            Ended: a report within the epoch was answered so.
            Diverged: the loss is not finite.
            Interrupted: a signal came.
        """
        p, cfg, train = self.progress, self.cfg, self.data.train
        order = batches(train, cfg.batch_size, generator(self.seed, "batches", p.epoch))
        num_batches = len(order)
        started = time.perf_counter() - p.seconds
        title = f"epoch {p.epoch + 1}/{cfg.epochs}"
        parts = cfg.reports_per_epoch
        reports = {num_batches * part // parts: p.epoch + part / parts for part in range(1, parts)}
        self.model.train()
        with tqdm(
            total=num_batches,
            initial=p.batch,
            desc=title,
            leave=False,
            disable=IS_HIDDEN.get(),
            bar_format=BAR_FORMAT,
        ) as bar:
            for index in order[p.batch :]:
                if p.batch in reports:
                    self.settle()
                    self.report_midway(reports[p.batch])
                if self.stop.signum is not None:
                    self.settle()
                    self.stop.check()
                self.train_batch(index, p.epoch * num_batches + p.batch, num_batches)
                p.batch += 1
                p.seconds = time.perf_counter() - started
                if not bar.disable:
                    loss = p.loss_sum / p.num_seen if p.num_seen else math.nan
                    bar.set_postfix_str(f"loss={loss:.4f}{self.time_left()}", refresh=False)
                    bar.update()
                if time.monotonic() - self.saved_at > cfg.checkpoint_seconds:
                    self.settle()
                    self.save_checkpoint()
            self.settle()
            p.seconds = time.perf_counter() - started

    def report_midway(self, epoch: float) -> None:
        """Validates within an epoch and reports that, once; the run is the same as without.

        Raises:
            Ended: the answer was to end the run.
            Diverged: the loss is not finite.
        """
        p = self.progress
        if self.data.valid is None or any(row["epoch"] == epoch for row in p.midway):
            return
        valid = self.evaluate(self.data.valid, "validation")
        self.model.train()
        if not math.isfinite(valid["loss"]):
            raise Diverged(f"validation loss was {valid['loss']} in epoch {p.epoch + 1}, after batch {p.batch}")
        row = {"epoch": epoch} | {f"valid_{name}": value for name, value in valid.items()}
        p.midway.append(row)
        self.save_checkpoint()
        if ended := self.on_epoch(row):
            raise Ended(as_status(ended))

    def train_batch(self, index: Tensor, step: int, num_batches: int) -> None:
        """Takes one optimizer step on a batch of training examples. Raises what `step` does."""
        augment = generator(self.seed, "augment", step) if self.sequences.is_augmenting else None
        inputs = self.sequences(self.data.train, index, augment)
        self.step(inputs, self.data.train.labels[index], step, num_batches)

    def step(self, inputs: Inputs, labels: Tensor, step: int, num_batches: int) -> Tensor:
        """Takes one optimizer step. Returns the loss before it, in nats per example, on the device.

        Raises:
            Diverged: the loss is not finite, and on a CPU the weights are as before; on a device that computes by
                itself, one of the steps before may have been the first with such a loss.
        """
        cfg = self.cfg
        factor = self.schedule(step, cfg.epochs * num_batches, step // num_batches)
        for group, base_lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            if base_lr is not None:
                group["lr"] = base_lr * factor
        self.optimizer.zero_grad()
        asked = Step(
            model=self.model,
            optimizer=self.optimizer,
            clip_norm=cfg.clip_norm,
            inputs=inputs,
            labels=labels,
            class_weights=self.class_weights,
            label_smoothing=cfg.label_smoothing,
            seed=derive(self.seed, "dropout", step),
            precision=self.precision.name,
        )
        if self.is_stacked:
            loss, num_correct = together(in_one_program, asked)
        else:
            loss, num_correct = alone(asked)
            give_way()
        self.taken.append(Taken(self.progress.batch + 1, len(labels), loss, num_correct))
        if len(self.taken) >= STEPS_AHEAD.get(self.device.type, 1):
            self.settle()
        return loss

    def settle(self) -> None:
        """Counts the steps taken in `progress`, waiting for the device.

        Raises:
            Diverged: the loss of one is not finite.
        """
        p, taken, self.taken = self.progress, self.taken, []
        if not taken:
            return
        losses = torch.stack([one.loss for one in taken]).tolist()
        counts = torch.stack([one.num_correct for one in taken]).tolist()
        for one, loss, num_correct in zip(taken, losses, counts, strict=True):
            if not math.isfinite(loss):
                raise Diverged(f"training loss was {loss} in epoch {p.epoch + 1}, batch {one.batch}")
            p.loss_sum += loss * one.size
            p.num_correct += num_correct
            p.num_seen += one.size

    def finish_epoch(self) -> Row:
        """Validates, takes note of the epoch and of whether it is the best, and sets `progress` to the next one."""
        p = self.progress
        started = time.perf_counter()
        lr = self.optimizer.param_groups[0].get("lr", math.nan)
        valid = {"loss": math.nan, "accuracy": math.nan, **dict.fromkeys(self.metrics, math.nan)}
        if self.data.valid is not None:
            valid = self.evaluate(self.data.valid, "validation")
            if not math.isfinite(valid["loss"]):
                raise Diverged(f"validation loss was {valid['loss']} after epoch {p.epoch + 1}")
        row: Row = {
            "epoch": p.epoch + 1,
            "lr": lr,
            "train_loss": p.loss_sum / p.num_seen,
            "train_accuracy": p.num_correct / p.num_seen,
            **{f"valid_{name}": value for name, value in valid.items()},
            "epoch_seconds": p.seconds + time.perf_counter() - started,
        }
        p.history.append(row)
        p.epoch, p.batch, p.loss_sum, p.num_correct, p.num_seen, p.seconds = p.epoch + 1, 0, 0.0, 0, 0, 0.0
        if self.cfg.keep == "last" or not p.best_epoch or self.is_better(row, p.history[p.best_epoch - 1]):
            p.best_epoch = p.epoch
            p.best_weights = {key: value.detach().clone() for key, value in self.model.state_dict().items()}
        return row

    def time_left(self) -> str:
        """Returns ", about 3 min left", for all epochs that are left; nothing before the first one has ended here."""
        p = self.progress
        paced = p.history[max(self.first_paced, p.epoch - NUM_PACED) :]
        if not paced:
            return ""
        pace = statistics.median(row["epoch_seconds"] for row in paced)
        seconds = max(0.0, pace * (self.cfg.epochs - p.epoch) - p.seconds)
        return f", {about(seconds)} left{'' if self.cfg.patience is None else ' at most'}"

    def is_better(self, row: Row, than: Row) -> bool:
        """Compares by `train.monitor`; where it is equal, by loss."""
        name = self.cfg.monitor
        new, old = (-math.inf if math.isnan(one[name]) else one[name] for one in (row, than))
        if name != "valid_loss" and new != old:
            return bool(new > old)
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

    def evaluate(self, part: Part, title: str) -> dict[str, float]:
        """Returns loss, the mean cross-entropy in nats, accuracy in [0, 1], and each metric.

        Raises:
            Interrupted: a signal came.
        """
        losses, counts = [], []
        kept: list[tuple[Tensor, Tensor]] = []
        for logits_BO, index in self.outputs(part, title):
            labels = part.labels[index]
            losses.append(cross_entropy(logits_BO, labels, reduction="sum"))
            counts.append((logits_BO.argmax(1) == labels).sum())
            if self.metrics:
                kept.append((labels, logits_BO))
        loss_sum = 0.0
        for loss in torch.stack(losses).tolist():  # one wait for the device; Python's sum() rounds as its version does
            loss_sum += loss
        found = {"loss": loss_sum / len(part), "accuracy": int(torch.stack(counts).sum()) / len(part)}
        if self.metrics and math.isfinite(loss_sum):
            found |= self.measure(*map(torch.cat, zip(*kept, strict=True)))
        return found

    def measure(self, labels: Tensor, logits_NO: Tensor) -> dict[str, float]:
        """Returns each metric of what was predicted.

        Raises:
            UserError: one can't be taken, or is no number.
        """
        labels_N, probabilities_NO = labels.cpu().numpy().copy(), logits_NO.double().softmax(1).cpu().numpy()
        for array in (labels_N, probabilities_NO):
            array.setflags(write=False)  # the next metric is to see the same
        found = {}
        for name, metric in self.metrics.items():
            try:
                found[name] = float(metric(labels_N, probabilities_NO))
            except Exception as error:  # a user's own code
                raise UserError(f"metrics.{name}: {type(error).__name__}: {' '.join(str(error).split())}") from error
        return found

    def outcomes(self, part: Part, title: str) -> Tensor:
        """Returns the logits of each example, float32 (N, O), in the order of the part.

        Raises:
            Interrupted: a signal came.
        """
        found, places = zip(*self.outputs(part, title), strict=True)
        return torch.cat(found)[torch.cat(places).argsort()]

    def outputs(self, part: Part, title: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields logits_BO and the indices of one batch after the other, from the model in eval mode.

        Raises:
            Interrupted: a signal came.
        """
        self.model.eval()
        with (
            torch.inference_mode(),
            tqdm(total=len(part), desc=title, delay=1, leave=False, disable=IS_HIDDEN.get()) as bar,
        ):
            for index in by_length(part, self.cfg.eval_batch_size):
                self.stop.check()
                yield forward(self.model, self.sequences(part, index), self.precision.name), index
                bar.update(len(index))

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


def as_status(ended: bool | Status) -> Status:
    """Returns how a run ends, by the answer to a report that is to end it."""
    return ended if isinstance(ended, Status) else Status.PRUNED


def generator(seed: int, stream: str, index: int) -> torch.Generator:
    """Returns a CPU generator at the start of a named stream."""
    return torch.Generator().manual_seed(derive(seed, stream, index))
