"""Shows that two commits compute the same, bit for bit: `python benchmarks/same_results.py BEFORE [AFTER]`.

Both commits run the same commands, each from its own files and in a folder of its own. Histories, weights, tables of
results and verdicts must be identical but for times and for what a table says about the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch
from bench import ROOT
from tqdm import tqdm

SMALL = "train.threads=1 train.epochs=2 data.limit=1000 data.valid_size=200 model.hidden_size=16".split()
FEW = "train.threads=1 train.epochs=1 data.limit=300 data.valid_size=100 model.hidden_size=8".split()
RUNS = {
    "rnn": ["model=rnn"],
    "gru": ["model=gru", "model.num_layers=2", "model.dropout=0.2"],
    "lstm": ["model=lstm", "model.bidirectional=true", "model.readout=mean"],
    "rnn-torch": ["model=rnn", "model.backend=torch"],
    "gru-torch": ["model=gru", "model.backend=torch"],
    "bf16": ["model=lstm", "train.precision=bf16"],
    "augmented": ["model=gru", "data.augment=true", "optim=adam", "schedule=onecycle"],
    "permuted": ["model=rnn", "data.sequence=permuted", "data.limit=200", "train.clip_norm=1"],
    "stopped-early": ["optim=sgd", "optim.lr=1", "train.patience=1", "train.epochs=8", "train.keep=last"],
}
SWEEPS = {
    "grid": ["-m", "model=rnn,gru", "seed=0,1", "hydra/launcher=basic", *FEW],
    "tpe": ["-m", "search=quick", "n_trials=6", "seed=0", "hydra/launcher=basic", *FEW],
}
COMPARISON = [
    *(
        'compare.arms=["model=gru","model=rnn"]',
        "compare.trials=2",
        "compare.searches=1",
        "compare.seeds=2",
        "search=quick",
        "workers=1",
    ),
    *FEW,
]
# What may differ: times, checksums over files with times, and what the table says about code and machine.
TIMES = (
    "train_seconds",
    "epoch_seconds",
    "seconds",
    "crc32",
    "checksum",
    "commit",
    "dirty",
    "started",
    "ended",
    "host",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before")
    parser.add_argument("after", nargs="?", default="HEAD")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch, name) for name in ("before", "after")]
        bar = tqdm(total=2 * (len(RUNS) + len(SWEEPS) + 2), unit="command", disable=None)
        for folder, commit in zip(folders, (args.before, args.after), strict=True):
            run_all(folder, commit, bar)
        bar.close()
        different = [name for name, *found in zip_contents(*folders) if not same(*found)]
        names = [name for name, *_ in zip_contents(*folders)]
    hashes = [git("rev-parse", "--short", commit).strip() for commit in (args.before, args.after)]
    kinds = {kind: sum(name.endswith(kind) for name in names) for kind in ("history.csv", "model.pt", ".json", "table")}
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    print(f"{hashes[0]} and {hashes[1]}: {counts}; {len(different)} differ")
    for name in different:
        print(f"  differs: {name}")
    sys.exit(bool(different or not all(kinds.values())))


def git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True).stdout


def run_all(folder: Path, commit: str, bar: tqdm[None]) -> None:
    """Runs every command with the files of a commit; results are in the folder's `outputs`."""
    environment = checked_out(folder, commit)

    def command(*arguments: str, module: str = "rnnexp") -> str:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments], cwd=folder, env=environment, capture_output=True, text=True
        )
        bar.update()
        if done.returncode:
            sys.exit(f"{commit}: {module} {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        return done.stdout

    for name, arguments in RUNS.items():
        command(*SMALL, *arguments, f"name={name}")
    kill_and_resume(folder, environment)
    bar.update()
    for name, arguments in SWEEPS.items():
        command(*arguments, f"name={name}")
    command(*COMPARISON, "name=comparison", module="rnnexp.compare")
    (folder / "outputs" / "table").write_text(command("outputs", "--csv", "-", module="rnnexp.results"))


def checked_out(folder: Path, commit: str) -> dict[str, str]:
    """Puts the files of a commit into a folder. Returns the environment in which Python finds them, and no others."""
    code = folder / "code"
    code.mkdir(parents=True)
    archive = subprocess.run(["git", "-C", ROOT, "archive", commit], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", code], input=archive, check=True)
    (folder / "sitecustomize.py").write_text(  # the environment may have the project installed for development
        "import sys, pathlib\n"
        "others = [p for p in sys.path if pathlib.Path(p, 'rnnexp', 'cli.py').exists()]\n"
        f"sys.path[:] = [p for p in sys.path if p == {str(code)!r} or p not in others]\n"
    )
    return os.environ | {"PYTHONPATH": f"{code}:{folder}", "COLUMNS": "100"}


def kill_and_resume(folder: Path, environment: dict[str, str]) -> None:
    """Kills a run in the middle of an epoch, twice, and lets it end."""
    arguments = [
        *SMALL,
        "model=gru",
        "train.epochs=6",
        "data.limit=5000",
        "train.checkpoint_seconds=0.01",
        "name=killed",
    ]
    command = [sys.executable, "-m", "rnnexp", *arguments, "name=killed", "train.resume=true"]
    checkpoint = folder / "outputs" / "runs" / "killed" / "checkpoint.pt"
    for _ in range(2):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
            time.sleep(0.01)
        process.kill()
        process.wait()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def zip_contents(before: Path, after: Path) -> list[tuple[str, Path, Path]]:
    """Returns what is to be compared, by name, with its place in both folders; a place may hold nothing."""
    patterns = ("**/history.csv", "**/model.pt", "compare/*/comparison.json", "table")
    names = {
        str(file.relative_to(folder / "outputs"))
        for folder in (before, after)
        for pattern in patterns
        for file in (folder / "outputs").glob(pattern)
    }
    return [(name, before / "outputs" / name, after / "outputs" / name) for name in sorted(names)]


def same(before: Path, after: Path) -> bool:
    if not before.exists() or not after.exists():
        return False
    if before.suffix == ".pt":
        states = [torch.load(file, weights_only=True) for file in (before, after)]
        return equal(*states)
    if before.suffix == ".json":
        return equal(*(without_times(json.loads(content(file))) for file in (before, after)))
    tables = [pd.read_csv(file) for file in (before, after)]
    kept = [table[[name for name in table if str(name).rpartition(".")[2] not in TIMES]] for table in tables]
    return kept[0].to_csv().replace(str(before.parents[1]), "") == kept[1].to_csv().replace(str(after.parents[1]), "")


def content(file: Path) -> str:
    """Returns a file's text without the place that it is in."""
    root = next(parent for parent in file.parents if parent.name in ("before", "after"))
    return file.read_text().replace(str(root), "")


def without_times(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def equal(one: object, other: object) -> bool:
    """Whether nested states are the same, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other or (one != one and other != other))


if __name__ == "__main__":
    main()
