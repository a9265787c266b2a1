"""A Hydra app whose trials, side by side in a worker, have their steps computed together; each notes where it is."""

import json
import logging
import os
import time
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig

from hydra_sweep import Pruned, report
from hydra_sweep.lanes import together

DEFAULTS = [{"override hydra/sweeper": "optuna"}, "_self_"]
CONFIG = {"defaults": DEFAULTS, "x": 0.0, "steps": 4, "fails": None, "prunes": None, "pause": 0.0}
ConfigStore.instance().store("config", CONFIG)
log = logging.getLogger(__name__)


def squares(arguments):
    """Returns the squares of numbers, and notes how many there were at once."""
    folder, pause = Path(arguments[0][1]), arguments[0][2]
    time.sleep(pause)
    with (folder / "at_once.log").open("a") as file:
        file.write(f"{len(arguments)}\n")
    if any(x < 0 for x, *_ in arguments):
        raise ValueError("below zero")
    return [x**2 for x, *_ in arguments]


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def app(cfg):
    at = HydraConfig.get()
    number, checkpoint = at.job.num, Path(at.runtime.output_dir) / "checkpoint.json"
    walked = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
    for step in range(cfg.steps + number % 2):
        if (number, step) == (cfg.fails, 2):
            raise RuntimeError("as it was asked to")
        if step == len(walked):
            walked.append(together(squares, (cfg.x + step, at.sweep.dir, cfg.pause)))
            log.info("trial %d is in %s", HydraConfig.get().job.num, os.getcwd())
            checkpoint.with_suffix(".tmp").write_text(json.dumps(walked))
            checkpoint.with_suffix(".tmp").replace(checkpoint)
        if report(walked[step]) or (number, step) == (cfg.prunes, 1):
            raise Pruned
    return float(sum(walked))


if __name__ == "__main__":
    app()
