"""Sweeps as users type them: commands in processes of their own, judged by the files and the study that they leave."""

import csv
import dataclasses
import importlib
import inspect
import io
import itertools
import os
import shlex
import signal
import sys
import threading
from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState
from sweeps import APPS, BASIC, JOBLIB, WALKER, Swept, budget, num_runs, rows, typed, wait_for

from hydra_sweep import stop
from hydra_sweep.settings import PRUNERS, SAMPLERS, Tpe

PARABOLA, TRADE, MISFIT = APPS / "parabola.py", APPS / "trade.py", APPS / "misfit.py"
both_launchers = pytest.mark.parametrize("launcher", [BASIC, JOBLIB], ids=["basic", "joblib"])


def enqueued(*guesses):
    return f"hydra.sweeper.enqueue={list(guesses)}"


# Grids.


@both_launchers
def test_a_grid_runs_each_cell_once_in_the_order_of_the_product(sweep, launcher):
    done = sweep(PARABOLA, "x=0,2.5,-1", "y=1,2", "+tag=a\\ b,null", launcher=launcher)
    cells = list(itertools.product(["0", "2.5", "-1"], ["1", "2"], ["a b", "null"]))
    found = [(row["x"], row["y"], row["tag"].replace("\\", "")) for row in done.rows()]
    assert found == cells
    assert done.column("trial") == [str(i) for i in range(12)]
    assert done.column("folder") == [str(i) for i in range(12)]
    assert [trial.value for trial in done.trials()] == [(float(x) - 2) ** 2 + int(y) for x, y, _ in cells]
    assert set(done.states()) == {"COMPLETE"}
    for i, (x, _, _) in enumerate(cells):
        config = yaml.safe_load((done.folder / str(i) / ".hydra" / "config.yaml").read_text())
        assert config["x"] == float(x)
        assert (done.folder / str(i) / ".hydra" / "overrides.yaml").exists()
    assert "12 trials: 12 complete" in done.out
    assert not done.err


def test_a_finished_sweep_has_nothing_to_stop(sweep, monkeypatch, capsys):
    done = sweep(PARABOLA, "x=0,1")
    monkeypatch.setattr(sys, "argv", ["hydra_sweep.stop", str(done.folder)])
    assert stop.main() == 0
    assert capsys.readouterr().out.endswith(" finished (2 complete)\nit has finished: there is nothing to stop\n")


def test_a_sweep_that_has_stopped_has_nothing_to_stop(sweep, monkeypatch, capsys):
    ends = ("hydra.sweeper.objective=loss", "hydra.sweeper.stop.value=1e9", "steps=1", "pause=0.3")
    done = sweep(WALKER, "x=interval(0,4)", budget(40), *ends)
    monkeypatch.setattr(sys, "argv", ["hydra_sweep.stop", str(done.folder)])
    assert stop.main() == 0
    assert "\nnobody is at work on it: there is nothing to stop; " in capsys.readouterr().out


@pytest.mark.long
def test_a_grid_whose_task_returns_nothing_is_complete(sweep):
    done = sweep(MISFIT, "what=none,good", "x=1")
    assert done.column("state") == ["complete", "complete"]
    assert done.column("value") == ["", "1.0"]
    assert done.best()["trial"] == 1


# Searches.

SPACE = [
    "x=tag(log,interval(0.01,4))",
    "y=choice(1,2,3)",
    "steps=int(interval(1,4))",
    "pause=tag(step:0.01,interval(0,0.03))",
]


