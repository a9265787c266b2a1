"""The page of a sweep, or of any folder of runs."""

from __future__ import annotations

import io
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hydra_sweep.errors import UserError, counted
from hydra_sweep.files import check_place
from hydra_sweep.run_record import RunRecord
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record.result import Status
from rnnexp.record.run_folder import RunFolder
from rnnexp.report import sweep_figures
from rnnexp.report.drawing import COLORS
from rnnexp.report.page import Page, Table, history, tile
from rnnexp.results import collect
from rnnexp.results.columns import choose

MAX_TRIALS = 2000  # in the figures; more would only be ink


@dataclass(frozen=True)
class Sweep:
    """A sweep's folder as its files have it."""

    folder: SweepFolder
    request: dict[str, Any]  # what was asked
    best: dict[str, Any]  # nothing, if there is none yet
    trials: pd.DataFrame  # one row a trial, and `value`: the objective, an accuracy in percent

    @classmethod
    def read(cls, folder: SweepFolder) -> Sweep:
        """Raises: UserError if a file is damaged."""
        file = folder.request
        try:
            request = folder.read_request()
            file = folder.best
            best = folder.read_best()
        except ValueError as error:
            raise UserError(f"{file} can't be read ({error}); the sweep's command writes it anew") from error
        found = cls(folder, request, best, _trials(folder))
        if "n_trials" not in found.request:
            raise UserError(f"{folder.request} is no sweep's; the sweep's command writes it anew")
        if len(found.trials) and "value" not in found.trials:
            missing = pd.Series(np.nan, index=found.trials.index)
            found.trials["value"] = found.scale * pd.to_numeric(found.trials.get(found.objective, missing), "coerce")
        return found

    def asked(self, key: str) -> Any:
        return (self.request.get("request") or {}).get(key) or []

    @property
    def objectives(self) -> list[str]:
        """Returns the names of what is improved, as the table has them: a task may return mere numbers."""
        if named := [str(name) for name in self.asked("objective")]:
            return named
        several = len(self.asked("direction"))
        return [f"value_{i}" for i in range(several)] if several > 1 else ["value"]

    @property
    def objective(self) -> str:
        return self.objectives[0]

    @property
    def scale(self) -> int:
        """Returns what makes of the objective the `value` of the figures: accuracies are shown in percent."""
        return 100 if self.objective.endswith("_accuracy") else 1

    @property
    def label(self) -> str:
        """Returns the objective with its unit, for an axis."""
        part, _, quantity = self.objective.partition("_")
        unit = {"accuracy": " (%)", "loss": " (nats per example)"}.get(quantity)
        return (
            {"valid": "validation", "train": "training"}.get(part, part) + f" {quantity}{unit}"
            if unit
            else self.objective
        )

    @property
    def is_maximized(self) -> bool:
        return bool(list(self.asked("direction"))[:1] == ["maximize"])

    @property
    def is_finished(self) -> bool:
        return len(self.trials) >= (self.request.get("n_trials") or 0)

    @property
    def is_grid(self) -> bool:
        space = dict(self.asked("space") or {})
        return self.request.get("sampler") == "grid" or not any("interval" in str(kind) for kind in space.values())

    @property
    def parameters(self) -> list[str]:
        """Returns the keys that more than one value was tried of."""
        keys = dict.fromkeys(str(name).partition(" @ ")[0] for name in self.asked("space"))
        return [key for key in keys if key in self.trials and self.trials[key].nunique(dropna=False) > 1]

    def best_folder(self) -> str | None:
        complete = self.trials[(self.trials["state"] == "complete") & self.trials["value"].notna()]
        if not len(complete) or "folder" not in complete:
            return None
        place = complete["value"].idxmax() if self.is_maximized else complete["value"].idxmin()
        return str(complete.loc[place, "folder"])


def runs_page(path: Path, frame: pd.DataFrame) -> Page:
    """Returns a page about runs that have no more in common than their folder."""
    page = Page(path, "runs", path.resolve().name, counted(len(frame), "run"))
    _add_runs(page, path, frame, None, "model")
    page.tables.append(Table.of("Runs", frame[choose(frame, 200)], folders=frame["path"].tolist()))
    return page


