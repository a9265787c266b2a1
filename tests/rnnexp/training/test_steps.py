"""Steps of many runs in one program are those of each run alone."""

import copy
import math

import pytest
import torch
import trainers
from torch import nn

from hydra_sweep import lanes
from rnnexp.models import stacked
from rnnexp.record.result import Status
from rnnexp.training import steps
from rnnexp.training.steps import Step, in_one_program

ALONE, STACKED = False, True
RATES = {"adadelta": 0.1, "adam": 0.01, "sgd": 0.05}


@pytest.fixture
def fit(compose):
    """Returns a function that trains members, one by one or side by side, and returns them with how they ended."""

    def fitted(members, is_stacked, **others):
        made = [trainers.trainer(compose, *words, is_stacked=is_stacked, **others) for words in members]
        ended, left = {}, list(made)

        def work():
            while left:
                one = left.pop(0)
                ended[id(one)] = one.fit()

        if is_stacked:
            lanes.side_by_side(work, 3)
        else:
            work()
        return made, [ended[id(one)] for one in made]

    return fitted


def step(t, index):
    """Returns the step of a trainer on some of its examples."""
    labels = t.data.train.labels[index]
    return Step(t.model, t.optimizer, None, t.sequences(t.data.train, index), labels, None, 0.0, t.seed, "fp32")


def losses(trainer):
    return [row[name] for row in trainer.progress.history for name in ("train_loss", "valid_loss")]


def are_equal(one, other):
    """Returns whether two trainers have the same history and weights, bit for bit."""
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return losses(one) == losses(other) and all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("optim", RATES)
@pytest.mark.parametrize("model", ["rnn", "gru", "lstm"])
def test_each_of_a_stack_ends_as_its_run_alone_within_rounding(fit, model, optim):
    """Losses to 1e-4, of runs that drop out, augment, smooth labels, weight classes, clip, and end at three times."""
    common = [f"model={model}", f"optim={optim}", "data.augment=true"]
    members = [
        [*common, "seed=1", "model.dropout=0.3", f"optim.lr={RATES[optim]}"],
        [*common, "seed=2", "train.label_smoothing=0.1", f"optim.lr={RATES[optim] / 2}", "train.epochs=5"],
        [*common, "seed=3", "train.clip_norm=0.5", "model.dropout=0.1", "train.epochs=4", "schedule=cosine"],
        [*common, "seed=4", "model.init=orthogonal", "optim.weight_decay=0.001"],
    ]
    weights = torch.linspace(0.5, 2, 10)
    one_by_one, ends = fit(members, ALONE, class_weights=weights)
    beside, ends_beside = fit(members, STACKED, class_weights=weights)
    assert ends == ends_beside
    for one, other in zip(one_by_one, beside, strict=True):
        assert losses(other) == pytest.approx(losses(one), rel=1e-4)
        assert not are_equal(one, other)  # so that this has compared two ways to compute it


