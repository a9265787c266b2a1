"""Presets stay apart from what they choose."""

import optuna
import yaml

from hydra_sweep.optuna_compat import ask
from rnnexp.command_line import CommandLine
from rnnexp.compat import get_args_parser
from rnnexp.schema.tree import CONFIG_DIR


def test_an_experiment_sets_no_numbers_of_one_optimizer_model_or_schedule():
    """They would leak into another option of the group, chosen on the command line."""
    experiments = sorted((CONFIG_DIR / "experiment").glob("*.yaml"))
    assert experiments
    for path in experiments:
        assert not {"model", "optim", "schedule"} & yaml.safe_load(path.read_text()).keys(), path.name


def test_an_experiment_with_another_optimizer_has_that_optimizers_own_numbers(compose):
    assert compose("experiment=notebook", "optim=adam").optim == compose("optim=adam").optim
    assert compose("experiment=notebook", "model=gru").model == compose("model=gru").model


def test_two_hundred_trials_of_the_shipped_space_stay_within_their_own_branch():
    args = get_args_parser().parse_args(["-m", "search=default", "name=x"])
    space = CommandLine(args, CONFIG_DIR).plan.space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    rates = {"adadelta": (3e-2, 3), "adam": (1e-4, 3e-2), "sgd": (1e-3, 1)}
    seen = set()
    for _ in range(200):
        trial = dict(text.split("=", 1) for text in space.sample(ask(study).draw))
        low, high = rates[trial["optim"]]
        assert low <= float(trial["optim.lr"]) <= high
        assert ("optim.momentum" in trial) == (trial["optim"] == "sgd")
        assert ("optim.rho" in trial) == (trial["optim"] == "adadelta")
        assert ("model.nonlinearity" in trial) == (trial["model"] == "rnn")
        assert ("model.dropout" in trial) == (trial["model.num_layers"] in ("2", "3"))
        assert 32 <= int(trial["model.hidden_size"]) <= 256
        seen |= {(trial["model"], trial["optim"])}
    assert len(seen) == 9


def test_a_hundred_trials_of_the_linear_cells_are_valid_configurations():
    line = CommandLine(get_args_parser().parse_args(["-m", "search=linear", "name=x"]), CONFIG_DIR)
    assert not line.problems()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(100):
        trial = dict(text.split("=", 1) for text in line.plan.space.sample(ask(study).draw))
        assert ("model.r_min" in trial) == (trial["model"] == "lru")
        seen.add(trial["model"])
    assert seen == {"mingru", "minlstm", "lru", "rglru"}
