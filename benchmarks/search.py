"""One search by rnnexp, the official Optuna sweeper and Ray Tune, in turn, with one run function: who finds it sooner?

All search cell, learning rate, size and batch size on 2,000 images, up to 27 epochs, with TPE on all cores:
hydra-optuna-sweeper with the basic launcher (one trial at a time, on all cores) and with joblib (batches of as many
trials as cores, one thread each); Ray Tune with ASHA and OptunaSearch; rnnexp as its search=default is, with a worker
for each core.

In each round the basic launcher runs twenty trials to their end. What counts is how long each takes, start included, to
the validation accuracy of the best of them; the others end as soon as they come there, or once they have had as much
time as the basic launcher took for all twenty, which then counts as theirs: less than it would take them. Every epoch's
accuracy counts, for all of them. As the best of twenty is a lucky one, how long each takes to 0.3 points less is told
as well. What each has found is kept in results/search-rounds.json: the command goes on there.
"""

from __future__ import annotations

import csv
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from bench import HERE, RESULTS, ROOT, Row, environment
from data_root import data_root
from scipy.stats import t as student
from search_space import BATCH_SIZES, CELLS, FIXED, HIDDEN_SIZE, LR, NUM_TRIALS
from tqdm import tqdm

from hydra_sweep.machine import num_physical_cores

RELEASE = ("hydra-core==1.4.0rc3", "hydra-optuna-sweeper==1.4.0rc3", "hydra-joblib-launcher==1.4.0rc3")
PEERS = HERE / "peers"
ROUNDS = RESULTS / "search-rounds.json"
MANY = 10 * NUM_TRIALS  # trials, for those that have time instead
GOALS = {"hydra-optuna-sweeper, basic": 3.0, "hydra-optuna-sweeper, joblib": 2.0, "Ray Tune, ASHA": 1.0}
LESS = 0.003  # of the accuracy, whose standard error is 0.0045 on 2,000 images
Found = list[tuple[float, float]]  # seconds since the start, best validation accuracy so far


@dataclass
class Search:
    """A command that searches, and how to ask what it has found so far."""

    command: Sequence[str | Path]
    best: Callable[[], float]
    env: dict[str, str]

    def run(self, wanted: float = math.inf, seconds: float = math.inf) -> Found:
        """Runs it to its end, or until it has found something good enough, or for so long."""
        with tempfile.TemporaryFile() as errors:
            began = time.monotonic()
            process = psutil.Popen(self.command, env=os.environ | self.env, stdout=subprocess.DEVNULL, stderr=errors)
            found: Found = [(0.0, 0.0)]
            while (code := process.poll()) is None and time.monotonic() - began < seconds and found[-1][1] < wanted:
                time.sleep(0.25)
                if (best := self.best()) > found[-1][1]:
                    found.append((time.monotonic() - began, best))
            found.append((time.monotonic() - began, max(self.best(), found[-1][1])))
            if code:
                errors.seek(0)
                sys.exit(f"{' '.join(map(str, self.command))}: {errors.read().decode()[-3000:]}")
        if code is None:
            stop([process, *process.children(recursive=True)])
        return found


def stop(family: list[psutil.Process]) -> None:
    for signal in ("terminate", "kill"):
        for process in family:
            with suppress(psutil.NoSuchProcess):
                getattr(process, signal)()
        _, family = psutil.wait_procs(family, timeout=20)


def measure(rounds: int = 5) -> Iterator[Row]:
    data_root()  # unpacked before any clock runs
    known: list[dict[str, Found]] = json.loads(ROUNDS.read_text()) if ROUNDS.exists() else []
    known += [{} for _ in range(rounds - len(known))]
    for seed, found in tqdm([*enumerate(known[:rounds])], "search", disable=None):
        for name, one in one_round(seed, found):
            found[name] = one
            ROUNDS.write_text(json.dumps(known) + "\n")
    known = known[:rounds]
    ours = [found["rnnexp"] for found in known]
    wanted = [max(best for _, best in found["hydra-optuna-sweeper, basic"]) for found in known]
    what = "a search, to the accuracy of the best of twenty trials"
    for title, less in ((what, 0.0), (f"{what}, less {100 * LESS:g} points", LESS)):
        enough = [best - less for best in wanted]
        for name, goal in GOALS.items():
            both = ours, [found[name] for found in known]
            a, b = ([until(found, best) for found, best in zip(them, enough, strict=True)] for them in both)
            never = [sum(found[-1][1] < best for found, best in zip(them, enough, strict=True)) for them in both]
            note = f"mean {ratio(a, b)}" + f"; {never[0]} and {never[1]} of {rounds} never came there" * any(never)
            yield Row(title, name, "s", a, b, goal=None if less else goal, note=note)
    yield Row("that accuracy", "hydra-optuna-sweeper, basic", "%", [100 * best for best in wanted])