@both_launchers
def test_n_trials_is_a_total_that_the_same_command_spends_once(sweep, launcher):
    first = sweep(PARABOLA, *SPACE, budget(4), launcher=launcher)
    before = first.trials()
    table = (first.folder / "results.csv").read_bytes()
    again = sweep(PARABOLA, *SPACE, budget(4), launcher=launcher)
    assert "resuming: 4 of 4 trials finished" in again.out
    assert (again.folder / "results.csv").read_bytes() == table
    more = sweep(PARABOLA, *SPACE, budget(7), launcher=launcher)
    assert more.trials()[:4] == before
    assert more.column("trial") == [str(i) for i in range(7)]
    assert sorted(p.name for p in more.folder.iterdir() if p.name.isdigit()) == [str(i) for i in range(7)]
    for trial in more.trials():
        assert 0.01 <= trial.params["x"] <= 4
        assert trial.params["y"] in (1, 2, 3)
        assert trial.params["steps"] in (1, 2, 3, 4)
        assert min(abs(trial.params["pause"] - i / 100) for i in range(4)) < 1e-9
        assert trial.value == (trial.params["x"] - 2) ** 2 + trial.params["y"]
        assert len(trial.intermediate_values) == trial.params["steps"]


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_a_resumed_search_draws_what_an_uninterrupted_one_draws(sweep, sampler):
    chosen = [*SPACE, f"hydra/sweeper/sampler={sampler}", "hydra.sweeper.sampler.n_startup_trials=2"]
    chosen = chosen[:-1] if sampler == "qmc" else chosen
    whole = sweep(PARABOLA, *chosen, budget(6), name="whole")
    sweep(PARABOLA, *chosen, budget(3), name="parts")
    assert sweep(PARABOLA, *chosen, budget(6), name="parts").params() == whole.params()


# Every sampler and every pruner once.
PAIRS = [
    ("tpe", "hyperband"),
    ("random", "median"),
    ("cmaes", "asha"),
    ("gp", "none"),
    ("nsgaii", "percentile"),
    ("qmc", "patient"),
    ("grid", "wilcoxon"),
    ("tpe", "stopping"),
    ("random", "pasha"),
    ("tpe", "one_epoch"),
]


def test_the_pairs_leave_no_sampler_and_no_pruner_out():
    assert {sampler for sampler, _ in PAIRS} == set(SAMPLERS)
    assert {pruner for _, pruner in PAIRS} == set(PRUNERS)


@pytest.mark.long
@pytest.mark.parametrize(("sampler", "pruner"), PAIRS)
def test_every_sampler_and_pruner_works(sweep, sampler, pruner):
    x = "x=tag(step:1,interval(0.0,4.0))" if sampler == "grid" else "x=interval(0,4)"
    names = [f"hydra/sweeper/sampler={sampler}", f"hydra/sweeper/pruner={pruner}"]
    startup = ["hydra.sweeper.sampler.n_startup_trials=2"] if sampler in ("tpe", "gp", "cmaes") else []
    done = sweep(PARABOLA, x, "y=1,2", budget(5 if sampler == "gp" else 8), *names, *startup)
    assert set(done.states()) <= {"COMPLETE", "PRUNED"}
    assert len({row["x"] + row["y"] for row in done.rows()}) == len(done.rows())
    assert f"search by {sampler}, pruner {pruner}" in done.out or sampler == "grid"


@pytest.mark.parametrize("config", [*SAMPLERS.values(), *PRUNERS.values()])
def test_the_fields_are_optunas_arguments_with_its_defaults_but_for_a_few(config):
    ours = {"constant_liar": True, "multivariate": True, "group": "${.multivariate}", "scramble": True}
    ours |= {"min_resource": 1}
    ours |= {"warn_independent_sampling": False, "warn_asynchronous_seeding": False}
    module, _, name = config._target_.rpartition(".")
    known = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    for field in dataclasses.fields(config):
        if field.name in ("_target_", "inc_popsize") or (config is Tpe and field.name.startswith("warn")):
            continue  # left to Optuna, which deprecates them
        default = known[field.name].default
        required = {"percentile": 25.0, "wrapped_pruner": None, "patience": 3}
        default = required[field.name] if default is inspect.Parameter.empty else default
        assert field.default == ours.get(field.name, default), field.name


@pytest.mark.long
def test_a_samplers_typed_parameters_reach_optuna(sweep):
    ten = sweep(PARABOLA, "x=interval(0,4)", budget(5), name="ten").params()
    two = sweep(PARABOLA, "x=interval(0,4)", budget(5), "hydra.sweeper.sampler.n_startup_trials=2", name="two").params()
    assert ten[:2] == two[:2]
    assert all(a != b for a, b in zip(ten[2:], two[2:], strict=True))


