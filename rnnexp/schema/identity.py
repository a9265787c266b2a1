"""What makes two configurations ask for the same computation: a fingerprint, and the difference if they don't."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hydra_sweep.differences import as_recorded, flatten, is_same, plain_values

# What is not part of the computation, said here and nowhere else: keys of a sweep, which its runs don't have ...
SWEEP_KEYS = (
    *("name", "search", "objective", "direction", "n_trials", "workers", "workers_per_gpu", "stack"),
    *("wait", "storage", "artifact_store", "repeats", "zip", "resume"),
)
# ... keys of a run that watch it or name it, with all that is below them: the computation is the same without ...
WATCHERS = ("tracker", "callbacks")
WATCHING = (*WATCHERS, "tags", "notes")
# ... and keys of a run that say where and how fast, but not what. They may change when a run or a sweep goes on.
VOLATILE = (
    *("data.root", "data.test", "train.eval_batch_size", "train.device", "train.threads"),
    *("train.checkpoint_seconds", "train.resume"),
    *WATCHING,
)
# A sweep can't go on with other reports, but a run is the same whatever it reports.
NOT_IN_FINGERPRINT = (*SWEEP_KEYS, "experiment", "train.reports_per_epoch", *VOLATILE)


def is_computed(key: str) -> bool:
    """Returns whether a key of the configuration, with its dots, is part of the computation."""
    return key not in NOT_IN_FINGERPRINT and key.partition(".")[0] not in WATCHING


def computed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration without what only watches the run, whose code is no part of the run's."""
    return {key: value for key, value in config.items() if key not in WATCHING}


def fingerprint(config: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    """Returns 16 hex digits that two runs share if and only if they ask for the same computation on the same data.

    Args:
        dataset: its identity, as `Dataset` has it; the test part, which not every run reads, is left out.
    """
    kept = {key: plain_values(value) for key, value in flatten(config).items() if is_computed(key)}
    kept |= {f"dataset.{key}": value for key, value in dataset_identity(dataset).items() if key != "test"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def dataset_identity(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what makes a recorded dataset another one: its classes, and the checksum of each part that was read."""
    checksums = dataset.get("checksum") or {}
    found = {"classes": dataset.get("classes"), "train": checksums.get("train"), "test": checksums.get("test")}
    return {key: value for key, value in found.items() if value is not None}


def dataset_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns what of a dataset has changed, as far as both have read it."""
    before, after = dataset_identity(old), dataset_identity(new)
    return [
        f"data, {key}: {before[key]} -> {after[key]}" for key in before if before[key] != after.get(key, before[key])
    ]


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns `key: old -> new` for every key that changes the fingerprint."""
    before, after = flatten(as_recorded(old)), flatten(as_recorded(new))
    keys = [key for key in {**before, **after} if is_computed(key)]
    absent = object()
    return [
        f"{key}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in keys
        if not is_same(before.get(key, absent), after.get(key, absent))
    ]
