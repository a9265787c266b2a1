"""A Hydra app whose configuration holds what JSON can't: paths, enums, bytes, NaN, keys that are no texts."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore


class Color(Enum):
    RED = 1
    BLUE = 2


@dataclass
class Config:
    defaults: list[Any] = field(default_factory=lambda: [{"override hydra/sweeper": "optuna"}, "_self_"])
    x: float = 0.0
    place: Path = Path("a/b")
    color: Color = Color.RED
    raw: bytes = b"\x00\xff"
    colors: list[Color] = field(default_factory=lambda: [Color.RED, Color.BLUE])
    by_color: dict[Color, int] = field(default_factory=lambda: {Color.RED: 3})
    by_number: dict[int, str] = field(default_factory=lambda: {1: "a"})
    pair: tuple[int, int] = (1, 2)
    lost: float = float("nan")
    far: float = float("inf")
    deep: Any = field(default_factory=lambda: {"list": [1.0, float("nan"), {2: float("nan")}]})


ConfigStore.instance().store("config", Config)


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def app(cfg):
    return cfg.x**2


if __name__ == "__main__":
    app()
