"""The loop: each step is torch's own, each stream its own, and it ends as it was asked to."""

import copy
import dataclasses
import inspect
import math
import signal
from functools import partial

import pytest
import torch
import trainers
from hydra.utils import instantiate
from torch import nn
from torch.nn.functional import cross_entropy

from hydra_sweep.errors import UserError
from hydra_sweep.signals import Interrupted, Stop
from rnnexp.data import loading
from rnnexp.record.result import HISTORY_COLUMNS, TIME_COLUMNS, Status
from rnnexp.schema.config import SCHEMAS, plain_config
from rnnexp.training import loop
from rnnexp.training.attempt import Attempt
from rnnexp.training.build import build, make_optimizer

TORCHS = {"adadelta": torch.optim.Adadelta, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


@pytest.fixture
def trainer(compose):
    return partial(trainers.trainer, compose)


def everything(t, part):
    """Returns what the network is called with for a whole part."""
    return t.sequences(part, torch.arange(len(part)))


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


class Recorder(nn.Module):
    """Notes what it is shown, and answers with learnable constants."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(10))
        self.seen = []

    def forward(self, x_BTI):
        if self.training:
            self.seen.append(x_BTI.clone())
        return self.bias.expand(len(x_BTI), 10)


class Broken(Recorder):
    """Its third training batch gives no numbers."""

    def forward(self, x_BTI):
        return super().forward(x_BTI) * (math.nan if len(self.seen) == 3 else 1)


@pytest.mark.parametrize("name", TORCHS)
def test_a_preset_steps_as_torchs_own_defaults_at_its_learning_rate(trainer, compose, name):
    """All but `lr` and SGD's momentum is left to torch here, so a preset that departs from torch's numbers shows."""
    lr, others = {"adadelta": (0.1, {}), "adam": (1e-3, {}), "sgd": (0.01, {"momentum": 0.9})}[name]
    assert compose(f"optim={name}").optim.lr == lr
    ours = trainer(f"optim={name}", f"optim.lr={lr}")
    theirs = copy.deepcopy(ours.model)
    optimizer = TORCHS[name](theirs.parameters(), lr=lr, **others)
    gradients = torch.Generator().manual_seed(0)
    for _ in range(3):
        for a, b in zip(ours.model.parameters(), theirs.parameters(), strict=True):
            a.grad = torch.randn(a.shape, generator=gradients)
            b.grad = a.grad.clone()
        ours.optimizer.step()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.model.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("name", TORCHS)
def test_two_steps_are_those_of_torchs_own_optimizer(trainer, compose, name):
    ours = trainer(f"optim={name}", "optim.lr=0.05", "optim.weight_decay=0.01", "train.clip_norm=0.5")
    preset = plain_config(compose(f"optim={name}"))["optim"]
    hyperparameters = {k: v for k, v in preset.items() if k != "_target_"} | {"lr": 0.05, "weight_decay": 0.01}
    theirs = instantiate(plain_config(compose(*trainers.SMALL))["model"], input_size=28, num_classes=10)
    theirs.load_state_dict(ours.model.state_dict())
    optimizer = TORCHS[name](theirs.parameters(), **hyperparameters)
    for batch in range(2):
        part = ours.data.train.take(torch.arange(16) + 16 * batch)
        inputs = everything(ours, part)
        ours.step(inputs, part.labels, batch, 10)
        optimizer.zero_grad()
        cross_entropy(theirs(*inputs), part.labels).backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.model.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("name", TORCHS)
def test_every_hyperparameter_of_torchs_optimizer_is_typed_and_set(compose, name):
    not_hyperparameters = {"self", "params", "maximize", "capturable", "differentiable"}
    torchs = set(inspect.signature(TORCHS[name].__init__).parameters) - not_hyperparameters
    keys = set(compose(f"optim={name}").optim) - {"_target_"}
    assert keys == torchs
    assert set(SCHEMAS["optim"][name].__dataclass_fields__) - {"_target_"} == torchs


def test_clipping_bounds_the_step(trainer):
    free, clipped = trainer("optim=sgd"), trainer("optim=sgd", "train.clip_norm=0.001")
    for t in (free, clipped):
        before = weights(t.model)
        part = t.data.train.take(torch.arange(16))
        t.step(everything(t, part), part.labels, 0, 10)
        t.moved = torch.cat([(a - b).flatten() for a, b in zip(weights(t.model), before, strict=True)]).norm()
    assert clipped.moved == pytest.approx(0.01 * 0.001, rel=1e-2)  # learning rate times norm
    assert free.moved > 10 * clipped.moved


def test_a_schedule_sets_the_learning_rate_of_each_step(trainer):
    t = trainer("schedule=step", "schedule.step_epochs=1", "schedule.gamma=0.5", "train.epochs=3")
    t.fit()
    assert [row["lr"] for row in t.progress.history] == [0.01, 0.005, 0.0025]


def test_training_learns_what_is_easy_and_the_history_adds_up(trainer):
    t = trainer("train.epochs=30")
    assert t.fit() == (Status.COMPLETE, None)
    rows = t.progress.history
    assert [row["epoch"] for row in rows] == list(range(1, 31))
    assert rows[-1]["train_loss"] < 0.5 < rows[0]["train_loss"]
    found = t.evaluate(t.data.valid, "validation")
    assert found == {"loss": rows[-1]["valid_loss"], "accuracy": rows[-1]["valid_accuracy"]}
    assert set(rows[0]) == set(HISTORY_COLUMNS)


def test_evaluation_is_the_mean_over_images_whatever_the_batch(trainer):
    t = trainer()
    labels = t.data.valid.labels
    with torch.no_grad():
        logits = t.model.eval()(*everything(t, t.data.valid))
    for size in (1, 7, 50, 1000):
        t.cfg.eval_batch_size = size
        found = t.evaluate(t.data.valid, "validation")
        assert found["loss"] == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-6)
        assert found["accuracy"] == (logits.argmax(1) == labels).double().mean().item()


def test_label_smoothing_is_in_the_training_loss_alone(trainer):
    plain, smooth = trainer("optim.lr=1e-12"), trainer("optim.lr=1e-12", "train.label_smoothing=0.3")
    for t in (plain, smooth):
        t.train_epoch()
        t.finish_epoch()
    a, b = plain.progress.history[0], smooth.progress.history[0]
    assert a["valid_loss"] == pytest.approx(b["valid_loss"], rel=1e-6)
    logits = plain.model(*everything(plain, plain.data.train))
    expected = cross_entropy(logits, plain.data.train.labels, label_smoothing=0.3).item()
    assert b["train_loss"] == pytest.approx(expected, rel=1e-5)
    assert abs(a["train_loss"] - b["train_loss"]) > 1e-5


def fed_with(t, figures):
    """Makes the trainer's validation answer with given (loss, accuracy), epoch by epoch."""
    answers = iter({"loss": loss, "accuracy": accuracy} for loss, accuracy in figures)
    t.evaluate = lambda part, title: next(answers)
    return t


def test_the_best_epoch_is_kept_by_what_is_monitored(trainer):
    figures = [(1.0, 0.5), (0.8, 0.7), (0.5, 0.6), (0.7, 0.7)]
    by_accuracy = fed_with(trainer("train.epochs=4"), figures)
    by_loss = fed_with(trainer("train.epochs=4", "train.monitor=valid_loss"), figures)
    last = fed_with(trainer("train.epochs=4", "train.keep=last"), figures)
    for t in (by_accuracy, by_loss, last):
        t.fit()
    assert [t.progress.best_epoch for t in (by_accuracy, by_loss, last)] == [4, 3, 4]  # equal accuracy: lower loss
    third = trainer("train.epochs=3", "train.keep=last")
    third.fit()
    for key, value in third.model.state_dict().items():
        assert torch.equal(by_loss.progress.best_weights[key], value)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_patience_ends_training_when_no_epoch_is_better(trainer, keep):
    figures = [(1.0, 0.5), (0.8, 0.7), (0.9, 0.6), (0.9, 0.65), (0.1, 0.9)]
    t = fed_with(trainer("train.epochs=5", "train.patience=2", f"train.keep={keep}"), figures)
    assert t.fit() == (Status.COMPLETE, None)
    assert t.progress.epoch == 4


def test_a_loss_that_is_no_number_ends_at_once_and_leaves_the_weights(trainer):
    t = trainer(model=Broken())
    status, reason = t.fit()
    assert (status, reason) == (Status.DIVERGED, "training loss was nan in epoch 1, batch 3")
    assert len(t.model.seen) == 3
    assert all(p.isfinite().all() for p in t.model.parameters())


def test_a_step_that_is_no_number_changes_no_weight(trainer):
    t = trainer("optim=sgd", "optim.lr=1e30", "model=rnn", "model.nonlinearity=relu")
    before = []
    step = t.step
    t.step = lambda *args: before.append(weights(t.model)) or step(*args)
    assert t.fit() == (Status.DIVERGED, "training loss was nan in epoch 1, batch 2")
    after = weights(t.model)
    assert all(torch.equal(a, b) for a, b in zip(after, before[1], strict=True))
    assert all(1e20 < p.abs().max() < math.inf for p in after)  # where the first step left them


def stop_in(t, batch):
    """Lets a signal come while a trainer is at this batch of its epoch."""
    step = t.step

    def interrupted(*args):
        t.stop.signum = 15 if t.progress.batch == batch - 1 else None
        return step(*args)

    t.step = interrupted


def test_a_signal_is_obeyed_before_the_next_batch_and_a_checkpoint_written(trainer):
    t, saved = trainer(), []
    t.save = lambda trainer: saved.append(t.progress.batch)
    stop_in(t, 3)
    with pytest.raises(Interrupted):
        t.fit()
    assert saved == [3]


AHEAD = (2, 7, 10_000)  # steps; an epoch has ten


def untimed(history):
    return [{name: value for name, value in row.items() if name not in TIME_COLUMNS} for row in history]


@pytest.mark.parametrize("ahead", AHEAD)
def test_a_run_is_the_same_bit_for_bit_however_late_its_losses_are_read(trainer, monkeypatch, ahead):
    """As they are on a device that computes while Python goes on; here on a CPU, where it can be seen."""
    settings = ("train.reports_per_epoch=2", "train.clip_norm=1.0")
    rows, late = [], []
    at_once = trainer(*settings, on_epoch=lambda row: rows.append(row) and False)
    assert at_once.fit() == (Status.COMPLETE, None)
    monkeypatch.setitem(loop.STEPS_AHEAD, "cpu", ahead)
    t = trainer(*settings, on_epoch=lambda row: late.append(row) and False)
    assert t.fit() == (Status.COMPLETE, None)
    assert untimed(late) == untimed(rows)
    assert all(map(torch.equal, weights(t.model), weights(at_once.model)))


@pytest.mark.parametrize("ahead", AHEAD)
def test_a_loss_that_is_no_number_is_told_of_the_batch_that_had_it_however_late(trainer, monkeypatch, ahead):
    monkeypatch.setitem(loop.STEPS_AHEAD, "cpu", ahead)
    saved = []
    t = trainer(model=Broken())
    t.save = lambda trainer: saved.append(trainer)
    assert t.fit() == (Status.DIVERGED, "training loss was nan in epoch 1, batch 3")
    assert not saved


@pytest.mark.parametrize("ahead", AHEAD)
def test_a_checkpoint_within_an_epoch_counts_every_step_however_late_its_loss_is_read(trainer, monkeypatch, ahead):
    at_once = trainer()
    assert at_once.fit() == (Status.COMPLETE, None)
    monkeypatch.setitem(loop.STEPS_AHEAD, "cpu", ahead)
    t = trainer()
    kept = []
    t.save = lambda trainer: kept.append(copy.deepcopy(trainer.state_dict()))
    stop_in(t, 5)
    with pytest.raises(Interrupted):
        t.fit()
    assert kept[-1]["progress"]["num_seen"] == 5 * 16
    again = trainer()
    again.load_state_dict(kept[-1])
    assert again.fit() == (Status.COMPLETE, None)
    assert untimed(again.progress.history) == untimed(at_once.progress.history)


@pytest.mark.parametrize("ahead", AHEAD)
def test_a_run_that_diverges_before_its_signal_is_obeyed_has_diverged(trainer, monkeypatch, ahead):
    monkeypatch.setitem(loop.STEPS_AHEAD, "cpu", ahead)
    t = trainer(model=Broken())
    stop_in(t, 3)
    assert t.fit() == (Status.DIVERGED, "training loss was nan in epoch 1, batch 3")


def test_a_validation_loss_that_is_no_number_is_divergence_too(trainer):
    t = fed_with(trainer(), [(1.0, 0.5), (math.inf, 0.5)])
    assert t.fit() == (Status.DIVERGED, "validation loss was inf after epoch 2")


def test_the_callback_sees_each_epoch_and_can_prune(trainer):
    rows = []
    t = trainer("train.epochs=10", on_epoch=lambda row: rows.append(row) or row["epoch"] == 2)
    assert t.fit() == (Status.PRUNED, "pruned after epoch 2")
    assert rows == t.progress.history


@pytest.mark.parametrize(
    ("settings", "figures"),
    [
        (("train.epochs=2",), [(1.0, 0.5), (0.9, 0.6)]),
        (("train.epochs=9", "train.patience=1"), [(1.0, 0.5), (1.1, 0.4)]),
    ],
)
def test_a_run_with_nothing_left_to_train_is_complete_whatever_the_callback_says(trainer, settings, figures):
    rows = []
    t = fed_with(trainer(*settings, on_epoch=lambda row: rows.append(row) or row["epoch"] == 2), figures)
    assert t.fit() == (Status.COMPLETE, None)
    assert rows == t.progress.history
    assert len(rows) == 2
    t.on_epoch = lambda row: rows.append(row) or True
    assert t.fit() == (Status.COMPLETE, None)  # as a run that goes on from its last checkpoint
    assert rows == t.progress.history * 2


def state_after(t, batches):
    """Returns the state of a trainer that was stopped so many batches after its second epoch."""
    for _ in range(2):
        t.train_epoch()
        t.finish_epoch()
    step = t.step

    def stop_in_the_last(*args):
        t.stop.signum = 15 if t.progress.batch + 1 == batches else None
        return step(*args)

    t.step = stop_in_the_last
    if batches:
        with pytest.raises(Interrupted):
            t.train_epoch()
    assert (t.progress.epoch, t.progress.batch) == (2, batches)
    return torch.utils._pytree.tree_map(copied, t.state_dict())


@pytest.mark.parametrize("batches", [0, 2])
def test_going_on_tells_the_callback_of_each_epoch_again_and_notes_only_the_new_ones(trainer, batches):
    told, noted = [], []
    t = trainer(
        on_epoch=lambda row: told.append(dict(row)) or row["epoch"] == 1, note=lambda trainer, row: noted.append(row)
    )
    t.load_state_dict(state_after(trainer(), batches))
    assert t.fit() == (Status.COMPLETE, None)  # the answer to the first epoch came too late
    assert [row["epoch"] for row in told] == [1, 2, 3]
    assert told == t.progress.history
    assert noted == told[2:]


def test_going_on_prunes_at_once_if_the_callback_says_so_of_the_latest_epoch(trainer):
    t = trainer(on_epoch=lambda row: row["epoch"] == 2)
    t.load_state_dict(state_after(trainer(), 1))
    before = weights(t.model)
    assert t.fit() == (Status.PRUNED, "pruned after epoch 2")
    assert all(torch.equal(a, b) for a, b in zip(before, weights(t.model), strict=True))
    assert (t.progress.epoch, t.progress.batch) == (2, 1)


def test_a_callback_that_interrupts_finds_the_checkpoint_of_its_epoch_written(trainer):
    def interrupt(row):
        raise Interrupted(15)

    t, saved = trainer(on_epoch=interrupt), []
    t.save = lambda trainer: saved.append((t.progress.epoch, t.progress.batch))
    with pytest.raises(Interrupted):
        t.fit()
    assert saved == [(1, 0)]


def test_each_epoch_shows_every_image_once_in_an_order_of_its_own(trainer):
    t = trainer("train.epochs=2", model=Recorder())
    t.fit()
    first, second = torch.cat(t.model.seen).split(150)
    assert not torch.equal(first, second)
    for shown in (first, second):
        assert shown.sum().item() == pytest.approx(everything(t, t.data.train)[0].sum().item(), rel=1e-5)
        assert len({tuple(x.flatten().tolist()) for x in shown}) == 150


def test_augmentation_and_dropout_leave_the_order_of_the_images_alone(trainer):
    class Dropping(Recorder):
        def forward(self, x_BTI):
            return nn.functional.dropout(super().forward(x_BTI), 0.5, self.training)

    plain, dropping = trainer(model=Recorder()), trainer(model=Dropping())
    augmented = trainer("data.augment=true", "data.jitter.degrees=0", "data.jitter.translate=0.001", model=Recorder())
    for t in (plain, dropping, augmented):
        t.fit()
    assert all(torch.equal(a, b) for a, b in zip(plain.model.seen, dropping.model.seen, strict=True))
    for a, b in zip(plain.model.seen, augmented.model.seen, strict=True):
        assert not torch.equal(a, b)
        brightest_a, brightest_b = (x.mean(1).argmax(1) // 2 for x in (a, b))
        assert (brightest_a - brightest_b).abs().float().mean() < 1.5  # the same squares, nudged


def test_initial_weights_and_order_depend_on_neither_dropout_nor_augmentation(compose, small):
    def labels_and_weights(*overrides):
        cfg = compose(*small, "model.num_layers=2", *overrides)
        callbacks = {"save": None, "note": None, "on_epoch": None}
        t = build(Attempt.begin(cfg, None, {}), loading.load(cfg.data, True), Stop(), **callbacks, test=True)
        initial, seen, step = weights(t.model), [], t.step
        t.step = lambda inputs, labels, *rest: seen.append(labels) or step(inputs, labels, *rest)
        t.train_epoch()
        return torch.cat(seen), initial, weights(t.model)

    seen, initial, trained = labels_and_weights()
    assert len(seen) == 500
    for change in ("model.dropout=0.5", "data.augment=true"):
        other_seen, other_initial, other_trained = labels_and_weights(change)
        assert torch.equal(seen, other_seen)
        assert all(torch.equal(a, b) for a, b in zip(initial, other_initial, strict=True))
        assert not torch.equal(trained[0], other_trained[0])  # the change did something
    other_seen, other_initial, _ = labels_and_weights("seed=1")
    assert not torch.equal(seen, other_seen)
    assert not torch.equal(initial[0], other_initial[0])


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(trainer):
    one, again, other = (
        trainer("model.dropout=0.2"),
        trainer("model.dropout=0.2"),
        trainer("model.dropout=0.2", "seed=1"),
    )
    for t in (one, again, other):
        t.fit()
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), again.model.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))


