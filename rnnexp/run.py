"""`run`: the one function that turns a configuration into a result."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

import rnnexp
from hydra_sweep import signals, sources
from hydra_sweep.errors import UserError, describe_error
from hydra_sweep.machine import num_physical_cores
from hydra_sweep.seeds import derive
from rnnexp.data import loading
from rnnexp.record.result import RunResult, Status, TestOutcomes
from rnnexp.record.run_folder import RunFolder
from rnnexp.record.tensors import load_tensors, save_tensors
from rnnexp.schema import validation
from rnnexp.schema.config import NUM_CLASSES, plain_config, with_schema
from rnnexp.schema.identity import difference, fingerprint
from rnnexp.training import machine, precision
from rnnexp.training.loop import Row, Trainer

LATER = {"precision", "own_code"}  # in checkpoints than in the first ones
log = logging.getLogger("rnnexp")
CONSTANT = "rnnexp.schedules.constant"  # the schedule that asks for no learning rate


def run(
    config: DictConfig | Mapping[str, Any],
    out: str | os.PathLike[str],
    *,
    choices: Mapping[str, str] | None = None,
    on_epoch: Callable[[Row], bool] = lambda row: False,
    test: bool = True,
) -> RunResult:
    """Trains, keeps the best epoch, tests it once, and leaves the record in the folder `out`.

    Args:
        config: composed by Hydra, or read back from a record.
        choices: the group options behind it, for the table of results.
        on_epoch: is told each epoch's row and returns whether to prune the run. When the run goes on from a
            checkpoint, it is told the rows behind it again.
        test: False for a trial of a search, which a choice is made from: the test set is not even read.

    Raises:
        UserError: the configuration can't run here, or the folder holds another run.
        Interrupted: SIGTERM or Ctrl-C came; the checkpoint is written.
    """
    cfg = check(config, test)
    folder = RunFolder(Path(out))
    with folder.claim(), signals.catch() as stop:
        folder.add_checksums_to_hydra_files()
        if done := recorded_result(folder, cfg):
            accuracy = done.metrics.get("test_accuracy")
            tested = "test set unseen" if accuracy is None else f"test accuracy {100 * accuracy:.2f} %"
            log.info("%s has finished already: %s, %s", folder.path, done.status.value, done.reason or tested)
            return done
        checkpoint = recorded_checkpoint(folder, cfg)
        result = begin(cfg, checkpoint, choices or {})
        try:
            trainer = build(cfg, result, folder, stop, on_epoch, test)
            if checkpoint:
                restore(trainer, checkpoint, folder)
                log.info("resuming after epoch %d, batch %d", trainer.progress.epoch, trainer.progress.batch)
            folder.write_history(trainer.progress.history)
            try:
                result.status, result.reason = trainer.fit()
            finally:  # a failed run has metrics too
                result.metrics |= summarize(trainer)
            finish(trainer, result, folder)
        except signals.Interrupted:
            log.warning("stopped; train.resume=true goes on with it")
            raise
        except Exception as error:
            result.status, result.reason = Status.FAILED, describe_error(error)
            with suppress(UserError):  # a full disk, say, is what failed
                folder.write_result(result)
            raise
    return result


def check(config: DictConfig | Mapping[str, Any], test: bool) -> DictConfig:
    """Returns the configuration with its schema.

    Raises:
        UserError: a value is out of range, a key is unknown to what it configures, the device is not there or can't do
            the precision, or a run that must not see the test set is to validate on it.
    """
    cfg = with_schema(config)
    problems = validation.range_problems(cfg) or validation.target_problems(plain_config(cfg))
    problems += [problem] if (problem := machine.device_problem(cfg.train.device)) else []
    if not test and cfg.data.valid_from == "test":
        problems.append(
            "data.valid_from must be train in a search, got test: it would choose by the test set; "
            "try data.valid_from=train data.valid_size=5000"
        )
    if not problems and (problem := precision_problem(cfg)):
        problems = [problem]
    if problems:
        raise UserError(problems)
    return cfg


def precision_problem(cfg: DictConfig) -> str | None:
    """Returns what to type if this machine can't train the configuration's network in the precision asked for."""
    if cfg.train.precision != "bf16":
        return None
    x_BTI = loading.Sequences(cfg.data)(torch.zeros(2, 28, 28, dtype=torch.uint8))
    make_model = partial(make_network, plain_config(cfg), x_BTI.shape[2])
    problem = precision.bf16_problem(make_model, x_BTI.to(machine.pick_device(cfg.train.device)))
    return problem and f"train.precision=bf16 {problem}; {precision.BF16_TRY}"


def make_network(config: Mapping[str, Any], input_size: int) -> nn.Module:
    """Returns a new network, its initial weights drawn from torch's generator."""
    network: nn.Module = instantiate(config["model"], input_size=input_size, num_classes=NUM_CLASSES, _convert_="all")
    return network


