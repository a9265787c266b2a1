"""`experiment=notebook` against the notebook's own loop, written out in plain torch and torchvision."""

import pytest
import torch
import torchvision.transforms as T
from torch import nn
from torchvision.datasets import MNIST

from hydra_sweep import signals
from hydra_sweep.seeds import derive
from rnnexp.data import loading
from rnnexp.data.idx import ensure
from rnnexp.training.attempt import Attempt
from rnnexp.training.build import build

NUM_STEPS = 40


class Notebook(nn.Module):
    """Columns as time steps, two layers of 100, the last step's output through a linear layer."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(28, 100, num_layers=2)
        self.output = nn.Linear(100, 10)

    def forward(self, images):  # (B, 1, 28, 28)
        outputs, _ = self.rnn(images.squeeze(1).permute(2, 0, 1))
        return self.output(outputs[-1])


def test_the_recipe_takes_the_notebooks_steps(compose, tmp_path):
    cfg = compose("experiment=notebook", "train.threads=1", "seed=3")
    dataset = loading.load(cfg.data, with_test=True)
    trainer = build(
        Attempt.begin(cfg, None, {}), dataset, signals.Stop(), save=None, note=None, on_epoch=None, test=True
    )
    theirs = Notebook()
    theirs.load_state_dict(trainer.model.state_dict())
    optimizer = torch.optim.Adadelta(theirs.parameters(), lr=0.1)
    transform = T.Compose([T.ToTensor(), T.Normalize((0.5,), (0.5,))])
    theirs_too = MNIST(ensure("mnist"), train=True, transform=transform)
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(derive(3, "batches", 0)))
    train = trainer.data.train
    for step, index in enumerate(order.split(64)[:NUM_STEPS]):
        ours = trainer.step(trainer.sequences(train, index), train.labels[index], step, 938)
        images, labels = zip(*(theirs_too[i] for i in index.tolist()), strict=True)
        loss = nn.functional.cross_entropy(theirs(torch.stack(images)), torch.tensor(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert ours.item() == pytest.approx(loss.item(), rel=1e-5)
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(trainer.model.get_parameter(name), parameter, rtol=1e-4, atol=1e-6)


def test_the_recipe_is_the_notebooks(compose):
    cfg = compose("experiment=notebook")
    assert (cfg.train.epochs, cfg.train.batch_size, cfg.train.keep) == (10, 64, "last")
    assert (cfg.data.valid_from, cfg.data.valid_size, cfg.data.limit, cfg.data.augment) == ("test", 0, None, False)
    assert cfg.schedule["_target_"].endswith("constant")
