"""The classic cells with layer normalization: Ba et al. 2016, arXiv:1607.06450, section 3.1 and appendix.

What a gate takes from the input and what it takes from the state are normalized each by itself, and of an LSTM the cell
before its output too. Steps go through autograd one by one: several times slower than the cells without.

Shapes: T time, B batch, I inputs, H hidden, G gates.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Norms(nn.Module):
    """The gains and shifts of one layer and direction."""

    def __init__(self, num_gates: int, hidden_size: int, has_cell: bool) -> None:
        super().__init__()
        self.inputs, self.state = nn.LayerNorm(num_gates * hidden_size), nn.LayerNorm(num_gates * hidden_size)
        self.cell = nn.LayerNorm(hidden_size) if has_cell else None


class Normalized(nn.ModuleDict):
    """The norms of all layers and directions, by the suffixes that torch gives their weights."""

    def __init__(self, rnn: nn.RNNBase) -> None:
        suffixes = [name.removeprefix("weight_hh_") for name, _ in rnn.named_parameters() if "weight_hh" in name]
        num_gates = dict(rnn.named_parameters())["weight_hh_l0"].shape[0] // rnn.hidden_size
        has_cell = isinstance(rnn, nn.LSTM)
        super().__init__({suffix: Norms(num_gates, rnn.hidden_size, has_cell) for suffix in suffixes})

    def direction(self, rnn: nn.RNNBase, x_TBI: Tensor, suffix: str) -> Tensor:
        """Returns the outputs of one layer in one direction, (T, B, H)."""
        norms: Any = self[suffix]
        w_ih, w_hh, b_ih, b_hh = (
            getattr(rnn, f"{name}_{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        x_TBG = norms.inputs(x_TBI @ w_ih.t()) + b_ih
        h = cell = x_TBI.new_zeros(x_TBI.shape[1], rnn.hidden_size)
        outputs = []
        for x_BG in x_TBG.unbind(0):
            from_h_BG = norms.state(h @ w_hh.t()) + b_hh
            if isinstance(rnn, nn.LSTM):
                i, f, new, out = (x_BG + from_h_BG).chunk(4, 1)
                cell = f.sigmoid() * cell + i.sigmoid() * new.tanh()
                h = out.sigmoid() * norms.cell(cell).tanh()
            elif isinstance(rnn, nn.GRU):
                x_rz, x_n = x_BG.tensor_split([2 * rnn.hidden_size], 1)
                h_rz, h_n = from_h_BG.tensor_split([2 * rnn.hidden_size], 1)
                r, z = (x_rz + h_rz).sigmoid().chunk(2, 1)
                h = torch.lerp((x_n + r * h_n).tanh(), h, z)
            else:
                h = (x_BG + from_h_BG).tanh() if rnn.nonlinearity == "tanh" else (x_BG + from_h_BG).relu()
            outputs.append(h)
        return torch.stack(outputs)
