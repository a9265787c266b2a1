"""A dataset is what its arrays say, and what is wrong with it is said in a line."""

import dataclasses

import numpy as np
import pytest
import torch

from hydra_sweep.errors import UserError
from rnnexp.data import loading
from rnnexp.data.augmentation import change_series
from rnnexp.data.dataset import Dataset, Examples
from rnnexp.data.sequences import Normalization, Sequences, batches, by_length, statistics
from rnnexp.data.splitting import Part, folds, hold_out, split

CPU = torch.device("cpu")
UNEQUAL = [np.arange(n * 2.0).reshape(n, 2) for n in (3, 1, 4, 2)]


def part_of(dataset):
    return Part.of(dataset.train, CPU)


def test_series_of_one_length_are_one_array_and_others_stand_end_to_end():
    equal = Dataset.of_series(np.zeros((4, 5)), [0, 1, 0, 1])
    assert (equal.shape, equal.classes, equal.train.offsets) == ((5, 1), ("0", "1"), None)
    unequal = Dataset.of_series(UNEQUAL, ["b", "a", "b", "c"])
    assert (unequal.shape, unequal.classes) == ((None, 2), ("a", "b", "c"))
    assert unequal.train.lengths.tolist() == [3, 1, 4, 2]
    for number, one in enumerate(UNEQUAL):
        assert np.array_equal(unequal.train.example(number), one)


def test_lengths_of_the_test_part_change_nothing_in_the_training_part():
    dataset = Dataset.of_series(np.ones((2, 3, 2)), [0, 1], UNEQUAL, [0, 1, 0, 1])
    alone = Dataset.of_series(np.ones((2, 3, 2)), [0, 1])
    assert dataset.shape == alone.shape == (3, 2)
    assert dataset.train.checksum == alone.train.checksum
    assert dataset.test.lengths.tolist() == [3, 1, 4, 2]
    assert dataset.has_test


@pytest.mark.parametrize(
    ("labels", "names"), [([2.0, 10.0, 1.0], ("1", "2", "10")), (["x", "y", "b"], ("b", "x", "y")), ([7, 5, 6], "567")]
)
def test_classes_are_the_values_of_the_labels_in_their_order(labels, names):
    assert Dataset.of_series(np.zeros((3, 2)), labels).classes == tuple(names)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dataset.of_series(np.zeros((2, 3)), [0, 1, 1]), r"2 examples need labels of shape \(2,\), got \(3,\)"),
        (lambda: Dataset.of_series([np.zeros((2, 1)), np.zeros((2, 3))], [0, 1]), r"different numbers of features"),
        (lambda: Dataset.of_images(np.zeros((2, 3)), [0, 1]), r"expected images .* shape \(2, 3\)"),
        (lambda: Dataset.of_images(np.array([[["a"]]]), [0]), "expected numbers"),
        (
            lambda: Dataset.of_series(np.zeros((2, 3)), [0, 1], np.zeros((1, 3)), [2]),
            "the test part has labels that no training example has: 2",
        ),
        (
            lambda: Dataset.of_series(np.zeros((2, 3, 1)), [0, 1], np.zeros((1, 3, 2)), [1]),
            r"the test part has examples of shape \(3, 2\), the training part of \(3, 1\)",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_a_line(make, message):
    with pytest.raises(ValueError, match=message) as refused:
        make()
    assert "\n" not in str(refused.value)


def series(count=40, classes=("a", "b"), labels=None):
    x = np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32)
    return Dataset.of_series(x, np.arange(count) % len(classes) if labels is None else labels, classes=classes)


def nan_in(dataset, number, value=np.nan):
    dataset.train.x[number, 2] = value
    return dataset


