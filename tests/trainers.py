"""Trainers of small networks on images that are easy to tell apart."""

import torch
from hydra.utils import instantiate

from hydra_sweep.signals import Stop
from rnnexp.data.dataset import Dataset
from rnnexp.data.sequences import Normalization, Sequences
from rnnexp.data.splitting import Part, Parts
from rnnexp.schema.config import plain_config
from rnnexp.training.loop import Trainer
from rnnexp.training.precision import Precision

SMALL = ("train.epochs=3", "train.batch_size=16", "model.hidden_size=8", "model=gru", "optim=adam", "optim.lr=0.01")


def images(count, seed=0):
    """Returns bright squares in one of ten places: easy to tell apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 10, (count,), generator=generator)
    pictures = torch.randint(0, 30, (count, 28, 28), dtype=torch.uint8, generator=generator)
    for picture, label in zip(pictures, labels.tolist(), strict=True):
        picture[label * 2 : label * 2 + 6, 4:24] = 250
    dataset = Dataset.of_images(pictures.numpy(), labels.numpy(), classes="0123456789")
    return Part.of(dataset.train, torch.device("cpu"))


def trainer(compose, *overrides, model=None, **others):
    """Returns a trainer of a small configuration with overrides; `others` are arguments of `Trainer`."""
    cfg = compose(*SMALL, *overrides)
    config = plain_config(cfg)
    torch.manual_seed(cfg.seed)
    model = model or instantiate(config["model"], input_size=28, num_classes=10)
    arguments = {
        "model": model,
        "optimizer": instantiate(config["optim"], _partial_=True, _convert_="all")(model.parameters()),
        "schedule": instantiate(config["schedule"], _partial_=True),
        "data": Parts(images(150), images(50, 1), images(50, 2)),
        "sequences": Sequences(cfg.data, "images", (28, 28), Normalization([0.5], [0.5])),
        "cfg": cfg.train,
        "metrics": {},
        "class_weights": None,
        "seed": cfg.seed,
        "device": torch.device("cpu"),
        "precision": Precision(cfg.train.precision, ""),
        "stop": Stop(),
        "save": lambda trainer: None,
        "on_epoch": lambda row: False,
    }
    return Trainer(**arguments | others)
