"""The configuration of an app that trains networks, for tests of what the sweeper makes of configurations."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

CONDITIONS = {
    "optim=adadelta": {"optim.lr": "tag(log, interval(3e-2,3))", "optim.rho": "interval(0.8,0.99)"},
    "optim=adam": {"optim.lr": "tag(log, interval(1e-4,3e-2))"},
    "optim=sgd": {"optim.lr": "tag(log, interval(1e-3,1))", "optim.momentum": "interval(0,0.99)"},
    "model=rnn": {"model.nonlinearity": "choice(tanh,relu)"},
    "model.num_layers=2,3": {"model.dropout": "interval(0,0.5)"},
}
PARAMS = {
    "model": "choice(rnn,gru,lstm)",
    "optim": "choice(adadelta,adam,sgd)",
    "model.hidden_size": "tag(log, int(interval(32,256)))",
    "model.num_layers": "int(interval(1,3))",
    "train.batch_size": "choice(32,64,128,256)",
}


@dataclass
class Network:
    hidden_size: int = 100
    num_layers: int = 2
    dropout: float = 0.0


@dataclass
class PlainNetwork(Network):
    nonlinearity: str = "tanh"


@dataclass
class Optimizer:
    lr: float = 0.1
    foreach: bool | None = None


@dataclass
class Adadelta(Optimizer):
    rho: float = 0.9


@dataclass
class Adam(Optimizer):
    lr: float = 1e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])


@dataclass
class Sgd(Optimizer):
    momentum: float = 0.9
    nesterov: bool = False


@dataclass
class Train:
    epochs: int = 10
    batch_size: int = 64
    clip_norm: float | None = None


@dataclass
class Config:
    defaults: list[Any] = field(
        default_factory=lambda: [
            "_self_",
            {"model": "lstm"},
            {"optim": "adadelta"},
            {"experiment": None},
            {"search": None},
            {"override hydra/sweeper": "optuna"},
        ]
    )
    name: str = "x"
    seed: int = 0
    n_trials: int | None = None
    model: Any = None
    optim: Any = None
    train: Train = field(default_factory=Train)
    data: dict[str, Any] = field(default_factory=dict)


@contextmanager
def registered() -> Iterator[None]:
    """Makes the configuration known to Hydra meanwhile, as `training`."""
    Plugins.instance()  # which have configurations of their own
    store = ConfigStore.instance()
    before = copy.deepcopy(store.repo)
    store.store("training", Config)
    for name, network in {"rnn": PlainNetwork, "gru": Network, "lstm": Network}.items():
        store.store(group="model", name=name, node=network)
    for name, optimizer in {"adadelta": Adadelta, "adam": Adam, "sgd": Sgd}.items():
        store.store(group="optim", name=name, node=optimizer)
    notebook = {"defaults": [{"override /optim": "adadelta"}], "train": {"epochs": 20}}
    store.store(group="experiment", name="notebook", node=notebook, package="_global_")
    quick = {"n_trials": 12, "hydra": {"sweeper": {"params": PARAMS, "when": CONDITIONS}}}
    store.store(group="search", name="quick", node=quick, package="_global_")
    try:
        yield
    finally:
        store.repo = before
