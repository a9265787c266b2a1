"""The linear recurrence against its definition, a step at a time, and its gradients against differences."""

import pytest
import torch

from rnnexp.models.scan import in_chunks, scan, step_by_step

DTYPES = (torch.float64, torch.complex128)


def recurrence(steps, dtype=torch.float64):
    draw = torch.Generator().manual_seed(steps)
    a, b = (torch.randn(steps, 2, 3, dtype=dtype, generator=draw) for _ in range(2))
    return (a / (1 + a.abs())).requires_grad_(), b.requires_grad_()


def by_definition(a_T, b_T):
    h = torch.zeros_like(b_T[0])
    found = []
    for a, b in zip(a_T, b_T, strict=True):
        h = a * h + b
        found.append(h)
    return torch.stack(found)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("steps", [1, 2, 7, 28])
def test_states_and_gradients_are_those_of_the_definition(steps, dtype):
    a, b = recurrence(steps, dtype)
    weights = torch.randn(steps, 2, 3, dtype=dtype, generator=torch.Generator().manual_seed(1))
    found = []
    for function in (scan, by_definition):
        h = function(a, b)
        found.append([h, *torch.autograd.grad((h * weights).abs().sum(), (a, b))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    assert torch.autograd.gradcheck(scan, (a, b))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("length", [1, 2, 3, 5, 28, 40, None])
def test_in_chunks_of_any_length_the_states_are_the_same(length, dtype):
    """That is how other devices take it; here it can be seen on any."""
    a, b = (x.detach() for x in recurrence(28, dtype))
    kept = a.clone(), b.clone()
    torch.testing.assert_close(in_chunks(a, b, length), step_by_step(a, b))
    assert all(map(torch.equal, (a, b), kept))


def test_thousands_of_steps_in_chunks_neither_overflow_nor_drift():
    a, b = torch.full((5000, 1, 1), 0.999), torch.ones(5000, 1, 1)
    exact = by_definition(a.double(), b.double()).float()
    torch.testing.assert_close(in_chunks(a, b), exact, rtol=1e-4, atol=0)
    torch.testing.assert_close(step_by_step(a, b), exact, rtol=1e-4, atol=0)


def test_a_factor_shared_by_all_steps_gets_the_sum_of_their_gradients():
    a, b = torch.full((3,), 0.5, dtype=torch.float64, requires_grad=True), recurrence(9)[1].detach()
    assert torch.autograd.gradcheck(lambda a: scan(a.expand_as(b), b), (a,))
