"""Sweeps and comparisons as rows beside their runs: how far each is, and what it has found."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra_sweep.errors import counted
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record.comparison_folder import ComparisonFolder
from rnnexp.record.result import Status
from rnnexp.results.collecting import Stamp, relative, stamp_of
from rnnexp.results.following import Seen

SWEEP, COMPARISON = SweepFolder(Path()), ComparisonFolder(Path())
OF_A_COMPARISON = (COMPARISON.state.name, COMPARISON.verdict.name, COMPARISON.across.name)
DAMAGED = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError)


class Groups:
    """The sweeps and comparisons below a folder. What they say of themselves is read again when it has changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, tuple[list[Stamp], dict[str, Any]]] = {}

    def rows(self, seen: Seen) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Returns a row for each sweep and comparison, and of each run and group the one that it is in."""
        kinds = {path: kind for path, files in seen.folders.items() if (kind := _kind(files))}
        statuses: dict[str, Counter[str]] = defaultdict(Counter)
        changed: dict[str, float] = defaultdict(float)
        within: dict[str, str] = {}
        for path, entry in seen.runs.items():
            for above in _above(path):
                if above in kinds:
                    within.setdefault(path, above)
                    statuses[above][str(entry.row["status"])] += 1
                    changed[above] = max(changed[above], entry.changed)
        rows = {}
        for path, kind in kinds.items():
            about = self._read(path, kind, seen.folders[path])
            if inside := next((above for above in _above(path) if above in kinds), None):
                within[path] = inside
            rows[path] = _row(kind, about, statuses[path]) | {"path": relative(path, Path("/"))}
            rows[path]["changed"] = max(changed[path], about["changed"])
        self._known = {path: known for path, known in self._known.items() if path in kinds}
        return rows, within

    def _read(self, path: str, kind: str, files: frozenset[str]) -> dict[str, Any]:
        folder = self.root / path
        own = (SWEEP.request, SWEEP.table, SWEEP.best) if kind == "sweep" else map(Path, OF_A_COMPARISON)
        stamps = [stamp_of(os.path.join(folder, file.name)) for file in own if file.name in files]
        known = self._known.get(path)
        if known and known[0] == stamps:
            return known[1]
        try:
            about = _sweep(SweepFolder(folder)) if kind == "sweep" else _comparison(ComparisonFolder(folder))
        except DAMAGED as error:
            about = {"reason": f"its record is damaged ({type(error).__name__}: {error})", "is_damaged": True}
        about["changed"] = max((stamp[0] / 1e9 for stamp in stamps if stamp), default=0.0)
        self._known[path] = stamps, about
        return about


def _kind(files: frozenset[str]) -> str:
    if not files.isdisjoint(OF_A_COMPARISON):
        return "comparison"
    return "sweep" if SWEEP.request.name in files else ""


def _above(path: str) -> Iterator[str]:
    """Yields the folders that a path is in, the nearest first."""
    while path:
        path = os.path.dirname(path)
        yield path


def _sweep(folder: SweepFolder) -> dict[str, Any]:
    """Returns what a sweep's files say of it."""
    request, best = folder.read_request(), folder.read_best()
    asked = request.get("request") or {}
    try:
        ended = len({row["trial"] for row in csv.DictReader(io.StringIO(folder.read_table()))})
    except FileNotFoundError:
        ended = 0
    found: dict[str, Any] = {"trials": ended, "n_trials": int(request["n_trials"])}
    summary = [f"{ended} of {counted(found['n_trials'], 'trial')}"]
    if "trial" in best:
        summary.append(f"best: trial {best['trial']}")
    for objective in map(str, asked.get("objective") or []):
        if isinstance(value := best.get(objective), (int, float)):
            found.setdefault("reached", {})[objective] = float(value)
    return found | {"summary": ", ".join(summary)}


def _comparison(folder: ComparisonFolder) -> dict[str, Any]:
    """Returns what a comparison's files say of it."""
    if folder.across.exists():
        found = folder.read_across()
        return {"summary": " ".join(map(str, found["verdict"])), "is_complete": True}
    if folder.verdict.exists():
        found = folder.read_verdict()
        sentences = [str(pair["sentence"]) for pair in found["pairs"]]
        return {"summary": " ".join(sentences), "is_complete": found["state"] == "complete"}
    return {"summary": "no verdict yet", "is_complete": False}


def _row(kind: str, about: Mapping[str, Any], statuses: Counter[str]) -> dict[str, Any]:
    """Returns the cells of a sweep or a comparison whose runs have these statuses."""
    is_complete = about.get("is_complete", about.get("trials", 0) >= about.get("n_trials", 1))
    status = Status.COMPLETE if is_complete else Status.UNFINISHED
    if statuses[Status.RUNNING.value]:
        status = Status.RUNNING
    elif about.get("is_damaged"):
        status = Status.CORRUPT
    row: dict[str, Any] = {
        "kind": kind,
        "status": status.value,
        "reason": about.get("reason"),
        "summary": about.get("summary"),
    }
    row |= {"trials": about.get("trials"), "n_trials": about.get("n_trials")}
    return {**about.get("reached", {}), **row}  # an objective may be called as a column of ours is
