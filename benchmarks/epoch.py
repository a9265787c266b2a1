"""Seconds for an epoch of the notebook's model: rnnexp beside the notebook's loop, PyTorch Lightning and Keras 3.

All train the same LSTM (two layers of 100, batches of 64, Adadelta) on the same 20,000 images, in processes of their
own, on all cores, and take turns; validation is left out. The notebook's loop has 4 DataLoader workers, or none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from bench import HERE, Row, Subject, environment, has_avx2_alone, in_turn
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
        return Subject(lightning, PEERS / "lightning_epoch.py", root, images, precision, "cpu", env=PATH)

    precisions = ("fp32",) if has_avx2_alone() else ("fp32", "bf16")  # LSTMs in bf16 end in an error on AVX2
    subjects = {precision: ours(precision) for precision in precisions}
    for workers in ("4", "0"):
        loop = Subject(sys.executable, PEERS / "notebook.py", root, images, workers, env=PATH)
        subjects[f"the notebook's loop, {workers} workers"] = loop
    names = {"fp32": ("32-true", "float32"), "bf16": ("bf16-mixed", "mixed_bfloat16")}
    for precision in precisions:
        of_lightning, of_keras = names[precision]
        subjects[f"Lightning, {precision}"] = lightning_at(of_lightning)
        subjects[f"Keras on jax, {precision}"] = keras_on("jax", of_keras)
        subjects[f"Keras on torch, {precision}"] = keras_on("torch", of_keras)
    try:
        seconds = in_turn(subjects, rounds, "epoch")
    finally:
        peaks = {name: subject.close() for name, subject in subjects.items()}
    for name in list(subjects)[len(precisions) :]:
        for precision in precisions:
            if name.startswith("the notebook") or name.endswith(precision):
                theirs = name.removesuffix(", fp32").removesuffix(", bf16")
                row = f"epoch of the notebook's model, {precision}"
                yield Row(row, theirs, "s", seconds[precision], seconds[name], goal=1.0)
    for name in ("the notebook's loop, 4 workers", "the notebook's loop, 0 workers"):
        yield Row("peak memory of the training process", name, "MiB", [peaks["fp32"]], [peaks[name]], goal=1.0)
