"""What is wrong with a configuration: values out of range, values that don't go together, keys that nothing takes.

Each problem is one line that says what is wrong, what came, what is allowed, and what to type. No torch, unless a
target that is looked up imports it.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import math
import pkgutil
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from hydra_sweep.hints import nearest
from rnnexp.schema.config import (
    OPTIONAL,
    SCHEMAS,
    AdamSchema,
    ImagesSchema,
    LruSchema,
    SeriesSchema,
    SgdSchema,
    data_arguments,
    plain_config,
)
from rnnexp.schema.trackers import PACKAGES

TAG = re.compile(r"[^\s,+'\"-][^\s,'\"]*")  # none is taken for an option, a list or a text in a condition
TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
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
    found = [*range_problems(cfg, presets), *extra_problems(cfg)]
    has_own = cfg.metrics or cfg.callbacks or any(OmegaConf.get_type(cfg, group) is dict for group in SCHEMAS)
    with suppress(OmegaConfBaseException):  # a value that can't be had has its line already
        if has_own or (imports_known and not found):
            found += target_problems(plain_config(cfg))
        if is_search and cfg.data.folds is None:
            if cfg.data.valid_from == "test":
                found.append(
                    "a search with data.valid_from=test would choose by the test set; try data.valid_from=train "
                    "data.valid_size=0.1"
                )
            elif cfg.data.valid_size == 0:
                found.append("a search with data.valid_size=0 has nothing to choose by; try data.folds=5")
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
    if own := list(_own_data_problems(cfg)):
        return own
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


def extra_problems(cfg: DictConfig) -> Iterator[str]:
    """Yields a line for each tracker whose package is not installed. Imports nothing."""
    nodes = [cfg.tracker, *(cfg.callbacks if isinstance(cfg.callbacks, ListConfig) else ())]
    for node in nodes:
        target = node.get("_target_") if isinstance(node, DictConfig) else None
        option, package = PACKAGES.get(str(target), ("", ""))
        if package and importlib.util.find_spec(package) is None:
            yield f"tracker={option} is an extra; type pip install 'rnnexp[{option}]'"


def target_problems(config: Mapping[str, Any]) -> list[str]:
    """Returns one line for every key of a group of callables that its `_target_` doesn't take, or lacks.

    Imports the targets, and so, as a rule, torch.
    """
    data = data_arguments(config["data"])
    nodes: list[tuple[str, Any, set[str]]] = [
        ("data", data, {"with_test"}),
        ("model", config["model"], {"input_size", "num_classes"}),
        ("optim", config["optim"], {"params"}),
        ("schedule", config["schedule"], {"step", "num_steps", "epoch"}),
        *((f"metrics.{name}", node, {"labels", "probabilities"}) for name, node in config["metrics"].items()),
        *((f"callbacks[{number}]", node, set()) for number, node in enumerate(config.get("callbacks") or ())),
    ]
    if (tracker := config.get("tracker")) is not None:
        nodes.append(("tracker", tracker, set()))
    problems = []
    for group, node, ours in nodes:
        if not isinstance(node, Mapping) or "_target_" not in node:
            folder = re.match(r"\w+", group)[0]  # type: ignore[index]
            hint = "callbacks=[{_target_:mine.Bell}]" if folder == "callbacks" else f"see conf/{folder}/"
            problems.append(f"{group} needs a _target_, the dotted name of what it builds; {hint}")
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
        if group.startswith("metrics."):  # whose first two arguments may have any names
            ours = ours | set(list(parameters)[:2])
        needed = {n for n, p in parameters.items() if p.default is p.empty and p.kind is not p.VAR_POSITIONAL}
        for key in sorted(needed - keys - ours):
            hint = f"add {key}:... to it" if group.startswith("callbacks[") else f"type +{group}.{key}=..."
            problems.append(f"{node['_target_']} needs {group}.{key}; {hint}")
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
    if value is None and key in SCHEMAS and key not in OPTIONAL:
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
    for tag in cfg.tags:
        if not TAG.fullmatch(str(tag)):
            yield (
                "tags",
                f"must be words without commas, quotes or spaces, and no + or - first, got {tag!r:.80}",
                "[good]",
            )
    if not re.fullmatch(r"[\w.,=+@%-][\w.,=+@% -]*(/[\w.,=+@%-][\w.,=+@% -]*)*", cfg.name) or ".." in cfg.name:
        allowed = "letters, digits, spaces and ._,=+@%-; / between folders; no .."
        yield "name", f"must be a folder name ({allowed}), got {cfg.name!r:.80}", "my-run"
    elif max(map(len, cfg.name.encode().split(b"/"))) > MAX_FOLDER_BYTES:
        yield "name", f"must be at most {MAX_FOLDER_BYTES} bytes long, got {len(cfg.name.encode())}", "my-run"
    if data.valid_from == "test" and data.valid_size != 0:
        yield "data.valid_size", f"must be 0 with data.valid_from=test, got {data.valid_size}", 0
    for key in ("valid_size", "test_size"):
        if 1 < data[key] != int(data[key]):
            yield f"data.{key}", f"must be a share below 1 or a whole number, got {data[key]}", 0.1
    if data.folds is not None and data.fold >= data.folds:
        yield "data.fold", f"must be < data.folds={data.folds}, got {data.fold}", 0
    if data.folds is None and data.valid_from == "train" and data.valid_size == 0:
        if cfg.train.keep != "last":
            yield "train.keep", "must be last where nothing validates (data.valid_size=0)", "last"
        if cfg.train.patience is not None:
            yield "train.patience", "must be null where nothing validates (data.valid_size=0)", "null"
    if problem := _normalize_problem(data.normalize):
        yield "data.normalize", problem, "dataset"
    if "size" in data and not _is_size(data.size):
        yield "data.size", f"must be a number of pixels, or [height,width], got {data.size}", 32
    if data.get("channels") == 2:
        yield "data.channels", "must be 1 (gray) or 3 (RGB), got 2", 3
    if data.folds is None and data.fold != 0:
        yield "data.fold", f"is one of data.folds, and there are none; got {data.fold}", 0
    if data.folds is not None and data.valid_from == "test":
        yield "data.valid_from", "must be train with data.folds, which are of the training part, got test", "train"
    for name in map(str, cfg.metrics):
        if not (name.isidentifier() and name.isascii()) or name[0] == "_" or name in ("loss", "accuracy"):
            yield f"metrics.{name}", "must have another name: letters, digits and _, and not loss or accuracy", None
    monitors = ["valid_accuracy", "valid_loss", *(f"valid_{name}" for name in cfg.metrics)]
    if cfg.train.monitor not in monitors:
        hint = nearest(cfg.train.monitor, monitors)
        yield "train.monitor", f"must be {' or '.join(monitors)}, got {cfg.train.monitor}{hint}", monitors[0]
    if problem := _stack_problem(cfg.stack, cfg.model):
        yield "stack", problem, "auto"
    if cfg.model.get("init") == "chrono" and cfg.model.init_steps is None:
        yield "model.init_steps", "must be a number of steps with model.init=chrono, such as that of a sequence", 100
    if cfg.model.get("init") == "identity" and cfg.model.get("nonlinearity") != "relu":
        yield "model.nonlinearity", "must be relu with model.init=identity, which lets states pass as they are", "relu"
    if cfg.model.get("layer_norm") and cfg.model.get("backend") == "fused":
        yield "model.backend", "must be auto or torch with model.layer_norm=true, got fused", "auto"
    if OmegaConf.get_type(cfg.model) is LruSchema and cfg.model.r_min >= cfg.model.r_max:
        yield "model.r_min", f"must be < model.r_max={cfg.model.r_max:g}, got {cfg.model.r_min:g}", 0.0
    if OmegaConf.get_type(optim) is AdamSchema and len(optim.betas) != 2:
        yield "optim.betas", f"must be two numbers, got {optim.betas}", [0.9, 0.999]
    if OmegaConf.get_type(optim) is SgdSchema and optim.nesterov and (optim.momentum == 0 or optim.dampening != 0):
        yield "optim.nesterov", "needs optim.momentum > 0 and optim.dampening = 0, got true", False
    if optim.get("foreach") and optim.get("fused"):
        yield "optim.fused", "and optim.foreach can't both be true", False


def _stack_problem(stack: Any, model: DictConfig) -> str | None:
    """Returns what is wrong with `stack`, as the middle of a sentence."""
    if stack in ("auto", "off") or stack is False or (stack == 1 and stack is not True):  # YAML reads off as false
        return None
    if not isinstance(stack, int) or isinstance(stack, bool) or stack < 1:
        return f"must be auto, off or a number of trials, got {stack}{nearest(str(stack), ['auto', 'off'])}"
    if model.get("cell") not in ("rnn", "gru", "lstm") or model.layer_norm or model.backend == "torch":
        known = "model=rnn, gru and lstm with model.layer_norm=false and model.backend=auto"
        return f"must be auto or off but for {known}, got {stack}"
    return None


def _normalize_problem(value: Any) -> str | None:
    """Returns what is wrong with `data.normalize`, as the middle of a sentence."""
    if value in ("none", "dataset", "series"):
        return None
    wanted = "must be none, dataset, series, or [mean,std] with std > 0"
    if not isinstance(value, ListConfig) or len(value) != 2:
        return f"{wanted}, got {value}{nearest(str(value), ['none', 'dataset', 'series'])}"
    for part, limit in zip(value, (-math.inf, 0.0), strict=True):
        numbers = list(part) if isinstance(part, ListConfig) else [part]
        if not numbers or not all(_is_number(v) and math.isfinite(v) and v > limit for v in numbers):
            return f"{wanted}, got {value}"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    sides = list(value) if isinstance(value, ListConfig) and len(value) == 2 else [value]
    return all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)


def _own_data_problems(cfg: DictConfig) -> Iterator[str]:
    """Yields what is wrong with rnnexp's own keys of a user's own `data`, which has no schema."""
    data = cfg.data
    if not isinstance(data, DictConfig) or OmegaConf.get_type(data) is not dict:
        return
    kind = ImagesSchema if "sequence" in data else SeriesSchema
    names = {field.name for field in dataclasses.fields(kind)}
    if absent := sorted(names - {str(key) for key in data} - {"_target_"}):
        yield f"data has no {absent[0]}; begin its file with defaults: [shared/series, _self_], or shared/images"
        return
    for name in sorted(names - {"_target_"}):
        try:
            typed = OmegaConf.merge(OmegaConf.structured(kind), {name: data[name]})
            assert isinstance(typed, DictConfig)
            limits = next(field.metadata for field in dataclasses.fields(kind) if field.name == name)
            if not isinstance(typed[name], DictConfig) and (problem := _problem(typed[name], limits)):
                yield f"data.{name} {problem}"
        except OmegaConfBaseException as error:
            yield f"data.{name}: {str(error).splitlines()[0]}"


def type_name(cfg: DictConfig, key: str) -> str:
    """Returns what a key's value must be, in words."""
    parent, _, leaf = key.rpartition(".")
    owner = OmegaConf.get_type(OmegaConf.select(cfg, parent) if parent else cfg)
    assert owner is not None
    hint = typing.get_type_hints(owner).get(leaf, dict) if dataclasses.is_dataclass(owner) else dict
    kinds = typing.get_args(hint) if type(None) in typing.get_args(hint) else (hint,)
    kind, optional = kinds[0], " or null" if len(kinds) > 1 else ""
    if typing.get_origin(kind) is list:
        example = {float: "[0.9,0.999]", Any: "[{_target_:mine.Bell}]"}.get(typing.get_args(kind)[0], "[good,baseline]")
        return f"a list such as {example}{optional}"
    return f"{TYPE_NAMES.get(kind, f'a mapping of its keys ({key}.KEY=...)')}{optional}"
