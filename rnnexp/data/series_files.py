"""How files of series are read: .ts, .tsv, .arff, .npz, .csv and .parquet.

Shapes: N series, T time steps, I features.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 200_000  # rows of a table that are read at a time
NO_VALUE = ["", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]  # in a table of text


@dataclass(frozen=True)
class Series:
    """What a file holds.

    Args:
        x: N series (T, I), as one array (N, T, I) or, of unequal lengths, a list; NaN where a value is missing.
        labels: N values; None if the file names no classes.
        test: of a file that has a test part, too.
        classes: as the file declares them.
        features: the names of the columns that they come from, of a table.
    """

    x: Sequence[NDArray[Any]] | NDArray[Any]
    labels: Sequence[Any] | NDArray[Any] | None
    test: Series | None = None
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """What the columns of a table with a row for each time step are.

    Args:
        series: tells the series apart.
        time: orders the steps of one; None: they are in order.
        label: the class, the same in all rows of a series.
        features: the values; none named: all other columns.
        needs_labels: False to read series whose classes are not known.
    """

    series: str
    time: str | None
    label: str
    features: tuple[str, ...] = ()
    needs_labels: bool = True


def read_ts(path: Path, columns: Columns) -> Series:
    """Returns the series of a .ts file, as the UCR and UEA archives have them (timeseriesclassification.com).

    A line is a series: its dimensions, each a list of values, and its class, separated by colons; `?` is missing.

    Raises:
        ValueError: it is no such file, or one with timestamps.
    """
    x, labels, about = [], [], {}
    declared: tuple[str, ...] = ()
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        is_data = False
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith(("#", "%")):
                continue
            if not is_data:
                if not line[1:] or line[0] != "@":
                    raise ValueError(f"line {number}: expected a header that begins with @")
                name, *values = line[1:].split()
                is_data = name.lower() == "data"
                about[name.lower()] = [value.lower() for value in values]
                if name.lower() == "classlabel" and about["classlabel"][:1] == ["true"]:
                    declared = tuple(values[1:])
                if about.get("timestamps", ["false"])[:1] == ["true"]:
                    raise ValueError("it has timestamps, which are not read; write equally spaced series without them")
                continue
            if line.startswith("("):
                raise ValueError("it has timestamps, which are not read; write equally spaced series without them")
            dimensions = line.split(":")
            if declared:
                labels.append(dimensions.pop().strip())
            if not dimensions:
                raise ValueError(f"line {number}: it has no values")
            try:
                features = [np.array(text.replace("?", "nan").split(","), np.float32) for text in dimensions]
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            if len({len(feature) for feature in features}) > 1:
                raise ValueError(f"line {number}: its dimensions have different lengths")
            x.append(np.stack(features, 1))
            if x[-1].shape[1] != x[0].shape[1]:
                raise ValueError(f"line {number}: it has {x[-1].shape[1]} dimensions, the first series {x[0].shape[1]}")
    if not x:
        raise ValueError("it has no series")
    if declared and (unknown := sorted(set(labels) - set(declared))):
        raise ValueError(f"class {unknown[0]} is not among those that @classLabel declares")
    return Series(x, labels if declared else None, classes=declared)


def read_tsv(path: Path, columns: Columns) -> Series:
    """Returns the series of a .tsv file, as the UCR archive of 2018 has them: in each line the class, then the values.

    What is NaN to the end of a line was put there to make all of one length, and is left out.

    Raises:
        ValueError: it is no such file.
    """
    x, labels = [], []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            label, *values = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
            try:
                series = np.array([value.strip() or "nan" for value in values], np.float32)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            there = np.flatnonzero(~np.isnan(series))
            if not len(there):
                raise ValueError(f"line {number}: it has no values")
            x.append(series[: there[-1] + 1, None])
            labels.append(label.strip())
    if not x:
        raise ValueError("it has no series")
    return Series(x, labels)


def read_arff(path: Path, columns: Columns) -> Series:
    """Returns the series of an .arff file, a value for each attribute and the class as the last one (by SciPy).

    Raises:
        ValueError: it is no such file, or one of several dimensions, which SciPy can't read.
    """
    from scipy.io import arff

    try:
        with path.open(encoding="utf-8", errors="replace") as source:
            rows, meta = arff.loadarff(source)
        names, kinds = meta.names(), meta.types()
        if "relational" in kinds:
            raise NotImplementedError
    except NotImplementedError as error:
        raise ValueError("SciPy reads neither relational attributes nor text; take the .ts file") from error
    except (arff.ArffError, StopIteration) as error:
        raise ValueError(str(error) or "it is not ARFF") from error
    except UnicodeError as error:
        raise ValueError("SciPy reads names of ASCII characters alone; take the .ts file") from error
    has_class = kinds[-1:] == ["nominal"]
    values = [name for name, kind in zip(names, kinds, strict=True) if kind == "numeric"]
    if len(values) != len(names) - has_class or not values or not len(rows):
        raise ValueError("expected numeric attributes, and the class as the last one")
    x = np.stack([rows[name] for name in values], 1).astype(np.float32)[..., None]
    labels = [label.decode() for label in rows[names[-1]]] if has_class else None
    return Series(x, labels)


def read_npz(path: Path, columns: Columns) -> Series:
    """Returns the series of an .npz file of arrays.

    They are `x` (N, T, I) or (N, T) and `y` (N,); with `lengths` (N,), of series that are padded at their ends, or that
    stand end to end in x (sum of T, I). With a test part: `x_train`, `y_train`, `x_test`, `y_test`, and `lengths_...`.

    Raises:
        ValueError: it lacks an array, or they don't fit.
    """
    if not is_zipfile(path):
        raise ValueError("it is no .npz file, as numpy.savez writes it")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name.lower(): file[name] for name in file.files}
        if len(arrays) < len(file.files):
            raise ValueError(f"several arrays have one name: {', '.join(sorted(file.files))}")

    def part(suffix: str) -> Series:
        x, y, lengths = (arrays.get(f"{name}{suffix}") for name in ("x", "y", "lengths"))
        if x is None or (y is None and columns.needs_labels):
            names = ", ".join(sorted(arrays)) or "none"
            raise ValueError(f"expected arrays x{suffix} and y{suffix}, got {names}")
        if y is not None and y.shape != (len(x),) and y.ndim != 1:
            raise ValueError(f"y{suffix} must be (N,), a label for each series, got {y.shape}")
        if lengths is None:
            if x.ndim not in (2, 3):
                raise ValueError(f"x{suffix} must be (N, T) or (N, T, I), got {x.shape}; unequal series need lengths")
            return Series(x[..., None] if x.ndim == 2 else x, y)
        if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or not len(lengths):
            raise ValueError(f"lengths{suffix} must be whole numbers, (N,), got {lengths.dtype} {lengths.shape}")
        if x.ndim == 2 and len(x) == len(lengths) == lengths.sum():
            raise ValueError(f"x{suffix} {x.shape} with lengths of 1 may mean two things; make it (N, T, I)")
        lengths = lengths.astype(np.int64)
        if x.ndim in (1, 2) and len(x) == lengths.sum() and len(x) != len(lengths):
            flat = x[:, None] if x.ndim == 1 else x
            return Series(np.split(flat, np.cumsum(lengths)[:-1]), y)
        x = x[..., None] if x.ndim == 2 else x
        if x.ndim != 3 or len(x) != len(lengths) or lengths.min() < 1 or lengths.max() > x.shape[1]:
            raise ValueError(f"lengths{suffix} don't fit x{suffix} {x.shape}")
        return Series([one[:length] for one, length in zip(x, lengths, strict=True)], y)

    suffixes = {name[1:] for name in arrays if name[0] in "xy" and name[1:] in ("", "_train", "_test")}
    if suffixes and suffixes not in ({""}, {"_train"}, {"_train", "_test"}):
        raise ValueError(f"expected x and y, or x_train, y_train, x_test and y_test, got {', '.join(sorted(arrays))}")
    if "_train" not in suffixes:
        return part("")
    train = part("_train")
    return Series(train.x, train.labels, part("_test") if "_test" in suffixes else None)


def read_csv(path: Path, columns: Columns) -> Series:
    """Returns the series of a table with a row for each time step.

    Raises:
        ValueError: a column is not there, or holds no numbers.
    """
    import pandas as pd

    total = path.stat().st_size
    with path.open("rb") as source, tqdm(total=total, desc=f"reading {path.name}", unit="B", **_BAR) as bar:
        sample = source.read(1 << 16).decode(errors="replace")
        source.seek(0)
        try:
            separator = csv.Sniffer().sniff(sample.partition("\n")[0], ",;\t|").delimiter
        except csv.Error:
            separator = ","
        names = [str(name) for name in pd.read_csv(source, sep=separator, nrows=0).columns]
        source.seek(0)
        as_written = [name for name in names if name in (columns.series, columns.label)]  # 007 is not 7, NA is a class
        options: dict[str, Any] = {
            "dtype": dict.fromkeys(as_written, str),
            "na_values": {name: NO_VALUE for name in names if name not in as_written},
            "keep_default_na": False,
        }
        chunks = []
        for chunk in pd.read_csv(source, sep=separator, chunksize=CHUNK, **options):
            chunks.append(chunk)
            bar.update(source.tell() - bar.n)
    return _from_table(pd.concat(chunks, ignore_index=True), columns)


def read_parquet(path: Path, columns: Columns) -> Series:
    """Returns the series of a table with a row for each time step, as `read_csv` does.

    Raises:
        ValueError: a column is not there, or holds no numbers; or the extra `parquet` is not installed.
    """
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise ValueError("Parquet files need an extra; type pip install 'rnnexp[parquet]'") from error
    return _from_table(table, columns)


def _from_table(table: pd.DataFrame, columns: Columns) -> Series:
    """Returns the series of a table, in the order in which they first occur."""
    import pandas as pd

    wanted = {"data.id_column": columns.series, "data.time_column": columns.time}
    wanted |= {"data.label_column": columns.label} if columns.needs_labels else {}
    for key, name in wanted.items():
        if name is not None and name not in table:
            raise ValueError(f"it has no column {name!r} ({', '.join(map(str, table.columns))}); type {key}=NAME")
    others = [str(name) for name in table.columns if name not in (columns.series, columns.time, columns.label)]
    features = list(columns.features) or others
    if missing := [name for name in features if name not in table]:
        raise ValueError(f"it has no column {missing[0]!r}; type data.feature_columns=[...]")
    if not features or not len(table):
        raise ValueError("it has no values")
    if unnamed := [name for name in features if name.startswith("Unnamed: ")]:
        raise ValueError(
            f"column {int(unnamed[0].split()[1]) + 1} has no name, as the row numbers of DataFrame.to_csv, which are "
            "no feature; write it with index=False, or type data.feature_columns=[...]"
        )
    for name in features:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise ValueError(f"column {name!r} holds no numbers; type data.feature_columns=[...] without it")
    is_empty = table[columns.series].isna() | (table[columns.series] == "")
    if is_empty.any():
        raise ValueError(f"column {columns.series!r} is empty in row {int(is_empty.argmax()) + 2}")
    numbers, names = pd.factorize(table[columns.series])
    order = np.argsort(numbers, kind="stable")
    if columns.time is not None:
        times = _times(table[columns.time], columns.time)
        order = np.lexsort((times, numbers))
        is_twice = (np.diff(numbers[order]) == 0) & (times[order][1:] == times[order][:-1])
        if is_twice.any():
            place = order[int(is_twice.argmax())]
            raise ValueError(
                f"series {names[numbers[place]]!r} has two rows of {columns.time} {table[columns.time].iloc[place]}; "
                "give each series a name of its own"
            )
    starts = np.searchsorted(numbers[order], np.arange(1, len(names)))
    values = table[features].to_numpy(np.float64, na_value=np.nan)[order]
    x = np.split(values, starts)
    if columns.label not in table:
        return Series(x, None, features=tuple(features))
    of_series = table[columns.label].groupby(numbers, sort=True)
    if (several := of_series.nunique(dropna=False) > 1).any():
        raise ValueError(f"series {names[int(np.flatnonzero(several)[0])]!r} has several labels in {columns.label!r}")
    labels = table[columns.label].to_numpy(object)[order][[0, *starts]].tolist()
    if lacking := [names[i] for i, label in enumerate(labels) if label == "" or pd.isna(label)]:
        raise ValueError(f"series {lacking[0]!r} has no label in {columns.label!r}")
    return Series(x, labels, features=tuple(features))


def _times(column: pd.Series[Any], name: str) -> NDArray[Any]:
    """Returns what orders the steps of a series. Raises: ValueError if that is neither numbers nor dates."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_datetime64_any_dtype(column):
        try:
            column = pd.to_datetime(column, format="ISO8601", utc=True)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"column {name!r} holds neither numbers nor ISO dates, such as {column.iloc[0]!r:.40}; if the rows are "
                "in order, type data.time_column=null"
            ) from error
    if column.isna().any():
        raise ValueError(f"column {name!r} is empty in row {int(column.isna().argmax()) + 2}")
    return column.to_numpy()


_BAR: dict[str, Any] = {"unit_scale": True, "delay": 1, "leave": False, "disable": None}
READERS: dict[str, Callable[[Path, Columns], Series]] = {
    ".ts": read_ts,
    ".tsv": read_tsv,
    ".arff": read_arff,
    ".npz": read_npz,
    ".csv": read_csv,
    ".parquet": read_parquet,
}
