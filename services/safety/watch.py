"""Watches the sources: reads each one again and again, under a lease so that only one instance asks."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from services.safety.commands import Freshness, note_failure, take_reading
from services.safety.reading import Batch, BatchRejected
from services.safety.sources.fetch import FetchFailed
from services.safety.store import Store
from shared.errors import TransientError
from shared.mongo.client import Mongo, PyMongoError
from shared.observability.logs import get_logger

log = get_logger()


@dataclass(frozen=True, slots=True)
class Source:
    """One feed: how to get its bytes, and how to read them."""

    name: str
    fetch: Callable[[], Awaitable[list[bytes]]]
    parse: Callable[[list[bytes]], Batch]


async def read_once(
    mongo: Mongo, store: Store, source: Source, freshness: Freshness, clock: Callable[[], datetime]
) -> bool:
    """One reading of one source; True when it was adopted. Whatever the feed does, the state is kept."""
    began = clock()
    try:
        pages = await source.fetch()
        batch = await asyncio.to_thread(source.parse, pages)
    except (FetchFailed, BatchRejected) as error:
        await note_failure(mongo, store, source.name, str(error), freshness, now=clock())
        log.warning("source_failed", source=source.name, reason=str(error)[:300])
        return False
    changed = await take_reading(mongo, store, batch, freshness, began=began, now=clock())
    log.info("source_read", source=source.name, countries=len(batch.countries), changed=len(changed))
    return True


async def watch(
    mongo: Mongo,
    store: Store,
    source: Source,
    freshness: Freshness,
    clock: Callable[[], datetime],
    *,
    interval_seconds: float,
) -> None:
    """Read for ever. A database that is away is waited for; the next reading finds what this one missed."""
    while True:
        try:
            await read_once(mongo, store, source, freshness, clock)
        except (TransientError, PyMongoError) as error:
            log.warning("reading_not_kept", source=source.name, reason=type(error).__name__)
        await asyncio.sleep(interval_seconds)
