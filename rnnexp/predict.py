"""What a finished run makes of your own images: `python -m rnnexp.predict RUN_DIR image.png ...`.

From a notebook: `predictor = load("outputs/runs/x")`, then `classify(predictor, [Image.open("seven.png")])`.

torch is imported where it is needed, so that `--help` answers at once. A run's folder is trusted: its configuration
names the callable that builds the model.

Shapes: N images, H height, W width, O classes.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from omegaconf.errors import OmegaConfBaseException
from PIL import Image, ImageOps

from rnnexp import schema
from rnnexp.schema import RunResult, UserError
from rnnexp.store import RunFolder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnnexp.data import Sequences

Grey = NDArray[np.float32]  # of shape (H, W)

SIDE = 28  # pixels, of a prepared image
INK_SIDE = 20  # pixels, of the box that MNIST's ink is fitted into
MIN_CONTRAST = 10  # of 255 grey levels: less is no ink
BOX_FLOOR = 0.2  # of the brightest ink: fainter parts don't count for the ink's box
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


def load(run_dir: str | os.PathLike[str]) -> Predictor:
    """Returns the network of a run that is over, with the weights that the run kept.

    Raises:
        UserError: the run is not over, or its files or its model's class can't be read.
    """
    import torch
    import torchvision.datasets
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    from rnnexp.data import Sequences
    from rnnexp.dataset_files import TORCHVISION_CLASS

    folder = RunFolder(Path(run_dir))
    result = _read_result(folder)
    try:
        cfg = schema.typed(result.config)
        sequences, target = Sequences(cfg.data), cfg.model["_target_"]
        names = getattr(torchvision.datasets, TORCHVISION_CLASS[cfg.data.name]).classes
    except (ValueError, TypeError, KeyError, OmegaConfBaseException) as error:
        raise UserError(f"{folder.result} is corrupt ({_line(error)})") from error
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # as rnnexp.cli does: a user's own models
    try:
        shape = {"input_size": sequences.input_size, "num_classes": schema.NUM_CLASSES}
        model = instantiate(result.config["model"], **shape, _convert_="all")
    except InstantiationException as error:
        raise UserError(f"cannot build {target}: {_line(error.__cause__ or error)}") from error
    try:
        model.load_state_dict(torch.load(folder.model, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise UserError(f"{folder.model} is not there: {_ending(result)}") from None
    except (
        RuntimeError,
        UnpicklingError,
        OSError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise UserError(f"{folder.model} is corrupt, or not of {target} ({_line(error)})") from error
    return Predictor(model.eval(), sequences, [name.split(" - ")[0] for name in names], result)


def classify(predictor: Predictor, images: Sequence[Image.Image]) -> Tensor:
    """Returns the probability of each class, float64 of shape (N, O), for images of any size and mode.

    Raises:
        UserError: an image has no ink.
    """
    import torch

    from rnnexp.train import forward

    prepared_NHW = torch.stack([prepare(image, predictor.dataset) for image in images])
    model, parts = predictor.model, torch.split(prepared_NHW, 128)
    with torch.inference_mode():
        logits = [forward(model, predictor.sequences(part_NHW), "fp32") for part_NHW in parts]
    return torch.cat(logits).double().softmax(1)


def prepare(image: Image.Image, name: str) -> Tensor:
    """Returns the image as the dataset would have it: uint8 of shape (28, 28), bright ink on black.

    MNIST's images were "size normalized to fit in a 20x20 pixel box while preserving their aspect ratio [...] by
    computing the center of mass of the pixels, and translating the image so as to position this point at the center of
    the 28x28 field" (http://yann.lecun.com/exdb/mnist/, after LeCun et al. 1998). The others fill their frame.

    Args:
        image: dark on light or light on dark, of any size and mode; what is transparent is background.
        name: mnist, fashion_mnist or kmnist.

    Raises:
        UserError: nothing stands out from the background.
    """
    import torch

    ink_HW = _ink(image, has_margin=name == "mnist")
    if name != "mnist":
        square = ImageOps.pad(Image.fromarray(ink_HW), (max(ink_HW.shape),) * 2)
        ink_HW = _resize(np.asarray(square), SIDE, SIDE)
    else:
        box = _box(ink_HW)
        height, width = ink_HW[box].shape
        longer = max(height, width)
        if ink_HW.shape != (SIDE, SIDE) or longer > INK_SIDE:
            scale = INK_SIDE / longer
            ink_HW = _resize(ink_HW[box], max(1, round(height * scale)), max(1, round(width * scale)))
        ink_HW = _centre(ink_HW)
    if (peak := ink_HW.max()) < 254:  # a tenth of MNIST's own images end there
        ink_HW = ink_HW * (255 / peak)
    return torch.from_numpy(ink_HW.round().astype(np.uint8))


def _ink(image: Image.Image, has_margin: bool) -> Grey:
    """Returns how far each pixel stands out from the background, in grey levels; the background's grain is 0.

    Args:
        has_margin: whether what is along each side of the image is paper.
    """
    grey_HW = _grey(ImageOps.exif_transpose(image))
    above_HW = grey_HW - _shade(grey_HW) if has_margin else grey_HW
    above_HW = above_HW - np.median(_border(above_HW))
    grain = 6 * 1.4826 * np.median(abs(_border(above_HW)))  # six standard deviations, if it is Gaussian
    is_ink_dark = above_HW[above_HW > grain].sum() < -above_HW[above_HW < -grain].sum()
    ink_HW = np.maximum(-above_HW if is_ink_dark else above_HW, 0)
    peak = ink_HW.max()
    if peak < MIN_CONTRAST or peak <= grain:
        title = getattr(image, "filename", None) or "the image"
        raise UserError(f"{title} has no ink: nothing stands out from the background")
    return np.where(ink_HW > min(grain, peak / 2), ink_HW, 0).astype(np.float32)


def _shade(grey_HW: Grey) -> Grey:
    """Returns the slope of the light over the paper, as a plane through the medians of opposite sides."""
    shade_HW = np.zeros_like(grey_HW)
    for axis, sides_HW in enumerate((grey_HW, grey_HW.T)):
        rise = np.median(sides_HW[-1]) - np.median(sides_HW[0])
        if abs(rise) < np.ptp(grey_HW) / 2:  # more is no shade but ink along that side
            slope = np.linspace(0, rise, len(sides_HW), dtype=np.float32)
            shade_HW += np.expand_dims(slope, 1 - axis)
    return shade_HW


def _border(grey_HW: Grey) -> Grey:
    return np.concatenate([grey_HW[0], grey_HW[-1], grey_HW[:, 0], grey_HW[:, -1]])


def _grey(image: Image.Image) -> Grey:
    """Returns the image's grey levels from 0 to 255, upon paper of the other colour where it is transparent."""
    if image.mode.startswith("I") or image.mode == "F":  # these have no common range, so each its own
        values_HW = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
        values_HW -= values_HW.min()
        return (values_HW * (255 / (values_HW.max() or 1))).astype(np.float32)
    if "A" not in image.getbands() and "transparency" not in image.info:
        return np.asarray(image.convert("RGB").convert("L"), dtype=np.float32)
    colour, alpha = image.convert("RGBA").convert("RGB"), image.convert("RGBA").getchannel("A")
    grey_HW, alpha_HW = np.asarray(colour.convert("L"), np.float32), np.asarray(alpha, np.float32)
    paper = 255 if (alpha_HW * grey_HW).sum() < 128 * alpha_HW.sum() else 0
    return (paper + (grey_HW - paper) * (alpha_HW / 255)).astype(np.float32)