@pytest.mark.parametrize("model", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("options", [["model.bidirectional=true"], ["model.readout=mean", "model.num_layers=3"]])
def test_directions_layers_and_readouts_too(fit, model, options):
    common = [f"model={model}", "optim.lr=0.002", "model.dropout=0.2", *options]
    members = [[*common, f"seed={seed}"] for seed in range(3)]
    pairs = zip(fit(members, ALONE)[0], fit(members, STACKED)[0], strict=True)
    assert all(losses(other) == pytest.approx(losses(one), rel=1e-4) for one, other in pairs)


@pytest.mark.parametrize("model", ["model=rnn", "model=rnn model.nonlinearity=relu", "model=gru", "model=lstm"])
@pytest.mark.parametrize("options", ["", "model.bidirectional=true model.readout=mean"])
def test_logits_and_gradients_are_torchs_own_to_the_last_digits_of_float64(compose, model, options):
    made = [trainers.trainer(compose, *model.split(), *options.split(), f"seed={seed}").model for seed in range(3)]
    names, x_KBTI = dict(made[0].named_parameters()), torch.randn(3, 5, 7, 28, dtype=torch.float64)
    members = [network.double() for network in made]
    weights = {name: torch.stack([network.get_parameter(name).detach() for network in members]) for name in names}
    logits_KBO = stacked.forward(made[0], {name: w.requires_grad_() for name, w in weights.items()}, x_KBTI, [])
    upstream = torch.randn_like(logits_KBO)
    logits_KBO.backward(upstream)
    for k, network in enumerate(members):
        network.backend = "torch"
        logits_BO = network(x_KBTI[k])
        logits_BO.backward(upstream[k])
        torch.testing.assert_close(logits_KBO[k], logits_BO, rtol=1e-12, atol=1e-13)
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(weights[name].grad[k], parameter.grad, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("model", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(("hidden", "batch", "threads"), [(8, 16, 1), (12, 7, 1), (5, 16, 1), (36, 50, 1), (60, 50, 3)])
def test_a_step_is_the_same_to_the_bit_whoever_is_beside_it(compose, model, hidden, batch, threads):
    words = [f"model={model}", f"model.hidden_size={hidden}", "model.dropout=0.2"]
    made = [trainers.trainer(compose, *words, f"seed={seed}") for seed in range(6)]
    torch.set_num_threads(threads)

    begun = [copy.deepcopy(t.state_dict()) for t in made]

    def computed(members):
        for t in members:
            t.load_state_dict(copy.deepcopy(begun[t.seed]))
        for start in range(3):
            for t in members:
                t.optimizer.zero_grad()
            found = in_one_program([step(t, torch.arange(batch) + t.seed + start) for t in members])
        return [
            [one.loss, *(p.detach().clone() for p in t.model.parameters())]
            for one, t in zip(found, members, strict=True)
        ]

    together = computed(made)
    for members in ([0], [5], [1, 3], [2, 4, 0, 5], [5, 4, 3, 2, 1]):
        for number, one in zip(members, computed([made[number] for number in members]), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, together[number], strict=True))


def test_one_that_diverges_leaves_the_others_as_they_were(fit):
    good = [["seed=1"], ["seed=2", "optim=sgd"]]
    bad = ["seed=3", "optim=sgd", "optim.lr=3e38"]
    apart, _ = fit(good, STACKED)
    beside, ends = fit([good[0], bad, good[1]], STACKED)
    assert [status for status, _ in ends] == [Status.COMPLETE, Status.DIVERGED, Status.COMPLETE]
    assert are_equal(apart[0], beside[0])
    assert are_equal(apart[1], beside[2])
    assert all(math.isfinite(loss) for one in (beside[0], beside[2]) for loss in losses(one))


def test_networks_of_other_shapes_are_computed_beside_each_other(fit):
    others = ["model.hidden_size=12", "train.batch_size=32", "model=lstm"]
    members = [["seed=1"], *([f"seed={seed}", word] for seed, word in enumerate(others, 2))]
    pairs = zip(fit(members, ALONE)[0], fit(members, STACKED)[0], strict=True)
    assert all(losses(other) == pytest.approx(losses(one), rel=1e-4) for one, other in pairs)


def test_a_stack_that_has_no_room_is_computed_in_halves(compose, monkeypatch):
    made = [trainers.trainer(compose, f"seed={seed}") for seed in range(5)]
    program, sizes = steps._program, []
    begun = [copy.deepcopy(t.state_dict()) for t in made]

    def narrow(members):
        sizes.append(len(members))
        if len(members) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return program(members)

    whole = [one.loss for one in in_one_program([step(t, torch.arange(16)) for t in made])]
    for t, state in zip(made, begun, strict=True):
        t.load_state_dict(state)
        t.optimizer.zero_grad()
    monkeypatch.setattr(steps, "_program", narrow)
    assert [one.loss for one in in_one_program([step(t, torch.arange(16)) for t in made])] == whole
    assert sizes == [5, 2, 3, 1, 2]


@pytest.mark.parametrize(
    "words", [["model=mingru"], ["model.layer_norm=true"], ["model.backend=torch"], ["train.precision=bf16"]]
)
def test_what_no_program_knows_is_said_to_be_so(compose, words):
    t = trainers.trainer(compose, *words)
    inputs = t.sequences(t.data.train, torch.arange(2))
    assert not steps.can_be_stacked(t.model, t.optimizer, inputs, t.precision.name)


def test_what_is_a_users_own_and_unequal_lengths_are_not_stacked(compose):
    class Own(torch.optim.SGD):
        pass

    t = trainers.trainer(compose)
    inputs, own = t.sequences(t.data.train, torch.arange(2)), Own(t.model.parameters())
    assert steps.can_be_stacked(t.model, t.optimizer, inputs, "fp32")
    assert not steps.can_be_stacked(t.model, t.optimizer, (*inputs, torch.tensor([3, 4])), "fp32")
    assert not steps.can_be_stacked(nn.Linear(2, 2), t.optimizer, inputs, "fp32")
    assert not steps.can_be_stacked(t.model, own, inputs, "fp32")
