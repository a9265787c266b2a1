"""A name of a run, a sweep or a comparison wherever a path is taken: `first` is `outputs/runs/first`."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from hydra_sweep.errors import UserError
from hydra_sweep.hints import nearest

OUTPUTS = Path("outputs")
KINDS = ("runs", "sweeps", "compare")  # the folders of outputs that hold them, as conf/config.yaml says


def find(typed: str | Path, outputs: Path = OUTPUTS) -> Path:
    """Returns the folder or file that was typed, or that of the run, sweep or comparison of that name.

    A name may go on inside what it names: `my-search/3` is the fourth trial of a search.

    Raises:
        UserError: there is nothing of that name, or there are several.
    """
    path = Path(typed)
    if path.exists() or path.is_absolute() or not path.parts:
        return path  # whether it holds what is wanted, the reader says
    if not outputs.exists():
        raise UserError(f"there is no folder {typed} here; runs make {outputs} in the folder where they are started")
    found = [place for place in (outputs / path, *(outputs / kind / path for kind in KINDS)) if place.exists()]
    if len(found) > 1:
        raise UserError(f"{typed} may be {' or '.join(map(str, found))}; type which")
    if found:
        return found[0]
    if len(path.parts) > 1 and path.parts[0] not in names(outputs):
        return path
    hint = nearest(path.parts[0], names(outputs))
    raise UserError(f"there is no folder {typed}, and no run, sweep or comparison of that name in {outputs}{hint}")


def names(outputs: Path = OUTPUTS) -> list[str]:
    """Returns the names of all runs, sweeps and comparisons."""
    places = chain.from_iterable((outputs / kind).glob("*") for kind in KINDS)
    return sorted({place.name for place in places if place.is_dir()})
