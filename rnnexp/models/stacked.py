"""Many recurrent classifiers of one shape in one program: products over a leading axis of members.

A step of a small network is bound by the number of operations, not by their size. Here the members' weights are
stacked, each operation of a time step is one for all of them, and the backward pass through time is written by hand, as
in `fused`. What a member gets depends on nothing of the others, bit for bit, on a CPU: so neither on how many there
are. That is why sigmoids are made of exp: torch's own rounds the last elements of an array otherwise than the others.

Shapes: K members, T time, B batch, I inputs, H hidden, G gates' rows (1, 3 or 4 times H), D directions, O classes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rnnexp.models.fused import WEIGHTS
from rnnexp.models.recurrent import RecurrentClassifier

ALIGNED_FLOATS = 4  # 16 bytes


def shape(model: nn.Module) -> Hashable | None:
    """Returns what networks that can be stacked have in common, or None if this one can't be stacked with any."""
    if type(model) is not RecurrentClassifier or model.norms is not None or model.backend == "torch":
        return None
    rnn = model.rnn
    sizes = rnn.input_size, rnn.hidden_size, rnn.num_layers, rnn.bidirectional, model.output.out_features
    return rnn.mode, sizes, model.readout


def is_aligned(model: RecurrentClassifier, x_BTI: Tensor) -> bool:
    """Returns whether the matrices of every member begin at a multiple of 16 bytes, if they are a CPU's.

    MKL rounds differently where they don't, so that what a member gets would depend on its place in the stack.
    """
    sizes = model.rnn.hidden_size, len(x_BTI) * model.output.out_features, x_BTI.numel()
    return x_BTI.device.type != "cpu" or all(size % ALIGNED_FLOATS == 0 for size in sizes)


def forward(
    model: RecurrentClassifier, weights: Mapping[str, Tensor], x_KBTI: Tensor, masks: Sequence[Tensor]
) -> Tensor:
    """Returns logits_KBO.

    Args:
        model: one of the members, for what they have in common.
        weights: by the names of its parameters, each with a leading axis of members.
        masks: what the inputs of each layer but the first are multiplied by, (K, T, B, D H); empty: nothing.
    """
    rnn = model.rnn
    x_KTBI, last = x_KBTI.transpose(1, 2).contiguous(), []
    for layer in range(rnn.num_layers):
        if layer and masks:
            x_KTBI = x_KTBI * masks[layer - 1]
        names = [f"rnn.{name}_l{layer}" for name in WEIGHTS]
        outs_TKBH = [_direction(rnn, x_KTBI, [weights[name] for name in names])]
        if rnn.bidirectional:
            backward = _direction(rnn, x_KTBI.flip(1), [weights[f"{name}_reverse"] for name in names])
            last = [outs_TKBH[0][-1], backward[-1]]
            outs_TKBH.append(backward.flip(0))
        else:
            last = [outs_TKBH[0][-1]]
        if layer < rnn.num_layers - 1 or model.readout == "mean":
            x_KTBI = torch.cat(outs_TKBH, 3).transpose(0, 1).contiguous()
    h_KBH = x_KTBI.mean(1) if model.readout == "mean" else torch.cat(last, 2)
    return torch.baddbmm(weights["output.bias"].unsqueeze(1), h_KBH, weights["output.weight"].transpose(1, 2))