def test_under_a_pruner_that_pauses_a_third_of_tpes_trials_is_drawn_at_random(sweep):
    space = [PARABOLA, "x=interval(0,4)", budget(9), "hydra/sweeper/pruner=asha"]
    random = sweep(*space, "hydra/sweeper/sampler=random", name="random").params()
    found = sweep(*space, "hydra.sweeper.sampler.n_startup_trials=1", name="tpe").params()
    assert [number for number in range(9) if found[number] == random[number]] == [0, 2, 5, 8]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([budget(4), "hydra.sweeper.random_share=1.5"], "hydra.sweeper.random_share must be from 0 to 1, got 1.5"),
        (
            [budget(4), "hydra.sweeper.random_share=0.5", "hydra/sweeper/sampler=random"],
            "random_share is for samplers that learn, such as tpe; leave it out",
        ),
    ],
)
def test_a_share_that_means_nothing_is_a_line(sweep, words, line):
    done = sweep(PARABOLA, "x=interval(0,4)", *words, code=2)
    assert line in done.err


# Pruning.


def test_pruned_trials_keep_their_reports_and_the_summary_says_what_was_saved(sweep):
    guesses = enqueued("x=2", "x=10", "x=1", "x=-9")
    pruner = ["hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1"]
    name = ["hydra.sweeper.objective=loss", "hydra.sweeper.pruner.n_warmup_steps=3", "steps=6"]
    done = sweep(TRADE, "x=interval(-10,10)", guesses, *pruner, *name, budget(4))
    assert done.states() == ["COMPLETE", "PRUNED", "PRUNED", "PRUNED"]
    assert done.column("state") == ["complete", "pruned", "pruned", "pruned"]
    assert [trial.intermediate_values for trial in done.trials()][1:] == [
        {1: 69.0, 2: 68.0, 3: 67.0},
        {1: 6.0, 2: 5.0, 3: 4.0},
        {1: 126.0, 2: 125.0, 3: 124.0},
    ]
    assert done.column("reports") == ["6", "3", "3", "3"]
    assert done.column("loss") == ["0.0", "64.0", "1.0", "121.0"]  # as the task's Pruned had it
    assert done.column("reason") == ["", "", "", ""]
    assert "4 trials: 1 complete, 3 pruned" in done.out
    assert "(38 % of the steps)" in done.out
    assert done.best()["trial"] == 0


# Tasks that misbehave: in faults/test_fault_results.py.


@pytest.mark.long
@both_launchers
def test_max_failures_ends_a_hopeless_sweep(sweep, launcher):
    few = "hydra.sweeper.max_failures=3"
    done = sweep(MISFIT, "what=raise", "x=interval(0,1)", budget(200), few, launcher=launcher, code=1)
    assert 3 <= len(done.rows()) <= 4  # another worker's trial may be running
    assert "trials failed, the last: KeyError: 'lost' (hydra.sweeper.max_failures)" in done.out


# Repeats.


