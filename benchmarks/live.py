"""Small comparisons of an arm against itself, whole and live: how often is one called better than the other?

    python benchmarks/live.py                      twenty of them, an hour and a half on two cores; it goes on
    python benchmarks/live.py --number 4 --outputs outputs

Each is an ordinary `rnnexp.compare` with its default settings on 2,000 images of MNIST. Its two arms are the same GRU,
or the same LSTM, but for the seeds of the sampler, of training and of the split: whatever is called better is a false
alarm. Leaves results/live.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench import RESULTS, machine

CELLS = ("gru", "lstm")
SIZE = (
    *("model.num_layers=1", "data.limit=1000", "data.valid_size=500", "train.epochs=3"),
    'compare.final=["data.limit=2000","train.epochs=5"]',
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=20, help="of comparisons; 20")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the comparisons are; outputs")
    args = parser.parse_args()
    lines = ["| comparison | difference, points | p | verdict |", "|---|---|---|---|"]
    alarms = 0
    for number in range(args.number):
        found = compare(number, args.outputs)["pairs"][0]
        alarms += found["verdict"] in ("better", "worse")
        difference = f"{100 * found['difference']:+.2f} [{100 * found['low']:+.2f}, {100 * found['high']:+.2f}]"
        lines.append(f"| {number + 1}, {CELLS[number % 2]} | {difference} | {found['p']:.2g} | {found['verdict']} |")
    lines += ["", f"Better or worse: {alarms} of {args.number}. {machine()['processor']}."]
    (RESULTS / "live.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")


def compare(number: int, outputs: Path) -> dict:
    """Returns what one comparison concludes; it is run if it has not been."""
    place = (outputs / "compare" / f"live-{number}").resolve()
    arms = [arm(CELLS[number % 2], 100_000 * (2 * number + side)) for side in (0, 1)]
    command = [sys.executable, "-m", "rnnexp.compare", f"name=live-{number}", f"hydra.run.dir={place}"]
    command += [f"compare.arms={json.dumps(arms)}", f"compare.first_seed={10_000_000 + 10_000 * number}", *SIZE]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"live.py: comparison {number} failed")
    return json.loads((place / "comparison.json").read_text())


def arm(cell: str, seed: int) -> str:
    return f"model={cell} seed={seed} hydra.sweeper.seed={seed} data.valid_seed={seed}"


if __name__ == "__main__":
    main()
