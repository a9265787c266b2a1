"""Files appear whole or not at all, whatever is killed and however many start at once."""

import gzip
import hashlib
import lzma
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torchvision.datasets

from hydra_sweep.errors import UserError
from rnnexp.data import idx
from rnnexp.data.idx import MNIST_MD5, SOURCES, ensure, load

SIZES = SOURCES["mnist"].sizes
UNPACK = """
import sys
from rnnexp.data.idx import ensure
print("ready", flush=True)
sys.stdin.readline()
ensure("mnist", sys.argv[1])
"""


@pytest.fixture
def data(tmp_path):
    """Returns a function to the arguments of `ensure` and `load`."""
    return lambda name="mnist", root=tmp_path: (name, str(root))


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def sums(raw):
    return {name: hashlib.md5((raw / name).read_bytes()).hexdigest() for name in names(raw)}


def unpacker(root, program=UNPACK):
    command = [sys.executable, "-c", program, str(root)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def test_what_is_shipped_unpacks_to_the_well_known_sums_and_torchvision_reads_it(data, tmp_path):
    assert ensure(*data()) == tmp_path
    assert sums(tmp_path / "MNIST" / "raw") == MNIST_MD5
    train, test = (torchvision.datasets.MNIST(tmp_path, train=part) for part in (True, False))
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.targets[:5].tolist() == [5, 0, 4, 1, 9]


def test_several_processes_at_once_unpack_into_one_folder(tmp_path):
    processes = [unpacker(tmp_path / "root") for _ in range(4)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120) and process.returncode for process in processes] == [0] * 4
    assert sums(tmp_path / "root" / "MNIST" / "raw") == MNIST_MD5


@pytest.mark.parametrize("delay", [0.05, 0.3])
def test_a_kill_while_unpacking_leaves_no_half_file_that_is_believed(data, tmp_path, delay):
    process = unpacker(tmp_path)
    process.stdin.write("\n")
    process.stdin.flush()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    raw = tmp_path / "MNIST" / "raw"
    if raw.exists():
        assert all(sums(raw)[name] == MNIST_MD5[name] for name in names(raw) if not name.startswith("."))
    ensure(*data())
    assert sums(raw) == MNIST_MD5


@pytest.mark.parametrize("moment", ["idx.tqdm.update", "os.fsync", "os.replace"])
def test_a_kill_at_the_worst_moment_leaves_nothing_that_is_believed(data, tmp_path, moment):
    fatal = f"import os\nfrom rnnexp.data import idx\n{moment} = lambda *args: os.kill(os.getpid(), 9)\n"
    process = unpacker(tmp_path, fatal + UNPACK)
    process.communicate("\n")
    assert process.returncode == -signal.SIGKILL
    raw = tmp_path / "MNIST" / "raw"
    assert [name for name in names(raw) if name.startswith(".train-images")]  # what was half done lies aside
    assert not set(names(raw)) & set(SIZES)
    ensure(*data())
    assert sums(raw) == MNIST_MD5


def test_a_truncated_file_of_the_cache_is_replaced(data, tmp_path):
    ensure(*data())
    labels = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:5000])
    ensure(*data())
    assert sums(labels.parent) == MNIST_MD5


def test_a_damaged_package_is_refused_and_leaves_nothing(data, tmp_path, monkeypatch):
    shipped = tmp_path / "shipped"
    shutil.copytree(idx.SHIPPED, shipped)
    labels = lzma.decompress((shipped / "train-labels-idx1-ubyte.xz").read_bytes())
    with lzma.open(shipped / "train-labels-idx1-ubyte.xz", "wb") as out:
        out.write(labels[:-1] + b"\x07")
    monkeypatch.setattr(idx, "SHIPPED", shipped)
    with pytest.raises(UserError, match=r"the packed train-labels-idx1-ubyte is damaged \(md5 \w+\); install rnnexp"):
        ensure(*data(root=tmp_path / "root"))
    assert "train-labels-idx1-ubyte" not in names(tmp_path / "root" / "MNIST" / "raw")


def test_a_package_with_a_flipped_byte_or_cut_short_is_refused(data, tmp_path, monkeypatch):
    shipped = tmp_path / "shipped"
    shutil.copytree(idx.SHIPPED, shipped)
    monkeypatch.setattr(idx, "SHIPPED", shipped)
    packed = shipped / "train-images-idx3-ubyte.xz"
    whole = packed.read_bytes()
    for damaged in (whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], whole[:5000], b"nothing of the kind"):
        packed.write_bytes(damaged)
        with pytest.raises(UserError, match=r"train-images-idx3-ubyte.* is damaged.*; install rnnexp"):
            ensure(*data(root=tmp_path / "root"))
        assert names(tmp_path / "root" / "MNIST" / "raw") == []


