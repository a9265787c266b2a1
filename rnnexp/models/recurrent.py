"""The recurrent classifier.

Shapes: B batch, T time, I input features, H hidden, D directions (1 or 2), O classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rnnexp.models import fused, unequal
from rnnexp.models.initial import initialize
from rnnexp.models.normalized import Normalized

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentClassifier(nn.Module):
    """Reads a sequence with a stack of recurrent layers and classifies what they end with.

    Args:
        cell: rnn, gru or lstm.
        input_size: I, features of each time step.
        num_classes: O.
        hidden_size: H, of each layer and direction.
        dropout: probability of dropping an output between two layers.
        readout: `last` classifies the final hidden state of the top layer (of each direction: what it holds once it has
            read the whole sequence); `mean` classifies the mean of the top layer's outputs over time.
        nonlinearity: tanh or relu, of cell rnn alone.
        init: initial weights, as `initial.initialize` has them.
        init_steps: for `init=chrono`.
        layer_norm: the cells are those of `normalized`.
        backend: `torch` steps the layers by torch's code, `fused` GRU and RNN by ours, which agrees within rounding;
            `auto` by the one that benchmarks/cells.py found faster on the input's device.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        num_classes: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool = False,
        dropout: float = 0.0,
        readout: str = "last",
        nonlinearity: str | None = None,
        backend: str = "torch",  # records without a key were made with these
        init: str = "torch",
        init_steps: int | None = None,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        if backend == "fused" and cell not in ("gru", "rnn"):
            raise ValueError(f"backend=fused has gru and rnn, not {cell}")
        options = {} if nonlinearity is None else {"nonlinearity": nonlinearity}
        self.rnn = CELLS[cell](
            input_size,
            hidden_size,
            num_layers,
            batch_first=True,
            dropout=dropout if num_layers > 1 else 0.0,
            bidirectional=bidirectional,
            **options,
        )
        initialize(self.rnn, init, init_steps)
        self.norms = Normalized(self.rnn) if layer_norm else None
        self.readout = readout
        self.backend = backend
        self.output = nn.Linear(hidden_size * (2 if bidirectional else 1), num_classes)

    def forward(self, x_BTI: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Returns logits of shape (B, O).

        Args:
            lengths_B: where sequences are padded at their ends, how many steps of each are its own.
        """
        if self.norms is not None and lengths_B is None:
            lengths_B = torch.full((len(x_BTI),), x_BTI.shape[1], device=x_BTI.device)
        if lengths_B is not None:
            own = self.norms.direction if self.norms is not None else None
            out_BTH = unequal.run(self.rnn, x_BTI, lengths_B, self.is_fused(x_BTI.device), own)
            if self.readout == "mean":
                return self.output(unequal.mean(out_BTH, lengths_B))  # type: ignore[no-any-return]
            return self.output(unequal.last(out_BTH, lengths_B, self.rnn.bidirectional))  # type: ignore[no-any-return]
        out_BTDH, state = fused.run(self.rnn, x_BTI) if self.is_fused(x_BTI.device) else self.rnn(x_BTI)
        if self.readout == "mean":
            return self.output(out_BTDH.mean(1))  # type: ignore[no-any-return]
        h_LDBH = state[0] if isinstance(state, tuple) else state  # an LSTM's state is (hidden, cell)
        num_directions = 2 if self.rnn.bidirectional else 1
        h_BDH = h_LDBH[-num_directions:].transpose(0, 1).flatten(1)
        return self.output(h_BDH)  # type: ignore[no-any-return]

    def is_fused(self, device: torch.device) -> bool:
        """Returns whether the layers step by `fused` there: on a CPU it was faster at every size that was measured."""
        if self.norms is not None:
            return False
        if self.backend == "auto":
            return device.type == "cpu" and fused.covers(self.rnn)
        return self.backend == "fused"
