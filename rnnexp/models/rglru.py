"""The real-gated linear recurrent unit: De et al. 2024, "Griffin", arXiv:2402.19427, section 2.4.

Shapes: T time, B batch, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad

from rnnexp.models.scan import scan

SHARPNESS = 8.0  # c of the paper
DECAYS = (0.9, 0.999)  # between which a^c begins
WIDTH = 4  # steps that the convolution sees


class RgLru(nn.Module):
    """h_t = a_t h_{t-1} + sqrt(1 - a_t^2) (i_t x_t), with gates that depend on the input alone.

    r_t = sigmoid(W_r x_t + b_r), i_t = sigmoid(W_i x_t + b_i) and a_t = a^(c r_t), with a = sigmoid(Lambda) and c = 8.
    A convolution over the latest four steps, of each feature by itself, comes before, as in the paper's block.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(size, size, WIDTH, groups=size)
        self.gates = nn.Linear(size, 2 * size)
        a_H = torch.empty(size).uniform_(*DECAYS) ** (1 / SHARPNESS)
        self.decay = nn.Parameter(a_H.log() - (1 - a_H).log())  # Lambda

    def forward(self, x_TBH: Tensor) -> Tensor:
        x_BHT = pad(x_TBH.permute(1, 2, 0), (WIDTH - 1, 0))
        x_TBH = self.convolution(x_BHT).permute(2, 0, 1)
        r_TBH, i_TBH = self.gates(x_TBH).float().sigmoid().chunk(2, -1)
        log_a_TBH = SHARPNESS * r_TBH * logsigmoid(self.decay)
        scale_TBH = (-torch.expm1(2 * log_a_TBH)).sqrt()
        return scan(log_a_TBH.exp(), scale_TBH * i_TBH * x_TBH)
