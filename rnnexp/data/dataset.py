"""What a dataset is: labeled examples as arrays, its classes, and a test part if it comes with one. No torch.

Shapes: N examples, T time steps, I features, H height, W width, C channels.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

IMAGES, SERIES = "images", "series"
MAX_CLASSES = 65_535  # that a record of predictions has room for
CHUNK = 1 << 24  # bytes that are hashed, or looked through, at a time


@dataclass(frozen=True)
class Examples:
    """N labeled examples.

    Args:
        x: images (N, H, W) or (N, H, W, C), or series (N, T, I); of series whose lengths differ, all of them end to
            end, (sum of T, I).
        labels: int64 (N,), indices of classes.
        offsets: int64 (N + 1,), where in x each series begins, and the last one ends; None where all have one length.
        known_checksum: of content that has been looked through already.
    """

    x: NDArray[Any]
    labels: NDArray[np.int64]
    offsets: NDArray[np.int64] | None = None
    known_checksum: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64] | None:
        """T of each series, (N,), where they differ."""
        return None if self.offsets is None else np.diff(self.offsets)

    def example(self, number: int) -> NDArray[Any]:
        """Returns one example: (H, W), (H, W, C) or (T, I)."""
        if self.offsets is None:
            return np.asarray(self.x[number])
        return self.x[self.offsets[number] : self.offsets[number + 1]]

    @cached_property
    def checksum(self) -> str:
        """16 hex digits over all arrays, their shapes and types."""
        if self.known_checksum:
            return self.known_checksum
        digest = hashlib.blake2b(digest_size=8)
        for array in (self.x, self.labels, self.offsets):
            if array is not None:
                digest.update(f"{array.shape}{array.dtype.str}".encode())
                flat = memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
                for start in range(0, len(flat), CHUNK):
                    digest.update(flat[start : start + CHUNK])
        return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """What the callable behind `data._target_` returns; `of_images` and `of_series` make one of arrays.

    Args:
        kind: `images`, whose layout in time is `data.sequence`, or `series`, which have theirs.
        classes: their names, in the order of the labels.
        test: the test part that the dataset comes with. None: it has none, and `data.test_size` holds one out, or it
            has not been read.
        has_test: whether it comes with one, be it read or not.
        name: for people.
        features: the names of a series' features, if they have any.
    """

    kind: str
    train: Examples
    classes: tuple[str, ...]
    test: Examples | None = None
    has_test: bool = False
    name: str = ""
    features: tuple[str, ...] = ()

    @classmethod
    def of_images(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        x_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        *,
        classes: Sequence[str] | None = None,
        name: str = "",
        has_test: bool = False,
    ) -> Dataset:
        """Returns a dataset of images that all have one size.

        Args:
            x: (N, H, W) or (N, H, W, C); uint8 from 0 to 255, or floats (or booleans) from 0 to 1.
            y: N labels: indices if `classes` names what they stand for, else any values, each a class.
            x_test, y_test: the same of the test part.
            has_test: there is a test part, which was not read because it is not wanted.

        Raises:
            ValueError: shapes or labels don't fit.
        """
        parts: list[tuple[NDArray[Any], NDArray[np.int64] | None]] = [
            (_pixels(part), None) for part in (x, x_test) if part is not None
        ]
        return cls._of(IMAGES, parts, y, y_test, classes, name, has_test)

    @classmethod
    def of_series(
        cls,
        x: ArrayLike | Sequence[ArrayLike],
        y: ArrayLike,
        x_test: ArrayLike | Sequence[ArrayLike] | None = None,
        y_test: ArrayLike | None = None,
        *,
        classes: Sequence[str] | None = None,
        name: str = "",
        has_test: bool = False,
        features: Sequence[str] = (),
    ) -> Dataset:
        """Returns a dataset of series, whose values become float32.

        Args:
            x: (N, T, I), or (N, T) with one feature; of unequal lengths, a list of N arrays (T, I) or (T,).
            y: N labels: indices if `classes` names what they stand for, else any values, each a class.
            x_test, y_test: the same of the test part.
            has_test: there is a test part, which was not read because it is not wanted.
            features: their names.

        Raises:
            ValueError: shapes or labels don't fit.
        """
        parts = [_series(part) for part in (x, x_test) if part is not None]
        found = cls._of(SERIES, parts, y, y_test, classes, name, has_test)
        return dataclasses.replace(found, features=tuple(features))

    @classmethod
    def _of(
        cls,
        kind: str,
        parts: list[tuple[NDArray[Any], NDArray[np.int64] | None]],
        y: ArrayLike,
        y_test: ArrayLike | None,
        classes: Sequence[str] | None,
        name: str,
        has_test: bool,
    ) -> Dataset:
        labels = [np.asarray(part) for part in (y, y_test) if part is not None]
        if len(labels) != len(parts):
            raise ValueError("x_test and y_test belong together: both or neither")
        for (values, offsets), of_part in zip(parts, labels, strict=True):
            count = len(values) if offsets is None else len(offsets) - 1
            if of_part.shape != (count,):
                raise ValueError(f"{count} examples need labels of shape ({count},), got {of_part.shape}")
        names, indices = _indexed(labels, classes)
        examples = [
            Examples(values, of_part, offsets) for (values, offsets), of_part in zip(parts, indices, strict=True)
        ]
        first = -1 if kind == SERIES else 1  # series may have other lengths than those of the training part
        if len(examples) == 2 and examples[0].x.shape[first:] != examples[1].x.shape[first:]:
            one, other = (tuple(part.x.shape[1:]) for part in examples)
            raise ValueError(f"the test part has examples of shape {other}, the training part of {one}")
        test = examples[1] if len(examples) == 2 else None
        return cls(kind, examples[0], names, test, has_test=has_test or test is not None, name=name)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape of an example: (H, W), (H, W, C) or (T, I); T is None where it differs."""
        rest = self.train.x.shape[1:]
        return rest if self.train.offsets is None else (None, *rest)

    @property
    def identity(self) -> dict[str, Any]:
        """What makes a dataset the same one, as JSON can hold it."""
        checksums = {"train": self.train.checksum, "test": self.test.checksum if self.test else None}
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "classes": list(self.classes),
            "checksum": checksums,
        } | ({"features": list(self.features)} if self.features else {})

    def problems(self) -> list[str]:
        """Returns a line for everything in the examples that no network can be trained or tested on."""
        found = []
        if len(self.classes) < 2:
            found.append(f"there must be two classes at least, got {len(self.classes)}: {', '.join(self.classes)}")
        if len(set(self.classes)) < len(self.classes):
            twice = {name for name in self.classes if self.classes.count(name) > 1}
            found.append(f"there are several classes of one name: {_listed(sorted(twice))}")
        if len(self.classes) > MAX_CLASSES:
            found.append(f"there must be at most {MAX_CLASSES:,} classes, got {len(self.classes):,}")
        for title, part in (("training", self.train), ("test", self.test)):
            if part is None:
                continue
            if not isinstance(part.x, np.ndarray) or getattr(part.labels, "dtype", None) != np.int64:
                found.append(f"the {title} part needs arrays, and labels of int64; of_images and of_series make them")
                continue
            if not len(part):
                found.append(f"the {title} part has no examples")
                continue
            low, high = int(part.labels.min()), int(part.labels.max())
            if low < 0 or high >= len(self.classes):
                beyond = low if low < 0 else high
                found.append(f"the {title} part has a label {beyond}, and there are {len(self.classes)} classes")
            if part.lengths is not None and not part.lengths.all():
                found.append(f"the {title} part has a series of length 0, number {int(part.lengths.argmin())}")
            if 0 in part.x.shape[1:]:
                found.append(f"the {title} part has examples of shape {part.x.shape[1:]}, which hold no values")
            if (number := first_not_finite(part)) is not None:
                found.append(f"the {title} part has values that are NaN or infinite, the first in example {number}")
        if not found:
            counts = np.bincount(self.train.labels, minlength=len(self.classes))
            if missing := [self.classes[i] for i in np.flatnonzero(counts == 0)]:
                found.append(f"the training part has no example of class {_listed(missing)}")
        return found

    def single(self) -> list[str]:
        """Returns the classes of which there is but one example to train on."""
        counts = np.bincount(self.train.labels, minlength=len(self.classes))
        return [self.classes[i] for i in np.flatnonzero(counts == 1)]


