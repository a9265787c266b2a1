"""A grid that is typed again runs exactly the cells that it lacks: generated pairs of commands, stopped at random."""

import csv
import itertools
import os
import random
import signal
import sys
from collections import Counter

import hydra
import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

from hydra_sweep import report

VALUES = {"a": ["1", "2", "3"], "b": ["x", "y", "zz"], "c": ["0.1", "0.25", "1e-3"]}
SPELLINGS = {"1,2,3": "range(1,4)", "1,2": "choice(1,2)", "0.1,0.25": "0.10,2.5e-1"}


@pytest.fixture(scope="module")
def store():
    defaults = [{"override hydra/sweeper": "optuna"}, {"override hydra/launcher": "basic"}, "_self_"]
    config = {"defaults": defaults, "a": 1, "b": "x", "c": 0.1}
    ConfigStore.instance().store("grids", config)


class Typist:
    """Types commands of one sweep, in this process, and counts what is run.

    Args:
        folder: the sweep's.
    """

    def __init__(self, folder):
        self.folder, self.ended, self.stop_after = folder, Counter(), None

    def task(self, cfg):
        cell = (str(cfg.a), cfg.b, str(cfg.c))
        if self.stop_after == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        report(1.0)
        if self.stop_after is not None:
            self.stop_after -= 1
        self.ended[cell] += 1
        return {"loss": float(cfg.c), "test_loss": float(cfg.a)}

    def type(self, *arguments, stop_after=None):
        """Returns the status with which the command ends."""
        self.stop_after = stop_after

        def task(cfg):
            return self.task(cfg)

        task.__module__ = "__main__"  # where Hydra finds no configuration of its own
        command = ["grids", "-m", f"hydra.sweep.dir={self.folder}", "hydra.sweeper.summary=false", *arguments]
        before, sys.argv = sys.argv, command
        try:
            hydra.main(version_base="1.3", config_name="grids", config_path=None)(task)()
        except SystemExit as ended:
            return ended.code
        finally:
            sys.argv = before
            GlobalHydra.instance().clear()
        return 0

    def cells(self):
        """Returns the cells that the table has, each row with its state."""
        with (self.folder / "results.csv").open() as file:
            rows = [{"a": "1", "b": "x", "c": "0.1"} | row for row in csv.DictReader(file)]
        return Counter((row["a"], row["b"], str(float(row["c"])), row["state"]) for row in rows)


def spelled(key, values, draw):
    text = ",".join(values)
    return f"{key}={SPELLINGS.get(text, text) if draw.random() < 0.5 else text}"


def grid(keys, draw):
    """Returns some values of each key, which may be typed in another order and spelling."""
    return {key: draw.sample(VALUES[key], draw.randint(2, 3)) for key in draw.sample(keys, len(keys))}


def cells(values):
    full = [values.get(key, [default]) for key, default in (("a", "1"), ("b", "x"), ("c", "0.1"))]
    return Counter((a, b, str(float(c)), "complete") for a, b, c in itertools.product(*full))


def check(folder, draw):
    """Fails unless the last of two commands ends with its cells, each run once and none of the first one's again."""
    typist = Typist(folder)
    keys = draw.sample(["a", "b", "c"], draw.randint(1, 3))
    first, last = grid(keys, draw), grid(keys, draw)
    typed = [spelled(key, values, draw) for key, values in first.items()]
    is_search = draw.random() < 0.2
    if is_search:
        typed += [f"hydra.sweeper.n_trials={draw.randint(1, 6)}", "hydra.sweeper.objective=loss"]
    typist.type(*typed, stop_after=draw.choice([None, 0, 1, 2, 5]))
    found = Counter() if is_search else Counter(typist.ended)
    typed = [spelled(key, values, draw) for key, values in last.items()]
    if is_search:
        assert typist.type(*typed) == 2  # it is told what has changed
        typed += ["hydra.sweeper.resume=force"]
    typist.ended = found
    for stop_after in (draw.choice([0, 1, 3]), 2, None):
        if typist.type(*typed, stop_after=stop_after) == 0:
            break
    assert typist.cells() == cells(last)
    assert set(typist.ended.values()) == {1}


@pytest.mark.parametrize("first", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(5, 15, 5))])
def test_the_last_command_ends_with_its_cells_each_run_once(store, tmp_path, first):
    for seed in range(first, first + 5):
        try:
            check(tmp_path / str(seed), random.Random(seed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
