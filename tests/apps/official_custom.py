"""An app as it is written for the official Optuna sweeper, with bounds that follow from what was drawn before."""

import hydra
from hydra.core.config_store import ConfigStore

SWEEPER = {
    "sampler": {"seed": 123},
    "direction": "minimize",
    "study_name": "custom",
    "n_trials": 8,
    "n_jobs": 1,
    "params": {"x": "range(-5.5, 5.5, 0.5)"},
    "custom_search_space": "official_custom.widen",
}
CONFIG = {"defaults": [{"override hydra/sweeper": "optuna"}, "_self_"], "hydra": {"sweeper": SWEEPER}}
ConfigStore.instance().store("config", CONFIG | {"x": 1.0, "z": 100.0, "reach": 0.5})


def widen(cfg, trial):
    near = trial.params["x"]
    if "z" not in trial.user_attrs:
        trial.suggest_float("z", near - cfg.reach, near + cfg.reach)
    trial.suggest_categorical("+w", ["a b", "true", "c"])


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def app(cfg):
    assert cfg.w in ("a b", "true", "c")
    return cfg.x**2 + cfg.z**2


if __name__ == "__main__":
    app()
