"""Hydra's override grammar: from tokens to values and distributions, and back.

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
from copy import copy
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hydra_sweep import compat
from hydra_sweep.errors import UserError
from hydra_sweep.hints import nearest, unreadable
from hydra_sweep.hydra_errors import one_line

MAX_VALUES = 10_000  # of one parameter: each is tried out before a sweep begins


def parse(text: str, config_loader: Any) -> Override:
    try:
        return OverridesParser.create(config_loader=config_loader).parse_override(text)
    except HydraException as error:
        raise UserError(unreadable(text, one_line(error))) from error


def text_of(value: Any) -> str:
    """Returns a value of a YAML file as an override has it; text is taken to be in Hydra's grammar already."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return value_text(value)
    return compat.value_as_text(list(value) if isinstance(value, (list, tuple)) else value)


def canonical(text: str) -> str:
    """Returns a value's text with numbers and truth values in one spelling."""
    value = parse(f"_={text}", None).value()
    return repr(value) if isinstance(value, (bool, int, float)) else text


def literal(value: Any) -> str:
    """Returns a plain value in Hydra's grammar, quoted where it would be read otherwise."""
    if isinstance(value, str):
        is_word = re.fullmatch(r"[\w/][\w./-]*", value, re.ASCII) and parse(f"_={value}", None).value() == value
        return value if is_word else QuotedString(value, Quote.single).with_quotes()
    return text_of(value)


def elements(override: Override, is_ordered: bool = False) -> list[Any]:
    """Returns the values of a choice, or the one value; with `is_ordered`, never shuffled."""
    if not override.is_sweep_override():
        return [compat.value_of(override)]
    if override.is_interval_sweep():
        raise ValueError("must name values")
    if len(list(islice(override.sweep_iterator(), MAX_VALUES + 1))) > MAX_VALUES:
        raise ValueError(
            f"more than {MAX_VALUES:,} values can't be listed; int(interval(LOW,HIGH)) searches among them"
        )
    value = compat.value_of(override)
    if is_ordered and isinstance(value, (ChoiceSweep, RangeSweep)) and value.shuffle:
        unshuffled = copy(override)
        compat.set_value(unshuffled, replace(value, shuffle=False))
        override = unshuffled
    return list(override.sweep_iterator())


def element_text(override: Override, value: Any) -> str:
    if value is None or isinstance(value, bool):
        return value_text(value)
    return compat.value_as_text(value)


def is_interval(override: Override) -> bool:
    return bool(override.is_interval_sweep())


def distribution_of(override: Override, is_search: bool) -> tuple[BaseDistribution, dict[Any, str]]:
    """Returns what an override declares, and the text of each choice.

    Raises:
        ValueError: it can't be searched; the text says why and what to write.
    """
    sweep = compat.value_of(override)
    if isinstance(sweep, IntervalSweep):
        return _number(sweep), {}
    if isinstance(sweep, RangeSweep) and is_search and not sweep.shuffle:
        return _range(sweep), {}
    found = elements(override, is_ordered=is_search)  # a search resumes only if its space stays the same
    values: list[Any] = [compat.plain_value(value) for value in found]
    tokens = [element_text(override, value) for value in found]
    if not values:
        raise ValueError("there is nothing to choose from")
    if doubled := [text for i, text in enumerate(tokens) if text in tokens[:i]]:
        raise ValueError(f"{doubled[0]} is named twice")
    is_plain = all(
        value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))
        for value in values
    )
    if not is_plain or any(a == b for i, a in enumerate(values) for b in values[:i]):  # 1 == True, to Optuna
        values = list(tokens)
    return CategoricalDistribution(values), dict(zip(values, tokens, strict=True))


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


def nth(distribution: FloatDistribution, i: int) -> float:
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


def value_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
