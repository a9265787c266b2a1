"""Values of Python as overrides: what `rnnexp.run` and its like are given, as it would be typed in a shell.

{"model": "gru", "optim": {"lr": 0.1}}           model=gru optim.lr=0.1
{"optim.betas": [0.9, 0.99], "name": "a b"}      optim.betas=[0.9,0.99] name='a b'

Whether the keys are there, and the values in range, is found out where those of a command line are. No Optuna.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from hydra_sweep.errors import UserError, safe_str

Overrides = Sequence[str] | Mapping[str, Any] | None
KEY = re.compile(r"(\+{1,2}|~)?[\w$/.@-]+", re.ASCII)
WORD = re.compile(r"[A-Za-z_/][\w/.-]*", re.ASCII)  # that Hydra reads as itself, but for these:
SPECIAL = {"null", "true", "false", "inf", "nan"}
ESCAPED = re.compile(r"[\\()\[\]{}:=, \t]")  # in a key of a mapping
WRITABLE = re.compile(r"[\w/.$%*@?|+\\()\[\]{}:=, \t-]+", re.ASCII)
# Mappings whose keys are not parts of longer keys: they are written as one value.
WHOLE = ("compare.data", "hydra.sweeper.params", "hydra.sweeper.when", "hydra.sweeper.forbidden_objectives")
EXAMPLE = 'write a list such as ["model=gru", "optim.lr=0.1"], or a dict such as {"model": "gru", "optim.lr": 0.1}'


def as_overrides(given: Overrides) -> list[str]:
    """Returns overrides as a shell has them.

    Args:
        given: overrides, which stay as they are; or keys with their values, nested or with dots.

    Raises:
        UserError: it is neither, or a value has no form in Hydra's grammar.
    """
    if given is None:
        return []
    if isinstance(given, Mapping):
        return list(_flat(given, ""))
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise UserError(f"overrides: got {safe_str(repr(given), 80)}; {EXAMPLE}")
    words = list(given)
    for word in words:
        if not isinstance(word, str):
            raise UserError(f"overrides: got {safe_str(repr(word), 80)} in a list; {EXAMPLE}")
        if word.startswith("-"):
            raise UserError(f"can't read {word!r} (flags are arguments in Python); write key=value")
    return words


def as_space(given: str | Mapping[str, Any] | None) -> list[str]:
    """Returns a search space, or the axes of a grid, as a shell has them.

    Args:
        given: an option of the group `search`; or keys with what they may be: a list of values, a text in Hydra's
            grammar such as `tag(log,interval(1e-3,1))`, or a distribution of Optuna's. `when` has more of these by
            condition.

    Raises:
        UserError: it is none of these.
    """
    if given is None:
        return []
    if isinstance(given, str):
        return [f"search={literal(given, 'search')}"]
    if not isinstance(given, Mapping):
        raise UserError(
            f"search: got {safe_str(repr(given), 80)}; name an option such as 'quick', or write a dict such as "
            '{"optim.lr": "tag(log,interval(1e-3,1))", "model": ["gru", "lstm"]}'
        )
    words = []
    for key, value in given.items():
        if key == "when":
            words.append(f"+hydra.sweeper.when={literal(_texts(value, 'when'), 'when')}")
        elif isinstance(value, Mapping):
            words += as_space({f"{key}.{name}": below for name, below in value.items()})
        else:
            words.append(f"{_checked(key)}={distribution(value, str(key))}")
    return words


def as_arms(given: Any) -> list[str]:
    """Returns `compare.arms`, of a group, a list of groups, or a list of overrides: a text or a dict for each arm.

    Raises:
        UserError: it is none of these.
    """
    if given is None:
        return []
    if isinstance(given, str):
        return [f"compare.arms={literal(given, 'arms')}"]
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise UserError(
            f"arms: got {safe_str(repr(given), 80)}; name a group such as 'model', or write a list such as "
            '["model=gru", "model=lstm"]'
        )
    arms = [shlex.join(as_overrides(arm)) if isinstance(arm, Mapping) else arm for arm in given]
    return [f"compare.arms={literal(arms, 'arms')}"]


def literal(value: Any, key: str) -> str:
    """Returns a value in Hydra's grammar, quoted where it would be read otherwise.

    Args:
        key: for the error.

    Raises:
        UserError: it has no form there.
    """
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a number of numpy's or torch's
        value = value.item()
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (str, os.PathLike)):
        return _quoted(os.fspath(value), key)
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{_escaped(name)}:{literal(below, key)}' for name, below in value.items())}}}"
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return f"[{','.join(literal(below, key) for below in value)}]"
    raise UserError(f"{key}: a {type(value).__name__} can't be written as an override, got {safe_str(repr(value), 80)}")


def distribution(value: Any, key: str) -> str:
    """Returns what a key may be in a search, in Hydra's grammar; see `as_space`.

    Raises:
        UserError: it has no form there.
    """
    kind = type(value).__name__
    if isinstance(value, str):
        return value
    if kind in ("FloatDistribution", "IntDistribution"):
        text = f"interval({value.low!r},{value.high!r})"
        text = f"int({text})" if kind == "IntDistribution" else text
        step = None if value.step == 1 and kind == "IntDistribution" else value.step
        return f"tag(log,{text})" if value.log else text if step is None else f"tag(step:{step!r},{text})"
    if kind == "CategoricalDistribution":
        value = list(value.choices)
    if not isinstance(value, Sequence) and not hasattr(value, "tolist"):
        return literal(value, key)
    if not len(value):
        raise UserError(f"{key}: there is nothing to choose from")
    return ",".join(literal(one, key) for one in value)


def _texts(conditions: Any, key: str) -> dict[str, Any]:
    """Returns `when` with each distribution as a text, as a YAML file has it."""
    if not isinstance(conditions, Mapping):
        raise UserError(f'{key}: got {safe_str(repr(conditions), 80)}; write {{"optim=adam": {{"optim.lr": ...}}}}')
    found: dict[str, Any] = {}
    for condition, below in conditions.items():
        if not isinstance(below, Mapping):
            raise UserError(f"{key}: {condition}: got {safe_str(repr(below), 80)}; write keys with what they may be")
        found[str(condition)] = {}
        for name, value in below.items():
            text: Any = _texts(value, key) if name == "when" else distribution(value, str(name))
            found[str(condition)][str(name)] = text
    return found


def _flat(mapping: Mapping[Any, Any], prefix: str) -> Iterator[str]:
    for name, value in mapping.items():
        key = _checked(f"{prefix}{name}")
        if isinstance(value, Mapping) and value and key.lstrip("+") not in WHOLE:
            yield from _flat(value, f"{key}.")
        elif key.startswith("~") and value is None:
            yield key
        else:
            yield f"{key}={literal(value, key)}"


def _checked(key: Any) -> str:
    """Raises: UserError if a key would be read as something else."""
    if not KEY.fullmatch(str(key)):
        raise UserError(f"{safe_str(repr(key), 80)} is no key; {EXAMPLE}")
    return str(key)


def _quoted(text: Any, key: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    if not isinstance(text, str) or "\0" in text:
        raise UserError(f"{key}: {safe_str(repr(text), 80)} can't be written as an override")
    is_word = WORD.fullmatch(text) and text.lower() not in SPECIAL
    return text if is_word else QuotedString(text, Quote.single).with_quotes()


def _escaped(name: Any) -> str:
    """Returns a key of a mapping that is one value."""
    text = str(name)
    if not WRITABLE.fullmatch(text):
        raise UserError(
            f"{safe_str(repr(name), 80)} can't be a key of a mapping in an override; a YAML file can have it"
        )
    return ESCAPED.sub(r"\\\g<0>", text)
