"""`run`: the one function that turns a configuration into a result."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch.nn.functional import cross_entropy

import rnnexp
from hydra_sweep import lanes, signals, sources
from hydra_sweep.errors import UserError, describe_error
from rnnexp import callbacks as hooks
from rnnexp.callbacks import Callback, Callbacks, RunView
from rnnexp.data import loading
from rnnexp.data.splitting import Part
from rnnexp.preconditions import machine_problems
from rnnexp.record import labels
from rnnexp.record.labels import Labels
from rnnexp.record.result import RunResult, Status, TestOutcomes
from rnnexp.record.run_folder import HydraFiles, RunFolder
from rnnexp.record.tensors import load_tensors, save_tensors
from rnnexp.schema import validation
from rnnexp.schema.config import plain_config, with_schema
from rnnexp.schema.identity import computed, dataset_difference, difference
from rnnexp.training.attempt import Attempt
from rnnexp.training.build import build, describe, num_parameters
from rnnexp.training.loop import Trainer
from rnnexp.training.machine import memory_problem, pick_device
from rnnexp.training.progress import Row

NUM_MISTAKES = 20  # that are recorded as they are, for the run's page, as far as they fit into
MISTAKES_BYTES = 32 * 2**20
LATER = {"precision", "own_code", "is_stacked"}  # in checkpoints than in the first ones
log = logging.getLogger("rnnexp")


def run(
    config: DictConfig | Mapping[str, Any],
    out: str | os.PathLike[str],
    *,
    choices: Mapping[str, str] | None = None,
    hydra_files: HydraFiles | None = None,
    on_epoch: Callable[[Row], bool | Status] = lambda row: False,
    test: bool = True,
    callbacks: Sequence[Callback] = (),
    trial: str | None = None,
    is_stacked: bool | None = None,
) -> RunResult:
    """Trains, keeps the best epoch, tests it once, and leaves the record in the folder `out`.

    Args:
        config: composed by Hydra, or read back from a record.
        choices: the group options behind it, for the table of results.
        hydra_files: what Hydra leaves in `.hydra/`; by default the configuration alone.
        on_epoch: is told each epoch's row and returns whether to prune the run. When the run goes on from a
            checkpoint, it is told the rows behind it again.
        test: False for a trial of a search, which a choice is made from: the test set is not even read.
        callbacks: are told of the run, beside those of the configuration.
        trial: of one of many, its folder below the sweep's, such as 3 or 3/0; `name` is the sweep's then.
        is_stacked: whether steps are computed as for trials side by side; None: if they are.

    Raises:
        UserError: the configuration can't run here, or the folder holds another run.
        Interrupted: SIGTERM or Ctrl-C came; the checkpoint is written.
    """
    cfg, folder = checked(config, test), RunFolder(Path(out))
    told = Callbacks([*(hooks.checked(own, "callbacks") for own in callbacks), *hooks.configured(cfg)])
    dataset = loading.take(cfg.data, test)
    about = dataset.identity
    with folder.claim(), signals.catch() as stop:
        done = recorded_result(folder, cfg, about)
        checkpoint = None if done else recorded_checkpoint(folder, cfg, about)
        view = RunView.of(folder, plain_config(cfg), choices or {}, settled_labels(folder, cfg), trial)
        if done:
            accuracy = done.metrics.get("test_accuracy")
            tested = "test set unseen" if accuracy is None else f"test accuracy {100 * accuracy:.2f} %"
            log.info("%s has finished already: %s, %s", folder.path, done.status.value, done.reason or tested)
            told.start(replace(view, history=hooks.recorded_rows(folder)))  # it may have died before it could tell
            told.end(done)
            return done
        folder.write_hydra_files(hydra_files or HydraFiles(OmegaConf.to_yaml(cfg)))
        attempt = Attempt.begin(cfg, checkpoint, choices or {}, lanes.are_many() if is_stacked is None else is_stacked)
        trainer: Trainer | None = None
        precision = None  # as far as it is known if the run fails, as are the metrics
        metrics: dict[str, float] = {"epochs": attempt.num_epochs}
        try:
            checkpoint_writer = partial(save, folder, attempt, about)
            noted = partial(note, folder, told)
            trainer = build(attempt, dataset, stop, save=checkpoint_writer, note=noted, on_epoch=on_epoch, test=test)
            precision, metrics["num_parameters"] = trainer.precision, num_parameters(trainer.model)
            about |= read_as(trainer)
            describe(trainer, attempt, dataset)
            if checkpoint:
                restore(trainer, checkpoint, folder)
            folder.write_history(trainer.progress.history, cfg.metrics)
            told.start(replace(view, history=tuple(trainer.progress.history)))
            try:
                status, reason = trainer.fit()
            finally:  # a failed run has metrics too
                metrics |= summarize(trainer)
            metrics |= finish(trainer, status, reason, folder)
            result = attempt.result(status, reason, metrics, about, precision, trainer.is_stacked)
            folder.write_result(result)
        except signals.Interrupted as stopped:
            log.warning(stopped if isinstance(stopped, signals.Paused) else "stopped; train.resume=true resumes it")
            told.end(None)
            raise
        except Exception as error:
            is_evaluating = trainer is not None and not trainer.model.training
            key = "eval_batch_size" if is_evaluating else "batch_size"
            problem = memory_problem(error, attempt.device, f"train.{key}", cfg.train[key])
            ran_stacked = trainer is not None and trainer.is_stacked
            reason = problem or describe_error(error)
            failed = attempt.result(Status.FAILED, reason, metrics, about, precision, ran_stacked)
            with suppress(UserError):  # a full disk, say, is what failed
                folder.write_result(failed)
            told.end(failed)
            if problem:
                raise UserError(problem) from error
            raise
        told.end(result)
    return result


def checked(config: DictConfig | Mapping[str, Any], test: bool) -> DictConfig:
    """Returns the configuration with its schema, read-only from here on.

    Raises:
        UserError: a value is out of range, a key is unknown to what it configures, this machine lacks something, or a
            run that must not see the test set is to validate on it.
    """
    cfg = with_schema(config).copy()
    problems = validation.problems(cfg, is_search=not test) or list(machine_problems(cfg, with_test=test))
    if problems:
        loading.forget()  # what is wrong may be mended before the next run of this process
        raise UserError(problems)
    OmegaConf.set_readonly(cfg, True)
    return cfg


def settled_labels(folder: RunFolder, cfg: DictConfig) -> Labels:
    """Returns the run's tags and notes: those that it has, or those that it begins with."""
    asked = Labels(tuple(cfg.tags), cfg.notes)
    try:
        found = labels.settle(folder, asked._asdict())
    except UserError:
        raise
    except ValueError as error:
        log.warning("%s: %s", folder.path, error)
        return asked
    if asked not in (found, Labels()):
        log.warning(
            "%s keeps its tags and notes; rnnexp tag %s +TAG -TAG --notes TEXT changes them", *[folder.path] * 2
        )
    return found


