"""Values of Python as overrides, and back by Hydra's own parser."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hydra_sweep.errors import UserError
from hydra_sweep.grammar import distribution_of
from rnnexp.overrides import as_arms, as_overrides, as_space, literal

PARSER = OverridesParser.create()


def read_back(text):
    """Returns what Hydra reads in a value."""
    override = PARSER.parse_override(f"key={text}")
    assert not override.is_sweep_override()
    return override.value()


@pytest.mark.parametrize(
    ("given", "overrides"),
    [
        (None, []),
        ({}, []),
        (["model=gru", "+a=b"], ["model=gru", "+a=b"]),
        ({"model": "gru", "optim": {"lr": 0.1}}, ["model=gru", "optim.lr=0.1"]),
        ({"a": {"b": {"c": 1}, "d": None}, "e": True}, ["a.b.c=1", "a.d=null", "e=true"]),
        ({"optim.betas": (0.9, 0.99), "hydra/launcher": "basic"}, ["optim.betas=[0.9,0.99]", "hydra/launcher=basic"]),
        ({"name": "a b", "data.root": Path("/x y/z")}, ["name='a b'", "data.root='/x y/z'"]),
        ({"name": "3", "notes": "null", "more": "it's"}, ["name='3'", "notes='null'", "more='it\\'s'"]),
        ({"seed": np.int64(3), "optim.lr": torch.tensor(0.5)}, ["seed=3", "optim.lr=0.5"]),
        ({"data.normalize": np.array([1.5, 2])}, ["data.normalize=[1.5,2.0]"]),
        ({"metrics": ["balanced_accuracy"], "x": {}}, ["metrics=[balanced_accuracy]", "x={}"]),
        ({"~experiment": None, "+new": 1}, ["~experiment", "+new=1"]),
        ({"compare": {"data": {"a b": "data=mnist"}}}, ["compare.data={a\\ b:'data=mnist'}"]),
    ],
)
def test_a_dict_is_what_one_would_type(given, overrides):
    assert as_overrides(given) == overrides


def test_a_configuration_of_omegaconfs_is_a_dict():
    assert as_overrides(OmegaConf.create({"optim": {"betas": [0.9, 0.99]}})) == ["optim.betas=[0.9,0.99]"]


KEYS = re.compile(r"[a-z][\w.=, :\[\]{}()-]*", re.ASCII)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(KEYS, fullmatch=True), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_hydra_reads_back_whatever_a_value_is(value):
    assert read_back(literal(value, "key")) == value


@pytest.mark.long
@settings(max_examples=5000, deadline=None)
@given(VALUES)
def test_hydra_reads_back_thousands_of_values(value):
    assert read_back(literal(value, "key")) == value


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("model=gru", "overrides: got 'model=gru'; write a list such as"),
        (7, "overrides: got 7; write a list such as"),
        (["model=gru", 3], "overrides: got 3 in a list; write a list such as"),
        (["-m", "model=gru"], "can't read '-m' (flags are arguments in Python); write key=value"),
        ({"a b": 1}, "'a b' is no key; write a list such as"),
        ({"seed=3 optim.lr": 1}, "'seed=3 optim.lr' is no key; "),
        ({"optim": {"lr": 1 + 2j}}, "optim.lr: a complex can't be written as an override, got (1+2j)"),
        ({"name": "a\0b"}, "name: 'a\\x00b' can't be written as an override"),
        ({"name": b"a"}, "name: a bytes can't be written as an override, got b'a'"),
        ({"x": [{"it's": 1}]}, "\"it's\" can't be a key of a mapping in an override; a YAML file can have it"),
    ],
)
def test_what_has_no_form_in_a_shell_is_a_line(given, line):
    with pytest.raises(UserError) as caught:
        as_overrides(given)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    "distribution",
    [
        FloatDistribution(0.001, 1.0, log=True),
        FloatDistribution(0.0, 1.0, step=0.25),
        FloatDistribution(-1.5, 2.5),
        IntDistribution(1, 8),
        IntDistribution(32, 256, log=True),
        IntDistribution(32, 256, step=32),
        CategoricalDistribution(["a b", "gru", None, True, 0.5]),
    ],
)
def test_a_distribution_of_optunas_is_read_back_as_itself(distribution):
    (text,) = as_space({"key": distribution})
    assert distribution_of(PARSER.parse_override(text), is_search=True)[0] == distribution


def test_a_space_is_what_one_would_type():
    when = {"optim=sgd,adam": {"optim.lr": [0.1, 0.2], "when": {"model=gru": {"model.dropout": "interval(0,0.5)"}}}}
    space = {"model": ["gru", "lstm"], "seed": range(2), "optim": {"lr": "tag(log,interval(1e-3,1))"}, "when": when}
    *plain, conditions = as_space(space)
    assert plain == ["model=gru,lstm", "seed=0,1", "optim.lr=tag(log,interval(1e-3,1))"]
    key, _, value = conditions.partition("=")
    assert key == "+hydra.sweeper.when"
    inner = {"model=gru": {"model.dropout": "interval(0,0.5)"}}
    assert read_back(value) == {"optim=sgd,adam": {"optim.lr": "0.1,0.2", "when": inner}}
    assert as_space("quick") == ["search=quick"]
    assert as_space(None) == []


@pytest.mark.parametrize(
    ("space", "line"),
    [
        (3, "search: got 3; name an option such as 'quick', or write a dict such as"),
        ({"model": []}, "model: there is nothing to choose from"),
        ({"when": ["optim=adam"]}, "when: got ['optim=adam']; write"),
        ({"when": {"optim=adam": "optim.lr"}}, "when: optim=adam: got 'optim.lr'; write keys with what they may be"),
    ],
)
def test_a_space_that_is_none_is_a_line(space, line):
    with pytest.raises(UserError) as caught:
        as_space(space)
    assert str(caught.value).startswith(line)


def test_arms_are_groups_or_overrides():
    assert as_arms("model") == ["compare.arms=model"]
    assert as_arms(["model", "optim"]) == ["compare.arms=[model,optim]"]
    (text,) = as_arms([{"model": "gru", "name": "a b"}, "model=lstm"])
    assert read_back(text.partition("=")[2]) == ["model=gru 'name='\"'\"'a b'\"'\"''", "model=lstm"]
    with pytest.raises(UserError, match="arms: got 3; name a group such as 'model'"):
        as_arms(3)