@pytest.mark.parametrize(
    ("dataset", "line"),
    [
        (nan_in(series(), 7), "the training part has values that are NaN or infinite, the first in example 7"),
        (
            nan_in(series(), 39, -np.inf),
            "the training part has values that are NaN or infinite, the first in example 39",
        ),
        (series(classes=("a", "b", "c"), labels=[0, 1] * 20), "the training part has no example of class c"),
        (
            series(classes=("a", "b"), labels=[0, 1, 2, 1] * 10),
            "the training part has a label 2, and there are 2 classes",
        ),
        (series(classes=("a",)), "there must be two classes at least, got 1: a"),
        (series(classes=("a", "a")), "there are several classes of one name: a"),
        (series(0, labels=[]), "the training part has no examples"),
        (
            dataclasses.replace(series(), test=Examples(np.zeros((1, 6, 1)), np.array([5]))),
            "the test part has a label 5, and there are 2 classes",
        ),
        (
            Dataset.of_series([np.zeros((2, 1)), np.zeros((0, 1)), np.zeros((3, 1))], [0, 1, 1]),
            "the training part has a series of length 0, number 1",
        ),
        (
            Dataset.of_series(np.zeros((4, 0, 2)), [0, 1, 0, 1]),
            "the training part has examples of shape (0, 2), which hold no values",
        ),
        (
            dataclasses.replace(series(), test=Examples(np.zeros((1, 6, 1)), [0])),
            "the test part needs arrays, and labels of int64; of_images and of_series make them",
        ),
    ],
)
def test_what_nothing_can_be_trained_on_is_a_line(dataset, line):
    assert dataset.problems() == [line]


def test_nan_in_an_unequal_series_is_found_in_the_right_one():
    dataset = Dataset.of_series([one.copy() for one in UNEQUAL], [0, 1, 0, 1])
    dataset.train.x[5] = np.nan  # the third series has steps 4 to 7
    assert dataset.problems() == ["the training part has values that are NaN or infinite, the first in example 2"]


def test_the_checksum_sees_every_array_and_no_copy_matters():
    one, same = (Dataset.of_series(UNEQUAL, [0, 1, 0, 1]).train.checksum for _ in range(2))
    assert one == same
    others = [
        Dataset.of_series([UNEQUAL[0] + 1, *UNEQUAL[1:]], [0, 1, 0, 1]),
        Dataset.of_series(UNEQUAL, [0, 1, 1, 1]),
        Dataset.of_series([UNEQUAL[1], UNEQUAL[0], *UNEQUAL[2:]], [0, 1, 0, 1]),
    ]
    assert len({one, *(other.train.checksum for other in others)}) == 4
    assert Dataset.of_series([one.astype(np.float64) for one in UNEQUAL], [0, 1, 0, 1]).train.checksum == one


@pytest.fixture
def cfg(compose):
    """Returns a function to `data` of series."""
    return lambda *overrides: compose("data=series", "data.root=none", *overrides).data


def test_a_test_part_is_held_out_where_there_is_none_whether_it_is_read_or_not(cfg):
    parts, unseen = (split(series(), cfg("data.test_size=0.25"), CPU, with_test=seen) for seen in (True, False))
    assert [len(parts.train), len(parts.valid), len(parts.test)] == [24, 6, 10]
    assert unseen.test is None
    assert torch.equal(parts.train.rows, unseen.train.rows)
    everything = torch.cat([parts.train.rows, parts.valid.rows, parts.test.rows])
    assert everything.sort().values.tolist() == list(range(40))


def test_folds_partition_the_training_part_and_spread_every_class(cfg):
    labels = torch.tensor([0] * 13 + [1] * 7 + [2] * 4)
    place = folds(labels, 4, seed=1)
    for label, count in enumerate((13, 7, 4)):
        sizes = torch.bincount(place[labels == label], minlength=4)
        assert sizes.max() - sizes.min() <= 1, (label, count)
    assert torch.bincount(place).tolist() == [6, 6, 6, 6]
    held = [split(series(), cfg("data.folds=4", f"data.fold={fold}"), CPU) for fold in range(4)]
    validated = torch.cat([parts.valid.rows for parts in held]).sort().values
    assert torch.equal(validated, torch.cat([held[0].train.rows, held[0].valid.rows]).sort().values)
    assert len({tuple(parts.test.rows.tolist()) for parts in held}) == 1
    assert not torch.equal(folds(labels, 4, seed=1), folds(labels, 4, seed=2))


