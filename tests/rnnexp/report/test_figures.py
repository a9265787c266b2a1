"""Figures show the numbers they were given, whatever the names are, and can be read in gray."""

import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rnnexp.report import across_figures, comparison_figures, run_figures, sweep_figures
from rnnexp.report import drawing as report_drawing
from rnnexp.report.drawing import INK
from rnnexp.report.page import Page

NAMES = ["$x^$", "a$\\foo$b", "_hidden", "模型", "tab\tnew\nline", "nul\x00", "x" * 300, "<b>&amp;"]
CURVE = {"n": [1.0, 2.0, 3.0], "expected": [0.97, 0.98, 0.985], "low": [0.2, 0.3, 0.4], "high": [1.0, 1.0, 1.0]}
INTERVAL = {"mean": 0.9, "std": 0.01, "low": 0.88, "high": 0.92}


def drawn(drawing, gid):
    """Returns the artist of a figure that has this gid."""
    (artist,) = [a for axes in drawing.figure.axes for a in axes.get_children() if a.get_gid() == gid]
    return artist


def marks(drawing, link=lambda folder: ""):
    """Returns the marks of a figure as a page has them, by its own markup."""
    return json.loads(ElementTree.fromstring(drawing.svg(link)).attrib["data-marks"])


def runs(parameters, seconds, accuracies):
    return pd.DataFrame({"num_parameters": parameters, "train_seconds": seconds, "test_accuracy": accuracies})


def trials():
    rows = [(0, "complete", 50.0), (1, "pruned", 90.0), (2, "complete", 40.0), (3, "failed", None), (4, "complete", 60)]
    return pd.DataFrame(rows, columns=["trial", "state", "value"])


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_only_text(name):
    """Matplotlib takes dollars for mathematics, and XML has no room for control characters."""
    pair = {"a": name, "b": "gru", "difference": 0.1, "low": None, "high": None, "verdict": "undecided"}
    for drawing in (
        comparison_figures.forest([name, "gru"], [INTERVAL, INTERVAL], [[0.9], [0.8]], "test"),
        comparison_figures.differences([pair], 0.002),
        comparison_figures.searches({name: [[0.5, 0.6]], "gru": [[0.4]]}, "valid_accuracy", True),
        comparison_figures.expected_best({name: CURVE, "gru": CURVE}),
        sweep_figures.costs({name: runs([10], [1], [0.5]), "gru": runs([10], [1], [0.6])}, "test_accuracy"),
    ):
        texts = "".join(ElementTree.fromstring(drawing.file("svg")).itertext())
        assert " ".join(name.replace("\x00", "\ufffd").split())[:30] in " ".join(texts.split())
        assert "<svg" in drawing.svg()


def test_a_name_that_is_too_long_leaves_room_for_the_figure():
    drawing = comparison_figures.forest(["x" * 300], [INTERVAL], [[0.9]], "test")
    drawing.file("png")
    assert drawing.figure.axes[0].get_position().width > 0.4


def test_many_series_differ_in_more_than_color_in_the_figure_and_in_the_legend():
    names = [f"arm {i}" for i in range(12)]
    drawing = sweep_figures.costs({name: runs([i], [i], [0.5]) for i, name in enumerate(names)}, "test_accuracy")
    marks = [(line.get_color(), line.get_marker()) for line in drawing.figure.axes[0].lines]
    assert len(set(marks)) == 12
    assert len({marker for _, marker in marks[:8]}) == 8
    drawing = comparison_figures.expected_best(dict.fromkeys(names, CURVE))
    lines = [str(line._unscaled_dash_pattern) for line in drawing.figure.axes[0].lines]
    assert len(set(lines[:8])) == 8
    html = Page(Path("."), "comparison", "title", drawings=[drawing]).html()
    swatches = re.findall(r"<line .*?/>", html)
    assert len(swatches) == len(set(swatches)) == 12
    assert len(set(re.findall(r'stroke-dasharray="(.*?)"', "".join(swatches)))) == 8


def test_a_legend_shows_the_marks_of_the_figure():
    drawing = sweep_figures.optimization(trials(), "validation accuracy (%)", True)
    html = Page(Path("."), "sweep", "title", drawings=[drawing]).html()
    complete, pruned = re.findall(r'<path d="([^"]*)" stroke="#\w+" fill="(.*?)"/>', html)
    assert complete[1] == sweep_figures.COLORS[0]
    assert pruned[1] == "none"
    assert pruned[0].count("M") == 2  # the strokes of a cross


