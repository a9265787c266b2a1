"""Presets stay apart from what they choose."""

import yaml

from rnnexp.cli import CONFIG_DIR


def test_an_experiment_sets_no_numbers_of_one_optimizer_model_or_schedule():
    """They would leak into another option of the group, chosen on the command line."""
    experiments = sorted((CONFIG_DIR / "experiment").glob("*.yaml"))
    assert experiments
    for path in experiments:
        assert not {"model", "optim", "schedule"} & yaml.safe_load(path.read_text()).keys(), path.name


def test_an_experiment_with_another_optimizer_has_that_optimizers_own_numbers(compose):
    assert compose("experiment=notebook", "optim=adam").optim == compose("optim=adam").optim
    assert compose("experiment=notebook", "model=gru").model == compose("model=gru").model
