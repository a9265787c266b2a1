"""YAML files of all kinds, and search spaces in them: each holds to what it says, or is refused in a line."""

import optuna
import pytest
import yaml
from configurations import BREAKS, TEXT, VALID, examples, invalid_overrides, spaces, valid_overrides
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from hydra_sweep.compose import composing
from hydra_sweep.declarations import build
from hydra_sweep.errors import UserError, escape_unprintable
from rnnexp.command_line import CommandLine, without_hydra
from rnnexp.schema import validation
from rnnexp.schema.config import register_schemas
from rnnexp.schema.tree import CONFIG_DIR

NUM_FILES, NUM_SPACES, NUM_SEARCHES = 10, 100, 1  # four times as many with --long
GLOBAL = "# @package _global_\n"
KEYS = ["x", "y", "seed", *(f"k{i}" for i in range(200))]


class FileCommandLine(CommandLine):
    def compose(self, overrides):
        self.composed = super().compose(overrides)
        return self.composed

    def environment_errors(self, full):
        return []


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Returns a function from a file of a user's own to the command line that chooses it."""
    register_schemas()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def command(group, text, *arguments):
        file = tmp_path / "conf" / group / "mine.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        words = [f"{group}=mine", "--config-dir", str(tmp_path / "conf"), *arguments]
        return FileCommandLine(get_args_parser().parse_intermixed_args(words), CONFIG_DIR)

    yield command
    assert list((tmp_path / "here").iterdir()) == []


def nested(values):
    """Returns {"a.b": 1} as {"a": {"b": 1}}."""
    cfg = OmegaConf.create()
    for key, value in values.items():
        OmegaConf.update(cfg, key, value)
    return OmegaConf.to_container(cfg)


def test_a_valid_file_composes_to_exactly_what_it_says(command, inject, scale):
    seen = []

    @examples(NUM_FILES * scale)
    @given(valid_overrides())
    def check(drawn):
        groups, values = drawn
        seen.append(drawn)
        defaults = [{f"override /{group}": option} for group, option in groups.items()]
        line = command("experiment", GLOBAL + yaml.safe_dump({"defaults": defaults, **nested(values)}))
        assert line.problems() == [], drawn
        cfg = without_hydra(line.composed)
        for key, value in values.items():
            assert OmegaConf.select(cfg, key) == value, drawn
        assert (cfg.data.name, cfg.model.cell) == (groups["data"], groups["model"])

    check()
    inject("YAML file, valid", len(seen))


def test_an_invalid_file_is_one_line_about_the_key(command, inject, scale):
    seen = []

    @examples(NUM_FILES * scale)
    @given(invalid_overrides())
    def check(drawn):
        key, texts = drawn
        seen.append(drawn)
        overrides = [o for o in OverridesParser.create().parse_overrides(texts) if "." in o.key_or_group]
        values = {o.key_or_group: o.value() for o in overrides if o.key_or_group in VALID}
        values[key] = next(o.value() for o in OverridesParser.create().parse_overrides(texts) if o.key_or_group == key)
        text = GLOBAL + yaml.safe_dump(nested(values))
        found = command("experiment", text).problems()
        assert len(found) == 1, (text, found)
        assert key in found[0], (text, found)
        assert len(found[0].splitlines()) == 1, text

    check()
    inject("YAML file, invalid", len(seen))