@pytest.mark.parametrize("optim", TORCHS)
def test_a_trainer_goes_on_from_its_state_at_any_batch(trainer, optim):
    settings = ("model.dropout=0.2", f"optim={optim}", "schedule=cosine", "data.augment=true", "train.epochs=2")
    whole = trainer(*settings)
    states = []
    whole.cfg.checkpoint_seconds = 1e-9
    whole.save = lambda trainer: states.append(torch.utils._pytree.tree_map(copied, whole.state_dict()))
    whole.fit()
    assert len(states) == 2 * 10 + 2
    for state in states[3::5]:
        resumed = trainer(*settings)
        resumed.load_state_dict(state)
        resumed.fit()
        assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))
        figures = [
            [{k: v for k, v in row.items() if k not in TIME_COLUMNS} for row in t.progress.history]
            for t in (whole, resumed)
        ]
        assert figures[0] == figures[1]


def copied(value):
    return value.clone() if isinstance(value, torch.Tensor) else value


def test_bfloat16_computes_coarser_logits_and_still_learns(trainer):
    t, fp32 = trainer("train.precision=bf16", "train.epochs=30"), trainer()
    coarse, fine = (one.evaluate(one.data.valid, "v")["loss"] for one in (t, fp32))
    assert coarse != fine
    assert coarse == pytest.approx(fine, rel=0.02)
    t.fit()
    assert t.progress.history[-1]["train_loss"] < 0.7
    assert all(p.dtype is torch.float32 for p in t.model.parameters())


