"""From Hydra's override grammar to a search space: what may vary, within what, and under which conditions.

choice(a,b)            one of these                      a,b on the command line
interval(0,1)          a number between, ends included
int(interval(1,8))     a whole number
tag(log, ...)          on a logarithmic scale
tag(step:8, ...)       in steps, from the lower end
range(0,1,step=0.1)    of floats, in a search: in steps, ends included; in a grid it ends before 1, as Hydra's own does
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import islice
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hydra_sweep.compat import contains
from hydra_sweep.compose import ComposeError, flat_without_hydra, one_line
from hydra_sweep.errors import UserError
from hydra_sweep.hints import nearest, spelling

Compose = Callable[[list[str]], DictConfig]


@dataclass(frozen=True)
class Condition:
    """That a key has one of some values, each as its text in an override."""

    key: str
    texts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.key}={','.join(self.texts)}"


@dataclass(frozen=True)
class Parameter:
    """One thing that varies.

    Args:
        key: as in an override, without its sign; `prefix` has that.
        name: Optuna's name for it.
        conditions: that all must hold for it to be there.
        texts: of each choice, as an override has it; empty for numbers.
    """

    key: str
    name: str
    distribution: BaseDistribution
    prefix: str = ""
    conditions: tuple[Condition, ...] = ()
    texts: Mapping[Any, str] = field(default_factory=dict)

    def text(self, value: Any) -> str:
        if self.texts:
            return self.texts[value]
        d = self.distribution
        if isinstance(d, FloatDistribution) and d.step is not None:
            value = _nth(d, round((value - d.low) / d.step))  # Optuna's own may be 0.30000000000000004
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
        return [_nth(d, i) for i in range(round((d.high - d.low) / d.step) + 1)]

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
        if self.texts:
            for value, known in self.texts.items():
                if known == text:
                    return value
            raise ValueError(f"must be one of {', '.join(self.texts.values())}")
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
            return f"choice({', '.join(self.texts.values())})"
        assert isinstance(d, (IntDistribution, FloatDistribution))
        inner = f"interval({d.low}, {d.high})"
        inner = f"int({inner})" if isinstance(d, IntDistribution) else inner
        tags = ["log"] if d.log else [f"step:{d.step}"] if d.step not in (None, 1) else []
        return f"tag({', '.join([*tags, inner])})" if tags else inner


MAX_VALUES = 10_000  # of one parameter: each is tried out before a sweep begins
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

    def is_active(self, parameter: Parameter, texts: Mapping[str, str]) -> bool:
        return all(texts.get(condition.key) in condition.texts for condition in parameter.conditions)

    def sample(self, suggest: Callable[[str, BaseDistribution], Any]) -> list[str]:
        """Asks for each parameter that is active given those before. Returns their overrides."""
        texts: dict[str, str] = {}
        overrides = []
        for parameter in self.parameters:
            if self.is_active(parameter, texts):
                value = suggest(parameter.name, parameter.distribution)
                texts[parameter.key] = parameter.text(value)
                overrides.append(parameter.override(value))
        return overrides

    def cells(self) -> Iterator[dict[str, Any]]:
        """Yields every combination, {name: value} of active parameters; the last one varies fastest."""
        return self._cells(0, {}, {})

    def _cells(self, i: int, texts: dict[str, str], cell: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if i == len(self.parameters):
            yield dict(cell)
            return
        parameter = self.parameters[i]
        if not self.is_active(parameter, texts):
            yield from self._cells(i + 1, texts, cell)
            return
        for value in parameter.values() or []:
            below = texts | {parameter.key: parameter.text(value)}
            yield from self._cells(i + 1, below, cell | {parameter.name: value})

    def cell(self, params: Mapping[str, Any]) -> Cell:
        """Returns some parameters, {name: value}, in a form that other spellings and other spaces share."""
        return tuple(
            sorted(f"{p.key}={_canonical(p.text(params[p.name]))}" for p in self.parameters if p.name in params)
        )

    @property
    def num_cells(self) -> int | None:
        """How many combinations there are; None if there is no end of them."""
        if any(parameter.values() is None for parameter in self.parameters):
            return None
        return self._count(0, {})

    def _count(self, i: int, texts: dict[str, str]) -> int:
        if i == len(self.parameters):
            return 1
        parameter = self.parameters[i]
        if not self.is_active(parameter, texts):
            return self._count(i + 1, texts)
        values = parameter.values() or []
        if parameter.key not in self.parents:
            return len(values) * self._count(i + 1, texts)
        return sum(self._count(i + 1, texts | {parameter.key: parameter.text(value)}) for value in values)

    def examples(self) -> Iterator[list[str]]:
        """Yields few override lists that together show every choice and both ends of each number."""
        left = {p.name: p.extremes() for p in self.parameters}
        is_first = True
        while is_first or any(left.values()):
            is_first = False
            target = next((p for p in self.parameters if left[p.name]), None)
            wanted = self._wanted(target) if target else {}
            texts: dict[str, str] = {}
            overrides = []
            for p in self.parameters:
                if not self.is_active(p, texts):
                    continue
                allowed = [v for v in p.extremes() if p.key not in wanted or p.text(v) in wanted[p.key]]
                allowed = allowed or [v for v in p.values() or [] if p.text(v) in wanted[p.key]]
                value = next((v for v in left[p.name] if v in allowed), allowed[0])
                left[p.name] = [v for v in left[p.name] if v is not value and v != value]
                texts[p.key] = p.text(value)
                overrides.append(p.override(value))
            if target and target.key not in texts:  # can't be reached: `build` refuses such a condition
                left[target.name] = []
            yield [*self.fixed, *overrides]

    def _wanted(self, parameter: Parameter) -> dict[str, tuple[str, ...]]:
        """Returns the texts that parents must have, so that a parameter is there."""
        wanted: dict[str, tuple[str, ...]] = {}
        for condition in parameter.conditions:
            before = wanted.get(condition.key, condition.texts)
            wanted[condition.key] = tuple(text for text in condition.texts if text in before)
        return wanted

    def values(self, texts: Sequence[str]) -> dict[str, Any]:
        """Returns a first guess, {name: value}, for some or all of the parameters.

        Raises:
            UserError: a key is not searched, or not with the others, or a value is outside its distribution.
        """
        given = {}
        for text in texts:
            override = _parse(text, None)
            if override.is_sweep_override():
                raise UserError(f"{text} names several values; type one for each guess")
            given[override.key_or_group] = override.get_value_element_as_str()
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

    def defaults(self, compose: Compose) -> dict[str, Any]:
        """Returns the configuration's own values, {name: value}, as far as they are in their distributions."""
        found: dict[str, Any] = {}
        texts: dict[str, str] = {}
        full = compose(self.fixed)
        for parameter in self.parameters:
            if not self.is_active(parameter, texts):
                continue
            text = _configured(full, parameter.key)
            try:
                value = parameter.value_of(str(text))
            except ValueError:
                continue
            found[parameter.name], texts[parameter.key] = value, parameter.text(value)
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
                if _configured(full, parameter.key, absent := object()) is absent and not parameter.prefix:
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
        seed_key: must not be searched.
        is_grid: whether every combination is run even so: then a range has the values that it has in Hydra's grids.

    Raises:
        UserError: a line for each fault.
    """
    problems: list[str] = []
    typed = [_parse(text, config_loader) for text in arguments]
    fixed = [o.input_line or "" for o in typed if not o.is_sweep_override()]
    typed_keys = {o.key_or_group for o in typed}
    for key in typed_keys:
        if len(same := [o.input_line or "" for o in typed if o.key_or_group == key]) > 1:
            problems.append(f"{key} is typed twice: {' '.join(same)}; leave one")
    declarations = [Declaration(o.key_or_group, o, ()) for o in typed if o.is_sweep_override()]
    settled = {o.key_or_group: _element_text(o, o._value) for o in typed if not o.is_sweep_override()}
    written = [
        declaration
        for declaration in _declared(params, when, (), problems, config_loader)
        if all(settled.get(c.key, c.texts[0]) in c.texts for c in declaration.conditions)  # the others can't be taken
    ]
    for declaration in written:
        if declaration.key in typed_keys:
            continue
        if not declaration.override.is_sweep_override() and not declaration.conditions:
            fixed.append(declaration.override.input_line or "")
        else:
            declarations.append(declaration)
    is_search = n_trials is not None or any(_is_number(d.override) for d in declarations)
    keys = [declaration.key for declaration in declarations]
    parameters = []
    for declaration in declarations:
        override, key = declaration.override, declaration.key
        if key == seed_key and is_search:
            problems.append(f"{key} can't be searched; type repeats=3 to run each configuration with three seeds")
            continue
        try:
            distribution, texts = _distribution(override, is_search and not is_grid)
        except ValueError as error:
            problems.append(f"{override.input_line}: {error}")
            continue
        name = key if keys.count(key) == 1 else f"{key} @ {' and '.join(map(str, declaration.conditions)) or 'always'}"
        prefix = str(override.input_line).partition(key)[0]
        parameters.append(Parameter(key, name, distribution, prefix, declaration.conditions, texts))
    if not problems:
        groups = {key for key in typed_keys if config_loader and config_loader.get_group_options(key)}
        replaced = groups | (typed_keys & {declaration.key for declaration in written})
        parameters = _resolve(parameters, fixed, replaced, compose, problems, config_loader)
        parameters = _in_order(parameters, problems)
        _refuse_overlaps(parameters, problems)
    space = Space(fixed, parameters, is_search)
    if not problems:
        problems += space.problems(compose)
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
    return space


def _parse(text: str, config_loader: Any) -> Override:
    try:
        return OverridesParser.create(config_loader=config_loader).parse_override(text)
    except HydraException as error:
        better = f"type {better}" if (better := spelling(text)) else "write key=value"
        raise UserError(f"can't read {text!r} ({one_line(error)}); {better}") from error


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
            yield Declaration(str(key).lstrip("+"), _parse(f"{key}={_text(value)}", config_loader), conditions)
        except UserError as error:
            problems.append(str(error))
    for text, below in when.items():
        try:
            override = _parse(str(text), config_loader)
            texts = tuple(_element_text(override, value) for value in _elements(override))
        except (UserError, ValueError) as error:
            problems.append(f"when {text}: {error}")
            continue
        if not isinstance(below, Mapping):
            problems.append(f"when {text}: must hold keys, got {below!r}")
            continue
        inner = {key: value for key, value in below.items() if key != "when"}
        condition = Condition(override.key_or_group, texts)
        yield from _declared(inner, below.get("when", {}), (*conditions, condition), problems, config_loader)


def _text(value: Any) -> str:
    """Returns a value of a YAML file as an override has it; text is taken to be in Hydra's grammar already."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return _value_text(value)
    return Override._get_value_element_as_str(list(value) if isinstance(value, (list, tuple)) else value)


