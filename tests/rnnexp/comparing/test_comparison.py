"""A comparison: equal budgets, fresh seeds, the test set once; resumable, extendable, and the same after any kill."""

import json
import re
import shutil
import signal
import subprocess
import sys

import pandas as pd
import platformdirs
import pytest
from comparisons import ALONE, SMALL, TWO, compare, result
from series_data import gestures
from sweeps import wait_for

from rnnexp.comparing import recorded
from rnnexp.comparing.command import main
from rnnexp.record.run_folder import RunFolder
from rnnexp.results import collect
from rnnexp.verdict import sequential


@pytest.fixture(scope="module")
def series_file(tmp_path_factory):
    return gestures(tmp_path_factory.mktemp("series") / "gestures.npz")


def test_a_comparison_gives_each_arm_its_searches_and_fresh_seeds(whole):
    folder, printed = whole
    place = folder / "outputs" / "compare" / "c"
    found = result(folder)
    assert [arm["name"] for arm in found["arms"]] == ["model=gru", "model=rnn optim=adam"]
    assert found["replicate"] == "search"
    for arm in found["arms"]:
        assert arm["seeds"] == [1000, 1001]
        assert arm["searches"] == [0, 1]
        for choice in arm["choices"]:
            search = choice["search"]
            assert (search["trials"], search["epochs"]) == (3, 3)
            assert search["best_value"] == max(search["values"])
            assert search["trial_epochs"] == [1, 1, 1]
            again = choice["command"].split()
            assert again[0] == "rnnexp"
            assert all(text in again for text in choice["overrides"])
            assert choice["overrides"] in [each["overrides"] for each in choice["candidates"]]
            best = max(choice["candidates"], key=lambda each: each["again"])
            assert best["overrides"] == choice["overrides"]
        assert len(arm["anytime"]["epochs"]["low"]) == len(arm["anytime"]["epochs"]["budget"])
    first, other = (arm["choices"][0]["search"]["values"] for arm in found["arms"])
    assert first != other
    assert "best of each, again  8     1            8" in printed
    assert "page     " in printed
    assert "can't be told apart" in printed or "better" in printed or "worse" in printed
    assert (place / "report.html").read_text().startswith("<!doctype html>")
    searched, final = collect(place / "search"), collect(place / "final")
    assert sorted(searched["seed"].unique()) == [0, 1]
    assert sorted(searched["data.valid_seed"].unique()) == [0, 1]
    assert sorted(collect(place / "again")["seed"].unique()) == [2000, 2001]
    assert sorted(zip(final["seed"], final["data.valid_seed"], strict=True)) == [(1000, 0)] * 2 + [(1001, 1)] * 2
    assert set(final["status"]) == {"complete"}


def test_each_search_begins_with_the_presets(whole):
    place = whole[0] / "outputs" / "compare" / "c" / "search" / "model_gru" / "1"
    trials = pd.read_csv(place / "results.csv").sort_values("trial")
    assert trials["optim"].tolist()[:2] == ["adadelta", "adam"]
    assert trials["optim.lr"].tolist()[:2] == [0.1, 0.001]


def test_no_choice_sees_the_test_set_and_the_final_runs_have_it_once(whole):
    place = whole[0] / "outputs" / "compare" / "c"
    for part in ("search", "again"):
        for path in collect(place / part)["path"]:
            folder = RunFolder(place / part / path)
            assert folder.read_test_outcomes() is None
            assert not [name for name in folder.read_result().metrics if name.startswith("test_")]
            assert "the test set stays unseen" in (folder.path / "run.log").read_text()
    for path in collect(place / "final")["path"]:
        assert (place / "final" / path / "run.log").read_text().count("test loss") == 1


