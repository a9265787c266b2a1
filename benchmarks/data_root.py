"""Where MNIST is, for the peers that read it themselves."""

from hydra import compose, initialize_config_dir

from rnnexp.cli import CONFIG_DIR
from rnnexp.data.files import ensure
from rnnexp.schema.config import register_schemas


def data_root() -> str:
    """Returns the folder of MNIST as torchvision lays it out, unpacked if need be."""
    register_schemas()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return str(ensure(compose("config").data))
