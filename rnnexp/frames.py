"""What people ask of a table of runs: some of its rows, means over seeds, one column against another. No files.

frame = where(collect("outputs"), "optim == 'adam' and optim.lr > 0.001")
group(frame, ["model"])
pivot(frame, "model", "optim", "test_accuracy")
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from rnnexp.checks import nearest
from rnnexp.schema import Status, UserError

STATISTICS = ("mean", "std", "n", "best")
HIGHER_IS_BETTER = "_accuracy"  # of everything else, a loss or a cost, less is better
NAMES: dict[str, Any] = {"true": True, "false": False, "null": None, "none": None}
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
            values. Nothing else is evaluated.

    Raises:
        UserError: it can't be read, names a column that is not there, or is no condition.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        problem = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UserError(
            f"can't read {expression!r} ({problem}); write \"model == 'lstm' and optim.lr > 0.01\""
        ) from None
    try:
        found = _evaluate(tree, frame)
    except (TypeError, ZeroDivisionError, OverflowError) as error:
        raise UserError(f"can't evaluate {expression!r} ({error})") from error
    if not isinstance(found, pd.Series) or found.dtype != bool:
        raise UserError(f"{expression!r} is no condition; write \"model == 'lstm' and optim.lr > 0.01\"")
    chosen: pd.DataFrame = frame[found]
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
        value = _evaluate(node.operand, frame)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        return ARITHMETIC[type(node.op)](_evaluate(node.left, frame), _evaluate(node.right, frame))
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
        raise UserError(f"{ast.unparse(node)} is no condition; compare it with something")
    checked: pd.Series[bool] = found
    return checked


def _column(node: ast.expr, frame: pd.DataFrame) -> Any:
    name = ast.unparse(node)
    if name in frame.columns:
        return frame[name]
    if name.lower() in NAMES:
        return NAMES[name.lower()]
    raise UserError(f"no column {name}{nearest(name, frame.columns)}; a text needs quotes, as in \"model == 'lstm'\"")


def _compare(left: Any, comparison: ast.cmpop, right: Any, frame: pd.DataFrame) -> pd.Series[bool]:
    """Returns the comparison, element by element; between kinds that can't be compared it never holds."""
    if isinstance(comparison, (ast.In, ast.NotIn)):
        if not isinstance(right, list) or any(isinstance(value, pd.Series) for value in right):
            raise UserError("in wants a list of values, as in \"model in ('gru', 'lstm')\"")
        found = pd.Series([value in right for value in _values(left, frame)], index=frame.index)
        return ~found if isinstance(comparison, ast.NotIn) else found
    if type(comparison) not in COMPARISONS:
        raise UserError("is and is not are not understood; write == or !=")
    compare = COMPARISONS[type(comparison)]
    is_equality = isinstance(comparison, (ast.Eq, ast.NotEq))

    def holds(a: Any, b: Any) -> bool:
        if a is None or b is None:
            return is_equality and bool(compare(a, b)) if _is_null(left) or _is_null(right) else False
        try:
            return bool(compare(a, b))
        except TypeError:
            return False

    pairs = zip(_values(left, frame), _values(right, frame), strict=True)
    result: pd.Series[bool] = pd.Series([holds(a, b) for a, b in pairs], index=frame.index, dtype=bool)
    return result


def _is_null(side: Any) -> bool:
    return side is None


def _values(side: Any, frame: pd.DataFrame) -> list[Any]:
    """Returns a value for each row, None where it is missing."""
    if not isinstance(side, pd.Series):
        return [side] * len(frame)
    return [None if gone else value for value, gone in zip(side.tolist(), side.isna().tolist(), strict=True)]


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the runs that came to their end."""
    chosen: pd.DataFrame = frame[frame["status"] == Status.COMPLETE.value]
    return chosen


def group(frame: pd.DataFrame, by: Sequence[str], values: Sequence[str] = ("test_accuracy",)) -> pd.DataFrame:
    """Returns, over complete runs, a row for each combination of `by` and each value: its mean, std, n and best.

    The standard deviation is that of a sample, so that of one run is missing; best is the largest accuracy, or the
    least of anything else; n counts the runs that have the value.

    Raises:
        UserError: a column is not there, or a value is no number.
    """
    by, values = list(dict.fromkeys(by)), list(dict.fromkeys(values))
    for name in (*by, *values):
        if name not in frame.columns:
            raise UserError(f"no column {name}{nearest(name, frame.columns) or '; --csv FILE writes them all'}")
    rows = complete(frame)
    parts: list[pd.DataFrame] = [pd.DataFrame(columns=[*by, "value", *STATISTICS])]
    for name in values if len(rows) else ():
        cells = _numbers(rows, name).groupby([rows[key] for key in by], dropna=False)
        best = cells.max() if name.endswith(HIGHER_IS_BETTER) else cells.min()
        found = pd.DataFrame(dict(zip(STATISTICS, (cells.mean(), cells.std(ddof=1), cells.count(), best), strict=True)))
        parts.append(found.reset_index(names=by).assign(value=name)[parts[0].columns])
    joined: pd.DataFrame = pd.concat(parts[1:] or parts).sort_values(by, kind="stable", ignore_index=True)
    return joined


def pivot(frame: pd.DataFrame, rows: Sequence[str] | str, columns: str, value: str = "test_accuracy") -> pd.DataFrame:
    """Returns complete runs as a table of two dimensions.

    Its index are the values of `rows`, its columns pairs of a value of `columns` and a statistic: mean, std, n or best.

    Raises:
        UserError: a column is not there, or the value is no number.
    """
    rows = [rows] if isinstance(rows, str) else list(rows)
    if columns in rows:
        raise UserError(f"{columns} can't be both rows and columns")
    long = group(frame, [*rows, columns], [value])
    for name in (*rows, columns):
        long[name] = long[name].astype(object).where(long[name].notna(), "-")
    wide: Any = long.set_index([*rows, columns])[list(STATISTICS)].unstack(columns)
    ordered: pd.DataFrame = wide.swaplevel(axis=1).sort_index(axis=1, level=0, sort_remaining=False)
    return ordered


def spelled(pivoted: pd.DataFrame, value: str) -> pd.DataFrame:
    """Returns a pivot as people read it, a text in each cell: mean ± standard deviation (number of runs)."""
    shown = {}
    for name in dict.fromkeys(pivoted.columns.get_level_values(0)):
        cells = zip(*(pivoted[(name, part)].tolist() for part in ("mean", "std", "n")), strict=True)
        shown[str(name)] = [_cell(mean, std, n, value) for mean, std, n in cells]
    result: pd.DataFrame = pd.DataFrame(shown, index=pivoted.index).reset_index()
    return result


def _cell(mean: float, std: float, n: float, value: str) -> str:
    if pd.isna(mean):
        return "-"
    digits = "{:.4f}" if value.endswith(("_accuracy", "_loss")) else "{:.4g}"
    spread = "" if pd.isna(std) else f" ± {digits.format(std)}"
    return f"{digits.format(mean)}{spread} ({int(n)})"


def flat(pivoted: pd.DataFrame) -> pd.DataFrame:
    """Returns a pivot with plain columns, such as `adam mean`, for files that know no other."""
    named: pd.DataFrame = pivoted.copy()
    pairs: Any = pivoted.columns
    named.columns = [f"{name} {part}" for name, part in pairs]
    result: pd.DataFrame = named.reset_index()
    return result


def _numbers(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    try:
        return pd.to_numeric(frame[name])
    except (TypeError, ValueError):
        raise UserError(f"{name} is no number, so it has no mean; try test_accuracy") from None
