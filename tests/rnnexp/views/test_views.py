"""Runs, sweeps and comparisons from Python: what they say is what their folders hold."""

import json
import shutil
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from series_data import TINY, flags, gestures

from hydra_sweep.errors import UserError
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp import predict
from rnnexp.record.result import TestOutcomes
from rnnexp.runner import run as run_config
from rnnexp.verdict import across, judge
from rnnexp.verdict.values import Arm
from rnnexp.verdict.values import Run as FinalRun
from rnnexp.views import Comparison, Run, Sweep, at

HOSTILE = "<script>alert('x')</script>&\x1b[31m"
COLORS = ("#0072b2", "#d55e00", "#009e73")  # of curves, which can be seen on white and on black


@pytest.fixture(scope="module")
def of_series(compose, tmp_path_factory):
    """Returns a run on series of unequal lengths and two features, and their file."""
    folder = tmp_path_factory.mktemp("series")
    path = gestures(folder / "gestures.npz")
    run_config(compose("data=series", f"data.root={path}", *TINY), folder / "run", choices={"model": "gru"})
    return Run(folder / "run"), path


@pytest.fixture(scope="module")
def of_images(compose, tmp_path_factory):
    """Returns a run on images in color, of 8 x 8 pixels, and their folder."""
    folder = tmp_path_factory.mktemp("images")
    words = ["data=images", f"data.root={flags(folder / 'flags')}", "data.size=8", *TINY, "data.valid_size=4"]
    run_config(compose(*words), folder / "run")
    return Run(folder / "run"), folder / "flags"


@pytest.fixture
def spoiled(of_series, tmp_path):
    """Returns a copy of a run, to spoil."""
    return Run(shutil.copytree(of_series[0].path, tmp_path / "a run"))


def elements(html):
    """Returns the names of all elements of a piece of HTML, which must be whole."""
    return [element.tag.rpartition("}")[2] for element in ElementTree.fromstring(html).iter()]


def test_a_run_says_what_its_record_holds(of_series):
    run, _ = of_series
    recorded = json.loads(run.folder.result.read_text())
    assert (run.status, run.reason, run.name) == ("complete", None, "run")
    assert run.metrics == recorded["metrics"]
    assert run.config == recorded["config"]
    assert run.result.seed == recorded["seed"]
    history = run.history
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history.dtypes.map(lambda kind: kind.kind).tolist() == ["i", *"ffffff"]
    assert history["train_loss"].iloc[-1] == [float(row["train_loss"]) for row in run.folder.read_history()][-1]
    assert "crc32" not in history
    assert run == at(run.path)


def test_a_run_is_a_few_lines_of_text_and_a_table_with_curves(of_series, monkeypatch):
    run, _ = of_series
    monkeypatch.chdir(run.path.parent)
    first, second = repr(run).splitlines()
    assert first == "Run run: complete"
    assert second.split()[:2] == ["test_accuracy", f"{run.metrics['test_accuracy']:.4f}"]
    html = run._repr_html_()
    assert {"table", "svg", "strong"} <= set(elements(html))
    assert "model=gru" in html
    assert "var(--" not in html
    assert "currentColor" in html
    assert html.count(COLORS[0])
    assert not {"script", "link", "img", "foreignObject"} & set(elements(html))


def test_a_run_that_has_not_ended_says_how_far_it_is(spoiled, of_series):
    spoiled.folder.result.unlink()
    assert (spoiled.status, spoiled.result) == ("unfinished", None)
    assert spoiled.metrics["epochs"] == 3
    assert spoiled.config["model"] == of_series[0].config["model"]
    assert repr(spoiled).startswith(f"Run {spoiled.path}: unfinished\n")
    with pytest.raises(UserError, match="has not finished"):
        spoiled.predict(np.zeros((4, 2)))
    spoiled.folder.history.unlink()
    assert list(spoiled.history.columns)[:2] == ["epoch", "lr"]
    assert len(spoiled.history) == 0
    assert "svg" not in elements(spoiled._repr_html_())


def test_a_damaged_run_says_so_and_is_shown_all_the_same(spoiled):
    spoiled.folder.result.write_text("{")
    assert (spoiled.status, "result.json" in spoiled.reason) == ("corrupt", True)
    with pytest.raises(UserError, match=r"result.json is corrupt"):
        _ = spoiled.config
    spoiled.folder.history.write_text("epoch,lr\n1,2\n")
    with pytest.raises(UserError, match=r"history.csv can't be read"):
        _ = spoiled.history
    assert elements(spoiled._repr_html_()) == ["pre"]
    shutil.rmtree(spoiled.path)
    assert repr(spoiled).startswith("no folder ")
    assert elements(spoiled._repr_html_()) == ["pre"]


