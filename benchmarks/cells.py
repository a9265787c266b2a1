"""A training step of GRU and tanh RNN: the fused layers beside torch's own, at several sizes, in one process.

One layer on 28 steps of 28 features, forward and backward, from one final state, at one thread and at all cores.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import torch
from bench import Row
from torch import nn
from tqdm import tqdm

from hydra_sweep.machine import num_physical_cores
from rnnexp.models import fused
from rnnexp.training import machine

HIDDEN_SIZES = (16, 32, 64, 100, 256)
BATCH_SIZES = (64, 256)
STEPS = 8  # of one kind before the other takes its turn


def measure(rounds: int = 7) -> Iterator[Row]:
    machine.keep_memory()  # helps torch's layers, too
    cases = [
        (cell, hidden, batch, threads, precision)
        for threads in sorted({1, num_physical_cores()})
        for precision in ("fp32", "bf16")
        for cell in (nn.GRU, nn.RNN)
        for hidden in HIDDEN_SIZES
        for batch in BATCH_SIZES
    ]
    for cell, hidden, batch, threads, precision in tqdm(cases, "cells", disable=None):
        torch.set_num_threads(threads)
        layer, x_BTI = cell(28, hidden, batch_first=True), torch.randn(batch, 28, 28)
        ours, theirs = [], []
        for number in range(rounds + 1):
            pair = (step_ms(layer, x_BTI, precision, is_fused=True), step_ms(layer, x_BTI, precision, is_fused=False))
            if number:
                ours.append(pair[0])
                theirs.append(pair[1])
        yield Row(
            f"{cell.__name__} step, hidden {hidden}, batch {batch}, {threads} thread{'s' * (threads > 1)}, {precision}",
            f"torch's nn.{cell.__name__}",
            "ms",
            ours,
            theirs,
            goal=1.5 if hidden <= 100 and precision == "fp32" else None,
        )


def step_ms(layer: nn.RNNBase, x_BTI: torch.Tensor, precision: str, is_fused: bool) -> float:
    times = []
    for _ in range(STEPS):
        began = time.perf_counter()
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            _, h_LBH = fused.run(layer, x_BTI) if is_fused else layer(x_BTI)
        h_LBH.float().sum().backward()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)
