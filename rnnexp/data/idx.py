"""MNIST and its kin: images of 28 x 28 in IDX files. MNIST is unpacked, the others are downloaded.

Files appear whole or not at all, whatever is killed and however many processes start at once. No torch, except to
download.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import struct
import tempfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from filelock import FileLock
from tqdm import tqdm

from hydra_sweep.errors import UserError
from rnnexp.data.dataset import IMAGES, Dataset, Examples

SIDE = 28  # pixels of an image, in every one of these datasets
SHIPPED = Path(__file__).parent / "mnist"
MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
MNIST_CRC32 = {  # found ten times as fast, for each time that a file is read
    "train-images-idx3-ubyte": 0xE9F4D8B3,
    "train-labels-idx1-ubyte": 0xE0CB4AD2,
    "t10k-images-idx3-ubyte": 0x91373BDF,
    "t10k-labels-idx1-ubyte": 0x4AB9EFF9,
}


@dataclass(frozen=True)
class Source:
    """One of the datasets: how torchvision names its class, folder and files, and what is in them."""

    torchvision_class: str
    classes: tuple[str, ...]
    train: str = "train"
    test: str = "t10k"
    num_train: int = 60_000
    num_test: int = 10_000
    first_label: int = 0
    is_transposed: bool = False
    options: tuple[tuple[str, str], ...] = ()  # of torchvision's class

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        found = {}
        for part, count in ((self.train, self.num_train), (self.test, self.num_test)):
            found[f"{part}-images-idx3-ubyte"] = 16 + count * SIDE * SIDE
            found[f"{part}-labels-idx1-ubyte"] = 8 + count
        return found


LETTERS = "abcdefghijklmnopqrstuvwxyz"
FASHION = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
SOURCES = {
    "mnist": Source("MNIST", tuple("0123456789")),
    "fashion_mnist": Source("FashionMNIST", FASHION),
    "kmnist": Source("KMNIST", KANA),
    "emnist_balanced": Source(
        "EMNIST",
        # Capitals stand for small letters that look alike.
        tuple(f"0123456789{LETTERS.upper()}abdefghnqrt"),
        *("emnist-balanced-train", "emnist-balanced-test", 112_800, 18_800),
        is_transposed=True,
        options=(("split", "balanced"),),
    ),
    "emnist_letters": Source(
        "EMNIST",
        tuple(LETTERS),
        *("emnist-letters-train", "emnist-letters-test", 124_800, 20_800),
        first_label=1,
        is_transposed=True,
        options=(("split", "letters"),),
    ),
}


def load(name: str, root: str | None = None, with_test: bool = True) -> Dataset:
    """Returns one of the datasets: uint8 images (N, 28, 28), bright on black.

    Args:
        name: a key of SOURCES.
        root: the folder of its files, as torchvision lays it out; None: rnnexp's cache folder.

    Raises:
        UserError: the files are not there and can't be got, or are not what their names say.
    """
    source = SOURCES[name]
    folder = ensure(name, root)

    def part(prefix: str) -> Examples:
        images = np.frombuffer(read(folder, name, f"{prefix}-images-idx3-ubyte"), np.uint8).reshape(-1, SIDE, SIDE)
        labels = np.frombuffer(read(folder, name, f"{prefix}-labels-idx1-ubyte"), np.uint8).astype(np.int64)
        images = np.ascontiguousarray(images.transpose(0, 2, 1)) if source.is_transposed else images
        return Examples(images, labels - source.first_label)

    train = part(source.train)
    return Dataset(IMAGES, train, source.classes, part(source.test) if with_test else None, has_test=True, name=name)


def emnist(split: str, root: str | None = None, with_test: bool = True) -> Dataset:
    """Returns one of EMNIST's datasets, as `load` does.

    Args:
        split: balanced, of 47 classes, or letters, of 26.
    """
    return load(f"emnist_{split}", root, with_test)


def ensure(name: str, root: str | None = None) -> Path:
    """Returns the folder that holds the dataset as torchvision lays it out, after putting it there if need be.

    Raises:
        UserError: the files are not there and can't be got, or the folder can't be written.
    """
    source, folder = SOURCES[name], folder_of(root)
    raw = folder / source.torchvision_class / "raw"
    try:
        if not _missing(source, raw):
            return folder
        if root and (strange := strangers_folder(folder, raw.parent)):
            raise UserError(strange)
        raw.mkdir(parents=True, exist_ok=True)
        with FileLock(raw / ".lock"):
            for stale in raw.glob(".*-ubyte-*"):  # of a process that was killed
                stale.unlink()
            _unpack_gzips(source, raw)
            if name == "mnist":
                _unpack_mnist(source, raw)
            elif _missing(source, raw):
                _download(source, raw)
    except (OSError, NotImplementedError) as error:  # the second of FileLock, where there are no locks
        reason = getattr(error, "strerror", error) or error
        message = f"cannot write {name} into {raw}: {reason}; try data.root=FOLDER"
        raise UserError(message) from error
    return folder


def read(root: Path, dataset: str, name: str) -> bytearray:
    """Returns the bytes after the header of one of the dataset's IDX files, such as pixels, 28 x 28 an image.

    Raises:
        UserError: the file is not there, or not what its name says.
    """
    about = SOURCES[dataset]
    folder = root / about.torchvision_class
    path = folder / "raw" / name
    count = about.num_train if name.startswith(about.train) else about.num_test
    header = struct.pack(">4i", 0x803, count, SIDE, SIDE) if "images" in name else struct.pack(">2i", 0x801, count)
    content = bytearray(about.sizes[name] - len(header))
    try:
        with path.open("rb") as source:
            is_whole = source.read(len(header)) == header and source.readinto(content) == len(content)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not is_whole:
        raise UserError(f"cannot read {dataset} ({name} is not an IDX file); delete {folder} and run again")
    if dataset == "mnist" and (total := zlib.crc32(content, zlib.crc32(header))) != MNIST_CRC32[name]:
        raise UserError(f"{path} is not MNIST's, or is damaged (crc32 {total:08x}); delete {folder} and run again")
    return content


def is_there(name: str, root: str | None) -> bool:
    """Returns whether the four files are there."""
    return not _missing(SOURCES[name], folder_of(root) / SOURCES[name].torchvision_class / "raw")


def folder_of(root: str | None) -> Path:
    """Returns the folder that `data.root` names, or rnnexp's cache folder. Raises: UserError if nobody has it."""
    try:
        return Path(root).expanduser().absolute() if root else Path(platformdirs.user_cache_dir("rnnexp"))
    except RuntimeError as error:  # ~nobody
        raise UserError(f"data.root={root} can't be found ({error}); try data.root=FOLDER") from error


