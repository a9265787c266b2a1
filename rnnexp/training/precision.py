"""Which floating-point precision a run trains in: what was asked for, as far as this machine can do it and gains by it.

Processors differ: oneDNN runs an LSTM in bfloat16 where there is AVX-512, quickly only with AVX512-BF16 or AMX, and
with AVX2 alone not at all. What a machine can do, and what it gains, is therefore tried and not read off its name.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hydra_sweep.errors import UserError

log = logging.getLogger("rnnexp")

Inputs = tuple[Tensor, ...]  # what a network is called with: x_BTI, and lengths_B where they differ
MIN_SPEEDUP = 1.1  # bf16 costs digits: it has to win clearly, and a close call should fall the same way every time
MAX_ROUNDS = 7
MAX_SECONDS = 3.0  # of the rounds after the first one; long sequences take fewer
BF16_TRY = "try train.precision=auto, which takes bf16 only where it works and is faster"


class Precision(NamedTuple):
    """What a run computes in, `fp32`, `tf32` or `bf16`, and why."""

    name: str
    reason: str


def choose(asked: str, begun: str | None, make_model: Callable[[], nn.Module], inputs: Inputs) -> Precision:
    """Returns the precision to train in, after trying training steps in fp32 and bf16 if `auto` or bf16 is asked for.

    Draws from torch's random generators: seed them afterwards.

    Args:
        asked: `train.precision`.
        begun: the precision of the checkpoint that the run resumes from, if it does: it stays, so that resuming is
            exact.
        make_model: builds the network to be trained; what it builds is thrown away.
        inputs: one training batch, as the network is called with it, on the device to train on.

    Raises:
        UserError: bf16 is asked for, or was begun in, and does not work here.
    """
    if begun == "fp32" or asked in ("fp32", "tf32"):
        return Precision(begun or asked, f"train.precision={asked}{', as the run was begun' if begun else ''}")
    if problem := bf16_problem(make_model, inputs):
        if begun:
            raise UserError(f"this run was begun in bf16, which {problem}; resume it on a machine like its first one")
        if asked == "bf16":
            raise UserError(f"train.precision=bf16 {problem}; {BF16_TRY}")
        return Precision("fp32", f"train.precision=auto: bf16 {problem}")
    if begun:
        return Precision("bf16", f"train.precision={asked}, as the run was begun")
    gain = speedup(make_model().to(inputs[0].device), inputs)
    found = f"a training step in bf16 is {gain:.2f} times as fast as in fp32"
    if asked == "bf16" and gain < 1:
        log.warning("%s here; try train.precision=auto", found)
    name = "fp32" if asked == "auto" and gain < MIN_SPEEDUP else "bf16"
    return Precision(name, f"train.precision={asked}: {found}")


def bf16_problem(make_model: Callable[[], nn.Module], inputs: Inputs) -> str | None:
    """Returns what keeps the network from being trained in bf16 here, as the end of a sentence, or None."""
    model, inputs = make_model().to(inputs[0].device), tuple(part[:2] for part in inputs)
    try:
        step(model, inputs, "bf16")
    except RuntimeError as error:
        cause = str(error).partition(". ")[0].splitlines()[0]
        try:
            step(model, inputs, "fp32")
        except RuntimeError:
            return None  # the network is at fault, whatever the precision: its own error will say so
        return f"does not work on this machine for {type(model).__name__} ({cause[:160]})"
    return None


def speedup(model: nn.Module, inputs: Inputs) -> float:
    """Returns how many times as fast a training step in bf16 is as one in fp32: their best of a few, taken in turn."""
    best = {"fp32": float("inf"), "bf16": float("inf")}
    for precision in best:
        step(model, inputs, precision)  # the first one makes kernels and buffers
    began = time.perf_counter()
    for _ in range(MAX_ROUNDS):
        for precision in best:
            started = time.perf_counter()
            step(model, inputs, precision)
            best[precision] = min(best[precision], time.perf_counter() - started)
        if time.perf_counter() - began > MAX_SECONDS:
            break
    return best["fp32"] / best["bf16"]


def step(model: nn.Module, inputs: Inputs, precision: str) -> None:
    """Takes a training step but for the optimizer's part, and waits until the device is done with it."""
    model.train()
    labels_B = torch.zeros(len(inputs[0]), dtype=torch.long, device=inputs[0].device)
    loss = cross_entropy(forward(model, inputs, precision), labels_B)
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    if inputs[0].device.type in ("cuda", "mps"):
        getattr(torch, inputs[0].device.type).synchronize()


def forward(model: nn.Module, inputs: Inputs, precision: str) -> Tensor:
    """Returns float32 logits_BO, computed under bfloat16 autocast if precision is `bf16`."""
    with torch.autocast(inputs[0].device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits_BO: Tensor = model(*inputs)
    return logits_BO.float()
