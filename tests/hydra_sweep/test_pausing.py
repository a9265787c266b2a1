"""Trials that are paused at a rung go on from their checkpoint, count as paused wherever they are shown, and end."""

import json
import re
import signal

import optuna
import pytest
import yaml
from sweeps import APPS, BASIC, JOBLIB, SPACE, WALKER, budget, num_runs, opened, rows, runs, trials, wait_for

from hydra_sweep import status
from hydra_sweep.curves import dominates
from hydra_sweep.results import state_of
from hydra_sweep.run_record import RunRecord

TRADE = APPS / "trade.py"
BY_THREE = "hydra.sweeper.pruner.reduction_factor=3"
BY_FOUR = ("hydra/sweeper/pruner=asha", "hydra.sweeper.objective=loss", "steps=9")
ASHA = (*BY_FOUR, BY_THREE)
CHECKPOINT = "hydra.sweeper.checkpoint_files=[checkpoint.json]"


def num_steps(done):
    return [len(trial.intermediate_values) for trial in done.trials()]


def test_the_best_at_a_rung_go_on_from_their_checkpoints(sweep):
    done = sweep(WALKER, *SPACE, *ASHA, budget(9), CHECKPOINT)
    assert sorted(num_steps(done)) == [1] * 6 + [3] * 2 + [9]
    best = min(done.trials(), key=lambda trial: trial.intermediate_values[1])
    assert best.state is optuna.trial.TrialState.COMPLETE
    assert done.best()["trial"] == best.number
    assert done.states().count("PRUNED") == 8
    first, later = (
        sorted(path.parent.name for path in done.folder.glob(f"*/{name}")) for name in ("checkpoint.json", "trial.json")
    )
    assert first == [str(best.number)]  # of those that ended, it is of no more use
    assert len(later) == 9
    walked = json.loads((done.folder / str(best.number) / "checkpoint.json").read_text())
    assert walked == [best.intermediate_values[step] for step in range(1, 10)]
    assert "9 trials: 1 complete, 8 pruned" in done.out
    assert not done.err


@pytest.mark.parametrize("schedule", ["asha", "pasha", "hyperband", "one_epoch"])
def test_several_workers_come_to_an_end_together(sweep, schedule):
    words = (f"hydra/sweeper/pruner={schedule}", *BY_FOUR[1:], "hydra/sweeper/sampler=random", "pause=0.02")
    done = sweep(WALKER, *SPACE, *words, budget(12), launcher=JOBLIB)
    assert set(done.states()) <= {"COMPLETE", "PRUNED"}
    assert "COMPLETE" in done.states()
    again = sweep(WALKER, *SPACE, *words, budget(12), launcher=JOBLIB)
    assert "resuming: 12 of 12 trials finished" in again.out
    assert runs(done.folder) == runs(again.folder)


def test_a_sweep_that_is_stopped_keeps_its_paused_trials_and_shows_them(start, capsys):
    words = (*SPACE, *ASHA, budget(9), *BASIC, "pause=0.3", "hydra/sweeper/sampler=random", CHECKPOINT)
    command = start(*words)
    wait_for(lambda: num_runs(command) >= 3, "three trials to begin")
    command.signal(signal.SIGTERM)
    out = command.end(128 + signal.SIGTERM)
    assert re.search(r"^trial \d paused    loss \d+\.\d+  after 1 report  x=", out, re.M)
    paused = [trial.number for trial in trials(command.folder) if state_of(trial) == "paused"]
    assert paused
    for number in paused:
        record = RunRecord.read(command.folder / str(number) / "trial.json")
        assert (record.state, record.reason) == ("paused", "paused after step 1")
        assert (command.folder / str(number) / "checkpoint.json").exists()
    [line] = [line for line in status.status(status.RecordedSweep(command.folder)) if "finished" in line]
    assert f"{len(paused)} paused" in line
    again = start(*words)
    again.end()
    assert {trial.state.name for trial in trials(command.folder)} == {"COMPLETE", "PRUNED"}


def test_the_sampler_learns_from_paused_trials(tmp_path):
    study = opened_new(tmp_path)
    trial = study.optuna(optuna.samplers.RandomSampler(), optuna.pruners.NopPruner(), study.view()).ask()
    trial.report(3.0, 1)
    study.pause(trial._trial_id, 1)
    study.storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.WAITING)
    seen = study.optuna(optuna.samplers.TPESampler(), optuna.pruners.NopPruner(), study.view())
    assert [found.state.name for found in seen.get_trials(deepcopy=False)] == ["PRUNED"]
    assert [found.state.name for found in study.trials()] == ["WAITING"]
    assert seen.get_trials(states=(optuna.trial.TrialState.WAITING,)) == []


def opened_new(folder):
    study = opened(folder)
    study.create(["minimize"], {})
    return study


