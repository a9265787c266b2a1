"""The classifier against steps written by hand from the cells' published equations."""

from functools import partial

import pytest
import torch
from torch import nn

from rnnexp.models import RecurrentClassifier, fused

B, T, INPUTS, H, CLASSES = 3, 5, 4, 6, 10


def classifier(cell, **changes):
    torch.manual_seed(0)
    settings = {"hidden_size": H, "num_layers": 1} | changes
    return RecurrentClassifier(cell, INPUTS, CLASSES, **settings).eval()


def sequence():
    return torch.randn(B, T, INPUTS, generator=torch.Generator().manual_seed(1))


def elman(x, h, p, activation):
    return activation(x @ p("weight_ih").T + p("bias_ih") + h @ p("weight_hh").T + p("bias_hh"))


def gru(x, h, p):
    """Cho et al. 2014, arXiv:1406.1078, in the form of torch's documentation."""
    (ri, zi, ni), (rh, zh, nh) = (a.chunk(3, 1) for a in gates(x, h, p))
    r, z = torch.sigmoid(ri + rh), torch.sigmoid(zi + zh)
    return (1 - z) * torch.tanh(ni + r * nh) + z * h


def lstm(x, h, c, p):
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000."""
    i, f, g, o = sum(gates(x, h, p)).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gates(x, h, p):
    return x @ p("weight_ih").T + p("bias_ih"), h @ p("weight_hh").T + p("bias_hh")


def by_hand(model, cell, x_BTI, suffix="l0", nonlinearity=torch.tanh):
    """Returns all outputs (B, T, H) of one layer and direction, step by step."""
    h = c = torch.zeros(len(x_BTI), H)
    outputs = []
    for x in x_BTI.unbind(1):

        def p(name):
            return getattr(model.rnn, f"{name}_{suffix}")

        if cell == "rnn":
            h = elman(x, h, p, nonlinearity)
        elif cell == "gru":
            h = gru(x, h, p)
        else:
            h, c = lstm(x, h, c, p)
        outputs.append(h)
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("readout", ["last", "mean"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_one_layer_is_what_the_equations_say(cell, readout):
    model = classifier(cell, readout=readout)
    outputs = by_hand(model, cell, sequence())
    h_BH = outputs[:, -1] if readout == "last" else outputs.mean(1)
    torch.testing.assert_close(model(sequence()), h_BH @ model.output.weight.T + model.output.bias)


def test_a_plain_network_takes_relu_too():
    model = classifier("rnn", nonlinearity="relu")
    outputs = by_hand(model, "rnn", sequence(), nonlinearity=torch.relu)
    torch.testing.assert_close(model(sequence()), model.output(outputs[:, -1]))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_second_layer_reads_the_first(cell):
    model = classifier(cell, num_layers=2)
    outputs = by_hand(model, cell, by_hand(model, cell, sequence()), "l1")
    torch.testing.assert_close(model(sequence()), model.output(outputs[:, -1]))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_last_state_of_either_direction_has_read_the_whole_sequence(cell):
    model = classifier(cell, bidirectional=True)
    forward = by_hand(model, cell, sequence())[:, -1]
    backward = by_hand(model, cell, sequence().flip(1), "l0_reverse")[:, -1]
    torch.testing.assert_close(model(sequence()), model.output(torch.cat([forward, backward], 1)))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_last_reads_the_top_layers_two_ends(cell):
    model = classifier(cell, num_layers=2, bidirectional=True)
    outputs, _ = model.rnn(sequence())
    ends = torch.cat([outputs[:, -1, :H], outputs[:, 0, H:]], 1)
    torch.testing.assert_close(model(sequence()), model.output(ends))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_batch_of_one_gives_what_it_gives_among_others(cell, bidirectional):
    model = classifier(cell, num_layers=2, bidirectional=bidirectional)
    torch.testing.assert_close(model(sequence()[:1]), model(sequence())[:1])
    assert model(sequence()[:1]).shape == (1, CLASSES)


@pytest.mark.parametrize(("cell", "num_gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_the_number_of_parameters_is_the_formulas(cell, num_gates):
    model = classifier(cell, num_layers=2)
    first, second = num_gates * H * (INPUTS + H + 2), num_gates * H * (H + H + 2)
    assert sum(p.numel() for p in model.parameters()) == first + second + H * CLASSES + CLASSES


def test_dropout_acts_between_layers_while_training_alone():
    model = classifier("gru", num_layers=2, dropout=0.5)
    x = sequence()
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))
    single = classifier("gru", dropout=0.5).train()  # there is nothing between layers to drop
    assert torch.equal(single(x), single(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("cell", "changes"),
    [
        ("gru", {}),
        ("rnn", {}),
        ("rnn", {"nonlinearity": "relu"}),
        ("gru", {"num_layers": 3, "bidirectional": True, "dropout": 0.4}),
        ("rnn", {"num_layers": 2, "bidirectional": True, "dropout": 0.4, "readout": "mean"}),
        ("gru", {"num_layers": 2, "readout": "mean"}),
    ],
)
def test_the_fused_layers_equal_torchs_within_rounding_forward_and_backward(cell, changes, dtype, monkeypatch):
    monkeypatch.setattr(fused, "BLOCK_FLOATS", 4 * B * H)  # several blocks of steps, the last one shorter
    logits, gradients, draws = [], [], []
    for backend in ("torch", "fused"):
        model = classifier(cell, backend=backend, **changes).to(dtype).train()
        x_BTI = torch.randn(B, 11, INPUTS, dtype=dtype, requires_grad=True, generator=torch.Generator().manual_seed(1))
        torch.manual_seed(2)  # of dropout
        logits.append(model(x_BTI))
        draws.append(torch.rand(1))
        torch.nn.functional.cross_entropy(logits[-1], torch.arange(B)).backward()
        gradients.append([x_BTI.grad, *(p.grad for p in model.parameters())])
    tolerance = {"atol": 1e-6 if dtype == torch.float32 else 1e-14, "rtol": 1e-6 if dtype == torch.float32 else 1e-12}
    torch.testing.assert_close(*logits, **tolerance)
    torch.testing.assert_close(*gradients, **tolerance)
    torch.testing.assert_close(*draws)  # dropout has drawn as often


class Fused(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x_BTI):
        return fused.run(self.layer, x_BTI)


@pytest.mark.parametrize("module", [nn.GRU, nn.RNN, partial(nn.RNN, nonlinearity="relu")])
def test_the_fused_gradients_are_those_of_finite_differences(module, monkeypatch):
    monkeypatch.setattr(fused, "BLOCK_FLOATS", 12)
    torch.manual_seed(0)
    layer = Fused(module(2, 3, batch_first=True).double())
    names, weights = zip(*layer.named_parameters(), strict=True)
    x_BTI = torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)

    def outputs(x_BTI, *weights):
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), x_BTI)

    assert torch.autograd.gradcheck(outputs, (x_BTI, *weights))


def test_under_autocast_the_fused_layers_are_as_near_to_fp32_as_torchs():
    x_BTI = torch.randn(64, 28, INPUTS, generator=torch.Generator().manual_seed(1))
    for cell in ("gru", "rnn"):
        exact, *rounded = (classifier(cell, hidden_size=32, backend=b) for b in ("torch", "torch", "fused"))
        expected = exact(x_BTI)
        with torch.autocast("cpu", torch.bfloat16):
            errors = [(model(x_BTI).float() - expected).abs().mean().item() for model in rounded]
        assert 0 < errors[1] < 1.5 * errors[0]


def test_the_backend_is_ours_on_a_cpu_where_it_is_faster_and_torchs_elsewhere():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert [classifier(c, backend="auto").is_fused(cpu) for c in ("rnn", "gru", "lstm")] == [True, True, False]
    assert not classifier("gru", backend="auto").is_fused(cuda)
    assert not classifier("gru", backend="torch").is_fused(cpu)
    assert classifier("gru", backend="fused").is_fused(cuda)
    with pytest.raises(ValueError, match="backend=fused has gru and rnn, not lstm"):
        classifier("lstm", backend="fused")
