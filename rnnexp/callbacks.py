"""Hooks: what is told of a run while it trains, be it yours or a tracker's.

    class Bell(Callback):
        def on_epoch(self, row, run):
            print(f"{run.name}: {row['valid_accuracy']:.3f}")

By configuration, in runs, sweeps and comparisons: `callbacks=[{_target_:mine.Bell}]`, with its arguments as further
keys. From Python: `rnnexp.run({"model": "gru"}, callbacks=[Bell()])`.

A callback watches. It is handed copies, so that it can change neither the run nor its record; it is called in the
run's own thread, which waits for it. What it raises is one line in the log, and the run goes on to the same bits. It is
no part of what is computed: with it or without, a run has the same fingerprint and goes on from the same checkpoint.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hydra_sweep.errors import UserError, describe_error
from rnnexp.record.labels import Labels
from rnnexp.record.result import RunResult
from rnnexp.record.run_folder import RunFolder

Row = Mapping[str, float]  # one epoch, as history.csv has it
log = logging.getLogger("rnnexp")


@dataclass(frozen=True)
class RunView:
    """What a callback sees of its run.

    Args:
        folder: of its record: history.csv, run.log and, once it has ended, result.json.
        name: `first`, or of a trial the sweep's and its own, `my-search/3`.
        config: all keys, resolved, as plain values.
        choices: which option of each group is behind it.
        sweep: of a trial: the name of its sweep.
        tags, notes: as they are when the run begins.
        history: the epochs that have finished already when the run goes on from a checkpoint; `on_epoch` does not hear
            of them again.
        ended: when the last of them ended, in seconds since 1970, if that is known.
    """

    folder: Path
    name: str
    seed: int
    config: Mapping[str, Any]
    choices: Mapping[str, str]
    sweep: str | None = None
    tags: tuple[str, ...] = ()
    notes: str | None = None
    history: tuple[Row, ...] = ()
    ended: float | None = None

    @classmethod
    def of(
        cls,
        folder: RunFolder,
        config: Mapping[str, Any],
        choices: Mapping[str, str],
        labels: Labels,
        trial: str | None,
    ) -> RunView:
        """Returns the view of a run without its history.

        Args:
            config: as plain values.
            trial: of one of many, its folder below the sweep's; `name` is the sweep's then.
        """
        name = str(config["name"])
        return cls(
            folder=folder.path,
            name=name if trial is None else f"{name}/{trial}",
            seed=config["seed"],
            config=config,
            choices=dict(choices),
            sweep=None if trial is None else name,
            tags=labels.tags,
            notes=labels.notes,
        )

    @property
    def is_trial(self) -> bool:
        """Whether it is one of many, of a grid or a search."""
        return self.sweep is not None


def numeric(rows: Iterable[Mapping[str, str]]) -> tuple[Row, ...]:
    """Returns the epochs of a history as numbers. Raises: ValueError if a cell is none."""
    return tuple({name: float(text) for name, text in row.items()} for row in rows)


def recorded_rows(folder: RunFolder) -> tuple[Row, ...]:
    """Returns the epochs in history.csv, as far as they can be read."""
    try:
        return numeric(folder.read_history())
    except ValueError as error:
        log.warning("%s: %s", folder.path, error)
        return ()


class Callback:
    """What is told of a run. Override what you need."""

    def on_start(self, run: RunView) -> None:
        """Is told before the first epoch, or before the first one after a stop."""

    def on_epoch(self, row: Row, run: RunView) -> None:
        """Is told of each epoch once history.csv has its row.

        Args:
            row: `epoch`, `lr`, `train_loss`, `train_accuracy`, `valid_loss`, `valid_accuracy`, `valid_NAME` of each of
                `metrics`, `epoch_seconds`. Losses are in nats per example, accuracies in [0, 1]; what is not measured
                is NaN.
        """

    def on_end(self, result: RunResult | None, run: RunView) -> None:
        """Is told once the run has ended and result.json has it; again if the same command is typed again.

        Args:
            result: how it ended; None if it was stopped and can go on.
        """

    def problem(self, error: BaseException, run: RunView) -> str:
        """Returns the line in the log about what one of these has raised; only the first one is told."""
        return f"callback {type(self).__name__}: {describe_error(error)}; the run goes on"


class Callbacks:
    """All callbacks of one run, none of which can harm it."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = list(callbacks)
        self.views: list[RunView] = []  # a copy for each; none before the run begins
        self.failed: set[int] = set()  # those whose line is in the log

    def start(self, run: RunView) -> None:
        self.views = [copy.deepcopy(run) for _ in self.callbacks]
        self._tell("on_start")

    def epoch(self, row: Row) -> None:
        self._tell("on_epoch", row)

    def end(self, result: RunResult | None) -> None:
        """Tells that the run has ended, if it has begun."""
        self._tell("on_end", result)

    def _tell(self, method: str, *about: Any) -> None:
        for number, view in enumerate(self.views):
            callback = self.callbacks[number]
            try:
                getattr(callback, method)(*copy.deepcopy(about), view)
            except (Exception, SystemExit) as error:  # a user's own code, or a tracker's, whatever it raises
                log.debug("callback %s", callback, exc_info=True)
                if number not in self.failed:
                    self.failed.add(number)
                    log.warning("%s", _problem(callback, error, view))


def _problem(callback: Callback, error: BaseException, run: RunView) -> str:
    try:
        return callback.problem(error, run)
    except Exception:  # which may be a user's own, too
        return Callback.problem(callback, error, run)


def configured(cfg: DictConfig) -> Iterator[Callback]:
    """Yields the callbacks that a configuration names: `tracker`, and each of `callbacks`.

    Raises:
        UserError: one can't be made, or is none.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    nodes = {f"callbacks[{number}]": node for number, node in enumerate(cfg.callbacks)}
    if cfg.tracker is not None:
        nodes["tracker"] = cfg.tracker
    for key, node in nodes.items():
        try:
            callback = instantiate(OmegaConf.to_container(node, resolve=True), _convert_="all")
        except InstantiationException as error:
            raise UserError(f"{key}: {describe_error(error.__cause__ or error)}") from error
        yield checked(callback, key)


def checked(callback: Any, name: str) -> Callback:
    """Returns a callback. Raises: UserError if it is none."""
    if not isinstance(callback, Callback):
        raise UserError(f"{name} must be a rnnexp.callbacks.Callback, got {type(callback).__name__}")
    return callback
