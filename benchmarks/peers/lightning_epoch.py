"""PyTorch Lightning as a subject: `python lightning_epoch.py ROOT IMAGES 32-true|bf16-mixed cpu|cuda`.

The notebook's model and optimizer; the images are one tensor in memory, normalised beforehand, and a DataLoader without
workers hands them out. No logger, checkpoints or validation; the progress bar is off.
"""

import sys
import warnings

import lightning
import torch
import torchvision
from bench import serve
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

warnings.filterwarnings("ignore")
root, num_images, precision, accelerator = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
mnist = torchvision.datasets.MNIST(root, train=True)
images = (mnist.data[:num_images].float() / 255 - 0.5) / 0.5
loader = DataLoader(TensorDataset(images.transpose(1, 2).contiguous(), mnist.targets[:num_images]), 64, shuffle=True)


class Classifier(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.linear = nn.LSTM(28, 100, num_layers=2, batch_first=True), nn.Linear(100, 10)

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        x_BTI, label = batch
        out_BTH, _ = self.lstm(x_BTI)
        return nn.functional.cross_entropy(self.linear(out_BTH[:, -1]), label)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adadelta(self.parameters(), lr=0.1)


model = Classifier()


def epoch() -> None:
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator=accelerator,
        precision=precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, loader)


serve(epoch)