@pytest.mark.parametrize(
    ("overrides", "dataset", "line"),
    [
        (
            (),
            series(labels=[0] * 39 + [1]),
            "data: class b has one training example, which can't both train and validate",
        ),
        (
            ("data.valid_size=1",),
            series(),
            "data.valid_size must leave 2 examples to validate, one for each class, got 1",
        ),
        (
            ("data.valid_size=39", "data.test_size=0"),
            series(),
            "data.valid_size=39 must leave 2 of 40 examples to train",
        ),
        (("data.test_size=1",), series(), "data.test_size must leave 2 examples to test, one for each class, got 1"),
        (("data.limit=1",), series(), "data.limit must be >= 2, one for each class, got 1"),
        (
            ("data.valid_from=test", "data.valid_size=0", "data.test_size=0"),
            series(),
            "data.valid_from=test needs a test",
        ),
    ],
)
def test_sizes_that_leave_a_class_without_examples_are_a_line(cfg, monkeypatch, overrides, dataset, line):
    monkeypatch.setattr(loading, "load", lambda *args: dataset)
    [problem] = loading.problems(cfg(*overrides), with_test=True)
    assert problem.startswith(line)
    loading.forget()


def test_statistics_are_of_the_training_part_and_leave_padding_out():
    part = part_of(Dataset.of_series(UNEQUAL, [0, 1, 0, 1]))
    mean, std = statistics(part, "series")
    everything = np.concatenate(UNEQUAL)
    assert mean == pytest.approx(everything.mean(0))
    assert std == pytest.approx(everything.std(0))
    mean, std = statistics(part.take(torch.tensor([2])), "series")
    assert mean == pytest.approx(UNEQUAL[2].mean(0))


def sequences(cfg, dataset, *overrides):
    data = cfg(*overrides)
    return Sequences(data, dataset.kind, dataset.shape, Normalization.of(data, part_of(dataset), dataset.kind))


def test_padding_is_zero_whatever_the_normalization(cfg):
    dataset = Dataset.of_series([one + 100 for one in UNEQUAL], [0, 1, 0, 1])
    for how in ("none", "dataset", "series", "[3,2]", "[[1,2],[3,4]]"):
        x, lengths = sequences(cfg, dataset, f"data.normalize={how}")(part_of(dataset), torch.arange(4))
        assert lengths.tolist() == [3, 1, 4, 2]
        for one, length in zip(x, lengths.tolist(), strict=True):
            assert not one[length:].any(), how


def test_each_series_is_normalized_by_its_own_steps(cfg):
    dataset = Dataset.of_series(UNEQUAL, [0, 1, 0, 1])
    x, lengths = sequences(cfg, dataset, "data.normalize=series")(part_of(dataset), torch.arange(4))
    for one, own, length in zip(x, UNEQUAL, lengths.tolist(), strict=True):
        std = own.std(0)
        expected = (own - own.mean(0)) / np.where(std > 0, std, 1)
        np.testing.assert_allclose(one[:length], expected, rtol=1e-5, atol=1e-6)


