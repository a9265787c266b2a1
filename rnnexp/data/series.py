"""Files of series as a dataset: which of them train, which test. How each kind is read: `series_files.py`."""

from __future__ import annotations

import dataclasses
import math
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hydra_sweep.errors import UserError
from hydra_sweep.hints import nearest_path
from rnnexp.data.dataset import Dataset
from rnnexp.data.image_folder import loose_images
from rnnexp.data.series_files import READERS, Columns, Series

TRAIN = re.compile(r"(^|[_\-. ])train(ing)?(?=[_\-. ]|$)", re.IGNORECASE)
TEST = re.compile(TRAIN.pattern.replace("train", "test"), re.IGNORECASE)
WHOLE = re.compile(r"-?(0|[1-9]\d*)\.0+")  # a whole number, as some formats write it
MISSING = ("", "?", "nan")  # as a label


def load(
    root: str,
    test: str | None = None,
    missing: str = "refuse",
    id_column: str = "series",
    time_column: str | None = "time",
    label_column: str = "label",
    feature_columns: Sequence[str] | None = None,
    with_test: bool = True,
) -> Dataset:
    """Returns the series of a file, or of a folder that holds those of one dataset.

    Args:
        root: the file, or the folder.
        test: the file of the test part. None: a file beside it whose name has TEST for TRAIN, if there is one.
        missing: `refuse` values that are missing, or `interpolate` them, linearly between their neighbors.
        id_column, time_column, label_column, feature_columns: of a table, as `Columns` has them.

    Raises:
        UserError: a file is not there, can't be read, or holds no series with labels.
    """
    columns = Columns(id_column, time_column, label_column, tuple(feature_columns or ()))
    train_file, test_file = _files(Path(root).expanduser(), test, root)
    parts = [_read(train_file, columns, missing)]
    if test_file is None and parts[0].test is not None:
        parts.append(_sound(parts[0].test, train_file, missing))
    elif test_file is not None and parts[0].test is not None:
        raise UserError(f"{train_file} has a test part of its own, and {test_file} is another; type data.test=null")
    elif test_file is not None and with_test:
        named = dataclasses.replace(columns, features=parts[0].features)  # whatever their order is there
        parts.append(_read(test_file, named, missing))
    name = TRAIN.sub("", train_file.stem).strip("_-. ") or train_file.parent.name
    labels = [_labels(part, file) for part, file in zip(parts, (train_file, test_file or train_file), strict=False)]
    classes = list(map(class_name, parts[0].classes)) or sorted(set(labels[0]), key=_numbers_first)
    arrays: list[Any] = [argument for part, own in zip(parts, labels, strict=True) for argument in (part.x, own)]
    has_test = test_file is not None or len(parts) > 1
    try:
        return Dataset.of_series(*arrays, classes=classes, name=name, has_test=has_test, features=parts[0].features)
    except ValueError as error:
        raise UserError(f"data.root={root}: {error}") from error


def read_unlabeled(path: str, cfg: Any, features: Sequence[str] = ()) -> list[NDArray[Any]]:
    """Returns the series (T, I) of a file, whether it names their classes or not.

    Args:
        cfg: `data` of the run that is to read them.
        features: the names of its features, if they have any.

    Raises:
        UserError: it can't be read.
    """
    columns = Columns(
        cfg.get("id_column", "series"),
        cfg.get("time_column", "time"),
        cfg.get("label_column", "label"),
        tuple(features),
        needs_labels=False,
    )
    return list(_read(Path(path), columns, cfg.get("missing", "refuse")).x)


def _labels(part: Series, file: Path) -> list[str]:
    """Returns the class of each series. Raises: UserError if one has none."""
    if part.labels is None:
        raise UserError(f"{file} names no classes; a dataset needs a label for each series")
    labels = list(map(class_name, part.labels))
    if lacking := [number for number, label in enumerate(labels, 1) if label.lower() in MISSING]:
        raise UserError(
            f"{file}: {len(lacking)} of {len(labels)} series have no label, the first is number {lacking[0]}"
        )
    return labels


def _files(root: Path, test: str | None, typed: str) -> tuple[Path, Path | None]:
    """Returns the training file and, if there is one, the test file.

    Raises:
        UserError: they are not there, or it is not plain which they are.
    """
    if root.is_dir():
        root = _training_file(root, typed)
    if not root.is_file():
        hint = nearest_path(typed)
        raise UserError(
            f"data.root={typed} is not there{hint}; type a file of series ({', '.join(READERS)}), or its folder"
        )
    if test is not None:
        if not (given := Path(test).expanduser()).is_file():
            raise UserError(f"data.test={test} is not there")
        if given.samefile(root):
            raise UserError(f"data.test={test} is the training file itself; name another, or leave it out")
        return root, given
    return root, _beside(root)