@pytest.mark.long
@both_launchers
def test_repeats_are_rows_with_seeds_of_their_own_and_the_study_gets_their_mean(sweep, launcher):
    named = ["hydra.sweeper.repeats=3", "hydra.sweeper.objective=loss"]
    done = sweep(TRADE, "x=interval(0,4)", *named, enqueued("x=3"), budget(3), launcher=launcher)
    assert [(row["trial"], row["repeat"]) for row in done.rows()] == [(t, r) for t in "012" for r in "012"]
    assert done.column("folder") == [f"{t}/{r}" for t in range(3) for r in range(3)]
    assert done.column("loss")[:3] == ["1.0", "2.0", "3.0"]
    for row in done.rows():
        config = yaml.safe_load((done.folder / row["folder"] / ".hydra" / "config.yaml").read_text())
        assert config["seed"] == int(row["repeat"])
    first = done.trials()[0]
    assert first.value == 2.0
    assert first.intermediate_values == dict(enumerate([3, 2, 1, 2.5, 2, 1.5, 8 / 3, 7 / 3, 2], start=1))
    best = done.best()
    assert f"best     {best['command']}" in done.out
    assert best["command"].startswith(f"python {TRADE} -m ")
    assert best["command"].endswith(" seed=0,1,2")
    by_trial = [trial.value for trial in done.trials()]
    assert best["loss"] == min(by_trial)
    rerun = typed([*shlex.split(best["command"]), "hydra.sweep.dir=again"], done.folder.parent)
    assert rerun.returncode == 0, rerun.stderr
    losses = [float(row["loss"]) for row in Swept(done.folder.parent / "again", 0, "", "").rows()]
    assert sum(losses) / 3 == best["loss"]


def test_folds_are_runs_of_each_repeat_and_the_study_gets_the_mean_of_all(sweep):
    named = ["hydra.sweeper.repeats=2", "hydra.sweeper.folds=3", "hydra.sweeper.objective=loss"]
    done = sweep(TRADE, "x=interval(0,4)", *named, enqueued("x=3"), budget(2))
    cells = [(t, r, f) for t in "01" for r in "01" for f in "012"]
    assert [(row["trial"], row["repeat"], row["fold"]) for row in done.rows()] == cells
    assert done.column("folder") == [f"{t}/{n}" for t in range(2) for n in range(6)]
    assert done.column("loss")[:6] == ["1.0", "11.0", "21.0", "2.0", "12.0", "22.0"]
    for row in done.rows():
        config = yaml.safe_load((done.folder / row["folder"] / ".hydra" / "config.yaml").read_text())
        assert (config["seed"], config["fold"]) == (int(row["repeat"]), int(row["fold"]))
    first = done.trials()[0]
    assert first.value == 11.5
    means = [3, 2, 1, 7, 6.5, 6, 35 / 3, 34 / 3, 11]  # of the runs that have ended, and of the one that goes on
    assert [first.intermediate_values[step] for step in range(1, 10)] == pytest.approx(means)
    best = done.best()
    assert best["command"].endswith(" seed=0,1 fold=0,1,2")
    assert best["loss"] == min(trial.value for trial in done.trials())
    rerun = typed([*shlex.split(best["command"]), "hydra.sweep.dir=again"], done.folder.parent)
    assert rerun.returncode == 0, rerun.stderr
    again = Swept(done.folder.parent / "again", 0, "", "")
    losses = [float(row["loss"]) for row in again.rows()]
    assert len(losses) == 6
    assert sum(losses) / 6 == pytest.approx(best["loss"])


def test_folds_of_a_grid_may_be_typed_as_its_cells(sweep):
    named = ["hydra.sweeper.folds=3", "hydra.sweeper.objective=loss"]
    done = sweep(TRADE, "x=2,3", *named)
    assert [trial.value for trial in done.trials()] == [10.0, 11.0]
    done = sweep(TRADE, "x=2", "fold=0,2", *named, name="typed")
    assert done.column("loss") == ["0.0", "20.0"]
    assert [trial.value for trial in done.trials()] == [0.0, 20.0]


def test_runs_of_a_trial_that_was_killed_are_not_run_again(start):
    arguments = ("x=interval(0,4)", "pause=0.2", "hydra.sweeper.repeats=3", budget(1), *BASIC)
    command = start(*arguments)
    wait_for(lambda: num_runs(command) == 2, "the second run to begin")
    command.signal_group(signal.SIGKILL)
    command.process.wait()
    start(*arguments).end()
    assert num_runs(command) == 4  # the one that was killed, twice
    assert [row["repeat"] for row in rows(command.folder)] == ["0", "1", "2"]


