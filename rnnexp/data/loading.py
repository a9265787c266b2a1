"""A dataset as tensors: split once, then indexed into batches of sequences.

Shapes: B batch, H height and W width of an image, T time steps, I input features, N images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from hydra_sweep.errors import UserError
from hydra_sweep.seeds import derive
from rnnexp.data import files
from rnnexp.data.files import ensure
from rnnexp.schema.config import NUM_CLASSES, DataConfig, JitterConfig

ELASTIC_KNOTS = 5  # on a side: neighboring strokes move apart, a stroke's own pixels together


@dataclass(frozen=True)
class Images:
    """Images as uint8 of shape (N, H, W), and their labels as int64 of shape (N,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Images:
        return Images(self.images[index], self.labels[index])

    def to(self, device: torch.device) -> Images:
        return Images(self.images.to(device), self.labels.to(device))


class Sequences:
    """How images become what a network reads: jittered if asked, normalized, and laid out in time."""

    def __init__(self, cfg: DataConfig) -> None:
        self.cfg = cfg
        permutation = np.random.RandomState(cfg.permutation_seed).permutation(28 * 28)
        self.permutation_T = torch.from_numpy(permutation)
        self.input_size = 28 if cfg.sequence in ("columns", "rows") else 1

    def __call__(self, images_BHW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Returns float32 x_BTI of uint8 images, jittered if a generator to draw from is given."""
        x_BHW = images_BHW.float().div_(255)
        if generator is not None:
            x_BHW = jitter(x_BHW, self.cfg.jitter, generator)
        x_BHW = x_BHW.sub_(self.cfg.mean).div_(self.cfg.std)
        if self.cfg.sequence == "columns":
            return x_BHW.transpose(1, 2)
        if self.cfg.sequence == "rows":
            return x_BHW
        x_BTI = x_BHW.flatten(1).unsqueeze(2)
        return x_BTI[:, self.permutation_T.to(x_BTI.device)] if self.cfg.sequence == "permuted" else x_BTI


@dataclass(frozen=True)
class Dataset:
    """The three parts and how to read them. `valid` is the test set itself where the config says so."""

    train: Images
    valid: Images
    test: Images | None  # None: it was not read
    sequences: Sequences


def load(cfg: DataConfig, device: torch.device, *, with_test: bool = True) -> Dataset:
    """Returns the dataset on the device, split by `data.split_seed` alone.

    Args:
        with_test: read the test files; without them, validation must be from the training file.

    Raises:
        UserError: files are missing and can't be got, or are not what their names say.
    """
    root = ensure(cfg)

    def read(prefix: str) -> Images:
        images = torch.frombuffer(files.read(root, cfg.name, f"{prefix}-images-idx3-ubyte"), dtype=torch.uint8)
        labels = torch.frombuffer(files.read(root, cfg.name, f"{prefix}-labels-idx1-ubyte"), dtype=torch.uint8)
        if labels.max() >= NUM_CLASSES:
            raise UserError(f"{cfg.name} has a label {labels.max()}; delete {root} and run again")
        return Images(images.view(-1, 28, 28), labels.long())

    file, test = read("train"), read("t10k") if with_test else None
    used = torch.arange(len(file))
    if cfg.valid_from == "train":
        used, held = hold_out(file.labels, cfg.valid_size, derive(cfg.split_seed, "split"))
        valid = file.take(held)
    else:
        assert test is not None
        valid = test
    if cfg.limit is not None and cfg.limit < len(used):
        _, few = hold_out(file.labels[used], cfg.limit, derive(cfg.split_seed, "limit"))
        used = used[few]
    train = file if len(used) == len(file) else file.take(used)
    seen = None if test is None else test.to(device)
    return Dataset(train.to(device), valid.to(device), seen, Sequences(cfg))


def hold_out(labels: Tensor, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Returns the indices left and `size` indices drawn from all, both in order, each class in its proportion."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    shuffled = labels[order]
    counts = torch.bincount(labels)
    quota, remainder = counts * size // len(labels), counts * size % len(labels)  # whole numbers: exact
    short = size - int(quota.sum())
    quota[remainder.argsort(descending=True, stable=True)[:short]] += 1  # largest remainders first
    rank = torch.empty_like(labels)
    for label, count in enumerate(counts.tolist()):
        rank[shuffled == label] = torch.arange(count)
    is_drawn = torch.zeros(len(labels), dtype=torch.bool)
    is_drawn[order[rank < quota[shuffled]]] = True
    return (~is_drawn).nonzero().flatten(), is_drawn.nonzero().flatten()


def jitter(x_BHW: Tensor, cfg: JitterConfig, generator: torch.Generator) -> Tensor:
    """Returns float images, black outside, each turned, shifted, scaled, sheared and warped by its own uniform draws.

    The warp is that of Simard et al. 2003: a smooth random field of displacements, here by cubic interpolation of
    `ELASTIC_KNOTS` x `ELASTIC_KNOTS` of them.
    """
    batch = len(x_BHW)
    u_B5 = (torch.rand(batch, 5, generator=generator) * 2 - 1).to(x_BHW.device)  # drawn on the CPU: alike everywhere
    angle_B, shear_B = torch.deg2rad(u_B5[:, 0] * cfg.degrees), torch.tan(torch.deg2rad(u_B5[:, 1] * cfg.shear))
    scale_B = 1 / (1 + u_B5[:, 2] * cfg.scale)
    cos_B, sin_B = torch.cos(angle_B) * scale_B, torch.sin(angle_B) * scale_B
    x_row = torch.stack([cos_B, cos_B * shear_B - sin_B, u_B5[:, 3] * 2 * cfg.translate], 1)
    y_row = torch.stack([sin_B, sin_B * shear_B + cos_B, u_B5[:, 4] * 2 * cfg.translate], 1)
    grid = affine_grid(torch.stack([x_row, y_row], 1), [batch, 1, *x_BHW.shape[1:]], align_corners=False)
    if cfg.elastic:
        knots = torch.rand(batch, 2, ELASTIC_KNOTS, ELASTIC_KNOTS, generator=generator) * 2 - 1
        warp = interpolate(knots.to(x_BHW.device), x_BHW.shape[1:], mode="bicubic", align_corners=True)
        grid = grid + 2 * cfg.elastic * warp.permute(0, 2, 3, 1)
    return grid_sample(x_BHW.unsqueeze(1), grid, align_corners=False).squeeze(1)
