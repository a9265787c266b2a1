"""`rnnexp reproduce RUN`: run a recorded run again and say whether history and metrics are identical."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hydra_sweep import streams
from hydra_sweep.commands import Parser, command
from hydra_sweep.differences import flatten
from hydra_sweep.errors import UserError
from hydra_sweep.signals import Interrupted
from rnnexp.record.places import find_run
from rnnexp.record.result import EARLIER, TIME_COLUMNS, RunResult, Status
from rnnexp.record.run_folder import RunFolder
from rnnexp.record.trust import trust_problems
from rnnexp.schema.config import plain_config, with_schema
from rnnexp.schema.identity import computed, dataset_difference


@command("rnnexp reproduce")
def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if history and metrics are identical but for times, 1 if not, 2 for a mistake in the command."""
    parser = Parser("rnnexp reproduce", description="Run a recorded run again and compare its history and metrics.")
    parser.add_argument("run_dir", metavar="RUN", help="a finished run, by name or folder")
    parser.add_argument("--out", type=Path, help="keep the new run in this folder (default: a temporary one)")
    parser.add_argument("--trust", action="store_true", help="run the record's own classes, whoever wrote them")
    args = parser.parse_args(argv)
    run_dir = find_run(args.run_dir)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    streams.keep_going()
    with tempfile.TemporaryDirectory() if args.out is None else nullcontext(args.out) as out:
        try:
            differences = reproduce(run_dir, out, args.trust)
        except Interrupted as stopped:
            return 128 + stopped.signum
    print("\n".join(differences.shown(run_dir)))
    return 1 if differences.results else 0


@dataclass(frozen=True)
class Differences:
    """What came out otherwise than recorded (`results`), and what the machine has otherwise (`environment`)."""

    results: list[str]
    environment: list[str]

    def shown(self, run_dir: Path) -> list[str]:
        """Returns the lines for the user, the verdict last."""
        if self.results:
            return [*self.results, *self.environment, f"not identical: {run_dir} did not come out as recorded"]
        verdict = f"identical: history and metrics of {run_dir} came out bit for bit"
        if not self.environment:
            return [verdict]
        return [*self.environment, f"{verdict}, in another environment"]


def reproduce(run_dir: Path, out: str | Path, trust: bool = False) -> Differences:
    """Runs the configuration recorded in `run_dir` again, in `out`, and returns what differs.

    The same device, number of threads and precision are asked for.

    Args:
        trust: runs whatever classes the record names, and fills whatever folder it names for the data.

    Raises:
        UserError: there is no readable record, it can't run here, or it needs `trust`.
    """
    folder = RunFolder(run_dir)
    try:
        recorded = folder.read_result()
        before = folder.read_history()
    except ValueError as error:
        raise UserError(f"{run_dir} is corrupt ({error})") from error
    if recorded is None:
        raise UserError(f"{run_dir} holds no finished run: there is no {folder.result.name}")
    if recorded.is_of_an_earlier_version:
        raise UserError(f"{run_dir} {EARLIER}")
    if (problems := trust_problems(recorded.config)) and not trust:
        raise UserError(problems)
    try:
        cfg = with_schema(computed(recorded.config))  # no tracker is to hear of the run twice
        config = plain_config(cfg)
        config["train"] |= {
            "device": recorded.device.partition(":")[0],
            "threads": recorded.threads,
            "precision": recorded.precision,
            "resume": False,
        }
        if not trust and is_strangers_root(cfg.data):
            config["data"]["root"] = None
    except (ValueError, KeyError, TypeError, AttributeError, OmegaConfBaseException) as error:
        cause = " ".join(str(error).split())[:160]
        raise UserError(f"{folder.result} is corrupt ({type(error).__name__}: {cause})") from error
    from rnnexp.runner import run

    # A search's trial never saw the test set, never validates on it, and validates on something.
    data = config["data"]
    validates_apart = data["folds"] is not None or (data["valid_from"] == "train" and data["valid_size"] != 0)
    test = "test_accuracy" in recorded.metrics or not validates_apart
    pruned_after = recorded.metrics.get("epochs") if recorded.status in (Status.PRUNED, Status.TIMEOUT) else None
    again = run(
        config,
        out,
        choices=recorded.choices,
        test=test,
        is_stacked=recorded.is_stacked,
        on_epoch=lambda row: row["epoch"] == pruned_after and recorded.status,
    )
    histories = history_differences(before, RunFolder(Path(out)).read_history())
    dataset = dataset_difference(recorded.dataset, again.dataset)
    results = dataset + histories + result_differences(recorded, again)
    return Differences(results, environment_differences(recorded, again))


def is_strangers_root(data: DictConfig) -> bool:
    """Returns whether `data.root` names a folder that would be filled with files of a dataset that are not there."""
    from rnnexp.data import cifar, idx

    if data["_target_"] == f"{cifar.__name__}.load":
        return not cifar.is_there(data.root)
    name = data.get("name", f"emnist_{data.get('split')}")
    return str(data["_target_"]).startswith(f"{idx.__name__}.") and not idx.is_there(name, data.root)


def history_differences(before: list[dict[str, str]], after: list[dict[str, str]]) -> list[str]:
    """Returns a line for each epoch and column that differ, times aside."""
    lines = [
        f"epoch {i}, {column}: {a[column]} -> {b.get(column, 'absent')}"
        for i, (a, b) in enumerate(zip(before, after, strict=False), 1)
        for column in a
        if column not in TIME_COLUMNS and a[column] != b.get(column)
    ]
    return lines + ([f"epochs: {len(before)} -> {len(after)}"] if len(before) != len(after) else [])


def result_differences(old: RunResult, new: RunResult) -> list[str]:
    """Returns a line for the status and for each metric that differ, times aside."""
    before, after = ({"status": r.status.value, **r.metrics} for r in (old, new))
    keys = [key for key in {**before, **after} if key != "train_seconds"]
    return [
        f"{key}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in keys
        if repr(before.get(key)) != repr(after.get(key))  # NaN is equal to itself here
    ]


def environment_differences(old: RunResult, new: RunResult) -> list[str]:
    """Returns what the recorded environment had otherwise: versions, commit, platform."""
    before, after = flatten(old.environment), flatten(new.environment)
    keys = [key for key in before if key not in ("started", "ended", "host")]
    keys += [key for key in after if key not in before]
    return [
        f"environment, {key}: {before.get(key)} -> {after.get(key)}"
        for key in keys
        if before.get(key) != after.get(key)
    ]


if __name__ == "__main__":
    sys.exit(main())