@pytest.mark.parametrize(("is_maximized", "best"), [(True, [50, 50, 60]), (False, [50, 40, 40])])
def test_the_best_so_far_is_of_complete_trials(is_maximized, best):
    drawing = sweep_figures.optimization(trials(), "loss", is_maximized)
    place = [sample.get_label() for sample in drawing.series].index("best so far")
    assert drawn(drawing, f"s{place}").get_ydata().tolist() == best
    assert drawn(drawing, "s1").get_xdata().tolist() == [1]


def test_each_search_shows_its_own_trials_and_best_on_one_scale():
    found = {"gru": [[0.5, 0.4, 0.7, 0.6], [0.3, 0.2]], "lstm": [[0.2]]}
    drawing = comparison_figures.searches(found, "valid_accuracy", True)
    assert drawn(drawing, "s1.gru-0").get_ydata() == pytest.approx([50, 50, 70, 70])
    assert drawn(drawing, "s1.gru-1").get_ydata() == pytest.approx([30, 30])
    assert drawn(drawing, "s0.lstm-0").get_ydata() == pytest.approx([20])
    first, second = drawing.figure.axes
    assert first.get_ylim() == second.get_ylim()
    losses = comparison_figures.searches(found, "valid_loss", False)
    assert drawn(losses, "s1.gru-0").get_ydata() == pytest.approx([0.5, 0.4, 0.4, 0.4])
    assert losses.figure.axes[0].get_ylabel() == "validation loss (nats)"


def test_a_selection_shows_each_candidate_before_and_again():
    candidates = [
        {"searched": 0.9, "again": 0.93, "is_chosen": False},
        {"searched": 0.88, "again": 0.95, "is_chosen": True},
        {"searched": 0.87, "again": None, "is_chosen": False},
    ]
    drawing = comparison_figures.selection({"gru": [candidates]}, "valid_accuracy")
    line = drawn(drawing, "s0.l0")
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == (pytest.approx([90, 88]), pytest.approx([93, 95]))
    hollow, filled = (drawn(drawing, f"s0.c0-{rank}").get_markerfacecolor() for rank in (0, 1))
    assert hollow != filled == drawn(drawing, "s0.c0-1").get_color()


def test_budgets_are_shown_with_their_bands():
    curve = {"budget": [3.0, 6.0], "expected": [0.5, 0.6], "low": [0.4, 0.55], "high": [0.6, 0.65]}
    drawing = comparison_figures.anytime({"gru": {"epochs": curve}, "rnn": {"epochs": curve}}, "valid_accuracy", 3)
    assert drawn(drawing, "s1.epochs").get_ydata() == pytest.approx([50, 60])
    assert drawn(drawing, "s0.bepochs").get_paths()[0].vertices[:, 1].max() == pytest.approx(65)
    few = comparison_figures.anytime({"gru": {"epochs": curve}, "rnn": {"epochs": curve}}, "valid_accuracy", 2)
    assert not few.figure.axes[0].collections
    assert "2 searches of an arm have no band: an interval needs 3 or more" in few.note
    lead = {"a": "gru", "b": "rnn", "budget": [3.0, 6.0], "probability": [0.5, 1.0], "low": [], "high": []}
    assert drawn(comparison_figures.leads([lead]), "s0.p").get_ydata() == pytest.approx([0.5, 1])


def test_ranks_stand_on_their_axis_and_bars_join_what_can_not_be_told_apart():
    arms = [{"name": name, "mean_rank": rank} for name, rank in (("a", 1.2), ("b", 1.9), ("c", 2.9))]
    drawing = across_figures.critical_difference(arms, [["a", "b"]], 7)
    marks = [line.get_xdata()[0] for line in drawing.figure.axes[0].lines if line.get_marker() == "o"]
    assert marks == [1.2, 1.9, 2.9]
    bars = [line.get_xdata().tolist() for line in drawing.figure.axes[0].lines if line.get_linewidth() == 4]
    assert bars == [[pytest.approx(1.17), pytest.approx(1.93)]]


def test_a_profile_is_the_share_of_runs_above():
    data = [{"runs": [[0.9, 0.7], [0.5]]}, {"runs": [[0.8], [0.6, 0.4]]}]
    line = drawn(across_figures.profiles(data, ["a", "b"]), "s0.p")
    at = dict(zip(line.get_xdata().tolist(), line.get_ydata().tolist(), strict=True))
    assert (at[60], at[75], at[85], at[95]) == (100, 75, 25, 0)