@pytest.mark.long
def test_wilcoxon_judges_repeats(sweep):
    named = ["hydra.sweeper.repeats=8", "hydra.sweeper.objective=loss", "hydra/sweeper/pruner=wilcoxon"]
    done = sweep(TRADE, "x=interval(0,9)", *named, enqueued("x=2", "x=9"), budget(2))
    good, bad = done.trials()
    assert good.intermediate_values == {i + 1: float(i) for i in range(8)}
    assert bad.state is TrialState.PRUNED
    assert 1 < len(bad.intermediate_values) < 8
    assert all(bad.intermediate_values[i + 1] == 49.0 + i for i in range(len(bad.intermediate_values)))
    assert done.rows()[8]["reason"] == f"pruned after {len(bad.intermediate_values)} repeats"


# Duplicates, first guesses, rules that end a sweep.


@pytest.mark.long
@pytest.mark.parametrize("duplicates", ["reuse", "rerun", "refuse"])
def test_a_configuration_that_comes_again(sweep, duplicates):
    first = enqueued("y=1", "y=2")  # the third one has nothing else to be
    done = sweep(PARABOLA, "y=1,2", first, f"hydra.sweeper.duplicates={duplicates}", budget(3))
    folders = sorted(path.name for path in done.folder.iterdir() if path.name.isdigit())
    row = done.rows()[2]
    same, value = ("0", "5.0") if row["y"] == "1" else ("1", "6.0")
    if duplicates == "rerun":
        assert folders == ["0", "1", "2"]
        assert (row["state"], row["value"], row["reason"], row["folder"]) == ("complete", value, "", "2")
    elif duplicates == "reuse":
        assert folders == ["0", "1"]
        said = f"result of trial {same}, the same configuration"
        assert (row["state"], row["value"], row["reason"], row["folder"]) == ("complete", value, said, same)
    else:
        assert folders == ["0", "1"]
        assert (row["state"], row["value"], row["reason"]) == ("failed", "", f"the same configuration as trial {same}")


@pytest.mark.long
def test_a_first_guess_is_tried_once_whenever_it_is_named(sweep):
    sweep(PARABOLA, "x=interval(0,4)", enqueued("x=1"), budget(1))
    done = sweep(PARABOLA, "x=interval(0,4)", enqueued("x=2", "x=1", "x=2"), budget(3))
    assert done.params()[:2] == [{"x": 1.0}, {"x": 2.0}]
    assert done.params()[2]["x"] not in (1.0, 2.0)


@pytest.mark.long
def test_first_guesses_and_the_configurations_own_values_go_first(sweep):
    first = [enqueued("x=3.5 y=2", ["x=0.5", "y=1"]), "hydra.sweeper.enqueue_defaults=true"]
    done = sweep(PARABOLA, "x=interval(0,4)", "y=1,2", *first, budget(4))
    assert done.params()[:3] == [{"x": 0.0, "y": 1}, {"x": 3.5, "y": 2}, {"x": 0.5, "y": 1}]


def test_stop_value_and_the_resume_command(sweep):
    done = sweep(
        PARABOLA, "x=interval(0,4)", enqueued("x=0", "x=2"), "hydra.sweeper.stop.value=1", "pause=0.2", budget(40)
    )
    assert 2 <= len(done.rows()) < 40
    assert "stop.value: 1 is reached" in done.out
    resume = yaml.safe_load((done.folder / "sweep.yaml").read_text())["resume"]
    assert f"resume   {resume}" in done.out
    more = typed([*shlex.split(resume), "hydra.sweeper.stop.value=-1", budget(6)], done.folder.parent)
    assert more.returncode == 0, more.stderr
    assert len(done.rows()) >= 6


@pytest.mark.long
def test_stop_patience_counts_the_trials_since_the_best(sweep):
    rule = "hydra.sweeper.stop.patience=4"
    done = sweep(PARABOLA, "x=interval(0,4)", enqueued("x=2"), rule, "pause=0.8", budget(40))  # time to be looked at
    assert 5 <= len(done.rows()) < 15
    assert "stop.patience: no better trial among the last" in done.out
    assert done.best()["trial"] == 0


