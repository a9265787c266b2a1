"""Padding is never seen: not by a logit, a gradient or a mask of dropout, whatever the cell, direction and readout."""

import itertools

import pytest
import torch
from torch.nn.functional import cross_entropy

from rnnexp.models import LinearClassifier, RecurrentClassifier, unequal

LENGTHS = (1, 7, 4, 9, 2)
CELLS = [("rnn", "torch"), ("rnn", "fused"), ("gru", "torch"), ("gru", "fused"), ("lstm", "torch")]
CELLS += [(cell, "linear") for cell in ("mingru", "minlstm", "lru", "rglru")]
KINDS = list(itertools.product(CELLS, (False, True), ("last", "mean")))
each_kind = pytest.mark.parametrize(("cell", "is_bidirectional", "readout"), KINDS, ids=str)


def network(cell, is_bidirectional, readout, dropout=0.0, num_layers=2):
    torch.manual_seed(0)
    kind, backend = cell
    options = {"nonlinearity": "relu"} if kind == "rnn" else {}
    if backend != "linear":
        options["backend"] = backend
    return (LinearClassifier if backend == "linear" else RecurrentClassifier)(
        cell=kind,
        input_size=3,
        num_classes=4,
        hidden_size=5,
        num_layers=num_layers,
        bidirectional=is_bidirectional,
        dropout=dropout,
        readout=readout,
        **options,
    )


def padded(steps, junk_seed=0, lengths=LENGTHS):
    """Returns the same series, padded with junk to so many steps, and their lengths."""
    x = torch.randn(len(lengths), steps, 3, generator=torch.Generator().manual_seed(junk_seed)) * 5
    own = torch.Generator().manual_seed(7)
    for one, length in zip(x, lengths, strict=True):
        one[:length] = torch.randn(length, 3, generator=own)
    return x, torch.tensor(lengths)


def gradients(model, logits, labels):
    model.zero_grad()
    cross_entropy(logits.float(), labels, reduction="sum").backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


@each_kind
def test_a_batch_is_what_each_series_is_alone(cell, is_bidirectional, readout):
    model, (x, lengths) = network(cell, is_bidirectional, readout), padded(9)
    labels = torch.tensor([0, 1, 2, 3, 0])
    together = model(x, lengths)
    of_batch = gradients(model, together, labels)
    alone = torch.cat([model(x[i : i + 1, :length]) for i, length in enumerate(LENGTHS)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    for one, other in zip(of_batch, gradients(model, alone, labels), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@each_kind
def test_what_the_padding_holds_changes_no_bit(cell, is_bidirectional, readout):
    model = network(cell, is_bidirectional, readout, dropout=0.4).train()
    labels = torch.tensor([0, 1, 2, 3, 0])
    found = []
    for junk_seed in (0, 1):
        torch.manual_seed(3)
        logits = model(*padded(12, junk_seed))
        found.append([logits, *gradients(model, logits, labels)])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@each_kind
def test_how_much_padding_there_is_changes_no_mask_of_dropout(cell, is_bidirectional, readout):
    """Of the first that is drawn: between two layers, or after a block."""
    num_layers = 1 if cell[1] == "linear" else 2
    model = network(cell, is_bidirectional, readout, dropout=0.4, num_layers=num_layers).train()
    found = []
    for steps in (9, 30):
        torch.manual_seed(3)
        found.append(model(*padded(steps)))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)
    torch.manual_seed(4)
    assert not torch.allclose(found[0], model(*padded(9)), atol=1e-3)  # dropout there is


@each_kind
def test_in_bfloat16_a_batch_is_what_each_series_is_alone(cell, is_bidirectional, readout):
    model, (x, lengths) = network(cell, is_bidirectional, readout), padded(9)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            together = model(x, lengths)
            alone = torch.cat([model(x[i : i + 1, :length]) for i, length in enumerate(LENGTHS)])
    except RuntimeError as error:
        pytest.skip(f"no bfloat16 here: {error}")
    assert together.dtype == torch.bfloat16
    torch.testing.assert_close(together, alone, rtol=0.05, atol=0.02)


def test_a_length_of_all_steps_is_the_network_without_lengths():
    for kind in KINDS:
        model, (x, _) = network(*kind), padded(6, lengths=(6, 6, 6))
        torch.testing.assert_close(model(x, torch.tensor([6, 6, 6])), model(x), rtol=1e-5, atol=1e-6)


def test_the_last_state_and_the_mean_are_each_series_own():
    out_BTH = torch.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    lengths = torch.tensor([1, 3])
    assert unequal.last(out_BTH, lengths, is_bidirectional=False).tolist() == [[0, 1, 2, 3], [20, 21, 22, 23]]
    assert unequal.last(out_BTH, lengths, is_bidirectional=True).tolist() == [[0, 1, 2, 3], [20, 21, 14, 15]]
    assert unequal.mean(out_BTH, lengths).tolist() == [[0, 1, 2, 3], [16, 17, 18, 19]]
