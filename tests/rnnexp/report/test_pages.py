"""Pages: of every kind of folder, complete in themselves, with every text escaped and every gap explained."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import yaml

from hydra_sweep.errors import UserError
from hydra_sweep.run_record import RunRecord, RunRecorder
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record.result import TestOutcomes
from rnnexp.record.run_folder import RunFolder
from rnnexp.report import pages, run_figures, sweep_figures
from rnnexp.report.command import main
from rnnexp.report.pages import gather, write
from rnnexp.report.sweep_figures import Drawing
from rnnexp.runner import run
from rnnexp.verdict import across, judge
from rnnexp.verdict.values import Arm, Candidate, Choice, Run, Search

OF_ITS_SEARCHES = ["searches", "selection", "anytime", "leads"]
ALL_OF_A_COMPARISON = ["forest", "differences", *OF_ITS_SEARCHES, "arm-curves", "costs"]
HOSTILE = "<script>alert('x')</script>\"'&{{ 7*7 }}$x^$"
SMALL = (
    "data.limit=300 data.valid_size=100 model.hidden_size=8 model.num_layers=1 train.epochs=2 train.threads=1 "
    "schedule=cosine"
).split()


class Strict(HTMLParser):
    """Collects what a page loads, runs and shows."""

    def __init__(self):
        super().__init__()
        self.scripts, self.loads, self.ids, self.handlers, self.text = 0, [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.scripts += tag == "script"
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.handlers += [name for name in attrs if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            value = attrs.get(name, "#")
            is_page_beside = tag == "a" and value.startswith("./")
            if not value.startswith(("#", "data:")) and not is_page_beside:
                self.loads.append(value)

    def handle_data(self, data):
        self.text.append(data)


def parsed(path):
    page = Strict()
    text = path.read_text(encoding="utf-8")
    page.feed(text)
    assert page.scripts == 1
    assert page.loads == []
    assert page.handlers == []
    assert len(page.ids) == len(set(page.ids)), [name for name in page.ids if page.ids.count(name) > 1][:5]
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    return " ".join(" ".join(page.text).split())


@pytest.fixture(scope="module")
def run_folder(compose, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    run(compose(*SMALL), folder, choices={"model": "lstm", "optim": "adadelta", "data": "mnist"})
    return folder


@pytest.fixture(scope="module")
def sweep_folder(run_folder, tmp_path_factory):
    """Returns a sweep of twelve trials without its study, its runs copied from one."""
    folder = tmp_path_factory.mktemp("sweeps") / "search"
    folder.mkdir()
    rows = []
    for number in range(12):
        state = ("complete", "complete", "pruned", "failed")[number % 4]
        shutil.copytree(run_folder, folder / str(number))
        value = None if state == "failed" else 0.5 + 0.03 * number
        optim, momentum = ("sgd", 0.1 * number) if number % 3 else ("adam", None)
        rows.append([number, state, None, value, optim, 10.0 ** (-number / 4), momentum, 2, 1, 3.5, "w", str(number)])
    names = (
        "trial state reason valid_accuracy optim optim.lr optim.momentum reports attempt seconds worker folder".split()
    )
    SweepFolder(folder).write_table(names, [dict(zip(names, row, strict=True)) for row in rows])
    space = {"optim": "choice(adam, sgd)", "optim.lr": "tag(log, interval(1e-3, 1))"}
    space |= {"optim.momentum": "interval(0, 1) if optim=sgd"}
    request = {"space": space, "objective": ["valid_accuracy"], "direction": ["maximize"]}
    asked = {"resume": "python -m rnnexp -m name=search", "study": "search", "n_trials": 12, "sampler": "tpe"}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(asked | {"pruner": "median", "request": request}))
    best = {"valid_accuracy": 0.77, "trial": 9, "command": f"python -m rnnexp name='{HOSTILE}'", "overrides": []}
    (folder / "best.yaml").write_text(yaml.safe_dump(best))
    return folder


def arm(name, accuracy, run_folder, with_search=True):
    generator = np.random.default_rng(len(name))
    labels = (np.arange(500) % 10).astype(np.uint8)
    runs = []
    for seed in (1000, 1001, 1002):
        is_right = generator.random(500) < accuracy
        read_as = np.where(is_right, labels, (labels + 1) % 10).astype(np.uint8)
        metrics = {"test_accuracy": is_right.mean(), "test_loss": 0.3, "num_parameters": 900.0 * len(name)}
        metrics |= {"train_seconds": 7.0 + seed % 3, "epochs": 2.0}
        runs.append(Run(str(run_folder), seed, metrics, TestOutcomes(labels, read_as, np.ones(500, np.float32))))
    runs = [dataclasses.replace(run, search=number) for number, run in enumerate(runs)]
    curve = {"n": [1.0, 2.0], "expected": [0.5, 0.6], "low": [0.1, 0.2], "high": [0.9, 0.95]}
    spent = {"trial_epochs": [3.0, 3.0], "trial_seconds": [4.0, 5.5], "curve": curve}
    search = Search("search", 2, 1, 1, 0, 6, 9.5, 0.6, [0.4, 0.6], **spent) if with_search else None
    overrides = [f"tag={HOSTILE}"]
    candidates = [Candidate(overrides, 0.6, 0.7), Candidate(["tag=2"], 0.4, None), Candidate(["tag=3"], 0.3, 0.6)]
    return Arm(name, runs, [Choice(overrides, f"python -m rnnexp {HOSTILE}", search, candidates)] * 3)


@pytest.fixture(scope="module")
def comparison_folder(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    arms = [arm("gru", 0.95, run_folder), arm(HOSTILE, 0.8, run_folder)]
    found = judge.judge(HOSTILE, arms, replicate="search", warnings=[HOSTILE], method=[HOSTILE])
    (folder / "comparison.json").write_text(found.to_json())
    return folder


def keys(page):
    return [drawing.key for drawing in page.drawings]


def test_a_runs_page_shows_its_curves_its_mistakes_and_how_it_was_made(run_folder, tmp_path):
    page = gather(run_folder)
    assert keys(page) == ["curves", "learning-rate", "confusion", "mistakes"]
    assert not page.missing
    text = parsed(write(run_folder, tmp_path / "page.html"))
    result = RunFolder(run_folder).read_result()
    assert f"{100 * result.metrics['test_accuracy']:.2f} %" in text
    assert f"rnnexp reproduce {run_folder}" in text
    assert "model.hidden_size 8" in text
    assert "rnnexp's commit" in text
    [classes] = [table for table in page.tables if table.title == "Classes"]
    assert all(f"{cell.value:.3f}" == cell.text for row in classes.rows for cell in row[3:])
    for drawing in page.drawings:
        assert drawing.note in text
    assert write(run_folder) == run_folder / "report.html"
    (run_folder / "report.html").unlink()


def test_a_sweeps_page_shows_its_search(sweep_folder, tmp_path):
    page = gather(sweep_folder)
    assert keys(page) == ["optimization", "trial-curves", "costs", "pruning", "slices", "parallel"]
    assert page.missing == ["No parameter importance: the study is not in this folder."]
    text = parsed(write(sweep_folder, tmp_path / "page.html"))
    assert "12 of 12" in text
    assert HOSTILE in text
    assert ("best valid accuracy", "77.00 %") in page.tiles
    assert page.tables[0].columns[:4] == ["trial", "state", "valid_accuracy", "optim"]
    axes = page.drawings[0].figure.axes[0]
    assert axes.get_ylabel() == "validation accuracy (%)"
    assert max(axes.lines[-1].get_ydata()) == pytest.approx(100 * 0.77)


def test_the_page_of_a_search_under_way_counts_its_paused_trials(sweep_folder, tmp_path):
    folder = tmp_path / "search"
    shutil.copytree(sweep_folder, folder)
    (folder / "3" / "result.json").unlink()
    with RunRecorder(SweepFolder(folder).run_record("3"), RunRecord(3, "running", {}, "valid_accuracy")) as recorder:
        recorder.end("paused", reason="paused after step 1")
    assert ("paused", "1") in gather(folder).tiles
    assert "paused" not in dict(gather(sweep_folder).tiles)


@pytest.mark.parametrize(
    ("objective", "label", "value"),
    [("valid_loss", "validation loss (nats per example)", 3.5), ("num_parameters", "num_parameters", 3.5)],
)
def test_only_accuracies_are_shown_in_percent(sweep_folder, tmp_path, objective, label, value):
    request = yaml.safe_load((sweep_folder / "sweep.yaml").read_text())
    request["request"] |= {"objective": [objective], "direction": ["minimize"]}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(request))
    row = {"trial": 0, "state": "complete", objective: value, "folder": 0}
    SweepFolder(tmp_path).write_table(list(row), [row])
    shutil.copytree(sweep_folder / "0", tmp_path / "0")
    axes = gather(tmp_path).drawings[0].figure.axes[0]
    assert axes.get_ylabel() == label
    assert list(axes.lines[0].get_ydata()) == [value]


def marks(html, key):
    """Returns the marks of a figure of a page."""
    return json.loads(re.search("data-marks='(.*?)'", html[html.index(f'<figure id="{key}"') :])[1])


def test_dots_and_rows_lead_to_the_pages_of_runs_where_they_are(sweep_folder, tmp_path, capsys):
    shutil.copytree(sweep_folder, tmp_path / "sweep")
    page = tmp_path / "sweep" / "report.html"
    assert main([str(tmp_path / "sweep")]) == 0
    assert {len(mark) for mark in marks(page.read_text(), "optimization")} == {4}
    assert "report.html" not in page.read_text()
    assert main([str(tmp_path / "sweep"), "--runs"]) == 0
    assert "pages    of 12 runs, report.html in each one's folder\n" in capsys.readouterr().out
    html = page.read_text()
    trials = [mark for mark in marks(html, "optimization") if mark[2] == "s0"]
    assert [mark[4] for mark in trials] == [f"./{n}/report.html" for n in (0, 1, 4, 5, 8, 9)]
    assert '<td class="number" data-value="3.0"><a href="./3/report.html">3</a></td>' in html
    assert (tmp_path / "sweep" / "9" / "report.html").exists()
    (tmp_path / "elsewhere").mkdir()
    html = write(tmp_path / "sweep", tmp_path / "elsewhere" / "page.html").read_text()
    assert "./../sweep/3/report.html" in html


def test_every_figure_tells_what_its_marks_are(run_folder, sweep_folder, comparison_folder):
    for folder in (run_folder, sweep_folder, comparison_folder):
        html = gather(folder).html()
        for key in keys(gather(folder)):
            assert key == "mistakes" or all(mark[3] for mark in marks(html, key)), key
    html = gather(comparison_folder).html()
    texts = [mark[3] for mark in marks(html, "forest")]
    assert f"gru, run {run_folder}\ntest accuracy" in texts[0]
    assert any(text.startswith("gru, mean\ntest accuracy") for text in texts)
    assert any(
        text.startswith("gru, search 2\ntrial 1, validation accuracy 60 %")
        for text in [m[3] for m in marks(html, "searches")]
    )


def test_a_comparisons_page_starts_with_its_verdict(comparison_folder, tmp_path):
    page = gather(comparison_folder)
    assert keys(page) == ALL_OF_A_COMPARISON
    text = parsed(write(comparison_folder, tmp_path / "page.html"))
    assert "gru is better than" in text
    assert text.index("gru is better than") < text.index("How good is each arm")
    assert text.count(HOSTILE) > 5
    tables = {table.title: table for table in [*page.first_tables, *page.tables]}
    assert tables["Pairs"].columns[:2] == ["pair", "verdict"]
    assert tables["Pairs"].rows[0][1].text == "better"
    chosen = tables["What each search has chosen"]
    assert chosen.columns[2:4] == ["valid accuracy (%)", "test accuracy (%)"]
    assert chosen.rows[0][2].text == "60.00"
    assert chosen.rows[0][-1].text == f"rnnexp {HOSTILE}"  # the record has an older spelling


def changed(comparison_folder, tmp_path, change):
    """Returns the page of a comparison after a change of its comparison.json."""
    found = json.loads((comparison_folder / "comparison.json").read_text())
    change(found)
    (tmp_path / "comparison.json").write_text(json.dumps(found))
    return gather(tmp_path)


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        (lambda found: found.update(pairs=[], arms=found["arms"][:1]), "differences"),
        (lambda found: [arm.update(choices=[]) for arm in found["arms"]], "searches"),
        (
            lambda found: [choice.update(candidates=[]) for arm in found["arms"] for choice in arm["choices"]],
            "selection",
        ),
        (lambda found: [arm.update(anytime={}) for arm in found["arms"]], "anytime"),
        (lambda found: found.update(leads={}), "leads"),
        (lambda found: found["arms"][0].update(runs=["nowhere"] * 3), "arm-curves"),
    ],
)
def test_a_comparison_that_lacks_something_shows_the_rest(comparison_folder, tmp_path, change, lacks):
    page = changed(comparison_folder, tmp_path, change)
    missing = OF_ITS_SEARCHES if lacks == "searches" else [lacks]
    assert [key for key in ALL_OF_A_COMPARISON if key not in missing] == keys(page)
    parsed(write(tmp_path))


def test_a_comparison_of_one_search_each_shows_the_expected_best_and_the_commands(run_folder, tmp_path):
    arms = [
        dataclasses.replace(a, choices=a.choices[:1])
        for a in (arm("gru", 0.95, run_folder), arm("rnn", 0.8, run_folder))
    ]
    (tmp_path / "comparison.json").write_text(judge.judge("c", arms).to_json())
    page = gather(tmp_path)
    assert keys(page) == [
        "forest",
        "differences",
        "searches",
        "selection",
        "expected-best",
        "anytime",
        "arm-curves",
        "costs",
    ]
    assert [name for name, _ in page.commands] == ["gru", "rnn"]
    parsed(write(tmp_path))


def test_looks_and_collapsed_runs_are_shown(run_folder, tmp_path):
    arms = [arm("gru", 0.95, run_folder), arm("rnn", 0.8, run_folder)]
    arms[1] = dataclasses.replace(
        arms[1], runs=[*arms[1].runs[:2], dataclasses.replace(arms[1].runs[2], is_diverged=True)]
    )
    (tmp_path / "comparison.json").write_text(judge.judge("c", arms, looks=[2, 3], planned=5).to_json())
    page = gather(tmp_path)
    assert [table.title for table in page.first_tables] == ["Arms", "Pairs", "Looks"]
    assert [row[0].text for row in page.first_tables[2].rows] == ["2 of 5", "3 of 5"]
    assert [row[4].text for row in page.first_tables[0].rows] == ["0 of 3", "1 of 3"]
    assert "1 of 3 runs of rnn collapsed" in parsed(write(tmp_path))


@pytest.fixture(scope="module")
def across_folder(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("across")
    verdicts = [
        judge.judge(
            name, [arm("gru", 0.95, run_folder), arm(HOSTILE, 0.8, run_folder), arm("rnn", 0.7 + step, run_folder)]
        )
        for name, step in (("digits", 0.0), (HOSTILE, 0.2), ("words", 0.05))
    ]
    (folder / "datasets.json").write_text(across.across(HOSTILE, verdicts, ["digits", HOSTILE, "words"]).to_json())
    return folder


def test_a_page_across_data_sets_ranks_the_arms_and_leads_to_each_data_set(across_folder, tmp_path):
    page = gather(across_folder)
    assert keys(page) == ["critical-difference", "accuracies", "against", "profiles"]
    assert page.subtitle == "3 arms on 3 data sets, by test accuracy"
    (across_folder / "digits").mkdir()
    (across_folder / "digits" / "report.html").touch()
    written = write(across_folder)
    text = parsed(written)
    assert "Mean ranks over 3 data sets: gru 1.00" in text
    assert 'href="./digits/report.html"' in written.read_text()
    assert "<script>alert" not in written.read_text()
    [table] = [table for table in page.first_tables if table.title == "Data sets"]
    assert all(sum(cell.is_bold for cell in row) == 1 for row in table.rows)


@pytest.mark.parametrize(("content", "line"), [("{", "is damaged (JSONDecodeError"), ("{}", "is damaged (KeyError")])
def test_a_damaged_record_of_data_sets_is_one_line(content, line, tmp_path):
    (tmp_path / "datasets.json").write_text(content)
    with pytest.raises(UserError) as refused:
        gather(tmp_path)
    assert line in str(refused.value)


@pytest.mark.parametrize("name", ["comparison.json", "datasets.json"])
def test_a_record_of_another_version_is_one_line(name, comparison_folder, across_folder, tmp_path):
    folder = comparison_folder if name == "comparison.json" else across_folder
    found = json.loads((folder / name).read_text()) | {"version": 99}
    (tmp_path / name).write_text(json.dumps(found))
    with pytest.raises(UserError, match="was written by another version of rnnexp; run the comparison again"):
        gather(tmp_path)


def test_a_comparison_that_still_goes_on_says_so(comparison_folder, tmp_path):
    assert gather(comparison_folder).subtitle == "2 arms, by test accuracy"
    page = changed(comparison_folder, tmp_path, lambda found: found.update(state="running"))
    assert page.subtitle == "2 arms, by test accuracy, not finished yet"


def test_a_comparison_of_one_seed_has_no_intervals_and_still_a_page(comparison_folder, tmp_path):
    def one_seed(found):
        for arm in found["arms"]:
            arm.update({name: arm[name][:1] for name in ("runs", "seeds", "searches", "accuracies", "losses")})
            for name in ("accuracy", "loss"):
                arm[name].update(std=None, low=None, high=None)
        for pair in found["pairs"]:
            pair.update(dict.fromkeys(("low", "high", "p", "p_corrected", "probability_low", "probability_high")))

    page = changed(comparison_folder, tmp_path, one_seed)
    assert [cell.text for cell in page.first_tables[0].rows[0]][2:4] == ["-", "-"]
    assert keys(page) == ALL_OF_A_COMPARISON


def test_no_text_of_a_folder_becomes_markup(comparison_folder, sweep_folder, tmp_path):
    for folder in (comparison_folder, sweep_folder):
        text = write(folder, tmp_path / "page.html").read_text()
        assert "<script>alert" not in text
        assert "49" not in re.findall(r"&#39;&amp;(.*?)<", text)


def test_a_hostile_run_is_shown_as_it_is(run_folder, tmp_path):
    folder = tmp_path / "a <b> & 'c'"
    shutil.copytree(run_folder, folder)
    record = json.loads((folder / "result.json").read_text())
    record["reason"] = record["config"]["name"] = record["environment"]["host"] = HOSTILE
    record["config"]["model"]["_target_"] = HOSTILE
    (folder / "result.json").write_text(json.dumps(record))
    text = parsed(write(folder, tmp_path / "page.html"))
    assert "a <b> & 'c'" in text
    assert HOSTILE in text


def test_the_page_names_its_scripts_hash_and_allows_no_other(run_folder, tmp_path):
    import base64
    import hashlib

    text = write(run_folder, tmp_path / "page.html").read_text()
    script = text[text.index("<script>") + 8 : text.index("</script>")]
    expected = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{expected}'" in text
    assert "default-src 'none'" in text


def test_a_figure_is_the_same_each_time_and_follows_the_pages_colors(run_folder):
    first, second = (gather(run_folder).drawings[0].svg() for _ in range(2))
    assert first == second
    assert "var(--ink)" in first
    assert sweep_figures.INK not in first
    assert 'role="img" aria-label="Learning curves"' in first
    assert 'id="curves-s0.loss"' in first


def test_a_hidden_legend_of_files_does_not_stay(run_folder):
    drawing = gather(run_folder).drawings[0]
    assert ">validation<" not in drawing.svg()
    assert b">validation<" in drawing.file("svg")
    assert drawing.file("png").startswith(b"\x89PNG")
    assert ">validation<" not in drawing.svg()


def test_figures_are_written_in_the_formats_asked_for(run_folder, tmp_path, capsys):
    argv = [
        str(run_folder),
        "--output",
        str(tmp_path / "p.html"),
        "--figures",
        str(tmp_path / "figs"),
        "--format",
        "svg",
    ]
    assert main(argv) == 0
    assert {path.name for path in (tmp_path / "figs").iterdir()} == {f"{key}.svg" for key in keys(gather(run_folder))}
    assert capsys.readouterr().out.splitlines()[0] == f"page     {tmp_path / 'p.html'}"


@pytest.mark.parametrize(
    ("prepare", "missing"),
    [
        (lambda f: f.test_outcomes.unlink(), "kept no record of single test examples"),
        (lambda f: f.test_outcomes.write_bytes(b"PK"), "The test set can't be shown: test_outcomes.npz can't be read"),
        (lambda f: f.history.unlink(), "no epoch has finished yet"),
        (lambda f: f.history.write_text("epoch\n<b>\n"), "history.csv can't be read: it has other columns"),
    ],
)
def test_what_a_run_lacks_is_said(run_folder, tmp_path, prepare, missing):
    shutil.copytree(run_folder, tmp_path / "run")
    prepare(RunFolder(tmp_path / "run"))
    assert any(missing in text for text in gather(tmp_path / "run").missing)
    assert missing in parsed(write(tmp_path / "run"))


def test_a_run_that_still_goes_on_has_a_page(run_folder, tmp_path):
    shutil.copytree(run_folder, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    (tmp_path / "run" / "test_outcomes.npz").unlink()
    page = gather(tmp_path / "run")
    assert page.subtitle.endswith("unfinished")
    assert keys(page)[0] == "curves"


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_a_sweep_that_still_goes_on_has_a_page(sweep_folder, tmp_path, rows):
    shutil.copytree(sweep_folder, tmp_path / "sweep")
    table = (tmp_path / "sweep" / "results.csv").read_text().splitlines()
    (tmp_path / "sweep" / "results.csv").write_text("\n".join(table[: rows + 1]) + "\n")
    page = gather(tmp_path / "sweep")
    assert page.subtitle.endswith("not finished yet")
    assert ("go on", "python -m rnnexp -m name=search") in page.commands
    parsed(write(tmp_path / "sweep"))


def test_any_folder_of_runs_has_a_page(run_folder, tmp_path):
    page = gather(run_folder.parent)
    assert (page.kind, keys(page)) == ("runs", ["trial-curves", "costs"])
    parsed(write(run_folder.parent, tmp_path / "page.html"))


@pytest.mark.long
def test_a_real_search_and_a_real_grid_have_pages(tmp_path):
    command = [sys.executable, "-m", "rnnexp", "-m", *SMALL[:-3], "train.epochs=2", "workers=1"]
    search = ["optim.lr=tag(log,interval(1e-3,1))", "model=gru,lstm", "n_trials=8", "name=s", "repeats=2"]
    subprocess.run([*command, *search], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([*command, "model=gru,lstm", "seed=0,1", "name=g"], cwd=tmp_path, check=True, capture_output=True)
    several = ["objective=[valid_accuracy,num_parameters]", "direction=[maximize,minimize]", "n_trials=3", "name=p"]
    space = ["model.hidden_size=int(interval(4,9))"]
    again = [text for text in command if not text.startswith("model.hidden_size")]
    subprocess.run([*again, *several, *space], cwd=tmp_path, check=True, capture_output=True)
    sweeps = tmp_path / "outputs" / "sweeps"
    assert "importance" in keys(gather(sweeps / "s"))
    assert "costs" in keys(gather(sweeps / "s"))
    grid = gather(sweeps / "g")
    assert grid.subtitle == "grid, pruner none"
    assert [row[0].text for row in grid.first_tables[0].rows] == ["gru", "lstm"]
    assert [row[3].text for row in grid.first_tables[0].rows] == ["2", "2"]
    assert "pareto" in keys(gather(sweeps / "p"))
    for name in "sgp":
        parsed(write(sweeps / name))


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("comparison.json", "{", "comparison.json is damaged (JSONDecodeError"),
        ("comparison.json", "{}", "comparison.json is damaged (KeyError"),
        ("comparison.json", "[]", "comparison.json is damaged (TypeError"),
        ("sweep.yaml", "a: [", "sweep.yaml can't be read"),
        ("sweep.yaml", "5", "sweep.yaml is empty or not a mapping"),
        ("compare.yaml", "request: {}", "holds a comparison that has no run yet"),
        ("notes.txt", "", "holds no run, no sweep and no comparison; try outputs/runs/NAME"),
    ],
)
def test_a_folder_that_can_not_be_shown_is_one_line(tmp_path, capsys, name, content, line):
    (tmp_path / name).write_text(content)
    assert main([str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert line in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["RUN", "--output", "/nowhere/page.html"], "cannot write /nowhere/page.html"),
        (["RUN", "--format", "pdf"], "--format must be png, svg or png,svg, got pdf"),
        (["RUN", "--output", "TMP/p.html", "--figures", "/dev/null/x"], "cannot write /dev/null/x"),
    ],
)
def test_a_wrong_command_is_one_line(run_folder, tmp_path, capsys, argv, line):
    argv = [text.replace("RUN", str(run_folder)).replace("TMP", str(tmp_path)) for text in argv]
    assert main(argv) == 2
    assert capsys.readouterr().err.startswith(f"rnnexp report: {line}")


def test_a_figure_with_nobodys_series_is_drawn():
    drawing = run_figures.curves(
        pd.DataFrame({c: [1.0] for c in ("epoch", "train_loss", "valid_loss", "train_accuracy", "valid_accuracy")}),
        None,
    )
    assert isinstance(drawing, Drawing)
    assert "<svg" in drawing.svg()
    assert pages.FORMATS == ("png", "svg")


def test_a_bad_json_value_is_a_user_error(comparison_folder, tmp_path):
    found = json.loads((comparison_folder / "comparison.json").read_text())
    found["arms"][0]["accuracy"] = None
    (tmp_path / "comparison.json").write_text(json.dumps(found))
    with pytest.raises(UserError, match=r"comparison.json is damaged"):
        gather(tmp_path)