def test_series_are_read_one_or_several_of_any_length_from_arrays_and_files(of_series):
    run, path = of_series
    random = np.random.default_rng(0)
    several = [random.normal(size=(length, 2)) for length in (4, 9, 6)]
    wanted = predict.probabilities(predict.load(run.path), several).numpy()
    classes, probabilities = run.predict(several)
    np.testing.assert_array_equal(probabilities.to_numpy(), wanted)
    assert list(probabilities.columns) == ["class 00", "class 01", "class 02"]
    assert classes == probabilities.idxmax(axis=1).tolist()
    np.testing.assert_allclose(run.predict(several[1]).probabilities.to_numpy(), wanted[1:2], rtol=1e-6)
    stacked = np.stack([several[1], several[1]])
    np.testing.assert_allclose(run.predict(stacked).probabilities.to_numpy(), wanted[[1, 1]], rtol=1e-6)
    np.testing.assert_allclose(run.predict(torch.tensor(stacked)).probabilities.to_numpy(), wanted[[1, 1]], rtol=1e-6)
    of_file = run.predict(path)
    assert len(of_file.classes) == 90
    assert of_file.probabilities.index[0] == f"{path}:0"
    assert np.mean([name == f"class {i % 3:02}" for i, name in enumerate(of_file.classes)]) > 0.5
    assert (run.predict([]).classes, run.predict([]).probabilities.shape) == ([], (0, 3))


def test_images_are_read_from_files_pillow_and_arrays(of_images):
    run, folder = of_images
    paths = [folder / "upright" / "1.png", folder / "lying" / "2.png"]
    images = [Image.open(path) for path in paths]
    arrays = [np.asarray(image) for image in images]
    wanted = run.predict(paths).probabilities
    assert wanted.index.tolist() == list(map(str, paths))
    for x in (images, arrays, np.stack(arrays), torch.tensor(np.stack(arrays))):
        np.testing.assert_array_equal(run.predict(x).probabilities.to_numpy(), wanted.to_numpy())
    assert run.predict(images[0]).classes == run.predict(str(paths[0])).classes


@pytest.mark.parametrize(
    ("x", "line"),
    [
        (3, "the run reads images, arrays or files, got a int"),
        (np.zeros(4), "the run reads arrays of numbers of 2 dimensions, or 3 for several examples, got 1 of float64"),
        (
            np.array([["a", "b"]]),
            "the run reads arrays of numbers of 2 dimensions, or 3 for several examples, got 2 of",
        ),
        (np.zeros((4, 3)), "the run reads series of shape (T, 2), got (4, 3)"),
        (np.full((4, 2), np.nan), "an example has no steps, or values that are NaN or infinite"),
        ("nowhere.npz", "cannot read nowhere.npz: "),
    ],
)
def test_what_a_run_can_not_read_is_a_line(of_series, x, line):
    with pytest.raises(UserError) as caught:
        of_series[0].predict(x)
    assert str(caught.value).startswith(line)


def test_its_network_has_the_weights_that_were_kept(of_series):
    run, _ = of_series
    model = run.model()
    assert not model.training
    kept = torch.load(run.folder.model, weights_only=True)
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def test_it_can_be_run_again_and_written_as_a_page(spoiled, tmp_path):
    assert spoiled.reproduce(tmp_path / "again").results == []
    assert Run(tmp_path / "again").status == "complete"
    assert spoiled.report() == spoiled.path / "report.html"
    assert spoiled.report(tmp_path / "page.html").read_text().startswith("<!doctype html>")


def made_sweep(folder, run=None, objectives=("valid_accuracy",), rows=(), best=None):
    """Makes a sweep's folder without its study."""
    folder.mkdir()
    names = ["trial", "state", "reason", *objectives, "optim.lr", "seconds", "folder"]
    SweepFolder(folder).write_table(names, [dict(zip(names, row, strict=True)) for row in rows])
    request = {"space": {"optim.lr": "interval(0, 1)"}, "objective": list(objectives)}
    request |= {"direction": ["maximize", "minimize"][: len(objectives)]}
    (folder / "sweep.yaml").write_text(yaml.safe_dump({"study": "s", "n_trials": 5, "request": request}))
    if best:
        (folder / "best.yaml").write_text(yaml.safe_dump(best))
    for row in rows if run else ():
        shutil.copytree(run.path, folder / row[-1])
    return Sweep(folder)


