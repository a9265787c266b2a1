"""Data of one's own, from its file to the record, the page, the table and predictions."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from series_data import TINY, flags, gestures
from sweeps import rows

from hydra_sweep.errors import UserError
from rnnexp import predict
from rnnexp.data import image_folder
from rnnexp.data.dataset import Dataset
from rnnexp.record.result import few_to_validate
from rnnexp.record.run_folder import RunFolder
from rnnexp.report.command import main as report
from rnnexp.reproduce import main as reproduce
from rnnexp.results import collect
from rnnexp.runner import run
from rnnexp.train import few_line


@pytest.fixture(scope="module")
def series_file(tmp_path_factory):
    return gestures(tmp_path_factory.mktemp("series") / "gestures.npz")


@pytest.fixture(scope="module")
def series_run(series_file, compose, tmp_path_factory):
    """Returns the folder of a run on series of unequal lengths, with metrics of their own."""
    out = tmp_path_factory.mktemp("runs") / "series"
    named = ["train.epochs=12", "metrics=[balanced_accuracy,macro_f1]", "train.monitor=valid_macro_f1"]
    run(compose("data=series", f"data.root={series_file}", *TINY, *named), out)
    return out


@pytest.fixture(scope="module")
def image_run(compose, tmp_path_factory):
    """Returns the folder of a run on a folder of images in color, and that folder."""
    out, root = tmp_path_factory.mktemp("runs") / "images", flags(tmp_path_factory.mktemp("images") / "flags")
    cached = pytest.MonkeyPatch()
    cached.setattr(image_folder.platformdirs, "user_cache_dir", lambda name: str(out.parent / "cache"))
    run(compose("data=images", f"data.root={root}", "data.size=8", "data.sequence=rows", *TINY), out)
    cached.undo()
    return out, root


# The record.


def test_the_record_says_what_the_dataset_was_and_how_it_was_split(series_run):
    about = RunFolder(series_run).read_result().dataset
    assert (about["kind"], about["classes"], about["shape"]) == (
        "series",
        ["class 00", "class 01", "class 02"],
        [None, 2],
    )
    assert (about["num_train"], about["num_valid"], about["num_test"]) == (58, 14, 18)
    assert len(about["mean"]) == len(about["std"]) == 2
    assert RunFolder(series_run).read_result().metrics["test_accuracy"] > 0.8


def test_another_file_of_the_same_name_is_another_run(series_file, compose, tmp_path):
    path = Path(shutil.copy(series_file, tmp_path / "mine.npz"))
    named = ("data=series", f"data.root={path}", *TINY)
    run(compose(*named), tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    gestures(path, seed=1)
    with pytest.raises(
        UserError, match=r"holds a run of another dataset \(data, train: .* -> .*\); choose another name"
    ):
        run(compose(*named, "train.resume=true", "train.epochs=3"), tmp_path / "run")


def test_a_run_on_series_comes_out_again_bit_for_bit_and_not_on_other_series(series_file, compose, tmp_path, capsys):
    path = Path(shutil.copy(series_file, tmp_path / "mine.npz"))
    run(compose("data=series", f"data.root={path}", "data.noise=0.1", "data.window=0.8", *TINY), tmp_path / "run")
    assert reproduce([str(tmp_path / "run")]) == 0
    assert "identical: history and metrics" in capsys.readouterr().out
    gestures(path, seed=1)
    assert reproduce([str(tmp_path / "run")]) == 1
    assert "data, train: " in capsys.readouterr().out


def test_without_validation_the_last_epoch_is_kept_and_no_figure_is_made_up(series_file, compose, tmp_path):
    named = ("data.valid_size=0", "train.keep=last", "metrics=[macro_f1]")
    result = run(compose("data=series", f"data.root={series_file}", *TINY, *named), tmp_path)
    assert result.metrics["best_epoch"] == 3
    assert result.dataset["num_valid"] is None
    assert not [name for name in result.metrics if name.startswith("valid_")]
    assert result.metrics["test_macro_f1"] > 0
    assert all(math.isnan(float(row["valid_macro_f1"])) for row in RunFolder(tmp_path).read_history())


def test_folds_of_a_run_validate_on_every_training_example_once(series_file, compose, tmp_path):
    sizes = []
    for fold in range(4):
        named = ("data.folds=4", f"data.fold={fold}", "train.epochs=1")
        result = run(compose("data=series", f"data.root={series_file}", *TINY, *named), tmp_path / str(fold))
        sizes.append(result.dataset["num_valid"])
        assert result.dataset["num_train"] + sizes[-1] == 72
    assert sum(sizes) == 72


def test_few_examples_to_validate_are_said_to_be_few(series_file, compose, tmp_path, caplog):
    cfg = compose("data=series", f"data.root={series_file}", *TINY, "train.epochs=1")
    run(cfg, tmp_path / "2026-01-02_10" / "0")
    assert (
        "14 examples validate, fewer than 100: what they choose is mostly chance; in a search or a comparison"
        in caplog.text
    )
    for name, is_search, few in (("2026-01-02_10", True, 14), ("2026-01-02_09", True, 14), ("2026-01-02_10", False, 0)):
        plan = SimpleNamespace(
            folder=SimpleNamespace(path=tmp_path / name),
            space=SimpleNamespace(is_search=is_search),
            settings=SimpleNamespace(summary=True),
            n_trials=3,
        )
        said = few_line(SimpleNamespace(full=cfg, plan=plan))  # of a sweep whose name is the time, that of its folder
        assert said == few_to_validate(few)
        assert said.startswith("14 examples validate, fewer than 100: ") == is_search


@pytest.mark.parametrize(("num_classes", "kind"), [(256, np.uint8), (300, np.uint16)])
def test_outcomes_hold_as_many_classes_as_there_are(compose, tmp_path, num_classes, kind):
    path = gestures(tmp_path / "many.npz", 6 * num_classes, num_classes)
    run(compose("data=series", f"data.root={path}", *TINY, "train.epochs=1", "data.valid_size=0.25"), tmp_path / "run")
    outcomes = RunFolder(tmp_path / "run").read_test_outcomes()
    assert outcomes.labels.dtype == outcomes.predicted.dtype == kind
    assert set(outcomes.labels) == set(range(num_classes))
    assert report([str(tmp_path / "run")]) == 0


def test_a_class_more_than_outcomes_can_hold_is_a_line():
    x = np.zeros((65_537, 1, 1), np.float32)
    [line] = Dataset.of_series(x, np.arange(65_537)).problems()
    assert "65,535" in line


def test_a_record_of_the_first_edition_is_still_a_row_and_a_page_and_no_network(series_run, tmp_path, capsys):
    folder = RunFolder(Path(shutil.copytree(series_run, tmp_path / "first")))
    result = json.loads(folder.result.read_text())
    del result["dataset"], result["config"]["data"]["_target_"], result["crc32"]
    folder.result.write_text(json.dumps(result))
    row = collect(folder.path).iloc[0]
    assert row["status"] == "complete"
    assert row["test_accuracy"] == result["metrics"]["test_accuracy"]
    assert report([str(folder.path)]) == 0
    assert "Confusion matrix" in (folder.path / "report.html").read_text()
    capsys.readouterr()
    assert predict.main([str(folder.path), "x.npz"]) == reproduce([str(folder.path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("is of an earlier version of rnnexp" in line for line in lines)


def test_a_run_that_neither_validates_nor_tests_comes_out_again(series_file, compose, tmp_path, capsys):
    named = ["data.valid_size=0", "data.test_size=0", "train.keep=last"]
    run(compose("data=series", f"data.root={series_file}", *TINY, *named), tmp_path / "run")
    assert reproduce([str(tmp_path / "run")]) == 0
    assert "valid loss" not in capsys.readouterr().out


@pytest.mark.long
def test_a_sweep_does_not_go_on_with_other_examples(series_file, tmp_path):
    def sweep(*typed):
        command = [
            sys.executable,
            "-m",
            "rnnexp",
            "-m",
            "data=series",
            "data.root=mine.npz",
            "name=s",
            *TINY[1:],
            *typed,
        ]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    shutil.copy(series_file, tmp_path / "mine.npz")
    assert sweep("model=rnn,gru").returncode == 0
    gestures(tmp_path / "mine.npz", seed=1)
    refused = sweep("model=rnn,gru,lstm")
    assert refused.returncode == 2
    assert "s holds runs on another dataset (data, train: " in refused.stderr
    shutil.copy(series_file, tmp_path / "mine.npz")
    assert sweep("model=rnn,gru,lstm").returncode == 0


def test_what_a_record_names_below_data_is_not_called(series_run, tmp_path, capsys):
    folder = RunFolder(Path(shutil.copytree(series_run, tmp_path / "run")))
    result = json.loads(folder.result.read_text())
    del result["crc32"]
    for data in ({"missing": {"_target_": "rnnexp.data.idx.ensure"}}, {"_target_": "rnnexp.data.idx.ensure"}):
        config = {**result["config"], "data": {**result["config"]["data"], **data}}
        folder.result.write_text(json.dumps({**result, "config": config}))
        assert reproduce([str(folder.path)]) == 2
        assert "rnnexp.data.idx.ensure' is neither rnnexp's nor torch's" in capsys.readouterr().err


# Pages and predictions.


@pytest.mark.parametrize("kind", ["series", "images"])
def test_a_page_shows_mistakes_as_lines_or_as_images(series_file, image_run, compose, tmp_path, kind, monkeypatch):
    if kind == "images":
        monkeypatch.setattr(image_folder.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache"))
    root = series_file if kind == "series" else image_run[1]
    named = [
        "optim.lr=1e-6",
        "train.epochs=1",
        "data.test_size=0.5",
        "data.valid_size=0.25",
    ]  # so that there are mistakes
    size = ["data.size=8"] if kind == "images" else []
    run(compose(f"data={kind}", f"data.root={root}", *TINY, *named, *size), tmp_path / "run")
    outcomes = RunFolder(tmp_path / "run").read_test_outcomes()
    wrong = np.flatnonzero(outcomes.predicted != outcomes.labels)
    assert len(wrong) >= 3
    assert set(outcomes.worst) <= set(wrong)
    assert (np.sort(outcomes.losses[wrong])[::-1][: len(outcomes.worst)] == outcomes.losses[outcomes.worst]).all()
    assert report([str(tmp_path / "run")]) == 0
    html = (tmp_path / "run" / "report.html").read_text()
    figure = html[html.index("Worst mistakes") :]
    assert ("<image" in figure) == (kind == "images")
    for title in ("Confusion matrix", "Classes", "Most frequent mistakes"):
        assert title in html


def test_a_page_of_sixty_classes_is_readable(compose, tmp_path):
    path = gestures(tmp_path / "many.npz", 600, 60)
    run(compose("data=series", f"data.root={path}", *TINY, "train.epochs=1"), tmp_path / "run")
    assert report([str(tmp_path / "run")]) == 0
    html = (tmp_path / "run" / "report.html").read_text()
    assert "Most frequent mistakes" in html
    assert "class 59" in html


def test_predictions_of_series_are_those_of_the_test(series_run, series_file, capsys):
    found = np.load(series_file)
    ends = np.cumsum(found["lengths"])[:-1]
    predictor = predict.load(series_run)
    series = np.split(found["x"], ends)
    together = predict.probabilities(predictor, series)
    alone = torch.cat([predict.probabilities(predictor, [one]) for one in series])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    right = [predictor.labels[i] == y for i, y in zip(together.argmax(1), found["y"], strict=True)]
    assert np.mean(right) > 0.8
    assert predict.main([str(series_run), str(series_file), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["label"] for answer in answers] == [predictor.labels[i] for i in together.argmax(1)]
    assert answers[3]["path"] == f"{series_file}:3"


def test_predictions_of_images_bring_them_to_the_size_of_the_others(image_run, tmp_path, capsys):
    folder, root = image_run
    Image.open(root / "upright" / "1.png").resize((40, 40), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    assert predict.main([str(folder), str(tmp_path / "large.png"), str(root / "lying" / "0.png"), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert set(answers[0]["probabilities"]) == {"lying", "upright"}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"x": np.zeros((2, 5, 3), np.float32)}, "the run reads series of shape (T, 2), got (5, 3)"),
        ({"z": np.zeros(3)}, "expected arrays x and y, got z"),
        ({"x": np.zeros((0, 5, 2), np.float32)}, "it has no series"),
        ({"x": np.zeros((2, 0, 2), np.float32)}, "it has a series without steps"),
        ({"x": np.full((2, 3, 2), np.inf, np.float32)}, "NaN or infinite"),
    ],
)
def test_series_that_do_not_fit_the_run_are_a_line(series_run, tmp_path, capsys, content, line):
    np.savez(tmp_path / "other.npz", **content)
    assert predict.main([str(series_run), str(tmp_path / "other.npz")]) == 2
    errors = capsys.readouterr().err
    assert line in errors
    assert len(errors.splitlines()) == 1


class Lengthy(torch.nn.Module):
    """A network that can't do without lengths."""

    def __init__(self, input_size, num_classes):
        super().__init__()
        self.linear = torch.nn.Linear(input_size, num_classes)

    def forward(self, x_BTI, lengths_B):
        return self.linear(x_BTI.sum(1) / lengths_B[:, None])


