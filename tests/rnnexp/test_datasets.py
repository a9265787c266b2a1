"""`rnnexp data`: what a data set holds, before training."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rnnexp import datasets


@pytest.fixture
def data(monkeypatch, capsys, tmp_path):
    """Returns a function from what is typed to the exit status and what is printed, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def typed(*arguments):
        monkeypatch.setattr(sys, "argv", ["rnnexp", *map(str, arguments)])
        status = datasets.main()
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return typed


def write_series(path, seed=0, **more):
    x = np.random.default_rng(seed).normal(size=(240, 9, 2)).astype(np.float32)
    x[..., 1] = 5
    arrays = {"x_train": x[:200], "y_train": np.arange(200) % 20 // 19, "x_test": x[190:], "y_test": np.arange(50) % 2}
    np.savez(path, **arrays | more)


def test_all_options_are_listed_with_a_line_each_and_ones_own(data, tmp_path):
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "data" / "waves.yaml").write_text("# Waves of three shapes\n_target_: waves.load\n")
    status, out, _ = data("list", "--config-dir", "mine")
    assert status == 0
    lines = out.splitlines()
    assert lines[-1] == "waves          Waves of three shapes"
    assert max(map(len, lines)) <= 80
    for name in ("mnist", "series", "images", "kmnist"):
        assert any(line.startswith(f"{name} ") for line in lines)
    assert data() == (0, "\n".join(lines[:-1]) + "\n", "")


def test_series_are_described_by_their_training_part(data):
    write_series("walks.npz")
    status, out, err = data("describe", "walks.npz")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[1:4] == [
        "examples  200 to train and validate, 50 to test",
        "steps     9 in each series",
        "features  2",
    ]
    assert lines[7].split() == ["1", "5", "0", "5", "5"]
    assert lines[9:] == [
        "2 classes",
        "class  examples",
        "0           190  ####################",
        "1            10  #",
    ]


def test_a_folder_of_images_is_described(data, tmp_path):
    for name, shade in (("dark", 0), ("light", 255)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (12, 10), (shade, 0, number)).save(tmp_path / "photos" / name / f"{number}.png")
    status, out, _ = data("describe", "photos", "data.size=[8,8]")
    assert status == 0
    assert "shape     8 x 8 pixels, 3 channels, uint8" in out
    assert [line.split() for line in out.splitlines()][7] == ["2", "2", "1.414", "0", "4"]
    assert data("check", "photos", "data.test_size=0.4", "data.valid_size=2")[0] == 0


def test_check_tells_the_parts_and_what_may_mislead(data):
    write_series("walks.npz")
    status, out, _ = data("check", "walks.npz", "data.valid_size=0.1")
    assert status == 0
    assert out.splitlines() == [
        "sound: 180 to train, 20 to validate, 50 to test",
        "note: class 0 has 190 examples, 1 has 10; train.class_weights=balanced, and metrics such as "
        "balanced_accuracy, weigh them",
        "note: 10 test examples are in the training part, too: the test accuracy will flatter",
        "note: features that never change: 1",
        "note: an accuracy of 20 validation examples is known to 11 points at best; see data.folds=5",
        "note: an accuracy of 50 test examples is known to 7 points at best; see data.test_size",
    ]


def test_check_counts_examples_that_are_there_twice(data):
    x = np.ones((200, 4, 1), np.float32)
    np.savez("same.npz", x=x * np.arange(200).reshape(-1, 1, 1) // 2, y=np.arange(200) % 2)
    assert "note: 100 examples for training appear more than once" in data("check", "same.npz")[1]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["check", "walks.npz", "data.valid_size=500"], "data.valid_size=500 must leave 2 of 200 examples to train"),
        (["check", "gone.npz"], "there is no file or folder gone.npz"),
        (["describe", "mnits"], "data=mnits: no such data (did you mean mnist?)"),
        (
            ["check", "pics/disk"],
            "data.root=pics/disk holds images (1.png), but no folder for each class; is it the fold",
        ),
        (["describe", "pisc"], "data=pisc: no such data; there are cifar10, "),
        (
            ["describe", "data=pics"],
            "data=pics: no such data (folder pics: type data=images data.root=pics); there are",
        ),
        (
            ["check", "data=series", "data.root=walk.npz"],
            "data.root=walk.npz is not there (did you mean walks.npz?); t",
        ),
        (["describe"], "which data? There are cifar10, "),
        (["describe", "walks.npz", "data.lmit=3"], "there is no key data.lmit (did you mean data.limit?)"),
        (["delete", "walks.npz"], "argument what: invalid choice: 'delete'"),
    ],
)
def test_what_is_wrong_is_a_line(data, arguments, line):
    write_series("walks.npz")
    Path("pics", "disk").mkdir(parents=True)
    Image.new("L", (4, 4)).save("pics/disk/1.png")
    status, out, err = data(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"rnnexp data: {line}")
    assert len(err.splitlines()) == 1
    if "pisc" in arguments:
        assert err.endswith("; and there is no file or folder pisc (did you mean pics?)\n")


def test_nothing_of_the_test_part_but_its_size_is_shown(data):
    write_series("one.npz", x_test=np.full((50, 9, 2), 1e6, np.float32))
    write_series("other.npz", y_test=np.zeros(50, int))
    _, one, _ = data("describe", "one.npz")
    _, other, _ = data("describe", "other.npz")
    assert one.splitlines()[1:] == other.splitlines()[1:]
