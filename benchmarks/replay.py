"""Whole comparisons drawn from a pool of real runs: how often is an arm "better" than itself, or than another?

    python benchmarks/replay.py                600 comparisons of each kind; a few minutes
    python benchmarks/replay.py --number 2000

`benchmarks/pool.py` has trained the pool, results/pool.npz: 43 configurations each of a GRU and an LSTM on two data
sets, at a search's budget and at that of final runs, five seeds each. A comparison draws what would be random in one:
the configurations that a search tries, the seed and split that it tries them with, those with which its best few run
again, and the fresh seed of the winner. An arm against itself has another search, and other seeds, on each side:
whatever is called better there is a false alarm. Leaves results/replay.json and results/replay.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench import RESULTS
from tqdm import tqdm

from rnnexp.verdict import statistics

CELLS = ("gru", "lstm")
NUM_PRESETS = 3
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pool:
    """What the runs on one data set reached, by (cell, configuration, seed), and each test example's outcome."""

    name: str
    searched: Array
    again: Array
    hits: Array
    epochs: tuple[int, int]  # of a trial, of a final run

    @classmethod
    def load(cls, path: Path) -> list[Pool]:
        with np.load(path) as file:
            content = dict(file)
        found = []
        for name in dict.fromkeys(key.partition(".")[0] for key in content):
            size = int(content[f"{name}.num_test"])
            hits = np.unpackbits(content[f"{name}.hits"], axis=-1)[..., :size]
            valid = [content[f"{name}.valid.{budget}"] for budget in ("search", "final")]
            epochs = tuple(int(content[f"{name}.epochs.{budget}"].max()) for budget in ("search", "final"))
            found.append(cls(name, *valid, hits, epochs))
        return found


@dataclass(frozen=True)
class Way:
    """A way to compare: searches of an arm, trials of each, how many run again, fresh seeds of all winners."""

    name: str
    searches: int
    trials: int
    top: int
    seeds: int
    has_presets: bool = True

    def cost(self, pool: Pool) -> int:
        """Returns the epochs of one arm, in those of a trial's size."""
        again = self.searches * (self.top if self.top > 1 else 0)
        return self.searches * self.trials * pool.epochs[0] + (again + self.seeds) * pool.epochs[1]


WAYS = (
    Way("one search of 20, its best, five seeds", 1, 20, 1, 5, has_presets=False),
    Way("one search of 20, best three again, five seeds", 1, 20, 3, 5),
    Way("three searches of 10, best three again", 3, 10, 3, 3),
    Way("five searches of 10, their best", 5, 10, 1, 5),
    Way("five searches of 10, best three again", 5, 10, 3, 5),
    Way("five searches of 20, best three again", 5, 20, 3, 5),
)


def winners(pool: Pool, cell: int, way: Way, generator: np.random.Generator, order: Array) -> Iterator[int]:
    """Yields the configuration that each search of an arm chooses.

    Args:
        order: the seeds, in the order in which the searches have them.
    """
    num_configurations, num_seeds = pool.searched.shape[1:]
    for search in range(way.searches):
        first = NUM_PRESETS if way.has_presets else 0
        drawn = NUM_PRESETS + generator.permutation(num_configurations - NUM_PRESETS)[: way.trials - first]
        tried = np.concatenate([np.arange(first), drawn])
        seed, other = order[search % num_seeds], order[(search + 1) % num_seeds]
        ranked = tried[np.argsort(-pool.searched[cell, tried, seed], kind="stable")]
        best = ranked[: way.top]
        yield int(best[np.argmax(pool.again[cell, best, other])] if way.top > 1 else ranked[0])


def scores(pool: Pool, cell: int, way: Way, generator: np.random.Generator, order: Array) -> tuple[Array, float]:
    """Returns what each replicate of an arm made of each test example, and the mean validation of its winners."""
    num_seeds = pool.searched.shape[2]
    chosen = list(winners(pool, cell, way, generator, order))
    if way.searches == 1:
        fresh = order[1 : way.seeds + 1] if way.seeds < num_seeds else order
        return pool.hits[cell, chosen[0], fresh].astype(float), float(pool.again[cell, chosen[0]].mean())
    fresh = [order[(search + 2) % num_seeds] for search in range(way.searches)]
    return pool.hits[cell, chosen, fresh].astype(float), float(pool.again[cell, chosen].mean())


def compare(
    pool: Pool, cells: tuple[int, int], way: Way, generator: np.random.Generator, is_paired: bool
) -> tuple[float, float, float]:
    """Returns the difference between two arms, its p-value, and the regret of the first one's winners."""
    num_seeds = pool.searched.shape[2]
    order = generator.permutation(num_seeds)
    a, valid = scores(pool, cells[0], way, generator, order)
    b, _ = scores(pool, cells[1], way, generator, order if is_paired else generator.permutation(num_seeds))
    found = statistics.difference(a, b, is_paired)
    return found.mean, found.p_value(), float(pool.again[cells[0]].mean(-1).max()) - valid


def measure(pool: Pool, way: Way, number: int, is_paired: bool) -> dict[str, Any]:
    """Returns the shares of verdicts, in percent, of each arm against itself and of the two against each other."""
    found: dict[str, Any] = {"cost": way.cost(pool)}
    for name, cells in {"gru": (0, 0), "lstm": (1, 1), "both": (0, 1)}.items():
        generator = np.random.default_rng([len(name), *cells, int(is_paired)])
        drawn = [compare(pool, cells, way, generator, is_paired) for _ in range(number)]
        better = 100 * np.mean([p < 0.05 and difference > 0 for difference, p, _ in drawn])
        worse = 100 * np.mean([p < 0.05 and difference < 0 for difference, p, _ in drawn])
        found[name] = {"better": better, "worse": worse, "difference": 100 * np.mean([d for d, *_ in drawn])}
        found[name]["std"] = 100 * float(np.std([d for d, *_ in drawn]))
        found[name]["regret"] = 100 * float(np.mean([regret for *_, regret in drawn]))
    return found


def table(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    lines = []
    for name, ways in results.items():
        lines += [
            f"\n{name}\n",
            "| way | same against itself, GRU / LSTM: not undecided, % | GRU v LSTM: GRU, undecided, LSTM, % |"
            " regret, points | epochs of an arm |",
            "|---|---|---|---|---|",
        ]
        for way, found in ways.items():
            own = " / ".join(f"{found[c]['better'] + found[c]['worse']:.1f}" for c in CELLS)
            both = found["both"]
            decided = f"{both['better']:.0f}, {100 - both['better'] - both['worse']:.0f}, {both['worse']:.0f}"
            regret = " / ".join(f"{found[c]['regret']:.2f}" for c in CELLS)
            lines.append(f"| {way} | {own} | {decided} | {regret} | {found['cost']} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=600, help="comparisons of each kind; 600")
    parser.add_argument("--pool", type=Path, default=RESULTS / "pool.npz")
    parser.add_argument(
        "--paired", action="store_true", help="both arms have the same seeds and splits, search by search"
    )
    args = parser.parse_args()
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for pool in Pool.load(args.pool):
        ways = tqdm(WAYS, pool.name, disable=None)
        results[pool.name] = {way.name: measure(pool, way, args.number, args.paired) for way in ways}
    text = table(results)
    suffix = "-paired" if args.paired else ""
    (RESULTS / f"replay{suffix}.json").write_text(json.dumps(results, indent=1) + "\n")
    (RESULTS / f"replay{suffix}.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
