"""What keeps a sound configuration from running here: its folder, the machine, the data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_sweep.hydra_errors import one_line
from rnnexp.record.run_folder import RunFolder
from rnnexp.schema.config import data_arguments, plain_config
from rnnexp.schema.identity import dataset_difference, difference

MIN_FREE_BYTES = 1 << 19  # for Hydra's files and the log


def machine_problems(cfg: DictConfig, with_test: bool = True) -> Iterator[str]:
    """Yields what this machine lacks to run a sound configuration: its device, its data or its precision.

    The dataset is kept for the run that follows, which takes it by `loading.take`.

    Args:
        with_test: the run will read the test part.
    """
    if cfg.train.device in ("cuda", "mps") or cfg.train.precision == "tf32":
        from rnnexp.training.machine import device_problem

        if problem := device_problem(cfg.train.device, cfg.train.precision):
            yield problem
            return
    from rnnexp import metrics
    from rnnexp.data import loading

    if problems := loading.problems(cfg.data, with_test):
        yield from problems
        return
    dataset = loading.take(cfg.data, with_test)
    for name, node in cfg.metrics.items():
        if problem := metrics.problem(str(name), node.get("_target_"), len(dataset.classes)):
            yield problem
    if cfg.train.precision == "bf16":
        from rnnexp.training.build import precision_problem

        if problem := precision_problem(cfg, dataset):
            yield problem
    loading.keep(cfg.data, with_test, dataset)


def other_dataset(folder: Path, cfg: DictConfig, with_test: bool) -> Iterator[str]:
    """Yields what to type if a sweep's folder has runs of the same dataset, by its name, on other examples.

    Args:
        cfg: whose dataset has just been kept.
        with_test: it was read with its test part.
    """
    from rnnexp.data import loading

    asked = {"data": data_arguments(plain_config(cfg)["data"])}  # how it is split and read changes no example
    for path in (*sorted(folder.glob("*/result.json")), *sorted(folder.glob("*/*/result.json"))):
        try:
            recorded = RunFolder(path.parent).read_result()
        except (OSError, ValueError):  # which the table will say
            continue
        data = recorded.config.get("data") if recorded else None
        if recorded is None or not isinstance(data, dict) or difference({"data": data_arguments(data)}, asked):
            continue
        dataset = loading.take(cfg.data, with_test)
        loading.keep(cfg.data, with_test, dataset)
        if changes := dataset_difference(recorded.dataset, dataset.identity):
            yield f"{folder} holds runs on another dataset ({'; '.join(changes)}); choose another name="
        return


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