def test_a_network_hears_of_lengths_as_it_did_in_training(series_file, compose, tmp_path):
    tiny = [text for text in TINY if not text.startswith("model")]
    named = ["~model", f"+model={{_target_: {__name__}.Lengthy}}"]
    run(compose("data=series", f"data.root={series_file}", *tiny, *named), tmp_path / "run")
    predictor = predict.load(tmp_path / "run", trust=True)
    assert predict.probabilities(predictor, [np.ones((5, 2)), np.ones((5, 2))]).shape == (2, 3)
    np.savez(tmp_path / "equal.npz", x=np.random.default_rng(0).random((60, 5, 2)), y=np.arange(60) % 3)
    with pytest.raises(UserError, match="Lengthy needs lengths, and the series have one"):
        run(compose("data=series", f"data.root={tmp_path / 'equal.npz'}", *tiny, *named), tmp_path / "other")


def test_a_record_with_a_dataset_of_ones_own_needs_trust_to_run_again_and_none_to_be_drawn(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nfrom rnnexp.data.dataset import Dataset\n\n\ndef waves():\n"
        "    y = np.arange(60) % 2\n"
        "    return Dataset.of_series(np.sin(np.arange(9) * (1 + y[:, None])), y, classes=['slow', 'fast'])\n"
    )
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "waves.yaml").write_text("defaults: [shared/series, _self_]\n_target_: mine.waves\n")

    def typed(module, *arguments):
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    done = typed("rnnexp", "--config-dir", "conf", "data=waves", *TINY, "name=own")
    assert done.returncode == 0, done.stderr
    refused = typed("rnnexp.reproduce", "outputs/runs/own")
    assert refused.returncode == 2
    assert "data._target_='mine.waves' is neither rnnexp's nor torch's; if you trust who wrote it, add --trust" in (
        refused.stderr
    )
    assert typed("rnnexp.reproduce", "outputs/runs/own", "--trust").returncode == 0
    assert typed("rnnexp.report", "outputs/runs/own").returncode == 0


