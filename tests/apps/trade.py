"""A Hydra app that returns a mapping of metrics: a loss that falls as the steps go on, and a size to trade it for."""

import hydra
from hydra.core.config_store import ConfigStore

from hydra_sweep import Pruned, report

DEFAULTS = [{"override hydra/sweeper": "optuna"}, "_self_"]
CONFIG = {"defaults": DEFAULTS, "x": 1.5, "kind": "plain", "extra": 0.0, "seed": 0, "fold": 0, "steps": 3}
ConfigStore.instance().store("config", CONFIG)


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def app(cfg):
    loss = (cfg.x - 2) ** 2 + cfg.extra + cfg.seed + 10 * cfg.fold
    for step in range(cfg.steps):
        if report({"loss": loss + cfg.steps - step - 1, "size": 10 * cfg.x, "seconds": 1.0}):
            raise Pruned(metrics={"loss": loss, "size": 10 * cfg.x})
    return {"loss": loss, "size": 10 * cfg.x, "note": "text is no metric", "curve": [1, 2]}


if __name__ == "__main__":
    app()