def recorded_result(folder: RunFolder, cfg: DictConfig) -> RunResult | None:
    """Returns the result of the run that `train.resume` asks to go on with, if it is over; a failed one is not.

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
    """Returns the checkpoint to go on from, or None to begin at the beginning.

    Raises:
        UserError: it can't be read, or another configuration wrote it.
    """
    if not folder.checkpoint.exists():
        return None
    try:
        checkpoint = load_tensors(folder.checkpoint, machine.pick_device(cfg.train.device))
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


def begin(cfg: DictConfig, checkpoint: Mapping[str, Any] | None, choices: Mapping[str, str]) -> RunResult:
    """Sets up torch and returns the result as far as it is known before training."""
    device, threads = machine.pick_device(cfg.train.device), cfg.train.threads or num_physical_cores()
    torch.set_num_threads(threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    config = plain_config(cfg)
    return RunResult(
        status=Status.RUNNING,
        reason=None,
        metrics={"epochs": checkpoint["trainer"]["progress"]["epoch"] if checkpoint else 0},
        seed=cfg.seed,
        attempt=checkpoint["attempt"] + 1 if checkpoint else 1,
        choices=dict(choices),
        config=config,
        fingerprint=fingerprint(config),
        device=str(device),
        threads=threads,
        # A run goes on in the precision that it was begun in, whatever `auto` would choose by now.
        precision=(checkpoint or {}).get("precision") or cfg.train.precision,
        precision_reason="",
        environment=machine.environment() | {"own_code": sources.versions(config, rnnexp.__path__)},
    )


def build(
    cfg: DictConfig,
    result: RunResult,
    folder: RunFolder,
    stop: signals.Stop,
    on_epoch: Callable[[Row], bool],
    test: bool,
) -> Trainer:
    """Returns everything that training needs, at its beginning, and says what it is."""
    config, device = result.config, torch.device(result.device)
    dataset = loading.load(cfg.data, device, with_test=test)
    machine.keep_memory()  # from here on: the files that the dataset was taken from are given back
    x_BTI = dataset.sequences(dataset.train.images[: cfg.train.batch_size])
    make_model = partial(make_network, config, x_BTI.shape[2])
    begun = result.precision if result.attempt > 1 else None
    result.precision, result.precision_reason = precision.choose(cfg.train.precision, begun, make_model, x_BTI)
    torch.manual_seed(derive(cfg.seed, "init"))
    model = make_model()
    result.metrics["num_parameters"] = sum(p.numel() for p in model.parameters())
    model.to(device)
    trainer = Trainer(
        model=model,
        optimizer=make_optimizer(config, model),
        schedule=instantiate(config["schedule"], _partial_=True, _convert_="all"),
        data=dataset,
        cfg=cfg.train,
        seed=cfg.seed,
        augment=cfg.data.augment,
        device=device,
        precision=result.precision,
        stop=stop,
        save=lambda: save(trainer, result, folder),
        on_epoch=on_epoch,
        note=lambda row: note(row, trainer, folder),
    )
    describe(trainer, cfg, result, x_BTI)
    return trainer


def make_optimizer(config: Mapping[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    """Returns the optimizer of the network's parameters.

    Raises:
        UserError: the loop can't drive it: it is something else, its step needs a closure, or a schedule is to scale
            the learning rate of an optimizer that has none.
    """
    name, schedule = config["optim"]["_target_"], config["schedule"]["_target_"]
    optimizer = instantiate(config["optim"], _partial_=True, _convert_="all")(model.parameters())
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise UserError(f"optim: {name} returned a {type(optimizer).__name__}, which is not a torch.optim.Optimizer")
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise UserError(f"optim: {name} needs a closure at each step, which rnnexp does not give; choose another optim")
    if schedule != CONSTANT and any("lr" not in group for group in optimizer.param_groups):
        raise UserError(
            f"schedule: {schedule} scales the learning rate, but the parameter groups of {name} have no lr; "
            "type schedule=constant"
        )
    return optimizer


def describe(trainer: Trainer, cfg: DictConfig, result: RunResult, x_BTI: torch.Tensor) -> None:
    """Logs sizes and shapes, after one batch has been through the network to see that it fits.

    Raises:
        UserError: what comes out is not a row of logits for each image.
    """
    trainer.model.eval()
    with torch.inference_mode():
        logits_BO = precision.forward(trainer.model, x_BTI, trainer.precision)
    if logits_BO.shape != (expected := (len(x_BTI), NUM_CLASSES)):
        raise UserError(
            f"{cfg.model._target_} returned {tuple(logits_BO.shape)} for {tuple(x_BTI.shape)}, not {expected}"
        )
    parts = trainer.data
    sizes = f"{len(parts.train):,} images to train, {len(parts.valid):,} to validate"
    tested = "; the test set stays unseen" if parts.test is None else f", {len(parts.test):,} to test"
    log.info("%s by %s: %s%s", cfg.data.name, cfg.data.sequence, sizes, tested)
    if cfg.data.valid_from == "test":
        log.warning("validation is the test set itself (data.valid_from=test): choose nothing by these figures")
    if cfg.model.get("dropout") and cfg.model.get("num_layers") == 1:
        log.warning("model.dropout=%s does nothing with model.num_layers=1", cfg.model.dropout)
    shapes = f"{tuple(x_BTI.shape)} -> {tuple(logits_BO.shape)}"
    is_fused = getattr(trainer.model, "is_fused", lambda device: False)(x_BTI.device)
    target = f"{cfg.model._target_}{', fused layers' * is_fused}"
    log.info("%s, %s parameters: %s", target, f"{result.metrics['num_parameters']:,}", shapes)
    for name, parameter in trainer.model.named_parameters():
        log.info("  %-24s %s", name, tuple(parameter.shape))
    if result.device == "cpu" and result.threads > 1 and machine.is_busy():
        log.warning("other processes keep this machine busy: one thread may be faster; try train.threads=1")
    threads = f"{result.threads} thread{'s' * (result.threads > 1)}"
    why = "one for each physical core" if cfg.train.threads is None else f"train.threads={cfg.train.threads}"
    log.info("%s, %s (%s), seed %d", result.device, threads, why, cfg.seed)
    log.info("%s (%s)", result.precision, result.precision_reason)


def note(row: Row, trainer: Trainer, folder: RunFolder) -> None:
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


def save(trainer: Trainer, result: RunResult, folder: RunFolder) -> None:
    content = {"trainer": trainer.state_dict(), "attempt": result.attempt, "config": result.config}
    content["own_code"] = result.environment["own_code"]
    content["precision"] = trainer.precision
    save_tensors(folder.checkpoint, content)


def summarize(trainer: Trainer) -> dict[str, float]:
    """Returns the kept epoch's metrics and what training cost."""
    p = trainer.progress
    kept = p.history[p.best_epoch - 1] if p.best_epoch else {}
    metrics = {k: v for k, v in kept.items() if k.startswith(("train_", "valid_"))}
    seconds = p.seconds + sum(row["epoch_seconds"] for row in p.history)
    return metrics | {"epochs": p.epoch, "best_epoch": p.best_epoch, "train_seconds": seconds}


def finish(trainer: Trainer, result: RunResult, folder: RunFolder) -> None:
    """Tests a complete run on its kept weights, once, if at all, and writes the model and, last, the result."""
    if trainer.progress.best_weights:
        trainer.model.load_state_dict(trainer.progress.best_weights)
        save_tensors(folder.model, trainer.model.state_dict())
    if result.status is not Status.COMPLETE:
        log.warning("%s: %s", result.status.value, result.reason)
    elif trainer.data.test is not None:
        labels = trainer.data.test.labels
        losses, predicted = trainer.outcomes(trainer.data.test, "test")
        outcomes = TestOutcomes(*(part.cpu().numpy() for part in (labels.byte(), predicted.byte(), losses)))
        folder.write_test_outcomes(outcomes)
        result.metrics |= {"test_loss": outcomes.loss, "test_accuracy": outcomes.accuracy}
        log.info(
            "test loss %.4f acc %.2f %% with the weights of epoch %d",
            outcomes.loss,
            100 * outcomes.accuracy,
            trainer.progress.best_epoch,
        )
    result.environment["ended"] = machine.now()
    folder.write_result(result)
