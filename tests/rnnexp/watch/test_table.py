"""The table of a watching server: runs, sweeps and comparisons, filtered, sorted and grouped; and its pages."""

import json
import re

import numpy as np
import pytest
import yaml
from fake_runs import HYDRA_CHOICES, RESULT, begun, epochs, finished

from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.watch.table import MOST


@pytest.fixture
def root(tmp_path):
    """Returns a folder of two runs, a sweep of two trials that goes on, and a comparison."""
    epochs(
        finished(tmp_path / "runs" / "b10", config__optim__lr=0.1, choices__optim="sgd", metrics__test_accuracy=0.5), 3
    )
    epochs(finished(tmp_path / "runs" / "b9", seed=4), 3)
    sweep = SweepFolder(tmp_path / "sweeps" / "s")
    epochs(finished(sweep.trial(0), config__optim__lr=0.2, choices__model="gru"), 3)
    begun(sweep.trial(1))
    request = {"objective": ["valid_accuracy"], "direction": ["maximize"], "space": {"optim.lr": "interval(0.1, 1)"}}
    sweep.request.write_text(yaml.safe_dump({"n_trials": 4, "study": "s", "sampler": "tpe", "request": request}))
    row = {
        "trial": 0,
        "state": "complete",
        "valid_accuracy": 0.91,
        "optim.lr": 0.2,
        "reports": 3,
        "seconds": 1.0,
        "folder": "0",
    }
    sweep.write_table(list(row), [row])
    sweep.best.write_text(yaml.safe_dump({"valid_accuracy": 0.91, "trial": 0}))
    comparison = tmp_path / "compare" / "c"
    finished(comparison / "final" / "gru" / "0")
    (comparison / "comparison.json").write_text(
        json.dumps({"pairs": [{"sentence": "gru is better"}], "state": "running"})
    )
    return tmp_path


@pytest.fixture
def ask(root, serve):
    return serve(root)


def cells(table, name):
    place = table["columns"].index(name)
    return [row["cells"][place] for row in table["rows"]]


ALL = [
    "compare/c",
    "compare/c/final/gru/0",
    "runs/b9",
    "runs/b10",
    "sweeps/s",
    "sweeps/s/0",
    "sweeps/s/1",
]


def test_runs_sweeps_and_comparisons_are_rows_of_one_table(ask):
    table = ask.table(sort="path", columns="path,kind,status,within,trials,n_trials,summary,valid_accuracy")
    assert [row["path"] for row in table["rows"]] == cells(table, "path") == ALL
    assert cells(table, "kind") == ["comparison", "run", "run", "run", "sweep", "run", "run"]
    assert cells(table, "status") == ["unfinished", *["complete"] * 3, "unfinished", "complete", "unfinished"]
    assert cells(table, "within") == ["-", "compare/c", "-", "-", "-", "sweeps/s", "sweeps/s"]
    assert cells(table, "summary")[0] == "gru is better"
    assert cells(table, "summary")[4] == "1 of 4 trials, best: trial 0"
    assert (cells(table, "trials")[4], cells(table, "n_trials")[4]) == ("1", "4")
    assert [row.get("progress") for row in table["rows"]] == [*[None] * 4, "1 of 4", None, None]
    assert cells(table, "valid_accuracy")[4] == "0.9100"
    assert table["counts"] == "5 runs (4 complete, 1 unfinished), 1 sweep, 1 comparison"
    assert (table["total"], table["found"]) == (7, 7)


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ({"show": "top"}, ["compare/c", "runs/b9", "runs/b10", "sweeps/s"]),
        ({"show": "runs"}, [path for path in ALL if path not in ("compare/c", "sweeps/s")]),
        ({"show": "sweeps"}, ["sweeps/s"]),
        ({"show": "comparisons"}, ["compare/c"]),
        ({"where": "optim.lr >= 0.1 and optim.lr < 0.2"}, ["runs/b10", "sweeps/s/1"]),
        ({"where": "kind == 'run' and within == null"}, ["runs/b9", "runs/b10"]),
        ({"where": "within == 'sweeps/s'", "show": "runs"}, ["sweeps/s/0", "sweeps/s/1"]),
        ({"text": "GRU sweeps/"}, ["sweeps/s/0", "sweeps/s/1"]),
        ({"text": "better"}, ["compare/c"]),
        ({"text": "sgd", "where": "test_accuracy < 0.6"}, ["runs/b10"]),
        ({"text": "nowhere"}, []),
    ],
)
def test_rows_are_found_by_words_by_an_expression_and_by_kind(ask, query, paths):
    assert ask.paths(sort="path", **query) == paths


