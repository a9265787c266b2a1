"""Every file that a comparison leaves in its folder, written and read here and nowhere else; its sweeps have theirs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra_sweep.files import atomic, read_json, read_yaml, with_json_checksum, yaml_text


@dataclass(frozen=True)
class ComparisonFolder:
    """The folder of a comparison."""

    path: Path

    @property
    def state(self) -> Path:
        """What was asked and what is done: the comparison goes on from it."""
        return self.path / "compare.yaml"

    @property
    def verdict(self) -> Path:
        return self.path / "comparison.json"

    @property
    def across(self) -> Path:
        """What the comparisons on several data sets, each in a folder of its own below, say together."""
        return self.path / "datasets.json"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    @property
    def searches(self) -> Path:
        return self.path / "search"

    @property
    def finals(self) -> Path:
        return self.path / "final"

    def search(self, arm: str, number: int) -> Path:
        """Returns the sweep's folder of one of an arm's searches, counted from 0."""
        return self.searches / folder_name(arm) / str(number + 1)

    def again(self, arm: str, number: int) -> Path:
        """Returns the sweep's folder of the best few of that search, run again."""
        return self.path / "again" / folder_name(arm) / str(number + 1)

    def final(self, arm: str) -> Path:
        """Returns the folder that the sweeps of an arm's final runs are in."""
        return self.finals / folder_name(arm)

    def final_sweep(self, arm: str, number: int, seeds: Sequence[int]) -> Path:
        """Returns the sweep's folder of the final runs that one search's winner has with these seeds."""
        return self.final(arm) / str(number + 1) / "-".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))

    def read_state(self) -> dict[str, Any]:
        """Returns what was asked and done; nothing if it has not begun. Raises: ValueError if it is damaged."""
        return read_yaml(self.state)

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Raises: UserError if there is no room."""
        with atomic(self.state) as out:
            out.write(yaml_text(dict(state)).encode())

    def read_verdict(self) -> Any:
        """Raises: OSError, or ValueError if it is damaged."""
        return read_json(self.verdict)

    def read_across(self) -> Any:
        """Raises: OSError, or ValueError if it is damaged."""
        return read_json(self.across)

    def write_across(self, text: str) -> None:
        """Args: text: as `Across.to_json` returns it. Raises: UserError if there is no room."""
        with atomic(self.across) as out:
            out.write(with_json_checksum(text).encode())

    def write_verdict(self, text: str) -> None:
        """Args: text: as `Verdict.to_json` returns it. Raises: UserError if there is no room."""
        with atomic(self.verdict) as out:
            out.write(with_json_checksum(text).encode())


def folder_name(arm: str) -> str:
    """Returns an arm's name as a folder can have it."""
    return re.sub(r"[^\w.+-]+", "_", arm).strip("._")
