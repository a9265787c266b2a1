"""Work inside somebody else's process, a notebook's, a test's or an app's: what it needs for itself, it puts back.

Hydra, torch and the log are one for the whole process. So there is one run at a time, whichever threads ask for them:
dropout draws from torch's one generator, and two runs at once would draw each other's numbers. Many runs at once are a
sweep, whose workers are processes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime

TURN = threading.RLock()  # a callback may run something itself


@contextmanager
def composing() -> Iterator[None]:
    """Gives this thread Hydra's global state, empty, and puts back what was there."""
    with TURN:
        found, config, job = GlobalHydra.instance(), HydraConfig.instance(), JobRuntime.instance()
        before = found.hydra, config.cfg, job.conf.copy()
        found.clear()
        try:
            yield
        finally:
            found.hydra, config.cfg, job.conf = before


@contextmanager
def running() -> Iterator[None]:
    """Gives this thread torch's global state as a process of its own would find it, and puts back what was there."""
    import torch

    with TURN:
        device, threads = torch.get_default_device(), torch.get_num_threads()
        dtype, products = torch.get_default_dtype(), torch.get_float32_matmul_precision()
        is_tf32 = torch.backends.cudnn.allow_tf32
        is_deterministic = torch.are_deterministic_algorithms_enabled()
        only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
        gpus = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
        with torch.random.fork_rng(gpus), torch.inference_mode(False), torch.enable_grad():
            try:
                if device.type != "cpu":
                    torch.set_default_device(None)
                torch.set_default_dtype(torch.float32)
                torch.set_float32_matmul_precision("highest")
                torch.use_deterministic_algorithms(False)
                yield
            finally:
                if device.type != "cpu":
                    torch.set_default_device(device)
                torch.set_default_dtype(dtype)
                torch.set_float32_matmul_precision(products)
                torch.backends.cudnn.allow_tf32 = is_tf32
                torch.use_deterministic_algorithms(is_deterministic, warn_only=only_warns)
                torch.set_num_threads(threads)


@contextmanager
def optuna_as_found() -> Iterator[None]:
    """Lets what is imported meanwhile silence Optuna's log for itself, and not for the whole process."""
    import optuna

    level = optuna.logging.get_verbosity()
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


@contextmanager
def logging_to_file(asked: Any) -> Iterator[None]:
    """Writes what a run says into its own log, and nowhere that it would not have gone without.

    Args:
        asked: `hydra.job_logging`, of which the handler `file` counts; there may be none.
    """
    node = (asked.get("handlers") or {}).get("file")
    if not node:
        yield
        return
    file = logging.FileHandler(node.filename, encoding="utf-8", delay=True)
    file.setFormatter(logging.Formatter(asked.formatters[node.formatter].format))
    level = (asked.get("root") or {}).get("level", "INFO")
    complains, logging.raiseExceptions = logging.raiseExceptions, False  # a full disk is reported where it matters
    loggers = [logging.getLogger(name) for name in ("rnnexp", "hydra_sweep")]
    before = [(logger, logger.level, logger.handlers, logger.propagate) for logger in loggers]
    try:
        for logger in loggers:
            logger.handlers, logger.propagate = [_AsBefore(logger), file], False
            logger.setLevel(level)
        yield
    finally:
        for logger, old_level, handlers, propagates in before:
            logger.setLevel(old_level)
            logger.handlers, logger.propagate = handlers, propagates
        file.close()
        logging.raiseExceptions = complains


class _AsBefore(logging.Handler):
    """Hands records to the handlers that would have got them before the logger's level was lowered."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger.getEffectiveLevel())
        self.own, self.above = logger.handlers, logger.parent if logger.propagate else None

    def emit(self, record: logging.LogRecord) -> None:
        for handler in self.own:
            if record.levelno >= handler.level:
                handler.handle(record)
        if self.above:
            self.above.callHandlers(record)
