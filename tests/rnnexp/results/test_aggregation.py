"""Rows by expression, means over seeds, tables of two dimensions, and the files that they become."""

import csv
import io
import math
import statistics

import numpy as np
import pandas as pd
import pytest

from hydra_sweep.errors import UserError
from rnnexp.results import formats
from rnnexp.results.aggregation import MixedConfigurations, flat, group, mixed_keys, pivot, spelled, spelled_groups
from rnnexp.results.filtering import where

pytestmark = pytest.mark.filterwarnings(
    "ignore::rnnexp.results.aggregation.MixedConfigurations"
)  # most groups here are mixed


@pytest.fixture
def frame():
    rows = [
        ("a", "complete", "lstm", "adam", 0, 0.97, 0.10, 0.9, 0.01, None, True),
        ("b", "complete", "lstm", "adam", 1, 0.98, 0.08, 0.9, 0.01, "1", False),
        ("c", "complete", "gru", "adam", 0, 0.96, 0.12, 0.9, 0.10, 1, True),
        ("d", "complete", "gru", "sgd", 0, 0.90, 0.30, None, 1.00, 2, None),
        ("e", "failed", "gru", "sgd", 1, math.nan, math.nan, None, 1.00, 2, None),
        ("f", "complete", None, "sgd", 1, 0.80, 0.60, None, 1.00, 2, None),
    ]
    names = "path status model optim seed test_accuracy test_loss optim.rho optim.lr mixed kept".split()
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize(
    ("expression", "paths"),
    [
        ("model == 'lstm'", "ab"),
        ("model != 'lstm'", "cde"),  # a missing value is not known to differ
        ("model == null", "f"),
        ("optim.rho != null", "abc"),
        ("optim.lr > 0.01", "cdef"),
        ("0.01 < optim.lr < 1", "c"),
        ("test_accuracy >= 0.96 and optim == 'adam' and seed == 0", "ac"),
        ("not (model == 'gru' or seed == 1)", "a"),
        ("model in ('gru', 'rnn')", "cde"),
        ("seed not in [0]", "bef"),
        ("test_accuracy - 0.01 > 0.95", "ab"),
        ("optim.lr * 2 == -(-2)", "def"),
        ("mixed > 1", "def"),  # text is never more than a number
        ("mixed == 1", "c"),
        ("status == 'complete' and test_loss / 2 <= 0.05", "ab"),
        ("model == optim", ""),
        ("kept", "ac"),  # a column of truths is a condition, a missing one is none
        ("not kept and status != 'failed'", "bdf"),
        ("test_accuracy == nan", "e"),
        ("+seed == 1", "bef"),
    ],
)
def test_an_expression_chooses_rows(frame, expression, paths):
    assert "".join(where(frame, expression)["path"]) == paths


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("modle == 'gru'", r"no column modle \(did you mean model\?\)"),
        ("optim.rl > 1", r"no column optim.rl \(did you mean optim.lr\?\)"),
        ("model == lstm", "no column lstm.*a text needs quotes"),
        ("model = 'lstm'", "can't read \"model = 'lstm'\""),
        ("", "can't read ''"),
        ("(" * 500, "can't read"),
        ("seed", "seed is no condition"),
        ("seed and model", "seed is no condition"),
        ("1 < 2", None),
        ("model in 'lstm'", "in wants a list"),
        ("model is 'lstm'", "is and is not are not understood"),
        ("model + 1 > 2", "can't evaluate"),
        ("seed / 0 > 1 and 1 / 0 > 2", "can't evaluate"),
        ("__import__('os').system('touch owned')", "is not understood"),
        ("path.str.len() > 1", "is not understood"),
        ("[x for x in (1,)] == 1", "is not understood"),
        ("(lambda: 1)() == 1", "is not understood"),
        ("f'{seed}' == '0'", "is not understood"),
        ("seed ** 9 > 1", "is not understood"),
        ("@frame == 1", "can't read"),
        ("~kept", "is not understood"),
        ("model == 'a' * 10000000000000", "are for numbers"),
        ("seed in [1] * 10000000000000", "are for numbers"),
        ("+".join(["1"] * 2900) + " > seed", "nested too deeply"),
        ("not " * 900 + "kept", "nested too deeply"),
    ],
)
def test_a_wrong_or_dangerous_expression_is_one_line(frame, expression, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if message is None:
        assert len(where(frame, expression)) == len(frame)
        return
    with pytest.raises(UserError, match=message) as refused:
        where(frame, expression)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_group_has_mean_std_n_and_best_over_complete_runs(frame):
    found = group(frame, ["model", "optim"], ["test_accuracy", "test_loss"])
    assert list(found.columns) == ["model", "optim", "value", "mean", "std", "n", "best"]
    rows = {tuple(row[:3]): row[3:] for row in found.fillna({"model": "-"}).itertuples(index=False, name=None)}
    assert set(rows) == {
        (m, o, v)
        for m, o in [("lstm", "adam"), ("gru", "adam"), ("gru", "sgd"), ("-", "sgd")]
        for v in ("test_accuracy", "test_loss")
    }
    mean, std, n, best = rows[("lstm", "adam", "test_accuracy")]
    assert (mean, n, best) == (pytest.approx(0.975), 2, 0.98)
    assert std == pytest.approx(statistics.stdev([0.97, 0.98]))
    mean, std, n, best = rows[("lstm", "adam", "test_loss")]
    assert (mean, best) == (pytest.approx(0.09), 0.08)
    assert math.isnan(rows[("gru", "sgd", "test_accuracy")][1])
    assert rows[("gru", "sgd", "test_accuracy")][2] == 1  # the failed one has no part


@pytest.mark.filterwarnings("error")
def test_a_mean_over_several_configurations_warns_and_names_the_keys_that_differ():
    rows = [
        (model, optim, {"adam": 0.001, "sgd": 0.1}[optim], epochs, seed, device, 0.9, "complete")
        for model, device in (("gru", "cpu"), ("lstm", "cuda"))
        for optim, epochs in (("adam", 1), ("sgd", 1), ("sgd", 2))
        for seed in (0, 1)
    ]
    names = "model optim optim.lr train.epochs seed train.device test_accuracy status".split()
    frame = pd.DataFrame(rows, columns=names)
    with pytest.warns(MixedConfigurations) as caught:
        group(frame, ["model"])
    assert [str(one.message) for one in caught] == [
        "a group mixes configurations (optim, train.epochs): its spread is not that of seeds alone"
    ]
    assert caught[0].filename == __file__
    with pytest.warns(MixedConfigurations, match=r"a group mixes configurations \(train.epochs\)"):
        pivot(frame, "model", "optim")
    group(frame, ["model", "optim", "train.epochs"])
    group(where(frame, "optim == 'adam'"), ["seed", "model"])
    pivot(frame, ["model", "train.epochs"], "optim")
    spread = frame.assign(**{"optim.lr": range(len(frame))})
    assert mixed_keys(spread, ["model", "optim", "train.epochs"]) == ["optim.lr"]


def test_a_group_of_no_complete_runs_is_empty_unless_every_status_counts(frame):
    failed = frame[frame["status"] == "failed"]
    assert group(failed, ["model"]).empty
    assert group(failed, ["model"], ["optim.lr"], any_status=True)["mean"].tolist() == [1.0]
    assert group(frame, ["optim"], ["seed"])["n"].tolist() == [3, 2]
    assert group(frame, ["optim"], ["seed"], any_status=True)["n"].tolist() == [3, 3]
    assert pivot(frame, "optim", "model", "seed", any_status=True).loc["sgd", ("gru", "n")] == 2


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("optim.lr", [0.01, 0.1, 1.0]),
        ("model", ["gru", "lstm", "-"]),
        ("optim.rho", [0.9, "-"]),
        ("mixed", [1, 2, "1", "-"]),  # numbers, then text, then what is missing
        ("kept", [False, True, "-"]),
    ],
)
def test_groups_and_pivots_are_in_natural_order_whatever_a_column_holds(frame, by, order):
    found = group(frame, [by])
    assert [("-" if pd.isna(cell) else cell) for cell in found[by].tolist()] == order
    assert found.index.tolist() == list(range(len(order)))
    assert pivot(frame, by, "optim").index.tolist() == order
    across = pivot(frame, "optim", by)
    assert list(dict.fromkeys(across.columns.get_level_values(0))) == order
    counts = across.xs("n", axis=1, level=1).sum()
    assert counts.tolist() == found["n"].tolist()


