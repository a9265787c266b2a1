"""The verbs from Python: `rnnexp.run`, `rnnexp.sweep`, `rnnexp.compare` and `rnnexp.load`.

    import rnnexp

    run = rnnexp.run({"model": "gru", "train.epochs": 3}, name="first")
    sweep = rnnexp.sweep(search="quick", name="look")
    comparison = rnnexp.compare(arms="model", name="cells")

They do what the commands do: the same checks with the same words, the same records in the same folders, so that either
goes on with what the other has begun. A run is trained in this process; a sweep and a comparison are the very commands,
in processes of their own (`child.py` says why), and this one waits for them and shows how far they are.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra_sweep.errors import UserError
from rnnexp.bars import are_shown, bar, hidden
from rnnexp.overrides import Overrides, as_arms, as_overrides, as_space, literal
from rnnexp.views import Comparison, Run, Sweep, at

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from rnnexp.callbacks import Callback
    from rnnexp.command_line import CommandLine
    from rnnexp.record.result import RunResult

Folder = str | os.PathLike[str]
log = logging.getLogger("rnnexp")


def run(
    overrides: Overrides = None,
    *,
    name: str | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    config_dir: Folder | None = None,
    outputs: Folder | None = None,
    progress: bool | None = None,
) -> Run:
    """Trains one configuration and returns its run, as `rnnexp KEY=VALUE ...` does.

    A loss that is no number is no exception: such a run's status is diverged. Runs of one process wait for one another,
    whichever threads they are asked for in; `sweep` runs many at once.

    Args:
        overrides: as a list, `["model=gru", "optim.lr=0.1"]`, or a dict, nested or with dots:
            `{"model": "gru", "optim": {"lr": 0.1}}`. Groups and keys are those of `rnnexp train --help`.
        name: of its folder, `outputs/runs/NAME`; by default the time.
        resume: goes on from the checkpoint of the run of this name, if there is one; a finished run is returned.
        callbacks: are told of the run, beside those that the configuration names; each a `rnnexp.Callback`.
        config_dir: a folder of your own options: `FOLDER/model/mine.yaml` is then `model=mine`.
        outputs: where `runs/NAME` is made; by default the folder `outputs` of the working directory.
        progress: shows a bar over the epochs; None: in a terminal and in a notebook.

    Raises:
        UserError: a line for each mistake, in the words of the command; nothing has been written.
        KeyboardInterrupt: Ctrl-C, or a notebook's stop button; the checkpoint is written, and `resume=True` goes on. A
            thread other than the main one never hears of it.
        SystemExit: SIGTERM came, with 128 + its number; the checkpoint is written.

    Example::

        run = rnnexp.run({"model": "gru", "train.epochs": 3}, name="first")
        run.metrics["test_accuracy"]
    """
    own = {"name": name, "train.resume": resume or None, "hydra.run.dir": _below(outputs, "runs")}
    words = _with_own(as_overrides(overrides), own)
    from rnnexp import guest
    from rnnexp.callbacks import checked
    from rnnexp.data import loading

    told = [checked(callback, "callbacks") for callback in callbacks]
    with guest.composing():
        typed = _command_line(words, config_dir)
        try:
            if problems := typed.problems():
                raise UserError(problems)
            full = typed.compose([*typed.overrides, "hydra.mode=RUN"])  # as Hydra's own command does
            _train(typed, full, told, progress)
        finally:
            loading.forget()
    return Run(Path(full.hydra.runtime.output_dir), trust=True)


def sweep(
    overrides: Overrides = None,
    *,
    search: str | Mapping[str, Any] | None = None,
    name: str | None = None,
    n_trials: int | None = None,
    workers: int | None = None,
    config_dir: Folder | None = None,
    outputs: Folder | None = None,
    progress: bool | None = None,
) -> Sweep:
    """Runs a grid or a search in parallel workers and returns it, as `rnnexp -m KEY=VALUE ...` does.

    The same call goes on where it stopped: `n_trials` is a total, and finished trials stay.

    Args:
        overrides: see `run`; in a list, several values make a grid or a search: `["model=gru,lstm", "seed=0,1"]`.
        search: an option of the group `search`, such as `"quick"`; or keys with what they may be: a list of values, a
            text of Hydra's grammar, or a distribution of Optuna's. Lists alone make a grid, unless there is `n_trials`:
            `{"model": ["gru", "lstm"], "optim.lr": "tag(log,interval(1e-3,1))"}`. Its key `when` makes parts of it
            follow a choice: `{"when": {"optim=sgd": {"optim.momentum": "interval(0,0.99)"}}}`.
        name: of its folder, `outputs/sweeps/NAME`; by default the time.
        n_trials: of a search, in all.
        workers: at once; by default one for each GPU, else for each physical core.
        config_dir, outputs, progress: see `run`; the bar counts trials, and shows the best so far.

    Raises:
        UserError: a line for each mistake, in the words of the command.
        CommandFailed: no trial ended well, or too many failed; a RuntimeError. The record is there.
        KeyboardInterrupt: Ctrl-C, or a notebook's stop button; running trials have saved their checkpoints, and the
            same call goes on. A second one ends it at once.

    Example::

        sweep = rnnexp.sweep({"model": "gru"}, search={"optim.lr": "tag(log,interval(1e-3,1))"}, n_trials=20, name="lr")
        again = rnnexp.run(["model=gru", *sweep.best_overrides])
    """
    own = {"name": name, "n_trials": n_trials, "workers": workers, "hydra.sweep.dir": _below(outputs, "sweeps")}
    words = _with_own([*as_overrides(overrides), *as_space(search)], own)
    _, full = _composed(words, config_dir, multirun=True)
    if full.n_trials == 0:
        raise UserError("n_trials=0 runs nothing; in a shell it shows the space")
    found = Sweep(Path(full.hydra.sweep.dir).absolute(), trust=True)
    with bar(None, str(full.name), "trial", progress) as shown:
        _complete(["rnnexp", "-m", *_flags(config_dir), *_named(words, full)], lambda: _show_trials(shown, found))
    return found


def compare(
    overrides: Overrides = None,
    *,
    arms: str | Sequence[Any] | None = None,
    data: Sequence[str] | Mapping[str, Any] | None = None,
    name: str | None = None,
    workers: int | None = None,
    config_dir: Folder | None = None,
    outputs: Folder | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Tunes arms alike, judges them on fresh seeds, and returns the comparison, as `rnnexp compare` does.

    The same call goes on where it stopped.

    Args:
        overrides: of all runs, see `run`, and `compare.*`: `{"compare": {"searches": 2, "trials": 10}}`. What there is,
            `rnnexp compare --help` lists.
        arms: a group, of which each option is an arm, such as `"model"`; a list of groups; or a list with the overrides
            of each arm, as text or as a dict: `[{"model": "gru"}, {"model": "lstm", "model.readout": "mean"}]`.
        data: several data sets: options of the group, `["mnist", "fashion_mnist"]`; or names with overrides.
        name: of its folder, `outputs/compare/NAME`; by default the time.
        workers: at once, of all its sweeps together.
        config_dir, outputs, progress: see `run`; the bar counts runs.

    Raises:
        UserError: a line for each mistake, in the words of the command.
        CommandFailed: a search failed; a RuntimeError. The record is there.
        KeyboardInterrupt: see `sweep`.

    Example::

        comparison = rnnexp.compare(arms=["model=gru", "model=lstm"], name="cells")
        print(comparison.verdict)
    """
    own = {"name": name, "workers": workers, "hydra.run.dir": _below(outputs, "compare")}
    words = _with_own([*as_overrides(overrides), *as_arms(arms), *_data(data)], own)
    typed, full = _composed(words, config_dir, is_comparison=True)
    place = Path(full.hydra.run.dir).absolute()
    total = _num_runs(typed, full, place) if are_shown(progress) else None
    found = Comparison(place, trust=True)
    with bar(total, str(full.name), "run", progress) as shown:
        _complete(["rnnexp", "compare", *_flags(config_dir), *_named(words, full)], lambda: _show_runs(shown, place))
    return found


