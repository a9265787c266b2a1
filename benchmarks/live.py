"""Small comparisons, whole and live: how often is an arm better than itself, and do verdicts agree when all is redone?

    python benchmarks/live.py                      twenty and four of them, two hours on two cores; it goes on
    python benchmarks/live.py --number 4 --again 2 --outputs outputs

Each is an ordinary comparison by the default protocol, but for six trials a search, on 2,000 images of MNIST. In
the first ones, both arms are the same GRU, or the same LSTM, but for the seeds of sampler, training and split:
whatever is called better is a false alarm. The others compare the GRU with the LSTM, each time with other seeds for
everything. Leaves results/live.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench import RESULTS, machine

KNOWN = RESULTS / "live.json"
CELLS = ("gru", "lstm")
SIZE = (
    *("model.num_layers=1", "data.limit=1000", "data.valid_size=500", "train.epochs=2", "compare.trials=6"),
    'compare.final=["data.limit=2000","train.epochs=3"]',
    "hydra/launcher=basic",  # a search in one process: half of its time would go into starting another one
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=20, help="of comparisons of an arm with itself; 20")
    parser.add_argument("--again", type=int, default=4, help="of comparisons of the GRU with the LSTM; 4")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the comparisons are; outputs")
    args = parser.parse_args()
    wanted = [(f"live-{i}", (CELLS[i % 2], CELLS[i % 2]), i) for i in range(args.number)]
    wanted += [(f"again-{i}", CELLS, args.number + i) for i in range(args.again)]
    known = json.loads(KNOWN.read_text()) if KNOWN.exists() else {}
    for name, cells, number in wanted:
        if name not in known:
            known[name] = compare(name, cells, number, args.outputs)
            KNOWN.write_text(json.dumps(known, indent=1) + "\n")
    text = table({name: known[name] for name, _, _ in wanted})
    (RESULTS / "live.md").write_text(text)
    sys.stdout.write(text)


def table(found: dict[str, dict]) -> str:
    """Returns Markdown: a row for each comparison, and how many are false alarms."""
    lines = ["| comparison | difference, points | p | verdict |", "|---|---|---|---|"]
    for name, of in found.items():
        difference = f"{100 * of['difference']:+.2f} [{100 * of['low']:+.2f}, {100 * of['high']:+.2f}]"
        lines.append(f"| {name}: {' - '.join(of['cells'])} | {difference} | {of['p']:.2g} | {of['verdict']} |")
    own = [of for of in found.values() if len({*of["cells"]}) == 1]
    alarms = sum(of["verdict"] in ("better", "worse") for of in own)
    machines = ", ".join(sorted({of["processor"] for of in found.values()}))
    lines += ["", f"An arm better or worse than itself: {alarms} of {len(own)}. {machines}."]
    return "\n".join(lines) + "\n"


def compare(name: str, cells: tuple[str, str], number: int, outputs: Path) -> dict:
    """Returns what one comparison concludes of its pair; it is run if it has not been."""
    place = (outputs / "compare" / name).resolve()
    arms = [arm(cell, 100_000 * (2 * number + side)) for side, cell in enumerate(cells)]
    command = [sys.executable, "-m", "rnnexp.compare", f"name={name}", f"hydra.run.dir={place}"]
    command += [f"compare.arms={json.dumps(arms)}", f"compare.first_seed={10_000_000 + 10_000 * number}", *SIZE]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"live.py: the comparison {name} failed")
    pair = json.loads((place / "comparison.json").read_text())["pairs"][0]
    concluded = {name: pair[name] for name in ("difference", "low", "high", "p", "verdict")}
    return {"cells": cells, **concluded, "processor": machine()["processor"]}


def arm(cell: str, seed: int) -> str:
    return f"model={cell} seed={seed} hydra.sweeper.seed={seed} data.valid_seed={seed}"


if __name__ == "__main__":
    main()
