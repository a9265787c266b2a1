"""Images of one's own, as MNIST would have them, and what a finished run makes of them."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import photos
import pytest
import torch
import torchvision.datasets
from omegaconf import DictConfig
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from hydra_sweep.errors import UserError
from rnnexp import predict
from rnnexp.data import idx, strokes
from rnnexp.data.photographs import prepare
from rnnexp.runner import run


def seven(width: int = 200, height: int = 200, stroke: float = 0.09) -> Image.Image:
    """Returns a 7, black on white, as large as the shorter side allows."""
    image = Image.new("L", (width, height), 255)
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    corners = [(left + x * side, top + y * side) for x, y in ((0.25, 0.2), (0.7, 0.2), (0.4, 0.85))]
    ImageDraw.Draw(image).line(corners, fill=0, width=round(stroke * side))
    return image


def mnist(image: Image.Image) -> np.ndarray:
    prepared = prepare(image, "mnist").image
    assert prepared.dtype == torch.uint8
    assert prepared.shape == (28, 28)
    return prepared.numpy()


def box_and_center(prepared: np.ndarray) -> tuple[int, int, float, float]:
    """Returns height and width of the ink, and row and column of its center of mass."""
    rows, columns = np.flatnonzero(prepared.any(1)), np.flatnonzero(prepared.any(0))
    mass = prepared.astype(float) / prepared.sum(dtype=float)
    center = mass.sum(1) @ np.arange(28), mass.sum(0) @ np.arange(28)
    return rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1, *center


@pytest.fixture(scope="module")
def mnist_test() -> torchvision.datasets.MNIST:
    root = idx.ensure("mnist")
    return torchvision.datasets.MNIST(root, train=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, compose: Callable[..., DictConfig]) -> Path:
    """A run's folder, of a small network that is right nine times out of ten."""
    small = "train.epochs=3 data.limit=6000 optim=adam optim.lr=0.005 model=gru model.num_layers=1 model.hidden_size=64"
    folder = tmp_path_factory.mktemp("a run")
    run(compose(*small.split(), "train.threads=1"), folder)
    return folder


@pytest.fixture
def run_dir(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run's folder, to spoil."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "my seven.png"
    seven().save(path)
    return str(path)


def edit_result(run_dir: Path, **changes: object) -> None:
    path = run_dir / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_images_of_mnist_come_back_as_they_are_in_either_polarity(mnist_test: torchvision.datasets.MNIST) -> None:
    for image in mnist_test.data[:500].numpy():
        saved = io.BytesIO()
        Image.fromarray(image).save(saved, "PNG")
        np.testing.assert_array_equal(mnist(Image.open(saved)), image)
        np.testing.assert_array_equal(mnist(Image.fromarray(255 - image)), image)


@pytest.mark.parametrize("size", [(200, 200), (200, 100), (100, 201), (1000, 1000), (57, 33)])
def test_ink_of_any_size_fits_the_box_and_is_centered_by_mass(size: tuple[int, int]) -> None:
    prepared = mnist(seven(*size))
    height, width, row, column = box_and_center(prepared)
    assert max(height, width) == 20
    assert abs(row - 14) <= 0.5
    assert abs(column - 14) <= 0.5
    assert prepared.max() == 255
    assert prepared[0].max() == 0


def test_ink_is_placed_alike_wherever_it_is_in_the_picture() -> None:
    tight = seven().crop((40, 25, 155, 185))
    moved = ImageOps.expand(tight, (300, 20, 7, 130), fill=255)
    np.testing.assert_allclose(mnist(moved).astype(int), mnist(tight).astype(int), atol=2)


def test_a_heavy_end_does_not_push_the_ink_out_of_the_frame() -> None:
    image = Image.new("L", (300, 300))
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 200, 120, 290), fill=255)
    draw.line([(70, 250), (280, 20)], fill=255, width=12)
    prepared = mnist(image)
    height, width, _, _ = box_and_center(prepared)
    assert max(height, width) == 20


def upon_transparent(color: int) -> Image.Image:
    image = Image.new("LA", (200, 200), (color, 0))
    image.putalpha(ImageOps.invert(seven()))
    return image


def transparent_palette() -> Image.Image:
    image = seven().convert("P")
    saved = io.BytesIO()
    image.save(saved, "PNG", transparency=image.getpixel((0, 0)))
    return Image.open(saved)


def turned_by_exif() -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it clockwise
    saved = io.BytesIO()
    seven().transpose(Image.Transpose.ROTATE_90).save(saved, "PNG", exif=exif)
    return Image.open(saved)