def page(folder: SweepFolder, collect: Callable[[Path], pd.DataFrame] = collect) -> Page:
    """Raises: UserError if the sweep's files are damaged."""
    sweep, path = Sweep.read(folder), folder.path
    request, trials = sweep.request, sweep.trials
    page = Page(path, "sweep", path.resolve().name)
    page.subtitle = f"{'grid' if sweep.is_grid else request.get('sampler')}, pruner {request.get('pruner')}"
    page.subtitle += "" if sweep.is_finished else ", not finished yet"
    page.tiles = [("trials", f"{len(trials)} of {request.get('n_trials')}")]
    if not sweep.is_finished and "resume" in request:
        page.commands.append(("go on", str(request["resume"])))
    frame = collect(path)
    numbers = [(state, int((frame["status"] == state).sum())) for state in (Status.RUNNING.value, Status.PAUSED.value)]
    under_way = [(str(state), str(number)) for state, number in numbers if number]
    if not len(trials):
        page.tiles += under_way
        page.missing.append("No trial has finished yet.")
        return page
    page.tiles += [(str(state), str(n)) for state, n in trials["state"].value_counts().items()]
    page.tiles += under_way
    if isinstance(value := sweep.best.get(sweep.objective), (int, float)):
        page.tiles.append((f"best {sweep.objective.replace('_', ' ')}", tile(value, sweep.objective)))
    if "command" in sweep.best:
        page.commands.insert(0, ("best", str(sweep.best["command"])))
    _add_values(page, sweep)
    by = (sweep.parameters or ["model"])[0] if sweep.is_grid else "model"
    has_epochs = _add_runs(page, path, frame, sweep.best_folder(), by)
    if not has_epochs:
        _add_reports(page, sweep, frame)
    if (trials["state"] == "pruned").any():
        steps = "epoch" if has_epochs else "step"
        page.drawings.append(sweep_figures.pruning(trials.tail(MAX_TRIALS), sweep.label, steps))
    if sweep.parameters and trials["value"].notna().sum() > 1:
        page.drawings.append(sweep_figures.slices(trials, sweep.parameters, sweep.label))
        page.drawings.append(sweep_figures.parallel(trials, sweep.parameters, sweep.label, sweep.is_maximized))
    if sweep.is_grid:
        keys = [name for name in sweep.parameters if name != "seed"]
        accuracy = "test_accuracy" if frame["test_accuracy"].notna().any() else "valid_accuracy"
        metric, best = (accuracy, "max") if has_epochs else (sweep.objective, "max" if sweep.is_maximized else "min")
        _add_cells(page, frame, keys, metric, best)
    else:
        _add_importance(page, folder, str(request.get("study")))
    hidden = [name for name in ("worker", "attempt", "value") if name in trials and name not in sweep.objectives]
    first = [name for name in ("trial", "state", *sweep.objectives, *sweep.parameters, "seconds") if name in trials]
    order = dict.fromkeys([*first, *(str(name) for name in trials if name not in hidden)])
    page.tables.append(Table.of("Trials", trials[list(order)], folders=sweep_figures.folders(trials)))
    return page


def _add_values(page: Page, sweep: Sweep) -> None:
    """Adds what the trials reached, one after the other, or two objectives against each other."""
    if len(sweep.objectives) > 1 and all(name in sweep.trials for name in sweep.objectives):
        front = [entry.get("trial") for entry in sweep.best.get("pareto_front", [])]
        knee = sweep.best.get("knee") if len(sweep.objectives) == 2 else None  # of more, it is none in two of them
        page.drawings.append(sweep_figures.pareto(sweep.trials, sweep.objectives[:2], front, knee))
    elif sweep.trials["value"].notna().any():
        shown = sweep.trials.tail(MAX_TRIALS)
        page.drawings.append(sweep_figures.optimization(shown, sweep.label, sweep.is_maximized, sweep.parameters))