class WithoutLr(torch.optim.Optimizer):
    """Halves each weight: an optimizer whose parameter groups have no learning rate."""

    def __init__(self, params):
        super().__init__(params, {})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.mul_(0.5)


def config_with(optim, schedule="rnnexp.schedules.constant"):
    return {
        "optim": {"_target_": optim, **({"lr": 1.0} if "torch" in optim else {})},
        "schedule": {"_target_": schedule},
    }


def test_an_optimizer_without_a_learning_rate_trains_and_its_history_has_none(trainer):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, bias=False))
    optimizer = make_optimizer(config_with("test_loop.WithoutLr"), model)
    t = dataclasses.replace(trainer("train.epochs=1", model=model), optimizer=optimizer)
    before = model[1].weight.detach().clone()
    t.train_epoch()
    assert torch.equal(model[1].weight, before * 0.5 ** math.ceil(150 / 16))
    assert math.isnan(t.finish_epoch()["lr"])


@pytest.mark.parametrize(
    ("optim", "schedule", "line"),
    [
        (
            "test_loop.WithoutLr",
            "rnnexp.schedules.cosine",
            "parameter groups of .*WithoutLr have no lr; type schedule",
        ),
        ("torch.optim.LBFGS", "rnnexp.schedules.constant", "torch.optim.LBFGS needs a closure at each step"),
        ("builtins.list", "rnnexp.schedules.constant", "builtins.list returned a list, which is not a torch.optim"),
    ],
)
def test_an_optimizer_that_the_loop_cannot_drive_is_one_line(optim, schedule, line):
    with pytest.raises(UserError, match=line):
        make_optimizer(config_with(optim, schedule), nn.Linear(2, 2))


