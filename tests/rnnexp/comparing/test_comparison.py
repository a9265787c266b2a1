"""A comparison: equal budgets, fresh seeds, the test set once; resumable, extendable, and the same after any kill."""

import dataclasses
import itertools
import json
import re
import shutil
import signal
import subprocess
import sys

import pandas as pd
import platformdirs
import pytest
import yaml
from comparisons import ALONE, SMALL, TWO, compare, result
from series_data import gestures
from sweeps import wait_for

from hydra_sweep.errors import UserError
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.comparing import recorded
from rnnexp.comparing.arms import arm_specs, merged
from rnnexp.comparing.command import main
from rnnexp.comparing.protocol import is_volatile
from rnnexp.comparing.sweeps import Sweeps
from rnnexp.record.run_folder import RunFolder
from rnnexp.results import collect
from rnnexp.schema.config import CompareConfig
from rnnexp.verdict import sequential
from rnnexp.verdict.values import Arm, Run

OPTIONS = {"model": ["gru", "lstm", "rnn"], "optim": ["adam", "sgd"]}


def specs(arms):
    return {arm.name: arm.overrides for arm in arm_specs(arms, lambda group: OPTIONS.get(group, []))}


def test_arms_are_the_options_of_groups_or_overrides():
    assert specs("optim") == {"adam": ["optim=adam"], "sgd": ["optim=sgd"]}
    assert list(specs(["model", "optim"])) == [f"{m} {o}" for m, o in itertools.product(*OPTIONS.values())]
    assert specs(["model", "optim"])["gru sgd"] == ["model=gru", "optim=sgd"]
    assert specs(["model=gru", "model=lstm  'model.readout=mean'"]) == {
        "model=gru": ["model=gru"],
        "model=lstm 'model.readout=mean'": ["model=lstm", "model.readout=mean"],
    }


def test_who_watches_may_change_when_a_comparison_goes_on():
    watching = ["tracker=mlflow", "tracker.uri=x", "+tracker.options.a=1", "tags=[a]", "notes='b'", "callbacks=[]"]
    assert [is_volatile(text) for text in [*watching, "workers=2"]] == [True] * 7
    assert [is_volatile(text) for text in ["model=gru", "train.epochs=3", "data.root=x"]] == [False] * 3


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ("modle", r"compare.arms=modle: no such group \(did you mean model\?\)"),
        ([], "must be a group, a list of groups or a list of overrides"),
        (3, "must be a group"),
        (["model=gru"], "at least two different arms"),
        (["model=gru", "model=gru"], "at least two different arms"),
        (["model=gru", "model"], "'model' is no override"),
    ],
)
def test_arms_that_make_no_sense_are_one_line(arms, message):
    with pytest.raises(UserError, match=message):
        specs(arms)


def test_searches_that_choose_by_few_examples_are_a_warning():
    arms = [Arm("a", [Run("0", 0, {"num_valid": number})]) for number in (120.0, 36.0)]
    [line] = recorded.few_validate(arms)
    assert line.startswith("36 examples validate, fewer than 100: ")
    assert recorded.few_validate(arms[:1]) == recorded.few_validate([Arm("a", [Run("0", 0, {})])]) == []


