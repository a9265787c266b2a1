"""Initial weights are those of their papers, and leave what they don't speak of as torch has drawn it."""

import pytest
import torch

from rnnexp.models import RecurrentClassifier

H = 40


def layers(cell, **changes):
    torch.manual_seed(0)
    return RecurrentClassifier(cell, 4, 5, hidden_size=H, num_layers=2, bidirectional=True, **changes).rnn


def named(rnn, start):
    found = {name: weight.detach() for name, weight in rnn.named_parameters() if name.startswith(start)}
    assert len(found) == 4  # two layers, two directions
    return found


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_orthogonal_products_of_states_keep_their_lengths(cell):
    rnn = layers(cell, init="orthogonal")
    for weight in named(rnn, "weight_hh").values():
        for square in weight.split(H):
            torch.testing.assert_close(square @ square.T, torch.eye(H), atol=1e-5, rtol=0)
    plain = layers(cell)
    for start in ("weight_ih", "bias"):
        for name, weight in plain.named_parameters():
            assert not name.startswith(start) or torch.equal(weight, dict(rnn.named_parameters())[name])


def test_an_identity_network_adds_up_its_inputs():
    rnn = layers("rnn", nonlinearity="relu", init="identity")
    assert all(torch.equal(weight, torch.eye(H)) for weight in named(rnn, "weight_hh").values())
    assert all(0.0005 < weight.std() < 0.002 for weight in named(rnn, "weight_ih").values())
    assert not any(weight.any() for name, weight in rnn.named_parameters() if name.startswith("bias"))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_chrono_gates_keep_states_for_one_to_so_many_steps(cell):
    rnn = layers(cell, init="chrono", init_steps=500)
    for name, bias in named(rnn, "bias_ih").items():
        other = dict(rnn.named_parameters())[name.replace("_ih", "_hh")].detach()
        leaves, keeps = (bias + other).split(H)[:2]
        lasts = 1 + keeps.exp()  # 1 / (1 - sigmoid(b)), in steps
        assert 2 <= lasts.min() < 100
        assert 400 < lasts.max() <= 500
        if cell == "lstm":
            torch.testing.assert_close(leaves, -keeps)
    assert all(map(torch.equal, named(rnn, "weight_hh").values(), named(layers(cell), "weight_hh").values()))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_chrono_network_holds_a_state_through_silence(cell):
    """With weights of nothing, what is left of a state after t steps is the gates' alone."""
    rnn = layers(cell, init="chrono", init_steps=1000)
    with torch.no_grad():
        for name, weight in rnn.named_parameters():
            if name.startswith("weight"):
                weight.zero_()
    start = torch.ones(4, 1, H)
    x = torch.zeros(1, 50, 4)
    if cell == "lstm":
        _, (_, end) = rnn(x, (torch.zeros_like(start), start))
    else:
        _, end = rnn(x, start)
    assert end[0].max() > 0.8  # of one whose gate is open for hundreds of steps
    assert end[0].min() < 0.5
