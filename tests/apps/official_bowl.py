"""An app as it is written for the official Optuna sweeper, single objective: it knows nothing of rnnexp."""

import hydra
from hydra.core.config_store import ConfigStore

SWEEPER = {
    "sampler": {"seed": 123},
    "direction": "minimize",
    "study_name": "bowl",
    "storage": None,
    "n_trials": 12,
    "n_jobs": 1,
    "max_failure_rate": 0.0,
    "params": {"x": "range(-5.5, 5.5, step=0.5)", "y": "choice(-5, 0, 5)"},
}
DEFAULTS = [{"override hydra/sweeper": "optuna"}, {"override hydra/sweeper/sampler": "tpe"}, "_self_"]
CONFIG = {"defaults": DEFAULTS, "hydra": {"sweeper": SWEEPER}, "x": 1.0, "y": 1.0, "z": 1}
ConfigStore.instance().store("config", CONFIG)


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def app(cfg):
    return cfg.x**2 + cfg.y**2


if __name__ == "__main__":
    app()