def test_no_more_are_paused_than_are_to_be_kept(start):
    words = (*SPACE, *ASHA, budget(30), *BASIC, "pause=0.2", "hydra.sweeper.pruner.keep_paused=2", CHECKPOINT)
    command = start(*words, "hydra/sweeper/sampler=random", "hydra.sweeper.pruner.reduction_factor=9")
    wait_for(lambda: num_runs(command) >= 6, "six trials to begin")
    most = 0
    while command.process.poll() is None and num_runs(command) < 12:
        most = max(most, len(list(command.folder.glob("*/checkpoint.json"))))
    command.signal(signal.SIGTERM)
    command.process.wait()
    assert 2 <= most <= 4  # two that are paused, the one that runs, and the one that is about to end


def test_when_its_steps_are_spent_a_search_ends_with_a_complete_trial(sweep):
    done = sweep(WALKER, *SPACE, *ASHA, budget(50), "hydra.sweeper.stop.steps=5", CHECKPOINT)
    assert "COMPLETE" in done.states()
    assert len(done.trials()) < 50
    assert {trial.state.name for trial in done.trials()} == {"COMPLETE", "PRUNED"}


def test_repeats_are_paused_and_gone_on_with_as_well(sweep):
    done = sweep(WALKER, *SPACE, *ASHA[:2], BY_THREE, "steps=3", budget(4), "hydra.sweeper.repeats=2")
    assert sorted(num_steps(done)) == [1, 1, 1, 6]
    assert [row["state"] for row in done.rows()].count("complete") == 2
    assert yaml.safe_load((done.folder / "best.yaml").read_text())["trial"] == max(
        range(4), key=lambda number: num_steps(done)[number]
    )


def test_an_app_that_does_not_resume_is_run_again_from_its_beginning(sweep):
    done = sweep(TRADE, "x=interval(-10,10)", *ASHA[:1], "hydra.sweeper.objective=loss", "steps=9", budget(9))
    assert set(done.states()) == {"COMPLETE", "PRUNED"}
    assert rows(done.folder)


def test_several_objectives_are_pruned_by_what_nothing_dominates(sweep):
    both = ("hydra.sweeper.objective=[loss,size]", "hydra.sweeper.direction=[minimize,minimize]", "steps=9")
    done = sweep(TRADE, "x=interval(-10,10)", *both, "hydra/sweeper/pruner=one_epoch", budget(12))
    assert sorted(num_steps(done)) == [1] * 9 + [9] * 3
    costs = {trial.number: tuple(trial.user_attrs["report:1"]) for trial in done.trials()}
    complete = [trial.number for trial in done.trials() if trial.state.name == "COMPLETE"]
    assert not any(dominates(other, costs[number]) for number in complete for other in costs.values())
    assert "Pareto front, 3 trials:" in done.out


def test_another_metric_than_the_objective_may_decide(sweep):
    by_size = ("hydra.sweeper.objective=loss", "hydra.sweeper.prune_by=size", "hydra.sweeper.prune_direction=maximize")
    done = sweep(TRADE, "x=interval(-10,10)", *by_size, ASHA[0], "steps=9", budget(9))
    sizes = {trial.number: trial.intermediate_values[1] for trial in done.trials()}
    complete = [trial.number for trial in done.trials() if trial.state.name == "COMPLETE"]
    assert max(sizes, key=sizes.get) in complete
    assert len(complete) < 3


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["hydra/sweeper/pruner=median", "hydra.sweeper.prune_by=size", "hydra.sweeper.prune_direction=maximize"],
            "pruner median goes by what is minimized, and prune_direction is maximize; try hydra/sweeper/pruner=asha",
        ),
        (
            ["hydra.sweeper.prune_direction=maximize"],
            "prune_direction is that of prune_by, which is missing; type hydra.sweeper.prune_by=NAME",
        ),
        (
            ["hydra.sweeper.prune_by=size", "hydra.sweeper.prune_direction=up"],
            "hydra.sweeper.prune_direction must be minimize or maximize, got up",
        ),
        (
            ["hydra/sweeper/pruner=asha", "hydra.sweeper.pruner.reduction_factor=1"],
            "hydra/sweeper/pruner=asha: reduction_factor must be >= 2, got 1",
        ),
    ],
)
def test_what_does_not_fit_is_a_line(sweep, words, line):
    done = sweep(TRADE, "x=interval(-10,10)", "hydra.sweeper.objective=loss", *words, budget(3), code=2)
    assert done.err.splitlines() == [f"sweep: {line}"]


def test_a_command_without_pauses_goes_on_with_what_another_one_has_paused(start):
    words = (*SPACE, *BY_FOUR, budget(5), *BASIC, "pause=0.3", "hydra/sweeper/sampler=random")
    command = start(*words)
    wait_for(lambda: num_runs(command) >= 2, "two trials to begin")
    command.signal(signal.SIGTERM)
    command.end(128 + signal.SIGTERM)
    assert any(state_of(trial) == "paused" for trial in trials(command.folder))
    start(*words, "hydra/sweeper/pruner=none").end()
    assert [len(trial.intermediate_values) for trial in trials(command.folder)] == [9] * 5
    assert {trial.state.name for trial in trials(command.folder)} == {"COMPLETE"}