@pytest.mark.parametrize(("num_arms", "panels"), [(2, 1), (3, 3), (4, 6), (6, 5)])
def test_arms_against_each_other_have_room(num_arms, panels):
    data = [{"accuracies": [0.9 - 0.1 * arm for arm in range(num_arms)]}] * 3
    drawing = across_figures.against(data, [f"arm {arm}" for arm in range(num_arms)])
    shown = [axes for axes in drawing.figure.axes if axes.axison]
    assert len(shown) == panels
    assert shown[0].get_title() == "3 above, 0 below"


def test_an_expected_best_is_not_flattened_by_its_band():
    low, high = comparison_figures.expected_best({"gru": CURVE}).figure.axes[0].get_ylim()
    assert 94 < low < 97
    assert 98.5 < high <= 100.5


def test_costs_show_the_means_of_arms_and_only_the_runs_of_a_sweep():
    arms = {"gru": runs([100, 100], [2.0, 4.0], [0.8, 0.9])}
    mean = drawn(sweep_figures.costs(arms, "test_accuracy", has_means=True), "s0.train_seconds.mean")
    assert (mean.get_xdata()[0], mean.get_ydata()[0]) == pytest.approx((3, 85))
    drawing = sweep_figures.costs(arms, "test_accuracy")
    assert drawn(drawing, "s0.train_seconds").get_ydata() == pytest.approx([80, 90])
    assert len(drawing.figure.axes[0].lines) == 1


def test_an_axis_over_more_than_a_decade_is_logarithmic_with_plain_numbers():
    arms = {"gru": runs([100, 20_000], [2.0, 4.0], [0.8, 0.9])}
    drawing = sweep_figures.costs(arms, "test_accuracy")
    assert [axes.get_xscale() for axes in drawing.figure.axes] == ["log", "linear"]
    text = drawing.svg()
    assert ">1000<" in text
    assert "mathdefault" not in text


def test_a_bar_is_as_long_as_its_trial():
    frame = pd.DataFrame({"trial": [0, 1, 2], "state": ["complete", "pruned", "complete"], "reports": [5, 2, 4]})
    drawing = sweep_figures.pruning(frame)
    assert [sample.get_label() for sample in drawing.series] == ["complete", "pruned"]
    bars = {gid: drawn(drawing, gid) for gid in ("s0.0", "s1.0", "s0.1")}
    assert [bar.get_width() for bar in bars.values()] == [5, 2, 4]
    assert bars["s1.0"].get_hatch() != bars["s0.0"].get_hatch()


@pytest.mark.parametrize("count", [sweep_figures.MAX_BARS, sweep_figures.MAX_BARS + 1, 1000])
def test_what_was_pruned_is_seen_however_many_trials_there_are(count):
    """A thousand bars would have no ink between their edges."""
    states = ["pruned" if trial % 2 else "complete" for trial in range(count)]
    reports = [1 if state == "pruned" else 5 for state in states]
    drawing = sweep_figures.pruning(pd.DataFrame({"trial": range(count), "state": states, "reports": reports}))
    image = np.asarray(Image.open(io.BytesIO(drawing.file("png"))).convert("RGB")).reshape(-1, 3)
    for color in sweep_figures.COLORS[:2]:
        ink = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (image == ink).all(1).mean() > 0.0003


def test_bands_reach_from_the_lowest_run_to_the_highest():
    columns = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
    histories = [pd.DataFrame({"epoch": [1, 2]} | {key: [low, low] for key in columns}) for low in (0.2, 0.3, 0.7)]
    drawing = comparison_figures.arm_curves({"gru": histories})
    assert drawn(drawing, "s0.valid_accuracy").get_ydata() == pytest.approx([40, 40])
    corners = drawn(drawing, "s0.bvalid_accuracy").get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == pytest.approx((20, 70))


def test_a_narrow_window_scrolls_a_figure_instead_of_shrinking_it_beyond_reading():
    widths = {}
    for drawing in (
        sweep_figures.importance({"a": 0.7, "b": 0.3}),
        comparison_figures.searches({key: [[0.5]] for key in "abc"}, "valid_accuracy", True),
    ):
        least, width = re.search(r'min-width: (\d+)pt".*?width="([\d.]+)pt"', drawing.svg(), re.S).groups()
        widths[drawing.key] = float(least) / float(width)
    assert list(widths.values()) == pytest.approx([0.75, 0.75], abs=0.01)