# A comparison.


@pytest.mark.long
def test_a_comparison_on_series_searches_by_folds_and_trains_on_all_of_them(series_file, tmp_path):
    command = [
        sys.executable,
        "-m",
        "rnnexp.compare",
        "name=cells",
        "data=series",
        f"data.root={series_file}",
        *(text for text in TINY[1:] if not text.startswith("optim")),
    ]
    command += ["data.folds=3", "train.keep=last", 'compare.arms=["model=gru","model=rnn"]', "compare.trials=2"]
    command += ["compare.searches=1", "compare.seeds=2", 'compare.final=["data.valid_size=0"]', "search=quick"]
    command += ["workers=1", "hydra/launcher=basic"]  # in fewer processes
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "outputs" / "compare" / "cells"
    searched = rows(folder / "search" / "model_gru" / "1")
    assert [(row["trial"], row["fold"]) for row in searched] == [(t, f) for t in "01" for f in "012"]
    again = rows(folder / "again" / "model_gru" / "1")
    assert [(row["trial"], row["fold"]) for row in again] == [(t, f) for t in "01" for f in "012"]
    [final] = (folder / "final" / "model_gru" / "1").iterdir()
    result = RunFolder(final / "0").read_result()
    assert (result.dataset["num_train"], result.dataset["num_valid"], result.dataset["num_test"]) == (72, None, 18)
    verdict = json.loads((folder / "comparison.json").read_text())
    assert all(len(arm["accuracies"]) == 2 for arm in verdict["arms"])
    assert "images" not in json.dumps(verdict)
