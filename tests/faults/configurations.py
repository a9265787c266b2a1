"""Configurations, valid and not, as hypothesis generates them: overrides, declarations, search spaces."""

import string

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

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
    "data.sequence": st.sampled_from(["columns", "rows", "pixels", "permuted", "patches"]),
    "data.limit": st.one_of(st.none(), st.integers(10, 55_000)),
    "data.augment": st.booleans(),
    "data.normalize": st.sampled_from(["none", "dataset", "series"]),
    "data.valid_size": st.one_of(st.integers(1, 50_000), st.floats(0.01, 0.9)),
    "train.class_weights": st.sampled_from(["none", "balanced"]),
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
    "data.limit": st.one_of(st.integers(-5, 0), st.sampled_from(["some", "0.5"])),
    "data.valid_size": st.one_of(st.floats(-5, -0.1), st.floats(1.1, 1.9), st.sampled_from(["all", "null", "true"])),
    "data.normalize": st.sampled_from(["yes", "[1]", "[0,0]", "[0,-1]", "null", "0.5"]),
    "train.epochs": st.one_of(st.integers(-5, 0), st.sampled_from(["many", "1e3.", "''"])),
    "train.precision": st.sampled_from(["fp16", "FP32", "null"]),
    "optim.weight_decay": st.sampled_from(
        ["${nothing}", "${oc.env:NOTHING_HERE}", "${model}", "${optim.weight_decay}"]
    ),
    "train.nothing": st.integers(),
    "nothing": st.integers(),
    "model.hiden_size": st.integers(1, 9),
}
SIGNS = "${}[]()',\"=:~@+-\\ \t\n#"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text(SIGNS, max_size=30)


def text_of(value):
    """Returns a value as an override has it."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), value)


def examples(number):
    """Returns the settings of a test that is to see this many; the same ones each time."""
    return settings(
        max_examples=number,
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
    keys = draw(st.lists(st.sampled_from(sorted(VALID)), unique=True, max_size=6))
    return groups, {key: draw(VALID[key]) for key in keys}


@st.composite
def invalid_overrides(draw):
    """Returns one faulty override among sound ones."""
    groups, values = draw(valid_overrides())
    key = draw(st.sampled_from(sorted(INVALID)))
    texts = [f"{k}={text_of(v)}" for k, v in {**groups, **values}.items() if k != key]
    place = draw(st.integers(0, len(texts)))
    return key, [*texts[:place], f"{key}={text_of(draw(INVALID[key]))}", *texts[place:]]


NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)


@st.composite
def declarations(draw):
    """Returns the text of one parameter's declaration, what its values must obey, and the texts of a choice."""
    kind = draw(st.sampled_from(["float", "log", "step", "int", "int log", "int step", "choice"]))
    if kind == "choice":
        words = st.text(string.ascii_letters + "_", min_size=1, max_size=8).filter(
            lambda word: word.lower() not in ("null", "true", "false", "nan", "inf")
        )
        values = draw(st.lists(st.one_of(words, st.integers(-99, 99)), min_size=2, max_size=5, unique_by=str))
        return f"choice({','.join(map(str, values))})", lambda value: value in values, [str(value) for value in values]
    if kind.startswith("int"):
        low = draw(st.integers(1, 1000) if "log" in kind else st.integers(-1000, 1000))
        high = low + draw(st.integers(1, 1000))
        step = draw(st.integers(1, high - low)) if "step" in kind else 1
        tag = {"int": "", "int log": "log, ", "int step": f"step:{step}, "}[kind]
        text = f"int(interval({low},{high}))"
        return (
            f"tag({tag}{text})" if tag else text,
            lambda value: type(value) is int and low <= value <= high and (value - low) % step == 0,
            None,
        )
    low = draw(st.floats(1e-9, 1e6) if kind == "log" else NUMBERS)
    width = draw(st.floats(1e-3, 1e6))
    high = low + width
    if kind == "step":
        low, high, step = 0.0, float(draw(st.integers(1, 50))), draw(st.sampled_from([0.1, 0.25, 0.5, 1.0]))
        return (
            f"tag(step:{step}, interval({low},{high}))",
            lambda value: low <= value <= high and abs(value / step - round(value / step)) < 1e-9,
            None,
        )
    text = f"interval({low!r},{high!r})"
    return f"tag(log, {text})" if kind == "log" else text, lambda value: low <= value <= high, None


@st.composite
def spaces(draw, max_depth=3):
    """Returns a search space {"params": ..., "when": ...}, its declarations, and its conditions.

    Its keys are k0, k1, ...; the conditions are {key: [(parent, texts), ...]} of those that are not always there.
    """
    declared, conditions = {}, {}

    def branch(depth, known, path):
        """Returns params and when below a path of conditions; `known` are the choices that they leave open."""
        params = {}
        for _ in range(draw(st.integers(1, 2))):
            key = f"k{len(declared)}"
            declared[key] = draw(declarations())
            text, _, texts = declared[key]
            params[key], conditions[key] = text, path
            known = known | {key: texts} if texts else known
        when = {}
        for parent in draw(st.lists(st.sampled_from(sorted(known)), unique=True, max_size=2)) if known else []:
            texts = draw(st.lists(st.sampled_from(known[parent]), min_size=1, unique=True))
            if depth < max_depth:
                below = branch(depth + 1, known | {parent: texts}, [*path, (parent, texts)])
                when[f"{parent}={','.join(texts)}"] = below["params"] | (
                    {"when": below["when"]} if below["when"] else {}
                )
        return {"params": params, "when": when}

    return branch(0, {}, []), declared, conditions


# What breaks a sound space, as a change to its params or its when, and what the line must name.
BREAKS = {
    "an empty interval": ({"x": "interval(5,1)"}, {}, "x"),
    "a logarithm of nothing": ({"x": "tag(log, interval(0,1))"}, {}, "x"),
    "a step beyond the end": ({"x": "tag(step:9, interval(0,1))"}, {}, "x"),
    "a tag that is none": ({"x": "tag(lg, interval(0,1))"}, {}, "x"),
    "an endless interval": ({"x": "interval(0,inf)"}, {}, "x"),
    "a choice twice": ({"x": "choice(a,a)"}, {}, "x"),
    "a text that can't be read": ({"x": "interval(1,"}, {}, "x"),
    "a range": ({"x": "range(1,4)"}, {}, "x"),
    "keys in place of a value": ({"x": {"low": 1}}, {}, "x"),
    "a key that isn't there": ({"nothing": "interval(0,1)"}, {}, "nothing"),
    "a seed": ({"seed": "choice(1,2)"}, {}, "seed"),
    "a condition on nothing": ({}, {"nothing=1": {"x": "interval(0,1)"}}, "nothing"),
    "a condition that can't hold": ({"x": "choice(a,b)"}, {"x=c": {"y": "interval(0,1)"}}, "x"),
    "a condition without a value": ({}, {"x": {"y": "interval(0,1)"}}, "x"),
    "a condition without keys": ({"x": "choice(a,b)"}, {"x=a": 3}, "x"),
    "a condition on an interval": ({"x": "choice(a,b)"}, {"x=interval(0,1)": {"y": "interval(0,1)"}}, "x"),
    "a circle": ({}, {"x=1": {"y": "choice(1,2)"}, "y=1": {"x": "choice(1,2)"}}, "x"),
    "a key twice": ({"x": "choice(a,b)", "y": "choice(1,2)"}, {"x=a": {"y": "choice(3,4)"}}, "y"),
}
