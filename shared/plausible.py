"""The windows in which dates and times from outside are believed. Every boundary reads them here.

Outside them lies a mistake or an attack: 0001-01-01, 9999-12-31, seconds since 1970. A body, a file or a command gets
an error; a provider's time is bounded by our own and marked; an event is parked. See decision 0025.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

#: No date or time that a person or a system means lies outside these years.
FIRST_YEAR, LAST_YEAR = 2000, 2199
EARLIEST = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
LATEST = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)
#: A travel date lies at most this far from the day on which it is given. A stay may begin five years ahead and last
#: five years (R15), and a registration of another portal may be long over.
TRAVEL_SPAN = timedelta(days=10 * 366)
#: Two clocks may differ by this much.
CLOCK_DIFFERENCE = timedelta(minutes=10)
#: What an event says of the future (when a hold ends, when a reading is stale) lies within this time.
EVENT_FORESIGHT = timedelta(days=366)


def is_in_window(moment: date) -> bool:
    """Whether a date or a time lies in the years that anybody means."""
    return FIRST_YEAR <= moment.year <= LAST_YEAR


def is_travel_date(day: date, given_on: date) -> bool:
    """Whether a day may be one of a journey, an approval or an override that was given on that day."""
    return abs(day - given_on) <= TRAVEL_SPAN


def is_past(instant: datetime, now: datetime) -> bool:
    """Whether an instant lies in the past, as far as clocks agree, and not before EARLIEST."""
    return instant >= EARLIEST and instant - now <= CLOCK_DIFFERENCE


def bounded(instant: datetime, earliest: datetime, latest: datetime) -> datetime:
    """The instant, moved into [earliest, latest]. `latest` wins where the two contradict each other."""
    return min(max(instant, earliest), latest)


@dataclass(frozen=True, slots=True)
class BelievedTime:
    """A time from outside, within its window. `is_replaced`: it lay outside by more than two clocks may differ."""

    at: datetime
    is_replaced: bool


def believed_time(claimed: datetime | None, *, sent: datetime | None, received: datetime) -> BelievedTime:
    """A provider's time of a receipt or a reply, bounded to [sent, received]: both by our own clock.

    `claimed` None: the provider gave no time, so it is the time of receipt. `sent` None: when the message left is not
    known; then a time before EARLIEST is the time of receipt.
    """
    if claimed is None:
        return BelievedTime(received, False)
    if sent is None:
        sent = EARLIEST if claimed >= EARLIEST else received
    is_replaced = sent - claimed > CLOCK_DIFFERENCE or claimed - received > CLOCK_DIFFERENCE
    return BelievedTime(bounded(claimed, sent, received), is_replaced)
