"""GRU and plain recurrent layers in few, large tensor operations, for the CPU; the weights stay torch's modules'.

torch steps these two through autograd: about a dozen small operations and as many gradients a time step. Here the
inputs of many steps are projected in one product, a step forward is six operations (GRU) or three (RNN) on memory that
is there, and the backward pass through time is written by hand. A state's gradient passes a step through factors that
the forward pass knows already: they are made for many steps at once, a step backward is three operations, and the
gradients of the weights are one product over many steps after that. LSTM is not here: torch's, by oneDNN, is faster.

Shapes: T time, B batch, I inputs, H hidden, D directions, L layers, K steps of a block. Gates are r (reset), z (update)
and n (new), side by side as in torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import dropout

BLOCK_FLOATS = 131_072  # of one (K, B, H) array: a handful of them stays in a core's cache
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # of a layer and direction, as torch names and orders them
aten = torch.ops.aten


def covers(rnn: nn.RNNBase) -> bool:
    """Returns whether `run` can take the place of the module's forward pass."""
    return isinstance(rnn, (nn.GRU, nn.RNN))


def run(rnn: nn.RNNBase, x_BTI: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what `rnn(x_BTI)` does: outputs out_BTDH and final states h_LDBH, in autocast's dtype under autocast.

    Equal to torch's within rounding; not to be differentiated twice.

    Args:
        rnn: with `batch_first`; of any depth, one direction or two. Its dropout draws as torch's does.
    """
    device = x_BTI.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x_BTI.dtype
    out_TBI, states = x_BTI.transpose(0, 1).to(dtype).contiguous(), []
    with torch.autocast(device, enabled=False):
        for layer in range(rnn.num_layers):
            if layer and rnn.dropout and rnn.training:
                out_TBI = dropout(out_TBI, rnn.dropout)
            directions = [direction(rnn, out_TBI, f"l{layer}")]
            if rnn.bidirectional:
                directions.append(direction(rnn, out_TBI.flip(0), f"l{layer}_reverse"))
            states += [h_TBH[-1] for h_TBH in directions]
            out_TBI = directions[0] if len(directions) == 1 else torch.cat([directions[0], directions[1].flip(0)], 2)
    return out_TBI.transpose(0, 1), torch.stack(states)


def direction(rnn: nn.RNNBase, x_TBI: Tensor, suffix: str) -> Tensor:
    """Returns the outputs of one layer in one direction, (T, B, H); `suffix` is of its weights' names, as torch has."""
    weights = [getattr(rnn, f"{name}_{suffix}").to(x_TBI.dtype) for name in WEIGHTS]
    if isinstance(rnn, nn.GRU):
        return _Gru.apply(x_TBI, *weights)  # type: ignore[no-any-return]
    return _Elman.apply(x_TBI, *weights, rnn.nonlinearity)  # type: ignore[no-any-return]


class _Gru(torch.autograd.Function):
    """h_t = (1 - z) n + z h_{t-1}, n = tanh(W_n x + b_n + r (U_n h + c_n)), as `nn.GRU` (Cho et al. 2014)."""

    @staticmethod
    def forward(ctx: Any, x_TBI: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        (steps, batch, inputs), hidden = x_TBI.shape, w_hh.shape[1]
        h = x_TBI.new_empty(steps + 1, batch, hidden)  # one step more: the zeros before the first
        h[0] = 0
        gates = x_TBI.new_empty(steps, batch, 3 * hidden)  # r, z, and U_n h + c_n
        n = x_TBI.new_empty(steps, batch, hidden)
        rz, scale = 2 * hidden, _tanh_scale(x_TBI.dtype)
        w_rz, b_rz = w_ih[:rz].t(), b_ih[:rz] + b_hh[:rz]
        w_n, b_n = scale * w_ih[rz:].t(), scale * b_ih[rz:]
        w_h = w_hh.t()
        views = [a.unbind(0) for a in (h[:-1], h[1:], gates, gates[..., :rz], *gates.chunk(3, 2), n)]
        for start, end in _blocks(steps, batch, hidden):
            x, from_x = x_TBI[start:end].view(-1, inputs), gates[start:end].view(-1, 3 * hidden)
            torch.addmm(b_rz, x, w_rz, out=from_x[:, :rz])
            from_x[:, rz:] = b_hh[rz:]
            torch.addmm(b_n, x, w_n, out=n[start:end].view(-1, hidden))
            for before, after, gates_t, rz_t, r, z, from_h, n_t in zip(*(v[start:end] for v in views), strict=True):
                gates_t.addmm_(before, w_h)
                rz_t.sigmoid_()
                _tanh_(n_t.addcmul_(r, from_h, value=scale))
                torch.lerp(n_t, before, z, out=after)
        ctx.save_for_backward(x_TBI, w_ih, w_hh, h, gates, n)
        return h[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TBH: Tensor) -> tuple[Tensor | None, ...]:
        x_TBI, w_ih, w_hh, h, gates, n = ctx.saved_tensors
        (steps, batch, hidden), inputs = n.shape, x_TBI.shape[2]
        blocks = list(_blocks(steps, batch, hidden))
        longest = blocks[0][1]
        factors, deltas = n.new_empty(2, longest, batch, 3, hidden)  # deltas: of the gates before their nonlinearity
        factor_n, scratch, dh = n.new_empty(3, longest, batch, hidden)
        passed, carried = n.new_empty(2, batch, hidden)
        factor_t, delta_t = factors.unbind(0), deltas.unbind(0)
        flat_t = deltas.flatten(2).unbind(0)
        dh_t, dh_1t, grad_t = dh.unbind(0), dh.unsqueeze(2).unbind(0), grad_TBH.unbind(0)
        z_t = gates.chunk(3, 2)[1].unbind(0)
        dx = torch.empty_like(x_TBI) if ctx.needs_input_grad[0] else None
        dw_ih, dw_hh = torch.zeros_like(w_ih), torch.zeros_like(w_hh)
        db_ih, db_hh = w_hh.new_zeros(2, 3 * hidden)
        carried.copy_(grad_t[-1])
        for start, end in reversed(blocks):
            length = end - start
            for_n = factor_n[:length]
            _gru_factors(gates[start:end], n[start:end], h[start:end], factors[:length], for_n, scratch[:length])
            dh_t[length - 1].copy_(carried)
            for t in range(length - 1, -1, -1):
                torch.mul(factor_t[t], dh_1t[t], out=delta_t[t])
                if start + t > 0:
                    torch.addcmul(grad_t[start + t - 1], dh_t[t], z_t[start + t], out=passed)
                    torch.addmm(passed, flat_t[t], w_hh, out=dh_t[t - 1] if t else carried)
            delta = deltas[:length].view(-1, 3 * hidden)
            dw_hh.addmm_(delta.t(), h[start:end].view(-1, hidden))
            db_hh += delta.sum(0)
            torch.mul(dh[:length], for_n, out=deltas[:length, :, 2])  # r gates what n takes from h, not from x
            dw_ih.addmm_(delta.t(), x_TBI[start:end].view(-1, inputs))
            db_ih += delta.sum(0)
            if dx is not None:
                torch.mm(delta, w_ih, out=dx[start:end].view(-1, inputs))
        return dx, dw_ih, dw_hh, db_ih, db_hh


def _gru_factors(gates: Tensor, n: Tensor, h: Tensor, factors: Tensor, for_n: Tensor, scratch: Tensor) -> None:
    """Fills in by what dh is multiplied to give the gradients of r, z and U_n h + c_n (`factors`) and of n's argument.

    Args:
        gates: (K, B, 3H) as saved by the forward pass, with n (K, B, H) and the states before, h (K, B, H).
    """
    r, z, from_h = gates.chunk(3, 2)
    for_r, for_z, for_from_h = factors.unbind(2)
    aten.tanh_backward.grad_input(torch.sub(1, z, out=scratch), n, grad_input=for_n)
    torch.mul(for_n, r, out=for_from_h)
    aten.sigmoid_backward.grad_input(torch.mul(for_n, from_h, out=scratch), r, grad_input=for_r)
    aten.sigmoid_backward.grad_input(torch.sub(h, n, out=scratch), z, grad_input=for_z)


class _Elman(torch.autograd.Function):
    """h_t = tanh or relu of (W x + b + U h_{t-1} + c), as `nn.RNN`."""

    @staticmethod
    def forward(
        ctx: Any, x_TBI: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, nonlinearity: str
    ) -> Tensor:
        (steps, batch, inputs), hidden = x_TBI.shape, w_hh.shape[1]
        h = x_TBI.new_empty(steps + 1, batch, hidden)
        h[0] = 0
        is_tanh = nonlinearity == "tanh"
        scale = _tanh_scale(x_TBI.dtype) if is_tanh else 1
        activate_ = _tanh_ if is_tanh else torch.relu_
        w_x, w_h, bias = scale * w_ih.t(), scale * w_hh.t(), scale * (b_ih + b_hh)
        states = h.unbind(0)
        for start, end in _blocks(steps, batch, hidden):
            torch.addmm(bias, x_TBI[start:end].view(-1, inputs), w_x, out=h[start + 1 : end + 1].view(-1, hidden))
            for t in range(start, end):
                activate_(states[t + 1].addmm_(states[t], w_h))
        ctx.save_for_backward(x_TBI, w_ih, w_hh, h)
        ctx.is_tanh = is_tanh
        return h[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TBH: Tensor) -> tuple[Tensor | None, ...]:
        x_TBI, w_ih, w_hh, h = ctx.saved_tensors
        steps, _, inputs = x_TBI.shape
        delta_TBH = torch.empty_like(grad_TBH, memory_format=torch.contiguous_format)
        dh, passed = grad_TBH[-1], torch.empty_like(delta_TBH[0])
        for t, (delta, state) in reversed(list(enumerate(zip(delta_TBH.unbind(0), h[1:].unbind(0), strict=True)))):
            if ctx.is_tanh:
                aten.tanh_backward.grad_input(dh, state, grad_input=delta)
            else:
                aten.threshold_backward.grad_input(dh, state, 0, grad_input=delta)
            if t:
                dh = torch.addmm(grad_TBH[t - 1], delta, w_hh, out=passed)
        delta = delta_TBH.view(-1, w_hh.shape[0])
        dx = (delta @ w_ih).view(steps, -1, inputs) if ctx.needs_input_grad[0] else None
        db = delta.sum(0)
        return dx, delta.t() @ x_TBI.view(-1, inputs), delta.t() @ h[:-1].view(delta.shape), db, db, None


def _blocks(steps: int, batch: int, hidden: int) -> Iterator[tuple[int, int]]:
    """Yields the first step of each block and that after its last."""
    length = max(1, min(steps, BLOCK_FLOATS // (batch * hidden)))
    for start in range(0, steps, length):
        yield start, min(start + length, steps)


def _tanh_scale(dtype: torch.dtype) -> int:
    """Returns by how much `_tanh_` wants its argument multiplied: two, so that the weights take it for nothing."""
    return 1 if dtype == torch.bfloat16 else 2


def _tanh_(scaled: Tensor) -> Tensor:
    """Replaces `_tanh_scale` times x by tanh(x) = 2 sigmoid(2 x) - 1; torch's tanh takes five times its sigmoid's time.

    Half a unit of 2^-24 is lost near 0, which bfloat16 couldn't afford.
    """
    if scaled.dtype == torch.bfloat16:
        return scaled.tanh_()
    return torch.add(_MINUS_ONE, scaled.sigmoid_(), alpha=2, out=scaled)


_MINUS_ONE = torch.tensor(-1.0)
