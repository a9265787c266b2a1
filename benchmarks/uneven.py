"""A task that sleeps, for `barrier.py`: it runs unchanged under our sweeper and under the official one."""

import os
import time
from dataclasses import dataclass

import hydra
from hydra.core.config_store import ConfigStore


@dataclass
class Config:
    seconds: float = 1.0


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(version_base="1.3", config_path=None, config_name="config")
def task(cfg: Config) -> float:
    """Sleeps, and appends pid, start and end to the file that UNEVEN_LOG names."""
    started = time.time()
    time.sleep(cfg.seconds)
    with open(os.environ["UNEVEN_LOG"], "a") as log:
        log.write(f"{os.getpid()} {cfg.seconds} {started} {time.time()}\n")
    return cfg.seconds


if __name__ == "__main__":
    task()