@pytest.mark.long
def test_a_search_ends_when_its_steps_are_spent_and_stays_ended(sweep):
    rules = ["hydra.sweeper.stop.steps=8", "hydra.sweeper.stop.value=-1"]  # the second is never met
    arguments = ["x=interval(0,4)", "steps=3", *rules, budget(40)]
    done = sweep(PARABOLA, *arguments)
    assert len(done.rows()) == 3  # two trials have 6 steps, the third runs to its end
    assert "stop.steps: 9 of 8 steps are done" in done.out
    again = sweep(PARABOLA, *arguments)
    assert len(again.rows()) == 3


@pytest.mark.long
def test_stop_seconds_gives_running_trials_back_and_counts_all_commands(sweep):
    arguments = ["x=0,1,2,3", "pause=0.3", "steps=4", "hydra.sweeper.stop.seconds=2"]
    done = sweep(PARABOLA, *arguments, launcher=JOBLIB)
    assert "stop.seconds: 2 s have passed" in done.out
    assert sum(trial.state.is_finished() for trial in done.trials()) < 4
    again = sweep(PARABOLA, *arguments, launcher=JOBLIB)  # the time is that of all its commands
    assert [trial.state for trial in again.trials()] == [trial.state for trial in done.trials()]
    assert "stop.seconds: 2 s have passed" in again.out
    more = sweep(PARABOLA, *arguments[:-1])
    assert [trial.value for trial in more.trials()] == [5, 2, 1, 2]
    assert [len(trial.intermediate_values) for trial in more.trials()] == [4] * 4


def test_a_trial_that_has_had_its_time_counts_with_its_best_step(sweep):
    words = ["hydra.sweeper.objective=loss", "hydra.sweeper.trial_seconds=0.5", "pause=0.2", "steps=40"]
    done = sweep(WALKER, "x=interval(0,4)", *words, budget(2))
    for trial in done.trials():
        reported = trial.intermediate_values
        assert trial.state.name == "COMPLETE"
        assert 1 <= len(reported) < 40
        assert trial.value == min(reported.values())
    assert [row["state"] for row in done.rows()] == ["complete"] * 2
    assert {row["reason"] for row in done.rows()} == {"timeout: it ran for trial_seconds=0.5"}


# Objectives and constraints.


def test_several_objectives_end_in_a_pareto_front(sweep):
    goals = ["hydra.sweeper.objective=[loss,size]", "hydra.sweeper.direction=[minimize,minimize]"]
    guesses = enqueued("x=2", "x=1", "x=3", "x=0")
    done = sweep(TRADE, "x=interval(0,4)", *goals, guesses, budget(6), launcher=JOBLIB)
    assert [trial.values for trial in done.trials()][:4] == [[0, 20], [1, 10], [1, 30], [4, 0]]
    front = done.best()["pareto_front"]
    inside = {t.number for t in done.trials() if t.params["x"] <= 2}  # beyond 2 both grow
    assert {entry["trial"] for entry in front} == inside
    assert front[0] | {"command": "", "folder": ""} == {
        "loss": 0.0,
        "size": 20.0,
        "trial": 0,
        "command": "",
        "overrides": ["x=2.0"],
        "folder": "",
    }
    assert f"Pareto front, {len(inside)} trials:" in done.out


@pytest.mark.long
def test_the_best_trial_keeps_the_constraints(sweep):
    goals = ["hydra.sweeper.objective=loss", "hydra.sweeper.constraints=['size <= 12']"]
    done = sweep(TRADE, "x=interval(0,4)", *goals, enqueued("x=2", "x=1.125"), budget(5))
    kept = [trial for trial in done.trials() if trial.params["x"] <= 1.2]
    assert done.best()["trial"] == min(kept, key=lambda trial: trial.value).number
    assert done.trials()[0].value == 0
    assert done.column("size")[:2] == ["20.0", "11.25"]


