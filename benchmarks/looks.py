"""Adding seeds until all is decided: false alarms, and how many seeds that takes, in simulated comparisons.

    python benchmarks/looks.py                 1,000 comparisons of each kind; ten minutes on a busy core

Two arms classify 10,000 examples, about 98 % of them, with some chance of seeds (a standard deviation of 0.15 points)
and of examples; the one is better by 0, 0.2 or 0.5 points. They are looked at with 5, 10, 15 and 20 seeds, as
`compare.seeds=auto compare.max_seeds=20` does, until they are better, worse or the same within 0.2 points. Beside it:
looking as often without bounds, and once, with 20 seeds. Leaves results/looks.md.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from bench import RESULTS
from scipy import optimize, special, stats
from tqdm import tqdm

from rnnexp.verdict import sequential, statistics

NUM_EXAMPLES, SIZES, MARGIN = 10_000, (5, 10, 15, 20), 0.002
EXAMPLE_SPREAD, OWN_SPREAD, SEED_SPREAD = 2.0, 0.5, 0.12  # in log odds; the last one is 0.15 points of accuracy


def accuracy(mean: float) -> float:
    """Returns the true accuracy of an arm whose log odds have this mean."""
    spread = (EXAMPLE_SPREAD**2 + OWN_SPREAD**2 + SEED_SPREAD**2) ** 0.5
    return float(stats.norm(mean, spread).expect(special.expit))


def measure(difference: float, number: int) -> dict[str, float]:
    """Returns shares of verdicts, in percent, and the mean number of seeds, for a true difference in points."""
    base = optimize.brentq(lambda mean: accuracy(mean) - 0.98, 0, 20)
    other = optimize.brentq(lambda mean: accuracy(mean) - 0.98 + difference / 100, 0, 20)
    generator = np.random.default_rng(round(100 * difference))
    allowed = sequential.levels([size / SIZES[-1] for size in SIZES], 0.05)
    one_sided = [level / 2 for level in sequential.levels([size / SIZES[-1] for size in SIZES], 0.10)]
    found = dict.fromkeys(("better or worse", "wrong sign", "same", "without bounds", "once"), 0.0) | {"seeds": 0.0}
    for _ in tqdm(range(number), f"{difference} points", disable=None):
        example = generator.normal(0, EXAMPLE_SPREAD, NUM_EXAMPLES)
        hits = [arm(generator, example + mean) for mean in (base, other)]
        scores = hits[0] - hits[1]
        looks = [statistics.mean(scores[:size]) for size in SIZES]
        p_values = [look.p_value() for look in looks]
        same = [look.p_value_of_sameness(MARGIN) for look in looks]
        found["without bounds"] += min(p_values) < 0.05
        found["once"] += p_values[-1] < 0.05
        for look, (size, p, q) in enumerate(zip(SIZES, p_values, same, strict=True)):
            is_same, differs = q < one_sided[look], p < allowed[look]
            if is_same or differs or size == SIZES[-1]:
                found["same"] += is_same
                found["better or worse"] += differs and not is_same
                found["wrong sign"] += differs and not is_same and looks[look].mean < 0 and difference > 0
                found["seeds"] += size
                break
    return {name: value / number if name == "seeds" else 100 * value / number for name, value in found.items()}


def arm(generator: np.random.Generator, log_odds_N: np.ndarray) -> np.ndarray:
    """Returns what each of an arm's runs makes of each example, (R, N)."""
    own = generator.normal(0, OWN_SPREAD, NUM_EXAMPLES)
    seeds = generator.normal(0, SEED_SPREAD, (SIZES[-1], 1))
    odds = (log_odds_N + own + seeds).astype(np.float32)
    return (generator.random(odds.shape, np.float32) < special.expit(odds)).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=1000, help="comparisons of each kind; 1,000")
    args = parser.parse_args()
    rows = {difference: measure(difference, args.number) for difference in (0.0, 0.2, 0.5)}
    names = list(rows[0.0])
    lines = [
        f"| true difference, points | {', % | '.join(names[:-1])}, % | seeds on average |",
        "|---" * (len(names) + 1) + "|",
    ]
    lines += [f"| {d} | {' | '.join(f'{row[name]:.1f}' for name in names)} |" for d, row in rows.items()]
    (RESULTS / "looks.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
