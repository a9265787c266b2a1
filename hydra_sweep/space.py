"""A search space: parameters, the conditions under which they are there, and the cells of a grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hydra_sweep import compat
from hydra_sweep.compose import ComposeError, flat_without_hydra
from hydra_sweep.errors import UserError
from hydra_sweep.grammar import canonical, element_text, nth, parse
from hydra_sweep.hints import nearest
from hydra_sweep.optuna_compat import contains

Compose = Callable[[list[str]], DictConfig]


@dataclass(frozen=True)
class Condition:
    """That a key has one of some values, each as its text in an override."""

    key: str
    tokens: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.key}={','.join(self.tokens)}"


@dataclass(frozen=True)
class Parameter:
    """One thing that varies.

    Args:
        key: as in an override, without its sign; `prefix` has that.
        name: Optuna's name for it.
        conditions: that all must hold for it to be there.
        tokens: of each choice, as an override has it; empty for numbers.
    """

    key: str
    name: str
    distribution: BaseDistribution
    prefix: str = ""
    conditions: tuple[Condition, ...] = ()
    tokens: Mapping[Any, str] = field(default_factory=dict)

    def text(self, value: Any) -> str:
        if self.tokens:
            return self.tokens[value]
        d = self.distribution
        if isinstance(d, FloatDistribution) and d.step is not None:
            value = nth(d, round((value - d.low) / d.step))  # Optuna's own may be 0.30000000000000004
        return repr(value)

    def override(self, value: Any) -> str:
        """Returns the override that gives the key this value."""
        return f"{self.prefix}{self.key}={self.text(value)}"

    def values(self) -> list[Any] | None:
        """Returns every value, in order, or None if there is no end of them."""
        d = self.distribution
        if isinstance(d, CategoricalDistribution):
            return list(d.choices)
        if isinstance(d, IntDistribution):
            return list(range(d.low, d.high + 1, d.step))
        assert isinstance(d, FloatDistribution)
        if d.step is None:
            return None
        return [nth(d, i) for i in range(round((d.high - d.low) / d.step) + 1)]

    def extremes(self) -> list[Any]:
        """Returns every choice, or both ends of numbers."""
        d = self.distribution
        if isinstance(d, CategoricalDistribution):
            is_numbers = {type(value) for value in d.choices} in ({int}, {float})
            return [min(d.choices), max(d.choices)] if is_numbers and len(d.choices) > 20 else list(d.choices)  # type: ignore[type-var]
        assert isinstance(d, (IntDistribution, FloatDistribution))
        return list(dict.fromkeys([d.low, d.high]))

    def value_of(self, text: str) -> Any:
        """Returns the value that an override's text stands for.

        Raises:
            ValueError: it is not in the distribution.
        """
        if self.tokens:
            for value, known in self.tokens.items():
                if known == text:
                    return value
            raise ValueError(f"must be one of {', '.join(self.tokens.values())}")
        d = self.distribution
        assert isinstance(d, (IntDistribution, FloatDistribution))
        number: Any = int(text) if isinstance(d, IntDistribution) else float(text)
        if not contains(d, number):
            steps = f" in steps of {d.step}" if d.step not in (None, 1) else ""
            raise ValueError(f"must be within {d.low} .. {d.high}{steps}")
        return number

    def kind(self) -> str:
        """Returns the distribution in Hydra's grammar."""
        d = self.distribution
        if isinstance(d, CategoricalDistribution):
            return f"choice({', '.join(self.tokens.values())})"
        assert isinstance(d, (IntDistribution, FloatDistribution))
        inner = f"interval({d.low}, {d.high})"
        inner = f"int({inner})" if isinstance(d, IntDistribution) else inner
        tags = ["log"] if d.log else [f"step:{d.step}"] if d.step not in (None, 1) else []
        return f"tag({', '.join([*tags, inner])})" if tags else inner


Cell = tuple[str, ...]  # what is fixed in a trial, as overrides in one spelling, sorted


