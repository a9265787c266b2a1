"""`rnnexp tag RUN... +good -baseline --notes TEXT`: tags and notes of runs, changed whenever you like. No torch."""

from __future__ import annotations

import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra_sweep.commands import Parser, command
from hydra_sweep.errors import UserError, counted, escape_unprintable
from rnnexp.record import labels
from rnnexp.record.labels import Labels
from rnnexp.record.places import find
from rnnexp.record.run_folder import RunFolder
from rnnexp.results.collecting import run_paths
from rnnexp.results.columns import natural
from rnnexp.schema.validation import TAG

NUM_SHOWN = 20  # runs, a line each
EPILOG = """\
Without changes it shows what there is. What comes after -- is all runs.

  rnnexp tag first +good -baseline
  rnnexp tag my-search/3 my-search/7 --notes 'look at these'
  rnnexp tag my-search +old                    all of its trials
  rnnexp results --where "'good' in tags"
"""


@command("rnnexp tag")
def main() -> int:
    """Changes or shows the tags and notes, and returns the exit status."""
    words, added, removed = split(sys.argv[1:])
    parser = Parser(
        "rnnexp tag",
        usage="rnnexp tag [-h] RUN [RUN ...] [+TAG ...] [-TAG ...] [--notes TEXT]",
        description="Give runs tags and notes, or take them away: columns of rnnexp results.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run, or a folder of runs, such as a sweep: its name")
    parser.add_argument("--add", metavar="TAG", action="append", default=[], help="the same as +TAG")
    parser.add_argument("--remove", metavar="TAG", action="append", default=[], help="the same as -TAG")
    parser.add_argument("--notes", metavar="TEXT", help="instead of the notes that there are; '' for none")
    args = parser.parse_intermixed_args(words)
    added, removed = [*added, *args.add], [*removed, *args.remove]
    for tag in (*added, *removed):
        if not TAG.fullmatch(tag):
            raise UserError(f"a tag is a word without commas, quotes or spaces, got {tag!r:.80}; try +good")
    if both := sorted({*added} & {*removed}):
        raise UserError(f"+{both[0]} and -{both[0]} in one command; leave one out")
    for line in changed(folders(args.runs), added, removed, args.notes):
        print(escape_unprintable(line))
    return 0


def split(words: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Returns the words of a command without its +TAG and -TAG, and the tags of either kind."""
    kept: list[str] = []
    added: list[str] = []
    removed: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            kept += [word, *left]
        elif word in ("--notes", "--add", "--remove"):  # whose value may begin with anything
            kept += [f"{word}={value}" for value in (next(left, None),) if value is not None] or [word]
        elif word.startswith("+"):
            added += word[1:].split(",")
        elif word.startswith("-") and not word.startswith("--") and word != "-h":
            removed += word[1:].split(",")
        else:
            kept.append(word)
    return kept, added, removed


def folders(typed: Sequence[str]) -> list[RunFolder]:
    """Returns the runs that were named, those in a folder of runs among them.

    Raises:
        UserError: there are none.
    """
    found: dict[str, RunFolder] = {}
    for text in typed:
        place = find(text)
        if not place.is_dir():
            raise UserError(f"there is no folder {place}; type a run, such as outputs/runs/first")
        paths = list(run_paths(place, []))
        if not paths:
            raise UserError(f"no runs in {place}; type a run, such as outputs/runs/first")
        found |= {path: RunFolder(Path(path)) for path in sorted(paths, key=natural)}
    return list(found.values())


def changed(
    runs: Sequence[RunFolder], added: Sequence[str], removed: Sequence[str], notes: str | None
) -> Iterator[str]:
    """Yields a line for each of the first runs, changed or not, and what there is to say of all of them.

    Raises:
        UserError: one can't be read or written; those before it are changed.
    """
    unknown = {*removed}

    def change(old: Labels) -> Labels:
        unknown.difference_update(old.tags)
        tags = dict.fromkeys([*old.tags, *added])
        return Labels(tuple(tag for tag in tags if tag not in removed), old.notes if notes is None else notes or None)

    is_change = bool(added or removed or notes is not None)
    for number, folder in enumerate(runs):
        config = configuration(folder)
        try:
            found = labels.change(folder, config, change) if is_change else labels.read(folder, config)
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"{folder.path}: {error}; delete that file to begin anew") from error
        if number < NUM_SHOWN:
            shown = ", ".join(found.tags) or "no tags"
            yield f"{folder.path}: {shown}" + (f"; {found.notes}" if found.notes else "")
    if len(runs) > NUM_SHOWN:
        yield f"... and {len(runs) - NUM_SHOWN} more; {counted(len(runs), 'run')} in all"
    for tag in sorted(unknown):
        yield f"there was no tag {tag} to take away"


def configuration(folder: RunFolder) -> dict[str, object]:
    """Returns what a run was begun with, as far as it can be read: its tags may be all that is whole."""
    try:
        result = folder.read_result()
        return result.config if result else folder.read_hydra_config()
    except ValueError:
        return {}


if __name__ == "__main__":
    sys.exit(main())
