"""What a server knows of the folder it watches: one look for all who ask, and no look while nobody does."""

from __future__ import annotations

import secrets
import threading
import time
from pathlib import Path

from hydra_sweep.background import Background
from hydra_sweep.files import reading_below
from rnnexp.results.following import Follower
from rnnexp.watch.groups import Groups
from rnnexp.watch.table import Watched

LEAST_SECONDS = 1.0  # between two looks
SHARE = 5  # a look but the first may take a sixth of the time: what is watched is training on the same cores
RECENT_SECONDS = 10.0  # a look that is older is not shown, if a new one is quick
PATIENCE_SECONDS = 0.5


class Watcher(Background):
    """Looks at a folder in a thread of its own, so that no browser waits for ten thousand runs but the very first.

    It looks because it is asked: network file systems tell nobody of changes that other hosts have made.
    """

    def __init__(self, root: Path) -> None:
        super().__init__("watcher")
        self.root = root
        self._follower, self._groups = Follower(root), Groups(root)
        self.start_token = secrets.token_hex(4)  # so that no browser takes an earlier server's table for this one's
        self._table: Watched | None = None
        self._looked = threading.Condition()
        self._asked = threading.Event()
        self._last = 0.0
        self._error: Exception | None = None

    def run(self) -> None:
        while not self.done.is_set():
            if not self._asked.wait(0.2):
                continue
            self._asked.clear()
            began = time.monotonic()
            try:
                with reading_below(self.root):
                    table = self._look()
            except Exception as error:  # it is raised where it was asked for
                self._error = error
            else:
                self._table, self._error = table, None
            with self._looked:
                is_first, self._last = not self._last, time.monotonic()
                self._looked.notify_all()
            self.done.wait(LEAST_SECONDS if is_first else max(LEAST_SECONDS, SHARE * (self._last - began)))

    def _look(self) -> Watched:
        seen = self._follower.look()
        groups, within = self._groups.rows(seen)
        known = self._table
        if known and known.seen.version == seen.version and str(known.groups) == str(groups):
            return known
        number = int(known.version.rpartition("-")[2]) + 1 if known else 1
        return Watched(seen, groups, within, f"{self.start_token}-{number}").prepare(known.usual if known else ())

    def table(self) -> Watched:
        """Returns what there was a moment ago. Waits for the first look, and briefly for one after a pause."""
        with self._looked:
            self._asked.set()
            if self._table is None:
                self._looked.wait_for(lambda: self._table or self._error)
            elif time.monotonic() - self._last > RECENT_SECONDS:
                last = self._last
                self._looked.wait_for(lambda: self._last > last, PATIENCE_SECONDS)
        if self._error or not self._table:
            raise RuntimeError("the folder can't be looked at") from self._error
        return self._table