class Space:
    """What varies in a sweep; `parameters` has parents before their children.

    `fixed` are the overrides of every trial, `is_search` tells a search from a grid.
    """

    def __init__(self, fixed: list[str], parameters: list[Parameter], is_search: bool) -> None:
        self.fixed, self.parameters, self.is_search = fixed, parameters, is_search
        self.parents = {condition.key for parameter in parameters for condition in parameter.conditions}

    def fixed_texts(self) -> dict[str, str]:
        """Returns the keys that every trial has the same value of, and those values as overrides have them."""
        pairs = [text.partition("=") for text in self.fixed]
        return {key.lstrip("+"): value for key, _, value in pairs if not key.startswith("~")}

    def is_active(self, parameter: Parameter, tokens: Mapping[str, str]) -> bool:
        return all(tokens.get(condition.key) in condition.tokens for condition in parameter.conditions)

    def sample(self, suggest: Callable[[str, BaseDistribution], Any]) -> list[str]:
        """Asks for each parameter that is active given those before. Returns their overrides."""
        tokens: dict[str, str] = {}
        overrides = []
        for parameter in self.parameters:
            if self.is_active(parameter, tokens):
                value = suggest(parameter.name, parameter.distribution)
                tokens[parameter.key] = parameter.text(value)
                overrides.append(parameter.override(value))
        return overrides

    def cells(self) -> Iterator[dict[str, Any]]:
        """Yields every combination, {name: value} of active parameters; the last one varies fastest."""
        return self._cells(0, {}, {})

    def _cells(self, i: int, tokens: dict[str, str], cell: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if i == len(self.parameters):
            yield dict(cell)
            return
        parameter = self.parameters[i]
        if not self.is_active(parameter, tokens):
            yield from self._cells(i + 1, tokens, cell)
            return
        for value in parameter.values() or []:
            below = tokens | {parameter.key: parameter.text(value)}
            yield from self._cells(i + 1, below, cell | {parameter.name: value})

    def cell(self, params: Mapping[str, Any]) -> Cell:
        """Returns some parameters, {name: value}, in a form that other spellings and other spaces share."""
        return tuple(
            sorted(f"{p.key}={canonical(p.text(params[p.name]))}" for p in self.parameters if p.name in params)
        )

    @property
    def num_cells(self) -> int | None:
        """How many combinations there are; None if there is no end of them."""
        if any(parameter.values() is None for parameter in self.parameters):
            return None
        return self._count(0, {})

    def _count(self, i: int, tokens: dict[str, str]) -> int:
        if i == len(self.parameters):
            return 1
        parameter = self.parameters[i]
        if not self.is_active(parameter, tokens):
            return self._count(i + 1, tokens)
        values = parameter.values() or []
        if parameter.key not in self.parents:
            return len(values) * self._count(i + 1, tokens)
        return sum(self._count(i + 1, tokens | {parameter.key: parameter.text(value)}) for value in values)

    def examples(self) -> Iterator[list[str]]:
        """Yields few override lists that together show every choice and both ends of each number."""
        left = {p.name: p.extremes() for p in self.parameters}
        is_first = True
        while is_first or any(left.values()):
            is_first = False
            target = next((p for p in self.parameters if left[p.name]), None)
            wanted = self._wanted(target) if target else {}
            tokens: dict[str, str] = {}
            overrides = []
            for p in self.parameters:
                if not self.is_active(p, tokens):
                    continue
                allowed = [v for v in p.extremes() if p.key not in wanted or p.text(v) in wanted[p.key]]
                allowed = allowed or [v for v in p.values() or [] if p.text(v) in wanted[p.key]]
                value = next((v for v in left[p.name] if v in allowed), allowed[0])
                left[p.name] = [v for v in left[p.name] if v is not value and v != value]
                tokens[p.key] = p.text(value)
                overrides.append(p.override(value))
            if target and target.key not in tokens:  # can't be reached: `build` refuses such a condition
                left[target.name] = []
            yield [*self.fixed, *overrides]

    def _wanted(self, parameter: Parameter) -> dict[str, tuple[str, ...]]:
        """Returns the tokens that parents must have, so that a parameter is there."""
        wanted: dict[str, tuple[str, ...]] = {}
        for condition in parameter.conditions:
            before = wanted.get(condition.key, condition.tokens)
            wanted[condition.key] = tuple(text for text in condition.tokens if text in before)
        return wanted

    def values(self, tokens: Sequence[str]) -> dict[str, Any]:
        """Returns a first guess, {name: value}, for some or all of the parameters.

        Raises:
            UserError: a key is not searched, or not with the others, or a value is outside its distribution.
        """
        given = {}
        for text in tokens:
            override = parse(text, None)
            if override.is_sweep_override():
                raise UserError(f"{text} names several values; type one for each guess")
            given[override.key_or_group] = element_text(override, compat.value_of(override))
        found: dict[str, Any] = {}
        active: dict[str, str] = {}
        for parameter in self.parameters:
            is_known = all(condition.key in active for condition in parameter.conditions)
            if parameter.key not in given or not (self.is_active(parameter, active) if is_known else False):
                continue
            try:
                value = parameter.value_of(given[parameter.key])
            except ValueError as error:
                raise UserError(f"{parameter.key}={given[parameter.key]}: {parameter.key} {error}") from error
            found[parameter.name] = value
            active[parameter.key] = given.pop(parameter.key)
        if given:
            key = next(iter(given))
            keys = [parameter.key for parameter in self.parameters]
            if key in keys:
                needs = " or ".join(" and ".join(map(str, p.conditions)) for p in self.parameters if p.key == key)
                raise UserError(f"{key}={given[key]} is searched only with {needs}; name that, too")
            raise UserError(f"{key} is not searched{nearest(key, keys)}; there are {', '.join(keys)}")
        return found

    def fitting(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Returns the parameters, {name: value}, of a configuration that was run elsewhere.

        Args:
            texts: of its keys, as overrides have them; other keys don't matter.

        Raises:
            ValueError: a key that is searched is missing, or its value is not in the space.
        """
        found: dict[str, Any] = {}
        active: dict[str, str] = {}
        for parameter in self.parameters:
            if not self.is_active(parameter, active):
                continue
            if parameter.key not in texts:
                raise ValueError(f"{parameter.key} is not known")
            text = texts[parameter.key]
            try:
                found[parameter.name] = parameter.value_of(text)
            except ValueError as error:
                raise ValueError(f"{parameter.key}={text}, which {error}") from error
            active[parameter.key] = parameter.text(found[parameter.name])
        return found

    def defaults(self, compose: Compose) -> list[dict[str, Any]]:
        """Returns the configuration's own values, {name: value}, as far as they are in their distributions.

        Those of the configuration as it is come first, then those that it has with each other option of a group that
        is searched: every preset is tried as it was meant.
        """
        groups = compose(self.fixed).hydra.runtime.choices
        others = [
            [parameter.override(value)]
            for parameter in self.parameters
            if parameter.key in groups and parameter.tokens and not parameter.conditions
            for value in parameter.extremes()
        ]
        found = [self._defaults(compose, chosen) for chosen in [[], *others]]
        return [guess for place, guess in enumerate(found) if guess not in found[:place]]

    def _defaults(self, compose: Compose, chosen: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        tokens: dict[str, str] = {}
        full = compose([*self.fixed, *chosen])
        for parameter in self.parameters:
            if not self.is_active(parameter, tokens):
                continue
            text = configured(full, parameter.key)
            try:
                value = parameter.value_of(str(text))
            except ValueError:
                continue
            found[parameter.name], tokens[parameter.key] = value, parameter.text(value)
        return found

    def problems(self, compose: Compose) -> list[str]:
        """Returns a line for each thing that keeps an example from being composed."""
        problems: dict[str, str] = {}  # one for each key, or for each message
        for overrides in self.examples():
            try:
                compose(overrides)
            except ComposeError as error:
                line = self._explain(error, overrides, compose)
                key = next((p.key for p in self.parameters if f"{p.key}=" in str(error)), line)
                problems.setdefault(key, line)
        return list(problems.values())

    def _explain(self, error: Exception, overrides: list[str], compose: Compose) -> str:
        """Returns an error's line; for a key that is not there, with the one that was meant."""
        for parameter in self.parameters:
            if f"'{parameter.key}'" in str(error):
                others = [text for text in overrides if not text.startswith(f"{parameter.key}=")]
                try:
                    full = compose([text for text in others if "." not in text.partition("=")[0]])
                except ComposeError:
                    break
                if configured(full, parameter.key, absent := object()) is absent and not parameter.prefix:
                    keys = [key for key in flat_without_hydra(full) if "_target_" not in key]
                    return f"there is no key {parameter.key}{nearest(parameter.key, keys)}"
        return str(error)

    def describe(self) -> list[str]:
        """Returns the space as lines, each parameter under its conditions."""
        lines: list[str] = []
        before: tuple[Condition, ...] = ()
        width = max((len(p.key) + 2 * len(p.conditions) for p in self.parameters), default=0)
        for p in self.parameters:
            if p.conditions != before and p.conditions:
                lines.append(f"{'  ' * (len(p.conditions) - 1)}when {' and '.join(map(str, p.conditions))}:")
            before = p.conditions
            indent = "  " * len(p.conditions)
            lines.append(f"{(indent + p.key).ljust(width)}  {p.kind()}")
        return lines

    def request(self) -> dict[str, Any]:
        """Returns what is searched, in one spelling, to compare a resumed sweep by."""
        return {
            p.name: p.kind() + "".join(f" if {condition}" for condition in p.conditions)
            for p in sorted(self.parameters, key=lambda p: p.name)
        }


def configured(full: DictConfig, key: str, absent: Any = None) -> Any:
    """Returns a group's chosen option, or a key's value."""
    choices = full.hydra.runtime.choices
    if key in choices:
        return choices[key]
    value = OmegaConf.select(full, key, default=absent)
    if value is None and absent is not None:
        parent = OmegaConf.select(full, key.rpartition(".")[0]) if "." in key else full
        return None if isinstance(parent, DictConfig) and key.rpartition(".")[2] in list(parent) else absent
    return value
