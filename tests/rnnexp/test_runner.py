"""One run: exact, resumable after any kind of stop, and a record whatever happens."""

import math
import os
import resource
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from records import SMALL, assert_identical, histories

from hydra_sweep.errors import UserError
from hydra_sweep.signals import Interrupted
from rnnexp.data import loading
from rnnexp.models import RecurrentClassifier
from rnnexp.record.result import Status
from rnnexp.record.run_folder import RunFolder
from rnnexp.runner import run
from rnnexp.schema.identity import fingerprint
from rnnexp.training import machine


@pytest.fixture(scope="module")
def reference(tmp_path_factory, compose):
    """Returns the folder of an uninterrupted run of SMALL."""
    out = tmp_path_factory.mktemp("reference") / "run"
    run(compose(*SMALL), out)
    return out


def test_the_same_configuration_and_seed_give_the_same_bits(reference, compose, tmp_path):
    run(compose(*SMALL), tmp_path / "again")
    assert_identical(reference, tmp_path / "again")


def test_another_seed_gives_another_history(reference, compose, tmp_path):
    run(compose(*SMALL, "seed=1"), tmp_path / "other")
    first, second = histories(reference, tmp_path / "other")
    assert first != second


def test_a_recorded_configuration_runs_again_without_hydra(reference, tmp_path):
    recorded = RunFolder(reference).read_result()
    run(recorded.config, tmp_path / "again")
    assert_identical(reference, tmp_path / "again")


def test_the_result_says_what_ran(reference):
    result = RunFolder(reference).read_result()
    assert result.status is Status.COMPLETE
    assert result.reason is None
    assert (result.seed, result.attempt, result.device, result.threads) == (0, 1, "cpu", 1)
    rows = histories(reference)[0]
    best = max(rows, key=lambda row: (float(row["valid_accuracy"]), -float(row["valid_loss"])))
    assert result.metrics["best_epoch"] == int(best["epoch"])
    assert result.metrics["valid_accuracy"] == float(best["valid_accuracy"])
    assert result.metrics["epochs"] == 3
    assert result.config["optim"]["betas"] == [0.9, 0.999]
    assert result.fingerprint == fingerprint(result.config, result.dataset)
    assert result.environment["versions"]["torch"] == torch.__version__


def start(tmp_path, *overrides):
    command = [sys.executable, "-m", "rnnexp", *SMALL, "train.epochs=40", "data.limit=4000", *overrides]
    return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_epochs(folder, count):
    """Waits until the history has so many epochs, then into the middle of the next one."""
    for _ in range(600):
        if len(RunFolder(folder).read_history()) >= count:
            time.sleep(0.15)
            return
        time.sleep(0.05)
    raise AssertionError("the run did not get that far")


@pytest.mark.long
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_command_stopped_in_the_middle_of_an_epoch_goes_on_exactly(tmp_path, signum):
    few = ("train.epochs=3", "data.limit=20000")  # so that an epoch's middle is most of it
    whole = start(tmp_path, *few, "name=whole")
    whole.communicate(timeout=300)
    assert whole.returncode == 0
    folder = tmp_path / "outputs" / "runs" / "stopped"
    stopped = start(tmp_path, *few, "name=stopped")
    wait_for_epochs(folder, 1)
    stopped.send_signal(signum)
    output, errors = stopped.communicate(timeout=60)
    assert stopped.returncode == (-9 if signum == signal.SIGKILL else 128 + signum)
    assert "Traceback" not in errors
    assert not (folder / "result.json").exists()
    assert 1 <= len(RunFolder(folder).read_history()) < 3
    if signum != signal.SIGKILL:
        progress = torch.load(folder / "checkpoint.pt", weights_only=True)["trainer"]["progress"]
        assert progress["batch"] > 0  # the middle of an epoch, not its end
        resume = shlex.split(output.splitlines()[-1])
        assert resume[:4] == ["resume", "python", "-m", "rnnexp"]
        assert resume[4:] == [*SMALL, "train.epochs=40", "data.limit=4000", *few, "name=stopped", "train.resume=true"]
    going_on = start(tmp_path, *few, "name=stopped", "train.resume=true")
    output, errors = going_on.communicate(timeout=300)
    assert going_on.returncode == 0, errors
    assert "resuming after epoch" in output
    assert_identical(tmp_path / "outputs" / "runs" / "whole", folder)
    assert RunFolder(folder).read_result().attempt == 2