def _direction(rnn: nn.RNNBase, x_KTBI: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Returns the outputs of a layer in one direction, (T, K, B, H)."""
    if isinstance(rnn, nn.GRU):
        return _Gru.apply(x_KTBI, *weights)  # type: ignore[no-any-return]
    if isinstance(rnn, nn.LSTM):
        return _Lstm.apply(x_KTBI, *weights)  # type: ignore[no-any-return]
    return _Elman.apply(x_KTBI, *weights, rnn.mode == "RNN_TANH")  # type: ignore[no-any-return]


def _projected(x_KTBI: Tensor, w_KGI: Tensor, b_KG: Tensor) -> Tensor:
    """Returns the gates' share of the inputs, (T, K, B, G)."""
    members, steps, batch, _ = x_KTBI.shape
    gates = torch.baddbmm(b_KG.unsqueeze(1), x_KTBI.flatten(1, 2), w_KGI.transpose(1, 2))
    return gates.view(members, steps, batch, -1).transpose(0, 1).contiguous()


def _by_member(a_TKBX: Tensor) -> Tensor:
    """Returns the rows of each member, (K, T B, X)."""
    return a_TKBX.transpose(0, 1).flatten(1, 2)


def _weight_gradient(delta: Tensor, rows: Tensor) -> Tensor:
    """Returns the gradient (K, G, X) of the weights that multiplied rows (K, T B, X), from delta (K, T B, G)."""
    return torch.bmm(delta.transpose(1, 2), rows)


def _input_gradient(delta: Tensor, w_ih: Tensor, x_KTBI: Tensor, is_needed: bool) -> Tensor | None:
    return torch.bmm(delta, w_ih).view(x_KTBI.shape) if is_needed else None


def _sigmoid_of_minus_(x: Tensor) -> Tensor:
    """Replaces -x by sigmoid(x) = 1 / (1 + exp(-x)): the weights take the minus for nothing."""
    return x.exp_().add_(1).reciprocal_()


def _tanh_of_minus_two_(x: Tensor) -> Tensor:
    """Replaces -2 x by tanh(x) = 2 sigmoid(2 x) - 1."""
    return _sigmoid_of_minus_(x).mul_(2).sub_(1)


class _Gru(torch.autograd.Function):
    """h_t = (1 - z) n + z h_{t-1}, n = tanh(W_n x + b_n + r (U_n h + c_n)), as `nn.GRU` (Cho et al. 2014)."""

    @staticmethod
    def forward(ctx: Any, x_KTBI: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        both = 2 * w_hh.shape[2]  # of r and z, which are apart from n: exp takes three times as long with gaps
        rz = _projected(x_KTBI, -w_ih[:, :both], -(b_ih + b_hh)[:, :both])
        n = _projected(x_KTBI, -2 * w_ih[:, both:], -2 * b_ih[:, both:])
        w_rz, w_n, b_n = -w_hh[:, :both].transpose(1, 2), w_hh[:, both:].transpose(1, 2), b_hh[:, None, both:]
        h = torch.cat([torch.zeros_like(n[:1]), torch.empty_like(n)])  # first the zeros before the first step
        from_h = torch.empty_like(n)  # U_n h + c_n
        for rz_t, n_t, from_h_t, before, after in zip(rz, n, from_h, h[:-1], h[1:], strict=True):
            r, z = _sigmoid_of_minus_(rz_t.baddbmm_(before, w_rz)).chunk(2, 2)
            torch.baddbmm(b_n, before, w_n, out=from_h_t)
            _tanh_of_minus_two_(n_t.addcmul_(r, from_h_t, value=-2))
            torch.lerp(n_t, before, z, out=after)
        ctx.save_for_backward(x_KTBI, w_ih, w_hh, h, rz, from_h, n)
        return h[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TKBH: Tensor) -> tuple[Tensor | None, ...]:
        x_KTBI, w_ih, w_hh, h, rz, from_h, n = ctx.saved_tensors
        r, z = rz.chunk(2, 3)
        for_n = (1 - z) * (1 - n * n)
        factors = torch.stack([for_n * from_h * r * (1 - r), (h[:-1] - n) * z * (1 - z), for_n * r], 3)
        delta, dh = torch.empty_like(factors), torch.empty_like(n)
        dh[-1] = grad_TKBH[-1]
        for t in range(len(n) - 1, -1, -1):
            torch.mul(factors[t], dh[t].unsqueeze(2), out=delta[t])
            if t:
                passed = torch.addcmul(grad_TKBH[t - 1], dh[t], z[t])
                torch.baddbmm(passed, delta[t].flatten(2), w_hh, out=dh[t - 1])
        rows = _by_member(delta.flatten(3))
        dw_hh, db_hh = _weight_gradient(rows, _by_member(h[:-1])), rows.sum(1)
        torch.mul(dh, for_n, out=delta[:, :, :, 2])  # r gates what n takes from h, not from x
        rows = _by_member(delta.flatten(3))
        dx = _input_gradient(rows, w_ih, x_KTBI, ctx.needs_input_grad[0])
        return dx, _weight_gradient(rows, x_KTBI.flatten(1, 2)), dw_hh, rows.sum(1), db_hh


class _Lstm(torch.autograd.Function):
    """c_t = f c_{t-1} + i g, h_t = o tanh(c_t), as `nn.LSTM` (Hochreiter and Schmidhuber 1997; Gers et al. 2000)."""

    @staticmethod
    def forward(ctx: Any, x_KTBI: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        hidden = w_hh.shape[2]
        scale = w_hh.new_full((4, hidden), -1)  # i, f, g, o
        scale[2] = -2  # tanh, of which there is one among three sigmoids
        scale = scale.view(-1, 1)
        gates = _projected(x_KTBI, scale * w_ih, scale[:, 0] * (b_ih + b_hh))
        w_h = (scale * w_hh).transpose(1, 2)
        steps, members, batch, _ = gates.shape
        h, c = gates.new_zeros(2, steps + 1, members, batch, hidden).unbind(0)
        tanh_c = torch.empty_like(c[1:])
        for t, gates_t in enumerate(gates):
            _sigmoid_of_minus_(gates_t.baddbmm_(h[t], w_h))
            i, f, g, o = gates_t.chunk(4, 2)
            g.mul_(2).sub_(1)
            torch.mul(f, c[t], out=c[t + 1]).addcmul_(i, g)
            torch.tanh(c[t + 1], out=tanh_c[t])
            torch.mul(o, tanh_c[t], out=h[t + 1])
        ctx.save_for_backward(x_KTBI, w_ih, w_hh, h, c, gates, tanh_c)
        return h[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TKBH: Tensor) -> tuple[Tensor | None, ...]:
        x_KTBI, w_ih, w_hh, h, c, gates, tanh_c = ctx.saved_tensors
        i, f, g, o = gates.chunk(4, 3)
        for_o, for_c = tanh_c * o * (1 - o), o * (1 - tanh_c * tanh_c)
        for_ifg = torch.stack([g * i * (1 - i), c[:-1] * f * (1 - f), i * (1 - g * g)], 3)
        delta = torch.empty(*for_ifg.shape[:3], 4, for_ifg.shape[4], dtype=c.dtype, device=c.device)
        dh, dc = grad_TKBH[-1], torch.zeros_like(c[0])
        for t in range(len(gates) - 1, -1, -1):
            dc.addcmul_(dh, for_c[t])
            torch.mul(for_ifg[t], dc.unsqueeze(2), out=delta[t, :, :, :3])
            torch.mul(for_o[t], dh, out=delta[t, :, :, 3])
            dc.mul_(f[t])
            if t:
                dh = torch.baddbmm(grad_TKBH[t - 1], delta[t].flatten(2), w_hh)
        rows = _by_member(delta.flatten(3))
        dx, db = _input_gradient(rows, w_ih, x_KTBI, ctx.needs_input_grad[0]), rows.sum(1)
        dw_ih, dw_hh = _weight_gradient(rows, x_KTBI.flatten(1, 2)), _weight_gradient(rows, _by_member(h[:-1]))
        return dx, dw_ih, dw_hh, db, db.clone()  # one tensor for both would be clipped twice


class _Elman(torch.autograd.Function):
    """h_t = tanh or relu of (W x + b + U h_{t-1} + c), as `nn.RNN`."""

    @staticmethod
    def forward(
        ctx: Any, x_KTBI: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, is_tanh: bool
    ) -> Tensor:
        scale = -2 if is_tanh else 1
        out: Tensor = _projected(x_KTBI, scale * w_ih, scale * (b_ih + b_hh))
        before, w_h = torch.zeros_like(out[0]), scale * w_hh.transpose(1, 2)
        for out_t in out:
            out_t.baddbmm_(before, w_h)
            before = _tanh_of_minus_two_(out_t) if is_tanh else out_t.relu_()
        ctx.save_for_backward(x_KTBI, w_ih, w_hh, out)
        ctx.is_tanh = is_tanh
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TKBH: Tensor) -> tuple[Tensor | None, ...]:
        x_KTBI, w_ih, w_hh, out = ctx.saved_tensors
        factors = 1 - out * out if ctx.is_tanh else (out > 0).to(out.dtype)
        delta, dh = torch.empty_like(out), grad_TKBH[-1]
        for t in range(len(out) - 1, -1, -1):
            torch.mul(factors[t], dh, out=delta[t])
            if t:
                dh = torch.baddbmm(grad_TKBH[t - 1], delta[t], w_hh)
        before, rows = _by_member(torch.cat([torch.zeros_like(out[:1]), out[:-1]])), _by_member(delta)
        dx, db = _input_gradient(rows, w_ih, x_KTBI, ctx.needs_input_grad[0]), rows.sum(1)
        dw_ih, dw_hh = _weight_gradient(rows, x_KTBI.flatten(1, 2)), _weight_gradient(rows, before)
        return dx, dw_ih, dw_hh, db, db.clone(), None
