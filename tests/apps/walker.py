"""A Hydra app that walks in steps, keeps a checkpoint after each, counts its runs, and dies where it is told to."""

import json
import os
import signal
import time
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig

from hydra_sweep import Pruned, report

DEFAULTS = [{"override hydra/sweeper": "optuna"}, "_self_"]
CONFIG = {"defaults": DEFAULTS, "x": 0.0, "y": 1, "seed": 0, "steps": 4, "pause": 0.0, "poison": None, "how": "kill"}
ConfigStore.instance().store("config", CONFIG)
WAYS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(9),
    "stop": lambda: os.kill(os.getpid(), signal.SIGTERM),
}


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def app(cfg):
    at = HydraConfig.get()
    with (Path(at.sweep.dir) / "runs.log").open("a") as log:
        log.write(f"{at.job.num}\n")
    checkpoint = Path(at.runtime.output_dir) / "checkpoint.json"
    walked = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
    for step in range(cfg.steps):
        if step == len(walked):
            if cfg.poison == cfg.y:
                WAYS[cfg.how]()
            time.sleep(cfg.pause)
            walked.append((cfg.x - 2) ** 2 + cfg.y + cfg.steps - step)
            checkpoint.with_suffix(".tmp").write_text(json.dumps(walked))
            checkpoint.with_suffix(".tmp").replace(checkpoint)
        if report(walked[step], cfg.steps):
            raise Pruned
    return {"loss": (cfg.x - 2) ** 2 + cfg.y, "cost": abs(cfg.x)}


if __name__ == "__main__":
    app()
