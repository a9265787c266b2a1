"""Time per epoch of rnnexp beside the notebook's own loop, as ratios: `python benchmarks/epoch.py`.

The notebook's loop loads each image through torchvision's dataset and its transforms, in a DataLoader with 4 workers or
with none, and steps the same LSTM with the same optimizer. They train on the same number of images in turn, A B C D
A B C D ..., so that a machine whose speed drifts is the same for all; figures are medians. Validation is
left out on both sides.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import torch
import torchvision.transforms as T
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from tqdm import tqdm

from rnnexp import data, interrupt, schema
from rnnexp.cli import CONFIG_DIR
from rnnexp.cores import num_physical_cores
from rnnexp.dataset_files import ensure
from rnnexp.train import Progress, Trainer


def notebook_epoch(num_images: int, num_workers: int) -> Callable[[], None]:
    """Returns a function that trains one epoch as the notebook does."""
    transform = T.Compose([T.ToTensor(), T.Normalize((0.5,), (0.5,))])
    dataset = MNIST(ensure(config("data.sequence=columns").data), train=True, transform=transform)
    loader = DataLoader(Subset(dataset, range(num_images)), 64, shuffle=True, num_workers=num_workers)
    lstm, linear = nn.LSTM(28, 100, num_layers=2), nn.Linear(100, 10)
    optimizer = torch.optim.Adadelta([*lstm.parameters(), *linear.parameters()], lr=0.1)

    def epoch() -> None:
        for image, label in loader:
            x_TBI = image.squeeze(1).permute(2, 0, 1)  # columns are the time steps
            out_TBH, _ = lstm(x_TBI)
            loss = nn.functional.cross_entropy(linear(out_TBH[-1]), label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return epoch


def rnnexp_epoch(num_images: int, precision: str) -> Callable[[], None]:
    """Returns a function that trains one epoch as `python -m rnnexp` does."""
    cfg = config(f"data.limit={num_images}", f"train.precision={precision}")
    dataset = data.load(cfg.data, torch.device("cpu"))
    plain = schema.plain(cfg)
    model = instantiate(plain["model"], input_size=28, num_classes=10)
    trainer = Trainer(
        model=model,
        optimizer=instantiate(plain["optim"], _partial_=True)(model.parameters()),
        schedule=instantiate(plain["schedule"], _partial_=True),
        data=dataset,
        cfg=cfg.train,
        seed=0,
        augment=False,
        device=torch.device("cpu"),
        stop=interrupt.Stop(),
        save=lambda: None,
        on_epoch=lambda row: False,
    )

    def epoch() -> None:
        trainer.progress = Progress()
        trainer.train_epoch()

    return epoch


def config(*overrides: str):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000, help="images per epoch (default: 20,000 of the 55,000)")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    schema.register()
    torch.set_num_threads(num_physical_cores())
    loops = {
        "notebook, DataLoader with 4 workers": notebook_epoch(args.images, 4),
        "notebook, DataLoader with 0 workers": notebook_epoch(args.images, 0),
        "rnnexp, fp32": rnnexp_epoch(args.images, "fp32"),
        "rnnexp, bf16": rnnexp_epoch(args.images, "bf16"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in tqdm(range(args.rounds), "rounds", disable=None):
        for name, epoch in loops.items():
            started = time.perf_counter()
            epoch()
            seconds[name].append(time.perf_counter() - started)
    print(
        f"{args.images:,} images an epoch, {args.rounds} rounds, {torch.get_num_threads()} threads; median [min, max]"
    )
    for name, own in seconds.items():
        ratios = {
            f"{workers} workers": statistics.median(a / b for a, b in zip(base, own, strict=True))
            for workers, base in (
                (4, seconds["notebook, DataLoader with 4 workers"]),
                (0, seconds["notebook, DataLoader with 0 workers"]),
            )
        }
        faster = "  ".join(f"{ratio:.2f} x as fast as with {workers}" for workers, ratio in ratios.items())
        print(f"{name:<36} {statistics.median(own):6.2f} s [{min(own):.2f}, {max(own):.2f}]  {faster}")
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
