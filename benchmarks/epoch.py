"""Seconds for an epoch of the notebook's model: rnnexp beside the notebook's loop, PyTorch Lightning and Keras 3.

All train the same LSTM (two layers of 100, batches of 64, Adadelta) on the same 20,000 images, in processes of their
own, on all cores, and take turns; validation is left out. The notebook's loop has 4 DataLoader workers, or none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from bench import HERE, Row, Subject, environment, in_turn
from data_root import data_root

NUM_IMAGES = 20_000
PEERS = HERE / "peers"
PATH = {"PYTHONPATH": str(HERE)}


def measure(rounds: int = 5) -> Iterator[Row]:
    lightning = environment("lightning", "lightning")
    keras = environment("keras", "keras", "jax")
    root, images = data_root(), str(NUM_IMAGES)

    def ours(precision: str) -> Subject:
        return Subject(
            *(sys.executable, PEERS / "ours.py", f"data.limit={NUM_IMAGES}", f"train.precision={precision}"), env=PATH
        )

    def keras_on(backend: str, policy: str) -> Subject:
        return Subject(keras, PEERS / "keras_epoch.py", root, images, policy, env=PATH | {"KERAS_BACKEND": backend})

    def lightning_at(precision: str) -> Subject:
        return Subject(lightning, PEERS / "lightning_epoch.py", root, images, precision, env=PATH)

    subjects = {
        "fp32": ours("fp32"),
        "bf16": ours("bf16"),
        "the notebook's loop, 4 workers": Subject(sys.executable, PEERS / "notebook.py", root, images, "4", env=PATH),
        "the notebook's loop, 0 workers": Subject(sys.executable, PEERS / "notebook.py", root, images, "0", env=PATH),
        "Lightning, fp32": lightning_at("32-true"),
        "Lightning, bf16": lightning_at("bf16-mixed"),
        "Keras on jax, fp32": keras_on("jax", "float32"),
        "Keras on jax, bf16": keras_on("jax", "mixed_bfloat16"),
        "Keras on torch, fp32": keras_on("torch", "float32"),
        "Keras on torch, bf16": keras_on("torch", "mixed_bfloat16"),
    }
    try:
        seconds = in_turn(subjects, rounds, "epoch")
    finally:
        peaks = {name: subject.close() for name, subject in subjects.items()}
    for name in list(subjects)[2:]:
        for precision in ("fp32", "bf16"):
            if name.startswith("the notebook") or name.endswith(precision):
                theirs = name.removesuffix(", fp32").removesuffix(", bf16")
                row = f"epoch of the notebook's model, {precision}"
                yield Row(row, theirs, "s", seconds[precision], seconds[name], goal=1.0)
    for name in ("the notebook's loop, 4 workers", "the notebook's loop, 0 workers"):
        yield Row("peak memory of the training process", name, "MiB", [peaks["fp32"]], [peaks[name]], goal=1.0)
