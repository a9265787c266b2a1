"""Every private name of Hydra that is used here, beside those of `hydra_sweep.compat`. Seen with hydra-core 1.3.8."""

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser

__all__ = ["Callbacks", "Hydra", "create_config_search_path", "get_args_parser"]
