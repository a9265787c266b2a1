"""Steps of several optimizers at once are those of each one's own."""

import copy

import pytest
import torch
from torch.optim import SGD, Adadelta, Adam, AdamW

from rnnexp.training.optimizers import RULES, is_known, step_together

SIZES = ((4, 3), (4,), (5, 4))
NUMBERS = {
    Adadelta: [{}, {"lr": 0.1, "weight_decay": 0.01}, {"rho": 0.95, "eps": 1e-5}],
    Adam: [{}, {"lr": 0.01, "weight_decay": 0.1}, {"betas": (0.8, 0.99)}, {"weight_decay": 0.2, "eps": 1e-6}],
    AdamW: [{}, {"lr": 0.01}, {"weight_decay": 0.0}],
    SGD: [{"momentum": 0.9}, {"momentum": 0.5, "dampening": 0.2}, {"momentum": 0.9, "weight_decay": 0.1}],
}
EXCEPTIONS = [(Adam, {"amsgrad": True}), (SGD, {"momentum": 0.9, "nesterov": True}), (SGD, {}), (Adam, {"fused": True})]


def made(kind, numbers):
    """Returns an optimizer for each set of numbers, of tensors of its own."""
    torch.manual_seed(0)
    return [kind([torch.randn(size, requires_grad=True) for size in SIZES], **own) for own in numbers]


def parameters(optimizer):
    return optimizer.param_groups[0]["params"]


def differentiate(optimizers, number):
    """Sets gradients that depend on the parameters and on the number of the step."""
    generator = torch.Generator().manual_seed(number)
    noise = [torch.randn(size, generator=generator) for size in SIZES]
    for optimizer in optimizers:
        for p, of_p in zip(parameters(optimizer), noise, strict=True):
            p.grad = p.detach() ** 3 + of_p


def after(optimizers, step, numbers=range(6)):
    for number in numbers:
        differentiate(optimizers, number)
        step(optimizers)
    return [p for optimizer in optimizers for p in parameters(optimizer)]


def one_by_one(optimizers):
    for optimizer in optimizers:
        optimizer.step()


@pytest.mark.parametrize("kind", RULES)
def test_each_of_several_steps_as_by_itself_within_rounding(kind):
    ours, theirs = made(kind, NUMBERS[kind]), made(kind, NUMBERS[kind])
    differentiate(ours, 0)
    one_by_one(ours)
    assert all(is_known(one) for one in ours)  # so that this doesn't compare torch with torch
    differentiate(theirs, 0)
    one_by_one(theirs)
    torch.testing.assert_close(after(ours, step_together), after(theirs, one_by_one), rtol=1e-5, atol=1e-6)
    for mine, torchs in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.state_dict()["state"], torchs.state_dict()["state"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", RULES)
def test_what_one_does_depends_on_nobody_beside_it_to_the_bit(kind):
    beside, apart = made(kind, NUMBERS[kind]), made(kind, NUMBERS[kind])
    together = after(beside, step_together)
    alone = [p for one in apart for p in after([one], step_together)]
    assert all(map(torch.equal, together, alone))


@pytest.mark.parametrize("kind", RULES)
def test_one_goes_on_exactly_from_what_it_has_kept(kind):
    whole, halves = made(kind, NUMBERS[kind]), made(kind, NUMBERS[kind])
    after(whole, step_together)
    after(halves, step_together, range(3))
    again = made(kind, NUMBERS[kind])
    for old, new in zip(halves, again, strict=True):
        new.load_state_dict(copy.deepcopy(old.state_dict()))
        for p, kept in zip(parameters(new), parameters(old), strict=True):
            p.data.copy_(kept.data)
    after(again, step_together, range(3, 6))
    assert all(
        torch.equal(a, b)
        for one, other in zip(whole, again, strict=True)
        for a, b in zip(*map(parameters, (one, other)), strict=True)
    )


@pytest.mark.parametrize(("kind", "numbers"), EXCEPTIONS)
def test_one_with_other_options_steps_by_itself(kind, numbers):
    ours, theirs = made(kind, [numbers, {}]), made(kind, [numbers, {}])
    mine, torchs = after(ours, step_together), after(theirs, one_by_one)
    assert not is_known(ours[0])
    assert all(map(torch.equal, mine[: len(SIZES)], torchs[: len(SIZES)]))


def test_one_that_is_watched_steps_by_itself():
    (one,) = made(Adam, [{}])
    seen = []
    one.register_step_post_hook(lambda *_: seen.append(True))
    after([one], step_together)
    assert len(seen) == 6