def test_a_figure_with_nothing_known_is_still_drawn():
    empty = {"mean": np.nan, "std": None, "low": None, "high": None}
    assert comparison_figures.forest(["gru"], [empty], [[]], "test").file("png").startswith(b"\x89PNG")


def test_the_confusion_matrix_takes_the_pages_colors():
    """What is rare lets the page's own background through, and the text on it has the page's ink."""
    drawing = run_figures.confusion(np.array([[99, 1], [0, 100]]), "ab")
    [image] = drawing.figure.axes[0].images
    assert image.get_array()[..., 3].round(2).tolist() == [[0.99, 0.1], [0, 1]]
    assert drawing.svg().count("fill: var(--ink)") > 1
    colors = {text.get_text(): text.get_color() for text in drawing.figure.axes[0].texts}
    assert colors == {"99": "white", "1": INK, "100": "white"}


def test_a_mark_is_where_the_figure_has_its_dot_and_says_what_it_is():
    drawing = sweep_figures.optimization(trials().assign(lr=[0.1, 0.2, None, 0.4, 0.5]), "loss (nats)", False, ["lr"])
    found = marks(drawing)
    [pruned] = [mark for mark in found if mark[2] == "s1"]
    assert pruned[3] == "trial 1, pruned\nloss 90 nats\nlr=0.2"
    assert [mark[3].splitlines()[0] for mark in found if mark[2] == "s0"] == [f"trial {n}, complete" for n in (0, 2, 4)]
    group = next(part for part in ElementTree.fromstring(drawing.svg()).iter() if part.get("id") == "optimization-s1")
    [dot] = [part for part in group.iter() if part.tag.endswith("use")]
    assert [float(dot.get("x")), float(dot.get("y"))] == pytest.approx(pruned[:2], abs=0.06)
    best = [mark[3] for mark in found if mark[2] == "s2"]  # what nobody has named is called as in the legend
    assert best == [
        "best so far\ntrial 0, loss 50 nats",
        "best so far\ntrial 2, loss 40 nats",
        "best so far\ntrial 4, loss 40 nats",
    ]


def test_marks_lead_to_the_pages_that_there_are():
    folders = trials().assign(folder=["0", "1", "2", "3", "4"])
    drawing = sweep_figures.optimization(folders, "loss", False)
    found = marks(drawing, lambda folder: "./2/report.html" if folder == "2" else "")
    assert [mark[4:] for mark in found if mark[2] == "s0"] == [[], ["./2/report.html"], []]


def test_what_is_not_to_be_seen_has_no_mark():
    history = pd.DataFrame({"epoch": [1, 2, 3], "valid_accuracy": [0.5, np.nan, 0.7]})
    found = marks(sweep_figures.trial_curves({"7": history}, None))
    assert [mark[3] for mark in found] == [
        "run 7\nepoch 1, validation accuracy 50 %",
        "run 7\nepoch 3, validation accuracy 70 %",
    ]
    drawing = comparison_figures.expected_best({"gru": CURVE})
    drawing.figure.axes[0].set_ylim(97.5, 100)
    assert len(marks(drawing)) == 2


def test_of_too_many_marks_the_last_of_each_line_stays(monkeypatch):
    monkeypatch.setattr(report_drawing, "MAX_MARKS", 10)
    history = pd.DataFrame({"epoch": range(1, 11), "valid_accuracy": np.linspace(0, 1, 10)})
    found = marks(sweep_figures.trial_curves({str(n): history for n in range(5)}, "4"))
    assert len(found) == 10
    assert sum("epoch 10," in mark[3] for mark in found) == 5


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_text_in_a_mark(name):
    drawing = sweep_figures.costs({name: runs([10], [1], [0.5])}, "test_accuracy")
    text = re.search("data-marks='(.*?)'", drawing.svg())[1]
    assert not set("<>&'") & set(text)
    assert json.loads(text)[0][3].startswith(name)


def test_a_value_is_told_with_the_unit_of_its_axis():
    told = [("epoch", 3.0), ("accuracy (%)", 91.256), ("training\ntime (s)", 1e5), ("loss (nats), again", 0.12345)]
    texts = ["epoch 3", "accuracy 91.26 %", "training time 100,000 s", "loss, again 0.1235 nats"]
    assert [report_drawing.measured(label, value) for label, value in told] == texts
