"""Learning-rate schedules as factors of `optim.lr`: pure functions of the step, so that resuming needs no state.

`step` counts from 0 to `num_steps` - 1 over the whole run; `epoch` counts from 0.
"""

import math


def constant(step: int, num_steps: int, epoch: int) -> float:
    """Returns 1."""
    return 1.0


def cosine(step: int, num_steps: int, epoch: int, *, final_factor: float) -> float:
    """Returns half a cosine from 1 towards `final_factor` (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5)."""
    return _half_cosine(1.0, final_factor, step / num_steps)


def onecycle(
    step: int, num_steps: int, epoch: int, *, rise_fraction: float, initial_factor: float, final_factor: float
) -> float:
    """Returns `initial_factor` rising to 1 and falling to `final_factor`, each along half a cosine.

    Smith and Topin 2018, arXiv:1708.07120, in the two-phase cosine form of `torch.optim.lr_scheduler.OneCycleLR`.
    """
    peak, last = rise_fraction * num_steps - 1, num_steps - 1
    if step <= peak:
        return _half_cosine(initial_factor, 1.0, step / peak if peak else 1.0)
    return _half_cosine(1.0, final_factor, (step - peak) / (last - peak))


def step(step: int, num_steps: int, epoch: int, *, step_epochs: int, gamma: float) -> float:
    """Returns `gamma` to the power of how many times `step_epochs` epochs have passed."""
    return gamma ** (epoch // step_epochs)


def _half_cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
