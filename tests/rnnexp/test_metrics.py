"""Metrics beside accuracy, and what weighs classes in the loss."""

import math

import numpy as np
import pytest
import sklearn.metrics
import torch
from series_data import TINY, gestures

from hydra_sweep.errors import UserError
from rnnexp import metrics
from rnnexp.data import loading
from rnnexp.data.splitting import Part
from rnnexp.record.run_folder import RunFolder
from rnnexp.runner import run
from rnnexp.training.build import class_weights


@pytest.fixture(scope="module")
def series_file(tmp_path_factory):
    return gestures(tmp_path_factory.mktemp("series") / "gestures.npz")


def test_metrics_are_those_of_scikit_learn_and_of_hand():
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2, 2])
    predicted = np.array([0, 0, 0, 0, 0, 1, 1, 0, 2, 2])
    probabilities = np.eye(3)[predicted]
    assert metrics.balanced_accuracy(labels, probabilities) == pytest.approx((5 / 6 + 1 / 2 + 1) / 3)
    assert metrics.macro_f1(labels, probabilities) == pytest.approx((10 / 12 + 1 / 2 + 1) / 3)
    expected = sklearn.metrics.balanced_accuracy_score(labels, predicted)
    assert metrics.balanced_accuracy(labels, probabilities) == pytest.approx(expected)
    shares = np.array([0.1, 0.4, 0.35, 0.8])
    two = np.stack([1 - shares, shares], 1)
    assert metrics.auroc(np.array([0, 0, 1, 1]), two) == pytest.approx(0.75)
    assert math.isnan(metrics.auroc(np.array([1, 1, 1, 1]), two))


def test_a_run_measures_what_its_metrics_say(series_file, compose, tmp_path):
    named = ["metrics=[balanced_accuracy,macro_f1]", "train.monitor=valid_macro_f1"]
    run(compose("data=series", f"data.root={series_file}", *TINY, *named), tmp_path)
    folder = RunFolder(tmp_path)
    result, outcomes = folder.read_result(), folder.read_test_outcomes()
    found = sklearn.metrics.f1_score(outcomes.labels, outcomes.predicted, average="macro")
    assert result.metrics["test_macro_f1"] == pytest.approx(found)
    history = folder.read_history()
    values = [float(row["valid_macro_f1"]) for row in history]
    assert values[int(result.metrics["best_epoch"]) - 1] == max(values) == result.metrics["valid_macro_f1"]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["metrics=[auroc]"], "metrics.auroc: auroc is for two classes, and the data has 3; type metrics=[macro_f1]"),
        (["train.monitor=valid_macro_f1"], "train.monitor must be valid_accuracy or valid_loss, got valid_macro_f1"),
        (["+metrics.mine._target_=os.path.nothing"], "metrics.mine"),
        (["+metrics.mine._target_=os.path.join"], "metrics.mine"),
        (["+metrics.mine._target_=builtins.zip"], "metrics.mine"),
    ],
)
def test_a_metric_that_can_not_be_taken_is_a_line(series_file, compose, tmp_path, overrides, line):
    with pytest.raises(UserError) as caught:
        run(compose("data=series", f"data.root={series_file}", *TINY, *overrides), tmp_path / "run")
    assert line in str(caught.value)


def mutating(labels, probabilities):
    labels[:] = 0
    return 1.0


def nan_first(labels, probabilities, seen=[]):  # noqa: B006
    seen.append(1)
    return math.nan if len(seen) < 3 else len(seen)  # of the check, and of the first epoch


def test_a_metric_can_not_change_what_the_next_one_sees(series_file, compose, tmp_path):
    metric = f"+metrics.mine._target_={__name__}.mutating"
    with pytest.raises(UserError, match=r"metrics\.mine: ValueError: assignment destination is read-only"):
        run(compose("data=series", f"data.root={series_file}", *TINY, metric), tmp_path)


def test_an_epoch_whose_metric_is_no_number_is_not_the_best(series_file, compose, tmp_path):
    named = [f"+metrics.mine._target_={__name__}.nan_first", "train.monitor=valid_mine"]
    assert run(compose("data=series", f"data.root={series_file}", *TINY, *named), tmp_path).metrics["best_epoch"] == 3


@pytest.mark.parametrize("name", ["accuracy", "loss", "my-f1", "_mine"])
def test_a_metric_has_a_name_of_its_own(series_file, compose, tmp_path, name):
    named = [f"+metrics.{name}._target_=rnnexp.metrics.macro_f1"]
    with pytest.raises(UserError, match=f"metrics.{name} must have another name"):
        run(compose("data=series", f"data.root={series_file}", *TINY, *named), tmp_path)


def test_balanced_weights_give_each_class_the_same_share_of_the_loss():
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    part = Part(torch.zeros(10, 1, 1), None, torch.arange(10), labels)
    weights = class_weights(part, 3)
    torch.testing.assert_close(weights, torch.tensor([10 / 18, 10 / 9, 10 / 3]))
    assert [float(weights[labels[labels == c]].sum()) for c in range(3)] == pytest.approx([10 / 3] * 3)


def test_balanced_weights_change_the_training_of_unequal_classes_alone(compose, tmp_path):
    def accuracy_by_class(name, *overrides):
        run(compose("data=series", f"data.root={path}", *TINY, "train.epochs=6", *overrides), tmp_path / name)
        outcomes = RunFolder(tmp_path / name).read_test_outcomes()
        return [float((outcomes.predicted[outcomes.labels == c] == c).mean()) for c in range(2)]

    random = np.random.default_rng(0)
    y = (np.arange(1000) % 20 == 0).astype(int)  # one of twenty
    path = tmp_path / "rare.npz"
    np.savez(path, x=(random.normal(0, 1, (1000, 5, 1)) + 0.8 * y[:, None, None]).astype(np.float32), y=y)
    plain, balanced = accuracy_by_class("plain"), accuracy_by_class("balanced", "train.class_weights=balanced")
    assert plain[1] < 0.5 < balanced[1]


def test_nothing_is_kept_for_a_run_that_does_not_follow(series_file, compose, tmp_path):
    with pytest.raises(UserError):
        run(compose("data=series", f"data.root={series_file}", *TINY, "metrics=[auroc]"), tmp_path)
    assert loading._kept == {}
