"""The notebook's loop as a subject: `python notebook.py ROOT IMAGES WORKERS [--test] [--cuda]`.

As published, with its crash mended (`loss.item()`) and the batch axis kept: torchvision's dataset and transforms, a
DataLoader, `nn.LSTM(28, 100, num_layers=2)`, Adadelta(lr=0.1), batches of 64. With --test, each epoch goes through
the test set as well, as the notebook does, and the accuracy goes to stderr. With --cuda, network and
batches are on the GPU.
"""

import sys

import torch
import torchvision.transforms as T
from bench import serve
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST

root, num_images, num_workers, with_test = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), "--test" in sys.argv
device = "cuda" if "--cuda" in sys.argv else "cpu"
torch.manual_seed(0)
transform = T.Compose([T.ToTensor(), T.Normalize((0.5,), (0.5,))])
train = Subset(MNIST(root, train=True, transform=transform), range(num_images))
loader = DataLoader(train, 64, shuffle=True, num_workers=num_workers)
test_loader = DataLoader(MNIST(root, train=False, transform=transform), 128, num_workers=num_workers)
lstm, linear = nn.LSTM(28, 100, num_layers=2).to(device), nn.Linear(100, 10).to(device)
optimizer = torch.optim.Adadelta([*lstm.parameters(), *linear.parameters()], lr=0.1)


def logits(image: torch.Tensor) -> torch.Tensor:
    out_TBH, _ = lstm(image.squeeze(1).permute(2, 0, 1))  # columns are the time steps
    return linear(out_TBH[-1])


def epoch() -> None:
    num_correct = 0
    for image, label in ((image.to(device), label.to(device)) for image, label in loader):
        output = logits(image)
        loss = nn.functional.cross_entropy(output, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        num_correct += (output.argmax(1) == label).sum().item()
    if with_test:
        with torch.no_grad():
            found = ((logits(image.to(device)).argmax(1), label.to(device)) for image, label in test_loader)
            right = sum((guess == label).sum().item() for guess, label in found)
        print(f"test accuracy {right / 10_000:.4f}", file=sys.stderr, flush=True)


serve(epoch)
