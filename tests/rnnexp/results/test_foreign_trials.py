"""Trials of other apps are in the table with their state, values, steps and keys, whatever the app itself leaves."""

import pytest
import yaml

from hydra_sweep.run_record import RUNNING, RunRecord, RunRecorder
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.report.pages import gather
from rnnexp.results import collect
from rnnexp.results.command import main

REQUEST = {"space": {"x": "interval(0, 4)", "y": "choice(1, 2)"}, "objective": ["loss"], "direction": ["minimize"]}
ROW = {"trial": 0, "state": "complete", "reason": None, "loss": 0.5, "cost": 7, "x": 2.5, "y": 1}
ROW |= {"reports": 4, "attempt": 1, "seconds": 9.5, "worker": "w", "folder": "0"}


@pytest.fixture
def sweep(tmp_path):
    """Returns the folder of a sweep with one trial in its table."""
    folder = SweepFolder(tmp_path / "sweep")
    folder.path.mkdir()
    asked = {"resume": "python app.py -m", "study": "sweep", "n_trials": 9, "sampler": "tpe", "pruner": "none"}
    folder.request.write_text(yaml.safe_dump(asked | {"request": REQUEST}))
    folder.write_table([*ROW], [ROW])
    (folder.path / "0" / ".hydra").mkdir(parents=True)
    (folder.path / "0" / ".hydra" / "config.yaml").write_text("x: 2.5\ny: 1\nseed: 0\ndeep: {key: 3}")
    return folder


def recorder(sweep, run, **facts):
    about = {"sampled": {"x": "1.5", "y": "2"}, "objective": "loss", "attempt": 2, **facts}
    return RunRecorder(sweep.run_record(run), RunRecord(int(run.partition("/")[0]), RUNNING, **about))


def row(sweep, path):
    frame = collect(sweep.path)
    return frame[frame["path"] == path].iloc[0]


def test_a_trial_in_the_table_has_its_state_value_other_metrics_steps_and_keys(sweep):
    found = row(sweep, "0")
    assert found["status"] == "complete"
    assert (found["loss"], found["cost"], found["reports"], found["x"], found["y"], found["attempt"]) == (
        0.5,
        7,
        4,
        2.5,
        1,
        1,
    )
    assert found["deep.key"] == 3
    assert collect(sweep.path)["loss"].dtype == float


def test_a_running_trial_says_so_with_what_it_reported_last(sweep):
    with recorder(sweep, "1") as running:
        running.written = 0.0
        running.note(0.25, {"loss": 0.25, "accuracy": 0.9}, 10)
        found = row(sweep, "1")
        assert found["status"] == "running"
        assert (found["loss"], found["accuracy"], found["reports"], found["x"], found["attempt"]) == (
            0.25,
            0.9,
            1,
            1.5,
            2,
        )
        running.end("complete", {"loss": 0.125})


def test_a_trial_whose_worker_was_killed_is_unfinished(sweep):
    with recorder(sweep, "1") as killed:
        killed.record.state = "complete"  # so that leaving the block writes nothing
    assert row(sweep, "1")["status"] == "unfinished"


def test_a_trial_that_was_stopped_is_unfinished(sweep):
    with recorder(sweep, "1"):
        pass
    assert row(sweep, "1")["status"] == "unfinished"


@pytest.mark.parametrize(("state", "reason"), [("complete", None), ("pruned", "too bad"), ("failed", "KeyError: 'x'")])
def test_a_trial_that_ended_while_no_sweeper_looked_is_known_by_its_record(sweep, state, reason):
    with recorder(sweep, "1") as ended:
        ended.end(state, {"loss": 0.125}, reason)
    sweep.table.unlink()
    found = row(sweep, "1")
    assert (found["status"], found["reason"], found["loss"]) == (state, reason, 0.125)


def test_what_the_table_says_of_a_trial_is_more_than_its_record(sweep):
    with recorder(sweep, "0") as ended:
        ended.end("failed", reason="by another worker")
    assert (row(sweep, "0")["status"], row(sweep, "0")["loss"]) == ("complete", 0.5)