def test_a_finished_run_is_answered_from_its_record(reference, compose):
    before = {path: path.stat().st_mtime_ns for path in reference.iterdir() if path.name != ".lock"}
    result = run(compose(*SMALL, "train.resume=true"), reference)
    assert result == RunFolder(reference).read_result()
    assert {path: path.stat().st_mtime_ns for path in reference.iterdir() if path.name != ".lock"} == before


def test_a_folder_with_a_run_is_not_overwritten(reference, compose):
    with pytest.raises(UserError, match="holds a run already; choose another name=, or train.resume=true"):
        run(compose(*SMALL), reference)
    with pytest.raises(UserError, match=r"another configuration \(optim.lr: 0.001 -> 0.3\)"):
        run(compose(*SMALL, "train.resume=true", "optim.lr=0.3"), reference)


def test_a_folder_in_use_is_refused(compose, tmp_path):
    with RunFolder(tmp_path).claim(), pytest.raises(UserError, match="another process is running in"):
        run(compose(*SMALL), tmp_path)


@pytest.mark.parametrize("size", [0, 1, 1000, -1])
def test_a_damaged_checkpoint_is_named(compose, tmp_path, size):
    run(compose(*SMALL, "train.epochs=1"), tmp_path)
    (tmp_path / "result.json").unlink()
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:size])
    with pytest.raises(UserError, match="checkpoint.pt is corrupt .*; delete it to start the run anew"):
        run(compose(*SMALL, "train.epochs=1", "train.resume=true"), tmp_path)


def test_a_checkpoint_that_would_run_code_is_refused(compose, tmp_path):
    class Malice:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"config": Malice()}, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="checkpoint.pt is corrupt"):
        run(compose(*SMALL, "train.resume=true"), tmp_path)
    assert not (tmp_path / "owned").exists()


NUM_PARAMETERS = 4 * 16 * (28 + 16 + 2) + 4 * 16 * (16 + 16 + 2) + 17 * 10  # of SMALL: two LSTM layers, linear readout


def assert_summary(metrics, rows, epochs):
    """Checks the metrics of a run of SMALL that was not tested: the kept epoch's, and what they cost."""
    kept = max(rows, key=lambda row: (float(row["valid_accuracy"]), -float(row["valid_loss"])))
    figures = {k: float(v) for k, v in kept.items() if k.startswith(("train_", "valid_"))}
    cost = {"num_parameters": NUM_PARAMETERS, "epochs": epochs, "best_epoch": int(kept["epoch"])}
    assert metrics == figures | cost | {"train_seconds": metrics["train_seconds"]}
    assert len(rows) == epochs
    assert metrics["train_seconds"] > 0


def test_a_run_that_fails_before_it_trains_has_the_metrics_there_are(compose, tmp_path, monkeypatch):
    stop_after(2, compose(*SMALL), tmp_path)

    def break_down(*args):
        raise MemoryError("out of memory")

    monkeypatch.setattr("rnnexp.runner.describe", break_down)
    for folder, resume, epochs in ((tmp_path, "true", 2), (tmp_path / "new", "false", 0)):
        with pytest.raises(MemoryError):
            run(compose(*SMALL, f"train.resume={resume}"), folder)
        failed = RunFolder(folder).read_result()
        assert failed.status is Status.FAILED
        assert failed.metrics == {"num_parameters": NUM_PARAMETERS, "epochs": epochs}


def test_a_failed_run_is_recorded_and_can_go_on(compose, reference, tmp_path, monkeypatch):
    def break_down(row):
        if row["epoch"] == 2:
            raise MemoryError("out of memory")
        return False

    with pytest.raises(MemoryError):
        run(compose(*SMALL), tmp_path, on_epoch=break_down)
    failed = RunFolder(tmp_path).read_result()
    assert (failed.status, failed.reason) == (Status.FAILED, "MemoryError: out of memory")
    assert_summary(failed.metrics, histories(tmp_path)[0], epochs=2)
    run(compose(*SMALL, "train.resume=true"), tmp_path)
    assert_identical(reference, tmp_path)
    assert RunFolder(tmp_path).read_result().attempt == 2


