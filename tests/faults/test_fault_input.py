"""Command lines, files and spaces of all kinds: what is valid composes to what was asked, all else is one line each."""

import contextlib
import io
import os
import string

import pytest
from hydra._internal.utils import get_args_parser
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from rnnexp import schema
from rnnexp.cli import CONFIG_DIR, fail
from rnnexp.preflight import CommandLine, without_hydra
from rnnexp.schema import UserError
from rnnexp.sweep.compose import Composer
from rnnexp.sweep.space import build

NUM_CONFIGURATIONS, NUM_LONG = 400, 10_000  # of command lines; the others are a share of that
GROUPS = {
    "model": ["rnn", "gru", "lstm"],
    "optim": ["adadelta", "adam", "sgd"],
    "schedule": ["constant", "onecycle"],
    "data": ["mnist", "kmnist"],
}
VALID = {  # keys that every choice of groups has, with what they may be
    "seed": st.integers(0, 2**31),
    "model.hidden_size": st.integers(1, 4096),
    "model.num_layers": st.integers(1, 8),
    "model.dropout": st.floats(0, 0.99),
    "model.bidirectional": st.booleans(),
    "model.readout": st.sampled_from(["last", "mean"]),
    "optim.lr": st.floats(1e-12, 1e6),
    "optim.weight_decay": st.floats(0, 1),
    "data.sequence": st.sampled_from(["columns", "rows", "pixels", "permuted"]),
    "data.limit": st.one_of(st.none(), st.integers(10, 55_000)),
    "data.augment": st.booleans(),
    "data.mean": st.floats(-10, 10),
    "data.std": st.floats(1e-6, 100),
    "train.epochs": st.integers(1, 10_000),
    "train.batch_size": st.integers(1, 60_000),
    "train.clip_norm": st.one_of(st.none(), st.floats(1e-6, 1e6)),
    "train.label_smoothing": st.floats(0, 0.99),
    "train.precision": st.sampled_from(["fp32", "bf16"]),
    "train.patience": st.one_of(st.none(), st.integers(1, 100)),
    "train.checkpoint_seconds": st.floats(0.01, 1e6),
}
INVALID = {  # keys with what they may not be
    "seed": st.one_of(st.integers(-(2**31), -1), st.floats(0.1, 0.9)),
    "model.hidden_size": st.one_of(st.integers(-1000, 0), st.sampled_from(["abc", "null", "1.5", "[1]", "{a:1}"])),
    "model.dropout": st.one_of(st.floats(1, 1e9), st.floats(-1e9, -1e-9), st.sampled_from(["nan", "inf", "x"])),
    "model.readout": st.sampled_from(["first", "null", "3", "''"]),
    "optim.lr": st.one_of(st.floats(-1e9, 0), st.sampled_from(["nan", "inf", "-inf", "fast", "null", "true"])),
    "data.limit": st.one_of(st.integers(-5, 9), st.integers(60_000, 10**12)),
    "data.std": st.floats(-5, 0),
    "train.epochs": st.one_of(st.integers(-5, 0), st.sampled_from(["many", "1e3.", "''"])),
    "train.precision": st.sampled_from(["fp16", "FP32", "null"]),
    "train.nothing": st.integers(),
    "nothing": st.integers(),
    "model.hiden_size": st.integers(1, 9),
}
SIGNS = "${}[]()',\"=:~@+-\\ \t\n#"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text(SIGNS, max_size=30)


