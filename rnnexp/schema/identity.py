"""What makes two configurations ask for the same computation: a fingerprint, and the difference if they don't."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hydra_sweep.differences import as_recorded, flatten, is_same, plain_values

# Keys that say where, how fast and how often, but not what is computed.
NOT_IN_FINGERPRINT = (
    *("name", "experiment", "search", "objective", "direction", "n_trials", "workers"),
    *("wait", "storage", "artifact_store", "repeats", "resume"),
    "data.root",
    "train.eval_batch_size",
    "train.device",
    "train.threads",
    "train.checkpoint_seconds",
    "train.resume",
)


def fingerprint(config: Mapping[str, Any]) -> str:
    """Returns 16 hex digits that two configurations share if and only if they ask for the same computation."""
    kept = {key: plain_values(value) for key, value in flatten(config).items() if key not in NOT_IN_FINGERPRINT}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns `key: old -> new` for every key that changes the fingerprint."""
    before, after = flatten(as_recorded(old)), flatten(as_recorded(new))
    keys = [key for key in {**before, **after} if key not in NOT_IN_FINGERPRINT]
    absent = object()
    return [
        f"{key}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in keys
        if not is_same(before.get(key, absent), after.get(key, absent))
    ]
