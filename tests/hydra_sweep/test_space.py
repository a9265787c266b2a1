"""From Hydra's grammar to a search space: what is sampled, in which order, and what is refused."""

import itertools
import math
import random

import pytest
import training_conf
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hydra_sweep import declarations, grammar, space
from hydra_sweep.compose import Composer
from hydra_sweep.errors import UserError

DEFAULT = {"params": training_conf.PARAMS, "when": training_conf.CONDITIONS}


@pytest.fixture(scope="module")
def hydra():
    GlobalHydra.instance().clear()
    with training_conf.registered():
        yield Hydra.create_main_hydra2("app", create_config_search_path(None))
    GlobalHydra.instance().clear()


@pytest.fixture(scope="module")
def compose(hydra):
    master = hydra.compose_config("training", ["name=x"], run_mode=RunMode.MULTIRUN)
    return Composer(hydra.config_loader, master)


@pytest.fixture
def build(hydra, compose):
    """Returns a function from what is written to the space."""

    def built(*arguments, params=None, when=None, n_trials=None, zips=()):
        options = {"n_trials": n_trials, "zips": zips, "config_loader": hydra.config_loader}
        return declarations.build(arguments, params or {}, when or {}, compose, **options)

    return built


def draw(rng):
    """Returns a `suggest` that draws at random."""

    def suggest(name, distribution):
        if isinstance(distribution, CategoricalDistribution):
            return rng.choice(distribution.choices)
        if isinstance(distribution, IntDistribution):
            return rng.randrange(distribution.low, distribution.high + 1, distribution.step)
        if distribution.log:
            return math.exp(rng.uniform(math.log(distribution.low), math.log(distribution.high)))
        return rng.uniform(distribution.low, distribution.high)

    return suggest


def pairs(overrides):
    return dict(text.split("=", 1) for text in overrides)


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("optim.lr=interval(0.1,1)", FloatDistribution(0.1, 1.0)),
        ("optim.lr=tag(log,interval(1e-4,1))", FloatDistribution(1e-4, 1.0, log=True)),
        ("optim.rho=tag(step:0.25,interval(0,1))", FloatDistribution(0.0, 1.0, step=0.25)),
        ("optim.rho=tag(step:0.3,interval(0,1))", FloatDistribution(0.0, 0.9, step=0.3)),
        ("model.hidden_size=int(interval(8,9))", IntDistribution(8, 9)),
        ("model.hidden_size=tag(log,int(interval(32,256)))", IntDistribution(32, 256, log=True)),
        ("model.hidden_size=tag(step:8,int(interval(32,60)))", IntDistribution(32, 56, step=8)),
        ("model=rnn,gru", CategoricalDistribution(("rnn", "gru"))),
        ("train.batch_size=choice(32,64)", CategoricalDistribution((32, 64))),
        ("optim.foreach=true,false,null", CategoricalDistribution((True, False, None))),
    ],
)
def test_each_form_is_its_distribution(build, text, distribution):
    [parameter] = build(text, n_trials=9).parameters
    assert parameter.distribution == distribution
    assert parameter.name == parameter.key == text.partition("=")[0]


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "-2",
        "1e-5",
        "0.1",
        "true",
        "null",
        "abc",
        "'a b'",
        "'a,b'",
        '"it\'s"',
        "'{x}'",
        "'é'",
        "[1,2]",
        "{a:1}",
        "'1'",
    ],
)
def test_an_override_says_what_was_chosen(text):
    override = OverridesParser.create().parse_override(f"x={text},other")
    distribution, texts = grammar.distribution_of(override, True)
    parameter = space.Parameter("x", "x", distribution, tokens=texts)
    again = OverridesParser.create().parse_override(parameter.override(distribution.choices[0]))
    assert again.value() == OverridesParser.create().parse_override(f"x={text}").value()


@pytest.mark.parametrize("value", [1e-5, 0.1, -3.0, 1e20, 7])
def test_a_number_is_written_to_its_last_digit(value):
    is_int = isinstance(value, int)
    distribution = IntDistribution(0, 10) if is_int else FloatDistribution(-1e30, 1e30)
    text = space.Parameter("x", "x", distribution).override(value)
    assert OverridesParser.create().parse_override(text).value() == value


