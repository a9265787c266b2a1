"""Steps of several optimizers at once: torch's own rules, each operation of them one call for all tensors of all.

The optimizer of a small network spends its time on calls, several for each tensor. Here each tensor is still computed
by itself, so what an optimizer does depends on nothing of those beside it, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adadelta, Adam, AdamW, Optimizer

Numbers = dict[str, Any]  # a parameter group's: lr, weight_decay, ...


class Tensors:
    """The parameters of several optimizers of one kind, one after the other, and what goes with each."""

    def __init__(self, optimizers: Iterable[Optimizer]) -> None:
        owned = [(p, group, one.state[p]) for one in optimizers for group in one.param_groups for p in group["params"]]
        self.parameters: list[Any] = [p for p, _, _ in owned]
        self.groups: list[Numbers] = [group for _, group, _ in owned]
        self.states: list[dict[str, Tensor]] = [state for _, _, state in owned]
        self.gradients: list[Any] = [p.grad for p in self.parameters]

    def of_state(self, name: str) -> list[Any]:
        return [state[name] for state in self.states]

    def numbers(self, number: Callable[[Numbers], float]) -> list[float]:
        """Returns a number of each parameter's group."""
        return [number(group) for group in self.groups]

    def decay(self) -> None:
        """Adds the gradient of weight_decay / 2 times the squared norm of the weights."""
        penalties = torch._foreach_mul(self.parameters, self.numbers(lambda group: group["weight_decay"]))
        self.gradients = list(torch._foreach_add(self.gradients, penalties))

    def descend(self, directions: Any) -> None:
        """Moves the parameters by -lr times a direction."""
        moves = torch._foreach_mul(directions, self.numbers(lambda group: -group["lr"]))
        torch._foreach_add_(self.parameters, moves)

    def average(self, name: str, values: Any, decay: Callable[[Numbers], float]) -> list[Any]:
        """Takes squares of values into their running average, and returns that."""
        average = self.of_state(name)
        torch._foreach_mul_(average, self.numbers(decay))
        torch._foreach_addcmul_(average, values, values, self.numbers(lambda group: 1 - decay(group)))
        return average


def step_together(optimizers: Sequence[Optimizer]) -> None:
    """Takes a step with each optimizer: what its own `step` does, within rounding.

    One that isn't known, whose options aren't, or that has taken no step yet does it by its own `step`.
    """
    alike: dict[tuple[Callable[[Tensors], None], bool, bool], list[Optimizer]] = {}
    for optimizer in optimizers:
        if is_known(optimizer):
            decays = any(group["weight_decay"] for group in optimizer.param_groups)
            is_decoupled = any(group.get("decoupled_weight_decay") for group in optimizer.param_groups)
            alike.setdefault((RULES[type(optimizer)][0], decays, is_decoupled), []).append(optimizer)
        else:
            optimizer.step()
    for (rule, decays, is_decoupled), members in alike.items():
        tensors = Tensors(members)
        with torch.no_grad():
            if decays and is_decoupled:
                kept = tensors.numbers(lambda group: 1 - group["lr"] * group["weight_decay"])
                torch._foreach_mul_(tensors.parameters, kept)
            elif decays:
                tensors.decay()
            rule(tensors)


def is_known(optimizer: Optimizer) -> bool:
    """Returns whether there is a rule for the optimizer as it is now."""
    if type(optimizer) not in RULES or optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return False
    names = RULES[type(optimizer)][1]
    return all(
        not any(group.get(option) for option in UNKNOWN)
        and all(p.grad is not None and has_tensors(optimizer.state.get(p, {}), names) for p in group["params"])
        for group in optimizer.param_groups
    )


def has_tensors(state: dict[str, Any], names: Sequence[str]) -> bool:
    return all(isinstance(state.get(name), Tensor) for name in names)


def _adam(tensors: Tensors) -> None:
    """Kingma and Ba 2015, arXiv:1412.6980, algorithm 1."""
    averages, steps = tensors.of_state("exp_avg"), tensors.of_state("step")
    torch._foreach_add_(steps, 1)
    torch._foreach_lerp_(averages, tensors.gradients, tensors.numbers(lambda group: 1 - group["betas"][0]))
    squares = tensors.average("exp_avg_sq", tensors.gradients, lambda group: group["betas"][1])
    counted = [(group, step.item()) for group, step in zip(tensors.groups, steps, strict=True)]
    roots = torch._foreach_sqrt(squares)
    torch._foreach_div_(roots, [(1 - group["betas"][1] ** step) ** 0.5 for group, step in counted])
    torch._foreach_add_(roots, tensors.numbers(lambda group: group["eps"]))
    sizes = [-group["lr"] / (1 - group["betas"][0] ** step) for group, step in counted]
    torch._foreach_addcdiv_(tensors.parameters, averages, roots, sizes)


def _adadelta(tensors: Tensors) -> None:
    """Zeiler 2012, arXiv:1212.5701, algorithm 1, times the learning rate."""
    torch._foreach_add_(tensors.of_state("step"), 1)
    eps = tensors.numbers(lambda group: group["eps"])
    squares = tensors.average("square_avg", tensors.gradients, lambda group: group["rho"])
    gradient_roots, move_roots = (torch._foreach_add(a, eps) for a in (squares, tensors.of_state("acc_delta")))
    torch._foreach_sqrt_(gradient_roots)
    torch._foreach_sqrt_(move_roots)
    torch._foreach_div_(move_roots, gradient_roots)
    torch._foreach_mul_(move_roots, tensors.gradients)
    tensors.average("acc_delta", move_roots, lambda group: group["rho"])
    tensors.descend(move_roots)


def _sgd(tensors: Tensors) -> None:
    """Gradient descent along the running gradient, as `torch.optim.SGD` has it (Sutskever et al. 2013)."""
    running = tensors.of_state("momentum_buffer")
    torch._foreach_mul_(running, tensors.numbers(lambda group: group["momentum"]))
    shares = tensors.numbers(lambda group: 1 - group["dampening"])
    torch._foreach_add_(running, torch._foreach_mul(tensors.gradients, shares))
    tensors.descend(running)


# Of an optimizer: its rule, and what it keeps of each parameter once it has taken a step.
RULES: dict[type, tuple[Callable[[Tensors], None], tuple[str, ...]]] = {
    Adadelta: (_adadelta, ("step", "square_avg", "acc_delta")),
    Adam: (_adam, ("step", "exp_avg", "exp_avg_sq")),
    AdamW: (_adam, ("step", "exp_avg", "exp_avg_sq")),
    SGD: (_sgd, ("momentum_buffer",)),
}
UNKNOWN = ("amsgrad", "capturable", "differentiable", "foreach", "fused", "maximize", "nesterov")  # options
