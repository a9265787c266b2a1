"""train.precision: what was asked for, as far as the machine can do it."""

import os
import subprocess
import sys

import pytest
import torch
from records import assert_identical
from torch import nn

from hydra_sweep.errors import UserError
from hydra_sweep.signals import Interrupted
from rnnexp.record.result import RunResult
from rnnexp.record.run_folder import RunFolder
from rnnexp.runner import run
from rnnexp.training import precision
from rnnexp.training.precision import choose, speedup

INPUTS = (torch.zeros(4, 5, 3),)
LESSER = {"ONEDNN_MAX_CPU_ISA": "AVX2"}  # lets oneDNN behave as on a processor without AVX-512
TINY = "data.limit=500 data.valid_size=200 train.threads=1".split()
LSTM_FAILS = "train.precision=bf16 does not work on this machine for RecurrentClassifier"


class Net(nn.Module):
    """Fails under bf16 autocast, as oneDNN's LSTM does on lesser processors, if told to."""

    def __init__(self, fails_in=()):
        super().__init__()
        self.linear, self.fails_in = nn.Linear(3, 10), fails_in

    def forward(self, x_BTI):
        logits_BO = self.linear(x_BTI.mean(1))
        if ("bf16" if logits_BO.dtype == torch.bfloat16 else "fp32") in self.fails_in:
            raise RuntimeError("could not create a primitive. Run with ONEDNN_VERBOSE=all")
        return logits_BO


@pytest.fixture
def gain(monkeypatch):
    """Returns a function that decides what the probe finds."""
    return lambda value: monkeypatch.setattr(precision, "speedup", lambda *_: value)


def test_auto_takes_bf16_where_it_is_clearly_faster_and_says_so(gain):
    gain(1.5)
    found = ("bf16", "train.precision=auto: a training step in bf16 is 1.50 times as fast as in fp32")
    assert choose("auto", None, Net, INPUTS) == found


@pytest.mark.parametrize("value", [0.2, 1.0, 1.09])
def test_auto_takes_fp32_where_bf16_gains_little_or_nothing(gain, value):
    gain(value)
    assert choose("auto", None, Net, INPUTS)[0] == "fp32"


def test_auto_takes_fp32_where_bf16_does_not_work_and_says_why():
    chosen, why = choose("auto", None, lambda: Net(["bf16"]), INPUTS)
    assert chosen == "fp32"
    assert why == "train.precision=auto: bf16 does not work on this machine for Net (could not create a primitive)"


def test_bf16_that_does_not_work_is_refused():
    with pytest.raises(UserError, match="train.precision=bf16 does not work .*; try train.precision=auto"):
        choose("bf16", None, lambda: Net(["bf16"]), INPUTS)


def test_bf16_that_is_slower_is_used_with_a_warning(gain, caplog):
    gain(0.2)
    assert choose("bf16", None, Net, INPUTS)[0] == "bf16"
    assert "a training step in bf16 is 0.20 times as fast as in fp32 here; try train.precision=auto" in caplog.text


def test_fp32_is_not_probed(monkeypatch):
    monkeypatch.setattr(precision, "step", None)
    assert choose("fp32", None, Net, INPUTS) == ("fp32", "train.precision=fp32")


def test_a_network_that_fails_in_both_is_left_to_fail_by_itself():
    assert precision.bf16_problem(lambda: Net(["bf16", "fp32"]), INPUTS) is None


def test_the_probe_times_both_precisions(monkeypatch):
    clock = iter(float(t) for t in (0, 10, 14, 20, 22, 99))  # begin; fp32 took 4 s, bf16 2 s; enough
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(clock))
    assert speedup(Net(), INPUTS) == 2.0


@pytest.mark.parametrize("begun", ["bf16", "fp32"])
def test_a_run_resumes_in_the_precision_that_it_was_begun_in(compose, small, tmp_path, gain, begun):
    cfg = compose(*small, "model=gru", "train.precision=auto")
    gain(2.0 if begun == "bf16" else 0.5)
    run(cfg, tmp_path / "whole")

    def stop(row):
        raise Interrupted(15)

    with pytest.raises(Interrupted):
        run(cfg, tmp_path / "run", on_epoch=stop)
    gain(0.5 if begun == "bf16" else 2.0)
    cfg.train.resume = True
    run(cfg, tmp_path / "run")
    result = RunFolder(tmp_path / "run").read_result()
    assert (result.precision, result.attempt) == (begun, 2)
    assert result.precision_reason == "train.precision=auto, as the run was begun"
    assert_identical(tmp_path / "whole", tmp_path / "run")


def test_auto_changes_nothing_but_the_precision(compose, small, tmp_path, gain):
    """The probe's own draws and steps leave no trace."""
    gain(0.5)
    run(compose(*small, "model.dropout=0.3", "model.num_layers=2"), tmp_path / "fp32")
    run(compose(*small, "model.dropout=0.3", "model.num_layers=2", "train.precision=auto"), tmp_path / "auto")
    assert RunFolder(tmp_path / "fp32").read_history() != []
    one, other = (RunFolder(tmp_path / name) for name in ("fp32", "auto"))
    assert one.read_result().metrics["test_loss"] == other.read_result().metrics["test_loss"]


def test_a_record_from_before_there_was_a_choice_says_what_it_used(compose, small, tmp_path):
    run(compose(*small), tmp_path / "run")
    result = RunFolder(tmp_path / "run").read_result()
    text = result.to_json().replace(' "precision": "fp32",\n "precision_reason": "train.precision=fp32",\n', "")
    assert text != result.to_json()
    assert RunResult.from_json(text) == result


def rnnexp(tmp_path, *overrides):
    command = [sys.executable, "-m", "rnnexp", *TINY, *overrides]
    return subprocess.run(command, cwd=tmp_path, env=os.environ | LESSER, capture_output=True, text=True)


@pytest.mark.long
@pytest.mark.parametrize("recipe", ["fast", "best"])
def test_the_recipes_run_on_a_processor_with_avx2_alone(tmp_path, recipe):
    done = rnnexp(tmp_path, f"experiment={recipe}", "name=run", "train.epochs=1")
    assert done.returncode == 0, done.stderr
    result = RunFolder(tmp_path / "outputs" / "runs" / "run").read_result()
    assert result.precision == "fp32"
    assert "bf16 does not work on this machine" in result.precision_reason
    assert f"fp32 ({result.precision_reason})" in done.stdout


@pytest.mark.long
def test_an_lstm_in_bf16_is_refused_in_a_line_there_before_anything_is_written(tmp_path):
    done = rnnexp(tmp_path, "model=lstm", "train.precision=bf16", "name=run")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"rnnexp: {LSTM_FAILS}")
    assert list(tmp_path.iterdir()) == []
