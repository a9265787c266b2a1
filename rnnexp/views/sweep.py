"""A sweep from Python."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from hydra_sweep.errors import UserError, counted
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record.run_folder import RunFolder
from rnnexp.views.run import Run
from rnnexp.views.view import View, or_text

if TYPE_CHECKING:
    import optuna
    import pandas as pd

NAMES = ("trial", "state", "reason", "folder")  # of columns that every table has
NUM_SHOWN = 5  # trials, in a notebook
_READ_FROM: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # what must live as long as a study


class Sweep(View):
    """A grid or a search: its trials, its study, and the best of them.

    Example::

        sweep = rnnexp.sweep(search={"optim.lr": "tag(log,interval(1e-3,1))"}, n_trials=20, name="lr")
        sweep.best_overrides, sweep.best.metrics["valid_accuracy"]
    """

    @property
    def folder(self) -> SweepFolder:
        """The names of all files of its record."""
        return SweepFolder(self.path)

    @property
    def n_trials(self) -> int:
        """How many trials it has been asked for, in all."""
        return int(self._request().get("n_trials") or 0)

    @property
    def table(self) -> pd.DataFrame:
        """A row for each run of a trial that has ended: trial, state, metrics, what was sampled, seconds, folder.

        Raises:
            UserError: `results.csv` is damaged.
        """
        import pandas as pd

        try:
            frame: pd.DataFrame = pd.read_csv(io.StringIO(self.folder.read_table()), dtype={"folder": str})
        except FileNotFoundError:
            frame = pd.DataFrame()
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder.table} can't be read ({error}); rerun the sweep's command") from error
        for name in () if len(frame) else NAMES:
            frame[name] = None
        return frame

    @property
    def runs(self) -> pd.DataFrame:
        """Its runs as `rnnexp.collect` has them: those on their way, too, and every key of their configurations."""
        from rnnexp.results import collect

        return collect(self.path)

    def trial(self, number: int) -> Run:
        """Returns the run of a trial, or with repeats or folds the first of its runs."""
        folder = self.folder.trial(number)
        return Run(folder if RunFolder(folder).is_run() else folder / "0", trust=self.trust)

    @property
    def best(self) -> Run:
        """The run of the best trial so far, or with repeats or folds the first of its runs.

        Raises:
            UserError: there is none, or there are several objectives: see `front`.
        """
        return self._run_of(self._best())

    @property
    def best_overrides(self) -> list[str]:
        """What sets the best trial apart: overrides, to be given to `rnnexp.run` or typed.

        Raises:
            UserError: see `best`.
        """
        return [str(text) for text in self._best()["overrides"]]

    @property
    def front(self) -> list[Run]:
        """The runs of the Pareto front; of one objective, the best alone; none before a trial has ended well."""
        found = self._read_best()
        entries = found.get("pareto_front", [found] if found else [])
        return [self._run_of(entry) for entry in entries]

    @property
    def study(self) -> optuna.Study:
        """The study, for Optuna's own questions, such as `optuna.importance`. It is to be read, not to be written.

        Raises:
            UserError: it is damaged, or on a server of a record that is not trusted.
        """
        from rnnexp.guest import optuna_as_found

        with optuna_as_found():
            from hydra_sweep.status import RecordedSweep
        import optuna

        from rnnexp.schema.config import SWEEPS

        recorded = RecordedSweep(self.path, SWEEPS, self.trust)
        study = optuna.load_study(study_name=recorded.study.name, storage=recorded.study.storage)
        _READ_FROM[study] = recorded
        return study

    def progress(self) -> tuple[int, str]:
        """Returns how many trials have ended, and the best so far, in words."""
        from hydra_sweep.text_table import cell_text

        best, (objective, _) = self._read_best(), self._objective()
        told = ""
        if objective in best:
            told = f"best {objective} {cell_text(best[objective], objective)} (trial {best['trial']})"
        elif "pareto_front" in best:
            told = f"Pareto front: {counted(len(best['pareto_front']), 'trial')}"
        return int(self.table["trial"].nunique()), told

    def _request(self) -> dict[str, Any]:
        try:
            request = self.folder.read_request()
        except ValueError as error:
            raise UserError(f"{self.folder.request} can't be read ({error}); rerun the sweep's command") from error
        if not request:
            raise UserError(f"{self.path} holds no sweep")
        return request

    def _read_best(self) -> dict[str, Any]:
        try:
            return self.folder.read_best()
        except ValueError as error:
            raise UserError(f"{self.folder.best} can't be read ({error}); rerun the sweep's command") from error

    def _best(self) -> dict[str, Any]:
        found = self._read_best()
        if "pareto_front" in found:
            raise UserError(f"{self.path} has several objectives, and so no best trial; see its front")
        if not found:
            raise UserError(f"{self.path} has no best trial: none has ended well, or it has no objective")
        return found

    def _run_of(self, entry: Mapping[str, Any]) -> Run:
        """Returns the run of an entry of best.yaml; the folder that it names may have been moved since."""
        return self.trial(int(Path(str(entry["folder"])).name))

    def _objective(self) -> tuple[str, bool]:
        """Returns the first objective, as the table names it, and whether it is maximized."""
        asked = self._request().get("request") or {}
        names = asked.get("objective") or ["value"]
        return str(names[0]), (asked.get("direction") or ["minimize"])[0] == "maximize"

    def lines(self) -> list[str]:
        (ended, best), total = self.progress(), self.n_trials
        lines = [f"Sweep {self.place}: {ended} of {counted(total, 'trial')} finished"]
        if best:
            overrides = " ".join(map(str, self._read_best().get("overrides", ())))
            lines.append(f"{best}: {overrides}" if overrides else best)
        return lines

    @or_text
    def _repr_html_(self) -> str:
        from rnnexp.report import notebook

        objective, is_maximized = self._objective()
        table = self.table
        if objective not in table:
            table[objective] = float("nan")
        trials: pd.DataFrame = table.groupby("trial")[objective].mean().dropna().reset_index()
        drawing = notebook.search(trials, objective, is_maximized) if len(trials) else None
        top = table.sort_values(objective, ascending=not is_maximized, kind="stable").head(NUM_SHOWN)
        space = (self._request().get("request") or {}).get("space") or {}
        keys = dict.fromkeys(str(name).partition(" @ ")[0] for name in space)
        shown = [name for name in ("trial", "state", objective, *keys, "seconds") if name in top]
        first, *others = self.lines()
        return notebook.cell(first, others, [top[shown]], drawing)
