"""Sweeps of other apps are in the table and have a page; what odd configurations hold stays comparable."""

import math

import pytest
from omegaconf import OmegaConf
from sweeps import APPS

from hydra_sweep.files import read_yaml
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.report.sweep_page import page
from rnnexp.results.collecting import collect
from rnnexp.schema.config import plain_config
from rnnexp.schema.identity import difference, fingerprint

BOWL, FRONT, ODD = (APPS / f"{name}.py" for name in ("official_bowl", "official_front", "odd"))


@pytest.mark.long
def test_the_bowl_runs_as_it_is_written(sweep, tmp_path):
    assert "12 trials: 12 complete" in sweep(BOWL).out
    best = read_yaml(tmp_path / "a sweep" / "optimization_results.yaml")
    assert best["name"] == "optuna"
    assert best["best_params"].keys() == {"x", "y"}
    table = collect(tmp_path / "a sweep")
    assert set(table["status"]) == {"complete"}  # a trial that a record answered has no folder
    assert table["value"].min() == best["best_value"]
    assert (table["value"] == table["x"] ** 2 + table["y"] ** 2).all()
    assert "value" in page(SweepFolder(tmp_path / "a sweep")).tables[-1].columns


@pytest.mark.long
def test_two_objectives_end_in_their_front(sweep, tmp_path):
    sweep(FRONT)
    found = read_yaml(tmp_path / "a sweep" / "optimization_results.yaml")
    assert all(len(one["values"]) == 2 for one in found["solutions"])
    assert collect(tmp_path / "a sweep")[["value_0", "value_1"]].notna().all(axis=None)


@pytest.mark.long
def test_a_configuration_that_json_cannot_hold_is_swept_resumed_and_listed(sweep, tmp_path):
    sweep(ODD, "x=interval(0,1)", "hydra.sweeper.n_trials=2")
    assert "resuming: 2 of 3" in sweep(ODD, "x=interval(0,1)", "hydra.sweeper.n_trials=3").out
    assert "color: RED -> BLUE" in sweep(ODD, "x=interval(0,1)", "color=BLUE", "hydra.sweeper.n_trials=3", code=2).err
    recorded = read_yaml(tmp_path / "a sweep" / "sweep.yaml")["request"]["config"]
    assert recorded["place"] == "a/b"
    assert recorded["colors"] == ["RED", "BLUE"]
    table = collect(tmp_path / "a sweep")
    assert table["status"].tolist() == ["complete"] * 3
    assert (table["value"] == table["x"] ** 2).all()


def test_the_fingerprint_of_a_recorded_run_stays():
    config = {"model": {"hidden_size": 100, "x": [1.5, None, {"b": 2, "a": True}]}, "seed": 0, "optim.lr": 1e-3}
    assert fingerprint(config, {}) == "e2c9d9c8c7097373"
    cfg = OmegaConf.create({"a": [1, {"b": 2.5}], "c": None, "d": True})
    assert plain_config(cfg) == OmegaConf.to_container(cfg)


def test_a_nan_is_no_difference_to_a_nan():
    assert not difference({"a": math.nan, "b": [1, math.nan]}, {"a": math.nan, "b": [1, math.nan]})
    assert difference({"a": math.nan}, {"a": 1.0}) == ["a: nan -> 1.0"]