def until(found: Found, wanted: float) -> float:
    """Returns when a search came to an accuracy; for one that did not, when it ended."""
    return next((seconds for seconds, best in found if best >= wanted), found[-1][0])


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Returns the geometric mean of theirs / ours, with its 95 % interval (Student's t of the logarithms)."""
    logs = [math.log(b / a) for a, b in zip(ours, theirs, strict=True)]
    mean = statistics.mean(logs)
    if len(logs) < 2:
        return f"{math.exp(mean):.1f}"
    half = student.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return f"{math.exp(mean):.1f} [{math.exp(mean - half):.1f}, {math.exp(mean + half):.1f}]"


def one_round(seed: int, known: dict[str, Found]) -> Iterator[tuple[str, Found]]:
    """Yields what each engine that is not known yet found, and when."""
    official, ray = environment("official", *RELEASE), environment("ray", "ray[tune]", "optuna")
    if (basic := known.get("hydra-optuna-sweeper, basic")) is None:
        with tempfile.TemporaryDirectory() as folder:
            basic = theirs(official, "basic", NUM_TRIALS, Path(folder), seed).run()
        yield "hydra-optuna-sweeper, basic", basic
    seconds, best = basic[-1]
    engines: dict[str, Callable[[Path], Search]] = {
        "rnnexp": lambda folder: ours(folder, seed),
        "hydra-optuna-sweeper, joblib": lambda folder: theirs(official, "joblib", MANY, folder, seed),
        "Ray Tune, ASHA": lambda folder: on_ray(ray, folder),
    }
    for name, search in engines.items():
        if name not in known:
            with tempfile.TemporaryDirectory() as folder:
                one = search(Path(folder)).run(best, seconds)
            yield name, one


def ours(folder: Path, seed: int) -> Search:
    cells, batches = ",".join(CELLS), ",".join(map(str, BATCH_SIZES))
    command = [
        *(sys.executable, "-m", "rnnexp", "-m", *FIXED, f"n_trials={MANY}", "name=search"),
        *(f"model=choice({cells})", f"train.batch_size=choice({batches})"),
        f"optim.lr=tag(log,interval({LR[0]},{LR[1]}))",
        f"model.hidden_size=tag(log,int(interval({HIDDEN_SIZE[0]},{HIDDEN_SIZE[1]})))",
        *(f"hydra.sweeper.seed={seed}", f"hydra.sweep.dir={folder}/sweep", "hydra/sweeper/pruner=asha"),
    ]
    return Search(command, lambda: recorded(folder), {})


def recorded(folder: Path) -> float:
    """Returns the best validation accuracy of any epoch that is in a run's history."""
    best = 0.0
    for path in folder.glob("sweep/*/history.csv"):
        with path.open() as file:
            best = max([best, *(float(row["valid_accuracy"] or 0) for row in csv.DictReader(file) if row["crc32"])])
    return best


def theirs(python: Path, launcher: str, num_trials: int, folder: Path, seed: int) -> Search:
    for name in (
        "rnnexp",
        "hydra_sweep",
        "conf",
    ):  # and not hydra_plugins, where our sweeper would take the name of theirs
        (folder / name).symlink_to(ROOT / name)
    cores = num_physical_cores()
    at_once, threads = (1, cores) if launcher == "basic" else (cores, 1)
    cells, batches = ",".join(CELLS), ",".join(map(str, BATCH_SIZES))
    command = [
        *(python, PEERS / "official_search.py", "-m", *FIXED, f"train.threads={threads}"),
        *(f"hydra/launcher={launcher}", f"hydra.sweeper.n_trials={num_trials}", f"hydra.sweeper.n_jobs={at_once}"),
        *("hydra.sweeper.direction=maximize", "hydra/sweeper/sampler=tpe", f"hydra.sweeper.sampler.seed={seed}"),
        *(f"model=choice({cells})", f"train.batch_size=choice({batches})"),
        f"optim.lr=tag(log,interval({LR[0]},{LR[1]}))",
        f"model.hidden_size=tag(log,int(interval({HIDDEN_SIZE[0]},{HIDDEN_SIZE[1]})))",
    ]
    if launcher == "joblib":
        command.append(f"hydra.launcher.n_jobs={cores}")
    return logged(command, folder, {"RNNEXP_CONF": str(ROOT / "conf"), "PYTHONPATH": str(folder)})


def on_ray(python: Path, folder: Path) -> Search:
    command = [python, PEERS / "ray_search.py", folder, str(num_physical_cores()), str(MANY)]
    return logged(command, folder, {"PYTHONPATH": f"{HERE}:{ROOT}"})


def logged(command: Sequence[str | Path], folder: Path, env: dict[str, str]) -> Search:
    log = folder / "log"
    env = env | {"SEARCH_LOG": str(log), "SEARCH_DIR": str(folder / "sweep")}
    return Search(command, lambda: max(map(float, log.read_text().split()), default=0.0) if log.exists() else 0.0, env)
