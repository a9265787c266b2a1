"""A Hydra app of twenty lines that knows nothing of networks: it walks down a parabola."""

import time

import hydra
from hydra.core.config_store import ConfigStore

from hydra_sweep import Pruned, report

DEFAULTS = [{"override hydra/sweeper": "optuna"}, "_self_"]
ConfigStore.instance().store("config", {"defaults": DEFAULTS, "x": 0.0, "y": 1, "seed": 0, "steps": 3, "pause": 0.0})


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def app(cfg):
    for step in range(cfg.steps):
        time.sleep(cfg.pause)
        if report((cfg.x - 2) ** 2 + cfg.y + cfg.steps - step, cfg.steps):
            raise Pruned
    return (cfg.x - 2) ** 2 + cfg.y


if __name__ == "__main__":
    app()
