"""From an attempt's configuration to a trainer that is ready for its first step.

Shapes: B batch, T time, I input features, O classes.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from hydra_sweep.errors import UserError, counted
from hydra_sweep.seeds import derive
from hydra_sweep.signals import Stop
from rnnexp.data.dataset import IMAGES, Dataset
from rnnexp.data.sequences import Normalization, Sequences
from rnnexp.data.splitting import Part, Parts, split
from rnnexp.record.result import Status, few_to_validate
from rnnexp.schema.config import plain_config
from rnnexp.training import compiler, machine, precision, steps
from rnnexp.training.attempt import Attempt
from rnnexp.training.loop import Trainer
from rnnexp.training.progress import Row

log = logging.getLogger("rnnexp")
CONSTANT = "rnnexp.schedules.constant"  # the schedule that asks for no learning rate


def build(
    attempt: Attempt,
    dataset: Dataset,
    stop: Stop,
    *,
    save: Callable[[Trainer], None],
    note: Callable[[Trainer, Row], None],
    on_epoch: Callable[[Row], bool | Status],
    test: bool,
) -> Trainer:
    """Returns everything that training needs, at its beginning.

    Args:
        save, note, on_epoch: as `Trainer` has them.
        dataset: that `data` names, found sound.
        test: keep a part to test.

    Raises:
        UserError: the network can't read the data, or the optimizer can't be driven by the loop.
    """
    cfg, config, device = attempt.cfg, attempt.config, attempt.device
    parts = split(dataset, cfg.data, device, with_test=test)
    num_batches = math.ceil(len(parts.train) / cfg.train.batch_size)
    if cfg.train.reports_per_epoch > num_batches:
        here = counted(num_batches, "batch", "batches")
        raise UserError(f"train.reports_per_epoch={cfg.train.reports_per_epoch} is more than the {here} of an epoch")
    machine.keep_memory()  # from here on: what the dataset was made of is given back
    normalization = Normalization.of(cfg.data, parts.train, dataset.kind)
    sequences = Sequences(cfg.data, dataset.kind, dataset.shape, normalization)
    make_model = partial(make_network, config, sequences.input_size, len(dataset.classes))
    inputs = sequences(parts.train, torch.arange(min(cfg.train.batch_size, len(parts.train)), device=device))
    chosen = precision.choose(cfg.train.precision, attempt.begun_in, make_model, inputs)
    torch.manual_seed(derive(cfg.seed, "init"))
    model = make_model().to(device)
    if problem := lengths_problem(cfg, model, parts):
        raise UserError(problem)
    optimizer = make_optimizer(config, model)
    return Trainer(
        model=model,
        optimizer=optimizer,
        schedule=instantiate(config["schedule"], _partial_=True, _convert_="all"),
        data=parts,
        sequences=sequences,
        cfg=cfg.train,
        metrics={name: instantiate(node, _partial_=True, _convert_="all") for name, node in config["metrics"].items()},
        class_weights=class_weights(parts.train, len(dataset.classes))
        if cfg.train.class_weights == "balanced"
        else None,
        seed=cfg.seed,
        device=device,
        precision=chosen,
        stop=stop,
        save=save,
        on_epoch=on_epoch,
        note=note,
        is_stacked=attempt.is_stacked and steps.can_be_stacked(model, optimizer, inputs, chosen.name),
    )


def make_network(config: Mapping[str, Any], input_size: int, num_classes: int) -> nn.Module:
    """Returns a new network, its initial weights drawn from torch's generator."""
    network: nn.Module = instantiate(config["model"], input_size=input_size, num_classes=num_classes, _convert_="all")
    return network


def lengths_problem(cfg: DictConfig, model: nn.Module, parts: Parts) -> str | None:
    """Returns what to type if series have unequal lengths and the network takes none, or the other way round."""
    parameters = inspect.signature(model.forward).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in positional if p.default is p.empty]
    are_unequal = {part.lengths is not None for part in vars(parts).values() if part}
    if True in are_unequal and len(positional) < 2:
        return (
            f"the series have unequal lengths, and {cfg.model._target_} takes none: "
            "give its forward a second argument, lengths_B"
        )
    if False in are_unequal and len(needed) > 1:
        return f"{cfg.model._target_} needs lengths, and the series have one: give lengths_B the default None"
    return None


def class_weights(train: Part, num_classes: int) -> Tensor:
    """Returns the weight of each class in the training loss, n / (O n_o) for n_o of n examples (King and Zeng 2001)."""
    counts_O = torch.bincount(train.labels, minlength=num_classes)
    return len(train) / (num_classes * counts_O.clamp(min=1).float())


