"""CIFAR-10 as a user puts it there, and without a network."""

import pickle
import re
import tarfile

import numpy as np
import pytest

from hydra_sweep.errors import UserError
from rnnexp.data import cifar


def test_cifar_put_there_by_hand_is_read_in_color(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    folder, random = tmp_path / cifar.FOLDER, np.random.default_rng(0)
    folder.mkdir()
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for name in names:
        pixels = random.integers(0, 256, (10, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": list(range(10))}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"c{number}" for number in range(10)]}))
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)  # of the true files' sums
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: True)
    found = cifar.load(str(tmp_path))
    assert found.problems() == []
    assert found.train.x.shape == (50, 32, 32, 3)
    assert found.test.x.shape == (10, 32, 32, 3)
    assert found.classes == tuple(f"c{number}" for number in range(10))
    last = pickle.loads((folder / "test_batch").read_bytes())["data"][9].reshape(3, 32, 32)
    assert (found.test.x[9] == last.transpose(1, 2, 0)).all()


def test_cifar_without_a_network_says_what_to_put_where(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)
    with pytest.raises(
        UserError, match=re.escape(f"(no network); without a network, put {cifar.ARCHIVE} into {tmp_path}")
    ):
        cifar.load(str(tmp_path))
    with tarfile.open(tmp_path / cifar.ARCHIVE, "w:gz"):
        pass  # an archive, of nothing
    with pytest.raises(UserError, match="CIFAR-10"):
        cifar.load(str(tmp_path))
