"""Numbers as the page writes them."""

from __future__ import annotations

from datetime import datetime, timezone

NOTHING = "-"
"""Where a number is not known."""


def percent(fraction: float | None) -> str:
    """A fraction in percent."""
    return NOTHING if fraction is None else f"{100 * fraction:.2f} %"


def interval(low: float | None, high: float | None) -> str:
    """Two fractions as a range in percent."""
    return NOTHING if low is None or high is None else f"{100 * low:.2f} to {100 * high:.2f} %"


def count(number: float | None) -> str:
    """A whole number with its thousands set apart."""
    return NOTHING if number is None else f"{number:,.0f}"


def share(part: float | None, whole: float) -> str:
    """A part of a whole in percent, with a digit more where it is small."""
    if part is None:
        return NOTHING
    percentage = 100 * part / whole
    return f"{percentage:.0f} %" if percentage >= 10 else f"{percentage:.1f} %"


def duration(seconds: float | None) -> str:
    """Seconds in the unit that suits them."""
    if seconds is None:
        return NOTHING
    for unit, factor in (("h", 3600), ("min", 60)):
        if seconds >= factor:
            return f"{seconds / factor:,.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2g} s"


def period(begin: float, end: float) -> str:
    """From one moment to another, both in seconds since 1970; the day is said once where it is the same."""
    first, last = (datetime.fromtimestamp(moment, tz=timezone.utc) for moment in (begin, end))
    until = last.strftime("%H:%M" if first.date() == last.date() else "%Y-%m-%d %H:%M")
    return f"{first.strftime('%Y-%m-%d %H:%M')} to {until} UTC"
