"""A Hydra app that goes wrong in the way that it is told."""

import sys

import hydra
import numpy as np
from hydra.core.config_store import ConfigStore

DEFAULTS = [{"override hydra/sweeper": "optuna"}, "_self_"]
ConfigStore.instance().store("config", {"defaults": DEFAULTS, "what": "good", "x": 0.0})


class Mute(Exception):
    """Cannot be told."""

    def __str__(self):
        raise RuntimeError("no words")


def fail(error):
    raise error


WAYS = {
    "good": lambda: 1.0,
    "numpy": lambda: np.float32(0.5),
    "raise": lambda: fail(KeyError("lost")),
    "lines": lambda: fail(RuntimeError('first, "quoted"\nsecond')),
    "memory": lambda: fail(MemoryError()),
    "mute": lambda: fail(Mute()),
    "exit": lambda: sys.exit(3),
    "none": lambda: None,
    "not_finite": lambda: float("nan"),
    "infinite": lambda: float("-inf"),
    "text": lambda: "text",
    "pair": lambda: [1, 2],
    "complex": lambda: 1 + 2j,
    "function": lambda: lambda: 1,
    "empty": dict,
    "huge": lambda: 10**400,
}


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def app(cfg):
    return WAYS[cfg.what]()


if __name__ == "__main__":
    app()
