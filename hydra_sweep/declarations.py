"""From what a command line and a configuration declare to a search space, or to all that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override

from hydra_sweep import compat
from hydra_sweep.compat import group_options
from hydra_sweep.compose import ComposeError, flat_without_hydra
from hydra_sweep.errors import UserError
from hydra_sweep.grammar import distribution_of, element_text, elements, is_interval, parse, text_of, value_text
from hydra_sweep.hints import nearest
from hydra_sweep.space import Compose, Condition, Parameter, Space, configured


@dataclass
class Declaration:
    """A parameter as it was written."""

    key: str
    override: Override
    conditions: tuple[Condition, ...]


def build(
    arguments: Sequence[str],
    params: Mapping[str, Any],
    when: Mapping[str, Any],
    compose: Compose,
    *,
    n_trials: int | None,
    zips: Sequence[Sequence[str]] = (),
    seed_key: str = "seed",
    is_grid: bool = False,
    config_loader: Any = None,
) -> Space:
    """Returns the space that a command line and a configuration declare together.

    Args:
        arguments: the task's overrides as typed, fixed and sweeping; they win over `params` and `when`.
        params: key -> text in Hydra's grammar, or a plain value, which is then fixed.
        when: "key=value" -> like `params`, and `when` again inside.
        compose: from overrides to a trial's configuration, Hydra's part included; raises ComposeError.
        n_trials: a budget makes a search of choices, too.
        zips: keys whose values go side by side, the first with the first and so on, and not each with each.
        seed_key: must not be searched.
        is_grid: whether every combination is run even so: then a range has the values that it has in Hydra's grids.

    Raises:
        UserError: a line for each problem.
    """
    problems: list[str] = []
    typed = [parse(text, config_loader) for text in arguments]
    fixed = [o.input_line or "" for o in typed if not o.is_sweep_override()]
    typed_keys = {o.key_or_group for o in typed}
    for key in typed_keys:
        if len(same := [o.input_line or "" for o in typed if o.key_or_group == key]) > 1:
            problems.append(f"{key} is typed twice: {' '.join(same)}; leave one")
    declarations = [Declaration(o.key_or_group, o, ()) for o in typed if o.is_sweep_override()]
    settled = {o.key_or_group: element_text(o, compat.value_of(o)) for o in typed if not o.is_sweep_override()}
    written = [
        declaration
        for declaration in _declared(params, when, (), problems, config_loader)
        if all(settled.get(c.key, c.tokens[0]) in c.tokens for c in declaration.conditions)  # the others can't be taken
    ]
    for declaration in written:
        if declaration.key in typed_keys:
            continue
        if not declaration.override.is_sweep_override() and not declaration.conditions:
            fixed.append(declaration.override.input_line or "")
        else:
            declarations.append(declaration)
    for together in zips:
        declarations = _zipped(declarations, together, problems, config_loader)
    is_search = n_trials is not None or any(is_interval(d.override) for d in declarations)
    keys = [declaration.key for declaration in declarations]
    parameters = []
    for declaration in declarations:
        override, key = declaration.override, declaration.key
        if key == seed_key and is_search:
            problems.append(f"{key} can't be searched; type repeats=3 to run each configuration with three seeds")
            continue
        try:
            distribution, tokens = distribution_of(override, is_search and not is_grid)
        except ValueError as error:
            problems.append(f"{override.input_line}: {error}")
            continue
        name = key if keys.count(key) == 1 else f"{key} @ {' and '.join(map(str, declaration.conditions)) or 'always'}"
        prefix = str(override.input_line).partition(key)[0]
        parameters.append(Parameter(key, name, distribution, prefix, declaration.conditions, tokens))
    if not problems:
        groups = {key for key in typed_keys if config_loader and group_options(config_loader, key)}
        replaced = groups | (typed_keys & {declaration.key for declaration in written})
        parameters = _resolve(parameters, fixed, replaced, compose, problems, config_loader)
        parameters = _in_order(parameters, problems)
        _refuse_overlaps(parameters, problems)
    space = Space(fixed, parameters, is_search)
    if not problems:
        problems += space.problems(compose)
    if problems:
        raise UserError(problems)
    return space


def _declared(
    params: Any, when: Any, conditions: tuple[Condition, ...], problems: list[str], config_loader: Any
) -> Iterator[Declaration]:
    """Yields what `params` and, below it, `when` declare."""
    if not isinstance(params, Mapping) or not isinstance(when, Mapping):
        problems.append(f"params and when must be mappings of keys, got {params if when == {} else when!r}"[:200])
        return
    for key, value in params.items():
        if isinstance(value, Mapping):
            problems.append(f"{key}: write a value or a text such as interval(0,1), got {dict(value)}")
            continue
        try:
            yield Declaration(str(key).lstrip("+"), parse(f"{key}={text_of(value)}", config_loader), conditions)
        except UserError as error:
            problems.append(str(error))
    for text, below in when.items():
        try:
            override = parse(str(text), config_loader)
            tokens = tuple(element_text(override, value) for value in elements(override))
        except (UserError, ValueError) as error:
            problems.append(f"when {text}: {error}")
            continue
        if not isinstance(below, Mapping):
            problems.append(f"when {text}: must hold keys, got {below!r}")
            continue
        inner = {key: value for key, value in below.items() if key != "when"}
        condition = Condition(override.key_or_group, tokens)
        yield from _declared(inner, below.get("when", {}), (*conditions, condition), problems, config_loader)


def _zipped(
    declarations: list[Declaration], keys: Sequence[str], problems: list[str], config_loader: Any
) -> list[Declaration]:
    """Returns declarations by which some keys take their values side by side.

    The first one whose values all differ stays as it is; each other one has, where that one has one of its values, the
    value beside it. So grids, searches and resumed sweeps need to know nothing of it.
    """
    named = {declaration.key: declaration for declaration in declarations if not declaration.conditions}
    others = [declaration for declaration in declarations if declaration.key not in keys]
    columns: dict[str, list[str]] = {}
    problem = "name two keys" if len(keys) < 2 else ""
    for key in keys:
        if key not in named:
            problem = problem or f"{key} has no values of its own; give it some, as in {key}=A,B"
            continue
        override = named[key].override
        try:
            columns[key] = [element_text(override, value) for value in elements(override, is_ordered=True)]
        except ValueError:
            problem = problem or f"{key} is an interval; name its values"
    sizes = {key: len(column) for key, column in columns.items()}
    if not problem and len(set(sizes.values())) > 1:
        told = " and ".join(f"{key} has {size}" for key, size in sizes.items())
        problem = f"{told} values; they must be as many"
    leader = next((key for key, column in columns.items() if len(set(column)) == len(column)), "")
    if problem or not leader:
        problems.append(f"zip=[{','.join(keys)}]: {problem or 'one key must have values that all differ'}")
        return others
    found = [*others, named[leader]]
    for key, column in columns.items():
        beside: dict[str, list[str]] = {}
        for text, of_leader in zip(column, columns[leader], strict=True):
            beside.setdefault(text, []).append(of_leader)
        sign = str(named[key].override.input_line).partition(key)[0]
        for text, wanted in beside.items() if key != leader else ():
            only = parse(f"{sign}{key}=choice({text})", config_loader)
            found.append(Declaration(key, only, (Condition(leader, tuple(wanted)),)))
    return found


def _resolve(
    parameters: list[Parameter],
    fixed: list[str],
    replaced: set[str],
    compose: Compose,
    problems: list[str],
    config_loader: Any,
) -> list[Parameter]:
    """Returns the parameters whose conditions can hold, without the conditions that always do.

    A branch that follows a value which the command line has left out is dropped; one that nothing could ever take is a
    fault. `replaced` are the groups, and the keys of the file, that the command line has typed anew.
    """
    searched: dict[str, list[Parameter]] = {}
    for parameter in parameters:
        searched.setdefault(parameter.key, []).append(parameter)
    if not any(parameter.conditions for parameter in parameters):
        return parameters
    first = [p.override(p.extremes()[0]) for p in parameters if not p.conditions]
    try:
        full = compose([*fixed, *first])
    except ComposeError as error:
        problems.append(str(error))
        return []
    kept = []
    for parameter in parameters:
        conditions = []
        is_possible = True
        for condition in parameter.conditions:
            if condition.key in searched:
                known = [text for text in condition.tokens if any(_can_be(p, text) for p in searched[condition.key])]
                options = group_options(config_loader, condition.key) if config_loader else []
                for text in condition.tokens:
                    if text not in known and condition.key in replaced and (text in options or not options):
                        is_possible = is_possible and bool(known)
                    elif text not in known:
                        kinds = " or ".join(p.kind() for p in searched[condition.key])
                        problems.append(f"when {condition}: {condition.key} is never {text}; it is {kinds}")
                if any(p.values() is None for p in searched[condition.key]):
                    kinds = " or ".join(p.kind() for p in searched[condition.key])
                    problems.append(
                        f"when {condition}: no single value of {kinds} is ever drawn; give it steps, or choices"
                    )
                conditions.append(Condition(condition.key, tuple(_own_text(searched[condition.key], t) for t in known)))
                continue
            options = group_options(config_loader, condition.key) if config_loader else []
            value = configured(full, condition.key, absent := object())
            if value is absent:
                keys = [*flat_without_hydra(full), *searched]
                problems.append(f"when {condition}: there is no key {condition.key}{nearest(condition.key, keys)}")
            for text in condition.tokens:
                if options and text not in options:
                    problems.append(f"when {condition}: there is no {condition.key}={text}{nearest(text, options)}")
            is_possible = is_possible and value_text(value) in condition.tokens
        if is_possible:
            made = Parameter(
                parameter.key,
                parameter.name,
                parameter.distribution,
                parameter.prefix,
                tuple(dict.fromkeys(conditions)),
                parameter.tokens,
            )
            kept.append(made)
    return kept


def _own_text(parameters: list[Parameter], text: str) -> str:
    """Returns a value as the parameters write it, of which one can have it: 0.30 as 0.3."""
    parameter = next(p for p in parameters if _can_be(p, text))
    return parameter.text(parameter.value_of(text))


def _can_be(parameter: Parameter, text: str) -> bool:
    try:
        parameter.value_of(text)
    except ValueError:
        return False
    return True


def _in_order(parameters: list[Parameter], problems: list[str]) -> list[Parameter]:
    """Returns the parameters with parents before their children."""
    ordered: list[Parameter] = []
    left = list(parameters)
    while left:
        waiting = {parameter.key for parameter in left}
        ready = [p for p in left if not any(c.key in waiting for c in p.conditions)]
        if not ready:
            cycle = ", ".join(parameter.key for parameter in left)
            problems.append(f"when: the conditions of {cycle} depend on each other")
            return []
        ordered.append(ready[0])
        left.remove(ready[0])
    return ordered


def _refuse_overlaps(parameters: list[Parameter], problems: list[str]) -> None:
    """Notes keys that two declarations can give a value at once."""
    for i, one in enumerate(parameters):
        for other in parameters[:i]:
            if one.key != other.key:
                continue
            pairs = [(a, b) for a in one.conditions for b in other.conditions if a.key == b.key]
            if not any(not set(a.tokens) & set(b.tokens) for a, b in pairs):
                places = " and ".join(
                    "under " + ", ".join(map(str, p.conditions)) if p.conditions else "in params" for p in (other, one)
                )
                problems.append(f"{one.key} is declared twice: {places}; make them exclude each other")