def test_rows_are_sorted_by_any_column_with_what_is_missing_last(ask):
    assert ask.paths(sort="-path")[:2] == ["sweeps/s/1", "sweeps/s/0"]
    assert ask.paths(sort="test_accuracy", show="runs")[0] == "runs/b10"
    assert ask.paths(sort="test_accuracy", show="runs")[-1] == "sweeps/s/1"
    assert ask.paths(sort="-test_accuracy", show="runs")[-1] == "sweeps/s/1"


def test_what_has_changed_last_comes_first_and_a_sweep_before_its_trials(ask, root):
    import os

    for number, path in enumerate(("sweeps/s/1", "runs/b9", "runs/b10", "compare/c/final/gru/0", "sweeps/s/0")):
        for file in [*(root / path).rglob("*"), root / path]:
            os.utime(file, (1e9 + number, 1e9 + number))
    for file in (*(root / "sweeps" / "s").glob("*.*"), root / "compare" / "c" / "comparison.json"):
        os.utime(file, (1e9, 1e9))
    expected = ["sweeps/s", "sweeps/s/0", "compare/c", "compare/c/final/gru/0", "runs/b10", "runs/b9", "sweeps/s/1"]
    assert ask.paths() == expected
    assert ask.paths(sort="changed") == expected[::-1]


def test_no_more_rows_are_sent_than_were_asked_for(ask):
    table = ask.table(limit=2, sort="path")
    assert [row["path"] for row in table["rows"]] == ALL[:2]
    assert (table["found"], table["most"]) == (7, MOST)


def test_groups_are_means_with_the_expression_that_leads_to_their_runs(ask):
    table = ask.table(group="model, optim", values="test_accuracy", where="within == null")
    assert table["columns"] == ["model", "optim", "value", "mean ± std (n)", "best"]
    assert [row["cells"] for row in table["rows"]] == [
        ["lstm", "adam", "test_accuracy", "0.9786 (1)", "0.9786"],
        ["lstm", "sgd", "test_accuracy", "0.5000 (1)", "0.5000"],
    ]
    [path] = ask.paths(where=f"{table['rows'][1]['where']} and within == null")
    assert path == "runs/b10"
    assert table["warning"] == ""
    table = ask.table(group="model", sort="mean ± std (n)")
    assert [row["cells"][0] for row in table["rows"]] == ["lstm", "gru"]
    assert table["warning"].startswith("a group mixes configurations (optim")
    assert table["left_out"] == 1


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"where": "optim == adam"}, "no column adam; a text needs quotes, as in \"model == 'lstm'\""),
        ({"where": "lr > 0.1"}, "no column lr (did you mean optim.lr?)"),
        ({"where": "__import__('os').system('true')"}, "is not understood"),
        ({"sort": "test_acuracy"}, "no column test_acuracy (did you mean test_accuracy?)"),
        ({"columns": "path,lr"}, "no column lr (did you mean optim.lr?)"),
        ({"group": "modell"}, "no column modell (did you mean model?)"),
        ({"group": "model", "values": "host"}, "host is no number"),
        ({"limit": "-1"}, "limit must be a whole number, got '-1'"),
    ],
)
def test_a_mistake_is_one_line(ask, query, problem):
    from urllib.parse import urlencode

    said = ask(f"/api/table?{urlencode(query)}").json["problem"]
    assert problem in said
    assert "\n" not in said


def test_damaged_sweeps_and_comparisons_are_rows_that_say_so(ask, root):
    (root / "sweeps" / "s" / "sweep.yaml").write_text("- no mapping")
    (root / "compare" / "c" / "comparison.json").write_text('{"pairs": 3}')
    table = ask.table(sort="path", columns="path,status,reason", show="top")
    assert cells(table, "status") == ["corrupt", "complete", "complete", "corrupt"]
    assert "not a mapping" in cells(table, "reason")[3]
    assert "its record is damaged (TypeError" in cells(table, "reason")[0]


def test_an_objective_that_is_called_as_a_column_of_ours_changes_nothing_else(ask, root):
    request = {"objective": ["kind", "path"], "direction": ["maximize", "minimize"]}
    asked = {"n_trials": 4, "study": "s", "request": request}
    (root / "sweeps" / "s" / "sweep.yaml").write_text(yaml.safe_dump(asked))
    (root / "sweeps" / "s" / "best.yaml").write_text(yaml.safe_dump({"kind": 3.0, "path": 2.0}))
    assert ask.paths(show="sweeps") == ["sweeps/s"]


def test_a_sweep_is_complete_when_all_its_trials_have_ended(ask, root):
    sweep = SweepFolder(root / "sweeps" / "s")
    row = {"trial": 0, "state": "complete", "folder": "0"}
    sweep.write_table(list(row), [row | {"trial": number} for number in range(4)])
    table = ask.table(show="sweeps", columns="status,summary")
    assert table["rows"][0]["cells"] == ["complete", "4 of 4 trials, best: trial 0"]