def _canonical(text: str) -> str:
    """Returns a value's text with numbers and truth values in one spelling."""
    value = _parse(f"_={text}", None).value()
    return repr(value) if isinstance(value, (bool, int, float)) else text


def literal(value: Any) -> str:
    """Returns a plain value in Hydra's grammar, quoted where it would be read otherwise."""
    if isinstance(value, str):
        is_word = re.fullmatch(r"[\w/][\w./-]*", value, re.ASCII) and _parse(f"_={value}", None).value() == value
        return value if is_word else QuotedString(value, Quote.single).with_quotes()
    return _text(value)


def _elements(override: Override, is_ordered: bool = False) -> list[Any]:
    """Returns the values of a choice, or the one value; with `is_ordered`, never shuffled."""
    if not override.is_sweep_override():
        return [override._value]
    if override.is_interval_sweep():
        raise ValueError("must name values")
    if len(list(islice(override.sweep_iterator(), MAX_VALUES + 1))) > MAX_VALUES:
        raise ValueError(
            f"more than {MAX_VALUES:,} values can't be listed; int(interval(LOW,HIGH)) searches among them"
        )
    if is_ordered and isinstance(override._value, (ChoiceSweep, RangeSweep)) and override._value.shuffle:
        unshuffled = copy(override)
        unshuffled._value = replace(override._value, shuffle=False)
        override = unshuffled
    return list(override.sweep_iterator())


