"""A run from Python."""

from __future__ import annotations

import os
import tempfile
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra_sweep.errors import UserError
from rnnexp.record.run_folder import RunFolder
from rnnexp.views.view import View, or_text

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from rnnexp.record.labels import Labels
    from rnnexp.record.result import RunResult
    from rnnexp.reproduce import Differences

SHOWN = ("test_accuracy", "test_loss", "valid_accuracy", "valid_loss", "best_epoch", "epochs", "train_seconds")


class Predictions(NamedTuple):
    """What a run makes of N examples.

    Attributes:
        classes: the name of the most probable class of each, N texts.
        probabilities: DataFrame (N, O), float64: a column for each class, by its name; rows sum to 1. The index has the
            paths, for examples that were read from files.
    """

    classes: list[str]
    probabilities: pd.DataFrame


class Run(View):
    """One run: a configuration, a seed, and what came of them.

    Example::

        run = rnnexp.run({"model": "gru", "train.epochs": 3}, name="first")
        run.status, run.metrics["test_accuracy"]
        classes, probabilities = run.predict("seven.png")
    """

    @property
    def folder(self) -> RunFolder:
        """The names of all files of its record."""
        return RunFolder(self.path)

    @property
    def result(self) -> RunResult | None:
        """All that `result.json` holds: metrics, configuration, seed, dataset, versions; None while it has not ended.

        Raises:
            UserError: the file is damaged.
        """
        try:
            return self.folder.read_result()
        except ValueError as error:
            raise UserError(f"{self.folder.result} is corrupt ({error})") from error

    @property
    def status(self) -> str:
        """complete, pruned, diverged, failed; running, unfinished or corrupt where there is no result yet."""
        return str(self._row()["status"])

    @property
    def reason(self) -> str | None:
        """Why it ended early, or can't be read; None if it did not."""
        reason = self._row()["reason"]
        return reason if isinstance(reason, str) else None

    @property
    def metrics(self) -> dict[str, float]:
        """What it is measured by: losses in nats per example, accuracies in [0, 1], `train_seconds` in seconds.

        The `train_` and `valid_` ones are of the kept epoch, `best_epoch`, or of the latest one while it runs;
        `test_loss` and `test_accuracy` are those of complete runs that were tested.
        """
        from rnnexp.record.result import is_metric

        with suppress(ValueError):  # its row says so
            if result := self.folder.read_result():
                return dict(result.metrics)
        row = self._row()
        return {name: float(value) for name, value in row.items() if is_metric(name) and value == value}

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as nested dicts, `run.config["optim"]["lr"]`.

        Raises:
            UserError: it can't be read.
        """
        if result := self.result:
            return result.config
        try:
            return self.folder.read_hydra_config()
        except ValueError as error:
            raise UserError(f"{self.folder.hydra_config}: {error}") from error

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that it was given last, by `tags=[...]` or `rnnexp tag`. Raises: UserError if they are damaged."""
        return self._labels().tags

    @property
    def notes(self) -> str | None:
        """The notes that it was given last; None if there are none. Raises: UserError if they are damaged."""
        return self._labels().notes

    def _labels(self) -> Labels:
        from rnnexp.record import labels

        try:
            return labels.read(self.folder, self.config)
        except ValueError as error:
            raise UserError(f"{self.path}: {error}") from error

    @property
    def history(self) -> pd.DataFrame:
        """A row for each epoch that has ended: epoch, lr, train_loss, train_accuracy, valid_loss, valid_accuracy,
        valid_NAME of each of the configuration's metrics, epoch_seconds.

        Raises:
            UserError: `history.csv` is damaged.
        """
        import pandas as pd

        from rnnexp.record.result import HISTORY_COLUMNS, history_columns

        try:
            rows = self.folder.read_history()
        except ValueError as error:
            raise UserError(f"{self.path}: {error}") from error
        columns = history_columns(rows[0]) if rows else HISTORY_COLUMNS
        frame: pd.DataFrame = pd.DataFrame(rows, columns=list(columns)).apply(pd.to_numeric)
        frame["epoch"] = frame["epoch"].astype(int)
        return frame

    def predict(self, x: Any) -> Predictions:
        """Returns the class and the probabilities of each of some examples, prepared as those it was trained on.

        Args:
            x: one or several examples. Of a run on images: PIL images, of any size and mode; arrays (H, W) or (H, W, C)
                or (N, H, W[, C]) of the size it was trained on, uint8 from 0 to 255 or floats from 0 to 1. Of a run on
                series: arrays (T, I) or (N, T, I), in the units of the file it was trained on; those of a list may have
                lengths of their own. Of either: the path of a file, or several.

        Raises:
            UserError: the run has no network yet, an example has another shape, or a file can't be read. A network that
                is neither rnnexp's nor torch's is built only if the record is trusted: `rnnexp.load(path, trust=True)`,
                where the shell has --trust.

        Example::

            classes, probabilities = run.predict(["a.png", "b.png"])
        """
        import pandas as pd

        from rnnexp import predict

        predictor = predict.load(self.path, self.trust)
        titles, examples = predict.examples(predictor, x)
        rows: Any = predict.probabilities(predictor, examples).numpy() if examples else []
        frame: pd.DataFrame = pd.DataFrame(rows, titles or None, predictor.labels, dtype="float64")
        return Predictions([predictor.labels[row.argmax()] for row in frame.to_numpy()], frame)

    def model(self) -> nn.Module:
        """Returns the network with the weights of the kept epoch, in eval mode on the CPU.

        It maps (B, T, I) to logits (B, O), as `run.predict` does once it has normalized and laid out its examples.

        Raises:
            UserError: see `predict`.
        """
        from rnnexp import predict

        return predict.load(self.path, self.trust).model

    def reproduce(self, out: str | os.PathLike[str] | None = None) -> Differences:
        """Runs its configuration again and returns what came out otherwise; `results` is empty if all is identical.

        Args:
            out: keeps the new run in this folder; by default it is thrown away.

        Raises:
            UserError: it has not finished, or can't run here.
        """
        from rnnexp import reproduce
        from rnnexp.guest import running

        with running(), tempfile.TemporaryDirectory() if out is None else nullcontext(os.fspath(out)) as place:
            return reproduce.reproduce(self.path, place, self.trust)

    def _row(self) -> dict[str, Any]:
        from rnnexp.results import collect

        frame = collect(self.path)
        if len(frame) != 1 or frame["path"].iloc[0] != ".":
            raise UserError(f"{self.path} holds no run")
        return {str(name): value for name, value in frame.iloc[0].items()}

    def lines(self) -> list[str]:
        from hydra_sweep.text_table import cell_text

        row, metrics = self._row(), self.metrics
        ending = f"{row['status']}" + (f" ({self.reason})" if self.reason else "")
        shown = [f"{name} {cell_text(metrics[name], name)}" for name in SHOWN if name in metrics]
        return [f"Run {self.place}: {ending}", *(["  ".join(shown)] if shown else [])]

    @or_text
    def _repr_html_(self) -> str:
        import pandas as pd

        from rnnexp.report import notebook
        from rnnexp.schema.tree import GROUPS

        row, metrics = self._row(), self.metrics
        chosen = [f"{name}={row[name]}" for name in (*GROUPS, "seed") if isinstance(row.get(name), (str, int))]
        table = pd.DataFrame([{name: metrics[name] for name in SHOWN if name in metrics}])
        epochs = self.history
        curves = notebook.curves(epochs) if len(epochs) else None
        return notebook.cell(self.lines()[0], [" ".join(chosen)], [table], curves)