def make_optimizer(config: Mapping[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    """Returns the optimizer of the network's parameters.

    Raises:
        UserError: the loop can't drive it: it is something else, its step needs a closure, or a schedule is to scale
            the learning rate of an optimizer that has none.
    """
    name, schedule = config["optim"]["_target_"], config["schedule"]["_target_"]
    compiler.put_off()
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


def precision_problem(cfg: DictConfig, dataset: Dataset) -> str | None:
    """Returns what to type if this machine can't train the configuration's network in bf16, which it asks for."""
    device = machine.pick_device(cfg.train.device)
    sequences = Sequences(cfg.data, dataset.kind, dataset.shape, Normalization([0.0], [1.0]))
    inputs = sequences(Part.of(dataset.train, device), torch.arange(min(2, len(dataset.train)), device=device))
    make_model = partial(make_network, plain_config(cfg), sequences.input_size, len(dataset.classes))
    problem = precision.bf16_problem(make_model, inputs)
    return problem and f"train.precision=bf16 {problem}; {precision.BF16_TRY}"


def num_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def describe_data(cfg: DictConfig, parts: Parts, dataset: Dataset, choice: str | None) -> None:
    """Logs what the dataset is and how it is split, and warns of parts that choose by chance."""
    sizes = f"{len(parts.train):,} {dataset.kind} to train"
    sizes += f", {len(parts.valid):,} to validate" if parts.valid else ", none to validate"
    tested = "; the test set stays unseen" if parts.test is None else f", {len(parts.test):,} to test"
    laid_out = f" by {cfg.data.sequence}" if dataset.kind == IMAGES else ""
    name = dataset.name or choice or cfg.data._target_
    log.info("%s%s, %d classes: %s%s", name, laid_out, len(dataset.classes), sizes, tested)
    if dataset.features:
        more = f" and {len(dataset.features) - 8} more" if len(dataset.features) > 8 else ""
        log.info("features: %s%s", ", ".join(dataset.features[:8]), more)
    if cfg.data.folds is not None:
        log.info("validated on fold %d of 0 .. %d (data.folds=%d)", cfg.data.fold, cfg.data.folds - 1, cfg.data.folds)
        counts = torch.bincount(torch.from_numpy(dataset.train.labels), minlength=len(dataset.classes))
        if counts.min() < cfg.data.folds:
            rare = dataset.classes[int(counts.argmin())]
            log.warning(
                "class %s has %d examples: not every one of %d folds has one", rare, counts.min(), cfg.data.folds
            )
    elif cfg.data.valid_from == "test":
        log.warning("validation is the test set itself (data.valid_from=test): choose nothing by these figures")
    if parts.valid and cfg.data.folds is None and (few := few_to_validate(len(parts.valid))):
        log.warning("%s", few)


def describe(trainer: Trainer, attempt: Attempt, dataset: Dataset) -> None:
    """Logs sizes and shapes, after one batch has been through the network to see that it fits.

    Raises:
        UserError: what comes out is not a row of logits for each example, or a metric can't be taken of it.
    """
    cfg, parts = attempt.cfg, trainer.data
    num_rows = min(cfg.train.batch_size, len(parts.train))
    inputs = trainer.sequences(parts.train, torch.arange(num_rows, device=attempt.device))
    trainer.model.eval()
    with torch.inference_mode():
        logits_BO = precision.forward(trainer.model, inputs, trainer.precision.name)
    shape = tuple(inputs[0].shape)
    if logits_BO.shape != (expected := (num_rows, len(dataset.classes))):
        raise UserError(f"{cfg.model._target_} returned {tuple(logits_BO.shape)} for {shape}, not {expected}")
    every_class = torch.arange(len(dataset.classes), device=attempt.device).repeat(2)
    trainer.measure(every_class, torch.nn.functional.one_hot(every_class.flip(0)).float())  # so that it fails now
    describe_data(cfg, parts, dataset, attempt.choices.get("data"))
    if cfg.model.get("dropout") and cfg.model.get("num_layers") == 1:
        log.warning("model.dropout=%s does nothing with model.num_layers=1", cfg.model.dropout)
    shapes = f"{shape} -> {tuple(logits_BO.shape)}"
    is_fused = getattr(trainer.model, "is_fused", lambda device: False)(attempt.device)
    target = f"{cfg.model._target_}{', fused layers' * is_fused}"
    log.info("%s, %s parameters: %s", target, f"{num_parameters(trainer.model):,}", shapes)
    for name, parameter in trainer.model.named_parameters():
        log.info("  %-24s %s", name, tuple(parameter.shape))
    if attempt.device.type == "cpu" and attempt.threads > 1 and machine.is_busy():
        log.warning("other processes keep this machine busy: one thread may be faster; try train.threads=1")
    threads = f"{attempt.threads} thread{'s' * (attempt.threads > 1)}"
    why = "one for each physical core" if cfg.train.threads is None else f"train.threads={cfg.train.threads}"
    log.info("%s, %s (%s), seed %d", attempt.device, threads, why, cfg.seed)
    log.info("%s (%s)", trainer.precision.name, trainer.precision.reason)
    if trainer.is_stacked:
        log.info("steps in one program with those of other trials: equal to this run's alone within rounding")
    elif attempt.is_stacked:
        log.warning(
            "steps one by one: a program of several trials has series of one length, an optimizer of torch's, no bf16"
        )
