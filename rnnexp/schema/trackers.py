"""What the options of `tracker` take, and which package each writes with: an extra of the option's name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class TrackerSchema:
    _target_: str = MISSING


@dataclass
class TensorBoardSchema(TrackerSchema):
    folder: str = MISSING


@dataclass
class MlflowSchema(TrackerSchema):
    uri: str = MISSING
    experiment: str = MISSING


@dataclass
class WandbSchema(TrackerSchema):
    project: str = MISSING
    folder: str = MISSING
    mode: str = field(default=MISSING, metadata={"allowed": ("offline", "online")})
    options: Any = MISSING  # more arguments of wandb.init


@dataclass
class TrackioSchema(TrackerSchema):
    project: str = MISSING
    folder: str = MISSING
    options: Any = MISSING  # more arguments of trackio.init


TRACKERS: dict[str, type] = {
    "tensorboard": TensorBoardSchema,
    "mlflow": MlflowSchema,
    "wandb": WandbSchema,
    "trackio": TrackioSchema,
}
PACKAGES = {  # by target: the option, and what must be installed for it
    "rnnexp.trackers.tensorboard.TensorBoard": ("tensorboard", "tensorboardX"),
    "rnnexp.trackers.mlflow.MLflow": ("mlflow", "mlflow"),
    "rnnexp.trackers.wandb_like.Wandb": ("wandb", "wandb"),
    "rnnexp.trackers.wandb_like.Trackio": ("trackio", "trackio"),
}