def test_one_and_true_stay_apart():
    override = OverridesParser.create().parse_override("x=1,true,1.0")
    distribution, texts = grammar.distribution_of(override, True)
    assert distribution.choices == ("1", "true", "1.0")
    assert list(texts.values()) == ["1", "true", "1.0"]


def test_what_is_no_number_can_be_chosen_too():
    distribution, texts = grammar.distribution_of(OverridesParser.create().parse_override("x=nan,1.0,inf"), True)
    assert distribution.choices == ("nan", "1.0", "inf")
    assert texts["nan"] == "nan"


def test_a_grid_is_hydras_product_in_hydras_order(build):
    grid = build("model=rnn,gru,lstm", "optim=adam,sgd", "seed=range(0,3)", "train.epochs=2")
    expected = list(itertools.product(("rnn", "gru", "lstm"), ("adam", "sgd"), (0, 1, 2)))
    assert [tuple(cell.values()) for cell in grid.cells()] == expected
    assert grid.num_cells == 18
    assert grid.fixed == ["train.epochs=2"]
    assert not grid.is_search


def test_a_grid_with_conditions_has_only_the_cells_that_can_be(build):
    grid = build(
        "optim=adam,sgd",
        when={"optim=sgd": {"optim.momentum": "0.5,0.9", "optim.nesterov": "choice(true,false)"}},
    )
    assert list(grid.cells()) == [
        {"optim": "adam"},
        *(
            {"optim": "sgd", "optim.momentum": momentum, "optim.nesterov": nesterov}
            for momentum, nesterov in itertools.product((0.5, 0.9), (True, False))
        ),
    ]
    assert grid.num_cells == 5


def test_two_hundred_trials_of_a_space_with_branches_stay_within_their_own_branch(build):
    searched = build(params=DEFAULT["params"], when=DEFAULT["when"], n_trials=200)
    suggest = draw(random.Random(0))
    rates = {"adadelta": (3e-2, 3), "adam": (1e-4, 3e-2), "sgd": (1e-3, 1)}
    seen = set()
    for _ in range(200):
        trial = pairs(searched.sample(suggest))
        low, high = rates[trial["optim"]]
        assert low <= float(trial["optim.lr"]) <= high
        assert ("optim.momentum" in trial) == (trial["optim"] == "sgd")
        assert ("optim.rho" in trial) == (trial["optim"] == "adadelta")
        assert ("model.nonlinearity" in trial) == (trial["model"] == "rnn")
        assert ("model.dropout" in trial) == (trial["model.num_layers"] in ("2", "3"))
        assert 32 <= int(trial["model.hidden_size"]) <= 256
        assert 0 <= float(trial.get("optim.momentum", 0)) <= 0.99
        assert 0.8 <= float(trial.get("optim.rho", 0.9)) <= 0.99
        assert 0 <= float(trial.get("model.dropout", 0)) <= 0.5
        seen |= {(trial["model"], trial["optim"])}
    assert len(seen) == 9


@pytest.mark.parametrize("text", ["0.3", "0.30", "3e-1"])
def test_a_condition_on_a_stepped_number_holds_however_it_is_written(build, text):
    params = {"optim.lr": "tag(step:0.1,interval(0.1,0.5))"}
    searched = build(params=params, when={f"optim.lr={text}": {"train.clip_norm": "1,2"}}, n_trials=9)
    drawn = [pairs(searched.sample(draw(random.Random(seed)))) for seed in range(50)]
    assert {one["optim.lr"] for one in drawn if "train.clip_norm" in one} == {"0.3"}
    assert all("train.clip_norm" in one for one in drawn if one["optim.lr"] == "0.3")


def test_conditions_nest(build):
    searched = build(
        params={"optim": "adam,sgd"},
        when={
            "optim=sgd": {
                "optim.nesterov": "choice(true,false)",
                "when": {"optim.nesterov=true": {"optim.momentum": "interval(0.5,0.9)"}},
            }
        },
        n_trials=9,
    )
    suggest = draw(random.Random(1))
    kinds = {tuple(pairs(searched.sample(suggest))) for _ in range(60)}
    assert kinds == {
        ("optim",),
        ("optim", "optim.nesterov"),
        ("optim", "optim.nesterov", "optim.momentum"),
    }


def test_a_key_of_several_branches_has_a_name_in_each(build):
    searched = build(params=DEFAULT["params"], when=DEFAULT["when"], n_trials=9)
    names = [parameter.name for parameter in searched.parameters if parameter.key == "optim.lr"]
    assert names == ["optim.lr @ optim=adadelta", "optim.lr @ optim=adam", "optim.lr @ optim=sgd"]