ROWS = [
    [0, "complete", None, 0.5, 0.1, 3.0, "0"],
    [1, "failed", HOSTILE, None, 0.7, 3.0, "1"],
    [2, "complete", None, 0.75, 0.9, 3.0, "2"],
]


def test_a_sweep_says_what_its_record_holds(of_series, tmp_path, monkeypatch):
    best = {"valid_accuracy": 0.75, "trial": 2, "overrides": ["optim.lr=0.9"], "folder": "/moved/since/2"}
    sweep = made_sweep(tmp_path / HOSTILE[1:7], of_series[0], rows=ROWS, best=best)
    monkeypatch.chdir(tmp_path)
    assert sweep.n_trials == 5
    assert sweep.table["valid_accuracy"].tolist()[::2] == [0.5, 0.75]
    assert (sweep.best.path, sweep.best_overrides) == (sweep.path / "2", ["optim.lr=0.9"])
    assert sweep.front == [sweep.best]
    assert sweep.trial(0).metrics == of_series[0].metrics
    assert sweep.runs["path"].tolist() == ["0", "1", "2"]
    told = ["Sweep script: 3 of 5 trials finished", "  best valid_accuracy 0.7500 (trial 2): optim.lr=0.9"]
    assert repr(sweep).splitlines() == told
    html = sweep._repr_html_()
    assert {"table", "svg"} <= set(elements(html))
    assert html.index('<td style="text-align: right">2</td>') < html.index('<td style="text-align: right">0</td>')
    assert sweep.report().exists()
    assert at(sweep.path) == sweep


def test_a_sweep_with_repeats_leads_to_the_first_of_them(of_series, tmp_path):
    rows = [[0, "complete", None, 0.5, 0.1, 3.0, f"0/{number}"] for number in range(2)]
    best = {"valid_accuracy": 0.5, "trial": 0, "overrides": [], "folder": "0"}
    sweep = made_sweep(tmp_path / "s", of_series[0], rows=rows, best=best)
    assert sweep.best.path == tmp_path / "s" / "0" / "0"
    assert repr(sweep).startswith(f"Sweep {sweep.path}: 1 of 5 trials")


def test_several_objectives_have_a_front_and_no_best(tmp_path):
    rows = [[n, "complete", None, 0.5 + n / 10, 0.3, 0.1, 3.0, str(n)] for n in range(2)]
    entries = [{"valid_accuracy": 0.5, "trial": n, "overrides": [], "folder": str(n)} for n in range(2)]
    sweep = made_sweep(tmp_path / "s", None, ("valid_accuracy", "valid_loss"), rows, {"pareto_front": entries})
    assert [run.path.name for run in sweep.front] == ["0", "0"]  # of folders that hold no run
    with pytest.raises(UserError, match="has several objectives, and so no best trial; see its front"):
        _ = sweep.best
    assert repr(sweep).splitlines()[1] == "  Pareto front: 2 trials"


def test_a_sweep_that_has_just_begun_is_shown(tmp_path):
    sweep = made_sweep(tmp_path / "s")
    assert len(sweep.table) == 0
    assert sweep.front == []
    with pytest.raises(UserError, match="has no best trial"):
        _ = sweep.best_overrides
    assert repr(sweep) == f"Sweep {sweep.path}: 0 of 5 trials finished"
    assert elements(sweep._repr_html_()) == ["div", "div", "strong"]
    sweep.folder.table.unlink()
    assert list(sweep.table.columns) == ["trial", "state", "reason", "folder"]


def test_a_damaged_sweep_is_a_line(tmp_path):
    sweep = made_sweep(tmp_path / "s", rows=ROWS)
    sweep.folder.table.write_text("trial\n0\n")
    with pytest.raises(UserError, match=r"results.csv can't be read"):
        _ = sweep.table
    assert "can't be read" in repr(sweep)
    assert elements(sweep._repr_html_()) == ["pre"]
    sweep.folder.best.write_text("- 1: [")
    with pytest.raises(UserError, match=r"best.yaml can't be read"):
        _ = sweep.best
    with pytest.raises(UserError, match="holds no sweep"):
        _ = Sweep(tmp_path).n_trials


