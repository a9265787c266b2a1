"""Every file that a sweep leaves in its folder, written and read here and nowhere else.

Each is written whole or not at all. A study on a server has no `study.db`; the other files are the same.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra_sweep.files import atomic, read_csv, read_yaml, remove_partial_files, with_csv_checksums, yaml_text

SQLITE = "sqlite:///"  # begins an Optuna URL of a file
GOES_ON = "the sweep goes on; make room"  # what is written while it runs, and anew when it ends
RUN_RECORD = "trial.json"  # in the folder of each run of a trial
PARTIAL_FILE_SECONDS = 3600  # after which nobody still writes a file; another sweeper may be at work in the folder


@dataclass(frozen=True)
class SweepFolder:
    """The folder of a sweep; trials are in folders of their own, by their numbers."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def request(self) -> Path:
        """What was asked, resolved, and how to go on."""
        return self.path / "sweep.yaml"

    @property
    def multirun(self) -> Path:
        """The configuration of the command, as Hydra's own sweeper leaves it."""
        return self.path / "multirun.yaml"

    @property
    def table(self) -> Path:
        """A row for each run of a trial that has ended."""
        return self.path / "results.csv"

    @property
    def best(self) -> Path:
        return self.path / "best.yaml"

    @property
    def optimization_results(self) -> Path:
        """The best in the official sweeper's words."""
        return self.path / "optimization_results.yaml"

    @property
    def database(self) -> Path:
        return self.path / "study.db"

    @property
    def database_url(self) -> str:
        return f"{SQLITE}{self.database}"

    @property
    def workers(self) -> Path:
        """What workers print, a file for each."""
        return self.path / "workers"

    @property
    def open_lock(self) -> Path:
        """Held while a study is made or resumed, so that two sweepers don't make two."""
        return self.path / ".open.lock"

    @property
    def reap_lock(self) -> Path:
        """Held while lost trials are given back, so that two sweepers don't count one loss twice."""
        return self.path / ".reap.lock"

    def trial(self, number: int) -> Path:
        return self.path / str(number)

    def run_record(self, run: str) -> Path:
        """Returns the record of a run, by the number of its trial, and of its repeat or fold if it has several.

        Args:
            run: empty, if this folder is that of the run.
        """
        return self.path / run / RUN_RECORD

    def run_records(self, number: int) -> list[Path]:
        """Returns the records of a trial's runs that are here: one, or one of each repeat and fold, in their order."""
        if (alone := self.trial(number) / RUN_RECORD).exists():
            return [alone]
        return sorted(self.trial(number).glob(f"*/{RUN_RECORD}"), key=lambda path: (len(path.parent.name), path))

    def trials(self) -> list[Path]:
        """Returns the folders of trials that are here."""
        return [path for path in self.path.iterdir() if path.name.isdigit()]

    def delete(self, number: int, names: Iterable[str]) -> None:
        """Deletes files of these names from a trial's folder, as far as that can be done."""
        for name in names:
            for file in self.trial(number).rglob(name):
                with suppress(OSError):
                    file.unlink()

    def is_sweep(self) -> bool:
        return self.request.exists()

    def database_files(self) -> list[Path]:
        """Returns `study.db` and SQLite's own files beside it."""
        return list(self.path.glob(f"{self.database.name}*"))

    def remove_partial_files(self) -> None:
        """Deletes what killed writers have left."""
        own = (self.request, self.multirun, self.table, self.best, self.optimization_results)
        remove_partial_files(own, PARTIAL_FILE_SECONDS)

    def read_request(self) -> dict[str, Any]:
        """Returns what was asked; nothing if there is no sweep. Raises: ValueError if it is damaged."""
        return read_yaml(self.request)

    def read_choices(self) -> dict[str, str]:
        """Returns the options of groups in the command's configuration. Raises: ValueError if it is damaged."""
        try:
            choices = read_yaml(self.multirun)["hydra"]["runtime"]["choices"]
            return {str(group): str(option) for group, option in choices.items() if option is not None}
        except (KeyError, TypeError, AttributeError):
            return {}

    def read_best(self) -> dict[str, Any]:
        """Returns the best trial, or the front; nothing if there is none. Raises: ValueError if it is damaged."""
        return read_yaml(self.best)

    def read_table(self) -> str:
        """Returns the table as CSV. Raises: OSError, or ValueError if it is damaged."""
        return read_csv(self.table)

    def write_request(self, content: Mapping[str, Any], multirun: str) -> None:
        """Raises: UserError if there is no room."""
        for file, text in ((self.request, yaml_text(content)), (self.multirun, multirun)):
            with atomic(file) as out:
                out.write(text.encode())

    def write_table(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        """Raises: UserError if there is no room."""
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: " ".join(c.splitlines()) if isinstance(c, str) else c for name, c in row.items()})
        with atomic(self.table, GOES_ON) as out:
            out.write("".join(with_csv_checksums(text.getvalue().split("\n")[:-1])).encode())

    def write_best(self, content: Mapping[str, Any], official: Mapping[str, Any] | None) -> None:
        """Raises: UserError if there is no room."""
        for file, found in ((self.best, content), (self.optimization_results, official)):
            if found is not None:
                with atomic(file, GOES_ON) as out:
                    out.write(yaml_text(found).encode())
