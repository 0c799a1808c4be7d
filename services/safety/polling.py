"""Watches the sources: reads each one again and again, under a lease so that only one instance asks."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import httpx

from services.safety.store.cap_messages import CapMessageStore
from services.safety.commands.readings import ReadingPolicy, record_failure, adopt_batch
from services.safety.commands.secondary_sources import record_secondary_failure, record_cap_messages, record_secondary_batch
from services.safety.store.secondary_advice import SecondaryAdviceStore
from services.safety.reading import Batch, BatchRejected
from services.safety.settings import FeedSettings
from services.safety.sources import cap
from services.safety.sources.fetch import Fetcher, FetchFailed
from services.safety.sources.registry import SOURCES
from services.safety.store.advice import Store
from shared.errors import TransientError
from shared.mongo.client import Mongo, PyMongoError
from shared.observability.logs import get_logger

#: A source that informs and fails is asked ever later, up to so many intervals. The one that decides never is.
MAX_BACKOFF_FACTOR = 4

log = get_logger()


@dataclass(frozen=True, slots=True)
class Source:
    """One feed: how to get its bytes, and how to read them."""

    name: str
    fetch: Callable[[], Awaitable[list[bytes]]]
    parse: Callable[[list[bytes], datetime], Batch]


def make_fetcher(
    url: str, settings: FeedSettings, http: httpx.AsyncClient, *, per_second: float = 1.0, whole_seconds: float = 60.0
) -> Fetcher:
    """What asks an address, with the patience of the settings."""
    page_seconds = max(30.0, 2 * settings.feed_timeout_seconds)
    return Fetcher(http, url, per_second=per_second, whole_seconds=whole_seconds, page_seconds=page_seconds)


def make_source(name: str, settings: FeedSettings, http: httpx.AsyncClient) -> Source:
    """A source as the settings have it: it asks its own address and no other."""
    feed = SOURCES[name]
    fetcher = make_fetcher(
        settings.url_of(name), settings, http, per_second=feed.per_second, whole_seconds=feed.whole_seconds
    )
    return Source(name, partial(fetcher.read, feed.fetch), partial(feed.parse, floor=feed.floor))


async def read_batch(source: Source, clock: Callable[[], datetime]) -> Batch:
    """What a source says now. Raises FetchFailed, BatchRejected."""
    pages = await source.fetch()
    return await asyncio.to_thread(source.parse, pages, clock())


async def poll_once(
    mongo: Mongo, store: Store, source: Source, policy: ReadingPolicy, clock: Callable[[], datetime]
) -> bool:
    """One reading of one source; True when it was adopted. Whatever the feed does, the state is kept."""
    began = clock()
    try:
        batch = await read_batch(source, clock)
    except (FetchFailed, BatchRejected) as error:
        await record_failure(mongo, store, source.name, str(error), policy, now=clock())
        log.warning("source_failed", source=source.name, reason=str(error)[:300])
        return False
    changed = await adopt_batch(mongo, store, batch, policy, began=began, now=clock())
    log.info("source_read", source=source.name, countries=len(batch.countries), changed=len(changed))
    return True


async def watch(
    mongo: Mongo,
    store: Store,
    source: Source,
    policy: ReadingPolicy,
    clock: Callable[[], datetime],
    *,
    interval_seconds: float,
) -> None:
    """Read for ever. A database that is away is waited for; the next reading finds what this one missed."""
    while True:
        try:
            await poll_once(mongo, store, source, policy, clock)
        except (TransientError, PyMongoError) as error:
            log.warning("reading_not_kept", source=source.name, reason=type(error).__name__)
        await asyncio.sleep(interval_seconds)


async def poll_secondary_once(
    store: Store, secondary_advice: SecondaryAdviceStore, source: Source, stale_after: timedelta, clock: Callable[[], datetime]
) -> bool:
    """One reading of a source that does not decide; True when it was kept. It changes no advice, whatever it says."""
    began = clock()
    try:
        batch = await read_batch(source, clock)
        changed = await record_secondary_batch(store, secondary_advice, batch, stale_after, began=began, now=clock())
    except (FetchFailed, BatchRejected) as error:
        await record_secondary_failure(store, source.name, str(error), now=clock())
        log.warning("source_failed", source=source.name, reason=str(error)[:300])
        return False
    log.info("source_read", source=source.name, countries=len(batch.countries), changed=len(changed))
    return True


async def poll_cap_once(
    store: Store,
    messages: CapMessageStore,
    name: str,
    fetcher: Fetcher,
    stale_after: timedelta,
    clock: Callable[[], datetime],
) -> bool:
    """One reading of a document of CAP messages; True when it was kept. It changes no advice, whatever it says."""
    began = clock()
    try:
        [page] = await fetcher.read(cap.fetch)
        found = await record_cap_messages(store, messages, name, page, stale_after, began=began, now=clock())
    except (FetchFailed, BatchRejected) as error:
        await record_secondary_failure(store, name, str(error), now=clock())
        log.warning("source_failed", source=name, reason=str(error)[:300])
        return False
    log.info("source_read", source=name, count=found)
    return True


async def poll_with_backoff(source: str, read: Callable[[], Awaitable[bool]], *, interval_seconds: float) -> None:
    """Read a source that does not decide, for ever, and ever later while it fails."""
    failures = 0
    while True:
        try:
            failures = 0 if await read() else failures + 1
        except (TransientError, PyMongoError) as error:
            log.warning("reading_not_kept", source=source, reason=type(error).__name__)
        await asyncio.sleep(interval_seconds * min(2 ** max(0, failures - 1), MAX_BACKOFF_FACTOR))
