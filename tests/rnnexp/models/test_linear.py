"""Linear cells against steps written by hand from their papers' equations, and the blocks around them."""

import cmath
import math

import pytest
import torch

from rnnexp.models import LinearClassifier
from rnnexp.models.linear import CELLS
from rnnexp.models.lru import Lru

T, B, H = 6, 2, 3
each_cell = pytest.mark.parametrize("cell", CELLS)


def drawn(module):
    """Returns a module with weights that differ in every element, biases too."""
    draw = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=draw)
    return module


def sequence():
    return torch.randn(T, B, H, generator=torch.Generator().manual_seed(1))


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def mingru(cell, x, h, _):
    z, candidate = (x @ cell.project.weight.T + cell.project.bias).chunk(2, 1)
    return (1 - sigmoid(z)) * h + sigmoid(z) * candidate


def minlstm(cell, x, h, _):
    f, i, candidate = (x @ cell.project.weight.T + cell.project.bias).chunk(3, 1)
    f, i = sigmoid(f), sigmoid(i)
    return f / (f + i) * h + i / (f + i) * candidate


def rglru(cell, x, h, before):
    """`before` are the steps up to this one."""
    four = torch.stack([*[torch.zeros_like(x)] * 3, *before][-4:])
    x = (four * cell.convolution.weight[:, 0].T[:, None]).sum(0) + cell.convolution.bias
    r, i = sigmoid(x @ cell.gates.weight.T + cell.gates.bias).chunk(2, 1)
    a = sigmoid(cell.decay) ** (8 * r)
    return a * h + torch.sqrt(1 - a**2) * (i * x)


@pytest.mark.parametrize("step", [mingru, minlstm, rglru], ids=lambda step: step.__name__)
def test_a_cell_is_what_its_equations_say(step):
    torch.manual_seed(0)
    cell, x = drawn(CELLS[step.__name__](H)), sequence()
    h, found = torch.zeros(B, H), []
    for t in range(T):
        h = step(cell, x[t], h, list(x[: t + 1]))
        found.append(h)
    torch.testing.assert_close(cell(x), torch.stack(found))


def test_an_lru_is_what_its_equations_say():
    """Number by number, in Python's own complex numbers."""
    torch.manual_seed(0)
    cell, x = drawn(Lru(H)), sequence()
    nu, theta, gamma = (p.tolist() for p in (cell.nu, cell.theta, cell.gamma))
    b = [[complex(cell.b[h, 0, i].item(), cell.b[h, 1, i].item()) for i in range(H)] for h in range(H)]
    c = [[complex(*cell.c[o, h].tolist()) for h in range(H)] for o in range(H)]
    for n in range(B):
        state = [0j] * H
        for t in range(T):
            inputs = x[t, n].tolist()
            for h in range(H):
                factor = cmath.exp(complex(-math.exp(nu[h]), math.exp(theta[h])))
                drive = math.exp(gamma[h]) * sum(b[h][i] * inputs[i] for i in range(H))
                state[h] = factor * state[h] + drive
            wanted = [sum(c[o][h] * state[h] for h in range(H)).real + cell.d[o].item() * inputs[o] for o in range(H)]
            assert cell(x)[t, n].tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_an_lru_begins_on_its_ring_with_states_as_large_as_their_inputs():
    torch.manual_seed(0)
    cell = Lru(2000, r_min=0.4, r_max=0.8)
    size_H = (-cell.nu.exp()).exp().detach()
    assert 0.4 <= size_H.min() < 0.41
    assert 0.79 < size_H.max() <= 0.8
    assert (size_H**2).mean().item() == pytest.approx((0.4**2 + 0.8**2) / 2, abs=0.01)  # evenly over the ring's area
    torch.testing.assert_close(cell.gamma.exp(), (1 - size_H**2).sqrt(), rtol=1e-4, atol=0)
    assert cell.theta.exp().max() <= 2 * math.pi


def test_an_rg_lru_begins_with_the_decays_of_its_paper():
    torch.manual_seed(0)
    decays = CELLS["rglru"](1000).decay.sigmoid() ** 8
    assert 0.9 <= decays.min() < 0.905
    assert 0.994 < decays.max() <= 0.9991


@each_cell
@pytest.mark.parametrize("readout", ["last", "mean"])
@pytest.mark.parametrize("is_bidirectional", [False, True], ids=["one direction", "two"])
def test_every_weight_of_a_network_is_trained(cell, readout, is_bidirectional):
    torch.manual_seed(0)
    model = LinearClassifier(cell, 4, 5, 6, num_layers=2, bidirectional=is_bidirectional, readout=readout)
    logits = model(torch.randn(3, 7, 4))
    assert logits.shape == (3, 5)
    logits.square().sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


@each_cell
def test_a_network_of_one_direction_sees_no_later_step(cell):
    torch.manual_seed(0)
    model = LinearClassifier(cell, 4, 5, 6, num_layers=2).eval()
    x = torch.randn(2, 9, 4)
    longer = torch.cat([x, torch.randn(2, 3, 4)], 1)
    torch.testing.assert_close(model(longer, torch.tensor([9, 9])), model(x))


@pytest.mark.parametrize("cell", ["lru", "rglru"])
def test_cells_that_begin_with_long_memories_learn_what_the_first_of_sixty_steps_was(cell):
    """The minimal ones forget half of their states in a step to begin with, as a GRU does."""
    torch.manual_seed(0)
    model = LinearClassifier(cell, 1, 2, 8, num_layers=1)
    x = torch.zeros(2, 60, 1)
    x[0, 0], x[1, 0] = 1, -1
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(150):
        loss = torch.nn.functional.cross_entropy(model(x), torch.tensor([0, 1]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
