"""Every file that a comparison leaves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ComparisonFolder:
    """The folder of a comparison."""

    path: Path

    @property
    def request(self) -> Path:
        return self.path / "compare.yaml"

    @property
    def result(self) -> Path:
        return self.path / "comparison.json"

    @property
    def page(self) -> Path:
        return self.path / "report.html"

    def sweep(self, stage: str, arm: str) -> Path:
        """Returns the folder of an arm's search or final runs."""
        return self.path / stage / re.sub(r"[^\w.+-]+", "_", arm).strip("._")
