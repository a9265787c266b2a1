"""Times and numbers as people read them."""

from __future__ import annotations

import math

MINUTE, HOUR, DAY = 60, 3600, 86400
# Up to which time an estimate is told in steps of what.
ROUNDED = ((50, 5), (50 * MINUTE, MINUTE), (5 * HOUR, 10 * MINUTE), (36 * HOUR, HOUR), (10 * DAY, 6 * HOUR))


def duration(seconds: float) -> str:
    """Returns a time in its two largest units: 45 s, 12 min 5 s, 3 h 20 min, 2 d 4 h."""
    left = round(seconds)
    parts: list[str] = []
    for unit, size in (("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", 1)):
        number, left = divmod(left, size)
        if number or parts:
            parts.append(f"{number} {unit}" if number else "")
    return " ".join(part for part in parts[:2] if part) or "0 s"


def about(seconds: float) -> str:
    """Returns an estimated time, no more exact than an estimate is: about 20 s, 3 min, 1 h 10 min, 7 h, 2 d 6 h."""
    step = next((step for below, step in ROUNDED if seconds < below), DAY)
    return f"about {duration(max(step, step * round(seconds / step)))}"


def number_text(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def short_number(text: str) -> str:
    """Returns a long number as four digits; any other text stays."""
    try:
        return f"{float(text):.4g}" if len(text) > 8 else text
    except ValueError:
        return text