def recorded_result(folder: RunFolder, cfg: DictConfig, dataset: Mapping[str, Any]) -> RunResult | None:
    """Returns the result of the run that `train.resume` asks to go on with, if it has finished; a failed one has not.

    Raises:
        UserError: the folder holds a run and `train.resume` is false, or a run of another configuration.
    """
    if not cfg.train.resume:
        if folder.result.exists() or folder.checkpoint.exists() or folder.history.exists():
            raise UserError(folder.taken)
        return None
    try:
        result = folder.read_result()
    except ValueError as error:
        raise UserError(f"{folder.result} is corrupt ({error}); delete it to go on from the checkpoint") from error
    if result is None:
        return None
    refuse_another(folder, result.config, result.environment.get("own_code"), cfg, result.dataset, dataset)
    if result.status is not Status.FAILED:
        return result
    folder.result.unlink()
    return None


def recorded_checkpoint(folder: RunFolder, cfg: DictConfig, dataset: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the checkpoint to go on from, or None to start from scratch.

    Raises:
        UserError: it can't be read, or another configuration wrote it.
    """
    if not folder.checkpoint.exists():
        return None
    try:
        checkpoint = load_tensors(folder.checkpoint, pick_device(cfg.train.device))
        if checkpoint.keys() | LATER != {"trainer", "attempt", "config", "dataset", *LATER}:
            raise ValueError("it is no checkpoint of this version of rnnexp")
    except ValueError as error:
        raise UserError(f"{folder.checkpoint} is corrupt ({error}); delete it to start the run anew") from error
    refuse_another(folder, checkpoint["config"], checkpoint.get("own_code"), cfg, checkpoint["dataset"], dataset)
    return checkpoint


def restore(trainer: Trainer, checkpoint: Mapping[str, Any], folder: RunFolder) -> None:
    """Sets the trainer to where the checkpoint is.

    Raises:
        UserError: the network or the optimizer is another one by now.
    """
    try:
        trainer.load_state_dict(checkpoint["trainer"])
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
        cause = " ".join(str(error).split())[:160]
        raise UserError(
            f"{folder.checkpoint} is of another network or version ({cause}); delete it to start the run anew"
        ) from error
    log.info("resuming after epoch %d, batch %d", trainer.progress.epoch, trainer.progress.batch)


def refuse_another(
    folder: RunFolder,
    recorded: Mapping[str, Any],
    own_code: Mapping[str, str] | None,
    cfg: DictConfig,
    recorded_dataset: Mapping[str, Any],
    dataset: Mapping[str, Any],
) -> None:
    """Raises: UserError with the difference, if the record is of another computation.

    Args:
        recorded: its configuration.
        own_code: the versions of the user's own modules that it was made with, if they were recorded.
        recorded_dataset, dataset: the identities of its dataset, and of the one that is there now.
    """
    config = plain_config(cfg)
    what, changes = "configuration", difference(recorded, config)
    if not changes:
        now = sources.versions(computed(config), rnnexp.__path__)
        what, changes = "version of the code", sources.edited(own_code, now)
    if not changes:
        what, changes = "dataset", dataset_difference(recorded_dataset, dataset)
    if changes:
        raise UserError(f"{folder.path} holds a run of another {what} ({'; '.join(changes)}); choose another name")


def note(folder: RunFolder, told: Callbacks, trainer: Trainer, row: Row) -> None:
    """Adds an epoch to the history and the log, and tells the callbacks."""
    folder.append_history(row)
    log.info(
        "epoch %*d/%d  train loss %.4f acc %5.2f %%%s  %.1f s%s",
        len(str(trainer.cfg.epochs)),
        row["epoch"],
        trainer.cfg.epochs,
        row["train_loss"],
        100 * row["train_accuracy"],
        f"  valid loss {row['valid_loss']:.4f} acc {100 * row['valid_accuracy']:5.2f} %" if trainer.data.valid else "",
        row["epoch_seconds"],
        "  kept" if trainer.progress.best_epoch == row["epoch"] else "",
    )
    told.epoch(row)


def save(folder: RunFolder, attempt: Attempt, dataset: Mapping[str, Any], trainer: Trainer) -> None:
    """Writes the checkpoint, whole or not at all: until the new one is on disk, the old one is there.

    It comes before the epoch's line in the history and before its report: a process that dies in between has both to
    make up for, which is why a resumed run writes the history anew from the checkpoint, and reports its epochs again.
    """
    content = {"trainer": trainer.state_dict(), "attempt": attempt.number, "config": attempt.config}
    content |= {"own_code": attempt.environment["own_code"], "precision": trainer.precision.name}
    content["is_stacked"] = trainer.is_stacked
    content |= {"dataset": {"classes": dataset["classes"], "checksum": dataset["checksum"]}}
    save_tensors(folder.checkpoint, content)


def read_as(trainer: Trainer) -> dict[str, Any]:
    """Returns what is recorded of how the dataset was split and normalized."""
    parts, by = trainer.data, trainer.sequences.normalization
    sizes = {name: None if part is None else len(part) for name, part in vars(parts).items()}
    return {f"num_{name}": size for name, size in sizes.items()} | {"mean": by.mean, "std": by.std}


def summarize(trainer: Trainer) -> dict[str, float]:
    """Returns the kept epoch's metrics and what training cost."""
    p = trainer.progress
    kept = p.history[p.best_epoch - 1] if p.best_epoch else {}
    metrics = {
        k: v for k, v in kept.items() if k.startswith("train_") or (k.startswith("valid_") and trainer.data.valid)
    }
    seconds = p.seconds + sum(row["epoch_seconds"] for row in p.history)
    midway = [row["epoch"] for row in p.midway if row["epoch"] > p.epoch]  # one that has ended within an epoch
    epochs = midway[-1] if p.batch and midway else p.epoch
    return metrics | {"epochs": epochs, "best_epoch": p.best_epoch, "train_seconds": seconds}


def finish(trainer: Trainer, status: Status, reason: str | None, folder: RunFolder) -> dict[str, float]:
    """Writes the kept weights, and tests a complete run on them, once, if at all. Returns the metrics of the test."""
    if trainer.progress.best_weights:
        trainer.model.load_state_dict(trainer.progress.best_weights)
        save_tensors(folder.model, trainer.model.state_dict())
    if status is not Status.COMPLETE:
        log.warning("%s: %s", status.value, reason)
        return {}
    if trainer.data.test is None:
        return {}
    outcomes, measured = tested(trainer, trainer.data.test)
    folder.write_test_outcomes(outcomes)
    log.info(
        "test loss %.4f acc %.2f %% with the weights of epoch %d",
        outcomes.loss,
        100 * outcomes.accuracy,
        trainer.progress.best_epoch,
    )
    return {"test_loss": outcomes.loss, "test_accuracy": outcomes.accuracy} | measured


def tested(trainer: Trainer, test: Part) -> tuple[TestOutcomes, dict[str, float]]:
    """Returns what the network makes of each test example, and the configuration's metrics of it."""
    logits_NO = trainer.outcomes(test, "test")
    losses, predicted = cross_entropy(logits_NO, test.labels, reduction="none"), logits_NO.argmax(1)
    kind = np.uint8 if logits_NO.shape[1] <= 256 else np.uint16
    wrong = (predicted != test.labels).nonzero().flatten()
    worst = wrong[losses[wrong].argsort(descending=True, stable=True)][:NUM_MISTAKES]
    x, lengths = test.batch(worst) if len(worst) else (test.x[:0], None)
    if len(worst) == 0 and x.ndim == 2:  # of unequal series
        x = x[None][:0]
    if lengths is not None:
        has_ended = torch.arange(x.shape[1], device=x.device)[None] >= lengths[:, None]
        x = x.float().masked_fill(has_ended[..., None], math.nan)
    if x.nbytes > MISTAKES_BYTES:
        fitting = MISTAKES_BYTES // x[0].nbytes
        worst, x = worst[:fitting], x[:fitting]
    outcomes = TestOutcomes(
        labels=test.labels.cpu().numpy().astype(kind),
        predicted=predicted.cpu().numpy().astype(kind),
        losses=losses.cpu().numpy(),
        worst=worst.cpu().numpy(),
        worst_x=x.cpu().numpy(),
    )
    measured = trainer.measure(test.labels, logits_NO) if trainer.metrics else {}
    return outcomes, {f"test_{name}": value for name, value in measured.items()}
