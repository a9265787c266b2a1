"""The strokes of one character in a photo: paper on a desk, shadows, ruled lines and specks are taken away.

Shapes: H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Gray = NDArray[np.float32]  # of shape (H, W)
Mask = NDArray[np.bool_]  # of shape (H, W)

SIDE = 256  # pixels, of a photo's longer side while it is looked at
MIN_SHEET = 0.2  # of the photo: less is no sheet of paper
STRAIGHT = 0.85  # of its smallest rectangle, that a sheet fills; a circle fills 0.79
MAX_STROKE = 0.14  # of the longer side, of a pen's width
MIN_CONTRAST = 0.04  # of the paper's brightness: less is no ink
GAP = 0.05  # of the longer side, between the strokes of one character
PEN = 0.1  # of the character's longer side, the least width of a stroke: MNIST's are 2 to 3 of 20 pixels
MARGIN = 0.25  # of the character's longer side, around it, while it is looked at in detail
RIVAL = 0.3  # of the character's ink, from which on something else is a character, too


@dataclass(frozen=True)
class Strokes:
    """What was found: how dark the ink of the character is, from 0 to 255, and how many characters there seem to be."""

    ink_HW: Gray
    num_characters: int


def find(gray_HW: Gray) -> Strokes | None:
    """Returns the strokes of the largest character, or None if there is no ink.

    The whole photo is looked at first, to find the character, and then what is around it, in all detail.

    Args:
        gray_HW: gray levels from 0 to 255, dark on light or light on dark.
    """
    light_HW, scale = _reduced(gray_HW)
    sheet_HW = next(filter(np.any, map(_sheet, (light_HW, 255 - light_HW))), np.ones(light_HW.shape, bool))
    if _is_ink_light(light_HW, sheet_HW):
        light_HW, gray_HW = 255 - light_HW, 255 - gray_HW
    if (found := _look(light_HW, sheet_HW)) is None:
        return None
    spans = [np.flatnonzero(found.ink_HW.any(axis)) for axis in (1, 0)]
    margin = MARGIN * max(np.ptp(span) for span in spans) + 2
    ends = [(max(0, round((span[0] - margin) / scale)), round((span[-1] + margin) / scale)) for span in spans]
    place = tuple(slice(*end) for end in ends)
    detail_HW, _ = _reduced(gray_HW[place])
    if closer := _look(detail_HW, np.ones(detail_HW.shape, bool)):
        known = Image.fromarray(ndimage.binary_dilation(found.ink_HW > 0, iterations=2))
        known_HW = np.asarray(known.resize(gray_HW.shape[::-1]))[place]
        known_HW = np.asarray(Image.fromarray(known_HW).resize(detail_HW.shape[::-1]))
        found = Strokes(np.where(known_HW, closer.ink_HW, 0), found.num_characters)
    return Strokes(_thick(found.ink_HW), found.num_characters)


def _reduced(gray_HW: Gray) -> tuple[Gray, float]:
    """Returns the image at the size at which it is looked at, slightly blurred, and by what it was scaled."""
    scale = min(1.0, SIDE / max(gray_HW.shape))
    height, width = (max(1, round(side * scale)) for side in gray_HW.shape)
    reduced = Image.fromarray(gray_HW).resize((width, height), Image.Resampling.BOX)
    return np.asarray(ndimage.gaussian_filter(np.asarray(reduced, dtype=np.float32), 0.7)), scale


def _look(light_HW: Gray, sheet_HW: Mask) -> Strokes | None:
    """Returns the dark strokes on a sheet of light paper."""
    paper_HW = _paper(light_HW)
    ink_HW = np.clip(1 - light_HW / np.maximum(paper_HW, 16), 0, 1).astype(np.float32) * sheet_HW
    threshold = _threshold(ink_HW[sheet_HW])
    if threshold is None:
        return None
    is_ink_HW = ink_HW > threshold
    lines_HW = _lines(is_ink_HW) | _lines(is_ink_HW.T).T
    groups_HW, main, num_characters = _characters(is_ink_HW & ~lines_HW, ink_HW)
    if not main:
        return None
    kept_HW = ndimage.binary_dilation(groups_HW == main, iterations=2) & ~lines_HW
    ink_HW = np.where(kept_HW & (ink_HW > threshold / 2), ink_HW, 0)
    return Strokes((ink_HW * (255 / ink_HW.max())).astype(np.float32), num_characters)


def _sheet(light_HW: Gray) -> Mask:
    """Returns where a sheet of paper lies on something darker, without its edge; nowhere, if there is none."""
    is_light_HW = light_HW > _otsu(light_HW)
    labels_HW, count = ndimage.label(ndimage.binary_opening(is_light_HW, iterations=2))
    if not count:
        return np.zeros_like(is_light_HW)
    sizes = np.bincount(labels_HW.ravel())
    sizes[0] = 0
    found_HW = ndimage.binary_fill_holes(labels_HW == sizes.argmax())
    border = np.concatenate([found_HW[0], found_HW[-1], found_HW[:, 0], found_HW[:, -1]])
    share = found_HW.mean()
    if border.mean() > 0.1 or share < MIN_SHEET or _fullness(found_HW) < STRAIGHT:
        return np.zeros_like(is_light_HW)
    edge = max(3, round(0.03 * max(light_HW.shape)))
    return np.asarray(ndimage.binary_erosion(found_HW, iterations=edge))


def _fullness(mask_HW: Mask) -> float:
    """Returns how much of the smallest rectangle around it a shape fills, of those turned by steps of 3 degrees."""
    y, x = np.nonzero(mask_HW)
    areas = []
    for angle in np.radians(np.arange(0, 90, 3)):
        sides = [x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)]
        areas.append(float(np.prod([np.ptp(side) + 1 for side in sides])))
    return float(mask_HW.sum() / min(areas))


def _is_ink_light(light_HW: Gray, sheet_HW: Mask) -> bool:
    """Whether what stands out from its surroundings is lighter than they are; cubes tell strokes from their gaps."""
    above_HW = light_HW[::2, ::2] - ndimage.median_filter(light_HW[::2, ::2], size=max(3, max(light_HW.shape) // 8))
    return bool((above_HW[sheet_HW[::2, ::2]] ** 3).sum() > 0)


def _paper(light_HW: Gray) -> Gray:
    """Returns the paper as it would be without its ink: dark strokes are closed, the edges of shadows stay."""
    side = max(3, round(MAX_STROKE * max(light_HW.shape)))
    closed_HW = ndimage.grey_closing(light_HW, size=(side, side))
    return np.asarray(ndimage.uniform_filter(closed_HW, 3), dtype=np.float32)


def _threshold(ink_HW: Gray) -> float | None:
    """Returns the darkness that ink begins at, clear of the paper's grain; None if nothing is that dark."""
    grain = 6 * 1.4826 * float(np.median(ink_HW))
    peak = float(np.quantile(ink_HW, 0.999))
    if peak < MIN_CONTRAST or peak <= grain:
        return None
    clear = ink_HW[ink_HW > max(grain, 0.15 * peak)]
    return max(grain, 0.4 * float(np.median(clear))) if clear.size else None