@pytest.mark.parametrize(
    ("phase", "key", "error"),
    [
        ("training", "train.batch_size", torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")),
        ("validation", "train.eval_batch_size", RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes")),
    ],
)
def test_a_device_without_memory_is_a_line_with_a_batch_that_may_fit(compose, tmp_path, monkeypatch, phase, key, error):
    forward = RecurrentClassifier.forward

    def break_down(model, *inputs):
        if len(seen) >= 2 and model.training == (phase == "training"):
            raise error
        seen.append(1)
        return forward(model, *inputs)

    seen = []
    monkeypatch.setattr(RecurrentClassifier, "forward", break_down)
    cfg = compose(*SMALL, "train.batch_size=32", "train.eval_batch_size=64")
    size = {"training": 32, "validation": 64}[phase]
    line = f"cpu ran out of memory with {key}={size}; try {key}={size // 2}, or a smaller network"
    with pytest.raises(UserError) as raised:
        run(cfg, tmp_path)
    assert str(raised.value) == line
    assert RunFolder(tmp_path).read_result().reason == line


def test_a_pruned_run_keeps_its_history_and_never_sees_the_test_set(compose, tmp_path):
    result = run(compose(*SMALL), tmp_path, on_epoch=lambda row: row["epoch"] == 2)
    assert (result.status, result.reason) == (Status.PRUNED, "pruned after epoch 2")
    assert_summary(result.metrics, histories(tmp_path)[0], epochs=2)
    assert (tmp_path / "model.pt").exists()
    assert RunFolder(tmp_path).read_result() == result


def test_what_became_of_each_test_image_is_kept(compose, reference):
    metrics = RunFolder(reference).read_result().metrics
    outcomes = RunFolder(reference).read_test_outcomes()
    dataset = loading.load(compose(*SMALL).data, with_test=True)
    assert outcomes.labels.tolist() == dataset.test.labels.tolist()
    assert metrics["test_accuracy"] == outcomes.accuracy == (outcomes.predicted == outcomes.labels).sum() / 10_000
    assert metrics["test_loss"] == outcomes.loss
    certain = outcomes.losses < np.log(2)  # p(label) > 1/2
    assert (outcomes.predicted == outcomes.labels)[certain].all()


def test_a_run_is_not_pruned_after_its_last_epoch(compose, reference, tmp_path):
    result = run(compose(*SMALL), tmp_path, on_epoch=lambda row: row["epoch"] == 3)
    assert (result.status, result.reason) == (Status.COMPLETE, None)
    assert_identical(reference, tmp_path)


def test_a_trial_never_sees_the_test_set_and_trains_alike(compose, reference, tmp_path, caplog):
    with caplog.at_level("INFO", logger="rnnexp"):
        result = run(compose(*SMALL), tmp_path, test=False)
    assert result.status is Status.COMPLETE
    assert histories(tmp_path) == histories(reference)
    assert_summary(result.metrics, histories(tmp_path)[0], epochs=3)
    about_test = [line for line in caplog.messages if "test " in line]
    assert RunFolder(tmp_path).read_test_outcomes() is None
    assert about_test == [
        "mnist by columns, 10 classes: 2,000 images to train, 200 to validate; the test set stays unseen"
    ]
    caplog.clear()
    with caplog.at_level("INFO", logger="rnnexp"):
        assert run(compose(*SMALL, "train.resume=true"), tmp_path, test=True) == result
    assert caplog.messages == [f"{tmp_path} has finished already: complete, test set unseen"]


def test_a_trial_that_validates_on_the_test_set_is_refused(compose, tmp_path):
    with pytest.raises(UserError) as refused:
        run(compose(*SMALL, "data.valid_from=test", "data.valid_size=0"), tmp_path / "run", test=False)
    assert str(refused.value) == (
        "a search with data.valid_from=test would choose by the test set; try data.valid_from=train data.valid_size=0.1"
    )
    assert not (tmp_path / "run").exists()


def stop_after(epoch, cfg, folder):
    """Runs until on_epoch is told of that epoch, and interrupts it."""

    def interrupt(row):
        if row["epoch"] == epoch:
            raise Interrupted(signal.SIGTERM)
        return False

    with pytest.raises(Interrupted):
        run(cfg, folder, on_epoch=interrupt)


def test_a_callback_that_interrupts_leaves_a_run_that_goes_on_and_tells_each_epoch_again(
    compose, reference, tmp_path, caplog
):
    stop_after(2, compose(*SMALL), tmp_path)
    assert not (tmp_path / "result.json").exists()
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["trainer"]["progress"]["epoch"] == 2
    told = []
    caplog.clear()
    with caplog.at_level("INFO", logger="rnnexp"):
        run(compose(*SMALL, "train.resume=true"), tmp_path, on_epoch=lambda row: told.append(row))
    assert [{k: str(v) for k, v in row.items()} for row in told] == RunFolder(tmp_path).read_history()
    assert [line.split()[1] for line in caplog.messages if line.startswith("epoch ")] == ["3/3"]
    assert_identical(reference, tmp_path)


def test_a_run_that_goes_on_is_pruned_at_once_by_the_latest_epoch(compose, tmp_path, caplog):
    stop_after(2, compose(*SMALL), tmp_path)
    caplog.clear()
    with caplog.at_level("INFO", logger="rnnexp"):
        result = run(compose(*SMALL, "train.resume=true"), tmp_path, on_epoch=lambda row: True)
    assert (result.status, result.reason) == (Status.PRUNED, "pruned after epoch 2")
    assert_summary(result.metrics, histories(tmp_path)[0], epochs=2)
    assert (tmp_path / "model.pt").exists()
    assert not any(line.startswith("epoch ") for line in caplog.messages)


def test_a_diverged_run_ends_at_once_and_says_where(compose, tmp_path):
    explode = ("model=rnn", "model.nonlinearity=relu", "optim=sgd", "optim.lr=1e30", "schedule=constant")
    result = run(compose(*SMALL[:5], *explode), tmp_path)
    assert result.status is Status.DIVERGED
    assert result.reason.startswith("training loss was nan in epoch 1, batch ")
    assert result.metrics.keys() == {"num_parameters", "epochs", "best_epoch", "train_seconds"}
    assert result.metrics["num_parameters"] > 0
    assert (result.metrics["epochs"], result.metrics["best_epoch"]) == (0, 0)
    assert RunFolder(tmp_path).read_result() == result


def test_a_full_disk_is_one_line_and_spares_the_checkpoint(compose, reference, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    whole = (reference / "checkpoint.pt").stat().st_size

    def fill_the_disk(row):  # from now on no file may grow larger than half a checkpoint
        if row["epoch"] == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (whole // 2, hard))
        return False

    try:
        with pytest.raises(UserError, match="cannot write .*File too large; what was saved before is intact"):
            run(compose(*SMALL), tmp_path, on_epoch=fill_the_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["trainer"]["progress"]["epoch"] == 2
    assert not list(tmp_path.glob(".checkpoint*"))
    run(compose(*SMALL, "train.resume=true"), tmp_path)
    assert_identical(reference, tmp_path)


def test_values_out_of_range_are_refused_without_hydra_too(compose, tmp_path):
    cfg = compose(*SMALL)
    cfg.optim.lr = -1
    with pytest.raises(UserError, match="optim.lr must be > 0, got -1"):
        run(cfg, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.long
@pytest.mark.parametrize("model", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("optim", ["adadelta", "adam", "sgd"])
def test_every_model_learns_with_every_optimizers_preset(compose, tmp_path, model, optim):
    run(compose(f"model={model}", f"optim={optim}", "data.limit=15000", "train.epochs=2", "train.threads=1"), tmp_path)
    first, last = histories(tmp_path)[0]
    assert float(last["train_loss"]) < float(first["train_loss"]) < math.log(10)
    assert float(last["valid_loss"]) < float(first["valid_loss"])


@pytest.mark.parametrize(("busy", "threads", "warns"), [(True, 2, True), (True, 1, False), (False, 2, False)])
def test_a_busy_machine_is_told_that_one_thread_is_faster(compose, tmp_path, monkeypatch, caplog, busy, threads, warns):
    monkeypatch.setattr(machine, "is_busy", lambda: busy)
    with caplog.at_level("INFO", logger="rnnexp"):
        run(compose(*SMALL, "train.epochs=1", "data.limit=100", f"train.threads={threads}"), tmp_path)
    assert ("try train.threads=1" in caplog.text) == warns
