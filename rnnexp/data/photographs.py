"""Anybody's image as a dataset would have it: polarity, size, place and contrast. No Hydra, and no network.

Shapes: H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from hydra_sweep.errors import UserError
from rnnexp.data import strokes

Gray = NDArray[np.float32]  # of shape (H, W)

SMALL = 40  # pixels: up to this size an image is a dataset's rather than a photo
SIDE = 28  # pixels, of a prepared image
INK_SIDE = 20  # pixels, of the box that MNIST's ink is fitted into
MIN_CONTRAST = 10  # of 255 gray levels: less is no ink
BOX_FLOOR = 0.2  # of the brightest ink: fainter parts don't count for the ink's box


@dataclass(frozen=True)
class Prepared:
    """An image as the dataset would have it.

    Args:
        image: uint8 of shape (28, 28), bright ink on black.
        num_characters: that the photo seems to hold; the largest is the one.
    """

    image: Tensor
    num_characters: int


def prepare(image: Image.Image, name: str) -> Prepared:
    """Returns the image as the dataset would have it.

    MNIST's images were "size normalized to fit in a 20x20 pixel box while preserving their aspect ratio [...] by
    computing the center of mass of the pixels, and translating the image so as to position this point at the center of
    the 28x28 field" (http://yann.lecun.com/exdb/mnist/, after LeCun et al. 1998). The others fill their frame.

    Args:
        image: dark on light or light on dark, of any size and mode; what is transparent is background.
        name: of the dataset: mnist, emnist_..., fashion_mnist or kmnist.

    Raises:
        UserError: nothing stands out from the background.
    """
    num_characters, is_written = 1, name == "mnist" or name.startswith("emnist")
    gray_HW = _gray(ImageOps.exif_transpose(image))
    if is_written and max(gray_HW.shape) > SMALL and (found := strokes.find(gray_HW)):
        ink_HW, num_characters = found.ink_HW, found.num_characters
    else:
        ink_HW = _ink(gray_HW, getattr(image, "filename", None) or "the image", has_margin=is_written)
    if not is_written:
        square = ImageOps.pad(Image.fromarray(ink_HW), (max(ink_HW.shape),) * 2)
        ink_HW = _resize(np.asarray(square), SIDE, SIDE)
    else:
        box = _box(ink_HW)
        height, width = ink_HW[box].shape
        longer = max(height, width)
        if ink_HW.shape != (SIDE, SIDE) or longer > INK_SIDE:
            scale = INK_SIDE / longer
            ink_HW = _resize(ink_HW[box], max(1, round(height * scale)), max(1, round(width * scale)))
        ink_HW = _center(ink_HW)
    if (peak := ink_HW.max()) < 254:  # a tenth of MNIST's own images end there
        ink_HW = ink_HW * (255 / peak)
    return Prepared(torch.from_numpy(ink_HW.round().astype(np.uint8)), num_characters)


def _ink(gray_HW: Gray, title: str, has_margin: bool) -> Gray:
    """Returns how far each pixel stands out from the background, in gray levels; the background's grain is 0.

    Args:
        has_margin: whether what is along each side of the image is paper.
    """
    above_HW = gray_HW - _shade(gray_HW) if has_margin else gray_HW
    above_HW = above_HW - np.median(_border(above_HW))
    grain = 6 * 1.4826 * np.median(abs(_border(above_HW)))  # six standard deviations, if it is Gaussian
    is_ink_dark = above_HW[above_HW > grain].sum() < -above_HW[above_HW < -grain].sum()
    ink_HW = np.maximum(-above_HW if is_ink_dark else above_HW, 0)
    peak = ink_HW.max()
    if peak < MIN_CONTRAST or peak <= grain:
        raise UserError(f"{title} has no ink: nothing stands out from the background")
    return np.where(ink_HW > min(grain, peak / 2), ink_HW, 0).astype(np.float32)


def _shade(gray_HW: Gray) -> Gray:
    """Returns the slope of the light over the paper, as a plane through the medians of opposite sides."""
    shade_HW = np.zeros_like(gray_HW)
    for axis, sides_HW in enumerate((gray_HW, gray_HW.T)):
        rise = np.median(sides_HW[-1]) - np.median(sides_HW[0])
        if abs(rise) < np.ptp(gray_HW) / 2:  # more is no shade but ink along that side
            slope = np.linspace(0, rise, len(sides_HW), dtype=np.float32)
            shade_HW += np.expand_dims(slope, 1 - axis)
    return shade_HW


def _border(gray_HW: Gray) -> Gray:
    return np.concatenate([gray_HW[0], gray_HW[-1], gray_HW[:, 0], gray_HW[:, -1]])


def _gray(image: Image.Image) -> Gray:
    """Returns the image's gray levels from 0 to 255, upon paper of the other color where it is transparent."""
    if image.mode.startswith("I") or image.mode == "F":  # these have no common range, so each its own
        values_HW = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
        values_HW -= values_HW.min()
        return (values_HW * (255 / (values_HW.max() or 1))).astype(np.float32)
    if "A" not in image.getbands() and "transparency" not in image.info:
        return np.asarray(image.convert("RGB").convert("L"), dtype=np.float32)
    color, alpha = image.convert("RGBA").convert("RGB"), image.convert("RGBA").getchannel("A")
    gray_HW, alpha_HW = np.asarray(color.convert("L"), np.float32), np.asarray(alpha, np.float32)
    paper = 255 if (alpha_HW * gray_HW).sum() < 128 * alpha_HW.sum() else 0
    return (paper + (gray_HW - paper) * (alpha_HW / 255)).astype(np.float32)


def _box(ink_HW: Gray) -> tuple[slice, slice]:
    """Returns the rows and columns that the ink takes up."""
    is_ink_HW = ink_HW > BOX_FLOOR * ink_HW.max()
    rows, columns = (np.flatnonzero(is_ink_HW.any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _resize(ink_HW: Gray, height: int, width: int) -> Gray:
    """Returns the ink resampled with anti-aliasing, unless it has that size already."""
    if ink_HW.shape == (height, width):
        return ink_HW
    resized = Image.fromarray(ink_HW).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized).clip(0, ink_HW.max())


def _center(ink_HW: Gray) -> Gray:
    """Returns the ink in a 28x28 frame: its center of mass is within half a pixel of pixel 14, its box is inside."""
    offsets = []
    for axis, span in enumerate(_box(ink_HW)):
        mass = ink_HW.sum(1 - axis, dtype=np.float64)
        shift = round(SIDE / 2 - mass @ np.arange(len(mass)) / mass.sum())
        offsets.append(int(np.clip(shift, -span.start, SIDE - span.stop)))
    frame = Image.new("F", (SIDE, SIDE))
    frame.paste(Image.fromarray(ink_HW), (offsets[1], offsets[0]))
    return np.array(frame)
