"""`Retry-After` (RFC 9110 §10.2.3): seconds, or the date until which a server wants to be left alone."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from shared.clock import in_utc, utc_now

#: No date is longer, and no number of seconds that means anything.
_MAX_CHARS = 100
#: RFC 9110 knows whole seconds only; some servers send fractions.
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")


def seconds_to_wait(headers: Mapping[str, str], *, most: float, now: datetime | None = None) -> float | None:
    """How long to wait before the next request, 0 to `most`; None: the header is absent, or says nothing readable.

    A date counts from the answer's own `Date`, because the server's clock may differ from ours. `now`: for an answer
    without one; by default the time by our clock.
    """
    text = headers.get("Retry-After", "").strip()[:_MAX_CHARS]
    if _SECONDS.fullmatch(text):
        return min(float(text), most)
    until = _date(text)
    if until is None:
        return None
    answered_at = _date(headers.get("Date", "").strip()[:_MAX_CHARS]) or now or utc_now()
    return min(max((until - answered_at).total_seconds(), 0.0), most)


def _date(text: str) -> datetime | None:
    """An HTTP date, in any of its three forms; None for anything else."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return in_utc(date if date.tzinfo is not None else date.replace(tzinfo=UTC))