def test_run_2_is_before_run_10(frame):
    assert group(frame.assign(model=[f"m{n}" for n in (10, 2, 1, 2, 0, 10)]), ["model"])["model"].tolist() == [
        "m1", "m2", "m10"
    ]  # fmt: skip


def test_a_group_as_people_read_it(frame):
    texts = spelled_groups(group(frame, ["model"], ["test_accuracy", "optim.lr"]))
    assert list(texts.columns) == ["model", "value", "mean ± std (n)", "best"]
    assert texts.iloc[2:4].to_numpy().tolist() == [
        ["lstm", "test_accuracy", "0.9750 ± 0.0071 (2)", "0.9800"],
        ["lstm", "optim.lr", "0.01 ± 0 (2)", "0.01"],
    ]
    assert spelled_groups(group(frame, ["model"], ["optim.rho"]))["best"].tolist() == ["0.9", "0.9", "-"]


@pytest.mark.parametrize(
    ("by", "values", "message"),
    [
        (["modle"], ["test_loss"], r"no column modle \(did you mean model"),
        (["model"], ["tset_loss"], r"did you mean test_loss"),
        (["lr"], ["test_loss"], r"^no column lr \(did you mean optim.lr\?\)$"),
        (["model"], ["zzz"], "^no column zzz$"),
        (["seed"], ["model"], "model is no number"),
        ([], ["test_loss"], "at least one column"),
        (["seed"], [], "at least one column and one value"),
    ],
)
def test_a_group_of_what_is_not_there_is_one_line(frame, by, values, message):
    with pytest.raises(UserError, match=message):
        group(frame, by, values)