def test_conditions_hold_in_every_trial(sweep):
    space = ["kind=plain,fancy", "+hydra.sweeper.when={kind\\=fancy:{extra:'interval(1,2)'}}"]
    named = ["hydra.sweeper.objective=loss", "hydra/sweeper/sampler=random", "hydra.sweeper.duplicates=rerun"]
    done = sweep(TRADE, *space, *named, budget(8))
    kinds = {trial.params["kind"] for trial in done.trials()}
    assert kinds == {"plain", "fancy"}
    for trial in done.trials():
        assert ("extra" in trial.params) == (trial.params["kind"] == "fancy")


# What the files say.


@pytest.mark.long
@both_launchers
def test_the_best_command_gives_the_best_value_and_the_table_is_whole_at_any_time(sweep, launcher, tmp_path):
    table, seen, done = tmp_path / "a sweep" / "results.csv", [], threading.Event()

    def look():
        while not done.wait(0.01):
            if table.exists():
                seen.append(table.read_text())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        swept = sweep(PARABOLA, "x=interval(0,4)", "+name=a\\ b,'c,d'", "pause=0.1", budget(8), launcher=launcher)
    finally:
        done.set()
        watcher.join()
    counts = set()
    for text in seen:
        rows = list(csv.DictReader(io.StringIO(text)))
        assert text.endswith("\n")
        assert all(None not in row.values() and None not in row for row in rows)
        counts.add(len(rows))
    assert len(counts) > 1
    best = swept.best()
    assert f"best     {best['command']}" in swept.out
    assert best["value"] == min(trial.value for trial in swept.trials())
    alone = typed([*shlex.split(best["command"]), "hydra.run.dir=alone"], tmp_path)
    assert alone.returncode == 0, alone.stderr
    config = (tmp_path / "alone" / ".hydra" / "config.yaml").read_text()
    assert config == (Path(best["folder"]) / ".hydra" / "config.yaml").read_text()


@pytest.mark.long
def test_no_trials_show_the_space_and_write_nothing(sweep):
    done = sweep(PARABOLA, *SPACE, budget(0), "seed=3", enqueued("x=1"))
    assert not done.folder.exists()
    assert "nothing is run" in done.out
    for line in (
        "x      tag(log, interval(0.01, 4.0))",
        "y      choice(1, 2, 3)",
        "pause  tag(step:0.01, interval(0.0, 0.03))",
    ):
        assert line in done.out
    assert "always    seed=3" in done.out


MISTAKES = {
    ("z=1,2",): ["there is no key z"],
    ("x=interval(1,1)", budget(2)): ["the interval is empty"],
    ("x=tag(log,interval(0,1))", budget(2)): ["a logarithmic interval must begin above 0, got 0.0"],
    ("y=range(1,4)", budget(2)): ["write int(interval(1,3)) or int(interval(1,4))"],
    ("x=interval(0,1)", "+hydra.sweeper.when={y\\=7:{steps:'1,2'}}", "y=1,2", budget(2)): ["when y=7: y is never 7"],
    ("seed=0,1", budget(2)): ["seed can't be searched; type repeats=3"],
    (
        "y=1,2",
        "hydra.sweeper.objective=test_loss",
        "+hydra.sweeper.forbidden_objectives={test_loss:'is secret; try valid_loss'}",
    ): ["test_loss is secret; try valid_loss"],
    ("y=1,2", "+hydra.sweeper.forbidden_objectives={x:'no \\9'}", "hydra.sweeper.objective=x"): [
        "can't be read (invalid"
    ],
    ("y=1,2", "hydra.sweeper.constraints=['size < many']"): ["constraint 'size < many' can't be read"],
    ("y=1,2", "hydra.sweeper.direction=[minimize,minimize]", "hydra/sweeper/pruner=median"): [
        "pruner median needs one objective, got 2"
    ],
    ("x=interval(0,1)",): ["a search needs a budget; type hydra.sweeper.n_trials=40"],
    ("y=1,2", "hydra.sweeper.repeats=0", "hydra.sweeper.direction=up", "hydra.sweeper.stop.seconds=0"): [
        "hydra.sweeper.repeats must be >= 1, got 0",
        "hydra.sweeper.stop.seconds must be > 0, got 0.0",
        "hydra.sweeper.direction must be minimize or maximize, got up",
    ],
    ("y=1,2", "hydra.sweeper.folds=1"): ["hydra.sweeper.folds must be >= 2, got 1"],
    ("x=interval(0,1)", "seed=3", "hydra.sweeper.folds=2", "hydra.sweeper.fold_key=seed", budget(2)): [
        "seed is what the 2 folds vary; leave it out"
    ],
    ("y=1,2", enqueued("y=9"), budget(2)): ["enqueue: y=9: y must be one of 1, 2"],
    ("y=1,1",): ["1 is named twice"],
}