def test_of_overrides_the_last_list_that_has_a_key_wins():
    assert merged(["a=1", "b.c=2"], ["+b.c=3"], ["d=4", "a=5"]) == ["+b.c=3", "d=4", "a=5"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("compare.trails=3", "there is no key compare.trails (did you mean compare.trials?)"),
        ("compare.trials=-1", "compare.trials must be >= 0, got -1"),
        ("compare.trials=0 search=quick", "compare.trials=0 runs the arms as they are; leave search=... out"),
        ("compare.budget=seconds", "compare.budget=seconds gives each search the same time; say how long: compare.sec"),
        ("compare.seconds=60", "compare.seconds=60 is of compare.budget=seconds; type that, too"),
        (
            "compare.budget=seconds compare.seconds=9 compare.epochs=99",
            "compare.epochs sets the trials of each search, ",
        ),
        ("compare.seeds=few", "compare.seeds must be a whole number from 1 to 1,000, or auto, got 'few'"),
        ("compare.seeds=true", "compare.seeds must be a whole number from 1 to 1,000, or auto, got True"),
        (
            "compare.seeds=7",
            "compare.seeds=7: the winners of 5 searches share the seeds out evenly; try compare.seeds=5",
        ),
        (
            "compare.seeds=auto",
            "compare.seeds=auto adds seeds until all is decided; say up to how many: compare.max_seeds=20",
        ),
        ("compare.seeds=auto compare.max_seeds=3", "compare.max_seeds=3: the first look has 5"),
        ("compare.max_seeds=3", "compare.max_seeds=3 is less than compare.seeds=5"),
        ("compare.splits=few", "compare.splits must be resample or same, got few"),
        ("compare.top=11", "compare.top must be >= 1 and <= 10, got 11"),
        ("compare.trials=0 compare.top=2", "compare.trials=0 runs the arms as they are; leave compare.top out"),
        ("compare.epochs=100", "compare.epochs=100 leaves no 3 trials for each search: type at least compare.epochs="),
        ("compare.data=[mnist]", "compare.data must name at least two different data sets, got mnist"),
        ("compare.data=mnist", "compare.data must be a list such as [mnist,fashion_mnist], or name overrides, such as"),
        ("compare.data=[mnist,mnits]", "mnits: data=mnits: no such data (did you mean mnist?)"),
        ("compare.budget=hours", "compare.budget must be trials or epochs or seconds, got hours"),
        ("n_trials=9", "n_trials=9: a comparison's searches have compare.trials each; type compare.trials=..."),
        ("compare.first_seed=0", "compare.first_seed=0: the searches use seed 4; take another"),
        ("repeats=3 compare.first_seed=2", "compare.first_seed=2: the searches use seed 14; take another"),
        ("objective=test_accuracy", "arm gru: test_accuracy would choose by the test set; try valid_accuracy"),
        (
            "data.valid_from=test data.valid_size=0",
            "arm gru: a search with data.valid_from=test would choose by the test",
        ),
        ("objective=[valid_accuracy,epochs] direction=[maximize,minimize]", "a comparison needs one objective"),
        ("compare.arms=modle", "compare.arms=modle: no such group (did you mean model?)"),
        (
            "compare.arms=[gru,lstm]",
            """compare.arms: gru is an option, and no group; type 'compare.arms=["model=gru","model=lstm"]'\n""",
        ),
        (
            "compare.arms=[model=gru,model=lstm]",
            "can't read 'compare.arms=[model=gru,model=lstm]'; type "
            """'compare.arms=["model=gru","model=lstm"]'\n""",
        ),
        (
            "compare.arms=model=gru,lstm",
            """can't read 'compare.arms=model=gru,lstm'; type 'compare.arms=["model=gru","model=lstm"]'\n""",
        ),
        (
            "compare.arms=[optim.betas=[0.8,0.9],optim.betas=[0.9,0.99]]",
            "can't read 'compare.arms=[optim.betas=[0.8,0.9],optim.betas=[0.9,0.99]]'; type "
            """'compare.arms=["optim.betas=[0.8,0.9]","optim.betas=[0.9,0.99]"]'\n""",
        ),
        (
            "compare.arms=adam,sgd",
            "compare.arms=adam,sgd: several arms are a list; type "
            """'compare.arms=["optim=adam","optim=sgd"]'\n""",
        ),
        ("compare.arms=model,optim", "compare.arms=model,optim: several arms are a list; type compare.arms=[model,opt"),
        (
            'compare.final=["train.epoch=3"]',
            "arm gru, final runs: there is no key train.epoch (did you mean train.epochs?)",
        ),
        (
            "model=gru",
            "model=gru: each arm sets model itself; leave it out, or name the arms: "
            """'compare.arms=["model=gru","model=lstm"]'\n""",
        ),
        (
            """compare.arms=["model=gru","model=lstm"] model=rnn""",
            "model=rnn: each arm sets model itself; leave it out, or name the arms: "
            """'compare.arms=["model=rnn","model=gru"]'\n""",
        ),
        (
            "model=gru,lstm",
            "model=gru,lstm names several values; to compare them, type "
            """'compare.arms=["model=gru","model=lstm"]'\n""",
        ),
        (
            "model=[gru,lstm]",
            "model=[gru,lstm] names several options; to compare them, type "
            """'compare.arms=["model=gru","model=lstm"]'\n""",
        ),
        ("--seeds 4", "--seeds 4: options are written key=value, without dashes; type compare.seeds=4"),
        ("wait=false", "wait=false: a comparison needs what its sweeps find; leave it out"),
        ("-m", "a comparison runs its own sweeps; leave -m out"),
        ("search=nothing", "search=nothing: no such search; there are default, quick"),
    ],
)
def test_a_wrong_command_is_one_line_and_leaves_nothing(arguments, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rnnexp.compare", *arguments.split()])
    monkeypatch.setattr(Sweeps, "run", lambda *_: pytest.fail("it has begun"))
    assert main() == 2
    assert capsys.readouterr().err.startswith(f"rnnexp compare: {line}")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def series_file(tmp_path_factory):
    return gestures(tmp_path_factory.mktemp("series") / "gestures.npz")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Returns the folder of a comparison that nothing has disturbed, and what it printed."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, compare(folder, "name=c", TWO, *ALONE)


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
def test_more_searches_are_added_and_nothing_is_repeated(whole, tmp_path):
    folder = tmp_path / "more"
    shutil.copytree(whole[0], folder)
    place = folder / "outputs" / "compare" / "c"
    before = {path: path.stat().st_mtime_ns for path in place.rglob("result.json")}
    assert len(before) == 2 * 2 * (3 + 2 + 1)
    printed = compare(folder, "name=c", TWO, *ALONE, "compare.searches=3", "compare.seeds=3")
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


def test_a_total_of_epochs_is_split(tmp_path, monkeypatch, capsys):
    """2 arms, 2 searches each, of which 2 run again and 1 is confirmed: 12 epochs beside the searches."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rnnexp.compare", "name=c", TWO, *SMALL, "compare.epochs=31"])
    monkeypatch.setattr(Sweeps, "run", lambda *_: sys.exit(7))
    with pytest.raises(SystemExit):
        main()
    printed = capsys.readouterr().out
    assert re.search(r"^searches +16 +1 +16$", printed, re.M)  # 4 trials each of 4 searches, and 3 epochs are left
    assert re.search(r"^all +28 +28$", printed, re.M)


def test_data_sets_that_only_their_own_overrides_make_whole_can_begin(series_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    one = f"data.root={series_file}"
    data = f"compare.data={{a:'{one}',b:'{one} data.folds=2'}}"
    own = [text for text in SMALL if not text.startswith("data.")]
    monkeypatch.setattr(sys, "argv", ["rnnexp.compare", "name=c", TWO, "data=series", data, *own])
    monkeypatch.setattr(Sweeps, "run", lambda *_: sys.exit(7))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 7, capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["rnnexp.compare", "name=c", TWO, "data=series", data, *own, "train.epoch=3"])
    assert main() == 2
    assert "there is no key train.epoch (did you mean train.epochs?)" in capsys.readouterr().err


@pytest.mark.long
def test_several_data_sets_have_a_comparison_each_and_a_page_together(series_file, tmp_path):
    digits, motions = "data=mnist data.limit=300 data.valid_size=100", f"data=series data.root={series_file}"
    data = f"compare.data={{digits:'{digits}',gestures:'{motions}'}}"
    own = [text for text in SMALL if not text.startswith("data.")]
    printed = compare(tmp_path, "name=c", TWO, data, *own, "workers=2")
    place = tmp_path / "outputs" / "compare" / "c"
    found = json.loads((place / "datasets.json").read_text())
    assert [of["name"] for of in found["data"]] == ["digits", "gestures"]
    assert (place / "digits" / "comparison.json").exists()
    assert (place / "gestures" / "report.html").exists()
    assert "== data set 2 of 2: gestures" in printed
    assert "Mean ranks over 2 data sets: " in printed
    assert "with 2 data sets the smallest p-value of a pair is 0.5" in " ".join(printed.split())
    assert "Which arm is ahead across data sets" in (place / "report.html").read_text()
    before = {path: path.stat().st_mtime_ns for path in place.rglob("result.json")}
    compare(tmp_path, "name=c", TWO, data, *own, "workers=2")
    assert {path: path.stat().st_mtime_ns for path in place.rglob("result.json")} == before


def test_another_question_under_the_same_name_is_refused(whole):
    folder, _ = whole
    command = [sys.executable, "-m", "rnnexp.compare", "name=c", TWO, *SMALL, "optim.weight_decay=0.1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert "holds another comparison (overrides: " in done.stderr
    assert "choose another name=, or resume=force" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_ctrl_c_stops_it_and_the_same_command_goes_on(whole, tmp_path):
    command = [sys.executable, "-m", "rnnexp.compare", "name=c", TWO, "workers=1", *SMALL]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        wait_for(lambda: next(tmp_path.rglob("history.csv"), None) or process.poll() is not None, "a trial")
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    assert "stopped; the same command goes on" in printed
    assert "Traceback" not in printed
    compare(tmp_path, *command[3:])
    assert result(tmp_path) == result(whole[0])


@pytest.mark.long
def test_a_budget_of_epochs_lets_pruning_try_more(tmp_path):
    budget = ["train.epochs=3", "compare.budget=epochs", "hydra/sweeper/pruner=asha"]
    compare(tmp_path, "name=c", TWO, *ALONE, *budget)
    found = result(tmp_path)
    for search in (choice["search"] for arm in found["arms"] for choice in arm["choices"]):
        assert 9 <= search["epochs"] <= 9 + 2  # the last trial runs to its end
        assert search["trials"] == search["complete"] + search["pruned"]
    assert any("9 epochs in all" in text for text in found["method"])


@pytest.mark.long
def test_each_search_may_have_the_same_time(tmp_path):
    printed = compare(tmp_path, "name=c", TWO, *ALONE, "compare.budget=seconds", "compare.seconds=6")
    assert re.search(r"^searches +as fit +6 s", printed, re.M)
    found = result(tmp_path)
    for search in (choice["search"] for arm in found["arms"] for choice in arm["choices"]):
        assert search["complete"] >= 1
    assert any("6 s on this machine" in text for text in found["method"])
    again = compare(tmp_path, "name=c", TWO, *ALONE, "compare.budget=seconds", "compare.seconds=6")
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


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["--by", "modle"], "no column modle (did you mean model?)"),
        (["--by", "seed", "--where", "seed == 7"], ". holds 0 runs to compare, of 0 different seed"),
        (["--where", "seed ="], "can't read 'seed ='"),
    ],
)
def test_what_can_not_be_compared_is_one_line(arguments, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root = [] if arguments[0] == "nowhere" else ["."]
    assert main(["--from", *root, *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"rnnexp compare: {line}")


def test_a_damaged_record_of_a_comparison_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "outputs" / "compare" / "c"
    place.mkdir(parents=True)
    (place / "compare.yaml").write_text("request: [")
    monkeypatch.setattr(sys, "argv", ["rnnexp.compare", "name=c", *SMALL])
    assert main() == 2
    assert "compare.yaml can't be read" in capsys.readouterr().err


def test_what_a_search_took_is_read_from_its_table(tmp_path):
    rows = [
        ("0", "complete", 0.9, 3, 10.0, "0"),
        ("1", "pruned", 0.5, 1, 3.0, "1"),
        ("2", "complete", 0.9, 3, 10.0, "0"),  # the same configuration, answered from its record
        ("3", "failed", None, None, None, "3"),
        ("4", "pruned", None, 0, 1.0, "4"),  # diverged at once
    ]
    names = ["trial", "state", "valid_accuracy", "epochs", "train_seconds", "folder"]
    SweepFolder(tmp_path).write_table(names, [dict(zip(names, row, strict=True)) for row in rows])
    found = recorded.search(SweepFolder(tmp_path), tmp_path, "valid_accuracy", "maximize")
    assert (found.trials, found.complete, found.pruned, found.failed) == (5, 2, 2, 1)
    assert (found.epochs, found.seconds) == (4, 14.0)
    assert found.values == [0.9, 0.5, 0.9, 0.0]
    assert (found.trial_epochs, found.trial_seconds) == ([3, 1, 0, 0], [10, 3, 0, 1])
    assert found.curve["expected"][-1] == pytest.approx(0.9)


def test_the_shipped_comparison_states_each_of_its_defaults(compose):
    """conf/compare.yaml is the only place that has them."""
    from rnnexp.schema.tree import CONFIG_DIR

    written = yaml.safe_load((CONFIG_DIR / "compare.yaml").read_text())["compare"]
    assert set(written) == {field.name for field in dataclasses.fields(CompareConfig)}
