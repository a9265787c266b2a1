"""minGRU and minLSTM: Feng et al. 2024, "Were RNNs All We Needed?", arXiv:2410.01201, sections 3.1 and 3.2.

A GRU and an LSTM whose gates and candidates depend on the input alone, and no longer on the state. Shapes: T time, B
batch, H hidden.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import softplus

from rnnexp.models.scan import scan


class MinGru(nn.Module):
    """h_t = (1 - z_t) h_{t-1} + z_t c_t, with z_t = sigmoid(W_z x_t + b_z) and c_t = W_c x_t + b_c."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.project = nn.Linear(size, 2 * size)

    def forward(self, x_TBH: Tensor) -> Tensor:
        z_TBH, candidate_TBH = self.project(x_TBH).float().chunk(2, -1)
        return scan((-z_TBH).sigmoid(), z_TBH.sigmoid() * candidate_TBH)


class MinLstm(nn.Module):
    """h_t = f'_t h_{t-1} + i'_t c_t, with f' = f / (f + i) and i' = i / (f + i), so that a state's size is kept.

    f_t = sigmoid(W_f x_t + b_f), i_t = sigmoid(W_i x_t + b_i) and c_t = W_c x_t + b_c.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.project = nn.Linear(size, 3 * size)

    def forward(self, x_TBH: Tensor) -> Tensor:
        f_TBH, i_TBH, candidate_TBH = self.project(x_TBH).float().chunk(3, -1)
        balance_TBH = softplus(-f_TBH) - softplus(-i_TBH)  # log(i / f), where neither underflows
        return scan((-balance_TBH).sigmoid(), balance_TBH.sigmoid() * candidate_TBH)
