"""The interface of a source: its publisher and address, its polite rate, and its functions `fetch` and `parse`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.safety.reading import Batch
from services.safety.sources.documents import MayRead, is_readable
from services.safety.sources.fetch import Fetcher


class Parse(Protocol):
    """Pure: parse the pages of one answer, fetched at `now`. An answer with fewer records than `floor` is rejected.

    `may_read` is asked before each text. Of a text that may not be read nothing is known, and the reading says so.
    """

    def __call__(self, pages: Sequence[bytes], now: datetime, *, floor: int, may_read: MayRead = is_readable) -> Batch:
        """Raises BatchRejected."""


@dataclass(frozen=True, slots=True)
class Feed:
    """One source. `per_second`: requests to it; `whole_seconds`: time limit of a whole reading."""

    name: str
    publisher: str
    url: str
    per_second: float
    whole_seconds: float
    floor: int
    parser_version: int
    fetch: Callable[[Fetcher], Awaitable[list[bytes]]]
    parse: Parse
