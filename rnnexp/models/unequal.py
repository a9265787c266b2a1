"""Recurrent layers over sequences of unequal lengths, padded at their ends, as if each were read alone.

Padding is never seen: the forward direction reads it after everything that counts; the backward direction begins at
each sequence's own last step, because each is reversed within its own length. So no layer has to know of it, and the
fast kernels of torch, which take no packed sequences on a CPU, run as they are. Dropout is drawn time step by time
step: its mask of a step is the same however many steps of padding follow.

Shapes: T time, B batch, I inputs, H hidden, D directions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnexp.models import fused

Direction = Callable[[nn.RNNBase, Tensor, str], Tensor]  # (rnn, x_TBI, suffix of its weights) -> outputs (T, B, H)


def run(rnn: nn.RNNBase, x_BTI: Tensor, lengths_B: Tensor, is_fused: bool, own: Direction | None = None) -> Tensor:
    """Returns the top layer's outputs, (B, T, D * H); those of padding mean nothing.

    Args:
        rnn: with `batch_first`.
        x_BTI: finite in its padding, too.
        lengths_B: at least 1 each.
        is_fused: step the layers by `fused`.
        own: what steps a layer in one direction, where neither `fused` nor torch does.
    """
    device = x_BTI.device.type
    if device != "cpu" and not is_fused and own is None:  # cuDNN takes packed sequences, which have no padding
        packed = pack_padded_sequence(x_BTI, lengths_B.cpu(), batch_first=True, enforce_sorted=False)
        out_BTH, _ = pad_packed_sequence(rnn(packed)[0], batch_first=True, total_length=x_BTI.shape[1])
        return out_BTH
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x_BTI.dtype
    step = own or (fused.direction if is_fused else torchs)
    back_TB = backward_order(x_BTI.shape[1], lengths_B)
    out_TBH = x_BTI.transpose(0, 1).to(dtype if is_fused else x_BTI.dtype).contiguous()
    with torch.autocast(device, dtype, enabled=torch.is_autocast_enabled(device) and not is_fused):
        for layer in range(rnn.num_layers):
            if layer and rnn.dropout and rnn.training:
                out_TBH = dropout(out_TBH, rnn.dropout)
            directions = [step(rnn, out_TBH, f"l{layer}")]
            if rnn.bidirectional:
                read = step(rnn, reorder(out_TBH, back_TB), f"l{layer}_reverse")
                directions.append(reorder(read, back_TB))
            out_TBH = directions[0] if len(directions) == 1 else torch.cat(directions, 2)
    return out_TBH.transpose(0, 1)


def last(out_BTH: Tensor, lengths_B: Tensor, is_bidirectional: bool) -> Tensor:
    """Returns what each direction holds once it has read the whole of each sequence, (B, D * H)."""
    ends_B = torch.arange(len(out_BTH), device=out_BTH.device), lengths_B - 1
    if not is_bidirectional:
        return out_BTH[ends_B]
    forward_BTH, backward_BTH = out_BTH.chunk(2, 2)
    return torch.cat([forward_BTH[ends_B], backward_BTH[:, 0]], 1)


def mean(out_BTH: Tensor, lengths_B: Tensor) -> Tensor:
    """Returns the mean of the outputs over each sequence's own steps, (B, D * H)."""
    is_real_BT = torch.arange(out_BTH.shape[1], device=out_BTH.device)[None] < lengths_B[:, None]
    return out_BTH.masked_fill(~is_real_BT[..., None], 0).sum(1) / lengths_B[:, None]


def backward_order(num_steps: int, lengths_B: Tensor) -> Tensor:
    """Returns which step is read when by the direction that begins at each sequence's end, (T, B); padding stays."""
    step_T1 = torch.arange(num_steps, device=lengths_B.device)[:, None]
    return torch.where(step_T1 < lengths_B, lengths_B - 1 - step_T1, step_T1)


def reorder(x_TBH: Tensor, place_TB: Tensor) -> Tensor:
    """Returns the steps of each sequence in another order."""
    return x_TBH.gather(0, place_TB[..., None].expand_as(x_TBH))


def torchs(rnn: nn.RNNBase, x_TBI: Tensor, suffix: str) -> Tensor:
    """Returns the outputs of one layer in one direction, by torch's own layers."""
    weights = [getattr(rnn, f"{name}_{suffix}") for name in fused.WEIGHTS]
    h = x_TBI.new_zeros(1, x_TBI.shape[1], rnn.hidden_size)
    options = (True, 1, 0.0, rnn.training, False, False)  # biases, layers, dropout, training, directions, batch_first
    if isinstance(rnn, nn.LSTM):
        return torch.lstm(x_TBI, (h, h), weights, *options)[0]
    if isinstance(rnn, nn.GRU):
        return torch.gru(x_TBI, h, weights, *options)[0]
    function = torch.rnn_tanh if rnn.nonlinearity == "tanh" else torch.rnn_relu
    return function(x_TBI, h, weights, *options)[0]
