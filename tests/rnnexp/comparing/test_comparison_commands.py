"""A comparison's command line: what it makes of arms and budgets, and that a mistake is one line; nothing is run."""

import dataclasses
import itertools
import re
import sys

import pytest
import yaml
from comparisons import SMALL, TWO
from series_data import gestures

from hydra_sweep.errors import UserError
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.comparing import recorded
from rnnexp.comparing.arms import arm_specs, merged
from rnnexp.comparing.command import main
from rnnexp.comparing.protocol import is_volatile
from rnnexp.comparing.sweeps import Sweeps
from rnnexp.schema.config import CompareConfig
from rnnexp.verdict.values import Arm, Run

OPTIONS = {"model": ["gru", "lstm", "rnn"], "optim": ["adam", "sgd"]}


def specs(arms):
    return {arm.name: arm.overrides for arm in arm_specs(arms, lambda group: OPTIONS.get(group, []))}


def test_arms_are_the_options_of_groups_or_overrides():
    assert specs("optim") == {"adam": ["optim=adam"], "sgd": ["optim=sgd"]}
    assert list(specs(["model", "optim"])) == [f"{m} {o}" for m, o in itertools.product(*OPTIONS.values())]
    assert specs(["model", "optim"])["gru sgd"] == ["model=gru", "optim=sgd"]
    assert specs("model=lstm,gru") == {"lstm": ["model=lstm"], "gru": ["model=gru"]}
    assert list(specs(["model=gru,rnn", "optim"])) == ["gru adam", "gru sgd", "rnn adam", "rnn sgd"]
    assert list(specs(["optim.betas=[0.9,0.9]", "optim.betas=[0.9,0.99]"])) == [
        "optim.betas=[0.9,0.9]",
        "optim.betas=[0.9,0.99]",
    ]
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
        ("model=gru,lsm", r"compare.arms: model=lsm: no such model \(did you mean lstm\?\)"),
        ("modle=gru,lstm", r"compare.arms=modle: no such group \(did you mean model\?\)"),
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
        ("search=nothing", "search=nothing: no such search; there are default, linear, quick"),
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
