"""What several test modules share."""

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from rnnexp import schema
from rnnexp.cli import CONFIG_DIR


@pytest.fixture(scope="session")
def compose():
    """Returns a function from overrides to the configuration that the command line would make of them."""
    schema.register()

    def composed(*overrides):
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return hydra_compose("config", overrides=list(overrides))

    return composed