def test_a_hostile_file_is_refused_in_lines_or_says_nothing_new(command, inject, scale):
    seen = []
    begins = st.sampled_from(
        ["", GLOBAL, GLOBAL + "model:\n  hidden_size: ", GLOBAL + "defaults: ", GLOBAL + "hydra: "]
    )

    @examples(NUM_FILES * scale)
    @given(begins, TEXT | st.binary(max_size=30))
    def check(begin, text):
        seen.append(text)
        whole = begin.encode() + (text if isinstance(text, bytes) else text.encode())
        found = command("experiment", whole).problems()
        assert all(len(line.splitlines()) == 1 for line in map(escape_unprintable, found)), whole

    check()
    inject("YAML file, hostile", len(seen))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: b: c", "mapping values are not allowed here"),
        ("a: [", "expected the node content"),
        (GLOBAL + "a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        (GLOBAL + "a\x00: 1", "unacceptable character"),
        (b"\xff\xfe\xfd", "codec can't decode"),
        (GLOBAL + "a: &a [*a]", "RecursionError"),
        (GLOBAL + "hydra: null", "Hydra stumbles over it"),
        (GLOBAL + "model: null", "model is null; leave it out, or choose one of rnn, gru, lstm"),
        (GLOBAL + "model: 3", "experiment/mine: Merge error"),
        (GLOBAL + "model: {hiden_size: 3}", "model.hiden_size in experiment/mine: Key 'hiden_size' not in"),
        (GLOBAL + "model: {hidden_size: 0}", "model.hidden_size must be >= 1, got 0"),
        (GLOBAL + "model: {hidden_size: '${no}'}", "model.hidden_size: Interpolation key 'no' not found"),
        (GLOBAL + "defaults: 3", "defaults must be a list"),
        (
            GLOBAL + "defaults: [override /model: mlp]",
            "config: Could not find 'model/mlp'; Available options in 'model'",
        ),
        ("model: {hidden_size: 3}", "the file of experiment must begin with # @package _global_"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(command, inject, text, part):
    inject("YAML file, hostile")
    (found,) = command("experiment", text).problems()
    assert part in found


def composed(overrides):
    """Returns what a trial's overrides make of a configuration with all the keys of generated spaces."""
    cfg = OmegaConf.create(dict.fromkeys(KEYS, 0) | {"hydra": {"runtime": {"choices": {}}}})
    OmegaConf.set_struct(cfg, True)
    with composing():
        for override in OverridesParser.create().parse_overrides(overrides):
            OmegaConf.update(cfg, override.key_or_group, override.value())
    return cfg


def read(space):
    """Returns a space as it is after a YAML file."""
    return OmegaConf.to_container(OmegaConf.create(yaml.safe_dump(space)))


def test_every_sampled_value_obeys_its_declaration_where_its_conditions_hold(inject, scale):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seen = []

    @examples(NUM_SPACES * scale)
    @given(spaces(), st.integers(0, 2**31))
    def check(drawn, seed):
        written, declared, conditions = drawn
        try:
            space = build([], **read(written), compose=composed, n_trials=3)
        except UserError as error:
            if "the interval is empty" not in str(error):  # as rounding has made it
                raise
            return
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        for _ in range(2):
            trial = study.ask()
            overrides = space.sample(trial._suggest)
            seen.append(overrides)
            texts = dict(override.split("=", 1) for override in overrides)
            assert texts.keys() == trial.params.keys()
            for key, (text, obeys, _) in declared.items():
                is_due = all(texts.get(parent) in wanted for parent, wanted in conditions[key])
                assert (key in texts) == is_due, (written, overrides)
                if is_due:
                    assert obeys(trial.params[key]), (text, trial.params[key])
            cfg = composed(overrides)
            written_values = {key: cfg[key] for key in texts}
            # Optuna's own steps are off by a rounding, 0.30000000000000004; what is written is 0.3.
            for name, value in trial.params.items():
                is_float = isinstance(value, float)
                assert written_values[name] == (pytest.approx(value, rel=1e-12) if is_float else value), overrides
            assert space.values(overrides) == written_values
        shown = [override.split("=", 1)[0] for overrides in space.examples() for override in overrides]
        assert set(shown) == declared.keys(), written  # nothing that is declared can never be

    check()
    inject("sampled configuration", len(seen))


@pytest.mark.parametrize("kind", BREAKS)
def test_a_broken_space_is_refused_in_lines_that_name_the_key(inject, scale, kind):
    seen = []

    @examples(NUM_SPACES * scale // 10)
    @given(spaces())
    def check(drawn):
        (written, _, _), (params, when, key) = drawn, BREAKS[kind]
        seen.append(drawn)
        broken = {"params": written["params"] | params, "when": written["when"] | when}
        with pytest.raises(UserError) as error:
            build([], **read(broken), compose=composed, n_trials=3)
        assert any(key in line for line in str(error.value).splitlines()), (kind, error.value)
        assert str(error.value).replace("\n", "").isprintable()

    check()
    inject("search space, invalid", len(seen))


@st.composite
def searches(draw):
    """Returns a file for conf/search, and the keys that go with each option of model and optim."""
    rates = {
        option: (low := draw(st.floats(1e-6, 1e-2)), low * draw(st.floats(1.5, 1e3)))
        for option in draw(st.lists(st.sampled_from(["adadelta", "adam", "sgd"]), min_size=2, unique=True))
    }
    models = draw(st.lists(st.sampled_from(["rnn", "gru", "lstm"]), min_size=2, unique=True))
    sizes = sorted(draw(st.lists(st.integers(1, 512), min_size=2, max_size=2, unique=True)))
    when = {f"optim={option}": {"optim.lr": f"tag(log, interval({a!r},{b!r}))"} for option, (a, b) in rates.items()}
    when["model.num_layers=2,3"] = {"model.dropout": "interval(0,0.5)"}
    params = {"model": f"choice({','.join(models)})", "optim": f"choice({','.join(rates)})"}
    params |= {"model.hidden_size": f"int(interval({sizes[0]},{sizes[1]}))", "model.num_layers": "int(interval(1,3))"}
    return {"n_trials": 5, "hydra": {"sweeper": {"params": params, "when": when}}}, rates, models, sizes


def test_a_search_of_a_file_samples_sound_configurations_of_what_it_says(command, inject, scale):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seen = []

    @examples(NUM_SEARCHES * scale)
    @given(searches(), st.integers(0, 2**31))
    def check(drawn, seed):
        written, rates, models, (low, high) = drawn
        line = command("search", GLOBAL + yaml.safe_dump(written), "-m")
        assert line.problems() == []
        plan = line.plan
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        for _ in range(10):
            trial = study.ask()
            full = line.composer(plan.space.sample(trial._suggest))
            seen.append(trial.params)
            cfg, choices = without_hydra(full), full.hydra.runtime.choices
            assert validation.range_problems(cfg) == []
            assert choices.model == cfg.model.cell
            assert cfg.model.cell in models
            assert low <= cfg.model.hidden_size <= high
            assert rates[choices.optim][0] <= cfg.optim.lr <= rates[choices.optim][1]
            assert ("model.dropout" in trial.params) == (cfg.model.num_layers > 1)
            assert cfg.model.dropout == trial.params.get("model.dropout", 0)

    check()
    inject("sampled configuration", len(seen))
