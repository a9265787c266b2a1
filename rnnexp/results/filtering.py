"""Rows of a table of runs by an expression over its columns."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import pandas as pd

from hydra_sweep.errors import UserError
from hydra_sweep.hints import nearest_key

NAMES: dict[str, Any] = {"true": True, "false": False, "null": None, "none": None, "nan": None}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def where(frame: pd.DataFrame, expression: str) -> pd.DataFrame:
    """Returns the rows of which an expression holds; a comparison with a missing value never does.

    Args:
        expression: Python's comparisons, `and`, `or`, `not`, `in`, arithmetic and literals over columns by their names,
            as in `model in ('gru', 'lstm') and optim.lr >= 0.01 and schedule != 'constant'`; `== null` asks for missing
            values, and `'good' in tags` for a tag. Nothing else is evaluated.

    Raises:
        UserError: it can't be read, names a column that is not there, or is no condition.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
        chosen: pd.DataFrame = frame[_condition(tree, frame)]
    except UserError:
        raise
    except (SyntaxError, ValueError, MemoryError) as error:
        problem = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UserError(
            f"can't read {expression!r:.80} ({problem}); write \"model == 'lstm' and optim.lr > 0.01\""
        ) from None
    except RecursionError:
        raise UserError(f"{expression!r:.80} is nested too deeply; seed in (0, 1, 2) is shorter") from None
    except (TypeError, ZeroDivisionError, OverflowError) as error:
        raise UserError(f"can't evaluate {expression!r:.80} ({error})") from error
    return chosen


def _evaluate(node: ast.expr, frame: pd.DataFrame) -> Any:
    """Returns a column, a value, or a list of values."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float, bool, type(None))):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [_evaluate(element, frame) for element in node.elts]
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _column(node, frame)
    if isinstance(node, ast.BoolOp):
        parts = [_condition(value, frame) for value in node.values]
        result = parts[0]
        for part in parts[1:]:
            result = result & part if isinstance(node.op, ast.And) else result | part
        return result
    if isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.Not):
            return ~_condition(node.operand, frame)
        if isinstance(node.op, (ast.USub, ast.UAdd)):
            value = _evaluate(node.operand, frame)
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        left, right = _evaluate(node.left, frame), _evaluate(node.right, frame)
        if not all(isinstance(side, (int, float, pd.Series)) for side in (left, right)):
            raise UserError(f"{ast.unparse(node)} is not understood; + - * / are for numbers")  # 'a' * 10**12 is large
        return ARITHMETIC[type(node.op)](left, right)
    if isinstance(node, ast.Compare):
        values = [_evaluate(part, frame) for part in (node.left, *node.comparators)]
        result = pd.Series(True, index=frame.index)
        for left, comparison, right in zip(values, node.ops, values[1:], strict=False):
            result &= _compare(left, comparison, right, frame)
        return result
    raise UserError(f"{ast.unparse(node)} is not understood; use columns, values, comparisons, and, or, not, in")


def _condition(node: ast.expr, frame: pd.DataFrame) -> pd.Series[bool]:
    found = _evaluate(node, frame)
    if isinstance(found, pd.Series) and found.dtype == object:  # truths with gaps
        found = found.map(lambda value: value is True)
    if not isinstance(found, pd.Series) or found.dtype != bool:
        raise UserError(f"{ast.unparse(node)} is no condition; write \"model == 'lstm' and optim.lr > 0.01\"")
    checked: pd.Series[bool] = found
    return checked


def _column(node: ast.expr, frame: pd.DataFrame) -> Any:
    name = ast.unparse(node)
    if name in frame.columns:
        return frame[name]
    if name.lower() in NAMES:
        return NAMES[name.lower()]
    quotes = "; a text needs quotes, as in \"model == 'lstm'\""
    raise UserError(f"no column {name}{nearest_key(name, frame.columns)}{quotes if '.' not in name else ''}")


def _holding(rows: list[bool], frame: pd.DataFrame) -> pd.Series[bool]:
    found: pd.Series[bool] = pd.Series(rows, index=frame.index, dtype=bool)
    return found


def _compare(left: Any, comparison: ast.cmpop, right: Any, frame: pd.DataFrame) -> pd.Series[bool]:
    """Returns the comparison, element by element; between kinds that can't be compared it never holds."""
    if isinstance(comparison, (ast.In, ast.NotIn)):
        is_in = isinstance(comparison, ast.In)
        if isinstance(right, pd.Series) and right.name == "tags":
            tags = [(text or "").split(", ") for text in _values(right, frame)]
            found: list[bool] = [(a in b) is is_in for a, b in zip(_values(left, frame), tags, strict=True)]
            return _holding(found, frame)
        if not isinstance(right, list) or any(isinstance(value, pd.Series) for value in right):
            raise UserError("in wants a list of values, as in \"model in ('gru', 'lstm')\", or \"'good' in tags\"")
        found = [(value in right) is is_in for value in _values(left, frame)]
        return _holding(found, frame)
    if type(comparison) not in COMPARISONS:
        raise UserError("is and is not are not understood; write == or !=")
    compare = COMPARISONS[type(comparison)]
    is_equality = isinstance(comparison, (ast.Eq, ast.NotEq))

    def holds(a: Any, b: Any) -> bool:
        if a is None or b is None:
            return is_equality and bool(compare(a, b)) if left is None or right is None else False
        try:
            return bool(compare(a, b))
        except TypeError:
            return False

    pairs = zip(_values(left, frame), _values(right, frame), strict=True)
    result: pd.Series[bool] = pd.Series([holds(a, b) for a, b in pairs], index=frame.index, dtype=bool)
    return result


def _values(side: Any, frame: pd.DataFrame) -> list[Any]:
    """Returns a value for each row, None where it is missing."""
    if not isinstance(side, pd.Series):
        return [side] * len(frame)
    return [None if gone else value for value, gone in zip(side.tolist(), side.isna().tolist(), strict=True)]
