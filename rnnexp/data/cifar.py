"""CIFAR-10, by torchvision: 32 x 32 color photos of ten classes."""

from __future__ import annotations

import numpy as np

from hydra_sweep.errors import UserError
from rnnexp.data.dataset import Dataset
from rnnexp.data.idx import folder_of, strangers_folder

FOLDER, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"


def load(root: str | None = None, with_test: bool = True) -> Dataset:
    """Returns the 50,000 training and 10,000 test images, uint8 (N, 32, 32, 3).

    Args:
        root: the folder of its files, as torchvision lays it out, or of its archive; None: rnnexp's cache folder.

    Raises:
        UserError: the files are not there and can't be got, or are damaged.
    """
    from torchvision.datasets import CIFAR10

    folder = folder_of(root)
    if root and not is_there(root) and (problem := strangers_folder(folder, folder / FOLDER)):
        raise UserError(problem)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            train = CIFAR10(folder, train=True)
        except RuntimeError:  # not there, or damaged
            train = CIFAR10(folder, train=True, download=True)
        test = CIFAR10(folder, train=False) if with_test else None
    except (OSError, RuntimeError) as error:
        cause = " ".join(str(error).split())
        raise UserError(
            f"cannot download CIFAR-10 ({cause}); without a network, put {ARCHIVE} into {folder}"
        ) from error
    named = {"classes": train.classes, "name": "cifar10"}
    if test is None:
        return Dataset.of_images(train.data, np.array(train.targets), **named, has_test=True)
    return Dataset.of_images(train.data, np.array(train.targets), test.data, np.array(test.targets), **named)


def is_there(root: str | None) -> bool:
    """Returns whether the files are there, or the archive with them."""
    folder = folder_of(root)
    return (folder / FOLDER).is_dir() or (folder / ARCHIVE).is_file()
