"""The schedules against torch's own, step by step."""

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from rnnexp import schedules


def torchs_factors(num_steps, make):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    factors = []
    for _ in range(num_steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step() if len(factors) < num_steps else None
    return factors


@pytest.mark.parametrize("final_factor", [0.0, 0.1])
def test_cosine_is_torchs(final_factor):
    ours = [schedules.cosine(step, 50, 0, final_factor=final_factor) for step in range(50)]
    assert ours == pytest.approx(torchs_factors(50, lambda o: CosineAnnealingLR(o, 50, eta_min=final_factor)))


@pytest.mark.parametrize(("initial", "final"), [(0.04, 4e-6), (0.5, 0.01)])
@pytest.mark.parametrize("rise", [0.1, 0.3, 0.5])
def test_onecycle_is_torchs(rise, initial, final):
    settings = {"rise_fraction": rise, "initial_factor": initial, "final_factor": final}
    ours = [schedules.onecycle(step, 60, 0, **settings) for step in range(60)]
    divisors = {"div_factor": 1 / initial, "final_div_factor": initial / final}
    theirs = torchs_factors(60, lambda o: OneCycleLR(o, 1.0, 60, pct_start=rise, cycle_momentum=False, **divisors))
    assert ours == pytest.approx(theirs)
    assert max(ours) == pytest.approx(1.0)


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_onecycle_of_a_few_steps_is_no_error(num_steps):
    settings = {"rise_fraction": 0.3, "initial_factor": 0.04, "final_factor": 4e-6}
    factors = [schedules.onecycle(step, num_steps, 0, **settings) for step in range(num_steps)]
    assert all(0 < factor <= 1 for factor in factors)


def test_step_is_torchs():
    ours = [schedules.step(0, 1, epoch, step_epochs=3, gamma=0.5) for epoch in range(10)]
    assert ours == pytest.approx(torchs_factors(10, lambda o: StepLR(o, 3, gamma=0.5)))


def test_constant_is_one():
    assert schedules.constant(7, 10, 0) == 1.0
