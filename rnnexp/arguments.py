"""What is typed after a command that goes wrong before any configuration is composed: one line, with what to type."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString


def join_spaced(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns overrides of which those with spaces around their = are joined, and a line for each of those."""
    joined: list[str] = []
    parts: list[int] = []  # of how many words each is made
    for text in words:
        is_value = bool(joined) and joined[-1].endswith("=") and "=" not in text and len(joined[-1]) > 1
        if joined and ((text.startswith("=") and "=" not in joined[-1]) or is_value):
            joined[-1] += text
            parts[-1] += 1
        else:
            joined.append(text)
            parts.append(1)
    spaced = [text for text, number in zip(joined, parts, strict=True) if number > 1]
    return joined, [f"no spaces around =; type {text}" for text in spaced]


def with_quoted_labels(text: str) -> str:
    """Returns an override whose notes may be any text, and whose tags may be one word or several with commas.

    What has quotes or brackets already stays as it is.
    """
    key, _, value = text.partition("=")
    if key == "notes" and value and value != "null" and value[0] not in "'\"":
        return f"notes={QuotedString(value.replace('${', chr(92) + '${'), Quote.single).with_quotes()}"
    if key == "tags" and value and value != "null" and value[0] != "[":
        return f"tags=[{value}]"
    return text


def listed_options(typed: str, group: str, options: Sequence[object], is_multirun: bool) -> str:
    """Returns the line for a list of a group's options, which Hydra would merge into one."""
    several = f"{group}={','.join(map(str, options))}"
    if is_multirun or len(options) == 1:
        return f"{typed}: several options are written without brackets; type {several}"
    first = options[0] if options else "OPTION"
    return f"{typed}: a run has one {group}; type {group}={first}, or -m {several} to run each"


def data_kind(path: Path) -> str:
    """Returns the option of `data` that reads a file or folder of one's own: images are in folders of their classes."""
    return "images" if path.is_dir() and any(inside.is_dir() for inside in path.iterdir()) else "series"


def own_data(option: str) -> str:
    """Returns what to type for a file or folder that was taken for an option of `data`; nothing if it is none."""
    if not os.path.exists(option):
        return ""
    kind = data_kind(Path(option))
    return f"{'folder' if os.path.isdir(option) else 'file'} {option}: type data={kind} data.root={option}"


def dashed(argv: Sequence[str], unknown: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yields, of each unknown option, what was typed, and the key and the value that it looks like."""
    for option in unknown:
        if not re.match(r"--?[A-Za-z]", option):
            continue
        name, _, value = option.lstrip("-").partition("=")
        after = argv[argv.index(option) + 1 :][:1]
        if not value and after and "=" not in after[0] and not after[0].startswith("-"):
            yield f"{option} {after[0]}", name.replace("-", "_"), after[0]
        else:
            yield option, name.replace("-", "_"), value
