"""What asking and telling cost on each storage, by 1 to 32 workers that do nothing else.

    python benchmarks/storage.py                          all of them: ten minutes on two cores
    python benchmarks/storage.py postgresql --workers 8   one

A worker asks as rnnexp's own do (claims a trial, samples three parameters by TPE) and tells at once, so this is the
most that so many processes can ask of a storage; ones that train ask far less. Servers are started here, on loopback.
Prints milliseconds, median and 95 % quantile, and fails if a trial is lost or doubled.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import optuna
from bench import RESULTS, ROOT, machine
from tqdm import tqdm

from hydra_sweep.process import Process
from hydra_sweep.records import Outcome
from hydra_sweep.schedules import Budget
from hydra_sweep.study import SweepStudy

sys.path.insert(0, str(ROOT / "tests"))
import servers

STORAGES = ("sqlite", "postgresql", "redis", "grpc")
WORKERS = (1, 2, 8, 32)


@contextmanager
def url_of(storage: str, folder: Path) -> Iterator[str]:
    if storage == "sqlite":
        yield f"sqlite:///{folder / 'study.db'}"
    elif storage == "redis":
        with servers.redis(folder / "redis") as url:
            yield url
    else:
        with servers.postgres() as server:
            if storage == "postgresql":
                yield server.url
            else:
                with servers.proxy(server.url) as url:
                    yield url


def make(url: str) -> None:
    study = SweepStudy(url, "bench", 60)
    study.create(["minimize"], {})


def work(url: str, num_trials: int, begin: float) -> list[tuple[int, float, float]]:
    """Returns number, seconds to ask and seconds to tell of each trial that this process got."""
    warnings.simplefilter("ignore")
    study, process, found = SweepStudy(url, "bench", 60, must_exist=True), Process.current(), []
    time.sleep(max(0.0, begin - time.time()))
    while True:
        began = time.perf_counter()
        claimed = study.unacknowledged_claim(process, (), study.trials()) or study.claim(process, Budget(num_trials))
        if claimed is None:
            return found
        optuna_study = study.optuna(optuna.samplers.TPESampler(constant_liar=True), optuna.pruners.NopPruner())
        trial = optuna.Trial(optuna_study, claimed[0])
        lr = trial.suggest_float("lr", 1e-4, 1, log=True)
        size, cell = trial.suggest_int("size", 32, 256, log=True), trial.suggest_categorical("cell", ["gru", "lstm"])
        asked = time.perf_counter()
        value = lr + size / 256 + (cell == "gru")
        study.storage.set_trial_user_attr(claimed[0], "outcome", vars(Outcome(runs=[{"loss": value}])))
        optuna_study.tell(trial.number, value)
        found.append((trial.number, asked - began, time.perf_counter() - asked))


def measure(storage: str, num_workers: int, num_trials: int) -> dict[str, object]:
    """Returns one row of the table.

    Raises:
        AssertionError: a trial was lost or doubled.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hydra_sweep.study", "optuna"])
    with tempfile.TemporaryDirectory() as folder, url_of(storage, Path(folder)) as url:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            pool.submit(make, url).result()
        with ProcessPoolExecutor(num_workers, mp_context=context) as pool:
            begin = time.time() + 2 + 0.2 * num_workers  # all are up by then
            jobs = [pool.submit(work, url, num_trials, begin) for _ in range(num_workers)]
            found = [trial for job in jobs for trial in job.result()]
            seconds = time.time() - begin
    assert sorted(number for number, *_ in found) == list(range(num_trials)), "trials were lost or doubled"
    row: dict[str, object] = {"storage": storage, "workers": num_workers, "trials_per_second": num_trials / seconds}
    for name, times in (("ask", [one[1] for one in found]), ("tell", [one[2] for one in found])):
        row[f"{name}_ms"] = 1000 * statistics.median(times)
        row[f"{name}_ms_95"] = 1000 * statistics.quantiles(times, n=20)[-1]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("storages", nargs="*", help=f"of {' '.join(STORAGES)}; none: all")
    parser.add_argument("--workers", type=int, nargs="*", default=WORKERS)
    parser.add_argument("--trials", type=int, default=400, help="of each study (default: %(default)s)")
    args = parser.parse_args()
    if unknown := set(args.storages) - set(STORAGES):
        parser.error(f"no storage {', '.join(sorted(unknown))}; there are {', '.join(STORAGES)}")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")])
    cases = [(storage, workers) for storage in args.storages or STORAGES for workers in args.workers]
    rows = [measure(*case, args.trials) for case in tqdm(cases, "storage", disable=None)]
    lines = ["| storage | workers | trials a second | ask, ms | | tell, ms | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        figures = [f"{row[name]:.3g}" for name in ("trials_per_second", "ask_ms", "ask_ms_95", "tell_ms", "tell_ms_95")]
        lines.append(f"| {row['storage']} | {row['workers']} | {' | '.join(figures)} |")
    print("\n".join(lines))
    if not args.storages:
        content = {"machine": machine(), "trials": args.trials, "rows": rows}
        (RESULTS / "storage.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
