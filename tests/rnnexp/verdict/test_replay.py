"""Whole comparisons drawn from real runs: an arm against itself is seldom called better, by the default protocol."""

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats as scipy_stats

from rnnexp.schema.tree import CONFIG_DIR

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
NUM_REPLAYS = 300


@pytest.fixture(scope="module")
def replay():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import replay
    finally:
        sys.path.remove(str(BENCHMARKS))
    return replay


@pytest.fixture(scope="module")
def pools(replay):
    return replay.Pool.load(BENCHMARKS / "results" / "pool.npz")


def test_the_pool_is_whole(pools):
    assert [pool.name for pool in pools] == ["mnist", "mnist1d"]
    for pool in pools:
        assert pool.searched.shape == pool.again.shape == (2, 43, 5)
        assert pool.hits.shape[:3] == (2, 43, 5)
        assert not np.isnan(pool.searched).any()
        assert not np.isnan(pool.again).any()
        assert pool.hits.mean() > 0.3


def test_the_default_is_the_way_that_was_replayed(replay):
    written = yaml.safe_load((CONFIG_DIR / "compare.yaml").read_text())["compare"]
    default = replay.WAYS[-1]
    asked = (written["searches"], written["trials"], written["top"], written["seeds"])
    assert (default.searches, default.trials, default.top, default.seeds) == asked


@pytest.mark.parametrize("cell", [0, 1])
@pytest.mark.parametrize("place", [0, 1])
def test_an_arm_against_itself_is_seldom_better(replay, pools, place, cell):
    generator = np.random.default_rng([place, cell])
    way = replay.WAYS[-1]
    found = [replay.compare(pools[place], (cell, cell), way, generator, False) for _ in range(NUM_REPLAYS)]
    alarms = np.mean([p < 0.05 for _, p, _ in found])
    print(f"{pools[place].name}, {replay.CELLS[cell]}: {alarms:.3f}")
    assert alarms <= scipy_stats.binom.ppf(0.999, NUM_REPLAYS, 0.05) / NUM_REPLAYS


def test_the_best_of_one_search_is_often_better_than_that_of_another(replay, pools):
    """What is measured there is the luck of the search, and the replay can see it."""
    generator = np.random.default_rng(0)
    found = [replay.compare(pools[0], (1, 1), replay.WAYS[0], generator, False) for _ in range(NUM_REPLAYS)]
    assert np.mean([p < 0.05 for _, p, _ in found]) > 0.15
