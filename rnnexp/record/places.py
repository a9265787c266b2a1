"""A name of a run, a sweep or a comparison wherever a path is taken: `first` is `outputs/runs/first`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from hydra_sweep.errors import UserError
from hydra_sweep.hints import nearest
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record.comparison_folder import ComparisonFolder
from rnnexp.record.run_folder import RunFolder

OUTPUTS = Path("outputs")
KINDS = ("runs", "sweeps", "compare")  # the folders of outputs that hold them, as conf/config.yaml says


def find(typed: str | Path, outputs: Path = OUTPUTS) -> Path:
    """Returns the folder or file that was typed, or that of the run, sweep or comparison of that name.

    A name may go on inside what it names: `my-search/3` is the fourth trial of a search. Where a folder of the working
    directory has the name of a run, such as that of the data that it was trained on, it is taken if it holds records;
    `./shapes` is that folder in any case.

    Raises:
        UserError: there is nothing of that name, or there are several.
    """
    path = Path(typed)
    is_name = not path.is_absolute() and path.parts and not str(typed).startswith(os.curdir)
    if not is_name or path.is_file() or (path.is_dir() and _holds_records(path)):
        return path  # whether it holds what is wanted, the reader says
    if not outputs.exists() and not path.exists():
        raise UserError(f"there is no folder {typed} here; runs make {outputs} in the folder where they are started")
    found = [place for place in (outputs / path, *(outputs / kind / path for kind in KINDS)) if place.exists()]
    if path.exists() and not found:
        return path
    if len(found) > 1:
        raise UserError(f"{typed} may be {' or '.join(map(str, found))}; type which")
    if found:
        return found[0]
    if len(path.parts) > 1 and path.parts[0] not in names(outputs):
        return path
    hint = nearest(path.parts[0], names(outputs))
    raise UserError(f"there is no folder {typed}, and no run, sweep or comparison of that name in {outputs}{hint}")


def _holds_records(folder: Path) -> bool:
    """Returns whether a folder is the record of anything, or holds one, or is where all of them are."""
    try:
        with os.scandir(folder) as entries:
            inside = [Path(entry.path) for entry in entries if entry.is_dir()]
    except OSError:
        return True  # the reader says what is wrong with it
    return any(is_record(place) for place in [folder, *inside]) or any(place.name in KINDS for place in inside)


def is_record(folder: Path) -> bool:
    """Whether a folder is that of a run, a sweep or a comparison, be it of one data set or of several."""
    return is_comparison(folder) or SweepFolder(folder).is_sweep() or RunFolder(folder).is_run()


def find_run(typed: str | Path, outputs: Path = OUTPUTS) -> Path:
    """Returns what `find` does, where it has to be one run.

    Raises:
        UserError: it is a file, or a sweep or a comparison, of which a run is named.
    """
    path = find(typed, outputs)
    if path.is_file():
        raise UserError(f"{typed} is a file; the run comes first, by its name or folder")
    if not path.is_dir() or RunFolder(path).is_run():
        return path
    result = RunFolder(path).result.name
    if SweepFolder(path).is_sweep():
        kind, part, below = "sweep", "trials", list(path.glob(f"*/{result}"))
    elif is_comparison(path):
        kind, part = "comparison", "runs"
        below = list(ComparisonFolder(path).finals.glob(f"**/{result}")) or list(path.glob(f"**/{result}"))
    else:
        return path
    shortest = min((str(Path(typed, file.parent.relative_to(path))) for file in below), key=_by_length, default=None)
    raise UserError(f"{typed} is a {kind}; type one of its {part}{f', such as {shortest}' if shortest else ''}")


def is_comparison(path: Path) -> bool:
    """Returns whether a folder is that of a comparison, on one data set or several."""
    folder = ComparisonFolder(path)
    return any(file.exists() for file in (folder.state, folder.verdict, folder.across))


def refuse_comparison(words: Iterable[str], instead: str, outputs: Path = OUTPUTS) -> None:
    """Raises: UserError if a word names a comparison, where a sweep is wanted.

    Args:
        instead: what to do; `{name}` is the word.
    """
    for word in words:
        places = [Path(word), outputs / word, *(outputs / kind / word for kind in KINDS)]
        if not word.startswith("-") and any(map(is_comparison, places)):
            raise UserError(f"{word} is a comparison; {instead.format(name=word)}")


def _by_length(text: str) -> tuple[int, str]:
    return len(text), text


def names(outputs: Path = OUTPUTS) -> list[str]:
    """Returns the names of all runs, sweeps and comparisons."""
    places = chain.from_iterable((outputs / kind).glob("*") for kind in KINDS)
    return sorted({place.name for place in places if place.is_dir()})
