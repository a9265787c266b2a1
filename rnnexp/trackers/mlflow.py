"""MLflow, in a file or on a server: a run of its own for each run, the trials of a sweep below one that stands for it.

Its client is called with the id of the run, never by the run that is "active" in the process: any number of trials may
follow one another, and each is ended by its own words.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from rnnexp.callbacks import Row, RunView
from rnnexp.record.result import RunResult
from rnnexp.trackers.tracker import (
    KEY,
    Recorded,
    Tracker,
    final_metrics,
    flat_hyperparameters,
    is_good,
    numbers,
)

ID, SWEEP, TAGS, STATUS, REASON = (f"rnnexp.{name}" for name in ("id", "sweep", "tags", "status", "reason"))
NOTES, PARENT = "mlflow.note.content", "mlflow.parentRunId"  # MLflow's own
MAX_PARAMS, MAX_TEXT = 100, 5000  # at once; characters, which MLflow refuses more of
SQLITE = "sqlite:///"
PATIENCE = {  # for a server that is away, in place of minutes: the run waits meanwhile
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class MLflow(Tracker):
    """Runs of one experiment.

    Args:
        uri: where MLflow keeps them, as its own `MLFLOW_TRACKING_URI`.
        experiment: its name; made if it is not there.
    """

    option = "mlflow"
    loggers = ("mlflow", "alembic", "urllib3")

    def __init__(self, uri: str, experiment: str) -> None:
        self.uri, self.experiment = uri, experiment

    def look(self, run: RunView, run_id: str) -> Recorded:
        self.client = self._client()
        self.found = self._find(f"tags.`{ID}` = '{run_id}'")
        if self.found is None:
            return Recorded()
        history = self.client.get_metric_history(self.found.info.run_id, KEY)
        return Recorded(frozenset(metric.step for metric in history), self.found.data.tags.get(STATUS))

    def open(self, run: RunView, run_id: str) -> None:
        from mlflow.entities import Param

        tags = {ID: run_id, NOTES: run.notes, TAGS: ", ".join(run.tags), SWEEP: run.sweep}
        self.parent = self._parent(run.sweep) if run.sweep else None
        tags |= {PARENT: self.parent} if self.parent else {}
        given = {name: value[:MAX_TEXT] for name, value in tags.items() if value}
        if self.found is None:
            self.found = self.client.create_run(self._experiment_id(), run_name=run.name, tags=given)
        else:
            for name in (NOTES, TAGS):
                self.client.set_tag(self.found.info.run_id, name, given.get(name, ""))
            self.client.update_run(self.found.info.run_id, status="RUNNING")
        self.mlflow_id = self.found.info.run_id
        known = self.found.data.params  # which can't be changed, as a device may have been
        params = [
            Param(_key(name), str(value)[:MAX_TEXT])
            for name, value in flat_hyperparameters(run).items()
            if _key(name) not in known
        ]
        for first in range(0, len(params), MAX_PARAMS):
            self.client.log_batch(self.mlflow_id, params=params[first : first + MAX_PARAMS])

    def write(self, row: Row, seconds: float) -> None:
        values = {name: value for name, value in numbers(row).items() if name != "epoch"}
        self._log(values, int(row["epoch"]), seconds)

    def close(self, result: RunResult | None) -> None:
        state = "KILLED"
        if result is not None:
            state = "FINISHED" if is_good(result) else "FAILED"
            # At the time that is recorded: MLflow keeps one of two that are equal in all.
            ended = result.environment.get("ended")
            seconds = datetime.fromisoformat(ended).timestamp() if isinstance(ended, str) else time.time()
            self._log(final_metrics(result), int(result.metrics.get("epochs", 0)), seconds)
            if result.reason:
                self.client.set_tag(self.mlflow_id, REASON, result.reason[:MAX_TEXT])
            self.client.set_tag(self.mlflow_id, STATUS, result.status.value)
        self.client.set_terminated(self.mlflow_id, state)
        if self.parent:
            self.client.set_terminated(self.parent, "FINISHED")  # as late as its last trial

    def _client(self) -> Any:
        os.environ.update({name: value for name, value in PATIENCE.items() if name not in os.environ})
        from mlflow.tracking import MlflowClient

        if not self.uri.startswith(SQLITE):
            return MlflowClient(self.uri)
        file = Path(self.uri.removeprefix(SQLITE)).absolute()
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock"):  # two workers would make its tables at once
            return MlflowClient(self.uri)

    def _experiment_id(self) -> str:
        """Returns the experiment's id, having made it if need be: another worker may be about to, too."""
        from mlflow.exceptions import MlflowException

        if (found := self.client.get_experiment_by_name(self.experiment)) is not None:
            return str(found.experiment_id)
        place = None  # a server knows its own
        if self.uri.startswith(SQLITE):
            place = Path(self.uri.removeprefix(SQLITE)).absolute().with_suffix(".artifacts").as_uri()
        try:
            return str(self.client.create_experiment(self.experiment, artifact_location=place))
        except MlflowException:
            if (found := self.client.get_experiment_by_name(self.experiment)) is None:
                raise
            return str(found.experiment_id)

    def _parent(self, sweep: str) -> str:
        """Returns the id of the run that stands for a sweep. Of two that two workers make at once, the first is it."""
        name = "sweep " + re.sub(r"['\"`\\]", "_", sweep)  # of a stranger's record it may have quotes
        condition = f"tags.`{ID}` = '{name}'"
        if (found := self._find(condition)) is not None:
            return str(found.info.run_id)
        made = self.client.create_run(self._experiment_id(), run_name=sweep, tags={ID: name})
        self.client.set_terminated(made.info.run_id, "FINISHED")
        first = self._find(condition) or made
        if first.info.run_id != made.info.run_id:
            self.client.delete_run(made.info.run_id)
        return str(first.info.run_id)

    def _find(self, condition: str) -> Any:
        """Returns the first run of the experiment of which a condition holds, or None."""
        found = self.client.get_experiment_by_name(self.experiment)
        if found is None:
            return None
        order = ["attributes.start_time ASC", "attributes.run_id ASC"]
        runs = self.client.search_runs([found.experiment_id], condition, max_results=1, order_by=order)
        return runs[0] if runs else None

    def _log(self, values: Mapping[str, float], step: int, seconds: float) -> None:
        from mlflow.entities import Metric

        at = round(1000 * seconds)
        self.client.log_batch(self.mlflow_id, [Metric(_key(name), value, at, step) for name, value in values.items()])


def _key(name: str) -> str:
    """Returns a key as MLflow allows it."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:250]
