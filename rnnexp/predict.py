"""What a finished run makes of your own images or series: `rnnexp predict RUN image.png ...`.

From a notebook: `predictor = load("outputs/runs/x")`, then `classify(predictor, [Image.open("seven.png")])`, or
`probabilities(predictor, [series])`.

torch is imported where it is needed, so that `--help` answers at once. A run's folder may be a stranger's: a network
that is neither rnnexp's nor torch's is built only with `--trust`.

Shapes: N examples, T time steps, I features, H height, W width, C channels, O classes.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf.errors import OmegaConfBaseException
from PIL import Image

from hydra_sweep.commands import Parser, command, show
from hydra_sweep.errors import UserError
from rnnexp.record.places import find_run
from rnnexp.record.result import EARLIER, RunResult, Status
from rnnexp.record.run_folder import RunFolder
from rnnexp.record.tensors import load_tensors
from rnnexp.record.trust import trust_problems
from rnnexp.schema.config import with_schema

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from rnnexp.data.sequences import Sequences

BATCH = 128
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True)
class Predictor:
    """A trained network, in eval mode on the CPU, and what it was trained on."""

    model: nn.Module
    sequences: Sequences
    labels: list[str]
    result: RunResult

    @property
    def dataset(self) -> str:
        """The name of the dataset that it was trained on."""
        return str(self.result.dataset["name"])

    @property
    def is_of_images(self) -> bool:
        return self.sequences.kind == "images"


def load(run_dir: str | os.PathLike[str], trust: bool = False) -> Predictor:
    """Returns the network of a finished run, with the weights that the run kept.

    Args:
        trust: builds whatever class the record names, which may be anybody's code.

    Raises:
        UserError: the run has not finished, its files or its model's class can't be read, or the class needs `trust`.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    from rnnexp.data.sequences import Sequences

    folder = RunFolder(Path(run_dir))
    result = _read_result(folder)
    if (problems := trust_problems(result.config)) and not trust:
        raise UserError(f"{folder.result}: {problems[0]}")
    try:
        cfg, about = with_schema(result.config), result.dataset
        sequences, target = Sequences.recorded(cfg.data, about), cfg.model["_target_"]
        names = [str(name) for name in about["classes"]]
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError, OmegaConfBaseException) as error:
        raise UserError(f"{folder.result} is corrupt ({_line(error)})") from error
    try:
        shape = {"input_size": sequences.input_size, "num_classes": len(names)}
        model = instantiate(result.config["model"], **shape, _convert_="all")
    except InstantiationException as error:
        raise UserError(f"cannot build {target}: {_line(error.__cause__ or error)}") from error
    try:
        model.load_state_dict(load_tensors(folder.model, "cpu"))
    except FileNotFoundError:
        raise UserError(f"{folder.model} is not there: {_ending(result)}") from None
    except (ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"{folder.model} is corrupt, or not of {target} ({_line(error)})") from error
    return Predictor(model.eval(), sequences, names, result)


def classify(predictor: Predictor, images: Sequence[Image.Image]) -> Tensor:
    """Returns the probability of each class, float64 of shape (N, O), for images of any size and mode.

    Raises:
        UserError: an image has no ink.
    """
    return probabilities(predictor, [prepared(predictor, image)[0] for image in images])


def probabilities(predictor: Predictor, examples: Sequence[NDArray[Any]]) -> Tensor:
    """Returns the probability of each class, float64 of shape (N, O), for examples as the dataset has them.

    Args:
        examples: images (H, W) or (H, W, C), or series (T, I), each of its own length.

    Raises:
        UserError: an example has another shape than those of the dataset.
    """
    import numpy as np
    import torch

    from rnnexp.data.dataset import Dataset, Examples
    from rnnexp.data.splitting import Part
    from rnnexp.training.precision import forward

    wanted = predictor.sequences.shape
    for example in examples:
        has_shape = len(example.shape) == len(wanted) and example.shape[1:] == wanted[1:]
        if not has_shape or (predictor.is_of_images and example.shape != wanted):
            shown = ", ".join("T" if n is None else str(n) for n in wanted)
            raise UserError(f"the run reads {predictor.sequences.kind} of shape ({shown}), got {example.shape}")
        if not len(example) or not np.isfinite(example).all():
            raise UserError("an example has no steps, or values that are NaN or infinite")
    labels = np.zeros(len(examples), np.int64)
    if wanted[0] is None:  # lengths belong to what the network was trained on, be they equal here
        ends = np.cumsum([0, *map(len, examples)], dtype=np.int64)
        found = Examples(np.concatenate(examples).astype(np.float32), labels, ends)
    else:
        make = Dataset.of_images if predictor.is_of_images else Dataset.of_series
        found = make(list(examples), labels, classes=predictor.labels).train
    part = Part.of(found, torch.device("cpu"))
    with torch.inference_mode():
        logits = [
            forward(predictor.model, predictor.sequences(part, index), "fp32")
            for index in torch.split(torch.arange(len(part)), BATCH)
        ]
    return torch.cat(logits).double().softmax(1)


def prepared(predictor: Predictor, image: Image.Image) -> tuple[NDArray[Any], int]:
    """Returns an image as the dataset would have it, and how many characters a photo of one seems to hold.

    Raises:
        UserError: nothing stands out from the background of a photo.
    """
    from rnnexp.data import idx

    if predictor.dataset in idx.SOURCES:
        from rnnexp.data.photographs import prepare

        found = prepare(image, predictor.dataset)
        return found.image.numpy(), found.num_characters
    from rnnexp.data.image_folder import as_array

    height, width, *channels = predictor.sequences.shape
    assert height
    assert width
    fit = predictor.sequences.cfg.get("fit", "crop")
    return as_array(image, (height, width), channels[0] if channels and channels[0] else 1, fit), 1