def test_packed_files_that_the_user_put_there_are_unpacked(data, tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, size in SIZES.items():
        with gzip.open(raw / f"{name}.gz", "wb", compresslevel=1) as out:
            out.write(bytes(size))
    assert ensure(*data("fashion_mnist")) == tmp_path
    assert {name: (raw / name).stat().st_size for name in SIZES} == SIZES
    with pytest.raises(
        UserError,
        match=r"cannot read fashion_mnist \(train-images-idx3-ubyte is not an IDX .*\); delete .*FashionMNIST and run",
    ):
        load(*data("fashion_mnist"))


def test_a_packed_file_that_is_torn_is_named(data, tmp_path):
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    packed = gzip.compress(bytes(SIZES["train-labels-idx1-ubyte"]))
    for damaged in (packed[: len(packed) // 2], packed[:20] + b"\xff" * 20 + packed[40:], b"<html>403</html>"):
        (raw / "train-labels-idx1-ubyte.gz").write_bytes(damaged)
        with pytest.raises(UserError, match="train-labels-idx1-ubyte.gz is damaged; copy it again"):
            ensure(*data("kmnist"))
        assert names(raw) == ["train-labels-idx1-ubyte.gz"]


def test_without_a_network_the_error_says_which_files_to_put_where(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(UserError) as caught:
        ensure(*data("kmnist"))
    text = str(caught.value)
    assert "\n" not in text
    assert f"without a network, put these files into {tmp_path / 'KMNIST' / 'raw'}:" in text
    assert all(f"{name}[.gz]" in text for name in SIZES)
    assert names(tmp_path / "KMNIST" / "raw") == []


def test_files_that_are_there_are_read_without_a_write(data, tmp_path, monkeypatch):
    ensure(*data())

    def refuse(*args, **kwargs):
        raise AssertionError("nothing is to be written")

    monkeypatch.setattr(idx, "FileLock", refuse)
    assert ensure(*data()) == tmp_path


def test_a_home_that_nobody_has_is_one_line(data):
    with pytest.raises(UserError, match=r"data.root=~no-such-user/x can't be found \(.*\); try data.root=FOLDER"):
        ensure(*data(root="~no-such-user/x"))


def test_a_root_that_cannot_be_written_is_one_line(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write mnist into .*: Not a directory; try data.root=FOLDER"):
        ensure(*data(root=tmp_path / "file" / "root"))


def test_a_folder_of_other_things_is_refused_and_stays_as_it_is(data, tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(UserError, match=f"data.root={tmp_path} is not empty .cats, .*type mkdir {tmp_path}/MNIST"):
        ensure(*data())
    assert [path.name for path in tmp_path.iterdir()] == ["cats"]


def test_a_folder_of_other_things_is_filled_once_its_owner_has_made_room_there(data, tmp_path):
    (tmp_path / "FashionMNIST").mkdir()
    (tmp_path / "MNIST").mkdir()
    assert ensure(*data()) == tmp_path
    assert sums(tmp_path / "MNIST" / "raw") == MNIST_MD5


def test_hidden_files_do_not_make_a_folder_somebody_elses(data, tmp_path):
    (tmp_path / ".DS_Store").touch()
    assert ensure(*data()) == tmp_path


def write_idx(folder, name, images, labels):
    folder.mkdir(parents=True, exist_ok=True)
    header = np.array([0x803, *images.shape], ">i4").tobytes()
    (folder / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    header = np.array([0x801, len(labels)], ">i4").tobytes()
    (folder / f"{name}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())


@pytest.mark.parametrize(("split", "num_classes", "first"), [("balanced", 47, 0), ("letters", 26, 1)])
def test_emnist_put_there_by_hand_is_read_upright(tmp_path, split, num_classes, first):
    source = idx.SOURCES[f"emnist_{split}"]
    for part, count in ((source.train, source.num_train), (source.test, source.num_test)):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 3, 20] = 255  # as the files have it: column, row
        write_idx(tmp_path / "EMNIST" / "raw", part, images, (np.arange(count) % num_classes + first).astype(np.uint8))
    found = idx.emnist(split, str(tmp_path))
    assert found.problems() == []
    assert len(found.classes) == num_classes
    assert (found.train.x[0].nonzero()[0].item(), found.train.x[0].nonzero()[1].item()) == (20, 3)
    assert set(found.train.labels) == set(range(num_classes))
    assert idx.emnist(split, str(tmp_path), with_test=False).test is None