ALIKE = {
    "inverted": lambda: ImageOps.invert(seven()),
    "one bit": lambda: seven().convert("1"),
    "RGB": lambda: seven().convert("RGB"),
    "RGBA": lambda: seven().convert("RGBA"),
    "CMYK": lambda: seven().convert("CMYK"),
    "palette": lambda: seven().convert("P"),
    "16 bit": lambda: Image.fromarray(np.asarray(seven()).astype(np.uint16) * 257),
    "I": lambda: seven().convert("I"),
    "F": lambda: Image.fromarray(np.asarray(seven()).astype(np.float32) / 255),
    "black on transparent": lambda: upon_transparent(0),
    "white on transparent": lambda: upon_transparent(255).convert("RGBA"),
    "transparent palette": transparent_palette,
    "pale": lambda: seven().point(lambda level: 200 if level else 120),
    "turned by EXIF": turned_by_exif,
}


@pytest.mark.parametrize("kind", ALIKE)
def test_equivalent_images_are_prepared_alike(kind: str) -> None:
    np.testing.assert_array_equal(mnist(ALIKE[kind]()), mnist(seven()))


def test_grain_and_shade_of_the_paper_are_ignored() -> None:
    noise = np.random.default_rng(0).normal(0, 5, (200, 200))
    shade = np.linspace(-30, 30, 200)[:, None] + np.linspace(20, -20, 200)
    photo = 60 + 0.5 * np.asarray(seven()) + noise + shade
    prepared = mnist(Image.fromarray(photo.clip(0, 255).astype(np.uint8)))
    height, width, _, _ = box_and_center(prepared)
    assert max(height, width) == 20
    assert np.abs(prepared.astype(int) - mnist(seven())).mean() < 5


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist"])
def test_images_that_fill_their_frame_are_not_centered(name: str) -> None:
    corner = np.zeros((28, 28), np.uint8)
    corner[1:6, 2:9] = 255
    for image in (corner, 255 - corner):
        np.testing.assert_array_equal(prepare(Image.fromarray(image), name).image, corner)
    larger = prepare(Image.fromarray(corner.repeat(4, 0).repeat(4, 1)), name).image.numpy()
    np.testing.assert_array_equal(larger > 127, corner > 127)
    wide = prepare(Image.fromarray(np.pad(corner, ((0, 0), (14, 14)))), name).image.numpy()
    assert wide[:6].max() < 10  # the padding, but for Lanczos's ripples
    assert wide.max() == 255


@pytest.mark.parametrize("level", [0, 200, 255])
def test_a_blank_image_has_no_ink(level: int) -> None:
    with pytest.raises(UserError, match=r"^the image has no ink: nothing stands out from the background$"):
        mnist(Image.new("L", (50, 40), level))


def test_paper_with_grain_alone_has_no_ink() -> None:
    grain = np.random.default_rng(0).normal(200, 6, (300, 300)).clip(0, 255).astype(np.uint8)
    with pytest.raises(UserError, match="has no ink"):
        mnist(Image.fromarray(grain))


@pytest.mark.long
def test_pictures_of_digits_are_classified_about_as_well_as_the_digits(
    trained: Path, mnist_test: torchvision.datasets.MNIST
) -> None:
    predictor = predict.load(trained)
    originals = [Image.fromarray(image) for image in mnist_test.data[:200].numpy()]
    pictures = [ImageOps.invert(image).resize((100, 100)).convert("RGB") for image in originals]

    def accuracy(p_NO: Tensor) -> float:
        return (p_NO.argmax(1) == mnist_test.targets[:200]).double().mean().item()

    p_NO = predict.classify(predictor, originals)
    torch.testing.assert_close(p_NO.sum(1), torch.ones(200, dtype=torch.float64))
    assert accuracy(p_NO) > 0.85
    assert abs(accuracy(predict.classify(predictor, pictures)) - accuracy(p_NO)) <= 0.03


