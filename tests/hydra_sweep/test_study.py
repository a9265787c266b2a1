"""The study as Optuna's own tools find it."""

import optuna
import pytest
from optuna.trial import TrialState

from hydra_sweep.resume import name_metrics
from hydra_sweep.study import SweepStudy


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
