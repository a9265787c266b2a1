"""A Hydra app that has much to say while it runs: lines, a warning, and a progress bar."""

import sys
import time
import warnings

import hydra
from hydra.core.config_store import ConfigStore
from tqdm import tqdm

DEFAULTS = [{"override hydra/sweeper": "optuna"}, "_self_"]
ConfigStore.instance().store("config", {"defaults": DEFAULTS, "x": 0.0, "pause": 0.1})


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def app(cfg):
    print(f"begins {cfg.x}")
    for _ in tqdm(range(20), desc=f"walks {cfg.x}"):
        time.sleep(cfg.pause)
    warnings.warn(f"warns {cfg.x}", stacklevel=1)
    print(f"ends {cfg.x}", file=sys.stderr)
    return cfg.x


if __name__ == "__main__":
    app()
