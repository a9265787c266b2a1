"""What `experiment=best` reaches in ten minutes: test accuracy, and the minutes of each run, one seed after the other.

The recipe was found with seed 0, whose test accuracy was seen; these are other seeds. It trains 24 epochs, which take
ten minutes in bf16. A processor with AVX2 alone trains in fp32, and 18 epochs take as long: that was chosen by the time
of an epoch, before any accuracy was seen.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench import Row, has_avx2_alone
from fast import run
from tqdm import tqdm

FP32 = ("train.epochs=18",)


def measure(rounds: int = 5) -> Iterator[Row]:
    overrides = FP32 if has_avx2_alone() else ()
    runs = [run("best", seed, *overrides) for seed in tqdm(range(1, rounds + 1), "best", disable=None)]
    minutes, accuracies = [wall / 60 for _, wall, _ in runs], [100 * accuracy for _, _, accuracy in runs]
    command, goal = (" ".join(["experiment=best", *overrides]), 99.4 if overrides else 99.5)
    published = "published LSTM 99.24 +- 0.06, GRU 99.27 +- 0.07"
    yield Row(f"test accuracy of {command}", published, "%", accuracies, goal=goal, higher=True)
    yield Row("minutes of a run, from the shell", "", "min", minutes, goal=10)
