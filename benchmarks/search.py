"""Forty trials of one search by rnnexp, the official Optuna sweeper and Ray Tune, in turn, with one run function.

All search cell, learning rate, size and batch size on 2,000 images, up to 27 epochs, with TPE on all cores: rnnexp by
ASHA with a worker for each core; hydra-optuna-sweeper with the basic launcher (one trial at a time, on all cores) and
with joblib (batches of as many trials as cores, one thread each); Ray Tune with ASHA and OptunaSearch. Wall time is
that of the whole command. What a search found is its best validation accuracy; `to the same accuracy` is the time until
the worst of the four bests of the round was reached.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import HERE, ROOT, Row, environment
from data_root import data_root
from search_space import BATCH_SIZES, CELLS, FIXED, HIDDEN_SIZE, LR, NUM_TRIALS
from tqdm import tqdm

from hydra_sweep.machine import num_physical_cores

RELEASE = ("hydra-core==1.4.0rc3", "hydra-optuna-sweeper==1.4.0rc3", "hydra-joblib-launcher==1.4.0rc3")
PEERS = HERE / "peers"
Found = list[tuple[float, float]]  # seconds since the start, best validation accuracy so far


def measure(rounds: int = 3) -> Iterator[Row]:
    data_root()  # unpacked before any clock runs
    official, ray = environment("official", *RELEASE), environment("ray", "ray[tune]", "optuna")
    engines = {
        "rnnexp": lambda folder, seed: ours(folder, seed),
        "hydra-optuna-sweeper, basic": lambda folder, seed: theirs(official, "basic", folder, seed),
        "hydra-optuna-sweeper, joblib": lambda folder, seed: theirs(official, "joblib", folder, seed),
        "Ray Tune, ASHA": lambda folder, seed: on_ray(ray, folder),
    }
    walls: dict[str, list[float]] = {name: [] for name in engines}
    bests: dict[str, list[float]] = {name: [] for name in engines}
    until: dict[str, list[float]] = {name: [] for name in engines}
    for seed in tqdm(range(rounds), "search", disable=None):
        found: dict[str, Found] = {}
        for name, search in engines.items():
            with tempfile.TemporaryDirectory() as folder:
                began = time.time()
                found[name] = [(end - began, accuracy) for end, accuracy in search(Path(folder), seed)]
                walls[name].append(time.time() - began)
            bests[name].append(100 * max(accuracy for _, accuracy in found[name]))
        same = min(max(accuracy for _, accuracy in one) for one in found.values())
        for name, one in found.items():
            until[name].append(min(end for end, accuracy in one if accuracy >= same))
    what = f"a search of {NUM_TRIALS} trials"
    for name in list(engines)[1:]:
        goal = 4.0 if name.startswith("hydra") else 1.0
        yield Row(f"{what}, wall time", name, "s", walls["rnnexp"], walls[name], goal=goal)
    for name in list(engines)[1:]:
        yield Row("to the same accuracy", name, "s", until["rnnexp"], until[name])
    for name in list(engines)[1:]:
        yield Row("best validation accuracy", name, "%", bests["rnnexp"], bests[name], note="x is theirs / ours")


def ours(folder: Path, seed: int) -> Found:
    cells, batches = ",".join(CELLS), ",".join(map(str, BATCH_SIZES))
    command = [
        *(sys.executable, "-m", "rnnexp", "-m", *FIXED, f"n_trials={NUM_TRIALS}", "name=search"),
        *(f"model=choice({cells})", f"train.batch_size=choice({batches})"),
        f"optim.lr=tag(log,interval({LR[0]},{LR[1]}))",
        f"model.hidden_size=tag(log,int(interval({HIDDEN_SIZE[0]},{HIDDEN_SIZE[1]})))",
        *("hydra/sweeper/pruner=asha", f"hydra.sweeper.seed={seed}", f"hydra.sweep.dir={folder}/sweep"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    results = (folder / "sweep").glob("*/result.json")
    return sorted((path.stat().st_mtime, json.loads(path.read_text())["metrics"]["valid_accuracy"]) for path in results)


def theirs(python: Path, launcher: str, folder: Path, seed: int) -> Found:
    for name in ("rnnexp", "conf"):  # and not hydra_plugins, where our sweeper would take the name of theirs
        (folder / name).symlink_to(ROOT / name)
    cores = num_physical_cores()
    at_once, threads = (1, cores) if launcher == "basic" else (cores, 1)
    cells, batches = ",".join(CELLS), ",".join(map(str, BATCH_SIZES))
    command = [
        *(python, PEERS / "official_search.py", "-m", *FIXED, f"train.threads={threads}"),
        *(f"hydra/launcher={launcher}", f"hydra.sweeper.n_trials={NUM_TRIALS}", f"hydra.sweeper.n_jobs={at_once}"),
        *("hydra.sweeper.direction=maximize", "hydra/sweeper/sampler=tpe", f"hydra.sweeper.sampler.seed={seed}"),
        *(f"model=choice({cells})", f"train.batch_size=choice({batches})"),
        f"optim.lr=tag(log,interval({LR[0]},{LR[1]}))",
        f"model.hidden_size=tag(log,int(interval({HIDDEN_SIZE[0]},{HIDDEN_SIZE[1]})))",
    ]
    if launcher == "joblib":
        command.append(f"hydra.launcher.n_jobs={cores}")
    return logged(command, folder, {"RNNEXP_CONF": str(ROOT / "conf"), "PYTHONPATH": str(folder)})


def on_ray(python: Path, folder: Path) -> Found:
    command = [python, PEERS / "ray_search.py", folder, str(num_physical_cores())]
    return logged(command, folder, {"PYTHONPATH": f"{HERE}:{ROOT}"})


def logged(command: list[str | Path], folder: Path, env: dict[str, str]) -> Found:
    log = folder / "log"
    env = os.environ | env | {"SEARCH_LOG": str(log), "SEARCH_DIR": str(folder / "sweep")}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr[-3000:]}")
    return [(float(end), float(accuracy)) for end, accuracy in map(str.split, log.read_text().splitlines())]
