"""Where workers that share no folder put the folders of their trials: one archive for each trial, whole or not there.

A place is a URL that fsspec knows: s3://bucket/sweeps, gs://..., sftp://host/path, or a path. What a worker gives back
unfinished it puts there whole, so that a worker of another host can go on with it.
"""

from __future__ import annotations

import functools
import socket
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import fsspec
from tqdm import tqdm

from hydra_sweep.errors import UserError
from hydra_sweep.storage import hide_password

SUFFIX, HALF = ".tar", ".part"


class ArtifactStore:
    """The archives of one sweep.

    Args:
        url: of the folder that holds them; it need not exist.
        seconds: how long a place that is away is tried again.

    Raises:
        UserError: no such kind of place, or what it needs is not installed.
    """

    def __init__(self, url: str, seconds: float = 0.0) -> None:
        self.url, self.seconds = url.rstrip("/"), seconds
        try:
            fsspec.get_filesystem_class(fsspec.utils.get_protocol(self.url))
        except (ImportError, ValueError) as error:  # fsspec's words name the package to install
            raise UserError(f"artifact store {hide_password(url)}: {error}") from error

    @functools.cached_property
    def files(self) -> Any:
        """The place as fsspec has it; it may have to be called up first."""
        return fsspec.core.url_to_fs(self.url)[0]

    def put(self, folder: Path, without: Sequence[str] = ()) -> str | None:
        """Puts a trial's folder there, but for the files whose names match. Returns what went wrong, if anything."""

        def leave_out(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
            return None if any(fnmatch(Path(member.name).name, name) for name in without) else member

        def put() -> None:
            self.files.makedirs(self._path(), exist_ok=True)
            half = self._path(f"{folder.name}-{uuid.uuid4()}", HALF)
            try:
                with self.files.open(half, "wb") as file, tarfile.open(fileobj=file, mode="w|") as archive:
                    archive.add(folder, arcname=folder.name, filter=leave_out)
                self.files.mv(half, self._path(folder.name))  # nobody sees half of it
            except BaseException:
                with suppress(Exception):
                    self.files.rm_file(half)
                raise

        deadline, pause = time.monotonic() + self.seconds, 0.5
        while True:
            try:
                put()
            except Exception as error:  # every kind of place has its own
                if not folder.is_dir() or time.monotonic() + pause > deadline:
                    return f"its folder stayed on {socket.gethostname()}: {type(error).__name__}: {error}"
            else:
                return None
            time.sleep(pause)
            pause = min(2 * pause, 10.0)

    def names(self) -> list[str]:
        """Returns the trials that are there, by number.

        Raises:
            UserError: the place can't be looked at.
        """
        try:
            self.files.invalidate_cache()
            found = [Path(path).name for path in self.files.ls(self._path(), detail=False)]
        except FileNotFoundError:
            return []
        except Exception as error:  # every kind of place has its own
            raise UserError(f"cannot look at {hide_password(self.url)}: {type(error).__name__}: {error}") from error
        numbers = [name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX)]
        return sorted((number for number in numbers if number.isdigit()), key=int)

    def get(self, name: str, sweep: Path) -> None:
        """Fetches a trial's folder into a sweep's folder that doesn't have it.

        Raises:
            UserError: it can't be had, is damaged, or would write elsewhere.
        """
        try:
            sweep.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=sweep, prefix=".fetched-") as scratch:
                with (
                    self.files.open(self._path(name), "rb") as file,
                    tarfile.open(fileobj=file, mode="r|") as archive,
                ):
                    archive.extractall(scratch, filter="data")
                (Path(scratch) / name).rename(sweep / name)
        except Exception as error:  # every kind of place has its own
            raise UserError(f"cannot fetch trial {name}: {type(error).__name__}: {error}") from error

    def get_if_there(self, folder: Path) -> str | None:
        """Fetches a trial's folder if it is there and not here. Returns what went wrong, if anything."""
        try:
            if not folder.exists() and self.files.exists(self._path(folder.name)):
                self.get(folder.name, folder.parent)
        except Exception as error:  # every kind of place has its own
            return str(error)
        return None

    def _path(self, name: str = "", suffix: str = SUFFIX) -> str:
        root = self.files._strip_protocol(self.url)
        return f"{root}/{name}{suffix}" if name else root


def problems(url: str) -> Iterator[str]:
    """Yields what is wrong with an artifact store's URL, without looking at it."""
    try:
        ArtifactStore(url)
    except UserError as error:
        yield str(error)
    if hide_password(url) != url:
        yield f"artifact store {hide_password(url)}: its password would be in every record; put it in the environment"


def fetch(artifact_store: ArtifactStore, sweep: Path) -> list[str]:
    """Fetches what a sweep's folder lacks, with a bar in a terminal. Returns a line for each that could not be had."""
    problems = []
    try:
        names = [name for name in artifact_store.names() if not (sweep / name).exists()]
    except UserError as error:
        return [str(error)]
    for name in tqdm(names, "fetching", unit="trial", disable=None, leave=False):
        try:
            artifact_store.get(name, sweep)
        except UserError as error:
            problems.append(str(error))
    return problems