def load(path_or_name: Folder, *, trust: bool = False) -> Run | Sweep | Comparison:
    """Returns the run, the sweep or the comparison in a folder.

    Args:
        path_or_name: the folder; `first` is `outputs/runs/first` as well, `my-search/3` the trial 3 of a search.
        trust: whoever wrote the record: a network that is neither rnnexp's nor torch's is somebody's code, and is built
            by `predict`, `model` and `reproduce` only if it is trusted. What `run` and its like return is.

    Raises:
        UserError: there is none.

    Example::

        rnnexp.load("first").predict("seven.png").classes
    """
    from rnnexp.record.places import find

    return at(find(os.fspath(path_or_name)).absolute(), trust)


def _train(typed: CommandLine, full: DictConfig, told: Sequence[Callback], progress: bool | None) -> None:
    """Runs a composed configuration as Hydra's own command would, but for the log, which stays the process's own."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import run_job
    from hydra.types import HydraContext

    from hydra_sweep.compat import returned
    from hydra_sweep.signals import Interrupted
    from rnnexp import guest
    from rnnexp.compat import Callbacks
    from rnnexp.task import train
    from rnnexp.train import app

    def task(cfg: DictConfig) -> RunResult:
        state = HydraConfig.get()
        with (
            guest.logging_to_file(state.job_logging),
            guest.running(),
            hidden(progress),
            bar(cfg.train.epochs, str(cfg.name), "epoch", progress) as shown,
        ):
            result = train(cfg, lambda row: _show_epoch(shown, row), told)
            log.info("results in %s", state.runtime.output_dir)
        return result

    full.hydra.job.name = app.__module__.rpartition(".")[2]
    callbacks = Callbacks(full)
    callbacks.on_run_start(config=full, config_name=typed.config_name)
    job = run_job(
        task_function=task,
        config=full,
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
        hydra_context=HydraContext(config_loader=typed.hydra.config_loader, callbacks=callbacks),
        configure_logging=False,
    )
    callbacks.on_run_end(config=full, config_name=typed.config_name, job_return=job)
    ended = returned(job)
    if isinstance(ended, Interrupted):
        if ended.signum == signal.SIGINT:
            raise KeyboardInterrupt("stopped; the checkpoint is written, and resume=True goes on") from None
        raise SystemExit(128 + ended.signum)
    if isinstance(ended, BaseException):
        raise ended


def _composed(
    words: list[str], config_dir: Folder | None, *, multirun: bool = False, is_comparison: bool = False
) -> tuple[CommandLine, DictConfig]:
    """Returns a command line and its configuration; the command itself will check the rest of it.

    Raises:
        UserError: it can't be composed.
    """
    from hydra_sweep.compose import ComposeError
    from rnnexp import guest

    with guest.composing():
        typed = _command_line(words, config_dir, multirun, is_comparison)
        try:
            return typed, typed.compose(typed.overrides)
        except ComposeError as error:
            raise UserError(typed.problems() or error.problems) from error


def _command_line(
    words: list[str], config_dir: Folder | None, multirun: bool = False, is_comparison: bool = False
) -> CommandLine:
    from rnnexp.command_line import CommandLine as Kind
    from rnnexp.guest import optuna_as_found
    from rnnexp.schema.config import register_schemas
    from rnnexp.schema.tree import CONFIG_DIR

    if is_comparison:
        with optuna_as_found():
            from rnnexp.comparing.command import ComparisonCommandLine as Kind
    register_schemas()
    flags: dict[str, Any] = {"multirun": multirun, "cfg": None, "config_path": None}
    flags["config_name"] = "compare" if is_comparison else None
    flags["config_dir"] = None if config_dir is None else os.fspath(config_dir)
    argv = ["rnnexp.py", *_flags(config_dir), *words]
    return Kind(argparse.Namespace(overrides=words, **flags), CONFIG_DIR, argv)


def _with_own(words: list[str], own: Mapping[str, Any]) -> list[str]:
    """Returns overrides with those that arguments of the call stand for; an argument that is None stands for none.

    Raises:
        UserError: a key is given twice.
    """
    for key, value in own.items():
        given = [text for text in words if text.partition("=")[0].lstrip("+") == key]
        if value is not None and given:
            raise UserError(f"{given[0]}: {key} is an argument of the call, too; leave one of them out")
    return words + [f"{key}={literal(value, key)}" for key, value in own.items() if value is not None]


def _below(outputs: Folder | None, kind: str) -> str | None:
    """Returns the folder of a run, sweep or comparison below a folder of one's own, as the configuration has it."""
    if outputs is None:
        return None
    if "${" in (text := os.fspath(outputs)):  # Hydra reads the folder again and again
        raise UserError(f"outputs: {text}: ${{ begins an interpolation in Hydra; take another folder")
    return f"{text}/{kind}/${{name}}"