def _thick(ink_HW: Gray) -> Gray:
    """Returns the character with strokes of a felt pen, if they are thinner than that."""
    is_ink_HW = ink_HW > 127
    rows, columns = np.nonzero(is_ink_HW)
    wanted = PEN * max(np.ptp(rows), np.ptp(columns))
    width = 4 * float(ndimage.distance_transform_edt(is_ink_HW)[is_ink_HW].mean()) - 2
    radius = (wanted - width) / 2
    if radius < 0.5:
        return ink_HW.astype(np.float32)
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    thick_HW = ndimage.grey_dilation(ink_HW, footprint=np.hypot(y, x) <= radius + 0.25)
    return np.asarray(ndimage.gaussian_filter(thick_HW, 0.7), dtype=np.float32)


def _otsu(values: Gray) -> float:
    """Returns the level that parts the values into two groups with least spread (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=128)
    centers = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts), counts.sum()
    sums = np.cumsum(counts * centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sums[-1] * below / total - sums) ** 2 / (below * (total - below))
    return float(centers[np.nanargmax(np.where(np.isfinite(between), between, -1))])


def _lines(is_ink_HW: Mask) -> Mask:
    """Returns where ruled lines are: thin ones from the left edge to the right one, but not where a stroke crosses."""
    height, width = is_ink_HW.shape
    # A line may lean: what is left of it in windows of a sixth of the width is straight enough.
    long_HW = ndimage.binary_opening(is_ink_HW, np.ones((1, max(8, width // 6)), bool))
    long_HW = ndimage.binary_dilation(long_HW, np.ones((3, 1), bool)) & is_ink_HW
    labels_HW, _ = ndimage.label(ndimage.binary_dilation(long_HW, np.ones((3, 9), bool)))
    columns_HW, _ = ndimage.label(is_ink_HW, [[0, 1, 0]] * 3)
    thickness_HW = np.bincount(columns_HW.ravel())[columns_HW]  # of the ink above and below a pixel
    lines_HW = np.zeros_like(is_ink_HW)
    for number, place in enumerate(ndimage.find_objects(labels_HW), 1):
        part_HW = (labels_HW[place] == number) & long_HW[place]
        reaches = place[1].start <= 0.03 * width and place[1].stop >= 0.97 * width
        if not reaches or part_HW.any(0).sum() < 0.6 * width:
            continue
        thickness = float(np.quantile(thickness_HW[place][part_HW], 0.3))  # strokes along it are thicker
        if thickness <= max(3, 0.03 * height):
            lines_HW[place] |= part_HW & (thickness_HW[place] <= 1.5 * thickness + 1)
    rest_HW = is_ink_HW & ~lines_HW
    crossing_HW = ndimage.binary_closing(rest_HW, np.ones((7, 1), bool))  # ink is right above and below
    return np.asarray(lines_HW & ~crossing_HW)


def _characters(is_ink_HW: Mask, ink_HW: Gray) -> tuple[NDArray[Any], int, int]:
    """Returns the groups of strokes, the number of the one that is the character, and how many are as large."""
    longer = max(is_ink_HW.shape)
    is_ink_HW = ndimage.binary_opening(is_ink_HW, np.ones((2, 2), bool)) if is_ink_HW.sum() > 400 else is_ink_HW
    near_HW = ndimage.binary_dilation(is_ink_HW, iterations=max(1, round(GAP * longer / 2)))
    groups_HW, count = ndimage.label(near_HW, np.ones((3, 3), bool))
    groups_HW = groups_HW * is_ink_HW
    if not count:
        return groups_HW, 0, 0
    extents = [0.0]
    for number, place in enumerate(ndimage.find_objects(groups_HW, count), 1):
        if place is None:
            extents.append(0.0)
            continue
        rows, columns = (side.stop - side.start for side in place)
        middle = [
            (side.start + side.stop) / 2 / length - 0.5 for side, length in zip(place, is_ink_HW.shape, strict=True)
        ]
        mass = float(ink_HW[place][groups_HW[place] == number].sum())
        extents.append(mass * max(rows, columns) * (1 - float(np.hypot(*middle))))
    main = int(np.argmax(extents))
    rivals = sum(extent >= RIVAL * extents[main] for extent in extents)
    return groups_HW, main, rivals
