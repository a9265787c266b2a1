"""Values of configurations as records hold them, and whether two of them ask for the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any


def plain_values(value: Any) -> Any:
    """Returns any value of a configuration as JSON and YAML can hold it.

    Structured configurations may hold more than files can: an enum becomes its name, a path its text, bytes their
    literal. What JSON can hold anyway stays as it is, so that no recorded fingerprint changes.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # a plain one: YAML refuses the enums among them
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {_plain_key(key): plain_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_values(item) for item in value]
    return value.name if isinstance(value, Enum) else str(value)


def _plain_key(key: Any) -> Any:
    return key if type(key) in (str, int, float, bool, type(None)) else plain_values(key)


def as_recorded(value: Any) -> Any:
    """Returns a configuration's value as a record gives it back: plain, and every key a text."""
    return json.loads(json.dumps(plain_values(value)))


def is_same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal; a NaN equals a NaN, since it asks for the same."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other or (one != one and other != other))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested keys joined with dots: {"optim": {"lr": 1}} -> {"optim.lr": 1}."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
