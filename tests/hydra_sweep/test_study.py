"""The study as Optuna's own tools find it."""

import random

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from hydra_sweep.process import Process
from hydra_sweep.resume import name_metrics
from hydra_sweep.schedules import Budget, Move
from hydra_sweep.study import SweepStudy

ME = Process("here", 1, 0.0)


@pytest.fixture
def study(tmp_path):
    made = SweepStudy(f"sqlite:///{tmp_path / 'study.db'}", "s", 1)
    made.create(["maximize", "minimize"], {})
    return made


def by_optuna(study):
    return optuna.load_study(study_name=study.name, storage=study.storage)


def test_optunas_tools_are_told_what_the_objectives_are_called(study):
    name_metrics(study, ["valid_accuracy", "num_parameters"])
    assert by_optuna(study).metric_names == ["valid_accuracy", "num_parameters"]
    study.storage.create_new_trial(study.id, optuna.trial.create_trial(state=TrialState.COMPLETE, values=[0.5, 10.0]))
    assert "values_valid_accuracy" in by_optuna(study).trials_dataframe()


def test_a_study_of_an_earlier_version_gets_its_names_and_one_that_has_some_keeps_them(study):
    assert by_optuna(study).metric_names is None
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        by_optuna(study).set_metric_names(["accuracy", "size"])
    name_metrics(study, ["valid_accuracy", "num_parameters"])
    assert by_optuna(study).metric_names == ["accuracy", "size"]


def beginning(study):
    """Returns a new trial's id."""
    return study.claim(ME, Budget(1000))[0]


def pausing(study, trial_id, step):
    study.storage.set_trial_intermediate_value(trial_id, step, 1.0 / step)
    study.pause(trial_id, step)
    study.release(trial_id)


def ending(study, trial_id):
    study.storage.set_trial_state_values(trial_id, TrialState.PRUNED)


def resuming(study, trial_id):
    [trial] = [trial for trial in study.trials() if trial._trial_id == trial_id]
    return study._resume(trial, ME, Move.GO_ON)


def test_trials_that_wait_are_read_once_and_again_when_something_becomes_of_them(study, monkeypatch):
    ids = [beginning(study) for _ in range(20)]
    for trial_id in ids:
        pausing(study, trial_id, 1)
    mine, built, build = SweepStudy(study.url, "s", 1), [], RDBStorage._build_frozen_trial_from_trial_model

    def noting(self, model):
        built.append(model.number)
        return build(self, model)

    monkeypatch.setattr(RDBStorage, "_build_frozen_trial_from_trial_model", noting)
    for read in ([*range(20)], [], []):
        built.clear()
        assert len(mine.trials()) == 20
        assert built == read
    assert resuming(study, ids[3])
    ending(study, ids[5])
    built.clear()
    assert [mine.trials()[number].state.name for number in (3, 4, 5)] == ["RUNNING", "WAITING", "PRUNED"]
    assert {3, 5} >= set(built)
    pausing(study, ids[3], 4)
    assert mine.trials()[3].intermediate_values == {1: 1.0, 4: 0.25}
    built.clear()
    assert len(mine.trials()) == 20
    assert built == []


@pytest.mark.parametrize("seed", range(5))
def test_whatever_others_do_a_look_finds_what_a_first_look_would(study, seed):
    draw, mine, steps = random.Random(seed), SweepStudy(study.url, "s", 1), {}
    for _ in range(60):
        by_state = {state: [t._trial_id for t in study.trials() if t.state is state] for state in TrialState}
        running, waiting = by_state[TrialState.RUNNING], by_state[TrialState.WAITING]
        match draw.choice("begin pause pause end release resume resume".split()):
            case "begin":
                beginning(study)
            case "resume" if waiting:
                resuming(study, draw.choice(waiting))
            case "pause" if running:
                trial_id = draw.choice(running)
                steps[trial_id] = steps.get(trial_id, 0) + 1
                pausing(study, trial_id, steps[trial_id])
            case "release" if running:
                study.release(draw.choice(running))
            case "end" if running:
                ending(study, draw.choice(running))
        if draw.random() < 0.5:
            assert mine.trials() == SweepStudy(study.url, "s", 1).trials()