def _add_runs(page: Page, path: Path, frame: pd.DataFrame, best: str | None, by: str) -> bool:
    """Adds what holds for any runs of ours: their learning curves and their costs. Returns whether any has epochs."""
    histories = {str(run): history(RunFolder(path / run)) for run in frame["path"].tail(MAX_TRIALS)}
    histories = {name: epochs for name, epochs in histories.items() if len(epochs)}
    if histories:
        page.drawings.append(sweep_figures.trial_curves(histories, best))
    complete = frame[frame["status"] == Status.COMPLETE.value]
    metric = "test_accuracy" if len(complete) and complete["test_accuracy"].notna().all() else "valid_accuracy"
    rows = complete[complete[metric].notna() & complete["train_seconds"].notna()].assign(
        folder=lambda found: found["path"]
    )
    if len(rows):
        is_apt = by in rows and rows[by].notna().all() and rows[by].nunique() <= len(COLORS)
        groups = {str(name): group for name, group in rows.groupby(by if is_apt else "model", dropna=False)}
        page.drawings.append(sweep_figures.costs(groups, metric))
    return bool(histories)


def _add_reports(page: Page, sweep: Sweep, frame: pd.DataFrame) -> None:
    """Adds what trials of any other app have reported, as far as their records have it."""
    curves = {}
    for run in frame["path"].tail(MAX_TRIALS):
        with suppress(ValueError):  # damaged: its row says so
            record = RunRecord.read(sweep.folder.run_record(str(run)))
            reports = pd.DataFrame({sweep.objective: record.reports if record else []}, dtype=float)
            reports["step"] = range(1, len(reports) + 1)
            if len(reports := reports.dropna()):
                curves[str(run)] = reports
    if curves:
        best = sweep.best_folder()
        page.drawings.append(sweep_figures.trial_curves(curves, best, sweep.objective, sweep.label, "step"))


def _add_cells(page: Page, frame: pd.DataFrame, names: Sequence[str], metric: str, best: str) -> None:
    """Adds a grid's cells: mean and standard deviation over seeds."""
    keys = [name for name in names if name in frame]
    if metric not in frame:
        return
    complete = frame[(frame["status"] == Status.COMPLETE.value) & frame[metric].notna()]
    if keys and len(complete):
        cells = complete.groupby(keys, dropna=False)[metric].agg(["mean", "std", "count", best]).reset_index()
        names_of = {"mean": f"mean {metric}", "std": f"std {metric}", best: f"best {metric}", "count": "runs"}
        note = "Complete runs; the standard deviation is over what else varies, such as seeds."
        page.first_tables.append(Table.of("Cells of the grid", cells.rename(columns=names_of), note))


def _add_importance(page: Page, folder: SweepFolder, study: str) -> None:
    """Adds each parameter's importance by Optuna, from a copy of the study, or says why not."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    if not folder.database.exists():
        page.missing.append("No parameter importance: the study is not in this folder.")
        return
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            for file in folder.database_files():
                check_place(file)
                shutil.copy(file, scratch)
            storage = optuna.storages.RDBStorage(SweepFolder(Path(scratch)).database_url)
            try:
                loaded = optuna.load_study(study_name=study, storage=storage)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of few trials, which the figure says itself
                    shares = get_param_importances(loaded, evaluator=PedAnovaImportanceEvaluator())
            finally:
                storage.engine.dispose()
        except Exception as error:  # many kinds, of Optuna's, of SQLAlchemy's and of numpy's
            page.missing.append(f"No parameter importance: {(str(error) or type(error).__name__).splitlines()[0]}")
            return
        finally:
            optuna.logging.set_verbosity(verbosity)
    if shares and all(np.isfinite(list(shares.values()))) and len(shares) > 1:
        page.drawings.append(sweep_figures.importance({str(name): share for name, share in shares.items()}))
    else:
        page.missing.append(
            "No parameter importance: too few complete trials, or fewer than two parameters in all of them."
        )


def _trials(folder: SweepFolder) -> pd.DataFrame:
    """Returns a sweep's table, one row for each trial, repeats and folds averaged."""
    try:
        rows: pd.DataFrame = pd.read_csv(io.StringIO(folder.read_table()))
    except FileNotFoundError:
        rows = pd.DataFrame()
    except (OSError, ValueError) as error:  # pandas' own among them
        raise UserError(f"{folder.table} can't be read ({error}); the sweep writes it anew when it goes on") from error
    if "repeat" not in rows:
        return rows
    numbers = [name for name in rows.select_dtypes("number").columns if name not in ("trial", "repeat", "fold")]
    others = [str(name) for name in rows if name not in ("trial", "repeat", "fold", "folder")]
    how: dict[str, Any] = {name: "mean" if name in numbers else "first" for name in others}
    return rows.groupby("trial", as_index=False).agg(how)
