"""Training examples changed at random, anew each epoch: images are jittered; series get noise, factors and windows.

Everything is drawn on the CPU, from the generator that is handed in: alike on every device.

Shapes: B batch, H height and W width of an image, C channels, T time steps, I features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from rnnexp.schema.config import JitterConfig

ELASTIC_KNOTS = 5  # on a side: neighboring strokes move apart, a stroke's own pixels together


def jitter(x_BHWC: Tensor, cfg: JitterConfig, generator: torch.Generator) -> Tensor:
    """Returns float images, black outside, each turned, shifted, scaled, sheared and warped by its own uniform draws.

    The warp is that of Simard et al. 2003: a smooth random field of displacements, here by cubic interpolation of
    `ELASTIC_KNOTS` x `ELASTIC_KNOTS` of them.

    Args:
        x_BHWC: or gray, (B, H, W).
    """
    batch, height, width = x_BHWC.shape[:3]
    u_B5 = sent(torch.rand(batch, 5, generator=generator) * 2 - 1, x_BHWC.device)
    angle_B, shear_B = torch.deg2rad(u_B5[:, 0] * cfg.degrees), torch.tan(torch.deg2rad(u_B5[:, 1] * cfg.shear))
    scale_B = 1 / (1 + u_B5[:, 2] * cfg.scale)
    cos_B, sin_B = torch.cos(angle_B) * scale_B, torch.sin(angle_B) * scale_B
    wide = height / width  # coordinates run from -1 to 1 along each side, however long it is
    x_row = torch.stack([cos_B, (cos_B * shear_B - sin_B) * wide, u_B5[:, 3] * 2 * cfg.translate], 1)
    y_row = torch.stack([sin_B / wide, sin_B * shear_B + cos_B, u_B5[:, 4] * 2 * cfg.translate], 1)
    grid = affine_grid(torch.stack([x_row, y_row], 1), [batch, 1, height, width], align_corners=False)
    if cfg.elastic:
        knots = torch.rand(batch, 2, ELASTIC_KNOTS, ELASTIC_KNOTS, generator=generator) * 2 - 1
        warp = interpolate(sent(knots, x_BHWC.device), (height, width), mode="bicubic", align_corners=True)
        grid = grid + 2 * cfg.elastic * warp.permute(0, 2, 3, 1)
    if x_BHWC.ndim == 3:
        return grid_sample(x_BHWC.unsqueeze(1), grid, align_corners=False).squeeze(1)
    return grid_sample(x_BHWC.permute(0, 3, 1, 2), grid, align_corners=False).permute(0, 2, 3, 1)


def sent(x: Tensor, device: torch.device) -> Tensor:
    """Returns what the CPU has drawn on the device; a GPU is not waited for, which pageable memory would be."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


def changes_series(cfg: Any) -> bool:
    """Returns whether `data` asks for any change of a training series."""
    return bool(cfg.noise or cfg.scaling or cfg.window < 1)


def change_series(x_BTI: Tensor, lengths_B: Tensor | None, cfg: Any, generator: torch.Generator) -> Tensor:
    """Returns normalized series with window slicing, scaling and jittering, as `data` asks for.

    Methods and names are those of Iwana and Uchida 2021, arXiv:2007.15951, sections II.A and II.B. What is drawn for a
    time step of one series does not depend on the length of another.
    """
    batch, steps, features = x_BTI.shape
    if cfg.window < 1:
        full_B = torch.full((batch,), steps, device=x_BTI.device) if lengths_B is None else lengths_B
        x_BTI = _window(x_BTI, full_B, cfg.window, sent(torch.rand(batch, generator=generator), x_BTI.device))
    if cfg.scaling:
        factor_BI = 1 + cfg.scaling * torch.randn(batch, features, generator=generator)
        x_BTI = x_BTI * sent(factor_BI, x_BTI.device)[:, None]
    if cfg.noise:
        noise_TBI = cfg.noise * _normal(steps * batch * features, generator).view(steps, batch, features)
        x_BTI = x_BTI + sent(noise_TBI, x_BTI.device).transpose(0, 1)
    return x_BTI


def _normal(count: int, generator: torch.Generator) -> Tensor:
    """Returns draws of which the first ones do not depend on how many there are.

    torch draws in blocks of 16, and draws the last 16 again if the last block is not full.
    """
    return torch.randn(-(-count // 16) * 16, generator=generator)[:count]


def _window(x_BTI: Tensor, lengths_B: Tensor, share: float, u_B: Tensor) -> Tensor:
    """Returns a window of each series, stretched to its whole length by linear interpolation.

    Args:
        u_B: in [0, 1), where between the first and the last possible place it begins.
    """
    length_B1 = lengths_B[:, None].float()
    window_B1 = (share * length_B1).round().clamp(min=2).minimum(length_B1)
    step_T = torch.arange(x_BTI.shape[1], device=x_BTI.device).float()
    stretch_B1 = (window_B1 - 1) / (length_B1 - 1).clamp(min=1)
    begin_B1 = u_B[:, None] * (length_B1 - window_B1)
    place_BT = (begin_B1 + step_T[None] * stretch_B1).clamp(min=0).minimum(length_B1 - 1)
    low_BT = place_BT.floor().long()
    high_BT = (low_BT + 1).minimum(lengths_B[:, None] - 1)
    share_BT1 = (place_BT - low_BT)[..., None]
    batch_B1 = torch.arange(len(x_BTI), device=x_BTI.device)[:, None]
    return torch.lerp(x_BTI[batch_B1, low_BT], x_BTI[batch_B1, high_BT], share_BT1)
