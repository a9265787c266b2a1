"""What users are told of their mistakes, and how anything is put into words that stay on their line."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(ValueError):
    """One or several mistakes of the user's, or of the machine's.

    Args:
        problems: a line for each, which says what is wrong and what to type.
    """

    exit_status = 2

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[UserError], tuple[list[str]]]:
        return type(self), (self.problems,)


def escape_unprintable(text: str) -> str:
    """Returns text that stays on its line, leaves the terminal as it is, and can be written as UTF-8."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def counted(count: int, noun: str, plural: str = "") -> str:
    """Returns a number of things in words: 1 trial, 5,420 trials; a plural that ends otherwise is given."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def safe_str(value: object, limit: int = 500) -> str:
    """Returns the beginning of anything's text; nothing if it is not to be had."""
    try:
        return escape_unprintable(" ".join(str(value).split())[:limit])
    except Exception:  # it may be a user's own, and so may be its __str__
        return ""


def describe_error(error: BaseException, limit: int = 500) -> str:
    """Returns what an error is and the beginning of what it says."""
    kind = escape_unprintable(type(error).__name__)
    return f"{kind}: {text}" if (text := safe_str(error, limit)) else kind