def arm(name, accuracy, count=3):
    generator = np.random.default_rng(len(name))
    labels = (np.arange(300) % 10).astype(np.uint8)
    runs = []
    for seed in range(1000, 1000 + count):
        read_as = np.where(generator.random(300) < accuracy, labels, (labels + 1) % 10).astype(np.uint8)
        metrics = {"test_accuracy": float((read_as == labels).mean()), "test_loss": 0.3, "num_parameters": 900.0}
        metrics |= {"train_seconds": 7.0, "epochs": 2.0}
        outcomes = TestOutcomes(labels, read_as, np.ones(300, np.float32))
        runs.append(FinalRun(f"final/{name}/{seed}", seed, metrics, outcomes))
    return Arm(name, runs)


@pytest.fixture
def comparison(tmp_path):
    """Returns a comparison of two arms, one of them with a hostile name, and its verdict."""
    verdict = judge.judge("cells", [arm("gru", 0.95), arm(HOSTILE, 0.7)], warnings=[HOSTILE], method=[])
    found = Comparison(tmp_path / "cells")
    found.path.mkdir()
    found.folder.write_verdict(verdict.to_json())
    return found, verdict


def test_a_comparison_says_what_its_record_holds(comparison, monkeypatch):
    comparison, verdict = comparison
    recorded = json.loads(comparison.folder.verdict.read_text())
    monkeypatch.chdir(comparison.path.parent)
    table, pairs = comparison.table, comparison.pairs
    assert table["arm"].tolist() == [of["name"] for of in recorded["arms"]]
    for name in ("mean", "low", "high", "std"):
        column = "test_accuracy" if name == "mean" else name
        assert table[column].tolist() == [of["accuracy"][name] for of in recorded["arms"]]
    assert table["test_loss"].tolist() == [of["loss"]["mean"] for of in recorded["arms"]]
    assert pairs.to_dict("records") == [{k: pair[k] for k in pair} for pair in recorded["pairs"]]
    assert comparison.verdict.splitlines()[0] == verdict.pairs[0].sentence
    assert comparison.verdict.endswith(f"warning: {HOSTILE}")
    assert comparison.data == {}
    assert repr(comparison).startswith("Comparison cells\n  gru is better than")
    assert "\x1b" not in repr(comparison)
    assert at(comparison.path) == comparison


def test_a_comparison_is_shown_with_its_tables_and_intervals(comparison):
    comparison, verdict = comparison
    html = comparison._repr_html_()
    assert elements(html).count("table") == 2
    assert {"svg"} <= set(elements(html))
    assert f"[{100 * verdict.arms[0].accuracy.low:.2f}, " in html
    assert not {"script", "img"} & set(elements(html))
    assert "\x1b" not in html


def test_a_comparison_across_data_sets_leads_to_each(tmp_path):
    verdicts = []
    for name in ("one", "other"):
        verdicts.append(judge.judge(name, [arm("gru", 0.95), arm("rnn", 0.8)], warnings=[], method=[]))
        (tmp_path / name).mkdir()
        Comparison(tmp_path / name).folder.write_verdict(verdicts[-1].to_json())
    both = Comparison(tmp_path)
    both.folder.write_across(across.across("both", verdicts, ["one", "other"]).to_json())
    assert both.data == {name: Comparison(tmp_path / name) for name in ("one", "other")}
    recorded = json.loads(both.folder.across.read_text())
    assert both.table["mean_rank"].tolist() == [of["mean_rank"] for of in recorded["arms"]]
    assert both.table["other"].tolist() == [of["accuracies"][1] for of in recorded["arms"]]
    assert both.verdict.splitlines() == [*recorded["verdict"], *(f"warning: {text}" for text in recorded["warnings"])]
    assert isinstance(both.pairs, pd.DataFrame)
    assert elements(both._repr_html_()).count("table") == 2


def test_a_comparison_without_a_verdict_says_where_to_look(comparison):
    comparison, _ = comparison
    comparison.folder.verdict.write_text("[1]")
    with pytest.raises(UserError, match=r"comparison.json is damaged"):
        _ = comparison.table
    assert elements(comparison._repr_html_()) == ["pre"]
    comparison.folder.verdict.unlink()
    with pytest.raises(UserError, match="holds no comparison"):
        _ = comparison.verdict
    comparison.folder.save_state({"request": {}})
    with pytest.raises(UserError, match="holds a comparison without a verdict yet; look at"):
        _ = comparison.verdict
    assert at(comparison.path) == comparison
