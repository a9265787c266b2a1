"""What keeps a sound configuration from running here: its folder, the machine, the data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_sweep.compose import one_line
from hydra_sweep.errors import UserError
from rnnexp.record.run_folder import RunFolder
from rnnexp.schema.config import plain_config
from rnnexp.schema.identity import difference

MIN_FREE_BYTES = 1 << 19  # for Hydra's files and the log


def machine_problems(cfg: DictConfig) -> Iterator[str]:
    """Yields what this machine lacks to run a sound configuration: its device, its data or its precision."""
    from rnnexp.data.files import ensure

    if cfg.train.device in ("cuda", "mps"):
        from rnnexp.training.machine import device_problem

        if problem := device_problem(cfg.train.device):
            yield problem
            return
    try:
        ensure(cfg.data)
    except UserError as error:
        yield from error.problems
        return
    if cfg.train.precision == "bf16":
        from rnnexp.training.build import precision_problem

        if problem := precision_problem(cfg):
            yield problem


def runs_here(master: DictConfig) -> bool:
    """Returns whether a sweep's launcher runs its workers on this machine, and not on those of a cluster."""
    from hydra_sweep.launchers import LauncherKind

    return LauncherKind.of(master.hydra.launcher).runs_here


def unresolved(full: DictConfig, keys: Iterable[str]) -> Iterator[str]:
    """Yields a line for each key whose interpolation can't be resolved, now or while the job runs."""
    for key in keys:
        try:
            OmegaConf.select(full, key)
        except OmegaConfBaseException as error:
            if "HydraConfig was not set" not in str(error):
                yield one_line(error)


def folder_problem(out: Path) -> str | None:
    """Returns what keeps a folder from being made and filled: Hydra would find it out by a traceback."""
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not there.is_dir():
        return f"cannot write {out}: {there} is not a directory; choose another name="
    if not os.access(there, os.W_OK | os.X_OK):
        return f"cannot write {out}: {there} can't be written; go to another folder, or type hydra.run.dir=FOLDER"
    if (free := shutil.disk_usage(there).free) < MIN_FREE_BYTES:
        return f"cannot write {out}: {free:,} bytes are free, and it takes {MIN_FREE_BYTES:,} to begin; make room"
    return None


def recorded_difference(folder: RunFolder, cfg: DictConfig) -> list[str]:
    """Returns what changed since Hydra recorded the folder's configuration; nothing if that can't be read."""
    try:
        recorded = plain_config(OmegaConf.create(folder.read_hydra_config()))
    except (ValueError, OmegaConfBaseException):
        return []
    return difference(recorded, plain_config(cfg)) if recorded else []
