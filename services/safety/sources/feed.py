"""What makes a source: who speaks, where, how politely it is asked, how its bytes are fetched and read."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.safety.reading import Batch
from services.safety.sources.fetch import Fetcher


class Parse(Protocol):
    """Pure: the batch in the pages of one answer. `floor`: fewer records are no whole answer."""

    def __call__(self, pages: Sequence[bytes], now: datetime, *, floor: int) -> Batch:
        """Raises BatchRejected."""


@dataclass(frozen=True, slots=True)
class Feed:
    """One source. `per_second`: requests; `whole_seconds`: the longest time for a whole reading."""

    name: str
    publisher: str
    url: str
    per_second: float
    whole_seconds: float
    floor: int
    parser_version: int
    fetch: Callable[[Fetcher], Awaitable[list[bytes]]]
    parse: Parse