def paced(t, *seconds, epoch=None, batch_seconds=0.0, first=0):
    """Sets a trainer to where epochs have taken so many seconds each."""
    t.progress.history = [{"epoch_seconds": value} for value in seconds]
    t.progress.epoch, t.progress.seconds, t.first_paced = len(seconds), batch_seconds, first
    return t.time_left()


def test_the_time_left_is_that_of_all_epochs_by_the_latest_ones_of_this_process(trainer):
    t = trainer("train.epochs=10")
    assert paced(t) == ""
    assert paced(t, 60.0) == ", about 9 min left"
    assert paced(t, 600.0, 60.0, 60.0, 60.0, 60.0, 60.0) == ", about 4 min left"  # the first one had to warm up
    assert paced(t, 60.0, 60.0, batch_seconds=30.0) == ", about 8 min left"
    assert paced(t, *[60.0] * 9, batch_seconds=90.0) == ", about 5 s left"
    assert paced(t, 600.0, 600.0, first=2) == ""  # by another attempt, on another machine maybe
    assert paced(t, 600.0, 600.0, 60.0, first=2) == ", about 7 min left"
    assert paced(trainer("train.epochs=10", "train.patience=2"), 60.0) == ", about 9 min left at most"


def test_a_resumed_run_has_no_pace_before_it_has_done_a_whole_epoch_itself(trainer):
    t, left = trainer("train.epochs=4"), []
    t.note = lambda trainer, row: left.append(trainer.time_left())
    t.progress.history = [{**dict.fromkeys(HISTORY_COLUMNS, 0.5), "epoch": 1, "epoch_seconds": 1e6}]
    t.progress.epoch, t.progress.best_epoch = 1, 1
    t.fit()
    assert left[0] == ", about 5 s left"  # and no millions of seconds
    assert t.first_paced == 1


