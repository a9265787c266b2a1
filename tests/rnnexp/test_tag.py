"""Tags and notes: typed with a run, changed later, asked for in the table, and no part of what is computed."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from records import SMALL, assert_identical

from hydra_sweep.errors import UserError
from hydra_sweep.signals import Interrupted
from rnnexp.arguments import with_quoted_labels
from rnnexp.record.labels import Labels
from rnnexp.record.run_folder import RunFolder
from rnnexp.results import collect, where
from rnnexp.runner import run
from rnnexp.schema.validation import problems
from rnnexp.tag import main, split


@pytest.fixture(scope="module")
def trained(tmp_path_factory, compose):
    """Returns an `outputs` with a run, and with a sweep of two trials, one of them repeated."""
    outputs = tmp_path_factory.mktemp("trained") / "outputs"
    run(compose(*SMALL, "train.epochs=1", "name=first", "tags=[good,new]", "notes='a: b, c'"), outputs / "runs/first")
    for place in ("0", "1/0", "1/1"):
        shutil.copytree(outputs / "runs/first", outputs / "sweeps/search" / place)
        (outputs / "sweeps/search" / place / "tags.json").unlink()
    run(compose(*SMALL, "train.epochs=1", "name=plain"), outputs / "runs/plain")
    return outputs


@pytest.fixture
def tag(trained, tmp_path, monkeypatch, capsys):
    """Returns a function that types `rnnexp tag` beside such an `outputs`, and returns what it says."""
    shutil.copytree(trained, tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)

    def typed(*words, status=0):
        monkeypatch.setattr(sys, "argv", ["rnnexp", *words])
        assert main() == status
        said = capsys.readouterr()
        return (said.err if status else said.out).splitlines()

    return typed


def labels_of(name):
    table = collect("outputs").set_index("path")
    return tuple(None if value != value else value for value in table.loc[name, ["tags", "notes"]])


def test_what_a_run_is_begun_with_is_in_the_table_and_changes_no_bit(trained):
    table = collect(trained).set_index("path")
    assert table.loc["runs/first", ["tags", "notes"]].tolist() == ["good, new", "a: b, c"]
    assert table.loc["runs/plain", ["tags", "notes"]].isna().all()
    assert_identical(trained / "runs/first", trained / "runs/plain")


def test_tags_come_and_go_and_notes_are_replaced(tag):
    before = (RunFolder(Path("outputs/runs/first")).path / "result.json").read_bytes()
    assert tag("first", "+best", "-new") == ["outputs/runs/first: good, best; a: b, c"]
    assert tag("first", "+good", "--notes", "-5 % off") == ["outputs/runs/first: good, best; -5 % off"]
    assert tag("first", "-good", "--notes", "") == ["outputs/runs/first: best"]
    assert tag("first") == ["outputs/runs/first: best"]
    assert labels_of("runs/first") == ("best", None)
    assert tag("first", "-best") == ["outputs/runs/first: no tags"]
    assert labels_of("runs/first") == (None, None)  # and not those that it was begun with
    assert (RunFolder(Path("outputs/runs/first")).path / "result.json").read_bytes() == before
    assert RunFolder(Path("outputs/runs/first")).read_result() is not None


def test_a_sweep_is_all_of_its_trials_and_a_trial_is_all_of_its_repeats(tag):
    assert tag("search", "+old") == [
        f"outputs/sweeps/search/{place}: good, new, old; a: b, c" for place in ("0", "1/0", "1/1")
    ]
    assert len(tag("search/1", "-old", "+seen")) == 2
    assert labels_of("sweeps/search/0")[0] == "good, new, old"
    assert labels_of("sweeps/search/1/1")[0] == "good, new, seen"


def test_a_tag_to_take_away_that_is_nowhere_is_named(tag):
    assert tag("first", "plain", "-good", "-godo")[2:] == ["there was no tag godo to take away"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["firts"], "rnnexp tag: there is no folder firts, and no run, sweep or comparison of that name in outputs"),
        (["first", "+a", "-a"], "rnnexp tag: +a and -a in one command; leave one out"),
        (["first", "+a b"], "rnnexp tag: a tag is a word without commas, quotes or spaces, got 'a b'; try +good"),
        (["+a"], "rnnexp tag: it needs RUN; rnnexp tag --help lists what there is"),
        (["outputs/runs/first/result.json"], "rnnexp tag: there is no folder outputs/runs/first/result.json"),
    ],
)
def test_a_mistake_is_a_line_and_changes_nothing(tag, words, line):
    (said,) = tag(*words, status=2)
    assert said.startswith(line)
    assert labels_of("runs/first") == ("good, new", "a: b, c")


def test_a_damaged_file_is_named_and_spoils_nothing_else(tag):
    file = RunFolder(Path("outputs/runs/first")).labels
    file.write_text(file.read_text().replace("good", "gold"))
    row = collect("outputs").set_index("path").loc["runs/first"]
    assert row[["status", "reason"]].tolist() == ["complete", "tags.json can't be read: checksum mismatch"]
    (line,) = tag("first", "+a", status=2)
    assert "tags.json can't be read: checksum mismatch; delete that file to begin anew" in line
    file.unlink()
    tag("first", "+a")
    assert labels_of("runs/first")[0] == "good, new, a"


def test_the_words_of_a_command_are_told_apart():
    assert split(["a", "+x,y", "-z", "--notes", "-w", "--", "-v"]) == (
        ["a", "--notes=-w", "--", "-v"],
        ["x", "y"],
        ["z"],
    )
    assert split(["--add", "+x", "--remove=y", "-h"]) == (["--add=+x", "--remove=y", "-h"], [], [])


@pytest.mark.parametrize(
    ("expression", "paths"),
    [
        ("'good' in tags", ["runs/first", "sweeps/search/0", "sweeps/search/1/0", "sweeps/search/1/1"]),
        ("'goo' in tags", []),
        ("'good' not in tags and seed == 0", ["runs/plain"]),
        ("not ('new' in tags)", ["runs/plain"]),
        ("'new' in tags and notes == null", []),
        ("tags == null", ["runs/plain"]),
    ],
)
def test_runs_are_asked_for_by_their_tags(trained, expression, paths):
    assert where(collect(trained), expression)["path"].tolist() == paths


def test_what_is_in_no_list_and_no_tags_is_a_line(trained):
    with pytest.raises(UserError, match="in wants a list of values, .* or \"'good' in tags\""):
        where(collect(trained), "'lstm' in model")


@pytest.mark.parametrize(
    ("typed", "override"),
    [
        ("notes=first try, larger: {x} it's 5 %", r"notes='first try, larger: {x} it\'s 5 %'"),
        ("notes='quoted, already'", "notes='quoted, already'"),
        ("notes=null", "notes=null"),
        ("notes=${x}", r"notes='\${x}'"),
        ("tags=good,new", "tags=[good,new]"),
        ("tags=[good]", "tags=[good]"),
        ("tags.x=1", "tags.x=1"),
    ],
)
def test_labels_need_no_quotes_or_brackets(typed, override):
    assert with_quoted_labels(typed) == override


def test_notes_come_back_as_they_were_typed(compose, tmp_path):
    text = r"""a, b: {c} ${d} 'e' "f" \ % [g] (h) #i = j"""
    run(compose(*SMALL, "train.epochs=1", with_quoted_labels(f"notes={text}")), tmp_path / "run")
    assert collect(tmp_path).loc[0, "notes"] == text
    assert json.loads((tmp_path / "run" / "tags.json").read_text())["notes"] == text