def test_a_line_an_image_says_class_percent_and_the_next_two(
    trained: Path, picture: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict.main([str(trained), picture, "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["path"] == picture
    assert answer["label"] == "7"
    assert list(answer["probabilities"]) == list("0123456789")
    (_, p), (second, q), (third, r) = sorted(answer["probabilities"].items(), key=lambda item: -item[1])[:3]
    assert predict.main([str(trained), picture]) == 0
    line = f"{picture}  7  {100 * p:5.1f} %  ({second} {100 * q:.1f} %, {third} {100 * r:.1f} %)\n"
    assert capsys.readouterr() == (line, "")


@pytest.mark.long
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
def test_files_that_say_how_they_are_turned_are_turned(
    suffix: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"turned.{suffix}"
    turned_by_exif().save(path, exif=turned_by_exif().getexif())
    assert predict.main([str(trained), str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path}  7 ")


def test_bad_images_are_reported_and_the_good_ones_classified(
    trained: Path, picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (30, 30)).save(tmp_path / "blank.png")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "torn.png").write_bytes(Path(picture).read_bytes()[:200])
    names = ("blank.png", "text.png", "torn.png", "absent.png", ".")
    assert predict.main([str(trained), *(str(tmp_path / name) for name in names), picture]) == 2
    out, err = capsys.readouterr()
    assert out.startswith(f"{picture}  7 ")
    problems = ("has no ink", "can't be read as", "can't be read as", "is not there", "is a folder; type its files, ")
    for name, problem, line in zip(names, problems, err.splitlines(), strict=True):
        assert line.startswith(f"rnnexp predict: {tmp_path / name} {problem}")


@pytest.mark.long
def test_a_pruned_run_classifies_with_a_note(run_dir: Path, picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    edit_result(run_dir, status="pruned", reason="pruned after epoch 1")
    assert predict.main([str(run_dir), picture]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(picture)
    assert err == "rnnexp predict: note: the run is pruned (pruned after epoch 1)\n"


def lose_the_model(run_dir: Path) -> None:
    edit_result(run_dir, status="diverged", reason="training loss was nan")
    (run_dir / "model.pt").unlink()


def use_an_absent_class(run_dir: Path) -> None:
    config = json.loads((run_dir / "result.json").read_text())["config"]
    edit_result(run_dir, config=config | {"model": {"_target_": "absent.Network"}})


def change_the_size(run_dir: Path) -> None:
    config = json.loads((run_dir / "result.json").read_text())["config"]
    edit_result(run_dir, config=config | {"model": config["model"] | {"hidden_size": 32}})


SPOILED = {
    "run has not finished: it has no result.json": lambda path: (path / "result.json").unlink(),
    "run is not the folder of a run": shutil.rmtree,
    "result.json is corrupt or can't be read (JSONDecodeError": lambda path: (path / "result.json").write_text("{"),
    "result.json is corrupt (": lambda path: edit_result(path, config={"data": 1}),
    "model.pt is not there: the run is diverged (training loss was nan)": lose_the_model,
    "model.pt is corrupt, or not of rnnexp": lambda path: (path / "model.pt").write_bytes(b"PK torn"),
    "not of rnnexp.models.RecurrentClassifier (RuntimeError": change_the_size,
    "model._target_='absent.Network' is neither rnnexp's nor torch's; if you trust who": use_an_absent_class,
}


@pytest.mark.long
@pytest.mark.parametrize("problem", SPOILED)
def test_a_run_that_cannot_be_used_is_one_line(
    problem: str, run_dir: Path, picture: str, capsys: pytest.CaptureFixture[str]
) -> None:
    SPOILED[problem](run_dir)
    assert predict.main([str(run_dir), picture]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("rnnexp predict: ")
    assert problem in err


def test_help_answers_without_torch() -> None:
    code = "import sys, rnnexp.predict as p\ntry: p.main(['--help'])\nfinally: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: rnnexp predict")
    assert done.stdout.endswith("False\n")


@pytest.mark.parametrize("kind", photos.KINDS)
def test_a_photo_has_one_character(kind: str) -> None:
    for digit in range(10):
        for sign in (1, -1):
            gray_HW = np.asarray(photos.photo(kind, digit), dtype=np.float32)
            found = strokes.find(gray_HW if sign == 1 else 255 - gray_HW)
            assert found is not None
            assert found.num_characters == 1
            ink_HW = found.ink_HW > 60
            assert 0.05 < ink_HW.mean() < 0.4  # of the character with a margin: strokes, and no sheet or shadow
            assert not ink_HW[[0, -1]].any()
            assert not ink_HW[:, [0, -1]].any()


@pytest.mark.parametrize("kind", ["ruled", "desk"])
def test_paper_alone_has_no_ink(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "drawn", lambda *args: np.zeros((photos.SIZE, photos.SIZE)))
    assert strokes.find(np.asarray(photos.photo(kind, 0), dtype=np.float32)) is None


def test_two_characters_are_said_to_be_two(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = np.concatenate([np.asarray(photos.photo("specks", digit))[24:-24, 24:-24] for digit in (4, 2)], axis=1)
    Image.fromarray(both).save(tmp_path / "both.png")
    assert predict.main([str(run_dir), str(tmp_path / "both.png")]) == 0
    assert "both.png seems to hold 2 characters; this is the largest" in capsys.readouterr().err


@pytest.mark.long
def test_photos_are_classified(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rnnexp", "experiment=fast", "name=fast"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    predictor = predict.load(tmp_path / "outputs" / "runs" / "fast")
    right = {
        kind: sum(
            int(predict.classify(predictor, [photos.photo(kind, digit)])[0].argmax()) == digit for digit in range(10)
        )
        for kind in photos.KINDS
    }
    assert sum(right.values()) >= 45, right
