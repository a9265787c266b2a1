"""rnnexp's loop as a subject: `python ours.py OVERRIDE...`; validation is left out."""

import sys

import torch
from bench import serve
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from hydra_sweep import signals
from hydra_sweep.machine import num_physical_cores
from rnnexp.data import loading
from rnnexp.data.sequences import Normalization, Sequences
from rnnexp.data.splitting import split
from rnnexp.schema.config import plain_config, register_schemas
from rnnexp.schema.tree import CONFIG_DIR
from rnnexp.training import machine
from rnnexp.training.loop import Trainer
from rnnexp.training.precision import Precision
from rnnexp.training.progress import Progress

register_schemas()
with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
    cfg = compose("config", overrides=sys.argv[1:])
torch.set_num_threads(cfg.train.threads or num_physical_cores())
machine.keep_memory()
plain, device = plain_config(cfg), machine.pick_device(cfg.train.device)
dataset = loading.load(cfg.data, with_test=False)
parts = split(dataset, cfg.data, device, with_test=False)
normalization = Normalization.of(cfg.data, parts.train, dataset.kind)
model = instantiate(plain["model"], input_size=28, num_classes=10).to(device)
trainer = Trainer(
    model=model,
    optimizer=instantiate(plain["optim"], _partial_=True)(model.parameters()),
    schedule=instantiate(plain["schedule"], _partial_=True),
    data=parts,
    sequences=Sequences(cfg.data, dataset.kind, dataset.shape, normalization),
    cfg=cfg.train,
    metrics={},
    class_weights=None,
    seed=0,
    device=device,
    precision=Precision(cfg.train.precision, ""),
    stop=signals.Stop(),
    save=lambda trainer: None,
    on_epoch=lambda row: False,
)


def epoch() -> None:
    trainer.progress = Progress()
    trainer.train_epoch()


serve(epoch)
