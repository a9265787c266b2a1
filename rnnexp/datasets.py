"""`rnnexp data list | describe | check`: what a data set holds, and whether it can be trained on, before training.

No torch: a data set is arrays. The test part is counted, and looked at only for examples that are in the training part,
too; nothing else of it is shown, so that it can feed no choice.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra_sweep.commands import Parser, command
from hydra_sweep.errors import UserError, counted, escape_unprintable
from hydra_sweep.hints import nearest_path
from hydra_sweep.text_table import table
from rnnexp.arguments import data_kind
from rnnexp.schema.tree import CONFIG_DIR, shipped_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from omegaconf import DictConfig

    from rnnexp.data.dataset import Dataset, Examples

EPILOG = """\
DATA is an option (mnist), a file of series, a folder of images, or what
training takes: data=series data.root=x.csv data.valid_size=0.1

  rnnexp data list
  rnnexp data describe sensors.csv
  rnnexp data check photos data.valid_size=0.1
"""
MOST_CLASSES, MOST_FEATURES = 12, 12  # that are listed one by one
UNEVEN = 10  # times as many examples of a class as of another: worth a word
FEW = 100  # validation examples: an accuracy of so few is known to some points only


@command("rnnexp data")
def main() -> int:
    """Shows what was asked for. Returns 2 if `check` finds what keeps a run from training."""
    import argparse

    parser = Parser(
        "rnnexp data",
        description="List, describe or check data sets before training.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="?", choices=("list", "describe", "check"), default="list", help="default: list")
    parser.add_argument("data", nargs="*", metavar="DATA", help="which one, and keys of data")
    parser.add_argument("-cd", "--config-dir", metavar="FOLDER", help="a folder of your own options, as in training")
    args = parser.parse_intermixed_args()
    if args.what == "list":
        lines = listed(args.config_dir)
    else:
        cfg = configuration(args.data, args.config_dir)
        lines = described(cfg) if args.what == "describe" else checked(cfg)
    for line in lines:
        print(escape_unprintable(line))
    return 0


def listed(config_dir: str | None) -> Iterator[str]:
    """Yields a line for each option of `data`: what it is, in the words of its file."""
    options = {name: CONFIG_DIR / "data" / f"{name}.yaml" for name in shipped_options("data")}
    if config_dir:
        options |= {path.stem: path for path in sorted((Path(config_dir) / "data").glob("*.yaml"))}
    about = []
    for path in options.values():
        first = path.read_text().partition("\n")[0]
        about.append(first.removeprefix("# ") if first.startswith("# ") else str(path))
    for name, text in zip(options, about, strict=True):
        lines = _wrapped(text, _width() - 15)
        yield f"{name:<15}{lines[0]}"
        yield from (f"{'':<15}{line}" for line in lines[1:])


def configuration(typed: Sequence[str], config_dir: str | None) -> DictConfig:
    """Returns the configuration of a run on the data that was typed.

    Raises:
        UserError: nothing was typed, or something is wrong with it.
    """
    from rnnexp.command_line import CommandLine, without_hydra
    from rnnexp.schema.config import register_schemas
    from rnnexp.train import parsed

    words = [word for text in typed for word in (_overrides(text) if "=" not in text else [text])]
    if not words:
        raise UserError(f"which data? There are {', '.join(shipped_options('data'))}; type rnnexp data describe mnist")
    register_schemas()
    flags = ["--config-dir", config_dir] if config_dir else []
    line = CommandLine(parsed("rnnexp data", [*flags, "--cfg", "job", *words]), CONFIG_DIR)  # --cfg: nothing will run
    if problems := line.problems():
        absent = {f"data={word}: no such data": word for word in typed if "=" not in word and not Path(word).exists()}
        for known, word in absent.items():
            more = f"; and there is no file or folder {word}{nearest_path(word)}"
            problems = [f"{problem}{more}" if problem.startswith(known) else problem for problem in problems]
        raise UserError(problems)
    return without_hydra(line.compose(line.overrides))


def _overrides(typed: str) -> list[str]:
    """Returns the overrides that a word without = stands for: an option of `data`, or a file or folder."""
    path = Path(typed)
    if not path.exists() or typed in shipped_options("data"):
        if "/" in typed or path.suffix:
            raise UserError(f"there is no file or folder {typed}{nearest_path(typed)}")
        return [f"data={typed}"]
    root = "data.root='" + typed.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return [f"data={data_kind(path)}", root]


def load(cfg: DictConfig) -> tuple[Dataset, list[str]]:
    """Returns the data set, and a line for everything that keeps a run from training on it.

    Raises:
        UserError: there is none to look at.
    """
    from rnnexp.data import loading

    problems = loading.problems(cfg.data, True)
    try:
        dataset = loading.take(cfg.data, True)
    except UserError as error:
        raise UserError(problems) from error
    loading.forget()
    return dataset, problems


def described(cfg: DictConfig) -> Iterator[str]:
    """Yields what the data set holds; values are those of the examples that come for training."""
    import numpy as np

    dataset, _ = load(cfg)
    train, own_test = dataset.train, dataset.test
    yield f"{dataset.name or cfg.data.get('root') or cfg.data._target_}: {dataset.kind}"
    parts = f"{len(train):,} to train and validate"
    yield f"examples  {parts}, {len(own_test):,} to test" if own_test else f"examples  {parts}; no test part of its own"
    if dataset.kind == "images":
        height, width, *channels = dataset.shape
        yield f"shape     {height} x {width} pixels{f', {channels[0]} channels' if channels else ''}, {train.x.dtype}"
    else:
        yield f"steps     {_lengths(train)}"
        features = dataset.shape[-1]
        yield f"features  {features}{': ' + ', '.join(dataset.features) if dataset.features else ''}"
    yield ""
    yield from _values(dataset)
    counts = np.bincount(train.labels, minlength=len(dataset.classes))
    yield ""
    yield f"{len(dataset.classes)} classes"
    order = np.argsort(-counts, kind="stable")[:MOST_CLASSES]
    longest = max(1, int(counts.max()))
    bars = ["#" * max(1, round(20 * int(counts[i]) / longest)) for i in order]
    columns = {"class": [dataset.classes[i] for i in order], "examples": [int(counts[i]) for i in order], "": bars}
    yield from table(columns, _width())
    if len(counts) > len(order):
        rest = len(counts) - len(order)
        yield f"and {rest} more, of {int(counts.min()):,} examples at least"


def checked(cfg: DictConfig) -> Iterator[str]:
    """Yields how the data would be split, and what is worth a word about it.

    Raises:
        UserError: a run can't train on it; a line for each reason.
    """
    from rnnexp.data.loading import Sizes

    dataset, problems = load(cfg)
    if problems:
        raise UserError(problems)
    sizes = Sizes.of(cfg.data, dataset)
    num_tested = len(dataset.test) if dataset.test else sizes.test
    validated = f"{sizes.valid:,} to validate" if cfg.data.valid_from == "train" else "validated on the test part"
    how = f" ({cfg.data.folds} folds)" if cfg.data.folds else ""
    num_trained = min(sizes.train, cfg.data.limit or sizes.train)
    yield f"sound: {num_trained:,} to train, {validated}{how}, {num_tested:,} to test"
    num_validated = len(dataset.train) - (0 if dataset.has_test else sizes.test) if cfg.data.folds else sizes.valid
    for warning in _warnings(dataset, num_validated, num_tested):
        yield f"note: {warning}"


def _warnings(dataset: Dataset, num_valid: int, num_tested: int) -> Iterator[str]:
    """Yields what can be trained on, and may still mislead."""
    import numpy as np

    counts = np.bincount(dataset.train.labels, minlength=len(dataset.classes))
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] >= UNEVEN * counts[least]:
        yield (
            f"class {dataset.classes[most]} has {int(counts[most]):,} examples, {dataset.classes[least]} has "
            f"{int(counts[least]):,}; train.class_weights=balanced, and metrics such as balanced_accuracy, weigh them"
        )
    seen = _hashes(dataset.train)
    if repeated := len(dataset.train) - len(set(seen)):
        yield f"{counted(repeated, 'example')} for training appear more than once: validation may see what was trained"
    if dataset.test is not None and (leaked := sum(each in set(seen) for each in _hashes(dataset.test))):
        yield f"{counted(leaked, 'test example')} are in the training part, too: the test accuracy will flatter"
    if dataset.kind == "series":
        values = dataset.train.x.reshape(-1, dataset.train.x.shape[-1])
        if constant := np.flatnonzero(values.min(0) == values.max(0)).tolist():
            yield f"features that never change: {', '.join(_feature(dataset, i) for i in constant[:MOST_FEATURES])}"
    for number, name, key in ((num_valid, "validation", "data.folds=5"), (num_tested, "test", "data.test_size")):
        if 0 < number < FEW:
            error = 100 * 0.5 / number**0.5
            yield f"an accuracy of {number} {name} examples is known to {error:.0f} points at best; see {key}"


def _hashes(part: Examples) -> list[bytes]:
    """Returns a digest of each example."""
    import hashlib

    import numpy as np

    return [
        hashlib.blake2b(np.ascontiguousarray(part.example(i)).tobytes(), digest_size=16).digest()
        for i in range(len(part))
    ]


def _lengths(part: Examples) -> str:
    import numpy as np

    if part.lengths is None:
        return f"{part.x.shape[1]:,} in each series"
    low, middle, high = np.quantile(part.lengths, [0, 0.5, 1]).astype(int).tolist()
    return f"{low:,} .. {high:,}, median {middle:,}"


def _values(dataset: Dataset) -> Iterator[str]:
    """Yields a table of the values of each feature or channel."""
    import numpy as np

    has_features = dataset.kind == "series" or dataset.train.x.ndim == 4
    values: NDArray[np.float64] = dataset.train.x.astype(np.float64, copy=False)
    flat = values.reshape(-1, values.shape[-1]) if has_features else values.reshape(-1, 1)
    shown = range(min(flat.shape[1], MOST_FEATURES))
    title = "feature" if dataset.kind == "series" else "channel"
    columns: dict[str, list[Any]] = {title: [_feature(dataset, i) for i in shown]}
    for name, of in (("mean", np.mean), ("std", np.std), ("min", np.min), ("max", np.max)):
        columns[name] = [f"{float(of(flat[:, i])):.4g}" for i in shown]
    yield from table(columns, _width())
    if flat.shape[1] > MOST_FEATURES:
        yield f"and {flat.shape[1] - MOST_FEATURES} more"


def _feature(dataset: Dataset, number: int) -> str:
    return dataset.features[number] if dataset.features else str(number)


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, max(width, 20)) or [""]


def _width() -> int:
    return shutil.get_terminal_size((80, 24)).columns


if __name__ == "__main__":
    sys.exit(main())