def test_what_is_typed_wins_over_the_file(build):
    searched = build(
        "optim=sgd", "optim.lr=0.5", "model=gru,lstm", params=DEFAULT["params"], when=DEFAULT["when"], n_trials=9
    )
    trial = pairs(searched.sample(draw(random.Random(2))))
    assert searched.fixed == ["optim=sgd", "optim.lr=0.5"]
    assert "optim.lr" not in trial
    assert "optim" not in trial
    assert "optim.momentum" in trial
    assert next(p for p in searched.parameters if p.key == "model").distribution.choices == ("gru", "lstm")
    assert all(p.conditions or p.key != "model.nonlinearity" for p in searched.parameters)


def test_few_examples_show_every_choice_and_both_ends(build, compose):
    searched = build(params=DEFAULT["params"], when=DEFAULT["when"], n_trials=9)
    examples = list(searched.examples())
    assert len(examples) <= 12
    texts = {text for overrides in examples for text in overrides}
    for parameter in searched.parameters:
        assert {parameter.override(value) for value in parameter.extremes()} <= texts
    for overrides in examples:
        compose(overrides)


@pytest.mark.parametrize("text", ["nesterov=true", "nesterov=True"])
def test_a_guess_of_a_truth_value_is_one_however_it_is_written(build, text):
    searched = build(params={"optim": "sgd", "optim.nesterov": "choice(false,true)"}, n_trials=9)
    assert searched.values([f"optim.{text}"]) == {"optim.nesterov": True}


def test_a_first_guess_may_name_some_of_it(build):
    searched = build(params=DEFAULT["params"], when=DEFAULT["when"], n_trials=9)
    guess = searched.values(["optim.momentum=0.5", "optim=sgd"])
    assert guess == {"optim": "sgd", "optim.momentum": 0.5}


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (["optim=sgd", "optim.momentum=1.5"], "optim.momentum=1.5: optim.momentum must be within 0.0 .. 0.99"),
        (["optim=rmsprop"], "optim=rmsprop: optim must be one of adadelta, adam, sgd"),
        (["optim.momentum=0.5"], "optim.momentum=0.5 is searched only with optim=sgd; name that, too"),
        (["optim=adam", "optim.momentum=0.5"], "optim.momentum=0.5 is searched only with optim=sgd; name that, too"),
        (["optim.moment=0.5"], "optim.moment is not searched (did you mean optim.momentum?); there are"),
        (["optim=adam,sgd"], "optim=adam,sgd names several values"),
    ],
)
def test_a_guess_outside_the_space_is_refused(build, texts, line):
    searched = build(params=DEFAULT["params"], when=DEFAULT["when"], n_trials=9)
    with pytest.raises(UserError) as error:
        searched.values(texts)
    assert str(error.value).startswith(line)


def test_the_configurations_own_values_are_a_guess_and_those_with_each_other_preset(build, compose):
    searched = build(params=DEFAULT["params"], when=DEFAULT["when"], n_trials=9)
    first, *others = searched.defaults(compose)
    assert first == {
        "model": "lstm",
        "optim": "adadelta",
        "model.hidden_size": 100,
        "model.num_layers": 2,
        "train.batch_size": 64,
        "optim.lr @ optim=adadelta": 0.1,
        "optim.rho": 0.9,
        "model.dropout": 0.0,
    }
    presets = [(guess["model"], guess["optim"]) for guess in others]
    assert {model for model, _ in presets} == {"gru", "lstm", "rnn"}
    assert {optim for _, optim in presets} == {"adam", "sgd", "adadelta"}
    assert len(presets) == len(set(presets))
    [sgd] = [guess for guess in others if guess["optim"] == "sgd"]
    assert sgd["optim.momentum"] == 0.9


def test_a_space_is_the_same_however_it_is_written(build):
    typed = build("model=gru,lstm", "optim.lr=tag(log,interval(0.01,1))", n_trials=9)
    written = build(params={"optim.lr": "tag(log, interval(1e-2, 1.0))", "model": "choice(gru, lstm)"}, n_trials=9)
    wider = build(params={"optim.lr": "tag(log, interval(1e-2, 2.0))", "model": "choice(gru, lstm)"}, n_trials=9)
    assert typed.request() == written.request()
    assert typed.request() != wider.request()


