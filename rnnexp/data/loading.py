"""From `data` of a configuration to a dataset, and what is wrong with it. No torch.

`data._target_` is a callable that gets the keys of `data` which are its own. The keys that say how any dataset is split
and read are rnnexp's: those of `ImagesSchema` and `SeriesSchema`.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_method, instantiate
from omegaconf import OmegaConf

from hydra_sweep.errors import UserError
from rnnexp.data.dataset import IMAGES, SERIES, Dataset
from rnnexp.schema.config import data_arguments, plain_config

PACKAGE = str(Path(__file__).parent.parent)

_kept: dict[str, Dataset] = {}  # at most one


def load(cfg: Any, with_test: bool) -> Dataset:
    """Returns the dataset that `data` names.

    Args:
        cfg: `data`, composed or recorded.
        with_test: False for a trial of a search: the test part is not kept, and not read by a callable that takes
            `with_test`.

    Raises:
        UserError: it can't be had, or is no dataset.
    """
    data = plain_config(OmegaConf.create({"data": cfg}))["data"]
    target = data["_target_"]
    more = {"with_test": with_test} if "with_test" in inspect.signature(get_method(target)).parameters else {}
    try:
        found = instantiate(data_arguments(data) | more, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(f"data: {target}: {_line(cause)}{_place(cause)}") from error
    if not isinstance(found, Dataset):
        raise UserError(f"data: {target} returned a {type(found).__name__}; return an rnnexp.data.dataset.Dataset")
    return found if with_test else dataclasses.replace(found, test=None)


def take(cfg: Any, with_test: bool) -> Dataset:
    """Returns the dataset that has been kept, and keeps it no longer; or loads it."""
    return _kept.pop(_key(cfg, with_test), None) or load(cfg, with_test)


def keep(cfg: Any, with_test: bool, dataset: Dataset) -> None:
    """Keeps a dataset, and no other, for the run that follows in this process."""
    forget()
    _kept[_key(cfg, with_test)] = dataset


def forget() -> None:
    """Keeps no dataset: no run follows in this process."""
    _kept.clear()


def problems(cfg: Any, with_test: bool) -> list[str]:
    """Returns a line for everything that keeps a run from training on its dataset, which is loaded, and then kept."""
    try:
        dataset = take(cfg, with_test)
    except UserError as error:
        return error.problems
    if found := [*(f"data: {line}" for line in dataset.problems()), *_kind_problems(cfg, dataset)]:
        return found
    keep(cfg, with_test, dataset)
    return list(_size_problems(cfg, dataset))


def _key(cfg: Any, with_test: bool) -> str:
    return json.dumps(
        [data_arguments(plain_config(OmegaConf.create({"data": cfg}))["data"]), with_test], sort_keys=True, default=str
    )


def _kind_problems(cfg: Any, dataset: Dataset) -> Iterator[str]:
    """Yields what to type if the keys of `data` are for another kind of dataset."""
    asked = IMAGES if "sequence" in cfg else SERIES
    if asked != dataset.kind:
        yield (
            f"data: {cfg._target_} returned {dataset.kind}, and its keys are for {asked}; begin its file with "
            f"defaults: [shared/{dataset.kind}, _self_]"
        )
        return
    features = dataset.shape[-1] if dataset.kind == SERIES or len(dataset.shape) == 3 else 1
    if not isinstance(cfg.normalize, str):
        for name, values in zip(("means", "standard deviations"), cfg.normalize, strict=True):
            if hasattr(values, "__len__") and len(values) not in (1, features):
                yield f"data.normalize has {len(values)} {name}, and an example has {features} features"
    if dataset.kind == IMAGES and cfg.sequence == "patches":
        height, width = dataset.shape[:2]
        assert height
        assert width
        if height % cfg.patch or width % cfg.patch:
            yield f"data.patch must divide the {height} x {width} pixels of an image, got {cfg.patch}"


def _size_problems(cfg: Any, dataset: Dataset) -> Iterator[str]:
    """Yields what is wrong with how the examples are to be split."""
    sizes, count, least = Sizes.of(cfg, dataset), len(dataset.train), len(dataset.classes)
    asks_for_test = not dataset.has_test and cfg.test_size != 0
    if asks_for_test and sizes.test < least:
        yield f"data.test_size must leave {least} examples to test, one for each class, got {sizes.test}"
    elif asks_for_test and count - sizes.test < least:
        yield f"data.test_size={cfg.test_size} must leave {least} of {count:,} examples to train, one for each class"
    elif sizes.validates and (single := dataset.single()):
        yield (
            f"data: class {', '.join(single[:5])} has one training example, which can't both train and validate; leave "
            "the class out, or type data.folds=null data.valid_size=0 train.keep=last"
        )
    elif cfg.folds is not None and cfg.folds > count - sizes.test:
        yield f"data.folds must be at most the {count - sizes.test:,} examples that there are, got {cfg.folds}"
    elif cfg.folds is None and cfg.valid_from == "train" and cfg.valid_size != 0 and sizes.valid < least:
        yield f"data.valid_size must leave {least} examples to validate, one for each class, got {sizes.valid}"
    elif sizes.train < least:
        asked = f"data.valid_size={cfg.valid_size}" if cfg.folds is None else f"data.folds={cfg.folds}"
        yield f"{asked} must leave {least} of {count:,} examples to train, one for each class"
    if cfg.limit is not None and cfg.limit < least:
        yield f"data.limit must be >= {least}, one for each class, got {cfg.limit}"
    if cfg.valid_from == "test" and not dataset.has_test and not sizes.test:
        yield "data.valid_from=test needs a test part; type data.test_size=0.2"


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How many examples each part has; `test` is 0 if it is none of the training file's."""

    train: int
    valid: int
    test: int
    validates: bool  # on examples that are held out of the training part

    @classmethod
    def of(cls, cfg: Any, dataset: Dataset) -> Sizes:
        """Returns the sizes that the keys of `data` ask for."""
        count = len(dataset.train)
        test = 0 if dataset.has_test else number_of(cfg.test_size, count)
        left = count - test
        if cfg.folds is not None:
            valid = left // cfg.folds  # of the smallest fold
        else:
            valid = number_of(cfg.valid_size, left) if cfg.valid_from == "train" else 0
        return cls(left - valid, valid, test, valid > 0)


def number_of(size: float, count: int) -> int:
    """Returns how many examples a size means, which is a share of them if it is below 1."""
    return round(size * count) if 0 < size < 1 else int(size)


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, (ValueError, OSError)) and text else f"{type(error).__name__}: {text}"


def _place(error: BaseException) -> str:
    """Returns where a user's own function failed; of ours the line alone says enough."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(PACKAGE)]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own and frames[-1] is own[-1] else ""
