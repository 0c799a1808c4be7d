"""State of one source: when it was last read whole, what failed since, and what its last reading left out."""

from datetime import datetime, timedelta

from pydantic import Field

from services.safety.rules.bulk_change_guard import LastReading
from shared.events import Part


class SourceState(Part):
    """How a source is doing; `GET /v1/sources` shows it.

    `announced_at`, `failure_announced_at`: when the last SourceChecked and SourceFailed were appended. `moved_at`: when
    a version of the source last changed. `seen`: the newest reading of each country.
    """

    source: str
    checked_at: datetime | None = None
    fresh_until: datetime | None = None
    failed_at: datetime | None = None
    failure: str | None = None
    countries: int = 0
    left_out: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    announced_at: datetime | None = None
    failure_announced_at: datetime | None = None
    moved_at: datetime | None = None
    parser_version: int | None = None
    read_differently: tuple[str, ...] = ()
    seen: dict[str, LastReading] = Field(default_factory=dict)

    def is_frozen(self, now: datetime, after: timedelta) -> bool:
        """It answers, but nothing in it has changed for too long: the feed may have moved to another address."""
        return self.moved_at is not None and now - self.moved_at > after
