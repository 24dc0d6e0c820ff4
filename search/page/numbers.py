"""Formats of the page's numbers."""

from __future__ import annotations

import shlex
from datetime import datetime, timezone

UNKNOWN = "-"
"""Text of an unknown number."""


def percent(fraction: float | None) -> str:
    """A fraction in percent."""
    return UNKNOWN if fraction is None else f"{100 * fraction:.2f} %"


def interval(low: float | None, high: float | None) -> str:
    """An interval of fractions, in percent."""
    return UNKNOWN if low is None or high is None else f"{100 * low:.2f} to {100 * high:.2f} %"


def count(number: float | None) -> str:
    """A whole number with thousands separators."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def share(part: float | None, whole: float) -> str:
    """A share in percent, with one decimal below 10 %."""
    if part is None:
        return UNKNOWN
    percentage = 100 * part / whole
    return f"{percentage:.0f} %" if percentage >= 10 else f"{percentage:.1f} %"


def duration(seconds: float | None) -> str:
    """A duration in seconds, minutes or hours."""
    if seconds is None:
        return UNKNOWN
    for unit, factor in (("h", 3600), ("min", 60)):
        if seconds >= factor:
            return f"{seconds / factor:,.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2g} s"


def period(begin: float, end: float) -> str:
    """A period between two Unix timestamps in UTC; the date of the end is left out if it is that of the start."""
    first, last = (datetime.fromtimestamp(timestamp, tz=timezone.utc) for timestamp in (begin, end))
    until = last.strftime("%H:%M" if first.date() == last.date() else "%Y-%m-%d %H:%M")
    return f"{first.strftime('%Y-%m-%d %H:%M')} to {until} UTC"


def quoted(path: object) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))