def first_not_finite(part: Examples) -> int | None:
    """Returns the number of the first example with a value that is NaN or infinite."""
    if part.x.dtype.kind != "f" or not part.x.size:
        return None
    rows = max(1, CHUNK // max(1, part.x[:1].nbytes))
    for start in range(0, len(part.x), rows):
        chunk = part.x[start : start + rows]
        is_bad = ~np.isfinite(chunk).reshape(len(chunk), -1).all(1)
        if is_bad.any():
            place = start + int(is_bad.argmax())
            return place if part.offsets is None else int(np.searchsorted(part.offsets, place, "right")) - 1
    return None


def _array(values: Any, dims: tuple[int, ...], wanted: str) -> NDArray[Any]:
    """Returns values as an array of numbers. Raises: ValueError if they are none."""
    array = np.asanyarray(values)
    if isinstance(array, np.ma.MaskedArray):
        raise ValueError("expected an array without a mask; fill what is masked")
    if array.ndim not in dims:
        raise ValueError(f"expected {wanted}, got an array of shape {array.shape}")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"expected numbers, got an array of {array.dtype}")
    return np.ascontiguousarray(array) if any(stride < 0 for stride in array.strides) else array  # torch takes none


def _float32(array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what is too large is infinite, which has a line of its own
        return array.astype(np.float32, copy=False)


def _pixels(x: ArrayLike) -> NDArray[Any]:
    """Returns images as uint8 or float32. Raises: ValueError if they are none."""
    array = _array(x, (3, 4), "images (N, H, W) or (N, H, W, C)")
    if array.dtype.kind in "iu" and array.dtype != np.uint8:
        raise ValueError(f"expected images of uint8 (0 to 255) or of floats (0 to 1), got {array.dtype}")
    return array if array.dtype == np.uint8 else _float32(array)


def _series(x: ArrayLike | Sequence[ArrayLike]) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """Returns the values and the offsets of series. Raises: ValueError if they are none."""
    wanted = "series (N, T), (N, T, I) or a list of arrays (T,) or (T, I)"
    if isinstance(x, (list, tuple)):
        members: list[Any] = list(x)
        arrays = [_float32(_array(one, (1, 2), f"{wanted}; in the list")) for one in members]
        arrays = [one[:, None] if one.ndim == 1 else one for one in arrays]
        if len({one.shape[1] for one in arrays}) > 1:
            raise ValueError(f"the series have different numbers of features: {sorted({a.shape[1] for a in arrays})}")
        if not arrays:
            return np.zeros((0, 1, 1), np.float32), None
        if len({len(one) for one in arrays}) > 1:
            return np.concatenate(arrays), np.cumsum([0, *map(len, arrays)], dtype=np.int64)
        return np.stack(arrays), None
    array = _float32(_array(x, (2, 3), wanted))
    return array[..., None] if array.ndim == 2 else array, None


def _indexed(
    labels: list[NDArray[Any]], classes: Sequence[str] | None
) -> tuple[tuple[str, ...], list[NDArray[np.int64]]]:
    """Returns the names of the classes, and the labels as their indices.

    Raises:
        ValueError: they are no labels, or the test part has a class that the training part lacks.
    """
    for part in labels:
        if part.dtype.kind not in "biufOSU" or (part.dtype.kind == "f" and np.isnan(part).any()):
            raise ValueError(f"expected labels that are numbers or text, none of them missing, got {part.dtype}")
    labels = [np.char.decode(part, "utf-8", "replace") if part.dtype.kind == "S" else part for part in labels]
    if classes is not None:
        names = tuple(map(str, classes))
        if all(part.dtype.kind in "iub" for part in labels):
            return names, [part.astype(np.int64) for part in labels]
        if unknown := sorted({str(v) for part in labels for v in np.unique(part).tolist()} - {*names}):
            raise ValueError(f"there are labels that `classes` does not name: {_listed(unknown)}")
        values = np.array(names)
    else:
        values = np.unique(labels[0].ravel())
        names = tuple(map(_class_name, values.tolist()))
    order = {value: index for index, value in enumerate(values.tolist())}
    if unknown := sorted({str(v) for part in labels for v in np.unique(part.ravel()).tolist() if v not in order}):
        raise ValueError(f"the test part has labels that no training example has: {_listed(unknown)}")
    return names, [np.array([order[value] for value in part.tolist()], np.int64) for part in labels]


def _class_name(value: Any) -> str:
    """Returns a label as text: 1.0, as the files of series have it, is 1."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _listed(names: Sequence[str]) -> str:
    """Returns at most five names, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