def test_a_pivot_has_each_cell_once(frame):
    found = pivot(frame, "model", "optim")
    assert found.loc["lstm", ("adam", "mean")] == pytest.approx(0.975)
    assert found.loc["-", ("sgd", "best")] == 0.80
    assert np.isnan(found.loc["lstm", ("sgd", "mean")])
    texts = spelled(found, "test_accuracy").set_index("model")
    assert texts.loc["lstm", "adam"] == "0.9750 ± 0.0071 (2)"
    assert texts.loc["gru", "sgd"] == "0.9000 (1)"
    assert texts.loc["lstm", "sgd"] == "-"
    assert list(flat(found).columns) == [
        "model", *(f"{optim} {part}" for optim in ("adam", "sgd") for part in ("mean", "std", "n", "best"))
    ]  # fmt: skip
    with pytest.raises(UserError, match="can't be both"):
        pivot(frame, ["model", "optim"], "optim")
    with pytest.raises(UserError, match="a column for its rows"):
        pivot(frame, [], "optim")
    assert pivot(frame, ["model", "seed"], "optim").loc[("lstm", 1), ("adam", "mean")] == 0.98
    assert pivot(frame[:0], "model", "optim").empty


def test_no_two_headers_of_a_pivot_are_the_same(frame):
    found = pivot(frame.assign(optim=["model", "1", 1, 1, 1, "x"]), "model", "optim")
    assert list(spelled(found, "test_accuracy").columns) == ["model", "1", "optim='1'", "optim='model'", "x"]
    assert flat(found).columns.is_unique


HOSTILE = pd.DataFrame(
    {"a|b": ["x|y\nz", "<script>alert(1)</script>", "50 % & $x_1$ \\ ~^{}"], "n": [1, 2.5, math.nan]}
)


def test_markdown_is_escaped():
    lines = formats.to_markdown(HOSTILE).splitlines()
    assert lines[:2] == ["| a\\|b | n |", "| --- | ---: |"]
    assert lines[2] == "| x\\|y\\\\nz | 1 |"
    assert len(lines) == 5


def test_latex_is_escaped():
    text = formats.to_latex(HOSTILE)
    assert r"50 \% \& \$x\_1\$ \textbackslash{} \textasciitilde{}\textasciicircum{}\{\} & -" in text
    assert text.count("\\\\\n") == 4
    assert "\\begin{tabular}{lr}" in text


def test_html_is_escaped():
    text = formats.to_html(HOSTILE)
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert text.count("<tr>") == 4


def test_csv_keeps_every_digit():
    rows = list(csv.DictReader(io.StringIO(formats.to_csv(pd.DataFrame({"x": [1 / 3]})))))
    assert float(rows[0]["x"]) == 1 / 3