def _flags(config_dir: Folder | None) -> list[str]:
    return [] if config_dir is None else ["--config-dir", os.fspath(config_dir)]


def _named(words: list[str], full: DictConfig) -> list[str]:
    """Returns overrides with a name: one that is the time would be another one in the command."""
    has_name = any(text.partition("=")[0].lstrip("+") == "name" for text in words)
    return words if has_name else [*words, f"name={literal(str(full.name), 'name')}"]


def _data(data: Sequence[str] | Mapping[str, Any] | None) -> list[str]:
    if data is None:
        return []
    if isinstance(data, Mapping):
        data = {name: of if isinstance(of, str) else shlex.join(as_overrides(of)) for name, of in data.items()}
    return [f"compare.data={literal(data, 'data')}"]


def _complete(words: list[str], look: Callable[[], None]) -> None:
    from rnnexp.child import completed

    try:
        completed(words, look)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same call goes on") from None
    look()


def _show_epoch(shown: Any, row: Mapping[str, float]) -> bool:
    shown.n = int(row["epoch"])
    told = {name: f"{row[name]:.4f}" for name in ("train_loss", "valid_accuracy") if row[name] == row[name]}
    shown.set_postfix(told, refresh=True)
    return False


def _show_trials(shown: Any, sweep: Sweep) -> None:
    """Shows how far a sweep is, by its files; what can't be read just now is not shown."""
    if shown.disable:
        return
    with suppress(UserError, OSError):
        ended, best = sweep.progress()
        if shown.total != sweep.n_trials:  # of a sweep that goes on, it grows once its command has begun
            shown.reset(total=sweep.n_trials)
        shown.n = ended
        shown.set_postfix_str(best, refresh=True)


def _num_runs(typed: CommandLine, full: DictConfig, place: Path) -> int | None:
    """Returns how many runs a comparison will have at its first look; None if it can't begin."""
    from rnnexp import guest

    with suppress(UserError), guest.composing():
        from rnnexp.comparing.command import num_runs

        return num_runs(typed, full, place)
    return None


def _show_runs(shown: Any, place: Path) -> None:
    from rnnexp.record.run_folder import RunFolder

    if not shown.disable:
        shown.n = sum(1 for _ in place.rglob(RunFolder(place).result.name))
        shown.total = shown.total and max(shown.total, shown.n)
        shown.refresh()
