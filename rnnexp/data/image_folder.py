"""A folder of images as a dataset: `FOLDER/CLASS/image.png`, or `FOLDER/train/CLASS/...` and `FOLDER/test/CLASS/...`.

Images are read once, by several threads, into a cache of arrays that is keyed by their contents: the same images, under
other times or in another folder, are not read again, and changed ones are. What is in the cache is mapped and not
loaded, so a folder may be larger than memory.

Shapes: N images, H height, W width, C channels.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import platformdirs
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tqdm import tqdm

from hydra_sweep.errors import UserError, counted
from hydra_sweep.files import atomic
from hydra_sweep.hints import nearest_path
from hydra_sweep.machine import num_physical_cores
from rnnexp.data.dataset import IMAGES, Dataset, Examples

log = logging.getLogger("rnnexp")
T = TypeVar("T")
R = TypeVar("R")

VERSION = 2  # of how an image is read: another one is another key
PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
NOT_READ = (".txt", ".md", ".csv", ".json", ".yaml", ".yml", ".xml", ".db", ".ini")  # what lies beside images
STALE_SECONDS = 86_400
UNREADABLE = "unreadable"  # in place of a digest
AHEAD = 64  # images that are read before they are wanted


def load(
    root: str,
    size: int | Sequence[int] = 32,
    channels: int = 3,
    fit: str = "crop",
    with_test: bool = True,
) -> Dataset:
    """Returns the images of a folder, uint8 (N, H, W) or (N, H, W, 3), each class in a subfolder of its name.

    Files that can't be read as images are left out, named and counted.

    Args:
        size: pixels of a side, or height and width, that every image is brought to.
        channels: 1, gray, or 3, RGB.
        fit: what becomes of an image of other proportions, as `as_array` has it.

    Raises:
        UserError: there is no such folder, a class has no images, or there is no room.
    """
    folder = Path(root).expanduser().absolute()
    height, width = (size, size) if isinstance(size, int) else size
    how = How(height, width, channels, fit)
    found = _files(folder, root)
    classes = sorted({label for part in found.values() for label in part})
    parts: dict[str, Examples] = {}
    for part, by_class in found.items():
        if part == "test" and not with_test:
            continue
        files = [(file, classes.index(label)) for label in sorted(by_class) for file in by_class[label]]
        parts[part] = _read(folder, files, classes, how)
    return Dataset(
        IMAGES,
        parts["train"],
        tuple(map(_printable, classes)),
        parts.get("test"),
        has_test="test" in found,
        name=folder.name,
    )


@dataclass(frozen=True)
class How:
    """How images are read."""

    height: int
    width: int
    channels: int
    fit: str

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)


def as_array(image: Image.Image, size: tuple[int, int], channels: int, fit: str) -> NDArray[np.uint8]:
    """Returns an image as uint8 (H, W) or (H, W, 3), turned as its EXIF data says; what is transparent is black.

    Args:
        size: height and width.
        fit: of other proportions: `crop` cuts its edges off, `pad` adds black ones, `stretch` changes the proportions.
    """
    height, width = size
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):  # PIL would cut them off at 255
        values = np.nan_to_num(np.asarray(image, np.float64))
        low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else (values.min(), values.max())
        image = Image.fromarray(((values - low) * (255 / ((high - low) or 1))).clip(0, 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    image = image.convert("L" if channels == 1 else "RGB")
    method = Image.Resampling.BILINEAR  # antialiased, where it makes an image smaller
    if fit == "crop":
        image = ImageOps.fit(image, (width, height), method)
    elif fit == "pad":
        image = ImageOps.pad(image, (width, height), method)
    else:
        image = image.resize((width, height), method)
    return np.asarray(image)


def _files(folder: Path, root: str) -> dict[str, dict[str, list[Path]]]:
    """Returns the files of each part and class, in the order of their names.

    Raises:
        UserError: the folder is not there, or a class has no files.
    """
    if not folder.is_dir():
        hint = "" if folder.exists() else nearest_path(root)
        raise UserError(
            f"data.root={root} is not a directory{hint}; type the folder that holds a subfolder for each class"
        )
    subfolders, _ = _subfolders(folder)
    parts = {PARTS[name.lower()]: path for name, path in subfolders.items() if name.lower() in PARTS}
    has_parts = "train" in parts and bool(_subfolders(parts["train"])[0])  # or it is a class of that name
    if not has_parts:
        parts = {"train": folder}
    found = {}
    for part, path in sorted(parts.items(), reverse=True):
        classes, loose = _subfolders(path)
        if loose:
            log.warning(
                "%s: %s beside the class folders, as %s, is not read", path, counted(len(loose), "file"), loose[0]
            )
        found[part] = {path.name: _images(path) for path in classes.values()}
        if empty := [name for name, files in found[part].items() if not files]:
            names = ", ".join(str(Path(part, name) if has_parts else Path(name)) for name in empty[:5])
            raise UserError(f"data.root={root}: no image in the class folder {names}; fill it, or delete it")
    if not found["train"]:
        raise UserError(
            loose_images(folder, root)
            or f"data.root={root} has no subfolders; put the images of each class into one of its name, as cat/1.png"
        )
    if has_parts and (others := [name for name, path in subfolders.items() if path not in parts.values()]):
        log.warning("%s: beside train and test, %s is not read", folder, ", ".join(others[:5]))
    if unknown := sorted(found.get("test", {}).keys() - found["train"].keys()):
        raise UserError(f"data.root={root}: the test part has a class that train lacks: {', '.join(unknown[:5])}")
    return found


def _subfolders(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Returns the subfolders, and the names of the files beside them that may be images."""
    try:
        inside = [path for path in sorted(folder.iterdir()) if path.name[0] != "."]
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
    others = [path.name for path in inside if not path.is_dir() and _may_be_image(path.name)]
    return {path.name: path for path in inside if path.is_dir()}, others