def _box(ink_HW: Grey) -> tuple[slice, slice]:
    """Returns the rows and columns that the ink takes up."""
    is_ink_HW = ink_HW > BOX_FLOOR * ink_HW.max()
    rows, columns = (np.flatnonzero(is_ink_HW.any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _resize(ink_HW: Grey, height: int, width: int) -> Grey:
    """Returns the ink resampled with anti-aliasing, unless it has that size already."""
    if ink_HW.shape == (height, width):
        return ink_HW
    resized = Image.fromarray(ink_HW).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized).clip(0, ink_HW.max())


def _centre(ink_HW: Grey) -> Grey:
    """Returns the ink in a 28x28 frame: its centre of mass is within half a pixel of pixel 14, its box is inside."""
    offsets = []
    for axis, span in enumerate(_box(ink_HW)):
        mass = ink_HW.sum(1 - axis, dtype=np.float64)
        shift = round(SIDE / 2 - mass @ np.arange(len(mass)) / mass.sum())
        offsets.append(int(np.clip(shift, -span.start, SIDE - span.stop)))
    frame = Image.new("F", (SIDE, SIDE))
    frame.paste(Image.fromarray(ink_HW), (offsets[1], offsets[0]))
    return np.array(frame)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each image, or JSON. Returns 2 if the run or an image was bad."""
    parser = argparse.ArgumentParser(prog="python -m rnnexp.predict", description="Classify images with a run's model.")
    parser.add_argument("run_dir", metavar="RUN_DIR", help="the folder of a run that is over, with its model.pt")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="dark on light or light on dark, of any size")
    parser.add_argument("--json", action="store_true", help="print path, label and every probability as JSON")
    args = parser.parse_args(argv)
    try:
        predictor = load(args.run_dir)
    except UserError as error:
        return _complain(error)
    if predictor.result.status is not schema.Status.COMPLETE:
        _complain(f"note: {_ending(predictor.result)}")
    answers, exit_status = [], 0
    for path in args.images:
        try:
            p_O = classify(predictor, [_open(path)])[0].tolist()
        except UserError as error:
            exit_status = _complain(error)
        else:
            probabilities = dict(zip(predictor.labels, p_O, strict=True))
            label = max(probabilities, key=lambda name: probabilities[name])
            answers.append({"path": path, "label": label, "probabilities": probabilities})
    try:
        if answers or args.json:
            print(json.dumps(answers, indent=1) if args.json else _table(answers), flush=True)
    except BrokenPipeError:  # of `| head`: without this, Python complains once more at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
        problem = "is not over: it has no result.json" if folder.is_run() else "is not the folder of a run"
        raise UserError(f"{folder.path} {problem}")
    return result


def _ending(result: RunResult) -> str:
    return f"the run is {result.status.value}" + (f" ({result.reason})" if result.reason else "")


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def _complain(problem: object) -> int:
    """Prints a line to stderr and returns the exit status of a user's mistake."""
    print(f"rnnexp.predict: {problem}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
