"""`run`: the one function that turns a configuration into a result."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import rnnexp
from hydra_sweep import signals, sources
from hydra_sweep.errors import UserError, describe_error
from rnnexp.preconditions import machine_problems
from rnnexp.record.result import RunResult, Status, TestOutcomes
from rnnexp.record.run_folder import HydraFiles, RunFolder
from rnnexp.record.tensors import load_tensors, save_tensors
from rnnexp.schema import validation
from rnnexp.schema.config import plain_config, with_schema
from rnnexp.schema.identity import difference
from rnnexp.training.attempt import Attempt
from rnnexp.training.build import build, describe, num_parameters
from rnnexp.training.loop import Row, Trainer
from rnnexp.training.machine import pick_device

LATER = {"precision", "own_code"}  # in checkpoints than in the first ones
log = logging.getLogger("rnnexp")


def run(
    config: DictConfig | Mapping[str, Any],
    out: str | os.PathLike[str],
    *,
    choices: Mapping[str, str] | None = None,
    hydra_files: HydraFiles | None = None,
    on_epoch: Callable[[Row], bool] = lambda row: False,
    test: bool = True,
) -> RunResult:
    """Trains, keeps the best epoch, tests it once, and leaves the record in the folder `out`.

    Args:
        config: composed by Hydra, or read back from a record.
        choices: the group options behind it, for the table of results.
        hydra_files: what Hydra leaves in `.hydra/`; by default the configuration alone.
        on_epoch: is told each epoch's row and returns whether to prune the run. When the run goes on from a
            checkpoint, it is told the rows behind it again.
        test: False for a trial of a search, which a choice is made from: the test set is not even read.

    Raises:
        UserError: the configuration can't run here, or the folder holds another run.
        Interrupted: SIGTERM or Ctrl-C came; the checkpoint is written.
    """
    cfg, folder = checked(config, test), RunFolder(Path(out))
    with folder.claim(), signals.catch() as stop:
        if done := recorded_result(folder, cfg):
            accuracy = done.metrics.get("test_accuracy")
            tested = "test set unseen" if accuracy is None else f"test accuracy {100 * accuracy:.2f} %"
            log.info("%s has finished already: %s, %s", folder.path, done.status.value, done.reason or tested)
            return done
        checkpoint = recorded_checkpoint(folder, cfg)
        folder.write_hydra_files(hydra_files or HydraFiles(OmegaConf.to_yaml(cfg)))
        attempt = Attempt.begin(cfg, checkpoint, choices or {})
        precision = None  # as far as it is known if the run fails, as are the metrics
        metrics: dict[str, float] = {"epochs": attempt.num_epochs}
        try:
            checkpoint_writer = partial(save, folder, attempt)
            trainer = build(
                attempt, stop, save=checkpoint_writer, note=partial(note, folder), on_epoch=on_epoch, test=test
            )
            precision, metrics["num_parameters"] = trainer.precision, num_parameters(trainer.model)
            describe(trainer, attempt)
            if checkpoint:
                restore(trainer, checkpoint, folder)
            folder.write_history(trainer.progress.history)
            try:
                status, reason = trainer.fit()
            finally:  # a failed run has metrics too
                metrics |= summarize(trainer)
            metrics |= finish(trainer, status, reason, folder)
            result = attempt.result(status, reason, metrics, precision)
            folder.write_result(result)
        except signals.Interrupted:
            log.warning("stopped; train.resume=true resumes it")
            raise
        except Exception as error:
            with suppress(UserError):  # a full disk, say, is what failed
                folder.write_result(attempt.result(Status.FAILED, describe_error(error), metrics, precision))
            raise
    return result


def checked(config: DictConfig | Mapping[str, Any], test: bool) -> DictConfig:
    """Returns the configuration with its schema, read-only from here on.

    Raises:
        UserError: a value is out of range, a key is unknown to what it configures, this machine lacks something, or a
            run that must not see the test set is to validate on it.
    """
    cfg = with_schema(config).copy()
    problems = validation.problems(cfg, is_search=not test) or list(machine_problems(cfg))
    if problems:
        raise UserError(problems)
    OmegaConf.set_readonly(cfg, True)
    return cfg


def recorded_result(folder: RunFolder, cfg: DictConfig) -> RunResult | None:
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
    refuse_another(folder, result.config, result.environment.get("own_code"), cfg)
    if result.status is not Status.FAILED:
        return result
    folder.result.unlink()
    return None


def recorded_checkpoint(folder: RunFolder, cfg: DictConfig) -> dict[str, Any] | None:
    """Returns the checkpoint to go on from, or None to start from scratch.

    Raises:
        UserError: it can't be read, or another configuration wrote it.
    """
    if not folder.checkpoint.exists():
        return None
    try:
        checkpoint = load_tensors(folder.checkpoint, pick_device(cfg.train.device))
        if checkpoint.keys() | LATER != {"trainer", "attempt", "config", *LATER}:
            raise ValueError("it is no checkpoint of this version of rnnexp")
    except ValueError as error:
        raise UserError(f"{folder.checkpoint} is corrupt ({error}); delete it to start the run anew") from error
    refuse_another(folder, checkpoint["config"], checkpoint.get("own_code"), cfg)
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
    folder: RunFolder, recorded: Mapping[str, Any], own_code: Mapping[str, str] | None, cfg: DictConfig
) -> None:
    """Raises: UserError with the difference, if the record is of another computation.

    Args:
        recorded: its configuration.
        own_code: the versions of the user's own modules that it was made with, if they were recorded.
    """
    config = plain_config(cfg)
    changes = difference(recorded, config)
    what = "configuration" if changes else "version of the code"
    if changes := changes or sources.edited(own_code, sources.versions(config, rnnexp.__path__)):
        raise UserError(f"{folder.path} holds a run of another {what} ({'; '.join(changes)}); choose another name")


def note(folder: RunFolder, trainer: Trainer, row: Row) -> None:
    """Adds an epoch to the history and the log."""
    folder.append_history(row)
    log.info(
        "epoch %*d/%d  train loss %.4f acc %5.2f %%  valid loss %.4f acc %5.2f %%  %.1f s%s",
        len(str(trainer.cfg.epochs)),
        row["epoch"],
        trainer.cfg.epochs,
        row["train_loss"],
        100 * row["train_accuracy"],
        row["valid_loss"],
        100 * row["valid_accuracy"],
        row["epoch_seconds"],
        "  kept" if trainer.progress.best_epoch == row["epoch"] else "",
    )


def save(folder: RunFolder, attempt: Attempt, trainer: Trainer) -> None:
    """Writes the checkpoint, whole or not at all: until the new one is on disk, the old one is there.

    It comes before the epoch's line in the history and before its report: a process that dies in between has both to
    make up for, which is why a resumed run writes the history anew from the checkpoint, and reports its epochs again.
    """
    content = {"trainer": trainer.state_dict(), "attempt": attempt.number, "config": attempt.config}
    content |= {"own_code": attempt.environment["own_code"], "precision": trainer.precision.name}
    save_tensors(folder.checkpoint, content)


def summarize(trainer: Trainer) -> dict[str, float]:
    """Returns the kept epoch's metrics and what training cost."""
    p = trainer.progress
    kept = p.history[p.best_epoch - 1] if p.best_epoch else {}
    metrics = {k: v for k, v in kept.items() if k.startswith(("train_", "valid_"))}
    seconds = p.seconds + sum(row["epoch_seconds"] for row in p.history)
    return metrics | {"epochs": p.epoch, "best_epoch": p.best_epoch, "train_seconds": seconds}


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
    labels = trainer.data.test.labels
    losses, predicted = trainer.outcomes(trainer.data.test, "test")
    outcomes = TestOutcomes(*(part.cpu().numpy() for part in (labels.byte(), predicted.byte(), losses)))
    folder.write_test_outcomes(outcomes)
    log.info(
        "test loss %.4f acc %.2f %% with the weights of epoch %d",
        outcomes.loss,
        100 * outcomes.accuracy,
        trainer.progress.best_epoch,
    )
    return {"test_loss": outcomes.loss, "test_accuracy": outcomes.accuracy}
