"""The official sweeper's task: the same run function, called by hydra-optuna-sweeper.

python official_search.py -m hydra/launcher=basic|joblib ...; rnnexp is found through PYTHONPATH, its config tree
through RNNEXP_CONF. Each trial writes its end (UNIX time) and validation accuracy into the file SEARCH_LOG.
"""

import os
import time

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from rnnexp.schema.config import register_schemas

register_schemas()


@hydra.main(config_path=".", config_name="official_search", version_base="1.3")
def app(cfg: DictConfig) -> float:
    from rnnexp.runner import run

    result = run(cfg, HydraConfig.get().runtime.output_dir, test=False)
    accuracy = result.metrics.get("valid_accuracy", 0.0)
    with open(os.environ["SEARCH_LOG"], "a") as log:
        log.write(f"{time.time()} {accuracy}\n")
    return accuracy


if __name__ == "__main__":
    app()