def test_each_repeat_is_a_row_of_its_own(sweep):
    for run, loss in (("1/0", 0.5), ("1/1", 0.25)):
        with recorder(sweep, run) as ended:
            ended.end("complete", {"loss": loss})
    frame = collect(sweep.path)
    assert frame[["path", "loss"]].to_dict("list") == {"path": ["0", "1/0", "1/1"], "loss": [0.5, 0.5, 0.25]}


def test_a_record_that_is_damaged_is_a_row_that_says_so(sweep):
    with recorder(sweep, "1"):
        pass
    sweep.run_record("1").write_text("{")
    found = row(sweep, "1")
    assert found["status"] == "corrupt"
    assert found["reason"].startswith("trial.json can't be read")


def test_no_metric_of_an_app_passes_for_a_runs_own_status(sweep):
    with recorder(sweep, "1", sampled={"status": "complete", "path": "elsewhere"}) as ended:
        ended.end("failed", {"loss": 0.1, "reason": 5.0, "fingerprint": 1.0, "valid_accuracy": 0.75}, "why")
    found = row(sweep, "1")
    assert (found["status"], found["reason"], found["valid_accuracy"]) == ("failed", "why", 0.75)
    assert found["fingerprint"] is None or found["fingerprint"] != found["fingerprint"]


def test_a_trial_that_is_alone_in_its_folder_is_known_by_it_from_anywhere(sweep, monkeypatch):
    monkeypatch.chdir(sweep.path / "0")
    assert collect(".").iloc[0][["status", "loss"]].tolist() == ["complete", 0.5]


def test_the_command_shows_objectives_and_keys_first(sweep, capsys):
    with recorder(sweep, "1") as running:
        assert main([str(sweep.path)]) == 0
        running.end("complete")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["path", "status", "seed", "loss", "x", "y", "cost", "reports", "deep.key", "attempt"]
    assert printed[2].split()[:2] == ["1", "running"]
    assert printed[-1] == "2 runs: 1 complete, 1 running"


def test_the_page_of_a_sweep_has_its_running_trials_and_what_was_reported(sweep):
    with recorder(sweep, "1") as running:
        for loss in (3.0, 2.0, 1.0):
            running.written = 0.0
            running.note(loss, {"loss": loss}, 3)
        page = gather(sweep.path)
        running.end("complete")
    assert ("running", "1") in page.tiles
    curves = next(drawing for drawing in page.drawings if drawing.key == "trial-curves")
    axes = curves.figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss")
    assert axes.lines[0].get_ydata().tolist() == [3.0, 2.0, 1.0]


def test_a_trial_of_another_app_has_a_page_of_its_own(sweep):
    with recorder(sweep, "1") as ended:
        for loss in (3.0, 2.0):
            ended.note(loss, {"loss": loss}, 2)
        ended.end("complete", {"loss": 2.0})
    page = gather(sweep.path / "1")
    assert ("loss", "2") in page.tiles
    assert [drawing.key for drawing in page.drawings] == ["reported"]
    assert page.commands == []
    assert page.missing == []


def test_the_page_of_a_grid_has_the_means_of_its_objective(sweep):
    rows = [ROW | {"trial": n, "folder": str(n), "y": 1 + n // 2, "x": n % 2, "loss": float(n)} for n in range(4)]
    sweep.write_table([*ROW], rows)
    for number in range(1, 4):
        with recorder(sweep, str(number)) as ended:
            ended.end("complete", {"loss": float(number)})
    asked = yaml.safe_load(sweep.request.read_text())
    space = {"y": "choice(1, 2)", "seed": "choice(0, 1)"}
    sweep.request.write_text(yaml.safe_dump(asked | {"request": REQUEST | {"space": space}}))
    [cells] = gather(sweep.path).first_tables
    assert cells.columns == ["y", "mean loss", "std loss", "runs", "best loss"]
    assert [[row[i].value for i in (0, 1, 4)] for row in cells.rows] == [[1, 0.5, 0.0], [2, 2.5, 2.0]]


def test_a_page_has_no_figure_of_accuracies_that_no_trial_has(sweep):
    assert "costs" not in [drawing.key for drawing in gather(sweep.path).drawings]
