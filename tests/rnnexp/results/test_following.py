"""A table that is followed is the one that `collect` would make, and reads again what has changed and no more."""

import json
import os
import shutil
import subprocess
import sys
import textwrap

import pandas as pd
import pytest
from fake_runs import RESULT, begun, finished

from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record.run_folder import RunFolder
from rnnexp.results import collect, following
from rnnexp.results.following import Follower


@pytest.fixture
def read(monkeypatch):
    """Returns the names of the folders that were read since they were last asked for; files count as old at once."""
    monkeypatch.setattr(following, "RACY_SECONDS", -1.0)
    names = []
    original = following.read_row

    def noted(folder, trials):
        names.append(folder.path.name)
        return original(folder, trials)

    monkeypatch.setattr(following, "read_row", noted)

    def since():
        found = sorted(names)
        names.clear()
        return found

    return since


def test_a_followed_table_is_the_collected_one(tmp_path):
    finished(tmp_path / "runs" / "a")
    finished(tmp_path / "runs" / "b10", config__optim__lr=0.5, status="failed", reason="no\nluck")
    finished(tmp_path / "runs" / "b9", metrics={"epochs": 3, "valid_f1": float("nan")})
    begun(tmp_path / "sweep" / "3")
    (tmp_path / "runs" / "c").mkdir()
    RunFolder(tmp_path / "runs" / "c").result.write_text("{")
    (tmp_path / "runs" / ".hidden").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    seen = Follower(tmp_path).look()
    pd.testing.assert_frame_equal(seen.frame, collect(tmp_path))
    pd.testing.assert_frame_equal(seen.collect(tmp_path / "runs"), collect(tmp_path / "runs"))
    pd.testing.assert_frame_equal(seen.collect(tmp_path / "runs" / "a"), collect(tmp_path / "runs" / "a"))
    assert set(seen.folders) == {"", "runs", "sweep"}


def test_a_folder_that_is_a_run_is_followed(tmp_path):
    finished(tmp_path)
    seen = Follower(tmp_path).look()
    assert list(seen.frame["path"]) == ["."]
    assert list(seen.runs) == [""]


def test_only_what_has_changed_is_read_again(tmp_path, read):
    for name in "ab":
        finished(tmp_path / name)
    running = begun(tmp_path / "c")
    follower = Follower(tmp_path)
    first = follower.look()
    assert read() == ["a", "b", "c"]
    assert follower.look().version == first.version
    assert read() == []
    with running.history.open("a") as out:
        out.write("3,0.1,0.2,0.9,0.2,0.95,7.5\n")
    second = follower.look()
    assert read() == ["c"]
    assert second.version == first.version + 1
    assert second.frame.set_index("path").loc["c", "epochs"] == 3
    finished(tmp_path / "b", config__optim__lr=0.25)
    finished(tmp_path / "d")
    shutil.rmtree(tmp_path / "a")
    third = follower.look()
    assert read() == ["b", "d"]
    assert list(third.frame["path"]) == ["b", "c", "d"]
    assert third.frame.set_index("path").loc["b", "optim.lr"] == 0.25
    assert third.runs["c"].serial < third.runs["d"].serial == third.version


def test_a_file_beside_the_result_that_is_written_whole_is_noticed(tmp_path, read):
    finished(tmp_path / "a")
    follower = Follower(tmp_path)
    follower.look()
    read()
    (tmp_path / "a" / ".new").touch()
    os.replace(tmp_path / "a" / ".new", tmp_path / "a" / "anything")
    follower.look()
    assert read() == ["a"]


def test_what_changed_a_moment_ago_is_read_again(tmp_path):
    """A second change within the time that a disk can tell would otherwise never be seen."""
    result = finished(tmp_path / "a").result
    follower = Follower(tmp_path)
    version = follower.look().version
    about, folder = result.stat(), result.parent.stat()
    text = json.loads(result.read_text())
    text.pop("crc32")
    with result.open("r+") as out:  # in place: the same number on the disk, and the same size
        out.write(json.dumps(text | {"seed": 4}, indent=1).ljust(about.st_size)[: about.st_size])
    os.utime(result, ns=(about.st_atime_ns, about.st_mtime_ns))
    os.utime(result.parent, ns=(folder.st_atime_ns, folder.st_mtime_ns))
    seen = follower.look()
    assert seen.version == version + 1
    assert list(seen.frame["seed"]) == [4]


def test_a_run_that_begins_and_ends_changes_its_status(tmp_path, read):
    folder = begun(tmp_path / "a")
    follower = Follower(tmp_path)
    assert list(follower.look().frame["status"]) == ["unfinished"]
    program = f"""
        from pathlib import Path
        from rnnexp.record.run_folder import RunFolder
        with RunFolder(Path({str(folder.path)!r})).claim():
            print("claimed", flush=True)
            input()
        """
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "claimed\n"
        assert list(follower.look().frame["status"]) == ["running"]
        folder.write_result(RESULT)
        assert list(follower.look().frame["status"]) == ["complete"]
    finally:
        other.communicate("\n")


def test_trials_of_other_apps_follow_their_sweeps_table(tmp_path, read):
    for number in range(2):
        RunFolder(tmp_path / str(number)).hydra_config.parent.mkdir(parents=True)
        RunFolder(tmp_path / str(number)).hydra_config.write_text("x: 1\n")
    sweep = SweepFolder(tmp_path)
    sweep.write_request({"n_trials": 2, "request": {"objective": ["cost"], "direction": ["minimize"]}}, "")
    follower = Follower(tmp_path)
    assert list(follower.look().frame["status"]) == ["unfinished", "unfinished"]
    read()
    row = {"trial": 0, "state": "complete", "reason": None, "cost": 2.5, "folder": "0"}
    sweep.write_table(list(row), [row])
    frame = follower.look().frame
    assert read() == ["0"]
    assert list(frame["status"]) == ["complete", "unfinished"]
    assert frame["cost"].tolist()[0] == 2.5
    sweep.write_table(list(row), [row, row | {"trial": 1, "cost": 1.5, "folder": "1"}])
    assert follower.look().frame["cost"].tolist() == [2.5, 1.5]
    pd.testing.assert_frame_equal(follower.seen.frame, collect(tmp_path))


def test_a_folder_that_is_not_there_yet_or_no_longer_is_empty(tmp_path):
    follower = Follower(tmp_path / "outputs")
    assert follower.look().frame.empty
    finished(tmp_path / "outputs" / "a")
    assert len(follower.look().frame) == 1
    shutil.rmtree(tmp_path / "outputs")
    assert follower.look().frame.empty
