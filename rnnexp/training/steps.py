"""A training step, from a batch to moved weights: of one run alone, or of many in one program."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, log_softmax

from rnnexp.models import stacked
from rnnexp.training.optimizers import RULES, step_together
from rnnexp.training.precision import Inputs, forward

# Steps whose losses may be on their way from a device: to wait for each one would leave a GPU idle meanwhile.
STEPS_AHEAD = {"cuda": 32, "mps": 32}


class Step(NamedTuple):
    """One run's batch, how its loss is taken, and what moves the weights.

    Args:
        model: whose gradients are None.
        class_weights: (O,), or None.
        clip_norm: the largest 2-norm of the whole gradient, or None.
        seed: of what its layers draw.
        precision: fp32, tf32 or bf16.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    clip_norm: float | None
    inputs: Inputs
    labels: Tensor
    class_weights: Tensor | None
    label_smoothing: float
    seed: int
    precision: str


class Computed(NamedTuple):
    """What came out, on the device: the loss before the step in nats per example, and how many were told right."""

    loss: Tensor
    num_correct: Tensor


def alone(step: Step) -> Computed:
    """Takes a step; on a CPU the weights stay as they are if the loss is not finite."""
    computed = _differentiated(step)
    if not _are_to_stay([computed])[0]:
        _clip(step)
        step.optimizer.step()
    return computed


def in_one_program(steps: Sequence[Step]) -> list[Computed]:
    """Takes the steps of several runs, those with networks of one shape in one program.

    On a CPU each is the same, bit for bit, whichever others there are; and equal to `alone` within rounding.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, step in enumerate(steps):
        key = stacked.shape(step.model), step.inputs[0].shape, step.class_weights is None
        groups.setdefault(key, []).append(index)
    found: dict[int, Computed] = {}
    for indices in groups.values():
        members = [steps[index] for index in indices]
        model: Any = members[0].model
        is_aligned = stacked.is_aligned(model, members[0].inputs[0])
        found |= zip(indices, _stacked(members) if is_aligned else map(_differentiated, members), strict=True)
    computed = [found[index] for index in range(len(steps))]
    moving = [step for step, stays in zip(steps, _are_to_stay(computed), strict=True) if not stays]
    for step in moving:
        _clip(step)
    step_together([step.optimizer for step in moving])
    return computed


def can_be_stacked(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Inputs, precision: str) -> bool:
    """Returns whether `in_one_program` knows the network and the optimizer, and takes such inputs and the precision.

    An optimizer of a user's own may fail, which is to be the end of nobody's run but its own.
    """
    return stacked.shape(model) is not None and type(optimizer) in RULES and len(inputs) == 1 and precision != "bf16"


def _differentiated(step: Step) -> Computed:
    """Sets the gradients."""
    seed_device(step.seed, step.labels.device)
    logits_BO = forward(step.model, step.inputs, step.precision)
    loss: Tensor = cross_entropy(logits_BO, step.labels, step.class_weights, label_smoothing=step.label_smoothing)
    loss.backward()  # type: ignore[no-untyped-call]
    return Computed(loss.detach(), (logits_BO.detach().argmax(1) == step.labels).sum())


def _are_to_stay(computed: Sequence[Computed]) -> list[bool]:
    """Returns whose weights stay as they are, for a loss that is not finite: nobody's on a device not waited for."""
    losses = torch.stack([one.loss for one in computed])
    return [False] * len(losses) if losses.device.type in STEPS_AHEAD else (~losses.isfinite()).tolist()


def _clip(step: Step) -> None:
    if step.clip_norm is not None:
        nn.utils.clip_grad_norm_(step.model.parameters(), step.clip_norm)


def _stacked(steps: Sequence[Step]) -> list[Computed]:
    """Sets the gradients of networks of one shape; in halves, if the device has no room for all at once."""
    try:
        with _one_thread():
            loss_K, num_correct_K = _program(steps)
    except torch.OutOfMemoryError:
        if len(steps) == 1:
            raise
        half = len(steps) // 2
        return _stacked(steps[:half]) + _stacked(steps[half:])
    return [Computed(*pair) for pair in zip(loss_K, num_correct_K, strict=True)]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Several threads share out a product as the number of its members suits them, and so round it."""
    number = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(number)


def _program(steps: Sequence[Step]) -> tuple[Tensor, Tensor]:
    """Sets the gradients of each network. Returns losses and numbers of hits, (K,)."""
    model: Any = steps[0].model
    parameters = [dict(step.model.named_parameters()) for step in steps]
    weights = {name: torch.stack([own[name].detach() for own in parameters]).requires_grad_() for name in parameters[0]}
    logits_KBO = stacked.forward(model, weights, torch.stack([step.inputs[0] for step in steps]), _masks(steps))
    labels_KB = torch.stack([step.labels for step in steps])
    loss_K = _losses(steps, logits_KBO, labels_KB)
    gradients = torch.autograd.grad(loss_K.sum(), list(weights.values()))
    for name, gradient in zip(weights, gradients, strict=True):
        for own, one in zip(parameters, gradient, strict=True):
            own[name].grad = one
    return loss_K.detach(), (logits_KBO.detach().argmax(2) == labels_KB).sum(1)


def _losses(steps: Sequence[Step], logits_KBO: Tensor, labels_KB: Tensor) -> Tensor:
    """Returns what `cross_entropy` does, for each network."""
    log_p = log_softmax(logits_KBO, 2)
    smoothing_K = logits_KBO.new_tensor([step.label_smoothing for step in steps])
    nll_KB = -log_p.gather(2, labels_KB.unsqueeze(2)).squeeze(2)
    if steps[0].class_weights is None:
        sizes_K, even_KB = torch.full_like(smoothing_K, labels_KB.shape[1]), -log_p.sum(2)
    else:
        weights_KO = torch.stack([step.class_weights for step in steps])  # type: ignore[misc]
        of_label_KB = weights_KO.gather(1, labels_KB)
        nll_KB, even_KB = nll_KB * of_label_KB, -(log_p * weights_KO.unsqueeze(1)).sum(2)
        sizes_K = of_label_KB.sum(1)
    share_K = smoothing_K / logits_KBO.shape[2]
    return ((1 - smoothing_K) * nll_KB.sum(1) + share_K * even_KB.sum(1)) / sizes_K


def _masks(steps: Sequence[Step]) -> list[Tensor]:
    """Returns what dropout multiplies the inputs of each layer but the first by, drawn as each network would."""
    rnns: list[Any] = [step.model.rnn for step in steps]
    if not any(rnn.dropout for rnn in rnns):
        return []
    batch, length, _ = steps[0].inputs[0].shape
    width = rnns[0].hidden_size * (2 if rnns[0].bidirectional else 1)
    masks: list[list[Tensor]] = []
    for step, rnn in zip(steps, rnns, strict=True):
        seed_device(step.seed, step.labels.device)
        ones = step.inputs[0].new_ones(length, batch, width)
        masks.append([dropout(ones, rnn.dropout) if rnn.dropout else ones for _ in range(rnn.num_layers - 1)])
    return [torch.stack(of_layer) for of_layer in zip(*masks, strict=True)]


def seed_device(seed: int, device: torch.device) -> None:
    """Sets the generator that the device's layers draw from; `torch.manual_seed` sets all, at 100 times the cost."""
    torch.default_generator.manual_seed(seed)
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).manual_seed(seed)