def test_a_space_is_shown_in_the_grammar_it_was_written_in(build):
    searched = build("optim=adam,sgd", when={"optim=sgd": {"optim.momentum": "interval(0,0.9)"}}, n_trials=9)
    assert searched.describe() == [
        "optim             choice(adam, sgd)",
        "when optim=sgd:",
        "  optim.momentum  interval(0.0, 0.9)",
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["optim.lrr=interval(0,1)"], "there is no key optim.lrr (did you mean optim.lr?)"),
        (["optim.lr=interval(1,0.5)"], "optim.lr=interval(1,0.5): the interval is empty: its lower end 1.0 must be"),
        (["optim.lr=interval(1,1)"], "optim.lr=interval(1,1): the interval is empty"),
        (["optim.lr=interval(0,inf)"], "optim.lr=interval(0,inf): ends must be finite, got 0.0 and inf"),
        (
            ["optim.lr=tag(log,interval(0,1))"],
            "optim.lr=tag(log,interval(0,1)): a logarithmic interval must begin above 0",
        ),
        (["optim.lr=tag(step:0,interval(0,1))"], "optim.lr=tag(step:0,interval(0,1)): step must be > 0 and <= 1.0"),
        (["optim.lr=tag(step:2,interval(0,1))"], "optim.lr=tag(step:2,interval(0,1)): step must be > 0 and <= 1.0"),
        (["optim.lr=tag(step:x,interval(0,1))"], "optim.lr=tag(step:x,interval(0,1)): step must be a number, got x"),
        (
            ["model.hidden_size=tag(step:1.5,int(interval(1,9)))"],
            "model.hidden_size=tag(step:1.5,int(interval(1,9))): step must be a whole number here, got 1.5",
        ),
        (
            ["optim.lr=tag(log,step:0.1,interval(0.1,1))"],
            "optim.lr=tag(log,step:0.1,interval(0.1,1)): log and step don't",
        ),
        (
            ["optim.lr=tag(lag,interval(0.1,1))"],
            "optim.lr=tag(lag,interval(0.1,1)): there is no tag lag (did you mean log?)",
        ),
        (
            ["train.epochs=range(1,4)"],
            "train.epochs=range(1,4): range in a search is read in two ways, with and without 4; "
            "write int(interval(1,3)) or int(interval(1,4))",
        ),
        (["seed=0,1"], "seed can't be searched; type repeats=3"),
        (["optim.lr=1,2", "optim.lr=3"], "optim.lr is typed twice: optim.lr=1,2 optim.lr=3; leave one"),
        (["model=gru,gru"], "model=gru,gru: gru is named twice"),
        (["model=gru,gro"], "training: Could not find 'model/gro'; Available options in 'model'; gru"),
    ],
)
def test_a_mistake_in_a_search_is_one_line(build, arguments, line):
    with pytest.raises(UserError) as error:
        build(*arguments, n_trials=9)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


RATE = {"optim.lr": "interval(0.1,1)"}
FAULTY = [
    ({"optim": "adam,sgd"}, {"optim=adadelta": RATE}, "when optim=adadelta: optim is never adadelta"),
    (
        {"model.num_layers": "int(interval(1,3))"},
        {"model.num_layers=4": RATE},
        "when model.num_layers=4: model.num_layers is never 4; it is int(interval(1, 3))",
    ),
    (
        {"optim.lr": "interval(0.1,0.5)"},
        {"optim.lr=0.3": {"train.clip_norm": "1,2"}},
        "when optim.lr=0.3: no single value of interval(0.1, 0.5) is ever drawn; give it steps, or choices",
    ),
    ({}, {"optim=adem": RATE}, "when optim=adem: there is no optim=adem (did you mean adam?)"),
    ({}, {"optm=adam": RATE}, "when optm=adam: there is no key optm"),
    (
        {"optim": "adam,sgd", **RATE},
        {"optim=sgd": RATE},
        "optim.lr is declared twice: in params and under optim=sgd",
    ),
    (
        {"optim": "adam,sgd", "model": "gru,lstm"},
        {"optim=sgd": RATE, "model=gru": RATE},
        "optim.lr is declared twice: under optim=sgd and under model=gru",
    ),
    (
        {},
        {"optim.lr=1": {"train.epochs": "1,2"}, "train.epochs=1": {"optim.lr": "1,2"}},
        "when: the conditions of train.epochs, optim.lr depend on each other",
    ),
    ({"optim.lr": "interval(0.1"}, {}, "can't read 'optim.lr=interval(0.1'"),
    ({"optim": {"lr": "interval(0.1,1)"}}, {}, "optim: write a value or a text such as interval(0,1), got"),
    ({}, {"optim=sgd": "interval(0,1)"}, "when optim=sgd: must hold keys, got 'interval(0,1)'"),
]