def test_reports_within_epochs_change_nothing_of_the_run(trainer):
    told = []
    plain = trainer("train.epochs=2", "train.batch_size=50")
    often = trainer(
        "train.epochs=2", "train.batch_size=50", "train.reports_per_epoch=3", on_epoch=lambda row: told.append(row)
    )
    assert plain.fit() == often.fit() == (Status.COMPLETE, None)
    assert all(torch.equal(a, b) for a, b in zip(weights(plain.model), weights(often.model), strict=True))
    without_times = [
        [{k: v for k, v in row.items() if k != "epoch_seconds"} for row in t.progress.history] for t in (plain, often)
    ]
    assert without_times[0] == without_times[1]
    assert [row["epoch"] for row in told] == [1 / 3, 2 / 3, 1, 1 + 1 / 3, 1 + 2 / 3, 2]
    assert {"valid_loss", "valid_accuracy"} <= told[0].keys()


def test_a_run_may_end_within_an_epoch_and_says_where(trainer):
    found = trainer(
        "train.epochs=2", "train.batch_size=50", "train.reports_per_epoch=3", on_epoch=lambda row: row["epoch"] > 1.5
    )
    assert found.fit() == (Status.PRUNED, "pruned in epoch 2, after batch 2")


def test_a_run_that_is_stopped_at_a_report_reports_it_again_and_goes_on_the_same(trainer):
    def options(told, fatal=None):
        def on_epoch(row):
            told.append(row["epoch"])
            if row["epoch"] == fatal:
                raise Interrupted(signal.SIGTERM)

        return {"on_epoch": on_epoch}

    words = ["train.epochs=2", "train.batch_size=50", "train.reports_per_epoch=3"]
    whole, first, again = [], [], []
    undisturbed = trainer(*words, **options(whole))
    undisturbed.fit()
    stopped = trainer(*words, **options(first, fatal=1 + 1 / 3))
    with pytest.raises(Interrupted):
        stopped.fit()
    resumed = trainer(*words, **options(again))
    resumed.load_state_dict(copy.deepcopy(stopped.state_dict()))
    resumed.fit()
    assert again == whole
    assert all(torch.equal(a, b) for a, b in zip(weights(undisturbed.model), weights(resumed.model), strict=True))