def strangers_folder(root: Path, folder: Path) -> str | None:
    """Returns what to type if `root` holds something else than the dataset, whose files would be put among it.

    Somebody who names a folder of pictures means those, and would get a run of another dataset.
    """
    others = sorted(path.name for path in root.iterdir() if path.name[0] != ".") if root.exists() else []
    if not others or folder.name in others:  # in this order: another process may just be putting them there
        return None
    return (
        f"data.root={root} is not empty ({others[0]}, ...) and has no {folder.name} folder of this dataset; choose an "
        f"empty or new folder to have the files put there, or type mkdir {folder} first"
    )


def _missing(source: Source, raw: Path) -> list[str]:
    """Returns the names of the files that are not there, or not whole."""
    return [
        name for name, size in source.sizes.items() if not (raw / name).is_file() or (raw / name).stat().st_size != size
    ]


def _unpack_gzips(source: Source, raw: Path) -> None:
    """Unpacks the .gz files that a user has put into the folder himself."""
    for name in _missing(source, raw):
        if (packed := raw / f"{name}.gz").is_file():
            try:
                with gzip.open(packed) as content:
                    _write(raw / name, content, source.sizes[name], None)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise UserError(f"{packed} is damaged; copy it again") from error


def _unpack_mnist(source: Source, raw: Path) -> None:
    for name in _missing(source, raw):
        packed = SHIPPED / f"{name}.xz"
        try:
            with lzma.open(packed) as content:
                _write(raw / name, content, source.sizes[name], MNIST_MD5[name])
        except (EOFError, lzma.LZMAError) as error:
            raise UserError(f"{packed} is damaged; install rnnexp again") from error


def _write(target: Path, source: gzip.GzipFile | lzma.LZMAFile, num_bytes: int, md5: str | None) -> None:
    """Writes what is left of `source` to `target`, whole or not at all, after checking its sum.

    Raises:
        UserError: the sum, or without a sum the size, is another one.
    """
    digest, size = hashlib.md5(usedforsecurity=False), 0
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        title = f"unpacking {target.name}"
        bar = tqdm(total=num_bytes, desc=title, unit="B", unit_scale=True, leave=False, disable=None)
        with os.fdopen(handle, "wb") as out, bar:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
                out.write(chunk)
                bar.update(len(chunk))
            out.flush()
            os.fsync(out.fileno())
        if size != num_bytes or (md5 and digest.hexdigest() != md5):
            raise UserError(
                f"the packed {target.name} is damaged (md5 {digest.hexdigest()}); install rnnexp or copy the file again"
            )
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _download(source: Source, raw: Path) -> None:
    """Downloads through torchvision into a folder aside, then moves the files into place.

    Raises:
        UserError: the download failed; says which files to put where.
    """
    import torchvision.datasets

    name = source.torchvision_class
    with tempfile.TemporaryDirectory(dir=raw, prefix=".download-") as aside:
        options: dict[str, Any] = dict(source.options)
        try:
            getattr(torchvision.datasets, name)(aside, download=True, **options)
        except (RuntimeError, OSError) as error:
            files = " ".join(f"{file}[.gz]" for file in source.sizes)
            message = f"cannot download {name} ({error}); without a network, put these files into {raw}: {files}"
            raise UserError(message.replace("\n", " ")) from error
        for file in _missing(source, raw):
            os.replace(Path(aside) / name / "raw" / file, raw / file)