@pytest.mark.parametrize(("params", "when", "line"), FAULTY)
def test_a_mistake_in_a_file_is_one_line(build, params, when, line):
    with pytest.raises(UserError) as error:
        build(params=params, when=when, n_trials=9)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_a_branch_of_an_option_that_is_not_taken_is_left_out(build):
    searched = build("optim=adam", when={"optim=sgd": {"optim.momentum": "interval(0,0.9)"}}, n_trials=9)
    assert searched.parameters == []


def test_several_faults_come_together(build):
    with pytest.raises(UserError) as error:
        build("optim.lr=interval(1,0)", "seed=1,2", "model.dropout=tag(log,interval(0,1))", n_trials=9)
    assert len(str(error.value).splitlines()) == 3


def test_a_search_whose_parameters_are_all_typed_is_a_grid_of_seeds(build):
    """The branches of other options are no longer anybody's."""
    typed = (
        "optim=sgd",
        "optim.lr=0.1",
        "optim.momentum=0.9",
        "model=lstm",
        "model.hidden_size=8",
        "model.num_layers=1",
    )
    found = build(*typed, "train.batch_size=64", "seed=5,6", params=DEFAULT["params"], when=DEFAULT["when"])
    assert not found.is_search
    assert [parameter.key for parameter in found.parameters] == ["seed"]


# Keys that go side by side.


def texts_of(space):
    """Returns the overrides of each cell of a grid, sorted."""
    return [sorted(space.sample(lambda name, _, cell=cell: cell[name])) for cell in space.cells()]


def test_zipped_keys_take_their_values_side_by_side(build):
    typed = ("model.num_layers=1,2,2", "optim.lr=0.1,0.2,0.3", "seed=5,6")
    space = build(*typed, zips=[["model.num_layers", "optim.lr"]])
    wanted = [
        [f"model.num_layers={layers}", f"optim.lr={lr}", f"seed={seed}"]
        for layers, lr in [(1, 0.1), (2, 0.2), (2, 0.3)]
        for seed in (5, 6)
    ]
    assert sorted(texts_of(space)) == sorted(wanted)
    assert space.num_cells == 6


def test_several_groups_are_zipped_each_for_itself(build):
    typed = ("model=rnn,gru", "optim.lr=0.1,0.2", "seed=1,2", "train.batch_size=32,64")
    space = build(*typed, zips=[["model", "optim.lr"], ["seed", "train.batch_size"]])
    assert space.num_cells == 4
    assert ["model=gru", "optim.lr=0.2", "seed=1", "train.batch_size=32"] in texts_of(space)


def test_a_search_draws_zipped_keys_side_by_side(build):
    typed = ("model=rnn,gru", "train.batch_size=32,64", "optim.lr=interval(0.1,0.2)")
    space = build(*typed, zips=[["model", "train.batch_size"]], n_trials=5)
    for seed in range(30):
        pair = pairs(space.sample(draw(random.Random(seed))))
        assert (pair["model"], pair["train.batch_size"]) in {("rnn", "32"), ("gru", "64")}


@pytest.mark.parametrize(
    ("typed", "keys", "line"),
    [
        (
            ["seed=1,2", "optim.lr=0.1,0.2,0.3"],
            "seed optim.lr",
            "seed has 2 and optim.lr has 3 values; they must be as many",
        ),
        (["seed=1,2"], "seed optim.lr", "optim.lr has no values of its own; give it some, as in optim.lr=A,B"),
        (["seed=1,2", "optim.lr=0.1,0.2"], "seed", "name two keys"),
        (["seed=1,1", "model.num_layers=2,2"], "seed model.num_layers", "one key must have values that all differ"),
    ],
)
def test_what_can_not_be_zipped_is_a_line(build, typed, keys, line):
    with pytest.raises(UserError) as error:
        build(*typed, zips=[keys.split()])
    assert error.value.problems == [f"zip=[{keys.replace(' ', ',')}]: {line}"]
