"""Apps written for the official Optuna sweeper, and apps with configurations of any kind, run and resume."""

import ast
import math
import re
from enum import Enum
from pathlib import Path, PurePosixPath

import pytest
import yaml
from omegaconf import OmegaConf
from sweeps import APPS

from hydra_sweep import declarations, official, settings
from hydra_sweep.differences import as_recorded, is_same
from hydra_sweep.errors import UserError
from hydra_sweep.files import read_yaml

DOCS = Path(__file__).parents[2] / "docs" / "official-sweeper.md"
BOWL, FRONT, CUSTOM, ODD = (
    APPS / f"{name}.py" for name in ("official_bowl", "official_front", "official_custom", "odd")
)


def adopted(sampler="tpe", **given):
    """Returns the settings that official options become, and what is said against them."""
    made = settings.SweeperConfig(sampler=settings.SAMPLERS.get(sampler, settings.Motpe)())
    for name, value in given.items():
        owner = made.sampler if name.startswith("sampler_") else made
        setattr(owner, name.removeprefix("sampler_"), value)
    return made, list(official.adopt(made, sampler))


@pytest.mark.long
def test_a_custom_space_computes_its_bounds_and_resumes(sweep, tmp_path):
    sweep(CUSTOM, "hydra.sweeper.n_trials=4")
    assert "resuming: 4 of 8" in sweep(CUSTOM).out
    for number in range(8):
        cfg = yaml.safe_load((tmp_path / "a sweep" / str(number) / ".hydra" / "config.yaml").read_text())
        assert abs(cfg["x"] - cfg["z"]) <= 0.5
    assert "+w=" in read_yaml(tmp_path / "a sweep" / "best.yaml")["command"]


@pytest.mark.long
def test_a_custom_space_that_cannot_be_is_one_line(sweep, tmp_path):
    assert "can't be imported" in sweep(CUSTOM, "hydra.sweeper.custom_search_space=nowhere.at", code=2).err
    assert "suggests w, which has a value already" in sweep(CUSTOM, "+w=c", code=2).err
    assert "hydra.sweeper.n_trials=40" in sweep(CUSTOM, "hydra.sweeper.n_trials=null", code=2).err
    assert not (tmp_path / "a sweep").exists()


def test_plain_values_are_what_json_holds_and_a_nan_is_itself():
    kind = Enum("kind", ["ONE"])
    given = {"p": PurePosixPath("a"), kind.ONE: [kind.ONE, (1, b"\x00")], 1: {2: math.nan}, "s": 0.5}
    plain = as_recorded(given)
    assert is_same(plain, {"p": "a", "ONE": ["ONE", [1, "b'\\x00'"]], "1": {"2": math.nan}, "s": 0.5})


def test_official_names_are_ours():
    made, said = adopted(n_jobs=3, max_failure_rate=0.0, sampler_seed=7)
    assert (made.workers, made.max_failures, made.seed, said) == (3, 1, 7, [])
    assert adopted(max_failure_rate=1.0)[0].max_failures == official.NEVER
    declared = {
        "a": {"type": "float", "low": 0, "high": 1, "step": 0.1},
        "b": {"type": "int", "low": 1, "high": 8, "log": True},
        "c": {"type": "categorical", "choices": ["x", "a b", "true", True, None, 1.5]},
    }
    made, said = adopted(search_space=declared)
    assert not said
    assert made.params == {
        "a": "tag(step:0.1,interval(0.0,1.0))",
        "b": "tag(log,int(interval(1,8)))",
        "c": "choice(x,'a b','true',true,null,1.5)",
    }


@pytest.mark.parametrize(
    ("sampler", "given", "instead"),
    [
        ("tpe", {"max_failure_rate": 0.5}, "max_failures=5"),
        ("tpe", {"n_jobs": 2, "workers": 3}, "leave one"),
        ("tpe", {"sampler_seed": 2, "seed": 3}, "leave one"),
        ("tpe", {"search_space": {"x": {}}, "params": {"x": "1,2"}}, "leave search_space out"),
        ("tpe", {"search_space": {"x": {"type": "flot"}}}, "type must be float, int or categorical, got flot"),
        ("tpe", {"search_space": {"x": {"hi": 1}}}, "did you mean high?"),
        ("tpe", {"storage": {"_target_": "a.B"}}, "must be a URL"),
    ],
)
def test_what_means_something_else_is_refused_by_what_to_write(sampler, given, instead):
    [line] = adopted(sampler, **given)[1]
    assert instead in line


