"""From an attempt's configuration to a trainer that is ready for its first step.

Shapes: B batch, T time, I input features, O classes.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from hydra_sweep.errors import UserError
from hydra_sweep.seeds import derive
from hydra_sweep.signals import Stop
from rnnexp.data import loading
from rnnexp.schema.config import NUM_CLASSES, plain_config
from rnnexp.training import machine, precision
from rnnexp.training.attempt import Attempt
from rnnexp.training.loop import Row, Trainer

log = logging.getLogger("rnnexp")
CONSTANT = "rnnexp.schedules.constant"  # the schedule that asks for no learning rate


def build(
    attempt: Attempt,
    stop: Stop,
    *,
    save: Callable[[Trainer], None],
    note: Callable[[Trainer, Row], None],
    on_epoch: Callable[[Row], bool],
    test: bool,
) -> Trainer:
    """Returns everything that training needs, at its beginning.

    Args:
        save, note, on_epoch: as `Trainer` has them.
        test: read the test set.

    Raises:
        UserError: the data can't be had, or the optimizer can't be driven by the loop.
    """
    cfg, config, device = attempt.cfg, attempt.config, attempt.device
    dataset = loading.load(cfg.data, device, with_test=test)
    machine.keep_memory()  # from here on: the files that the dataset was taken from are given back
    x_BTI = dataset.sequences(dataset.train.images[: cfg.train.batch_size])
    make_model = partial(make_network, config, x_BTI.shape[2])
    chosen = precision.choose(cfg.train.precision, attempt.begun_in, make_model, x_BTI)
    torch.manual_seed(derive(cfg.seed, "init"))
    model = make_model().to(device)
    return Trainer(
        model=model,
        optimizer=make_optimizer(config, model),
        schedule=instantiate(config["schedule"], _partial_=True, _convert_="all"),
        data=dataset,
        cfg=cfg.train,
        seed=cfg.seed,
        augment=cfg.data.augment,
        device=device,
        precision=chosen,
        stop=stop,
        save=save,
        on_epoch=on_epoch,
        note=note,
    )


def make_network(config: Mapping[str, Any], input_size: int) -> nn.Module:
    """Returns a new network, its initial weights drawn from torch's generator."""
    network: nn.Module = instantiate(config["model"], input_size=input_size, num_classes=NUM_CLASSES, _convert_="all")
    return network


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


def precision_problem(cfg: DictConfig) -> str | None:
    """Returns what to type if this machine can't train the configuration's network in bf16, which it asks for."""
    x_BTI = loading.Sequences(cfg.data)(torch.zeros(2, 28, 28, dtype=torch.uint8))
    make_model = partial(make_network, plain_config(cfg), x_BTI.shape[2])
    problem = precision.bf16_problem(make_model, x_BTI.to(machine.pick_device(cfg.train.device)))
    return problem and f"train.precision=bf16 {problem}; {precision.BF16_TRY}"


def num_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def describe(trainer: Trainer, attempt: Attempt) -> None:
    """Logs sizes and shapes, after one batch has been through the network to see that it fits.

    Raises:
        UserError: what comes out is not a row of logits for each image.
    """
    cfg, parts = attempt.cfg, trainer.data
    x_BTI = parts.sequences(parts.train.images[: cfg.train.batch_size])
    trainer.model.eval()
    with torch.inference_mode():
        logits_BO = precision.forward(trainer.model, x_BTI, trainer.precision.name)
    if logits_BO.shape != (expected := (len(x_BTI), NUM_CLASSES)):
        raise UserError(
            f"{cfg.model._target_} returned {tuple(logits_BO.shape)} for {tuple(x_BTI.shape)}, not {expected}"
        )
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
    log.info("%s, %s parameters: %s", target, f"{num_parameters(trainer.model):,}", shapes)
    for name, parameter in trainer.model.named_parameters():
        log.info("  %-24s %s", name, tuple(parameter.shape))
    if attempt.device.type == "cpu" and attempt.threads > 1 and machine.is_busy():
        log.warning("other processes keep this machine busy: one thread may be faster; try train.threads=1")
    threads = f"{attempt.threads} thread{'s' * (attempt.threads > 1)}"
    why = "one for each physical core" if cfg.train.threads is None else f"train.threads={cfg.train.threads}"
    log.info("%s, %s (%s), seed %d", attempt.device, threads, why, cfg.seed)
    log.info("%s (%s)", trainer.precision.name, trainer.precision.reason)
