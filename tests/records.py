"""Records of runs, for tests that hold one against another."""

import csv
import json

import torch

from rnnexp.record.result import TIME_COLUMNS

SMALL = [
    "train.epochs=3",
    "train.threads=1",
    "data.limit=2000",
    "data.valid_size=200",
    "data.augment=true",
    "model.hidden_size=16",
    "model.dropout=0.1",
    "optim=adam",
    "schedule=onecycle",
]


def histories(*folders):
    """Returns each folder's history as text, without its times."""
    found = []
    for folder in folders:
        with (folder / "history.csv").open() as lines:
            rows = [{k: v for k, v in row.items() if k not in TIME_COLUMNS} for row in csv.DictReader(lines)]
        found.append(rows)
    return found


def weights(folder):
    return torch.load(folder / "model.pt", weights_only=True)


def assert_identical(one, other):
    """Checks that two run folders hold the same history, kept weights and metrics, bit for bit."""
    first, second = histories(one, other)
    assert first
    assert first == second
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, other)]
    for result in results:
        del result["metrics"]["train_seconds"]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert results[0]["fingerprint"] == results[1]["fingerprint"]