def read(predictor: Predictor, path: str) -> list[tuple[str, NDArray[Any]]]:
    """Returns what a file holds: one image, or any number of series, each with a title.

    Raises:
        UserError: it can't be read, or as nothing that the run's dataset has.
    """
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder; type its files, {os.path.join(path, '*')}")
    if predictor.is_of_images:
        array, num_characters = prepared(predictor, _open(path))
        if num_characters > 1:
            note = f"note: {path} seems to hold {num_characters} characters; this is the largest"
            show("rnnexp predict", [note])
        return [(path, array)]
    from rnnexp.data.series import read_unlabeled

    found = read_unlabeled(path, predictor.sequences.cfg, predictor.result.dataset.get("features", ()))
    if not found or not all(map(len, found)):
        raise UserError(f"{path}: it has {'a series without steps' if found else 'no series'}")
    return [(path if len(found) == 1 else f"{path}:{number}", one) for number, one in enumerate(found)]


def examples(predictor: Predictor, x: Any) -> tuple[list[str], list[NDArray[Any]]]:
    """Returns examples as the dataset has them, and the titles of those that come from files.

    Args:
        x: an image, an array or a tensor of one example or of N, the path of a file; or several of these.

    Raises:
        UserError: a file can't be read, or x is none of these.
    """
    if isinstance(x, (str, os.PathLike)):
        titles, found = zip(*read(predictor, os.fspath(x)), strict=True)
        return list(titles), list(found)
    if isinstance(x, Image.Image):
        return [], [prepared(predictor, x)[0]]
    if hasattr(x, "__array__"):
        import numpy as np

        array = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)
        dimensions = len(predictor.sequences.shape)
        if array.dtype.kind not in "biuf" or array.ndim not in (dimensions, dimensions + 1):
            wanted = f"{dimensions} dimensions, or {dimensions + 1} for several examples"
            raise UserError(f"the run reads arrays of numbers of {wanted}, got {array.ndim} of {array.dtype}")
        return [], [array] if array.ndim == dimensions else list(array)
    if not isinstance(x, Iterable):
        raise UserError(f"the run reads images, arrays or files, got a {type(x).__name__}")
    parts = [examples(predictor, one) for one in x]
    return [title for titles, _ in parts for title in titles], [one for _, found in parts for one in found]


@command("rnnexp predict")
def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each example, or JSON. Returns 2 if the run or a file was bad."""
    parser = Parser("rnnexp predict", description="Classify images or series with a run's model.")
    parser.add_argument("run_dir", metavar="RUN", help="a finished run, by name or folder")
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="an image of any size, or a file of series as those it was trained on"
    )
    parser.add_argument("--json", action="store_true", help="print path, label and every probability as JSON")
    parser.add_argument("--trust", action="store_true", help="build the run's own network, whoever wrote it")
    args = parser.parse_args(argv)
    predictor = load(find_run(args.run_dir), args.trust)
    if predictor.result.status is not Status.COMPLETE:
        show("rnnexp predict", [f"note: {_ending(predictor.result)}"])
    answers, exit_status = [], 0
    for path in args.files:
        try:
            titles, examples = zip(*read(predictor, path), strict=True)
            shares = probabilities(predictor, examples).tolist()
        except UserError as error:
            show("rnnexp predict", error.problems)
            exit_status = error.exit_status
            continue
        for title, p_O in zip(titles, shares, strict=True):
            label = predictor.labels[max(range(len(p_O)), key=p_O.__getitem__)]
            of_class = dict(zip(predictor.labels, p_O, strict=True))
            answers.append({"path": title, "label": label, "probabilities": of_class})
    if answers or args.json:
        print(json.dumps(answers, indent=1) if args.json else _table(answers))
    return exit_status


def _open(path: str) -> Image.Image:
    """Returns the image with all that it holds read.

    Raises:
        UserError: the file is not there, or is no image.
    """
    try:
        image = Image.open(path)
        with image:
            image.load()
            image.getexif()  # is kept; a TIFF's needs the open file
    except FileNotFoundError:
        raise UserError(f"{path} is not there") from None
    except UNREADABLE as error:
        raise UserError(f"{path} can't be read as an image ({_line(error)})") from error
    return image


def _table(answers: list[dict[str, Any]]) -> str:
    """Returns aligned lines: path, class, percent, and the next two candidates."""
    path_width, label_width = (max((len(a[key]) for a in answers), default=0) for key in ("path", "label"))
    lines = []
    for answer in answers:
        (label, p), *others = sorted(answer["probabilities"].items(), key=lambda item: -item[1])[:3]
        rest = ", ".join(f"{name} {100 * q:.1f} %" for name, q in others)
        lines.append(f"{answer['path']:<{path_width}}  {label:<{label_width}}  {100 * p:5.1f} %  ({rest})")
    return "\n".join(lines)


def _read_result(folder: RunFolder) -> RunResult:
    """Returns the result. Raises: UserError if there is none, or it can't be read."""
    try:
        result = folder.read_result()
    except (ValueError, OSError) as error:
        raise UserError(f"{folder.result} is corrupt or can't be read ({_line(error)})") from error
    if result is None:
        problem = "has not finished: it has no result.json" if folder.is_run() else "is not the folder of a run"
        raise UserError(f"{folder.path} {problem}")
    if result.is_of_an_earlier_version:
        raise UserError(f"{folder.path} {EARLIER}")
    return result


def _ending(result: RunResult) -> str:
    return f"the run is {result.status.value}" + (f" ({result.reason})" if result.reason else "")


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


if __name__ == "__main__":
    sys.exit(main())