def _training_file(folder: Path, typed: str) -> Path:
    """Returns the training file of a folder, as the archives have them: NAME/NAME_TRAIN.ts, perhaps in several formats.

    Raises:
        UserError: there is none, or there are several datasets and none of the folder's name.
    """
    known = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in READERS]
    training = [path for path in known if TRAIN.search(path.stem)]
    training = training or [path for path in known if not TEST.search(path.stem)]
    if not training and known:
        raise UserError(
            f"data.root={typed} has test files alone ({known[0].name}); type the training file, data.root=FILE"
        )
    if not training and (problem := loose_images(folder, typed)):
        raise UserError(problem)
    if not training:
        raise UserError(f"data.root={typed} has no file of series ({', '.join(READERS)})")
    if len({path.stem for path in training}) > 1:
        named = [path for path in training if TRAIN.sub("", path.stem).lower() == folder.resolve().name.lower()]
        if not named:
            names = ", ".join(sorted({path.name for path in training})[:3])
            raise UserError(f"data.root={typed} holds several datasets ({names}, ...); type the file, data.root=FILE")
        training = named
    formats = list(READERS)
    return min(training, key=lambda path: (_beside(path) is None, formats.index(path.suffix.lower())))


def _beside(file: Path) -> Path | None:
    """Returns the test file that belongs to a training file, if it is beside it: in the same format, or in another."""
    others = [path for path in sorted(file.parent.iterdir()) if path.suffix.lower() in READERS]
    found = [path for path in others if path != file and _is_test_of(path.stem, file.stem)]
    return min(found, key=lambda path: path.suffix != file.suffix) if found else None


def class_name(label: Any) -> str:
    """Returns a label as text, the same one whatever the format: 1, 1.0 and "1.0" are 1."""
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    text = str(label)
    return text.partition(".")[0] if WHOLE.fullmatch(text) else text


def _numbers_first(name: str) -> tuple[float, str]:
    try:
        number = float(name)
    except ValueError:
        return math.inf, name
    return (number if math.isfinite(number) else math.inf), name


def _is_test_of(name: str, train_name: str) -> bool:
    """Whether a file's name is that of a training file with TEST in TRAIN's place."""
    as_test = TRAIN.sub(lambda match: f"{match[1]}test{match[2] or ''}", train_name)
    return as_test != train_name and name.lower() == as_test.lower()


def _read(path: Path, columns: Columns, missing: str) -> Series:
    """Raises: UserError if the file can't be read."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: series are read from {', '.join(READERS)}")
    try:
        found = reader(path, columns)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())[:200]}") from error
    return _sound(found, path, missing)


def _sound(series: Series, path: Path, missing: str) -> Series:
    """Returns series without missing values. Raises: UserError if there are some, and are to be refused."""
    kinds = {np.asarray(one).dtype.kind for one in series.x}
    if kinds - set("fiub"):
        raise UserError(f"{path}: the values are no numbers")
    lacking = [number for number, one in enumerate(series.x) if np.isnan(one).any()]
    if lacking and missing == "refuse":
        raise UserError(
            f"{path}: values are missing in {len(lacking)} of {len(series.x)} series, the first in number "
            f"{lacking[0] + 1}; type data.missing=interpolate"
        )
    if not lacking:
        return series
    x = list(series.x)
    for number in lacking:
        x[number] = interpolated(x[number])
        if np.isnan(x[number]).any():
            raise UserError(f"{path}: a feature of series {number + 1} has no value at all; leave the series out")
    return dataclasses.replace(series, x=x)


def interpolated(x_TI: NDArray[Any]) -> NDArray[Any]:
    """Returns a series whose missing values lie between their neighbors, or at an end are the nearest one's."""
    x_TI, step_T = x_TI.astype(np.float32), np.arange(len(x_TI))
    for feature_T in x_TI.T:
        is_missing_T = np.isnan(feature_T)
        if is_missing_T.any() and not is_missing_T.all():
            feature_T[is_missing_T] = np.interp(step_T[is_missing_T], step_T[~is_missing_T], feature_T[~is_missing_T])
    return x_TI
