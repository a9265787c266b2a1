"""What in a record may run code of its writer's choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rnnexp.schema.identity import computed

# Where the callables come from that any record may name: what stands there can do no more than compute.
KNOWN_TARGETS = {
    "model": ("rnnexp.models", "torch.nn"),
    "optim": ("torch.optim",),
    "schedule": ("rnnexp.schedules",),
    "metrics": ("rnnexp.metrics",),
}
# Of data these alone: what else is in their modules writes files.
KNOWN_DATASETS = tuple(
    f"rnnexp.data.{name}" for name in ("idx.load", "idx.emnist", "cifar.load", "image_folder.load", "series.load")
)


def trust_problems(config: Mapping[str, Any]) -> list[str]:
    """Returns one line for everything in a recorded configuration that may run code of its writer's choice.

    That is each callable, however deep, that is neither rnnexp's nor torch's, and each interpolation, which a record
    has none of: it would read the environment. What only watches a run is never made of a record. Imports nothing.
    """
    problems = []
    for group, value in computed(config).items():
        for key, text in _texts(value, str(group)):
            module, _, name = text.rpartition(".")
            is_target = key.rpartition(".")[2] == "_target_"
            is_known = module in KNOWN_TARGETS.get(group, ()) and name.isidentifier()
            is_known = is_known or (key == "data._target_" and text in KNOWN_DATASETS)
            if "${" in text or (is_target and not is_known):
                problems.append(
                    f"{key}={text!r:.100} is neither rnnexp's nor torch's; if you trust who wrote it, add --trust"
                )
    return problems


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yields each text below a value, with its key."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _texts(below, f"{key}.{name}")
    elif isinstance(value, (list, tuple)):
        for below in value:
            yield from _texts(below, key)
    elif isinstance(value, str):
        yield key, value
