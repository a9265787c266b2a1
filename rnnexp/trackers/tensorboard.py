"""TensorBoard: event files in a folder for each run, those of a sweep's trials below one of its own.

Each epoch is one event, written and flushed at once: tensorboardX's usual writer does it in a thread, which dies of a
full disk and then lets the run wait for it for ever.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from rnnexp.callbacks import Row, RunView
from rnnexp.record.result import METRICS, RunResult
from rnnexp.trackers.tracker import FINAL, KEY, Recorded, Tracker, final_metrics, flat_hyperparameters, is_good, numbers

STATUS = "status/text_summary"  # the tag by which TensorBoard shows the text `status`
LENGTH, CHECKSUM = struct.Struct("<Q"), 4  # bytes before and after each record: its length, and a sum of either


class TensorBoard(Tracker):
    """Event files.

    Args:
        folder: which TensorBoard is to be shown, as `--logdir`.
    """

    option = "tensorboard"

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.writer: Any = None

    def look(self, run: RunView, run_id: str) -> Recorded:
        self.place = self._place(run, run_id)
        epochs, status = set(), None
        for path in self._files(run_id):
            for event in events(path):
                tags = {value.tag: value for value in event.summary.value}
                if KEY in tags:
                    epochs.add(int(event.step))
                if STATUS in tags:
                    status = tags[STATUS].tensor.string_val[0].decode()
        return Recorded(frozenset(epochs), status)

    def open(self, run: RunView, run_id: str) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.summary import hparams, text

        self.place.mkdir(parents=True, exist_ok=True)
        number = len(self._files(run_id))  # each attempt has a file of its own, even within one second
        self.writer = EventsWriter(str(self.place / "events"), f".{number}.{run_id}")
        if number == 0:
            values = {name: _shown(value) for name, value in flat_hyperparameters(run).items()}
            shown = [f"{FINAL}{name}" for name in METRICS]
            for summary in hparams(values, dict.fromkeys(shown, 0.0))[:2]:  # the third says that it has ended
                self._write(summary, 0)
            for name, label in {"tags": ", ".join(run.tags), "notes": run.notes}.items():
                if label:
                    self._write(text(name, label), 0)
        self.writer.flush()

    def write(self, row: Row, seconds: float) -> None:
        values = {name: value for name, value in numbers(row).items() if name != "epoch"}
        self._write(_scalars(values), int(row["epoch"]), seconds)
        self.writer.flush()

    def close(self, result: RunResult | None) -> None:
        from tensorboardX.summary import hparams, text

        if result is not None:
            last = int(result.metrics.get("epochs", 0))
            self._write(_scalars(final_metrics(result)), last)
            if is_good(result):
                self._write(hparams({}, {})[2], last)
            self._write(text("status", result.status.value), last)
        self.release()

    def release(self) -> None:
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.close()

    def _place(self, run: RunView, run_id: str) -> Path:
        """Returns the folder of a run: that of its name, unless another run of this name is in there."""
        # A record that is exported may be a stranger's: whatever its name says, it is shown below the folder.
        parts = [part for part in PurePosixPath(run.name).parts if part not in ("/", "..")]
        place = self.folder.joinpath(*parts or ["run"])
        files = list(place.glob("events.out.tfevents.*"))
        is_taken = bool(files) and not any(path.name.endswith(run_id) for path in files)
        return place.with_name(f"{place.name}_{run_id[:6]}") if is_taken else place

    def _files(self, run_id: str) -> list[Path]:
        return sorted(self.place.glob(f"events.out.tfevents.*.{run_id}"))

    def _write(self, summary: Any, step: int, seconds: float | None = None) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self.writer.write_event(Event(wall_time=seconds or time.time(), step=step, summary=summary))


def events(path: Path) -> Iterator[Any]:
    """Yields the events of a file, up to one that was torn when its writer was killed."""
    from google.protobuf.message import DecodeError
    from tensorboardX.proto.event_pb2 import Event

    content, at = path.read_bytes(), 0
    while at + LENGTH.size <= len(content):
        (length,) = LENGTH.unpack_from(content, at)
        begin = at + LENGTH.size + CHECKSUM
        at = begin + length + CHECKSUM
        if at > len(content):
            return
        try:
            yield Event.FromString(content[begin : begin + length])
        except DecodeError:
            return


def _scalars(values: dict[str, float]) -> Any:
    from tensorboardX.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])


def _shown(value: Any) -> Any:
    """Returns a value as TensorBoard's table of hyperparameters can hold it."""
    return value if isinstance(value, (bool, int, float, str)) else "-" if value is None else str(value)
