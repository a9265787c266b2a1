"""`experiment=best`, five seeds one after the other: test accuracy, and the minutes of each run.

The recipe was found with seed 0, whose test accuracy was seen; these are seeds 1 to 5.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench import Row
from fast import run
from tqdm import tqdm


def measure(rounds: int = 5) -> Iterator[Row]:
    runs = [run("best", seed) for seed in tqdm(range(1, rounds + 1), "best", disable=None)]
    minutes, accuracies = [wall / 60 for _, wall, _ in runs], [100 * accuracy for _, _, accuracy in runs]
    published = "published LSTM 99.24 +- 0.06, GRU 99.27 +- 0.07"
    yield Row("test accuracy of experiment=best", published, "%", accuracies, goal=99.5, higher=True)
    yield Row("minutes of a run, from the shell", "", "min", minutes, goal=10)
