"""What a finished run makes of your own images: `python -m rnnexp.predict RUN_DIR image.png ...`.

From a notebook: `predictor = load("outputs/runs/x")`, then `classify(predictor, [Image.open("seven.png")])`.

torch is imported where it is needed, so that `--help` answers at once. A run's folder may be a stranger's: a network
that is neither rnnexp's nor torch's is built only with `--trust`.

Shapes: N images, H height, W width, O classes.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf.errors import OmegaConfBaseException
from PIL import Image

from hydra_sweep.commands import Parser, command, show
from hydra_sweep.errors import UserError
from rnnexp.record.result import RunResult, Status
from rnnexp.record.run_folder import RunFolder
from rnnexp.record.tensors import load_tensors
from rnnexp.record.trust import trust_problems
from rnnexp.schema.config import NUM_CLASSES, with_schema

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnnexp.data.loading import Sequences

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
        return self.sequences.cfg.name


def load(run_dir: str | os.PathLike[str], trust: bool = False) -> Predictor:
    """Returns the network of a finished run, with the weights that the run kept.

    Args:
        trust: builds whatever class the record names, which may be anybody's code.

    Raises:
        UserError: the run has not finished, its files or its model's class can't be read, or the class needs `trust`.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    from rnnexp.data.files import CLASS_NAMES
    from rnnexp.data.loading import Sequences

    folder = RunFolder(Path(run_dir))
    result = _read_result(folder)
    if (problems := trust_problems(result.config)) and not trust:
        raise UserError(f"{folder.result}: {problems[0]}")
    try:
        cfg = with_schema(result.config)
        sequences, target = Sequences(cfg.data), cfg.model["_target_"]
        names = CLASS_NAMES[cfg.data.name]
    except (ValueError, TypeError, KeyError, OmegaConfBaseException) as error:
        raise UserError(f"{folder.result} is corrupt ({_line(error)})") from error
    try:
        shape = {"input_size": sequences.input_size, "num_classes": NUM_CLASSES}
        model = instantiate(result.config["model"], **shape, _convert_="all")
    except InstantiationException as error:
        raise UserError(f"cannot build {target}: {_line(error.__cause__ or error)}") from error
    try:
        model.load_state_dict(load_tensors(folder.model, "cpu"))
    except FileNotFoundError:
        raise UserError(f"{folder.model} is not there: {_ending(result)}") from None
    except (ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"{folder.model} is corrupt, or not of {target} ({_line(error)})") from error
    return Predictor(model.eval(), sequences, [name.split(" - ")[0] for name in names], result)


def classify(predictor: Predictor, images: Sequence[Image.Image]) -> Tensor:
    """Returns the probability of each class, float64 of shape (N, O), for images of any size and mode.

    Raises:
        UserError: an image has no ink.
    """
    import torch

    from rnnexp.data.photographs import prepare

    return probabilities(predictor, torch.stack([prepare(image, predictor.dataset).image for image in images]))


def probabilities(predictor: Predictor, prepared_NHW: Tensor) -> Tensor:
    """Returns the probability of each class, float64 of shape (N, O), for images as the dataset has them."""
    import torch

    from rnnexp.training.precision import forward

    model, parts = predictor.model, torch.split(prepared_NHW, 128)
    with torch.inference_mode():
        logits = [forward(model, predictor.sequences(part_NHW), "fp32") for part_NHW in parts]
    return torch.cat(logits).double().softmax(1)


@command("rnnexp.predict")
def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each image, or JSON. Returns 2 if the run or an image was bad."""
    parser = Parser("rnnexp.predict", description="Classify images with a run's model.")
    parser.add_argument("run_dir", metavar="RUN_DIR", help="the folder of a finished run, with its model.pt")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="dark on light or light on dark, of any size")
    parser.add_argument("--json", action="store_true", help="print path, label and every probability as JSON")
    parser.add_argument("--trust", action="store_true", help="build the run's own network, whoever wrote it")
    args = parser.parse_args(argv)
    predictor = load(args.run_dir, args.trust)
    if predictor.result.status is not Status.COMPLETE:
        show("rnnexp.predict", [f"note: {_ending(predictor.result)}"])
    from rnnexp.data.photographs import prepare

    answers, exit_status = [], 0
    for path in args.images:
        try:
            prepared = prepare(_open(path), predictor.dataset)
        except UserError as error:
            show("rnnexp.predict", error.problems)
            exit_status = error.exit_status
            continue
        if prepared.num_characters > 1:
            note = f"note: {path} seems to hold {prepared.num_characters} characters; this is the largest"
            show("rnnexp.predict", [note])
        p_O = probabilities(predictor, prepared.image[None])[0].tolist()
        of_class = dict(zip(predictor.labels, p_O, strict=True))
        label = max(of_class, key=lambda name: of_class[name])
        answers.append({"path": path, "label": label, "probabilities": of_class})
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
    return result


def _ending(result: RunResult) -> str:
    return f"the run is {result.status.value}" + (f" ({result.reason})" if result.reason else "")


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


if __name__ == "__main__":
    sys.exit(main())