def test_an_empty_folder_is_a_table_without_rows(serve, tmp_path):
    (tmp_path / "empty").mkdir()
    ask = serve(tmp_path / "empty")
    table = ask.table()
    assert (table["total"], table["rows"], table["counts"]) == (0, [], "")
    assert ask.table(show="sweeps", group="")["rows"] == []
    finished(tmp_path / "empty" / "first")
    assert ask.paths() == ["first"]


def marks(html, key):
    """Returns the marks of a page's figure."""
    figure = html[html.index(f'<figure id="{key}"') :]
    text = re.search(r"data-marks='(.*?)'", figure)[1]
    return json.loads(text)


def test_a_sweeps_page_leads_to_its_trials_and_back(ask):
    html = ask("/at/sweeps/s").text
    [mark] = [mark for mark in marks(html, "optimization") if mark[2] == "s0"]
    assert mark[3:] == ["trial 0, complete\nvalidation accuracy 91 %", "/at/sweeps/s/0"]
    assert '<a href="/at/sweeps/s/0">' in html
    assert '<a href="/at/sweeps"><bdi>sweeps</bdi></a>' in html
    assert 'href="/?text=sweeps%2Fs%2F">its runs in the table</a>' in html
    assert ask("/at/sweeps/s/0").status == 200


def test_a_page_follows_its_folder(ask, root):
    before = ask("/at/sweeps/s/1")
    assert "There are no learning curves" not in before.text
    begun(root / "sweeps" / "s" / "2", history="")
    assert "no epoch has finished yet" in ask("/at/sweeps/s/2").text
    assert ask("/at/sweeps/s/1", headers={"If-None-Match": before.headers["ETag"]}).status == 304
    with (root / "sweeps" / "s" / "1" / "history.csv").open("a") as out:
        out.write("3,0.1,0.2,0.9,0.2,0.95,7.5\n")
    after = ask("/at/sweeps/s/1", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status == 200
    assert [mark[3] for mark in marks(after.text, "curves")][-1] == "validation\nepoch 3, accuracy 95 %"


def test_what_can_not_be_shown_is_said_on_its_page(ask, root):
    text = ask("/at/compare/c").text
    assert "comparison.json is damaged (KeyError" in text
    (root / "compare" / "c" / "comparison.json").unlink()
    (root / "compare" / "c" / "compare.yaml").write_text("request: {}\n")
    assert "It has no verdict yet" in ask("/at/compare/c").text
    assert ask("/at/").status == ask("/at/runs").status == ask("/at/runs/").status == 200


def test_chosen_runs_are_one_figure_and_what_differs(ask):
    html = ask("/chosen?run=runs/b9&run=runs/b10&run=sweeps/s/0").text
    found = marks(html, "chosen-curves")
    assert {mark[4] for mark in found} == {"/at/runs/b9", "/at/runs/b10", "/at/sweeps/s/0"}
    assert len(found) == 3 * 4 * 3
    assert found[4][3] == "runs/b9\nepoch 2, validation accuracy 91 %"
    differs = html[html.index("Configuration: what differs") : html.index("Configuration: what is the same")]
    rows = {
        re.findall(r"<td.*?>(.*?)</td>", row)[0]: [
            (text, "differs" in kind) for kind, text in re.findall(r"<td(.*?)>(.*?)</td>", row)[1:]
        ]
        for row in differs.split("<tr>")[2:]
    }
    assert rows["optim"] == [("adam", False), ("sgd", True), ("adam", False)]
    assert rows["model"] == [("lstm", False), ("lstm", False), ("gru", True)]
    assert rows["optim.lr"] == [("0.001", False), ("0.1", True), ("0.2", True)]
    assert rows["seed"] == [("4", False), ("3", True), ("3", True)]
    assert not {"started", "path", "status", "test_accuracy", "model.hidden_size"} & rows.keys()
    assert "model.hidden_size" in html[html.index("what is the same") :]


def test_one_chosen_run_has_curves_and_too_many_are_refused(ask, root):
    html = ask("/chosen?run=runs/b9").text
    assert len(marks(html, "chosen-curves")) == 4 * 3
    assert "what differs" not in html
    refused = ask("/chosen?" + "&".join(f"run={number}" for number in range(MOST + 1)))
    assert (refused.status, refused.text) == (
        404,
        f"choose between one run and {MOST}: more can't be told apart in a figure\n",
    )
    begun(root / "none", history="", choices=HYDRA_CHOICES)
    assert "No curves of none: no epoch has finished yet" in ask("/chosen?run=none").text


def test_a_figure_is_the_same_as_the_reports(ask, root):
    from rnnexp.report import gather

    page = gather(root / "runs" / "b9")
    assert f">{100 * RESULT.metrics['test_accuracy']:.2f} %<" in ask("/at/runs/b9").text
    axes = page.drawings[0].figure.axes[1]
    assert np.allclose(axes.lines[1].get_ydata(), [90, 91, 92])
