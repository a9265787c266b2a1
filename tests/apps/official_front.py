"""An app as it is written for the official Optuna sweeper, two objectives that are at odds."""

import hydra
from hydra.core.config_store import ConfigStore

SWEEPER = {
    "sampler": {"seed": 123},
    "direction": ["minimize", "minimize"],
    "study_name": "front",
    "n_trials": 8,
    "n_jobs": 1,
    "params": {"x": "range(0, 5, step=0.5)", "y": "range(0, 3, step=0.5)"},
}
DEFAULTS = [{"override hydra/sweeper": "optuna"}, {"override hydra/sweeper/sampler": "nsgaii"}, "_self_"]
ConfigStore.instance().store("config", {"defaults": DEFAULTS, "hydra": {"sweeper": SWEEPER}, "x": 1.0, "y": 1.0})


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def app(cfg):
    return cfg.x + cfg.y, (cfg.x - 5) ** 2 + (cfg.y - 3) ** 2


if __name__ == "__main__":
    app()
