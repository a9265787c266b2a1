"""What is wrong with a configuration: values out of range, values that don't go together, keys that nothing takes.

Each problem is one line that says what is wrong, what came, what is allowed, and what to type. No torch, unless a
target that is looked up imports it.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from hydra_sweep.hints import nearest
from rnnexp.schema.config import NUM_CLASSES, SCHEMAS, TRAIN_FILE_SIZE, AdamSchema, SgdSchema, plain_config

MAX_FOLDER_BYTES = 255  # of a folder's name, on every common file system


def problems(
    cfg: DictConfig,
    presets: Mapping[str, Any] | None = None,
    *,
    is_search: bool = False,
    imports_known: bool = True,
) -> list[str]:
    """Returns a line for everything that is wrong with a run's configuration, whoever runs it.

    Args:
        cfg: with its schema.
        presets: the flat configuration as it was before anyone typed a value, for the `try` of a line.
        is_search: a choice is made by its validation.
        imports_known: looks at the targets of rnnexp's own options, too, which imports torch.
    """
    found = range_problems(cfg, presets)
    has_own = any(OmegaConf.get_type(cfg, group) is dict for group in SCHEMAS)
    with suppress(OmegaConfBaseException):  # a value that can't be had has its line already
        if has_own or (imports_known and not found):
            found += target_problems(plain_config(cfg))
        if is_search and cfg.data.valid_from == "test":
            found.append(
                "a search with data.valid_from=test would choose by the test set; try data.valid_from=train "
                "data.valid_size=5000"
            )
    return found


def range_problems(cfg: DictConfig, presets: Mapping[str, Any] | None = None) -> list[str]:
    """Returns one line for every value out of its range, and for values that don't go together.

    Args:
        cfg: a configuration composed by Hydra.
        presets: the flat configuration as it was before anyone typed a value, for the `try` of a line.
    """

    def line(key: str, problem: str, example: Any = None) -> str:
        example = (presets or {}).get(key) if example is None else example
        is_same = example == OmegaConf.select(cfg, key)  # what is wrong may be a file's
        is_better = example is not None and not is_same and "did you mean" not in problem
        return f"{key} {problem}; try {key}={str(example).replace(' ', '')}" if is_better else f"{key} {problem}"

    problems = {}
    is_whole = True
    for key, value, limits in _leaves(cfg):
        group = key.partition(".")[0]
        if absence := _absence(key, value):
            problems[key], is_whole = absence, False
        elif group in ("experiment", "search") and key != group:
            problems[group] = f"{key} is not where it belongs: the file of {group} must begin with # @package _global_"
        elif problem := _problem(value, limits):
            problems[key] = line(key, problem)
    if is_whole:
        problems = {key: line(key, problem, example) for key, problem, example in _joint_problems(cfg)} | problems
    return list(problems.values())


def target_problems(config: Mapping[str, Any]) -> list[str]:
    """Returns one line for every key of model, optim and schedule that its `_target_` doesn't take, or lacks.

    Imports the targets, and so, as a rule, torch.
    """
    given = {"model": {"input_size", "num_classes"}, "optim": {"params"}, "schedule": {"step", "num_steps", "epoch"}}
    problems = []
    for group, ours in given.items():
        node = config[group]
        if not isinstance(node, Mapping) or "_target_" not in node:
            problems.append(f"{group} needs a _target_, the dotted name of what it builds; see conf/{group}/")
            continue
        try:
            parameters = inspect.signature(pkgutil.resolve_name(node["_target_"])).parameters
        except Exception as error:  # whatever importing someone's module may raise
            cause = str(error.__cause__ or error).splitlines()[0]
            problems.append(f"{group}._target_={node['_target_']} can't be imported: {cause}")
            continue
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            continue
        keys = {key for key in node if not key.startswith("_")}
        for key in sorted(keys - parameters.keys()):
            problems.append(f"{group}.{key} is no argument of {node['_target_']}{nearest(key, parameters)}")
        needed = {n for n, p in parameters.items() if p.default is p.empty and p.kind is not p.VAR_POSITIONAL}
        for key in sorted(needed - keys - ours):
            problems.append(f"{node['_target_']} needs {group}.{key}; type +{group}.{key}=...")
    return problems


def _leaves(cfg: DictConfig, prefix: str = "") -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yields key, value and metadata of each value; untyped nodes (a user's own) have no metadata.

    An interpolation that can't be resolved has its error for a value.
    """
    schema = OmegaConf.get_type(cfg)
    fields = {f.name: f.metadata for f in dataclasses.fields(schema)} if dataclasses.is_dataclass(schema) else {}
    for name in cfg:
        key = f"{prefix}{name!s}"
        try:
            value = _resolved(cfg, name)
        except OmegaConfBaseException as error:
            value = error
        if isinstance(value, DictConfig):
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value, fields.get(str(name), {})