@pytest.mark.parametrize("tag", ["'a b'", "'a,b'", "+a", "-a", "''", "'\"a'"])
def test_a_tag_that_could_be_taken_for_something_else_is_refused(compose, tag):
    (line,) = problems(compose(f"tags=[{tag}]"), imports_known=False)
    assert line.startswith("tags must be words without commas, quotes or spaces, and no + or - first, got ")


def test_a_run_that_goes_on_keeps_its_tags_and_says_so(compose, tmp_path, caplog):
    def stop(row):
        raise Interrupted(15)

    cfg = [*SMALL, "train.epochs=2", "train.resume=true", "name=first"]
    with pytest.raises(Interrupted):
        run(compose(*cfg, "tags=[good]"), tmp_path, on_epoch=stop)
    with pytest.raises(Interrupted):
        run(compose(*cfg), tmp_path, on_epoch=stop)
    assert collect(tmp_path).loc[0, ["status", "tags"]].tolist() == ["unfinished", "good"]
    run(compose(*cfg, "tags=[other]"), tmp_path)
    assert f"{tmp_path} keeps its tags and notes; rnnexp tag {tmp_path} +TAG" in caplog.text
    assert collect(tmp_path).loc[0, ["status", "tags"]].tolist() == ["complete", "good"]


def test_labels_of_another_hand_are_read_as_far_as_they_are_any():
    assert Labels.of({"tags": ["a", 3], "notes": 5}) == Labels(("a", "3"), "5")
    assert Labels.of({"tags": "abc"}) == Labels.of({}) == Labels()
