"""The classifier of linear recurrent cells: residual blocks, each of which mixes over time and then over features.

Shapes: B batch, T time, I input features, H hidden, D directions (1 or 2), O classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, glu

from rnnexp.models import unequal
from rnnexp.models.lru import Lru
from rnnexp.models.minimal import MinGru, MinLstm
from rnnexp.models.rglru import RgLru

CELLS: dict[str, Callable[..., nn.Module]] = {"mingru": MinGru, "minlstm": MinLstm, "lru": Lru, "rglru": RgLru}


class LinearClassifier(nn.Module):
    """Reads a sequence with a stack of residual blocks of linear recurrent cells and classifies what they end with.

    Args:
        cell: mingru, minlstm, lru or rglru.
        input_size: I, features of each time step.
        num_classes: O.
        hidden_size: H, of each block's inputs, states and outputs.
        dropout: probability of dropping what a block adds.
        readout: `last` classifies the last block's final outputs (of each direction: where it has read the whole
            sequence); `mean` the mean of its outputs over time.
        more: of the cell.
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
        **more: Any,
    ) -> None:
        super().__init__()
        self.encoder = nn.Linear(input_size, hidden_size)
        self.blocks = nn.ModuleList(Block(cell, hidden_size, bidirectional, dropout, **more) for _ in range(num_layers))
        self.norm = nn.LayerNorm(hidden_size)
        self.readout, self.bidirectional = readout, bidirectional
        self.output = nn.Linear(hidden_size * (2 if bidirectional and readout == "last" else 1), num_classes)

    def forward(self, x_BTI: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Returns logits of shape (B, O).

        Args:
            lengths_B: where sequences are padded at their ends, how many steps of each are its own.
        """
        if lengths_B is None:
            lengths_B = torch.full((len(x_BTI),), x_BTI.shape[1], device=x_BTI.device)
        x_TBH = self.encoder(x_BTI.transpose(0, 1))
        back_TB = unequal.backward_order(x_BTI.shape[1], lengths_B) if self.bidirectional else None
        for block in self.blocks:
            x_TBH = block(x_TBH, back_TB)
        out_BTH = self.norm(x_TBH).transpose(0, 1)
        if self.readout == "mean":
            return self.output(unequal.mean(out_BTH, lengths_B))  # type: ignore[no-any-return]
        if self.bidirectional:
            out_BTH = torch.cat([out_BTH, out_BTH], 2)
        return self.output(unequal.last(out_BTH, lengths_B, self.bidirectional))  # type: ignore[no-any-return]


class Block(nn.Module):
    """x + f(LayerNorm(x)), where f is the cell, in one direction or two, and a product by W over features.

    That of an LRU is gated by its own outputs (GLU), that of an RG-LRU by a branch of its own, as their papers have it.
    """

    def __init__(self, cell: str, size: int, bidirectional: bool, dropout: float, **more: Any) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.cells = nn.ModuleList(CELLS[cell](size, **more) for _ in range(2 if bidirectional else 1))
        self.is_glu, self.is_branched = cell == "lru", cell == "rglru"
        self.branches = nn.Linear(size, 2 * size) if self.is_branched else None
        self.mix = nn.Linear(size * len(self.cells), size * (2 if self.is_glu else 1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_TBH: Tensor, back_TB: Tensor | None) -> Tensor:
        """Returns a block's outputs.

        Args:
            back_TB: which step the second direction reads when.
        """
        read_TBH, gate_TBH = self.norm(x_TBH), None
        if self.branches is not None:
            read_TBH, gate_TBH = self.branches(read_TBH).chunk(2, -1)
        outs = [self.cells[0](read_TBH)]
        if back_TB is not None:
            outs.append(unequal.reorder(self.cells[1](unequal.reorder(read_TBH, back_TB)), back_TB))
        if gate_TBH is not None:
            outs = [out_TBH * gelu(gate_TBH) for out_TBH in outs]
        out_TBH = torch.cat(outs, -1)
        added_TBH = glu(self.mix(gelu(out_TBH))) if self.is_glu else self.mix(out_TBH)
        return x_TBH + self.dropout(added_TBH)  # type: ignore[no-any-return]
