"""What is compared: `compare.arms` as a list of arms."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra_sweep.errors import UserError
from hydra_sweep.hints import nearest
from hydra_sweep.plan import key_of
from rnnexp.command_line import CommandLine
from rnnexp.record.comparison_folder import folder_name
from rnnexp.schema.tree import GROUPS

SOME_OPTIONS = re.compile(r"\w+=\w+(,\w+)+")  # model=gru,lstm


@dataclass(frozen=True)
class ArmSpec:
    """What sets an arm apart from the others."""

    name: str
    overrides: list[str]


def arm_specs(arms: Any, options: Callable[[str], list[str]]) -> list[ArmSpec]:
    """Returns the arms that `compare.arms` asks for: each option of groups, or some of theirs, or overrides.

    Raises:
        UserError: a group that is none, or fewer than two arms, or two of one name.
    """
    wanted = [arms] if isinstance(arms, str) else list(arms) if isinstance(arms, list) else []
    if not wanted or not all(isinstance(word, str) and word.strip() for word in wanted):
        raise UserError(f"compare.arms must be a group, a list of groups or a list of overrides, got {arms!r}")
    if all("=" not in word or SOME_OPTIONS.fullmatch(word) for word in wanted):
        for group in (word.partition("=")[0] for word in wanted):
            if not options(group):
                if better := arms_of_options(wanted, options):
                    raise UserError(f"compare.arms: {group} is an option, and no group; type {arms_text(better)}")
                hint = nearest(group, GROUPS) or f"; there are {', '.join(GROUPS)}"
                raise UserError(f"compare.arms={group}: no such group{hint}")
        words = (word.partition("=") for word in wanted)
        chosen = {group: some.split(",") if some else options(group) for group, _, some in words}
        for group, some in chosen.items():
            if unknown := [option for option in some if option not in options(group)]:
                hint = nearest(unknown[0], options(group)) or f"; there are {', '.join(options(group))}"
                raise UserError(f"compare.arms: {group}={unknown[0]}: no such {group}{hint}")
        cells = itertools.product(*chosen.values())
        found = [
            ArmSpec(" ".join(cell), [f"{group}={o}" for group, o in zip(chosen, cell, strict=True)]) for cell in cells
        ]
    else:
        for word in wanted:
            if "=" not in word:
                raise UserError(f"compare.arms: {word!r} is no override; write key=value, or groups alone")
        found = [ArmSpec(" ".join(word.split()), shlex.split(word)) for word in wanted]
    folders = {folder_name(arm.name) for arm in found}
    if len(found) < 2 or len(folders) < len(found):
        raise UserError(f"compare.arms must name at least two different arms, got {', '.join(a.name for a in found)}")
    return found


def arms_of_options(words: Sequence[str], options: Callable[[str], list[str]]) -> list[str]:
    """Returns the overrides that options of one group stand for, two at least; nothing if they aren't of one."""
    for group in GROUPS:
        known = options(group)
        if words and set(words) <= set(known):
            others = [option for option in known if option not in words]
            return [f"{group}={option}" for option in (words if len(words) > 1 else [*words, *others[:1]])]
    return []


def arms_meant(value: str, options: Callable[[str], list[str]]) -> str:
    """Returns what to type for a value of `compare.arms` that lacks its quotes, or its brackets: model=gru,lstm."""
    inner = value.removeprefix("[").removesuffix("]") if value.startswith("[") else value
    words = [word.strip("\"' ") for word in re.split(r",(?![^\[(]*[\])])", inner)]  # not at commas within brackets
    if all(options(word) for word in words):
        return f"compare.arms=[{','.join(words)}]"
    arms = arms_of_options(words, options)
    if not arms and "=" in words[0]:
        key = words[0].partition("=")[0]
        arms = [word if "=" in word else f"{key}={word}" for word in words]
    return arms_text(arms if len(arms) > 1 else ["model=gru", "model=lstm"])


def data_specs(data: Any) -> list[ArmSpec]:
    """Returns the data sets that `compare.data` asks for, each with a name and its overrides.

    Args:
        data: options of the group, or overrides, in a list; or a mapping from names to overrides.

    Raises:
        UserError: it is neither, or there are fewer than two, or two of one name.
    """
    if isinstance(data, list) and all(isinstance(word, str) for word in data):
        words = {word: word if "=" in word else f"data={word}" for word in data}
        named = {(_root_name(text) or word.removeprefix("data=")): text for word, text in words.items()}
    elif isinstance(data, dict) and all(isinstance(text, str) and "=" in text for text in data.values()):
        named = {str(name): text for name, text in data.items()}
    else:
        raise UserError(
            "compare.data must be a list such as [mnist,fashion_mnist], or name overrides, such as "
            f"{{digits:'data=mnist data.limit=5000',others:'data=series data.root=FILE'}}, got {data!r}"
        )
    found = [ArmSpec(name, shlex.split(text)) for name, text in named.items()]
    folders = {folder_name(spec.name) for spec in found}
    if len(found) < 2 or len(folders) < len(data):
        raise UserError(f"compare.data must name at least two different data sets, got {', '.join(named)}")
    return found


def _root_name(text: str) -> str:
    """Returns the name of the file or folder that overrides read their data from; nothing if they don't say."""
    roots = [word.partition("=")[2] for word in shlex.split(text) if key_of(word) == "data.root"]
    return Path(roots[0]).name.partition(".")[0].removesuffix("_TRAIN") if roots else ""


def choice_problems(final: CommandLine) -> Iterator[str]:
    """Yields what would choose by the test set in an arm's final runs."""
    cfg = final.composer(next(final.plan.space.examples()))
    if (
        cfg.data.valid_from == "test"
        and cfg.data.folds is None
        and (cfg.train.keep == "best" or cfg.train.patience is not None)
    ):
        yield "data.valid_from=test would choose the epoch by the test set; try train.keep=last train.patience=null"


def merged(*lists: Sequence[str]) -> list[str]:
    """Returns overrides of which each key is set once, by the last list that has it."""
    found: dict[str, str] = {}
    for text in itertools.chain(*lists):
        found.pop(key_of(text), None)
        found[key_of(text)] = text
    return list(found.values())


def arms_text(overrides: Sequence[str]) -> str:
    """Returns what to type for arms of these overrides, quoted for a shell."""
    return shlex.quote(f"compare.arms=[{','.join(json.dumps(text) for text in overrides)}]")


def quoted(text: str) -> str:
    """Returns a value as Hydra's grammar has it."""
    if re.fullmatch(r"[\w./+-]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
