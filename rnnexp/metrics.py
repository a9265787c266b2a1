"""What a part of the data is judged by beside loss and accuracy; the larger, the better.

Each is called with the labels, int64 (N,), and the predicted probabilities, float64 (N, O); so is a user's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def balanced_accuracy(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Returns the mean over classes of the share of their examples that were right (Brodersen et al. 2010)."""
    from sklearn.metrics import recall_score

    present = np.unique(labels)
    return float(recall_score(labels, probabilities.argmax(1), labels=present, average="macro", zero_division=0))


def macro_f1(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Returns the mean over all classes of the harmonic mean of precision and recall."""
    from sklearn.metrics import f1_score

    classes = range(probabilities.shape[1])
    return float(f1_score(labels, probabilities.argmax(1), labels=classes, average="macro", zero_division=0))


def auroc(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Returns the area under the receiver operating characteristic, of two classes; NaN if only one occurs.

    Raises:
        ValueError: there are more classes.
    """
    if probabilities.shape[1] != 2:
        raise ValueError(f"auroc is for two classes, got {probabilities.shape[1]}")
    from sklearn.metrics import roc_auc_score

    if len(np.unique(labels)) < 2:
        return float("nan")
    return float(roc_auc_score(labels, probabilities[:, 1]))


def problem(name: str, target: Any, num_classes: int) -> str | None:
    """Returns what to type if a metric of ours can't be taken of so many classes."""
    if target == "rnnexp.metrics.auroc" and num_classes != 2:
        return f"metrics.{name}: auroc is for two classes, and the data has {num_classes}; type metrics=[macro_f1]"
    return None