def test_batches_hold_every_example_once_and_waste_little_on_padding():
    lengths = np.random.default_rng(0).integers(5, 60, 1000)
    part = part_of(Dataset.of_series([np.zeros((n, 1)) for n in lengths], np.arange(1000) % 2))
    first, again, other = (batches(part, 32, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert [b.tolist() for b in first] == [b.tolist() for b in again] != [b.tolist() for b in other]
    assert len(first) == 32  # as many as without lengths
    for found in (first, by_length(part, 100)):
        assert torch.cat(found).sort().values.tolist() == list(range(1000))
        padded = sum(int(part.lengths[b].max()) * len(b) for b in found)
        assert lengths.sum() / padded > 0.9
    means = [part.lengths[b].float().mean().item() for b in first]
    assert means != sorted(means)  # the order of the batches is drawn, too


def test_series_are_changed_only_as_asked_and_alike_for_one_generator(cfg):
    dataset = series()
    index, part = torch.arange(8), part_of(dataset)
    plain = sequences(cfg, dataset)
    assert not plain.is_augmenting
    for override in ("data.noise=0.1", "data.scaling=0.1", "data.window=0.7"):
        changing = sequences(cfg, dataset, override)
        assert changing.is_augmenting
        one, same, other = (changing(part, index, torch.Generator().manual_seed(s))[0] for s in (0, 0, 1))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
        assert torch.equal(changing(part, index)[0], plain(part, index)[0])


def test_a_window_is_a_stretch_of_the_series_from_a_place_within_it(cfg):
    ramp = Dataset.of_series([np.arange(n * 1.0) for n in (11, 21)] * 20, [0, 1] * 20)
    changing = sequences(cfg, ramp, "data.window=0.5", "data.normalize=none")
    x, lengths = changing(part_of(ramp), torch.arange(40), torch.Generator().manual_seed(0))
    begins = set()
    for one, length in zip(x[..., 0], lengths.tolist(), strict=True):
        steps = one[:length].diff()
        window = {11: 6, 21: 10}[length]
        torch.testing.assert_close(steps, torch.full_like(steps, (window - 1) / (length - 1)), rtol=1e-4, atol=1e-4)
        assert one[0] >= 0
        assert one[length - 1] <= length - 1 + 1e-4
        begins.add(round(one[0].item(), 3))
    assert len(begins) > 30


def test_noise_and_factors_have_the_standard_deviation_asked_for(cfg):
    flat = Dataset.of_series(np.ones((4000, 5, 2)), np.arange(4000) % 2)
    part, index, generator = part_of(flat), torch.arange(4000), torch.Generator().manual_seed(0)
    [noisy] = sequences(cfg, flat, "data.noise=0.2", "data.normalize=none")(part, index, generator)
    assert (noisy - 1).std().item() == pytest.approx(0.2, rel=0.02)
    [scaled] = sequences(cfg, flat, "data.scaling=0.3", "data.normalize=none")(part, index, generator)
    assert (scaled - 1).std().item() == pytest.approx(0.3, rel=0.03)
    assert torch.equal(scaled[:, 0], scaled[:, 4])  # one factor for a whole series


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (
            {"_target_": "json.loads", "s": "[]"},
            "data: json.loads returned a list; return an rnnexp.data.dataset.Dataset",
        ),
        ({"_target_": "json.loads", "s": "["}, "data: json.loads: Expecting value: line 1 column 2 (char 1)"),
        ({"_target_": "os.listdir", "path": "/nope"}, "data: os.listdir: [Errno 2] No such file or directory: '/nope'"),
    ],
)
def test_a_callable_that_fails_or_returns_something_else_is_a_line(data, line):
    with pytest.raises(UserError) as refused:
        loading.load(data, with_test=True)
    assert str(refused.value).startswith(line)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dataset.of_series(np.zeros((2, 3)), [0, 1], y_test=[0]), "x_test and y_test belong together"),
        (lambda: Dataset.of_series(np.zeros((2, 3)), [0, 1], np.zeros((1, 3))), "x_test and y_test belong together"),
        (lambda: Dataset.of_series(np.zeros((2, 3)), [0, np.nan]), "none of them missing"),
        (lambda: Dataset.of_series(np.zeros((2, 3)), [0.5, 1.5], classes=["a", "b"]), "`classes` does not name: 0.5"),
        (lambda: Dataset.of_series(np.zeros((2, 3)), [[0], [1]]), r"labels of shape \(2,\), got \(2, 1\)"),
        (lambda: Dataset.of_series(np.ma.masked_less(np.zeros((2, 3)), 1), [0, 1]), "without a mask"),
        (lambda: Dataset.of_images(np.zeros((2, 3, 3), np.int64), [0, 1]), "uint8 .* or of floats .*, got int64"),
    ],
)
def test_what_would_be_bent_or_dropped_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_arrays_are_taken_whatever_their_type_order_and_owner(compose, tmp_path):
    x = np.arange(24, dtype=">f8").reshape(4, 3, 2)
    backward = Dataset.of_series(x[:, ::-1], [b"a", b"b", b"a", b"b"])
    assert backward.train.x.dtype == np.float32
    assert (backward.train.x == x[:, ::-1]).all()
    assert backward.classes == ("a", "b")
    fixed = np.zeros((2, 3, 1), np.float32)
    fixed.setflags(write=False)
    assert len(Part.of(Dataset.of_series(fixed, [0, 1]).train, torch.device("cpu"))) == 2
    assert Dataset.of_images(np.ones((2, 3, 3), bool), [0, 1]).train.x.dtype == np.float32


