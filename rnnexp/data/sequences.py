"""What a network reads of examples: changed if asked, normalized, laid out in time, padded; and in which batches.

Shapes: n examples of a part, B batch, H height and W width of an image, C channels, T time steps, I features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnexp.data.augmentation import change_series, changes_series, jitter
from rnnexp.data.dataset import IMAGES
from rnnexp.data.splitting import Part

POOL = 32  # batches whose examples are put together by length
CHUNK, CHUNK_VALUES = 4096, 1 << 22  # examples, or their values, that statistics are taken of at a time
SMALLEST_STD = 1e-10  # of what is not constant, as a share of the mean


@dataclass(frozen=True)
class Normalization:
    """What is subtracted from values, and what they are then divided by.

    Args:
        mean, std: one number for all features, or one for each. None: each example's own.
    """

    mean: list[float] | None
    std: list[float] | None

    @classmethod
    def of(cls, cfg: Any, train: Part, kind: str) -> Normalization:
        """Returns what `data.normalize` asks for, measured on the training part if need be."""
        asked = cfg.normalize
        if asked == "none":
            return cls([0.0], [1.0])
        if asked == "series":
            return cls(None, None)
        if asked == "dataset":
            return cls(*statistics(train, kind))
        mean, std = asked
        return cls(_numbers(mean), _numbers(std))

    def __call__(self, x: Tensor, lengths_B: Tensor | None, axes: tuple[int, ...]) -> Tensor:
        """Returns x (B, ..., I) normalized, in its own memory if it can be.

        Args:
            axes: of time steps or pixels.
        """
        if self.mean is None or self.std is None:
            return _by_its_own(x, lengths_B, axes)
        if len(self.mean) == len(self.std) == 1:
            return x.sub_(self.mean[0]).div_(self.std[0])
        mean, std = (_on_device(tuple(values), x.device) for values in (self.mean, self.std))
        return x.sub_(mean).div_(std)


@lru_cache(8)
def _on_device(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device)


def _numbers(value: Any) -> list[float]:
    return [float(v) for v in (value if hasattr(value, "__iter__") else [value])]


def _by_its_own(x: Tensor, lengths_B: Tensor | None, axes: tuple[int, ...]) -> Tensor:
    """Returns each example normalized by its own mean and standard deviation, feature by feature."""
    values = x.double()  # in float32, rounding would give a constant one a scale, and padding would change which
    if lengths_B is None:
        mean, variance = values.mean(axes, keepdim=True), values.var(axes, keepdim=True, correction=0)
    else:
        is_real = (torch.arange(x.shape[1], device=x.device)[None] < lengths_B[:, None])[..., None]
        count = lengths_B[:, None, None]
        mean = (values * is_real).sum(1, keepdim=True) / count
        variance = (((values - mean) * is_real) ** 2).sum(1, keepdim=True) / count
    std = variance.sqrt()
    has_scale = std > SMALLEST_STD * mean.abs()
    return ((values - mean) / torch.where(has_scale, std, torch.ones_like(std))).float()


def as_floats(x: Tensor, kind: str) -> Tensor:
    """Returns values as float32; those of images with uint8 pixels are in [0, 1]."""
    return x.float().div_(255) if kind == IMAGES and x.dtype == torch.uint8 else x.to(torch.float32, copy=True)


def statistics(train: Part, kind: str) -> tuple[list[float], list[float]]:
    """Returns the mean and the standard deviation of each feature over all training examples and time steps."""
    count = 0
    shift = total = squares = torch.zeros(1)  # the shift is the first mean: so squares lose no digits
    for index in _chunks(train):
        x = as_floats(train.batch(index)[0] if train.offsets is None else train.steps(index), kind).double()
        features = x.shape[-1] if kind != IMAGES or x.ndim == 4 else 1
        flat = x.reshape(-1, features)
        if not count:
            shift = flat.mean(0)
            total = squares = torch.zeros_like(shift)
        count += len(flat)
        total = total + (flat - shift).sum(0)
        squares = squares + ((flat - shift) ** 2).sum(0)
    mean = total / count
    std = (squares / count - mean**2).clamp(min=0).sqrt()
    std = torch.where(std > 1e-12, std, torch.ones_like(std))  # a constant feature is only shifted
    return (shift + mean).tolist(), std.tolist()


def _chunks(train: Part) -> tuple[Tensor, ...]:
    """Returns the indices of all examples, cut into pieces that fit into memory."""
    index = torch.arange(len(train), device=train.rows.device)
    values = train.x[:1].numel()  # of an example, or of a step
    if train.lengths is None:
        return torch.split(index, min(CHUNK, max(1, CHUNK_VALUES // max(1, values))))
    piece = torch.cumsum(train.lengths, 0) * values // CHUNK_VALUES
    return torch.split(index, torch.unique_consecutive(piece, return_counts=True)[1].tolist())


class Sequences:
    """How examples become what a network reads.

    Args:
        cfg: `data`.
        kind, shape: of the dataset, as `Dataset` has them.
    """

    def __init__(self, cfg: Any, kind: str, shape: tuple[int | None, ...], normalization: Normalization) -> None:
        self.cfg, self.kind, self.shape, self.normalization = cfg, kind, shape, normalization
        self.permutation_T: Tensor | None = None
        if kind == IMAGES:
            height, width = shape[:2]
            assert height
            assert width
            channels = shape[2] if len(shape) == 3 else 1
            assert channels
            pixels = {"columns": height, "rows": width, "patches": cfg.patch**2}.get(cfg.sequence, 1)
            self.input_size = channels * pixels
            if cfg.sequence == "permuted":
                permutation = np.random.RandomState(cfg.permutation_seed).permutation(height * width)
                self.permutation_T = torch.from_numpy(permutation)
        else:
            assert shape[-1]
            self.input_size = shape[-1]

    @classmethod
    def recorded(cls, cfg: Any, about: Mapping[str, Any]) -> Sequences:
        """Returns how a run read its examples, from its `data` and what it recorded of its dataset."""
        shape, by = tuple(about["shape"]), Normalization(about["mean"], about["std"])
        for values in (by.mean, by.std):
            if values is not None and not (len(values) in (1, shape[-1]) and all(map(math.isfinite, values))):
                raise ValueError(f"what it was normalized by can't be {values!r:.40}")
        return cls(cfg, about["kind"], shape, by)

    @property
    def is_augmenting(self) -> bool:
        """Whether training examples are to be changed at random."""
        return bool(self.cfg.augment) if self.kind == IMAGES else changes_series(self.cfg)

    def __call__(self, part: Part, index: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        """Returns what the network is called with: float32 x_BTI, and lengths_B where they differ.

        Args:
            index: of examples of the part.
            generator: to draw changes from; None: none are made.
        """
        raw, lengths_B = part.batch(index)
        x = as_floats(raw, self.kind)
        if self.kind == IMAGES:
            if generator is not None:
                x = jitter(x, self.cfg.jitter, generator)
            return (self.layout(self.normalization(x, None, (1, 2))),)
        x_BTI = self.normalization(x, lengths_B, (1,))
        if generator is not None:
            x_BTI = change_series(x_BTI, lengths_B, self.cfg, generator)
        if lengths_B is None:
            return (x_BTI,)
        is_real_BT = torch.arange(x_BTI.shape[1], device=x_BTI.device)[None] < lengths_B[:, None]
        return x_BTI * is_real_BT[..., None], lengths_B

    def layout(self, x: Tensor) -> Tensor:
        """Returns x_BTI of images (B, H, W) or (B, H, W, C)."""
        if self.cfg.sequence == "columns":
            return x.transpose(1, 2).flatten(2)
        if self.cfg.sequence == "rows":
            return x.flatten(2)
        if self.cfg.sequence == "patches":
            side = self.cfg.patch
            x = x.unsqueeze(3) if x.ndim == 3 else x
            batch, height, width, channels = x.shape
            x = x.reshape(batch, height // side, side, width // side, side, channels).transpose(2, 3)
            return x.reshape(batch, (height // side) * (width // side), side * side * channels)
        x_BTI = x.flatten(1).unsqueeze(2) if x.ndim == 3 else x.flatten(1, 2)
        if self.permutation_T is None:
            return x_BTI
        self.permutation_T = self.permutation_T.to(x_BTI.device)  # once
        return x_BTI[:, self.permutation_T]


def batches(part: Part, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Returns the indices of each batch of an epoch, in an order drawn from the generator.

    Where lengths differ, batches are bucketed: of every `POOL` batches in the drawn order the examples are sorted by
    length and cut into batches anew, so that those of one batch are nearly as long as each other; then the order of all
    batches is drawn.
    """
    order = torch.randperm(len(part), generator=generator)
    if part.lengths is None:
        return torch.split(order.to(part.rows.device), batch_size)
    lengths = part.lengths.cpu()
    pools = [pool[lengths[pool].argsort(stable=True)] for pool in torch.split(order, POOL * batch_size)]
    found = [batch for pool in pools for batch in torch.split(pool, batch_size)]
    drawn = [found[i] for i in torch.randperm(len(found), generator=generator)]
    return torch.split(torch.cat(drawn).to(part.rows.device), [len(batch) for batch in drawn])


def by_length(part: Part, batch_size: int) -> tuple[Tensor, ...]:
    """Returns the indices of each batch of an evaluation: all examples once, the shortest first if lengths differ."""
    index = torch.arange(len(part), device=part.rows.device)
    return torch.split(index if part.lengths is None else part.lengths.argsort(stable=True), batch_size)