def table_rows(title):
    part = DOCS.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:3] == "| `"]


@pytest.mark.parametrize(("option", "kind", "spelling"), table_rows("Arguments of samplers"))
def test_the_documented_arguments_of_samplers_are_taken_or_refused(option, kind, spelling):
    sampler, _, name = option.strip("`").partition(": ")
    value = {"consider_prior": False}.get(name, 5)
    said = adopted(sampler, **{f"sampler_{name}": value})[1]
    assert hasattr(settings.SAMPLERS.get(sampler, settings.Motpe)(), name)
    assert bool(said) == (kind == "refused")
    assert not said or spelling.rpartition("; ")[2] in said[0]


@pytest.mark.parametrize(("option", "kind", "spelling"), table_rows("Options of `hydra.sweeper`"))
def test_every_documented_option_is_one(option, kind, spelling):
    name = option.strip("`")
    if name != "optimization_results.yaml":  # a file
        made = settings.Tpe() if name == "sampler.seed" else settings.SweeperConfig()
        assert hasattr(made, name.rpartition(".")[2])
    if kind == "other name":
        assert hasattr(settings.SweeperConfig(), re.findall(r"`(\w+)", spelling)[0])


def test_no_option_of_the_official_example_is_left_out_of_the_table():
    names = {option.strip("`") for option, *_ in table_rows("Options of `hydra.sweeper`")}
    texts = [re.search(r"^SWEEPER = (\{.*?^\})", app.read_text(), re.M | re.S) for app in (BOWL, FRONT, CUSTOM)]
    written = [ast.literal_eval(text[1]) for text in texts]
    assert {name for one in written for name in one} <= names


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("range(-5.5,5.5,step=0.5)", "tag(step:0.5, interval(-5.5, 5.5))"),
        ("range(0,1,step=0.3)", "tag(step:0.3, interval(0.0, 0.9))"),
        ("range(0,5,step=2)", "tag(step:2, int(interval(0, 4)))"),
        ("shuffle(range(1,4))", "choice(1, 2, 3)"),
        ("shuffle(choice(b,a))", "choice(b, a)"),
    ],
)
def test_a_range_that_means_one_thing_is_taken(text, kind):
    [parameter] = declarations.build([f"x={text}"], {}, {}, lambda _: OmegaConf.create(), n_trials=2).parameters
    assert parameter.kind() == kind


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("range(1,4)", "write int(interval(1,3)) or int(interval(1,4))"),
        ("range(0,6,step=2)", "write tag(step:2,int(interval(0,4))) or tag(step:2,int(interval(0,6)))"),
        ("range(1,2)", "write choice(1) or int(interval(1,2))"),
        ("range(4,1)", "the range is empty"),
    ],
)
def test_a_range_that_means_two_is_refused_by_both_spellings(text, spelling):
    with pytest.raises(UserError, match=re.escape(spelling)):
        declarations.build([f"x={text}"], {}, {}, lambda _: OmegaConf.create(), n_trials=2)


def test_a_grids_range_ends_before_its_stop_even_with_a_budget():
    made = declarations.build(["x=range(1,4)"], {}, {}, lambda _: OmegaConf.create(), n_trials=9, is_grid=True)
    assert made.parameters[0].values() == [1, 2, 3]


def test_steps_are_written_as_people_write_them():
    text = "x=tag(step:0.1,interval(0.0,0.5))"
    [parameter] = declarations.build([text], {}, {}, lambda _: OmegaConf.create(), n_trials=2).parameters
    assert parameter.values() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert parameter.override(3 * 0.1) == "x=0.3"
