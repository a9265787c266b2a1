"""Fixtures of tests that train."""

import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from rnnexp.schema.config import register_schemas
from rnnexp.schema.tree import CONFIG_DIR


@pytest.fixture(scope="session")
def compose():
    """Returns a function from overrides to the configuration that the command line would make of them."""
    register_schemas()

    def composed(*overrides):
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return hydra_compose("config", overrides=list(overrides))

    return composed


@pytest.fixture
def small():
    """Returns the overrides of a run on real images that trains in a second."""
    return (
        "data.limit=500 data.valid_size=200 model.hidden_size=16 model.num_layers=1 train.epochs=2 train.threads=1"
    ).split()


@pytest.fixture(autouse=True)
def one_thread():
    """Lets torch use one thread: two on a busy machine were seen to make these tests ten times slower."""
    torch.set_num_threads(1)
