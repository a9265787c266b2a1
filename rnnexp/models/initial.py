"""Initial weights of the classic cells, beside torch's own."""

from __future__ import annotations

import torch
from torch import nn

INPUT_STD = 1e-3  # of an identity network's input weights: Le et al. 2015, section 4


def initialize(rnn: nn.RNNBase, how: str, num_steps: int | None) -> None:
    """Draws weights anew, or leaves those that torch has drawn.

    Args:
        how: `torch`: uniform within 1 / sqrt(H), as torch has them. `orthogonal`: each product of a state is by an
            orthogonal matrix (Saxe et al. 2013, arXiv:1312.6120). `identity`: a plain relu network begins as one that
            adds up its inputs (Le et al. 2015, arXiv:1504.00941). `chrono`: gates of LSTM and GRU begin so far open
            that states last for 1 .. num_steps steps (Tallec and Ollivier 2018, arXiv:1804.11188).
        num_steps: of the longest dependency, for `chrono`.
    """
    with torch.no_grad():
        for name, weight in rnn.named_parameters():
            if how == "orthogonal" and name.startswith("weight_hh"):
                for square in torch.split(weight, rnn.hidden_size):
                    nn.init.orthogonal_(square)
            elif how == "identity":
                _identity(name, weight)
            elif how == "chrono" and name.startswith("bias"):
                assert num_steps is not None
                _chrono(rnn, name, weight, num_steps)


def _identity(name: str, weight: nn.Parameter) -> None:
    if name.startswith("weight_hh"):
        nn.init.eye_(weight)
    elif name.startswith("weight_ih"):
        nn.init.normal_(weight, std=INPUT_STD)
    else:
        nn.init.zeros_(weight)


def _chrono(rnn: nn.RNNBase, name: str, bias: nn.Parameter, num_steps: int) -> None:
    """Sets the gates' part of one of the two biases: torch adds them up, so one of them has it all."""
    first, second = torch.split(bias, rnn.hidden_size)[
        :2
    ]  # of an LSTM input and forget gate, of a GRU reset and update gate
    keeps = torch.empty_like(second).uniform_(1, num_steps - 1).log() if name.startswith("bias_ih") else 0 * second
    second.copy_(keeps)
    if isinstance(rnn, nn.LSTM):
        first.copy_(-keeps)
