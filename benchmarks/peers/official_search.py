"""The official sweeper's task: the same run function, called by hydra-optuna-sweeper.

python official_search.py -m hydra/launcher=basic|joblib ...; rnnexp is found through PYTHONPATH, its config tree
through RNNEXP_CONF. Each epoch's validation accuracy goes into the file SEARCH_LOG.
"""

import os

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from rnnexp.schema.config import register_schemas

register_schemas()


@hydra.main(config_path=".", config_name="official_search", version_base="1.3")
def app(cfg: DictConfig) -> float:
    from rnnexp.runner import run

    def note(row: dict) -> bool:
        with open(os.environ["SEARCH_LOG"], "a") as log:
            log.write(f"{row['valid_accuracy']}\n")
        return False

    result = run(cfg, HydraConfig.get().runtime.output_dir, on_epoch=note, test=False)
    return result.metrics.get("valid_accuracy", 0.0)


if __name__ == "__main__":
    app()