@pytest.mark.long
@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_line_and_leaves_nothing(sweep, arguments):
    done = sweep(PARABOLA, *arguments, code=2)
    lines = done.err.splitlines()
    assert len(lines) == len(MISTAKES[arguments])
    for line, expected in zip(lines, MISTAKES[arguments], strict=True):
        assert line.startswith("sweep: ")
        assert expected in line
    assert not done.folder.exists()


@pytest.mark.long
def test_optunas_own_complaints_are_lines_too(sweep):
    pruner = ["hydra/sweeper/pruner=percentile", "hydra.sweeper.pruner.percentile=200"]
    sampler = ["hydra/sweeper/sampler=qmc", "hydra.sweeper.sampler.qmc_type=sobel"]
    done = sweep(PARABOLA, "x=interval(0,1)", *pruner, *sampler, budget(2), code=2)
    one, two = done.err.splitlines()
    assert one.startswith("sweep: hydra/sweeper/sampler=qmc: ")
    assert "sobel" in one
    assert two.startswith("sweep: hydra/sweeper/pruner=percentile: ")
    assert "200" in two
    assert not done.folder.exists()


@pytest.mark.long
def test_a_samplers_parameter_of_a_wrong_type_is_named(sweep, monkeypatch):
    for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]:
        monkeypatch.delenv(name)  # Hydra takes its tracer for a debugger, and then prints the traceback
    done = sweep(PARABOLA, "y=1,2", "hydra.sweeper.sampler.n_startup_trials=few", code=1)
    assert "n_startup_trials" in done.err
    assert "Traceback" not in done.err
    assert not done.folder.exists()


# What other sweeps have found.


def test_a_search_learns_from_another_one(sweep):
    words = ["hydra.sweeper.objective=loss", "hydra.sweeper.sampler.n_startup_trials=5"]
    first = sweep(WALKER, "x=interval(0,4)", "y=1,2", budget(8), *words, name="first")
    alone = sweep(WALKER, "x=interval(0,3)", budget(2), *words, "y=1", name="alone")
    told = sweep(WALKER, "x=interval(0,3)", budget(2), *words, "y=1", "hydra.sweeper.start_from=[first]", name="told")
    outside = sum(params["x"] > 3 for params in first.params())
    assert f"start_from=first: {8 - outside} of 8 finished trials tell the sampler what to expect" in told.out
    assert not outside or "x=" in told.out.split("the others don't fit:")[1]
    assert [p["x"] for p in alone.params()] != [p["x"] for p in told.params()]
    params = told.params()
    assert len(params) == 2
    again = sweep(WALKER, "x=interval(0,3)", budget(3), *words, "y=1", "hydra.sweeper.start_from=[first]", name="told")
    assert again.params()[:2] == params
    assert "start_from=" not in again.out.splitlines()[0]


def test_a_start_from_nothing_is_a_line_and_leaves_nothing(sweep, tmp_path):
    words = ["x=interval(0,4)", "hydra.sweeper.objective=loss", "hydra.sweeper.start_from=[nowhere]"]
    done = sweep(WALKER, *words, budget(2), code=2)
    assert done.err == "sweep: start_from: nowhere holds no sweep\n"
    grid = sweep(WALKER, "x=1,2", *words[1:], code=2)
    assert grid.err == "sweep: start_from tells a sampler what to expect; a grid asks none\n"
