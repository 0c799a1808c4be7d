"""Dates and instants as texts, at every boundary: only these forms are read.

Python and pydantic read more: seconds since 1970, week dates, digits of other scripts, a date without its hyphens.
"""

import re
from datetime import date, datetime

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OFFSET = r"(Z|[+-][0-9]{2}:[0-9]{2})"
_INSTANT = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(\.[0-9]+)?{_OFFSET}", re.I)
#: What a person types at a command: the seconds may be left out, and a blank may stand for the T.
_TYPED = re.compile(rf"({_DATE.pattern})[T ]([0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]+)?)?){_OFFSET}?", re.I)


def date_of(text: object) -> date:
    """The date in `2026-03-01`. Raises ValueError, with a reason for a problem document."""
    if isinstance(text, str) and _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise ValueError("is not a date (YYYY-MM-DD)")


def instant_of(text: object) -> datetime:
    """The aware instant in `2026-03-01T09:30:00Z` (RFC 3339). Raises ValueError, with a reason as `date_of`."""
    if isinstance(text, str) and _INSTANT.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper())
        except ValueError:
            pass
    raise ValueError("is not an instant with its offset (RFC 3339)")


def typed_moment(text: str) -> date | datetime:
    """The date or the instant that a person typed; without an offset the instant is naive. Raises ValueError."""
    if typed := _TYPED.fullmatch(text):
        return datetime.fromisoformat(f"{typed[1]}T{typed[2]}{(typed[5] or '').upper()}")
    return date_of(text)
