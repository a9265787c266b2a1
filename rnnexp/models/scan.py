"""A linear recurrence, h_t = a_t h_{t-1} + b_t from h_0 = 0, with its backward pass through time written by hand.

All that one step hands on to the next is this; the gates and candidates of today's linear cells are made for all steps
at once. The gradient of a state is the same recurrence from the end, g_t = dL/dh_t + conj(a_{t+1}) g_{t+1}, and those
of a_t and b_t are g_t conj(h_{t-1}) and g_t. Real or complex.

Shapes: T time, then any others, the same of both; C chunks of K steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def scan(a_T: Tensor, b_T: Tensor) -> Tensor:
    """Returns the states h_1 .. h_T; not to be differentiated twice.

    On a CPU step by step, which reads its memory once; elsewhere, where each operation costs its launch, in about
    2 sqrt(T) operations on chunks that lie side by side, whose products of a fade to 0 where |a| < 1.
    """
    return _Scan.apply(a_T, b_T)  # type: ignore[no-any-return]


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a_T: Tensor, b_T: Tensor) -> Tensor:
        h_T = states(a_T, b_T)
        ctx.save_for_backward(a_T, h_T)
        return h_T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_T: Tensor) -> tuple[Tensor | None, Tensor]:
        a_T, h_T = ctx.saved_tensors
        handed_on_T = torch.cat([torch.zeros_like(a_T[:1]), a_T[1:].flip(0).conj().resolve_conj()])
        grad_b_T = states(handed_on_T, grad_T.flip(0)).flip(0)
        if not ctx.needs_input_grad[0]:
            return None, grad_b_T
        grad_a_T = torch.zeros_like(grad_b_T)
        torch.mul(grad_b_T[1:], h_T[:-1].conj().resolve_conj(), out=grad_a_T[1:])
        return grad_a_T, grad_b_T


def states(a_T: Tensor, b_T: Tensor) -> Tensor:
    """Returns h_1 .. h_T, in the way of the device."""
    return step_by_step(a_T, b_T) if b_T.device.type == "cpu" else in_chunks(a_T, b_T)


def step_by_step(a_T: Tensor, b_T: Tensor) -> Tensor:
    h_T = torch.empty_like(b_T, memory_format=torch.contiguous_format)
    h_T[0] = b_T[0]
    steps = h_T.unbind(0)
    for before, after, a, b in zip(steps, steps[1:], a_T[1:].unbind(0), b_T[1:].unbind(0), strict=False):
        torch.addcmul(b, a, before, out=after)
    return h_T


def in_chunks(a_T: Tensor, b_T: Tensor, length: int | None = None) -> Tensor:
    """Returns what `step_by_step` does, within rounding.

    Args:
        length: K; about sqrt(T) by itself.
    """
    num_steps = len(b_T)
    length = length or max(1, round(num_steps**0.5))
    num_chunks = -(-num_steps // length)
    a_CK, h_CK = (_chunked(x_T, num_chunks, length) for x_T in (a_T, b_T))
    for k in range(1, length):
        h_CK[:, k].addcmul_(a_CK[:, k], h_CK[:, k - 1])
        a_CK[:, k] *= a_CK[:, k - 1]  # by now what a state before the chunk is multiplied by
    for c in range(1, num_chunks):
        h_CK[c, -1].addcmul_(a_CK[c, -1], h_CK[c - 1, -1])
    h_CK[1:, :-1].addcmul_(a_CK[1:, :-1], h_CK[:-1, -1:])
    h_T: Tensor = h_CK.flatten(0, 1)[:num_steps]
    return h_T


def _chunked(x_T: Tensor, num_chunks: int, length: int) -> Tensor:
    """Returns a copy in chunks, with zeros at the end."""
    padded_T = x_T.new_zeros(num_chunks * length, *x_T.shape[1:])
    padded_T[: len(x_T)] = x_T
    return padded_T.view(num_chunks, length, *x_T.shape[1:])