@pytest.mark.long
def test_trials_run_where_the_test_set_can_not_be_read(tmp_path):
    """With test images that nothing can parse, a search goes through; a comparison, whose final runs test, does not."""
    shutil.copytree(f"{platformdirs.user_cache_dir('rnnexp')}/MNIST", tmp_path / "data" / "MNIST")
    images = tmp_path / "data" / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    images.write_bytes(bytes(images.stat().st_size))
    data = f"data.root={tmp_path / 'data'}"
    command = [
        sys.executable,
        "-m",
        "rnnexp",
        "-m",
        "n_trials=2",
        "name=s",
        *(t for t in SMALL if "compare." not in t),
        data,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert collect(tmp_path / "outputs" / "sweeps")["status"].tolist() == ["complete"] * 2
    compare(tmp_path, "name=c", TWO, *ALONE, data, code=2)
    assert not (tmp_path / "outputs" / "compare").exists()


@pytest.mark.long
def test_more_searches_are_added_and_ctrl_c_stops_them_and_nothing_is_repeated(whole, tmp_path):
    folder = tmp_path / "more"
    shutil.copytree(whole[0], folder)
    place = folder / "outputs" / "compare" / "c"
    before = {path: path.stat().st_mtime_ns for path in place.rglob("result.json")}
    assert len(before) == 2 * 2 * (3 + 2 + 1)
    more = ["name=c", TWO, *SMALL, "compare.searches=3", "compare.seeds=3"]
    command = [sys.executable, "-m", "rnnexp.compare", *more, "workers=1"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        third = place / "search" / "model_gru" / "3"
        wait_for(lambda: next(third.rglob("history.csv"), None) or process.poll() is not None, "a trial")
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    assert "stopped; the same command goes on" in printed
    assert "Traceback" not in printed
    printed = compare(folder, *more, "workers=1", "hydra/launcher=basic")
    found, earlier = result(folder), result(whole[0])
    for arm, old in zip(found["arms"], earlier["arms"], strict=True):
        assert (arm["seeds"], arm["searches"]) == ([1000, 1001, 1002], [0, 1, 2])
        assert arm["accuracies"][:2] == old["accuracies"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(collect(place / "final")) == 6
    assert [look["replicates"] for look in found["looks"]] == [2, 3]
    assert found["pairs"][0]["p"] == earlier["pairs"][0]["p"]
    assert "1 search was added that compare.max_seeds had not planned" in " ".join(printed.split())
    compare(folder, "name=c", TWO, *ALONE)  # fewer again: the first two count
    assert result(folder)["arms"] == earlier["arms"]


@pytest.mark.long
def test_seeds_are_added_until_all_is_decided_or_used_up(tmp_path):
    settings = ["compare.searches=1", "compare.seeds=auto", "compare.max_seeds=8", "compare.top=1"]
    printed = compare(
        tmp_path, "name=c", TWO, *ALONE[:-4], "compare.trials=2", *settings, "compare.smallest_effect=0.0001"
    )
    found = result(tmp_path)
    looks = [look["replicates"] for look in found["looks"]]
    assert looks in ([5], [5, 8])
    assert found["planned"] == 8
    assert found["looks"][0]["level"] == pytest.approx(sequential.levels([5 / 8], 0.05)[0])
    assert [len(arm["seeds"]) for arm in found["arms"]] == [looks[-1]] * 2
    assert (len(looks) == 2) == ("1 pair undecided with 5; 3 more" in printed)
    assert found["replicate"] == "seed"
    sentence = found["pairs"][0]["sentence"]
    assert sentence.endswith(
        "This is about the two configurations that one search each has found (compare.searches=1)."
    )


@pytest.mark.long
def test_several_data_sets_have_a_comparison_each_and_a_page_together(series_file, tmp_path):
    digits, motions = "data=mnist data.limit=300 data.valid_size=100", f"data=series data.root={series_file}"
    data = f"compare.data={{digits:'{digits}',gestures:'{motions}'}}"
    own = [text for text in ALONE if not text.startswith("data.")] + ["compare.searches=1", "compare.top=1"]
    printed = compare(tmp_path, "name=c", TWO, data, *own)
    place = tmp_path / "outputs" / "compare" / "c"
    found = json.loads((place / "datasets.json").read_text())
    assert [of["name"] for of in found["data"]] == ["digits", "gestures"]
    assert (place / "digits" / "comparison.json").exists()
    assert (place / "gestures" / "report.html").exists()
    assert "== data set 2 of 2: gestures" in printed
    assert "Mean ranks over 2 data sets: " in printed
    assert "with 2 data sets the smallest p-value of a pair is 0.5" in " ".join(printed.split())
    assert "Which arm is ahead across data sets" in (place / "report.html").read_text()


def test_another_question_under_the_same_name_is_refused(whole):
    folder, _ = whole
    command = [sys.executable, "-m", "rnnexp.compare", "name=c", TWO, *SMALL, "optim.weight_decay=0.1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert "holds another comparison (overrides: " in done.stderr
    assert "choose another name=, or resume=force" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_a_budget_of_epochs_lets_pruning_try_more(tmp_path):
    budget = [
        "train.epochs=3",
        "compare.budget=epochs",
        "hydra/sweeper/pruner=asha",
        "hydra.sweeper.pruner.reduction_factor=3",
    ]
    compare(tmp_path, "name=c", TWO, *ALONE, *budget, "compare.searches=1", "compare.top=1", "compare.seeds=1")
    found = result(tmp_path)
    for search in (choice["search"] for arm in found["arms"] for choice in arm["choices"]):
        assert 9 <= search["epochs"] <= 9 + 2  # the last trial runs to its end
        assert search["trials"] == search["complete"] + search["pruned"]
    assert any("9 epochs in all" in text for text in found["method"])


@pytest.mark.long
def test_each_search_may_have_the_same_time(tmp_path):
    words = [*ALONE, "compare.budget=seconds", "compare.seconds=20", "compare.searches=1", "compare.top=1"]
    printed = compare(tmp_path, "name=c", TWO, *words)
    assert re.search(r"^searches +as fit +20 s", printed, re.M)
    found = result(tmp_path)
    for search in (choice["search"] for arm in found["arms"] for choice in arm["choices"]):
        assert search["complete"] >= 1
    assert any("20 s on this machine" in text for text in found["method"])
    again = compare(tmp_path, "name=c", TWO, *words)
    assert "trial" not in again.split("page")[0].split("epochs")[-1]
    assert result(tmp_path) == found


@pytest.mark.long
def test_without_trials_the_arms_run_as_they_are(tmp_path):
    compare(tmp_path, "name=c", 'compare.arms=["model.hidden_size=4","model.hidden_size=8"]', "compare.trials=0",
            *"compare.seeds=2 workers=1 data.limit=300 data.valid_size=100 train.epochs=1".split())  # fmt: skip
    found = json.loads((tmp_path / "outputs" / "compare" / "c" / "comparison.json").read_text())
    assert [arm["seeds"] for arm in found["arms"]] == [[1000, 1001]] * 2
    assert [(c["search"], c["overrides"]) for arm in found["arms"] for c in arm["choices"]] == [(None, [])] * 2
    assert found["replicate"] == "seed"
    assert "The arms ran as they were given: no search has tuned any of them." in found["method"]
    assert not (tmp_path / "outputs" / "compare" / "c" / "search").exists()


# Runs that exist already.


@pytest.fixture(scope="module")
def runs(whole):
    return whole[0] / "outputs" / "compare" / "c" / "final"


def from_(capsys, *arguments):
    assert main(["--from", *map(str, arguments)]) == 0
    return capsys.readouterr().out


@pytest.mark.long
def test_runs_that_exist_are_compared_by_any_column(runs, whole, capsys):
    printed = from_(capsys, runs)
    assert printed.splitlines()[1].startswith("gru ")
    assert "how hard each arm was tuned is not known here" in printed
    arms, _ = recorded.arms(recorded.load(runs, None, ["model"]), runs, ["model"], "test_accuracy", runs)
    original = result(whole[0])["arms"]
    assert [arm.values("test_accuracy") for arm in arms] == [arm["accuracies"] for arm in original]
    assert "by model.cell" not in printed
    printed = from_(capsys, runs, "--by", "model.cell", "--metric", "valid_accuracy")
    assert "validation has chosen the epoch that was kept" in printed


@pytest.mark.long
def test_what_was_not_controlled_is_said(runs, tmp_path, capsys):
    folder = tmp_path / "runs"
    shutil.copytree(runs, folder)
    paths = sorted(path.parent for path in folder.rglob("result.json"))

    def change(path, **changes):
        record = json.loads((path / "result.json").read_text())
        for key, value in changes.items():
            *parents, last = key.split("__")
            node = record
            for parent in parents:
                node = node[parent]
            node[last] = value
        (path / "result.json").write_text(json.dumps(record))

    change(paths[0], config__train__batch_size=7, fingerprint="other", config__data__valid_from="test")
    change(paths[1], status="failed")
    for path in paths[2:]:
        change(path, metrics__epochs=9)
    printed = " ".join(from_(capsys, folder).split())
    assert "1 run failed, left out" in printed
    assert "not as many runs of each: gru 1, rnn 2" in printed
    assert "not as many epochs of training: gru 1.0, rnn 9.0" in printed
    assert "not the same in all arms:" in printed
    assert "train.batch_size" in printed
    assert "validation was the test set itself (the kept epoch was the best on the test set)" in printed
    shutil.copytree(paths[2], folder / "copy")
    assert "1 repeat of another run, seed included; left out" in " ".join(from_(capsys, folder).split())
    change(folder / "copy", fingerprint="third", config__train__batch_size=9)
    printed = " ".join(from_(capsys, folder).split())
    assert re.search(
        r"arm rnn mixes configurations \([^)]*train.batch_size[^)]*\): its spread is not that of seeds", printed
    )


@pytest.mark.long
def test_a_recorded_comparison_can_have_its_page(runs, tmp_path, capsys):
    printed = from_(capsys, runs, "--output", tmp_path / "new")
    assert f"page     {tmp_path / 'new' / 'report.html'}" in printed
    assert "Learning curves of the final runs" in (tmp_path / "new" / "report.html").read_text()