def loose_images(folder: Path, typed: str) -> str | None:
    """Returns what is wrong with a folder that holds images and no folders, as that of a single class does."""
    names = sorted(path.name for path in folder.iterdir() if not path.is_dir())
    known = Image.registered_extensions()
    images = [name for name in names if Path(name).suffix.lower() in known and _may_be_image(name)]
    if not images:
        return None
    above = os.path.normpath(typed)
    is_dots = os.path.basename(above) in (".", "..")
    parent = os.path.join(above, "..") if is_dots else os.path.dirname(above) or "."
    return (
        f"data.root={typed} holds images ({images[0]}), but no folder for each class; is it the folder of one class? "
        f"Then type data=images data.root={parent}"
    )


def _may_be_image(name: str) -> bool:
    return name[0] != "." and not name.lower().endswith(NOT_READ)


def _images(folder: Path) -> list[Path]:
    """Returns the files of a class folder and the folders below it that may be images.

    Raises:
        UserError: a folder can't be read.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error

    found, seen, itself = [], set(), os.path.realpath(folder)
    for top, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        place = os.path.realpath(top)
        if place in seen or itself.startswith(place + os.sep):  # a link to a folder that it is in
            folders.clear()
            continue
        seen.add(place)
        folders.sort()
        found += [Path(top, name) for name in names if _may_be_image(name)]
    return sorted(found)


def _printable(name: str) -> str:
    """Returns the name of a folder, which on Linux may be any bytes, as text."""
    return os.fsencode(name).decode("utf-8", "replace")


def _read(folder: Path, files: list[tuple[Path, int]], classes: list[str], how: How) -> Examples:
    """Returns the images, from the cache or from their files.

    Raises:
        UserError: a class has no image that can be read, or there is no room.
    """
    digests = _digests(folder, [file for file, _ in files])
    key = hashlib.blake2b(repr((VERSION, how)).encode(), digest_size=16)
    for (_, label), digest in zip(files, digests, strict=True):
        key.update(f"{label}\0{digest}\n".encode())
    cached = _cache() / key.hexdigest()
    if not (cached / "labels.npy").is_file():
        _fill(cached, files, how)
    unreadable: list[tuple[int, str]] = json.loads((cached / "unreadable.json").read_text())
    labels = np.load(cached / "labels.npy")
    if unreadable:
        shown = "; ".join(f"{files[number][0]} ({why})" for number, why in unreadable[:3])
        more = ", ..." if len(unreadable) > 3 else ""
        log.warning("%d of %s can't be read as images: %s%s", len(unreadable), counted(len(files), "file"), shown, more)
    if empty := sorted({label for _, label in files} - set(labels.tolist())):
        raise UserError(f"data.root={folder}: no file of class {classes[empty[0]]} can be read as an image")
    return Examples(np.load(cached / "images.npy", mmap_mode="c"), labels, known_checksum=key.hexdigest()[:16])


def _cache() -> Path:
    return Path(platformdirs.user_cache_dir("rnnexp")) / "images"


def _digests(folder: Path, files: list[Path]) -> list[str]:
    """Returns a digest of each file's content: that of the last time, if the file has not been touched since."""
    name = hashlib.blake2b(os.fsencode(folder), digest_size=16).hexdigest()
    index = _cache() / f"{name}.json"
    try:
        known: dict[str, list[Any]] = json.loads(index.read_text())
    except (OSError, ValueError):
        known = {}

    def digest(file: Path) -> list[Any]:
        if not file.is_file():  # a pipe, or a link to nothing
            return [0, 0, UNREADABLE]
        about = file.stat()
        before = known.get(str(file.relative_to(folder)))
        if isinstance(before, list) and before[:2] == [about.st_size, about.st_mtime_ns]:
            return before
        found = hashlib.blake2b(digest_size=16)
        try:
            with file.open("rb") as content:
                while chunk := content.read(1 << 20):
                    found.update(chunk)
        except OSError:
            return [0, 0, UNREADABLE]
        return [about.st_size, about.st_mtime_ns, found.hexdigest()]

    try:
        found = list(_parallel(digest, files, "looking through files"))
        now = {str(file.relative_to(folder)): entry for file, entry in zip(files, found, strict=True)}
        if any(known.get(name) != entry for name, entry in now.items()):
            index.parent.mkdir(parents=True, exist_ok=True)
            with atomic(index) as out:
                out.write(json.dumps(known | now).encode())
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
    return [str(entry[2]) for entry in found]


