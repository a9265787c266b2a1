"""Which examples train, validate and test: split once, by `data.split_seed` and `data.valid_seed` alone.

Shapes: N examples of a file, n of a part, B batch, T time steps, I features.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hydra_sweep.seeds import derive
from rnnexp.data.dataset import Dataset, Examples
from rnnexp.data.loading import number_of


@dataclass(frozen=True)
class Part:
    """Some examples of a file, which is shared with the other parts, not copied.

    Args:
        x, offsets: as `Examples` has them.
        rows: int64 (n,), which examples, in order.
        labels: int64 (n,), theirs.
    """

    x: Tensor
    offsets: Tensor | None
    rows: Tensor
    labels: Tensor

    @classmethod
    def of(cls, examples: Examples, device: torch.device, rows: Tensor | None = None) -> Part:
        """Returns the rows of a file, by default all of them, on the device."""
        rows = torch.arange(len(examples)) if rows is None else rows
        offsets = None if examples.offsets is None else torch.from_numpy(examples.offsets).to(device)
        labels = torch.from_numpy(examples.labels)[rows]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*not writable")  # nothing writes to it
            x = torch.from_numpy(examples.x)
        return cls(x.to(device), offsets, rows.to(device), labels.to(device))

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor) -> Part:
        """Returns the part that has these of its examples."""
        index = index.to(self.rows.device)
        return Part(self.x, self.offsets, self.rows[index], self.labels[index])

    @property
    def lengths(self) -> Tensor | None:
        """T of each series, (n,), where they differ."""
        return None if self.offsets is None else self.offsets[self.rows + 1] - self.offsets[self.rows]

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns examples (B, ...) as the file has them, and their lengths (B,) where they differ.

        Series are as long as the longest one of the batch, by repeating their last values.
        """
        rows = self.rows[index]
        if self.offsets is None:
            return self.x[rows], None
        begins = self.offsets[rows]
        lengths_B = self.offsets[rows + 1] - begins
        steps_T = torch.arange(int(lengths_B.max()), device=rows.device)
        places_BT = begins[:, None] + torch.minimum(steps_T[None], lengths_B[:, None] - 1)
        return self.x[places_BT], lengths_B

    def steps(self, index: Tensor) -> Tensor:
        """Returns all steps of series that differ in length, end to end, (sum of T, I)."""
        assert self.offsets is not None
        rows = self.rows[index]
        begins = self.offsets[rows]
        lengths = self.offsets[rows + 1] - begins
        first = torch.repeat_interleave(begins - torch.cumsum(lengths, 0) + lengths, lengths)
        return self.x[first + torch.arange(len(first), device=first.device)]


@dataclass(frozen=True)
class Parts:
    """The three parts. `valid` is the test part itself where `data.valid_from` says so.

    Args:
        valid: None with `data.valid_size=0`.
        test: None if it was not read.
    """

    train: Part
    valid: Part | None
    test: Part | None


def split(dataset: Dataset, cfg: Any, device: torch.device, *, with_test: bool = True) -> Parts:
    """Returns the parts of a dataset that `problems` has found sound, on the device.

    Args:
        cfg: `data`.
        with_test: False leaves out the test part, be it the dataset's own or held out.
    """
    labels = torch.from_numpy(dataset.train.labels)
    used, tested = torch.arange(len(labels)), None
    if not dataset.has_test and (size := number_of(cfg.test_size, len(used))):
        used, tested = hold_out(labels, size, derive(cfg.split_seed, "test"))
    held = None
    seed = cfg.split_seed if cfg.valid_seed is None else cfg.valid_seed
    if cfg.folds is not None:
        place = folds(labels[used], cfg.folds, derive(seed, "folds"))
        used, held = used[place != cfg.fold], used[place == cfg.fold]
    elif cfg.valid_from == "train" and (size := number_of(cfg.valid_size, len(used))):
        left, right = hold_out(labels[used], size, derive(seed, "split"))
        used, held = used[left], used[right]
    if cfg.limit is not None and cfg.limit < len(used):
        _, few = hold_out(labels[used], cfg.limit, derive(seed, "limit"))
        used = used[few]
    file = Part.of(dataset.train, device)
    test = None
    if with_test and dataset.test is not None:
        test = Part.of(dataset.test, device)
    elif with_test and tested is not None:
        test = file.take(tested)
    valid = test if cfg.valid_from == "test" and cfg.folds is None else None if held is None else file.take(held)
    return Parts(file.take(used), valid, test)


def hold_out(labels: Tensor, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Returns the indices left and `size` indices drawn from all, both in order, each class in its proportion.

    Of a class with two examples or more, one at least is drawn if there are as many to draw as classes.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    shuffled = labels[order]
    counts = torch.bincount(labels)
    quota, remainder = counts * size // len(labels), counts * size % len(labels)  # whole numbers: exact
    short = size - int(quota.sum())
    quota[remainder.argsort(descending=True, stable=True)[:short]] += 1  # largest remainders first
    for label in ((quota == 0) & (counts > 1)).nonzero().flatten().tolist():
        if size >= len(counts):
            quota[label], quota[quota.argmax()] = 1, quota.max() - 1
    rank = _ranks(shuffled, counts)
    is_drawn = torch.zeros(len(labels), dtype=torch.bool)
    is_drawn[order[rank < quota[shuffled]]] = True
    return (~is_drawn).nonzero().flatten(), is_drawn.nonzero().flatten()


def folds(labels: Tensor, number: int, seed: int) -> Tensor:
    """Returns the fold of each example, (n,): every class is spread over all folds as evenly as it goes."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    counts = torch.bincount(labels)
    shuffled = labels[order]
    first = (torch.cumsum(counts, 0) - counts) % number  # a class goes on where the one before it has ended
    fold = torch.empty_like(labels)
    fold[order] = (first[shuffled] + _ranks(shuffled, counts)) % number
    return fold


def _ranks(shuffled: Tensor, counts: Tensor) -> Tensor:
    """Returns of each example how many of its class come before it."""
    rank = torch.empty_like(shuffled)
    for label, count in enumerate(counts.tolist()):
        rank[shuffled == label] = torch.arange(count)
    return rank
