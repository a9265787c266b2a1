"""A name does wherever a path does."""

from pathlib import Path

import pytest

from hydra_sweep.errors import UserError
from rnnexp.record.places import find, find_run, names, refuse_comparison


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("runs/first", "runs/both", "sweeps/both/3", "sweeps/lr/0", "compare/cells"):
        (tmp_path / "outputs" / place).mkdir(parents=True)


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ("first", "outputs/runs/first"),
        ("lr", "outputs/sweeps/lr"),
        ("lr/0", "outputs/sweeps/lr/0"),
        ("both/3", "outputs/sweeps/both/3"),
        ("sweeps/both", "outputs/sweeps/both"),
        ("cells", "outputs/compare/cells"),
        ("outputs/runs/first", "outputs/runs/first"),
        ("outputs", "outputs"),
        (".", "."),
        ("/nowhere/at/all", "/nowhere/at/all"),
        ("elsewhere/first", "elsewhere/first"),
    ],
)
def test_a_name_or_a_path_is_found(typed, place):
    assert find(typed) == Path(place)


@pytest.mark.parametrize("inside", [".hydra/config.yaml", "0/history.csv", "runs/other", "sweep.yaml", "compare.yaml"])
def test_a_folder_of_records_comes_before_a_name(inside, tmp_path):
    (tmp_path / "first" / inside).mkdir(parents=True)
    assert find("first") == Path("first")


def test_data_in_a_folder_of_the_same_name_does_not_hide_a_run(tmp_path):
    for place in ("first/class0", "data/class0"):
        (tmp_path / place).mkdir(parents=True)
    assert find("first") == Path("outputs/runs/first")
    assert find("./first") == Path("first")
    assert find("first/class0") == Path("first/class0")
    assert find("data") == Path("data")


def test_a_name_of_two_is_refused_with_both():
    with pytest.raises(UserError, match="both may be outputs/runs/both or outputs/sweeps/both; type which"):
        find("both")


def test_a_name_of_nothing_names_the_nearest():
    with pytest.raises(
        UserError, match=r"no run, sweep or comparison of that name in outputs \(did you mean first\?\)"
    ):
        find("fist")
    with pytest.raises(UserError, match="there is no folder lr/9, and no run"):
        find("lr/9")


def test_where_nothing_has_run_a_line_says_so(tmp_path, monkeypatch):
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    for typed in ("outputs", "first"):
        with pytest.raises(UserError, match=f"there is no folder {typed} here; runs make outputs in the folder where"):
            find(typed)


def test_all_names_are_listed():
    assert names() == ["both", "cells", "first", "lr"]
    assert names(Path("nowhere")) == []


def test_where_one_run_is_wanted_a_sweep_and_a_comparison_name_one_of_theirs(tmp_path):
    files = (
        "sweeps/lr/sweep.yaml",
        "sweeps/lr/0/result.json",
        "sweeps/lr/10/result.json",
        "compare/cells/compare.yaml",
    )
    for file in (*files, "compare/cells/final/gru/1/0-4/0/result.json", "runs/first/result.json"):
        path = tmp_path / "outputs" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    assert find_run("first") == Path("outputs/runs/first")
    assert find_run("lr/10") == Path("outputs/sweeps/lr/10")
    (tmp_path / "new.png").write_text("")
    for typed, line in (
        ("lr", "lr is a sweep; type one of its trials, such as lr/0"),
        ("cells", "cells is a comparison; type one of its runs, such as cells/final/gru/1/0-4/0"),
        ("new.png", "new.png is a file; the run comes first, by its name or folder"),
    ):
        with pytest.raises(UserError) as caught:
            find_run(typed)
        assert str(caught.value) == line
    with pytest.raises(UserError, match="^cells is a comparison; type rnnexp report cells$"):
        refuse_comparison(["--watch", "lr", "cells"], "type rnnexp report {name}")
    refuse_comparison(["--watch", "lr", "first"], "type rnnexp report {name}")