def _resolved(cfg: DictConfig, name: Any) -> Any:
    """Returns the value of a key, every interpolation in it resolved.

    Raises:
        OmegaConfBaseException: one leads nowhere, or to something of another kind, which OmegaConf itself lets pass.
    """
    if OmegaConf.is_missing(cfg, name):
        return MISSING
    node, value = cfg._get_node(name), cfg[name]
    if isinstance(value, ListConfig):
        OmegaConf.to_container(value, resolve=True)
    if isinstance(node, (DictConfig, ListConfig)) and value is not None and not isinstance(value, type(node)):
        raise ValidationError(f"{node._value()} leads to {value!r:.100}, which is no list or mapping")
    return value


def _absence(key: str, value: Any) -> str | None:
    """Returns why there is no value to judge, if so."""
    if isinstance(value, OmegaConfBaseException):
        return f"{key}: {str(value).splitlines()[0]}"
    if value == MISSING:
        return f"{key} has no value; type {key}=..."
    if value is None and key in SCHEMAS:
        return f"{key} is null; leave it out, or choose one of {', '.join(SCHEMAS[key])}"
    return None


def _problem(value: Any, limits: Mapping[str, Any]) -> str | None:
    """Returns what is wrong with a value, as the middle of a sentence."""
    if value is None:
        return None
    if (allowed := limits.get("allowed")) and value not in allowed:
        return f"must be {' or '.join(allowed)}, got {value}{nearest(str(value), allowed)}"
    compare: dict[str, Callable[[float, float], bool]] = {
        ">": lambda v, b: v > b,
        ">=": lambda v, b: v >= b,
        "<": lambda v, b: v < b,
        "<=": lambda v, b: v <= b,
    }
    bounds = {sign: limits[sign] for sign in compare if limits.get(sign) is not None}
    numbers = list(value) if isinstance(value, ListConfig) else [value]
    for v in (v for v in numbers if isinstance(v, (int, float))):
        if not math.isfinite(v) or not all(compare[sign](v, bound) for sign, bound in bounds.items()):
            wanted = " and ".join(f"{sign} {bound}" for sign, bound in bounds.items()) or "finite"
            return f"must be {wanted}, got {v}"
    return None


def _joint_problems(cfg: DictConfig) -> Iterator[tuple[str, str, Any]]:
    """Yields key, problem and example for values that are in their ranges but don't go together."""
    data, optim = cfg.data, cfg.optim
    if not re.fullmatch(r"[\w.,=+@%-][\w.,=+@% -]*(/[\w.,=+@%-][\w.,=+@% -]*)*", cfg.name) or ".." in cfg.name:
        yield "name", f"must be a folder name (letters, digits and ._-), got {cfg.name!r:.80}", "my-run"
    elif max(map(len, cfg.name.encode().split(b"/"))) > MAX_FOLDER_BYTES:
        yield "name", f"must be at most {MAX_FOLDER_BYTES} bytes long, got {len(cfg.name.encode())}", "my-run"
    if data.valid_from == "train" and data.valid_size < NUM_CLASSES:
        problem = f"must be >= {NUM_CLASSES} where validation images come from the training file, got {data.valid_size}"
        yield "data.valid_size", problem, 5000
    if data.valid_from == "test" and data.valid_size != 0:
        yield "data.valid_size", f"must be 0 with data.valid_from=test, got {data.valid_size}", 0
    if data.limit is not None and data.limit > (room := TRAIN_FILE_SIZE - data.valid_size):
        yield "data.limit", f"must be <= {room}, what data.valid_size={data.valid_size} leaves, got {data.limit}", room
    if OmegaConf.get_type(optim) is AdamSchema and len(optim.betas) != 2:
        yield "optim.betas", f"must be two numbers, got {optim.betas}", [0.9, 0.999]
    if OmegaConf.get_type(optim) is SgdSchema and optim.nesterov and (optim.momentum == 0 or optim.dampening != 0):
        yield "optim.nesterov", "needs optim.momentum > 0 and optim.dampening = 0, got true", False
    if optim.get("foreach") and optim.get("fused"):
        yield "optim.fused", "and optim.foreach can't both be true", False
