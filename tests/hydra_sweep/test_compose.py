"""The composer gives what Hydra gives."""

import pytest
import training_conf
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from hydra_sweep.compose import ComposeError, Composer, one_line

OVERRIDES = [
    [],
    ["model=gru", "optim=sgd", "optim.lr=0.3"],
    ["optim.lr=0.2", "model=gru", "optim=sgd"],
    ["model=gru", "optim=sgd", "optim.lr=0.5", "model.hidden_size=7", "hydra.sweep.subdir=12"],
    ["experiment=notebook", "train.epochs=3"],
    ["search=quick", "n_trials=3", "optim=adam", "optim.betas=[0.8,0.9]"],
    ["++model.hidden_size=9", "+data.jitter={a:1}", "~experiment"],
]


@pytest.fixture
def create_hydra():
    """Returns a function that gives Hydra anew, which has read nothing yet."""

    def create():
        GlobalHydra.instance().clear()
        return Hydra.create_main_hydra2("app", create_config_search_path(None))

    with training_conf.registered():
        yield create
    GlobalHydra.instance().clear()


@pytest.fixture
def hydra(create_hydra):
    return create_hydra()


def test_a_composition_is_hydras_own_whatever_was_composed_before(hydra, create_hydra):
    master = hydra.compose_config("training", ["name=x", "seed=1,2"], run_mode=RunMode.MULTIRUN)
    composer, untouched = Composer(hydra.config_loader, master), create_hydra().config_loader
    for overrides in [*OVERRIDES, *OVERRIDES]:
        ours, theirs = composer(overrides), untouched.load_sweep_config(master, list(overrides))
        assert OmegaConf.to_container(ours) == OmegaConf.to_container(theirs)
        assert OmegaConf.get_type(ours.optim) is OmegaConf.get_type(theirs.optim)
        assert OmegaConf.is_struct(ours) == OmegaConf.is_struct(theirs)


@pytest.mark.parametrize("override", ["optim.lrr=1", "optim=nope", "model.hidden_size=x", "model.hidden_size"])
def test_a_mistake_is_hydras_own_error(hydra, override):
    master = hydra.compose_config("training", ["name=x"], run_mode=RunMode.MULTIRUN)
    with pytest.raises(HydraException) as theirs:
        hydra.config_loader.load_sweep_config(master, [override])
    with pytest.raises(ComposeError) as ours:
        Composer(hydra.config_loader, master)([override])
    assert str(ours.value) == one_line(theirs.value)