@pytest.mark.parametrize("constant", [20.3, 1000000.3, -1e-5, 0.0])
def test_a_constant_series_has_no_scale_however_long_and_however_padded(cfg, constant):
    normalization = Normalization(None, None)
    for steps in (7, 37, 100, 333):
        x_BTI = torch.full((2, steps + 501, 1), constant)
        alone = normalization(x_BTI[:, :steps].clone(), None, (1,))
        padded = normalization(x_BTI.clone(), torch.tensor([steps, steps]), (1,))[:, :steps]
        assert alone.abs().max() < 1e-6
        assert padded.abs().max() < 1e-6


def test_noise_of_a_step_does_not_depend_on_the_longest_series(cfg):
    settings = cfg("data.noise=1")
    drawn = [
        change_series(torch.zeros(3, steps, 1), None, settings, torch.Generator().manual_seed(0))[:, :5]
        for steps in (5, 6, 100, 101, 200)
    ]
    assert all(torch.equal(drawn[0], other) for other in drawn)


def test_statistics_do_not_pad_to_the_longest_series():
    x = [np.ones((3, 1)) * n for n in range(50)] + [np.full((20_000, 1), 7.0)]
    part = Part.of(Dataset.of_series(x, [0, 1, *[0] * 49]).train, torch.device("cpu"))
    mean, std = statistics(part, "series")
    values = np.concatenate(x)
    assert mean == pytest.approx([values.mean()])
    assert std == pytest.approx([values.std()])


def test_rare_classes_are_in_every_part_that_has_room_for_them():
    labels = torch.tensor([0] * 98 + [1] * 98 + [2] * 4)
    left, held = hold_out(labels, 10, 0)
    assert sorted(torch.bincount(labels[held]).tolist()) == [1, 4, 5]
    assert len(left) == 190
    assert torch.bincount(labels[hold_out(labels, 2, 0)[1]], minlength=3).sum() == 2


def test_sizes_that_come_to_nothing_are_not_taken_for_none(cfg, monkeypatch):
    monkeypatch.setattr(loading, "load", lambda cfg, with_test: series(60))
    for key in ("valid_size", "test_size"):
        [line] = loading.problems(cfg(f"data.{key}=0.001"), True)
        assert line.startswith(f"data.{key} must leave 2 examples")
    [line] = loading.problems(cfg("data.folds=61", "data.test_size=0"), True)
    assert line == "data.folds must be at most the 60 examples that there are, got 61"
    [line] = loading.problems(cfg("data.test_size=0.99"), True)
    assert line.startswith("data.test_size=0.99 must leave 2 of 60 examples to train")
    lines = loading.problems(cfg("data.normalize=[[1,2],[1,1]]"), True)
    assert lines[0] == "data.normalize has 2 means, and an example has 1 features"
