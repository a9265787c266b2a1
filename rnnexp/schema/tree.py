"""Where the tree of configurations is, and the options of its groups, read without Hydra: `--help` answers at once."""

from __future__ import annotations

from pathlib import Path

PACKAGED = Path(__file__).parent.parent / "conf"
CONFIG_DIR = PACKAGED if PACKAGED.is_dir() else Path(__file__).parent.parent.parent / "conf"
GROUPS = ("model", "optim", "schedule", "data", "train", "experiment")


def shipped_options(group: str) -> list[str]:
    """Returns the options of a group that come with rnnexp, without those in subfolders, which presets choose."""
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))