def _element_text(override: Override, value: Any) -> str:
    if value is None or isinstance(value, bool):
        return _value_text(value)
    return Override._get_value_element_as_str(value)


def _is_number(override: Override) -> bool:
    return bool(override.is_interval_sweep())


def _distribution(override: Override, is_search: bool) -> tuple[BaseDistribution, dict[Any, str]]:
    """Returns what an override declares, and the text of each choice.

    Raises:
        ValueError: it can't be searched; the text says why and what to write.
    """
    sweep = override._value
    if isinstance(sweep, IntervalSweep):
        return _number(sweep), {}
    if isinstance(sweep, RangeSweep) and is_search and not sweep.shuffle:
        return _range(sweep), {}
    elements = _elements(override, is_ordered=is_search)  # a search resumes only if its space stays the same
    values: list[Any] = [Override._convert_value(value) for value in elements]
    texts = [_element_text(override, value) for value in elements]
    if not values:
        raise ValueError("there is nothing to choose from")
    if doubled := [text for i, text in enumerate(texts) if text in texts[:i]]:
        raise ValueError(f"{doubled[0]} is named twice")
    is_plain = all(
        value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))
        for value in values
    )
    if not is_plain or any(a == b for i, a in enumerate(values) for b in values[:i]):  # 1 == True, to Optuna
        values = list(texts)
    return CategoricalDistribution(values), dict(zip(values, texts, strict=True))