def text_of(value):
    """Returns a value as an override has it."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), value)


class QuickCommandLine(CommandLine):
    """A command line that is used for many, and composes each combination of groups but once.

    With Hydra's own result, as tests/test_sweep_compose.py has it. Data are not unpacked.
    """

    def __init__(self):
        super().__init__(get_args_parser().parse_args([]), CONFIG_DIR)
        self.quick = Composer(self.hydra.config_loader, super().compose([]))

    def compose(self, overrides):
        return self.quick(overrides)

    def place_faults(self, full):
        return []


@pytest.fixture(scope="module")
def command():
    schema.register()
    return QuickCommandLine()


@pytest.fixture
def faults(tmp_path, monkeypatch, command):
    """Returns a function from overrides to what is wrong with them, and the command line that composes them."""
    monkeypatch.chdir(tmp_path)

    def faults(texts):
        command.texts = list(texts)
        return command.faults(), command

    return faults


def examples(request, share=1.0):
    """Returns the settings of a test that is to see its share of the configurations."""
    most = NUM_LONG if request.config.getoption("--long") else NUM_CONFIGURATIONS
    return settings(
        max_examples=round(most * share),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def valid_overrides(draw):
    """Returns {key: value} of a sound configuration, and its groups."""
    groups = {group: draw(st.sampled_from(sorted(options))) for group, options in GROUPS.items()}
    keys = draw(st.lists(st.sampled_from(sorted(VALID)), unique=True, max_size=8))
    return groups, {key: draw(VALID[key]) for key in keys}


@st.composite
def invalid_overrides(draw):
    """Returns one faulty override among sound ones."""
    groups, values = draw(valid_overrides())
    key = draw(st.sampled_from(sorted(INVALID)))
    texts = [f"{k}={text_of(v)}" for k, v in {**groups, **values}.items() if k != key]
    place = draw(st.integers(0, len(texts)))
    return key, [*texts[:place], f"{key}={text_of(draw(INVALID[key]))}", *texts[place:]]


def test_what_is_valid_composes_to_exactly_what_was_asked(faults, request, inject, tmp_path):
    seen = []

    @examples(request, 0.4)
    @given(valid_overrides())
    def check(drawn):
        groups, values = drawn
        seen.append(drawn)
        texts = [f"{key}={text_of(value)}" for key, value in {**groups, **values}.items()]
        found, command = faults(texts)
        assert found == [], texts
        cfg = without_hydra(command.compose(texts))
        for key, value in values.items():
            composed = OmegaConf.select(cfg, key)
            assert composed == value, texts
            assert type(composed) is type(value) or isinstance(composed, float), texts
        assert cfg.data.name == groups["data"]
        assert cfg.model.cell == groups["model"]

    check()
    inject("configuration, valid", len(seen))
    assert list(tmp_path.iterdir()) == []


def test_what_is_invalid_is_one_line_about_the_key_and_leaves_nothing(faults, request, inject, tmp_path):
    seen = []

    @examples(request, 0.4)
    @given(invalid_overrides())
    def check(drawn):
        key, texts = drawn
        seen.append(drawn)
        found, _ = faults(texts)
        assert len(found) == 1, (texts, found)
        assert key in found[0], texts
        assert len(found[0].splitlines()) == 1, texts

    check()
    inject("configuration, invalid", len(seen))
    assert list(tmp_path.iterdir()) == []


def printed(found):
    """Returns the lines that faults are on the screen, if there are any."""
    if not found:
        return []
    with contextlib.redirect_stderr(io.StringIO()) as screen, pytest.raises(SystemExit):
        fail(found)
    return screen.getvalue().removesuffix("\n").split("\n")


def test_hostile_text_is_refused_in_lines_or_taken_as_it_is(faults, request, inject, tmp_path):
    seen = []

    @examples(request, 0.2)
    @given(st.sampled_from(["name", "optim.lr", "data.root", "model", "objective", "", "+x", "~train", "name@x"]), TEXT)
    def check(key, text):
        seen.append(text)
        override = f"{key}={text}"
        found, command = faults([override])
        shown = printed(found)
        assert len(shown) == len(found), override
        assert all(line.isprintable() for line in shown), override
        if not found and key == "name":
            cfg = command.compose([override])
            assert set(str(cfg.name)) <= set(string.printable) or str(cfg.name).isprintable()
            assert ".." not in cfg.name, override
            assert not os.path.isabs(cfg.name), override

    check()
    inject("hostile text", len(seen))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["a" * 256, "ü" * 128, "a/" * 20 + "b" * 300, "x" * 100_000, "..", "../x", "/tmp/x", "a/../b", "a\x00b", ""]
)
def test_a_name_that_no_folder_can_have_is_one_line(faults, name, inject, tmp_path):
    inject("hostile text")
    found, _ = faults([f"name='{name}'"])
    (line,) = printed(found)
    assert line.startswith("rnnexp: name must be ") or "can't read" in line
    assert len(line) < 1100
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a" * 255, "ü" * 127, "with space", "a/b/c", "größe-1.0", "run=1,2"])
def test_a_name_that_a_folder_can_have_is_taken(faults, name):
    found, command = faults([f"name='{name}'"])
    assert found == []
    assert command.compose([f"name='{name}'"]).name == name


NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)


@st.composite
def declarations(draw):
    """Returns the text of one parameter's declaration, and what its values must obey."""
    kind = draw(st.sampled_from(["float", "log", "step", "int", "int log", "int step", "choice"]))
    if kind == "choice":
        words = st.text(string.ascii_letters + "_", min_size=1, max_size=8).filter(
            lambda word: word.lower() not in ("null", "true", "false", "nan", "inf")
        )
        values = draw(st.lists(st.one_of(words, st.integers(-99, 99)), min_size=2, max_size=5, unique_by=str))
        return f"choice({','.join(map(str, values))})", lambda value: value in values
    if kind.startswith("int"):
        low = draw(st.integers(1, 1000) if "log" in kind else st.integers(-1000, 1000))
        high = low + draw(st.integers(1, 1000))
        step = draw(st.integers(1, high - low)) if "step" in kind else 1
        tag = {"int": "", "int log": "log, ", "int step": f"step:{step}, "}[kind]
        text = f"int(interval({low},{high}))"
        return (
            f"tag({tag}{text})" if tag else text,
            lambda value: type(value) is int and low <= value <= high and (value - low) % step == 0,
        )
    low = draw(st.floats(1e-9, 1e6) if kind == "log" else NUMBERS)
    width = draw(st.floats(1e-3, 1e6))
    high = low + width
    if kind == "step":
        low, high, step = 0.0, float(draw(st.integers(1, 50))), draw(st.sampled_from([0.1, 0.25, 0.5, 1.0]))
        return (
            f"tag(step:{step}, interval({low},{high}))",
            lambda value: low <= value <= high and abs(value / step - round(value / step)) < 1e-9,
        )
    text = f"interval({low!r},{high!r})"
    return f"tag(log, {text})" if kind == "log" else text, lambda value: low <= value <= high


