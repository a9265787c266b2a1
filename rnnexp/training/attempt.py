"""One attempt at a run: what it computes, and where. A run that is resumed has several."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig

import rnnexp
from hydra_sweep import sources
from hydra_sweep.machine import num_physical_cores
from rnnexp.record.result import RunResult, Status
from rnnexp.schema.config import plain_config
from rnnexp.schema.identity import computed, fingerprint
from rnnexp.training import machine
from rnnexp.training.precision import Precision


@dataclass(frozen=True)
class Attempt:
    """What is settled before the first step; nothing of it changes any more.

    Args:
        number: 1 for the first.
        cfg: the checked configuration, read-only.
        config: the same as plain values.
        choices: the group options behind it.
        is_stacked: whether its steps are computed by `steps.in_one_program`, as far as that knows the network.
        begun_in: the precision that the run was begun in, if it is resumed: it goes on in that, whatever `auto` would
            choose by now.
        num_epochs: that earlier attempts have finished.
        environment: versions, commit and machine.
    """

    number: int
    cfg: DictConfig
    config: dict[str, Any]
    choices: dict[str, str]
    device: torch.device
    threads: int
    is_stacked: bool
    begun_in: str | None
    num_epochs: int
    environment: dict[str, Any]

    @classmethod
    def begin(
        cls, cfg: DictConfig, checkpoint: Mapping[str, Any] | None, choices: Mapping[str, str], is_stacked: bool = False
    ) -> Attempt:
        """Sets up torch, and returns the attempt that goes on from the checkpoint, or from nothing.

        Args:
            is_stacked: of a run that begins; one that goes on stays what it was, so that resuming is exact.
        """
        device, threads = machine.pick_device(cfg.train.device), cfg.train.threads or num_physical_cores()
        torch.set_num_threads(threads)
        if device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
            machine.allow_tf32(cfg.train.precision == "tf32")
        config = plain_config(cfg)
        return cls(
            number=checkpoint["attempt"] + 1 if checkpoint else 1,
            cfg=cfg,
            config=config,
            choices=dict(choices),
            device=device,
            threads=threads,
            is_stacked=checkpoint.get("is_stacked", False) if checkpoint else is_stacked,
            begun_in=(checkpoint.get("precision") or cfg.train.precision) if checkpoint else None,
            num_epochs=checkpoint["trainer"]["progress"]["epoch"] if checkpoint else 0,
            environment=machine.environment() | {"own_code": sources.versions(computed(config), rnnexp.__path__)},
        )

    def result(
        self,
        status: Status,
        reason: str | None,
        metrics: Mapping[str, float],
        dataset: Mapping[str, Any],
        precision: Precision | None,
        is_stacked: bool,
    ) -> RunResult:
        """Returns how the attempt ended, now.

        Args:
            dataset: what is to be recorded of it.
            precision: None if it ended before one was chosen.
            is_stacked: whether its steps were computed by `steps.in_one_program`.
        """
        asked = self.begun_in or self.cfg.train.precision
        return RunResult(
            status=status,
            reason=reason,
            metrics=dict(metrics),
            seed=self.cfg.seed,
            attempt=self.number,
            choices=self.choices,
            config=self.config,
            dataset=dict(dataset),
            fingerprint=fingerprint(self.config, dataset),
            device=str(self.device),
            threads=self.threads,
            precision=precision.name if precision else asked,
            precision_reason=precision.reason if precision else "",
            is_stacked=is_stacked,
            environment=self.environment | {"ended": machine.now()},
        )
