"""The report's pages, drawn when they are asked for and again when what they show has changed."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from hydra_sweep.errors import UserError, escape_unprintable
from hydra_sweep.files import reading_below
from rnnexp.report.page import Page, Served
from rnnexp.report.pages import gather
from rnnexp.results.collecting import relative, stamp_of
from rnnexp.watch import chosen
from rnnexp.watch.table import MOST, Watched, page_url

KEPT = 32  # pages, of a megabyte at most
LEAST_SECONDS = 1.0  # between two drawings of a page
SHARE = 4  # a page may be drawn a fourth of the time: what it shows is training on the same cores


class NotFound(UserError):
    """There is no such page."""


@dataclass(frozen=True)
class Drawn:
    """A page as it was drawn last.

    Args:
        seconds: that it took.
        at: when that was, by the monotonic clock.
    """

    tag: str
    html: bytes
    seconds: float
    at: float


class Pages:
    """Draws pages, one at a time: matplotlib's settings are those of the whole process."""

    def __init__(self, root: Path, start: str) -> None:
        self.root, self.start = root, start
        self._lock = threading.Lock()
        self._drawn: OrderedDict[str, Drawn] = OrderedDict()

    def folder(self, table: Watched, path: str) -> Drawn:
        """Returns the page of a folder, which is one of those that the table knows: no path leads elsewhere.

        Raises:
            NotFound: there is no such folder.
        """
        if path not in table.seen.runs and path not in table.seen.folders:
            raise NotFound(f"there is no folder {path}; it may have been deleted, or have come a moment ago")
        runs = table.seen.below(path)
        own = os.path.join(self.root, path)
        stamps = [(name, stamp_of(os.path.join(own, name))) for name in sorted(_names(own))]
        state = f"{len(runs)} {max((entry.serial for entry in runs.values()), default=0)} {stamps}"

        def make() -> Page:
            try:
                return gather(self.root / path, table.seen.collect)
            except UserError as error:
                return Page(
                    self.root / path, "folder", os.path.basename(path) or str(self.root), warnings=error.problems
                )

        return self._page(f"at {path}", state, make, table, path)

    def chosen(self, table: Watched, paths: Sequence[str]) -> Drawn:
        """Returns the page of some runs.

        Raises:
            NotFound: one of them is not there, or there are too many.
        """
        if not 0 < len(paths) <= MOST:
            raise NotFound(f"choose between one run and {MOST}: more can't be told apart in a figure")
        runs = {}
        for path in paths:
            if path not in table.seen.runs:
                raise NotFound(f"there is no run {path}")
            runs[path] = table.seen.runs[path]
        stamps = [stamp_of(os.path.join(self.root, path)) for path in paths]
        state = f"{[entry.serial for entry in runs.values()]} {stamps}"

        def make() -> Page:
            columns = list(map(str, table.seen.frame.columns))
            return chosen.page(self.root, {path: entry.row for path, entry in runs.items()}, columns)

        return self._page(f"chosen {list(paths)}", state, make, table, "")

    def _page(self, key: str, state: str, make: Callable[[], Page], table: Watched, path: str) -> Drawn:
        tag = hashlib.sha256(f"{self.start} {key} {state}".encode(errors="surrogateescape")).hexdigest()[:16]
        with self._lock:
            known = self._drawn.get(key)
            began = time.monotonic()
            if known and (known.tag == tag or began - known.at < max(LEAST_SECONDS, SHARE * known.seconds)):
                self._drawn.move_to_end(key)
                return known
            with reading_below(self.root):
                html = make().html(_links(table, path), Served(_crumbs(path), tag, _in_table(table, path)))
            now = time.monotonic()
            self._drawn[key] = Drawn(tag, html.encode(errors="backslashreplace"), now - began, now)
            if len(self._drawn) > KEPT:
                self._drawn.popitem(last=False)
            return self._drawn[key]


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _links(table: Watched, path: str) -> Callable[[str], str]:
    """Returns a function from what is below a page's folder to the URL of its page; nothing outside of the root."""

    def link(below: str) -> str:
        target = os.path.normpath(os.path.join(path, below))
        target = "" if target == "." else target
        return page_url(target) if target in table.seen.runs or target in table.seen.folders else ""

    return link


def _in_table(table: Watched, path: str) -> str:
    """Returns the URL of the table with the runs of a folder alone; nothing for a run, and for all runs."""
    if not path or path in table.seen.runs:
        return ""
    return f"/?{urlencode({'text': os.path.join(relative(path, Path('/')), '')})}"


def _crumbs(path: str) -> list[tuple[str, str]]:
    """Returns the table, and the pages of the folders above one."""
    found = [("all runs", "/")]
    above = os.path.dirname(path)
    while above:
        name = escape_unprintable(os.path.basename(relative(above, Path("/"))))
        found.insert(1, (name, page_url(above)))
        above = os.path.dirname(above)
    return found