def _fill(cached: Path, files: list[tuple[Path, int]], how: How) -> None:
    """Reads all images into the cache, whole or not at all: the folder takes its name when it is complete.

    Raises:
        UserError: there is no room.
    """

    def read(job: tuple[Path, int]) -> NDArray[np.uint8] | str:
        try:
            if not job[0].is_file():
                return "no file"
            with Image.open(job[0]) as image:
                return as_array(image, (how.height, how.width), how.channels, how.fit)
        except Exception as error:  # PIL's decoders raise whatever they like at what is no image
            return " ".join(str(error).split())[:80] or type(error).__name__

    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        for stale in cached.parent.glob(".filling-*"):  # of a process that was killed, a day ago at least
            if time.time() - stale.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=cached.parent, prefix=".filling-") as aside:
            work = Path(aside) / "whole"
            work.mkdir()
            labels: list[int] = []
            unreadable: list[tuple[int, str]] = []
            with (work / "pixels").open("wb") as out:
                for number, found in enumerate(_parallel(read, files, "reading images")):
                    if isinstance(found, str):
                        unreadable.append((number, found))
                    else:
                        out.write(found.tobytes())
                        labels.append(files[number][1])
            _with_header(work / "pixels", work / "images.npy", (len(labels), *how.shape))
            np.save(work / "labels.npy", np.array(labels, np.int64))
            (work / "unreadable.json").write_text(json.dumps(unreadable))
            with suppress(FileExistsError):  # another process was faster
                try:
                    work.rename(cached)
                except OSError:
                    if not (cached / "labels.npy").is_file():
                        raise
    except OSError as error:
        raise UserError(
            f"cannot write {cached.parent}: {error.strerror or error}; make room, or try a smaller data.size"
        ) from error


def _with_header(pixels: Path, target: Path, shape: tuple[int, ...]) -> None:
    """Makes an .npy file of raw pixels, without holding them in memory."""
    with target.open("wb") as out, pixels.open("rb") as source:
        header = {"descr": np.dtype(np.uint8).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, header)
        shutil.copyfileobj(source, out, 1 << 20)
    pixels.unlink()


def _parallel(function: Callable[[T], R], jobs: Sequence[T], title: str) -> Iterator[R]:
    """Yields what a function makes of each job, in order, by several threads; few are done ahead."""
    bar = tqdm(total=len(jobs), desc=title, unit="file", delay=1, leave=False, disable=None)
    with ThreadPoolExecutor(num_physical_cores()) as pool, bar:
        waiting = [pool.submit(function, job) for job in jobs[:AHEAD]]
        for number in range(len(jobs)):
            yield waiting[number % AHEAD].result()
            if number + AHEAD < len(jobs):
                waiting[number % AHEAD] = pool.submit(function, jobs[number + AHEAD])
            bar.update()
