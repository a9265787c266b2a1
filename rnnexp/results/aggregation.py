"""What people ask of a table of runs: some of its rows, means over seeds, one column against another. No files.

frame = where(collect("outputs"), "optim == 'adam' and optim.lr > 0.001")
group(frame, ["model"])
pivot(frame, "model", "optim", "test_accuracy")
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import pandas as pd

from hydra_sweep.errors import UserError
from hydra_sweep.hints import nearest_key
from rnnexp.record.result import OWN_METRIC, Status
from rnnexp.results.columns import is_config, natural
from rnnexp.schema.identity import is_computed
from rnnexp.schema.tree import GROUPS

STATISTICS = ("mean", "std", "n", "best")
LOSS = "_loss"  # of it, and of what a run costs, less is better; of an accuracy and any other metric, more


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the runs that came to their end."""
    chosen: pd.DataFrame = frame[frame["status"] == Status.COMPLETE.value]
    return chosen


class MixedConfigurations(UserWarning):
    """A mean is over runs that differ in more than their seeds and where they ran."""


def mixed_keys(frame: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """Returns the choices and keys of the configuration that differ between runs of one group.

    Seeds and folds are left out, and so is where a run ran. A key that a choice decides goes without saying: where
    `optim` differs, `optim.lr` is named only if it differs for one optimizer, too.
    """
    by = list(by)
    keys = [name for name in frame.columns if is_config(name) and is_computed(name) and name != "data.fold"]
    choices = _differing(frame, by, [name for name in frame.columns if name in GROUPS and is_computed(name)])
    return [*choices, *_differing(frame, [*by, *choices], keys)]


def _differing(frame: pd.DataFrame, by: Sequence[str], names: Sequence[str]) -> list[str]:
    """Returns the columns that have more than one value within a group."""
    names = [name for name in names if name not in by and frame[name].nunique(dropna=False) > 1]
    if not names:
        return []
    counts = frame.groupby([frame[name] for name in by], dropna=False, sort=False)[names].nunique(dropna=False)
    return [name for name in names if counts[name].max() > 1]


def mixed_text(what: str, keys: Sequence[str]) -> str:
    """Returns the warning about runs that were put together, an arm or a group, although they differ in these keys."""
    return f"{what} mixes configurations ({', '.join(keys)}): its spread is not that of seeds alone"


def group(
    frame: pd.DataFrame, by: Sequence[str], values: Sequence[str] = ("test_accuracy",), any_status: bool = False
) -> pd.DataFrame:
    """Returns, over complete runs, a row for each combination of `by` and each value: its mean, std, n and best.

    The standard deviation is that of a sample, so that of one run is missing; best is the largest accuracy or
    metric, or the least loss or cost; n counts the runs that have the value.

    Args:
        any_status: lets runs that are not complete count as well, with the last values that they had.

    Raises:
        UserError: a column is not there, or a value is no number.

    Warns:
        MixedConfigurations: a group has runs of several configurations.
    """
    found = means(frame, by, values, any_status)
    _warn_if_mixed(frame, by, any_status)
    return found


def _warn_if_mixed(frame: pd.DataFrame, by: Sequence[str], any_status: bool) -> None:
    if keys := mixed_keys(frame if any_status else complete(frame), by):
        warnings.warn(mixed_text("a group", keys), MixedConfigurations, stacklevel=3)


def means(frame: pd.DataFrame, by: Sequence[str], values: Sequence[str], any_status: bool) -> pd.DataFrame:
    """Returns what `group` does, without its warning."""
    by, values = list(dict.fromkeys(by)), list(dict.fromkeys(values))
    if not by or not values:
        raise UserError("a group needs at least one column and one value; try model and test_accuracy")
    for name in (*by, *values):
        if name not in frame.columns:
            raise UserError(f"no column {name}{nearest_key(name, frame.columns)}")
    rows = frame if any_status else complete(frame)
    parts: list[pd.DataFrame] = [pd.DataFrame(columns=[*by, "value", *STATISTICS])]
    for name in values if len(rows) else ():
        # Without sorting: a column may hold numbers and text.
        cells = _numbers(rows, name).groupby([rows[key] for key in by], dropna=False, sort=False)
        is_gain = OWN_METRIC.fullmatch(name) or name == "train_accuracy"
        best = cells.max() if is_gain and not name.endswith(LOSS) else cells.min()
        found = pd.DataFrame(dict(zip(STATISTICS, (cells.mean(), cells.std(ddof=1), cells.count(), best), strict=True)))
        parts.append(found.reset_index(names=by).assign(value=name)[parts[0].columns])
    joined: pd.DataFrame = pd.concat(parts[1:] or parts, ignore_index=True)
    keys = [tuple(map(natural, key)) for key in zip(*(joined[name].tolist() for name in by), strict=True)]
    ordered: pd.DataFrame = joined.iloc[sorted(range(len(keys)), key=keys.__getitem__)].reset_index(drop=True)
    return ordered


def pivot(
    frame: pd.DataFrame,
    rows: Sequence[str] | str,
    columns: str,
    value: str = "test_accuracy",
    any_status: bool = False,
) -> pd.DataFrame:
    """Returns complete runs as a table of two dimensions.

    Its index are the values of `rows`, its columns pairs of a value of `columns` and a statistic: mean, std, n or best.
    A missing value of `rows` or `columns` is `-`.

    Raises:
        UserError: a column is not there, or the value is no number.

    Warns:
        MixedConfigurations: a cell has runs of several configurations.
    """
    rows = [rows] if isinstance(rows, str) else list(rows)
    if columns in rows:
        raise UserError(f"{columns} can't be both rows and columns")
    if not rows:
        raise UserError("a pivot needs a column for its rows; try model")
    long = means(frame, [*rows, columns], [value], any_status)
    _warn_if_mixed(frame, [*rows, columns], any_status)
    texts = [["-" if pd.isna(cell) else cell for cell in long[name].tolist()] for name in rows]
    down = list(zip(*texts, strict=True))
    across = ["-" if pd.isna(cell) else cell for cell in long[columns].tolist()]
    numbers = dict(zip(zip(down, across, strict=True), long[list(STATISTICS)].itertuples(index=False), strict=True))
    index = list(dict.fromkeys(down))
    names = [*sorted(set(across) - {"-"}, key=natural), *({"-"} & set(across))]
    filled = {
        (name, part): [getattr(numbers.get((key, name)), part, float("nan")) for key in index]
        for name in names
        for part in STATISTICS
    }
    wide: pd.DataFrame = pd.DataFrame(
        filled,
        index=pd.MultiIndex.from_tuples(index, names=rows)
        if len(rows) > 1
        else pd.Index([k for (k,) in index], name=rows[0]),
        columns=pd.MultiIndex.from_product([names, STATISTICS], names=[columns, None]),
    )
    return wide


def spelled_groups(grouped: pd.DataFrame) -> pd.DataFrame:
    """Returns a group as people read it: mean ± standard deviation (number of runs), and the best."""
    cells = zip(*(grouped[name].tolist() for name in (*STATISTICS, "value")), strict=True)
    texts = [(_cell(mean, std, n, value), _number(best, value)) for mean, std, n, best, value in cells]
    named = {"mean ± std (n)": [text for text, _ in texts], "best": [text for _, text in texts]}
    told: pd.DataFrame = grouped.drop(columns=list(STATISTICS)).assign(**named)
    return told


def spelled(pivoted: pd.DataFrame, value: str) -> pd.DataFrame:
    """Returns a pivot as people read it, a text in each cell: mean ± standard deviation (number of runs)."""
    shown = {}
    for name, label in _labels(pivoted).items():
        cells = zip(*(pivoted[(name, part)].tolist() for part in ("mean", "std", "n")), strict=True)
        shown[label] = [_cell(mean, std, n, value) for mean, std, n in cells]
    result: pd.DataFrame = pd.DataFrame(shown, index=pivoted.index).reset_index()
    return result


def flat(pivoted: pd.DataFrame) -> pd.DataFrame:
    """Returns a pivot with plain columns, such as `adam mean`, for files that know no other."""
    named: pd.DataFrame = pivoted.copy()
    pairs: Any = pivoted.columns
    labels = _labels(pivoted)
    named.columns = [f"{labels[name]} {part}" for name, part in pairs]
    result: pd.DataFrame = named.reset_index()
    return result


def _labels(pivoted: pd.DataFrame) -> dict[Any, str]:
    """Returns a header for each value across, none of them twice or the name of a column of rows."""
    labels: dict[Any, str] = {}
    for name in dict.fromkeys(pivoted.columns.get_level_values(0)):
        is_taken = str(name) in {*pivoted.index.names, *labels.values()}
        labels[name] = f"{pivoted.columns.names[0]}={name!r}" if is_taken else str(name)
    return labels


def _cell(mean: float, std: float, n: float, value: str) -> str:
    if pd.isna(mean):
        return "-"
    spread = "" if pd.isna(std) else f" ± {_number(std, value)}"
    return f"{_number(mean, value)}{spread} ({int(n)})"


def _number(number: float, value: str) -> str:
    if pd.isna(number):
        return "-"
    return f"{number:.4f}" if value.endswith(("_accuracy", "_loss")) else f"{number:.4g}"


def _numbers(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    try:
        return pd.to_numeric(frame[name])
    except (TypeError, ValueError):
        raise UserError(f"{name} is no number, so it has no mean; try test_accuracy") from None
