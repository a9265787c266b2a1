"""Folders of images are read once, as they are, and what can't be read is named."""

import os
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from hydra_sweep.errors import UserError
from rnnexp.data import image_folder
from rnnexp.data.image_folder import as_array, load


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Returns a cache of the test's own."""
    monkeypatch.setattr(image_folder.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


def picture(path, color, size=(12, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pets"
    for number in range(3):
        picture(root / "cat" / f"{number}.png", (200, number, 0))
        picture(root / "dog" / "more" / f"{number}.jpg", (0, 0, 200), size=(9, 30 + number))
    return root


def entries(cache):
    return sorted(path.name for path in cache.iterdir() if path.is_dir())


def test_classes_are_the_subfolders_and_images_have_one_size(folder):
    dataset = load(str(folder), size=[4, 6])
    assert (dataset.kind, dataset.classes, dataset.shape, dataset.name) == ("images", ("cat", "dog"), (4, 6, 3), "pets")
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.train.x[:3, 0, 0].tolist() == [[200, 0, 0], [200, 1, 0], [200, 2, 0]]
    assert not dataset.has_test
    gray = load(str(folder), size=4, channels=1)
    assert gray.shape == (4, 4)
    assert gray.problems() == []


def test_train_and_test_are_the_parts_and_the_test_part_is_left_alone_if_it_is_not_wanted(tmp_path, folder, cache):
    root = tmp_path / "parted"
    shutil.copytree(folder, root / "train")
    picture(root / "test" / "dog" / "1.png", 0)
    dataset = load(str(root))
    assert (len(dataset.train), dataset.test.labels.tolist(), dataset.has_test) == (6, [1], True)
    shutil.rmtree(cache)
    (root / "test" / "dog" / "1.png").write_text("no image")
    unseen = load(str(root), with_test=False)
    assert (unseen.test, unseen.has_test, len(entries(cache))) == (None, True, 1)
    picture(root / "test" / "fox" / "1.png", 0)
    with pytest.raises(UserError, match="the test part has a class that train lacks: fox"):
        load(str(root))


def test_images_are_read_once_and_again_only_if_their_contents_change(folder, cache, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(image_folder, "as_array", lambda image, *how: read.append(image) or as_array(image, *how))
    first = load(str(folder))
    assert len(read) == 6
    load(str(folder))
    for path in folder.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    assert load(str(folder)).train.checksum == first.train.checksum
    shutil.copytree(folder, tmp_path / "moved")
    assert np.array_equal(load(str(tmp_path / "moved")).train.x, first.train.x)
    assert len(read) == 6
    assert len(entries(cache)) == 1
    picture(folder / "cat" / "0.png", (9, 9, 9))
    assert load(str(folder)).train.checksum != first.train.checksum
    load(str(folder), size=5)
    load(str(folder), fit="pad")
    assert len(read) == 6 + 3 * 6
    assert len(entries(cache)) == 4


def test_a_cache_that_was_killed_while_it_was_filled_is_no_cache(folder, cache, monkeypatch):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(image_folder.np, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            load(str(folder))
    assert entries(cache) == []
    assert len(load(str(folder)).train) == 6


def test_several_at_once_fill_one_cache(folder, cache):
    found = []
    threads = [threading.Thread(target=lambda: found.append(load(str(folder)).train.checksum)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == len(entries(cache)) == 1


def test_files_that_are_no_images_are_left_out_named_and_counted(folder, caplog):
    (folder / "cat" / "broken.png").write_bytes((folder / "cat" / "0.png").read_bytes()[:40])
    (folder / "cat" / "note.txt").write_text("not an image, and not meant as one")
    (folder / "dog" / "zero.jpg").write_text("")
    (folder / "dog" / ".DS_Store").write_text("hidden")
    for _ in range(2):  # from the files, and from the cache
        caplog.clear()
        dataset = load(str(folder))
        assert len(dataset.train) == 6
        [record] = caplog.records
        assert record.message.startswith("2 of 8 files can't be read as images: ")
        assert "broken.png (" in record.message
        assert "zero.jpg (cannot identify image file" in record.message


def test_what_is_no_folder_of_classes_is_one_line(tmp_path, folder):
    cases = {
        str(tmp_path / "nowhere"): "is not a directory; type the folder that holds a subfolder for each class",
        f"{folder}s": f"is not a directory (did you mean {folder}?); type the folder that holds a subfolder for each",
        str(folder / "cat"): (
            f"data.root={folder / 'cat'} holds images (0.png), but no folder for each class; is it the folder of one "
            f"class? Then type data=images data.root={folder}"
        ),
        str(tmp_path / "bare"): "has no subfolders; put the images of each class into one of its name, as cat/1.png",
    }
    (tmp_path / "bare").mkdir()
    (folder / "empty").mkdir()
    cases[str(folder)] = "no image in the class folder empty; fill it, or delete it"
    broken = tmp_path / "broken"
    picture(broken / "a" / "1.png", 0)
    (broken / "b").mkdir()
    (broken / "b" / "1.png").write_text("x")
    cases[str(broken)] = "no file of class b can be read as an image"
    for root, line in cases.items():
        with pytest.raises(UserError) as refused:
            load(root)
        assert line in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("L", 77, 77),
        ("1", 1, 255),
        ("P", 5, None),
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (0, 0, 0)),
        ("LA", (80, 255), 80),
        ("CMYK", (0, 0, 0, 0), 255),
        ("I;16", 65535, 255),
        ("I", 7, 0),
        ("F", 0.5, 0),
    ],
)
def test_images_of_any_mode_become_gray_or_rgb(mode, color, expected):
    image = Image.new(mode, (6, 6), color)
    gray, rgb = as_array(image, (3, 3), 1, "crop"), as_array(image, (3, 3), 3, "crop")
    assert (gray.shape, gray.dtype, rgb.shape, rgb.dtype) == ((3, 3), np.uint8, (3, 3, 3), np.uint8)
    if expected is not None:
        assert rgb[1, 1].tolist() == list(expected if isinstance(expected, tuple) else (expected,) * 3)


def test_an_image_is_turned_as_its_exif_data_says(tmp_path):
    image = Image.new("L", (20, 10))
    image.paste(255, (0, 0, 10, 10))  # the left half
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    image.save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as opened:
        array = as_array(opened, (20, 10), 1, "stretch")
    assert array[:8].min() > 200
    assert array[-8:].max() < 50


@pytest.mark.parametrize(("fit", "top", "left"), [("crop", 255, 255), ("pad", 0, 0), ("stretch", 255, 0)])
def test_other_proportions_are_cropped_padded_or_stretched(fit, top, left):
    wide = Image.new("L", (40, 10))
    wide.paste(255, (8, 0, 32, 10))  # a bar in the middle
    array = as_array(wide, (10, 10), 1, fit)
    assert array.shape == (10, 10)
    assert (array[0, 5], array[5, 0], array[5, 5]) == (top, left, 255)


@pytest.mark.parametrize("names", [("Train", "Test"), ("training", "testing")])
def test_parts_are_known_however_they_are_written(tmp_path, folder, names):
    for name in names:
        shutil.copytree(folder, tmp_path / "parts" / name)
    dataset = load(str(tmp_path / "parts"))
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.test) == 6


def test_a_class_may_be_named_train(tmp_path, folder):
    picture(folder / "train" / "1.png", (0, 0, 0))
    assert load(str(folder)).classes == ("cat", "dog", "train")


def test_a_class_that_is_new_gives_the_others_other_labels(tmp_path, folder):
    for part in ("train", "test"):
        shutil.copytree(folder, tmp_path / "parts" / part)
    assert set(load(str(tmp_path / "parts")).test.labels) == {0, 1}
    picture(tmp_path / "parts" / "train" / "ant" / "1.png", (1, 1, 1))
    assert set(load(str(tmp_path / "parts")).test.labels) == {1, 2}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_pipes_and_links_to_nothing_are_left_out_named_and_counted(folder, caplog):
    os.mkfifo(folder / "cat" / "pipe.png")
    (folder / "cat" / "link.png").symlink_to("nowhere")
    (folder / "cat" / "up").symlink_to("..")
    picture(folder / "loose.png", (0, 0, 0))
    dataset = load(str(folder))
    assert "2 of 8 files can't be read as images" in caplog.text
    assert "1 file beside the class folders, as loose.png, is not read" in caplog.text
    assert np.bincount(dataset.train.labels).tolist() == [3, 3]
