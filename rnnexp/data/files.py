"""Where a dataset's four IDX files are, and how they get there: MNIST is unpacked, the others are downloaded.

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
from dataclasses import replace
from pathlib import Path

import platformdirs
from filelock import FileLock
from tqdm import tqdm

from hydra_sweep.errors import UserError
from rnnexp.schema.config import DataConfig

# Bytes of each file; the same for the three datasets.
SIZES = {
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}
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
TORCHVISION_CLASS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
DIGITS = tuple("0123456789")
CLASS_NAMES = {
    "mnist": DIGITS,
    "fashion_mnist": ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}
SHIPPED = Path(__file__).parent / "mnist"


def ensure(cfg: DataConfig) -> Path:
    """Returns the folder that holds the dataset as torchvision lays it out, after putting it there if need be.

    Raises:
        UserError: the files are not there and can't be got, or the folder can't be written.
    """
    root = _root(cfg)
    raw = root / TORCHVISION_CLASS[cfg.name] / "raw"
    try:
        if not _missing(raw):
            return root
        if cfg.root and (strange := _strangers_folder(root, raw.parent)):
            raise UserError(strange)
        raw.mkdir(parents=True, exist_ok=True)
        with FileLock(raw / ".lock"):
            for stale in raw.glob(".*-ubyte-*"):  # of a process that was killed
                stale.unlink()
            _unpack_gzips(raw)
            if cfg.name == "mnist":
                _unpack_mnist(raw)
            elif _missing(raw):
                _download(TORCHVISION_CLASS[cfg.name], raw)
    except (OSError, NotImplementedError) as error:  # the second of FileLock, where there are no locks
        reason = getattr(error, "strerror", error) or error
        message = f"cannot write {cfg.name} into {raw}: {reason}; try data.root=FOLDER"
        raise UserError(message) from error
    return root


def read(root: Path, dataset: str, name: str) -> bytearray:
    """Returns the bytes after the header of one of the dataset's IDX files, such as pixels, 28 x 28 an image.

    Raises:
        UserError: the file is not there, or not what its name says.
    """
    folder = root / TORCHVISION_CLASS[dataset]
    path = folder / "raw" / name
    count = 60_000 if name.startswith("train") else 10_000
    header = struct.pack(">4i", 0x803, count, 28, 28) if "images" in name else struct.pack(">2i", 0x801, count)
    content = bytearray(SIZES[name] - len(header))
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


def is_there(cfg: DataConfig) -> bool:
    """Returns whether the four files are there."""
    return cfg.name in TORCHVISION_CLASS and not _missing(_root(cfg) / TORCHVISION_CLASS[cfg.name] / "raw")


def test_images(cfg: DataConfig) -> bytearray:
    """Returns the pixels of the dataset's 10,000 test images, 28 x 28 bytes each.

    Nothing is downloaded, and nothing written into `root`, which may be a stranger's word.

    Raises:
        UserError: the file is not there.
    """
    root = _root(cfg)
    if cfg.name == "mnist" and not is_there(cfg):
        root = ensure(replace(cfg, root=None))
    return read(root, cfg.name, "t10k-images-idx3-ubyte")


def _root(cfg: DataConfig) -> Path:
    try:
        return Path(cfg.root).expanduser().absolute() if cfg.root else Path(platformdirs.user_cache_dir("rnnexp"))
    except RuntimeError as error:  # ~nobody
        raise UserError(f"data.root={cfg.root} can't be found ({error}); try data.root=FOLDER") from error


def _strangers_folder(root: Path, folder: Path) -> str | None:
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


def _missing(raw: Path) -> list[str]:
    """Returns the names of the files that are not there, or not whole."""
    return [name for name, size in SIZES.items() if not (raw / name).is_file() or (raw / name).stat().st_size != size]


def _unpack_gzips(raw: Path) -> None:
    """Unpacks the .gz files that a user has put into the folder himself."""
    for name in _missing(raw):
        if (packed := raw / f"{name}.gz").is_file():
            try:
                with gzip.open(packed) as source:
                    _write(raw / name, source, None)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise UserError(f"{packed} is damaged; copy it again") from error


def _unpack_mnist(raw: Path) -> None:
    for name in _missing(raw):
        packed = SHIPPED / f"{name}.xz"
        try:
            with lzma.open(packed) as source:
                _write(raw / name, source, MNIST_MD5[name])
        except (EOFError, lzma.LZMAError) as error:
            raise UserError(f"{packed} is damaged; install rnnexp again") from error


def _write(target: Path, source: gzip.GzipFile | lzma.LZMAFile, md5: str | None) -> None:
    """Writes what is left of `source` to `target`, whole or not at all, after checking its sum.

    Raises:
        UserError: the sum, or without a sum the size, is another one.
    """
    digest, size = hashlib.md5(usedforsecurity=False), 0
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        title = f"unpacking {target.name}"
        bar = tqdm(total=SIZES[target.name], desc=title, unit="B", unit_scale=True, leave=False, disable=None)
        with os.fdopen(handle, "wb") as out, bar:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
                out.write(chunk)
                bar.update(len(chunk))
            out.flush()
            os.fsync(out.fileno())
        if size != SIZES[target.name] or (md5 and digest.hexdigest() != md5):
            raise UserError(
                f"the packed {target.name} is damaged (md5 {digest.hexdigest()}); install rnnexp or copy the file again"
            )
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _download(class_name: str, raw: Path) -> None:
    """Downloads through torchvision into a folder aside, then moves the files into place.

    Raises:
        UserError: the download failed; says which files to put where.
    """
    import torchvision.datasets

    with tempfile.TemporaryDirectory(dir=raw, prefix=".download-") as aside:
        try:
            getattr(torchvision.datasets, class_name)(aside, download=True)
        except (RuntimeError, OSError) as error:
            names = " ".join(f"{name}[.gz]" for name in SIZES)
            message = f"cannot download {class_name} ({error}); without a network, put these files into {raw}: {names}"
            raise UserError(message.replace("\n", " ")) from error
        for name in _missing(raw):
            os.replace(Path(aside) / class_name / "raw" / name, raw / name)
