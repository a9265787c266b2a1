"""What trackers have of runs, by their own readers, and what a run's folder has, to be held against it."""

import json
import math
import os
import subprocess
import sys
import warnings
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from rnnexp.record.run_folder import RunFolder

OPTIONS = ("tensorboard", "mlflow", "wandb", "trackio")
MLFLOW = "{_target_:rnnexp.trackers.mlflow.MLflow,uri:'sqlite:///PLACE/mlflow.db',experiment:rnnexp}"
WANDB = "{_target_:rnnexp.trackers.wandb_like.Wandb,project:rnnexp,folder:'PLACE',mode:offline,options:{}}"
TRACKIO = (
    "{_target_:rnnexp.trackers.wandb_like.Trackio,project:rnnexp,folder:'PLACE/trackio',"
    "options:{auto_log_cpu:false,auto_log_gpu:false}}"
)


@dataclass
class Tracked:
    """One run as a tracker shows it.

    Args:
        rows: from epochs to the metrics of each.
        final: the result's metrics, by their names there.
    """

    rows: dict[int, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    final: dict[str, float] = field(default_factory=dict)
    status: str | None = None
    group: str | None = None
    config: dict[str, object] = field(default_factory=dict)

    def add(self, name, step, value):
        """Takes a value down, the first one of an epoch and metric, or of the result."""
        if name.startswith("final/"):
            self.final[name.removeprefix("final/")] = value
        else:
            assert name not in self.rows[step], f"{name} of epoch {step} is there twice"
            self.rows[step][name] = value


def all_four(place, *between):
    """Returns overrides for all trackers in one run, three as callbacks and one as `tracker`.

    Args:
        place: the folder for all of them.
        between: callbacks that are told before TensorBoard is, and after the others.
    """
    nodes = ",".join([MLFLOW, WANDB, TRACKIO, *between]).replace("PLACE", str(place))
    return ["tracker=tensorboard", f"tracker.folder={place}/tensorboard", f"callbacks=[{nodes}]"]


def read(option, place):
    """Returns what a tracker has in a folder, {name of the run: Tracked}."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb, "trackio": _trackio}[option](place)


def assert_equal(tracked, folder, is_exact=True):
    """Checks that a tracker has what history.csv and result.json have, and nothing else.

    Args:
        is_exact: else as float32, which TensorBoard keeps.
    """
    kept = float if is_exact else (lambda value: float(np.float32(value)))

    def cells(row):
        return {name: kept(value) for name, value in row.items() if name != "epoch" and math.isfinite(float(value))}

    history = {int(row["epoch"]): row for row in RunFolder(folder).read_history()}
    assert history
    assert {epoch: cells(row) for epoch, row in tracked.rows.items()} == {e: cells(r) for e, r in history.items()}
    if (result := RunFolder(folder).read_result()) is not None:
        assert {k: kept(v) for k, v in tracked.final.items()} == {k: kept(v) for k, v in result.metrics.items()}
        assert tracked.status == result.status.value


def _tensorboard(place):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    root = place / "tensorboard"
    for folder in sorted({path.parent for path in root.rglob("events.out.tfevents.*")}):
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        run = found[folder.relative_to(root).as_posix()] = Tracked()
        for name in events.Tags()["scalars"]:
            for event in events.Scalars(name):
                run.add(name, event.step, event.value)
        if "status/text_summary" in events.Tags()["tensors"]:
            run.status = events.Tensors("status/text_summary")[-1].tensor_proto.string_val[0].decode()
        assert "_hparams_/session_start_info" in events.PluginTagToContent("hparams")
        run.group = folder.parent.relative_to(root).as_posix()
    return found


def _mlflow(place):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    (experiment,) = [found for found in client.search_experiments() if found.name == "rnnexp"]
    runs = client.search_runs([experiment.experiment_id])
    names = {run.info.run_id: run.info.run_name for run in runs}
    found = {}
    for run in runs:
        tags = run.data.tags
        if tags["rnnexp.id"].startswith("sweep "):
            assert run.info.status == "FINISHED"
            continue
        assert names[run.info.run_id] not in found
        tracked = found[names[run.info.run_id]] = Tracked(status=tags.get("rnnexp.status"), config=run.data.params)
        tracked.group = names.get(tags.get("mlflow.parentRunId"))
        for name in run.data.metrics:
            for metric in client.get_metric_history(run.info.run_id, name):
                tracked.add(name, metric.step, metric.value)
    return found


def _wandb(place):
    from wandb.util import get_core_path

    found = {}
    for path in sorted((place / "wandb").glob("offline-run-*/run-*.wandb")):
        # As `wandb leet inspect --json FILE` calls it.
        command = [get_core_path(), "leet", "inspect", "--no-observability", "--json", "--run-file", str(path)]
        printed = subprocess.run([*command, str(place / "wandb")], capture_output=True, text=True, check=True).stdout
        records = [json.loads(line) for line in printed.splitlines()]
        if not (about := next((record["run"] for record in records if record["type"] == "run"), None)):
            continue  # it was killed before it had written anything
        tracked = found.setdefault(about["display_name"], Tracked())
        tracked.group, tracked.config = about.get("run_group"), about["config"]["update"]
        for record in records:
            if record["type"] == "history":
                step = record["history"]["step"]["num"]
                for name, value in record["history"]["item"].items():
                    if not name.startswith("_") and name != "epoch":
                        tracked.add(name, step, value)
            elif record["type"] == "summary":
                update = record["summary"]["update"]
                tracked.status = update.get("status", tracked.status)
                for name in update:
                    if name.startswith("final/"):
                        tracked.add(name, 0, update[name])
    return found


READ_TRACKIO = """
import json, trackio
storage = trackio.SQLiteStorage
runs = trackio.Api().runs("rnnexp")
print(json.dumps([[r.name, r.config, storage.get_logs("rnnexp", r.name, run_id=r.id)] for r in runs], default=str))
"""


def _trackio(place):
    environment = {**os.environ, "TRACKIO_DIR": str(place / "trackio")}  # read when it is imported
    command = [sys.executable, "-c", READ_TRACKIO]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    found = {}
    for name, config, logs in json.loads(printed):
        assert name not in found
        tracked = found[name] = Tracked(config=config, group=config["_Group"])
        for row in logs:
            tracked.status = row.get("status", tracked.status)
            for key, value in row.items():
                if key not in ("step", "timestamp", "epoch", "status"):
                    tracked.add(key, row["step"], value)
    return found