def _range(sweep: RangeSweep) -> BaseDistribution:
    """Returns what a range means in a search.

    To Hydra a range ends before its stop, to the official sweeper at it. Of floats the latter is taken, as of any other
    stepped interval. Of whole numbers, a stop that a step would hit is refused: both readings are common.
    """
    start, stop, step = (Decimal(str(value)) for value in (sweep.start, sweep.stop, sweep.step))
    if not all(value.is_finite() for value in (start, stop, step)):
        raise ValueError(f"ends and step must be finite, got {start}, {stop} and {step}")
    if not step or (stop - start) / step <= 0:
        raise ValueError(f"the range is empty: {sweep.start} to {sweep.stop} in steps of {sweep.step}")
    last = start + (stop - start) // step * step
    if all(isinstance(value, int) for value in (sweep.start, sweep.stop, sweep.step)):
        if last == stop:
            to_hydra, to_optuna = (_steps_text(int(start), int(end), int(step)) for end in (stop - step, stop))
            raise ValueError(
                f"range in a search is read in two ways, with and without {stop}; write {to_hydra} or {to_optuna}"
            )
        return IntDistribution(int(min(start, last)), int(max(start, last)), step=abs(int(step)))
    return FloatDistribution(float(min(start, last)), float(max(start, last)), step=abs(float(step)))


def _steps_text(start: int, end: int, step: int) -> str:
    """Returns whole numbers in steps, ends included, as a search takes them."""
    low, high = sorted((start, end))
    if low == high:
        return f"choice({low})"
    text = f"int(interval({low},{high}))"
    return text if abs(step) == 1 else f"tag(step:{abs(step)},{text})"


def _nth(distribution: FloatDistribution, i: int) -> float:
    """Returns a stepped number's i-th value as people write it: 3 steps of 0.1 are 0.3."""
    return float(Decimal(str(distribution.low)) + i * Decimal(str(distribution.step)))


def _number(sweep: IntervalSweep) -> BaseDistribution:
    low, high = sweep.start, sweep.end
    assert low is not None
    assert high is not None
    steps = [tag.partition(":")[2] for tag in sweep.tags if tag.startswith("step:")]
    unknown = [tag for tag in sweep.tags if tag != "log" and not tag.startswith("step:")]
    is_log = "log" in sweep.tags
    if unknown:
        raise ValueError(
            f"there is no tag {unknown[0]}{nearest(unknown[0], ['log', 'step'])}; there are log and step:N"
        )
    if not math.isfinite(low) or not math.isfinite(high):
        raise ValueError(f"ends must be finite, got {low} and {high}")
    if low >= high:
        raise ValueError(f"the interval is empty: its lower end {low} must be below its upper end {high}")
    if is_log and low <= 0:
        raise ValueError(f"a logarithmic interval must begin above 0, got {low}")
    if is_log and steps:
        raise ValueError("log and step don't go together; leave one")
    step: float | None = None
    if steps:
        try:
            step = float(steps[0])
        except ValueError:
            raise ValueError(f"step must be a number, got {steps[0]}") from None
        if not 0 < step <= high - low:
            raise ValueError(f"step must be > 0 and <= {high - low}, got {steps[0]}")
    if isinstance(low, int) and isinstance(high, int):
        if step is not None and not step.is_integer():
            raise ValueError(f"step must be a whole number here, got {steps[0]}")
        whole = int(step or 1)
        return IntDistribution(low, low + (high - low) // whole * whole, log=is_log, step=whole)
    if step is not None:
        begin, width = Decimal(str(low)), Decimal(str(step))  # 3 * 0.3 must be 0.9
        high = float(begin + (Decimal(str(high)) - begin) // width * width)
    return FloatDistribution(low, high, log=is_log, step=step)


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
                known = [text for text in condition.texts if any(_can_be(p, text) for p in searched[condition.key])]
                options = config_loader.get_group_options(condition.key) if config_loader else []
                for text in condition.texts:
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
            options = config_loader.get_group_options(condition.key) if config_loader else []
            value = _configured(full, condition.key, absent := object())
            if value is absent:
                keys = [*flat_without_hydra(full), *searched]
                problems.append(f"when {condition}: there is no key {condition.key}{nearest(condition.key, keys)}")
            for text in condition.texts:
                if options and text not in options:
                    problems.append(f"when {condition}: there is no {condition.key}={text}{nearest(text, options)}")
            is_possible = is_possible and _value_text(value) in condition.texts
        if is_possible:
            made = Parameter(
                parameter.key,
                parameter.name,
                parameter.distribution,
                parameter.prefix,
                tuple(dict.fromkeys(conditions)),
                parameter.texts,
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
            if not any(not set(a.texts) & set(b.texts) for a, b in pairs):
                places = " and ".join(
                    "under " + ", ".join(map(str, p.conditions)) if p.conditions else "in params" for p in (other, one)
                )
                problems.append(f"{one.key} is declared twice: {places}; make them exclude each other")


def _configured(full: DictConfig, key: str, absent: Any = None) -> Any:
    """Returns a group's chosen option, or a key's value."""
    choices = full.hydra.runtime.choices
    if key in choices:
        return choices[key]
    value = OmegaConf.select(full, key, default=absent)
    if value is None and absent is not None:
        parent = OmegaConf.select(full, key.rpartition(".")[0]) if "." in key else full
        return None if isinstance(parent, DictConfig) and key.rpartition(".")[2] in list(parent) else absent
    return value


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
