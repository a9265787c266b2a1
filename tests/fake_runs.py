"""Folders of runs that nobody has trained: the records alone, for tests of what reads them."""

import copy

from rnnexp.record.result import HISTORY_COLUMNS, RunResult, Status
from rnnexp.record.run_folder import RunFolder

CONFIG = {
    "name": "cells",
    "seed": 3,
    "experiment": None,
    "model": {"_target_": "rnnexp.models.RecurrentClassifier", "cell": "lstm", "hidden_size": 100, "dropout": 0.0},
    "optim": {"_target_": "torch.optim.Adam", "lr": 0.001, "betas": [0.9, 0.999], "foreach": None},
    "data": {"name": "mnist", "sequence": "columns", "jitter": {"degrees": 10.0}},
    "train": {"epochs": 10, "patience": None},
}
RESULT = RunResult(
    status=Status.COMPLETE,
    reason=None,
    metrics={
        "test_accuracy": 0.9786,
        "test_loss": 0.07123,
        "valid_accuracy": 0.98,
        "valid_loss": 0.0654321,
        "train_accuracy": 0.99,
        "train_loss": 0.03,
        "best_epoch": 9,
        "epochs": 10,
        "num_parameters": 133810,
        "train_seconds": 71.26,
    },
    seed=3,
    attempt=1,
    choices={"model": "lstm", "optim": "adam", "schedule": "constant", "data": "mnist", "train": "default"},
    config=CONFIG,
    dataset={"name": "mnist", "num_train": 55_000, "num_valid": 5_000, "num_test": 10_000},
    fingerprint="0123456789abcdef",
    device="cpu",
    threads=2,
    precision="fp32",
    precision_reason="train.precision=fp32",
    environment={
        "started": "2026-01-02T03:04:05+00:00",
        "ended": "2026-01-02T03:05:06+00:00",
        "versions": {"rnnexp": "0.1.0", "torch": "2.14.1"},
        "git": {"commit": "be6e008", "dirty": True},
        "host": "node7",
        "platform": "Linux",
    },
)
HYDRA_CONFIG = "seed: 5\nmodel:\n  hidden_size: 32\noptim:\n  lr: 0.1\n"
HYDRA_CHOICES = "hydra:\n  runtime:\n    choices:\n      model: gru\n      optim: sgd\n      hydra/launcher: basic\n"
HISTORY = ",".join(HISTORY_COLUMNS) + "\n1,0.1,0.5,0.8,0.4,0.85,7.5\n2,0.1,0.3,0.9,0.25,0.91,7.5\n"


def finished(path, **changes):
    """Writes a run's result, with changes by dotted key (`config__optim__lr=1`), and returns its folder."""
    result = copy.deepcopy(RESULT)
    for key, value in changes.items():
        *parents, last = key.split("__")
        node = vars(result)
        for parent in parents:
            node = node[parent]
        node[last] = value
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path)
    folder.write_result(result)
    return folder


def begun(path, config=HYDRA_CONFIG, choices=HYDRA_CHOICES, history=HISTORY):
    """Writes what an unfinished run leaves, and returns its folder."""
    folder = RunFolder(path)
    folder.hydra_config.parent.mkdir(parents=True)
    folder.hydra_config.write_text(config)
    folder.hydra_choices.write_text(choices)
    folder.history.write_text(history)
    return folder


def epochs(folder, number):
    """Writes a history to a run's folder."""
    folder.write_history(
        [
            dict.fromkeys(HISTORY_COLUMNS, 0.5) | {"epoch": n + 1, "valid_accuracy": 0.9 + 0.01 * n}
            for n in range(number)
        ]
    )
    return folder
