"""The linear recurrent unit: Orvieto et al. 2023, "Resurrecting Recurrent Neural Networks for Long Sequences",
arXiv:2303.06349, section 3 and appendix A.

Shapes: T time, B batch, H hidden.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rnnexp.models.scan import scan


class Lru(nn.Module):
    """h_t = lambda h_{t-1} + gamma (B x_t), y_t = Re(C h_t) + D x_t, with complex states and one lambda for each.

    lambda = exp(-exp(nu) + i exp(theta)) is stable whatever nu and theta are trained to; gamma begins at
    sqrt(1 - |lambda|^2), so that states begin as large as their inputs.

    Args:
        r_min, r_max: between which |lambda| begins, spread evenly over that ring: for how many steps states remember.
        max_phase: up to which angle its phases begin, in rad.
    """

    def __init__(self, size: int, r_min: float = 0.9, r_max: float = 0.999, max_phase: float = 2 * math.pi) -> None:
        super().__init__()
        square_H = torch.rand(size) * (r_max**2 - r_min**2) + r_min**2
        self.nu = nn.Parameter((-0.5 * square_H.log()).log())
        self.theta = nn.Parameter((max_phase * torch.rand(size).clamp(min=1e-6)).log())
        self.gamma = nn.Parameter(0.5 * (1 - square_H).log())  # its logarithm
        self.b = nn.Parameter(torch.randn(size, 2, size) / math.sqrt(2 * size))  # real and imaginary
        self.c = nn.Parameter(torch.randn(size, size, 2) / math.sqrt(size))
        self.d = nn.Parameter(torch.randn(size))

    def forward(self, x_TBH: Tensor) -> Tensor:
        lambda_H = torch.polar((-self.nu.exp()).exp(), self.theta.exp())
        scaled_HRH = self.b * self.gamma.exp()[:, None, None]
        driven_TBHR = torch.einsum("tbi,hri->tbhr", x_TBH, scaled_HRH).float().contiguous()
        driven_TBH = torch.view_as_complex(driven_TBHR)
        h_TBH = scan(lambda_H.expand_as(driven_TBH), driven_TBH)
        h_TBHR = torch.view_as_real(h_TBH) * torch.tensor(
            [1.0, -1.0], device=x_TBH.device
        )  # Re(C h) = C_r h_r - C_i h_i
        return torch.einsum("tbhr,ohr->tbo", h_TBHR, self.c) + self.d * x_TBH