def test_every_sampled_value_obeys_its_declaration_and_composes_to_itself(request, inject):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seen = []

    def compose(overrides):
        cfg = OmegaConf.create({"x": 0, "y": 0, "hydra": {"runtime": {"choices": {}}}})
        from hydra.core.override_parser.overrides_parser import OverridesParser

        for override in OverridesParser.create().parse_overrides(overrides):
            OmegaConf.update(cfg, override.key_or_group, override.value())
        return cfg

    @examples(request, 0.2)
    @given(declarations(), declarations(), st.integers(0, 2**31))
    def check(x, y, seed):
        texts = {"x": x, "y": y}
        try:
            space = build([f"{key}={text}" for key, (text, _) in texts.items()], {}, {}, compose, n_trials=3)
        except UserError as error:
            if "the interval is empty" not in str(error):  # as rounding has made it
                raise
            return
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        for _ in range(2):
            trial = study.ask()
            overrides = space.sample(trial._suggest)
            seen.append(overrides)
            cfg = compose(overrides)
            assert len(overrides) == 2
            for key, (text, obeys) in texts.items():
                assert obeys(trial.params[key]), (text, trial.params[key])
                assert cfg[key] == trial.params[key], (text, overrides)
            assert space.values(overrides) == trial.params

    check()
    inject("sampled configuration", len(seen))
