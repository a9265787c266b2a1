"""The tags and notes of a run: begun with `tags=` and `notes=`, changed by `rnnexp tag`. No torch.

They are no part of what is computed, and have a file of their own: result.json, with its checksum, stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from filelock import FileLock

from hydra_sweep.files import atomic, explained, read_json, with_json_checksum
from rnnexp.record.run_folder import RunFolder

HINT = "its tags and notes stay as they were"


class Labels(NamedTuple):
    """What people call a run."""

    tags: tuple[str, ...] = ()
    notes: str | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Labels:
        """Returns those of a configuration, or of tags.json; of an older record there are none."""
        tags, notes = content.get("tags") or (), content.get("notes")
        return cls(
            tuple(map(str, tags)) if isinstance(tags, (list, tuple)) else (), None if notes is None else str(notes)
        )


def read(folder: RunFolder, config: Mapping[str, Any]) -> Labels:
    """Returns the tags and notes that a run was given last.

    Args:
        config: its configuration, which has those that it began with.

    Raises:
        ValueError: tags.json is damaged.
    """
    try:
        content = read_json(folder.labels)
    except FileNotFoundError:
        return Labels.of(config)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder.labels.name} can't be read: {getattr(error, 'strerror', error)}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{folder.labels.name} can't be read: it holds no tags")
    return Labels.of(content)


def settle(folder: RunFolder, config: Mapping[str, Any]) -> Labels:
    """Returns a run's tags and notes, having kept those of its configuration if it has none yet.

    So a command that goes on with the run need not name them again; it doesn't change them either.

    Raises:
        UserError: they can't be written.
        ValueError: tags.json is damaged.
    """
    if Labels.of(config) != Labels() and not folder.labels.exists():
        return change(folder, config, lambda labels: labels)
    return read(folder, config)


def change(folder: RunFolder, config: Mapping[str, Any], changed: Callable[[Labels], Labels]) -> Labels:
    """Gives a run other tags and notes, and returns them. Of two who do so at once, both are heard.

    Raises:
        UserError: the file can't be written.
        ValueError: tags.json is damaged.
    """
    with explained(folder.labels, HINT), FileLock(folder.labels_lock):
        labels = changed(read(folder, config))
        with atomic(folder.labels, HINT) as out:
            text = json.dumps({"tags": list(labels.tags), "notes": labels.notes}, indent=1) + "\n"
            out.write(with_json_checksum(text).encode())
    return labels
