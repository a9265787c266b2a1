"""Permuted MNIST, 784 steps of one pixel in the published order: what cells make of the same time on this machine.

    python benchmarks/permuted.py                     GRU, minGRU, LRU and RG-LRU, an hour each; it goes on
    python benchmarks/permuted.py lru --seconds 600   one of them, ten minutes

Each trains on all cores for as many whole epochs as its time allows, judged by an epoch of 2,000 images that is timed
first, or, where not even one fits, once on as many images as do: two layers of 128, Adam with a one-cycle learning
rate. The test set is seen once, at the end. Leaves results/permuted.json and results/permuted.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

from bench import RESULTS, machine
from data_root import data_root
from tqdm import tqdm

CELLS = {"gru": 2e-3, "mingru": 3e-3, "lru": 3e-3, "rglru": 3e-3}  # and the learning rate at its highest
COMMON = (
    *("data.sequence=permuted", "model.hidden_size=128", "model.num_layers=2", "optim=adam", "schedule=onecycle"),
    *("train.batch_size=64", "train.clip_norm=1", "train.resume=true"),
)
TIMED = 2000  # images, beside which a tenth as many validate
VALID = 1000  # images that validate, beside all others, of the 60,000
SHARE = 0.95  # of the time, so that the validation fits as well


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", metavar="CELL", help=f"of {' '.join(CELLS)}; none: all")
    parser.add_argument("--seconds", type=float, default=3600, help="that each may train; 3600")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the runs are; outputs")
    args = parser.parse_args()
    if unknown := set(args.cells) - {*CELLS}:
        parser.error(f"no cell {', '.join(sorted(unknown))}; there are {', '.join(CELLS)}")
    data_root()
    for cell in tqdm(args.cells or [*CELLS], "permuted", disable=None):
        found = train(cell, args.seconds, args.outputs / "permuted")
        file = RESULTS / "permuted.json"
        known = json.loads(file.read_text())["runs"] if file.exists() else {}
        known[f"{cell}, {args.seconds:g} s"] = found
        file.write_text(json.dumps({"machine": machine(), "runs": known}, indent=1) + "\n")
        (RESULTS / "permuted.md").write_text(table(known))
    sys.stdout.write((RESULTS / "permuted.md").read_text())


def train(cell: str, seconds: float, outputs: Path) -> dict[str, float]:
    """Returns what came of a cell's time."""
    timed = run(
        cell, outputs / f"{cell}-timed", "train.epochs=1", f"data.limit={TIMED}", f"data.valid_size={TIMED // 10}"
    )
    with (outputs / f"{cell}-timed" / "history.csv").open() as lines:
        an_image = float(next(csv.DictReader(lines))["epoch_seconds"]) / TIMED
    images = min(60_000 - VALID, int(SHARE * seconds / an_image))
    epochs = max(1, int(SHARE * seconds / (an_image * images)))
    size = [f"train.epochs={epochs}", f"data.limit={images}", f"data.valid_size={VALID}"]
    found = run(cell, outputs / f"{cell}-{seconds:g}", *size)
    return {"epochs": epochs, "images": images, "parameters": timed["num_parameters"], **found}


def run(cell: str, folder: Path, *words: str) -> dict[str, float]:
    command = [sys.executable, "-m", "rnnexp", f"model={cell}", f"optim.lr={CELLS[cell]}", *COMMON, *words]
    subprocess.run([*command, f"hydra.run.dir={folder}"], check=True)
    metrics: dict[str, float] = json.loads((folder / "result.json").read_text())["metrics"]
    return metrics


def table(known: dict[str, dict[str, float]]) -> str:
    lines = [
        "| cell, time | epochs | images | parameters | validation, % | test, % | trained for, s |",
        "|---" * 7 + "|",
    ]
    for name, one in known.items():
        sizes = [f"{one[key]:,.0f}" for key in ("epochs", "images", "parameters")]
        accuracies = [f"{100 * one[key]:.2f}" for key in ("valid_accuracy", "test_accuracy")]
        seconds = f"{one['train_seconds']:,.0f}"
        lines.append(f"| {' | '.join([name, *sizes, *accuracies, seconds])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
