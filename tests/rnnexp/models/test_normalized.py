"""Cells with layer normalization against steps written by hand from the paper, and its invariances."""

import itertools

import pytest
import torch
from torch import nn

from rnnexp.models import RecurrentClassifier

B, T, INPUTS, H = 3, 5, 4, 6
CELLS = ("rnn", "gru", "lstm")


def network(cell, **changes):
    torch.manual_seed(0)
    model = RecurrentClassifier(cell, INPUTS, 10, **{"hidden_size": H, "num_layers": 1, "layer_norm": True} | changes)
    with torch.no_grad():
        for parameter in model.norms.parameters():
            parameter += 0.2 * torch.randn(parameter.shape)
    return model.eval()


def sequence():
    return torch.randn(B, T, INPUTS, generator=torch.Generator().manual_seed(1))


def normalized(x, norm):
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, correction=0)
    return norm.weight * (x - mean) / torch.sqrt(variance + 1e-5) + norm.bias


def by_hand(model, cell):
    norms, p = model.norms["l0"], model.rnn
    h = c = torch.zeros(B, H)
    for x in sequence().unbind(1):
        from_x = normalized(x @ p.weight_ih_l0.T, norms.inputs) + p.bias_ih_l0
        from_h = normalized(h @ p.weight_hh_l0.T, norms.state) + p.bias_hh_l0
        if cell == "rnn":
            h = torch.tanh(from_x + from_h)
        elif cell == "gru":
            (rx, zx, nx), (rh, zh, nh) = from_x.chunk(3, 1), from_h.chunk(3, 1)
            r, z = torch.sigmoid(rx + rh), torch.sigmoid(zx + zh)
            h = (1 - z) * torch.tanh(nx + r * nh) + z * h
        else:
            i, f, g, o = (from_x + from_h).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(normalized(c, norms.cell))
    return h


@pytest.mark.parametrize("cell", CELLS)
def test_one_layer_is_what_the_equations_say(cell):
    model = network(cell)
    torch.testing.assert_close(model(sequence()), model.output(by_hand(model, cell)))


@pytest.mark.parametrize("cell", CELLS)
def test_the_scale_of_inputs_and_of_weights_does_not_matter(cell):
    model = network(cell)
    before = model(sequence())
    with torch.no_grad():
        model.rnn.weight_ih_l0 *= 50
        model.rnn.weight_hh_l0 *= 50
    torch.testing.assert_close(model(sequence()), before, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("cell", "is_bidirectional", "readout"), [*itertools.product(CELLS, (False, True), ("last", "mean"))]
)
def test_series_of_unequal_lengths_are_read_as_if_each_were_alone(cell, is_bidirectional, readout):
    model = network(cell, num_layers=2, bidirectional=is_bidirectional, readout=readout)
    lengths = (5, 2, 3)
    together = model(sequence(), torch.tensor(lengths))
    alone = torch.cat([model(sequence()[i : i + 1, :length]) for i, length in enumerate(lengths)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_every_weight_is_trained(cell):
    model = network(cell, num_layers=2, bidirectional=True).train()
    model(sequence()).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert not model.is_fused(torch.device("cpu"))
    assert isinstance(model.rnn, nn.RNNBase)
