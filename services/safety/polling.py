"""Polls the sources: fetch, parse, record, at a fixed interval, each under a lease so that only one instance asks.

A source that fails keeps its state, and its failure is recorded. If MongoDB fails, the next reading finds what this one
missed. The deciding source is always asked at its interval; a failing secondary source is asked less often.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import httpx

from services.safety.commands.deps import ReadingDeps
from services.safety.commands.readings import adopt_batch
from services.safety.commands.secondary_sources import (
    record_cap_document,
    record_secondary_batch,
    record_secondary_failure,
)
from services.safety.commands.source_states import record_failure
from services.safety.feed_parser import FeedParser
from services.safety.reading import Batch, BatchRejected
from services.safety.settings import FeedSettings
from services.safety.sources import cap
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher, FetchFailed
from services.safety.store.advice import Store
from services.safety.store.cap_messages import CapMessageStore
from services.safety.store.secondary_advice import SecondaryAdviceStore
from shared.observability.logs import get_logger
from shared.transient import is_transient, reason_of

#: A secondary source that fails is asked ever later, up to this many intervals.
MAX_BACKOFF_FACTOR = 4
MAX_REASON_CHARS = 300

Clock = Callable[[], datetime]

log = get_logger()


@dataclass(frozen=True, slots=True)
class PolledSource:
    """A source that can be asked: how its pages are fetched, and how they are parsed.

    `forget`: called when pages are damaged or rejected, so that the next reading asks for them anew.
    """

    name: str
    fetch: Callable[[], Awaitable[list[bytes]]]
    parse: Callable[[list[bytes], datetime], Awaitable[Batch]]
    forget: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class SecondaryDeps:
    """Dependencies of polling sources that do not decide. A reading is fresh for `stale_after`."""

    store: Store
    advice_store: SecondaryAdviceStore
    message_store: CapMessageStore
    stale_after: timedelta
    clock: Clock


def make_fetcher(
    url: str, settings: FeedSettings, http: httpx.AsyncClient, *, per_second: float = 1.0, whole_seconds: float = 60.0
) -> Fetcher:
    """A fetcher for one address, with the timeouts of the settings."""
    page_seconds = max(30.0, 2 * settings.feed_timeout_seconds)
    return Fetcher(http, url, per_second=per_second, whole_seconds=whole_seconds, page_seconds=page_seconds)


def make_source(
    feed: Feed, settings: FeedSettings, http: httpx.AsyncClient, parser: FeedParser | None = None
) -> PolledSource:
    """A source at the address in the settings. Its fetcher asks no other address.

    `parser`: parses in a process of its own. A command that waits for nothing else needs none.
    """
    fetcher = make_fetcher(
        settings.url_of(feed), settings, http, per_second=feed.per_second, whole_seconds=feed.whole_seconds
    )
    parse = partial(parser.parse, floor=feed.floor) if parser is not None else parsed_here(feed)
    return PolledSource(feed.name, partial(fetcher.read, feed.fetch), parse, fetcher.forget)


def parsed_here(feed: Feed) -> Callable[[list[bytes], datetime], Awaitable[Batch]]:
    """Parses in a thread of this process, which a slow text holds up."""
    return partial(asyncio.to_thread, partial(feed.parse, floor=feed.floor))


async def read_batch(source: PolledSource, clock: Clock) -> Batch:
    """Fetch and parse a source. Raises FetchFailed, BatchRejected."""
    pages = await source.fetch()
    try:
        batch = await source.parse(pages, clock())
    except BatchRejected:
        source.forget()
        raise
    if batch.damage:
        log.warning("answer_damaged", source=source.name, reason=batch.damage[0][:MAX_REASON_CHARS])
        source.forget()
    return batch


async def poll_once(deps: ReadingDeps, source: PolledSource, clock: Clock) -> bool:
    """Read the deciding source once and adopt it. False: it failed, and the failure is recorded.

    Then the advice stays, but for what a damaged answer holds.
    """
    began = clock()
    try:
        batch = await read_batch(source, clock)
    # Whatever fetching and parsing raise, the source was not read: the advice stays, and ages.
    except Exception as error:
        await record_failure(deps, source.name, reason_of(error), now=clock())
        log.warning("source_failed", source=source.name, reason=reason_of(error)[:MAX_REASON_CHARS])
        return False
    changed = await adopt_batch(deps, batch, began=began, now=clock())
    log.info("source_read", source=source.name, countries=len(batch.countries), changed=len(changed))
    return batch.incomplete is None


async def poll_forever(deps: ReadingDeps, source: PolledSource, clock: Clock, *, interval_seconds: float) -> None:
    """Read the deciding source until cancelled. If MongoDB fails, the next reading records what this one missed."""
    while True:
        try:
            await poll_once(deps, source, clock)
        # Most often MongoDB is away. Whatever it is, the next reading is a new one.
        except Exception as error:
            log.warning("reading_not_kept", source=source.name, reason=reason_of(error))
        await asyncio.sleep(interval_seconds)


async def poll_secondary_once(deps: SecondaryDeps, source: PolledSource) -> bool:
    """Read a secondary source once. False: it failed, and the failure is recorded. It changes no advice."""
    began = deps.clock()
    try:
        batch = await read_batch(source, deps.clock)
        changed = await record_secondary_batch(
            deps.store, deps.advice_store, batch, deps.stale_after, began=began, now=deps.clock()
        )
    except Exception as error:
        await _secondary_failed(deps, source.name, error)
        return False
    log.info("source_read", source=source.name, countries=len(batch.countries), changed=len(changed))
    return batch.incomplete is None


async def poll_cap_once(deps: SecondaryDeps, name: str, fetcher: Fetcher, parser: FeedParser) -> bool:
    """Read a document of CAP messages once. False: it failed, and the failure is recorded. It changes no advice."""
    began = deps.clock()
    try:
        [page] = await fetcher.read(cap.fetch)
        document = await parser.parse_cap(page, deps.clock())
        count = await record_cap_document(
            deps.store, deps.message_store, name, document, deps.stale_after, began=began, now=deps.clock()
        )
    except Exception as error:
        await _secondary_failed(deps, name, error)
        return False
    log.info("source_read", source=name, count=count)
    return True


async def poll_secondary_forever(source: str, poll: Callable[[], Awaitable[bool]], *, interval_seconds: float) -> None:
    """Call `poll` until cancelled. After each failure the wait doubles, up to MAX_BACKOFF_FACTOR intervals."""
    failures = 0
    while True:
        try:
            failures = 0 if await poll() else failures + 1
        except Exception as error:
            log.warning("reading_not_kept", source=source, reason=reason_of(error))
        await asyncio.sleep(interval_seconds * min(2 ** max(0, failures - 1), MAX_BACKOFF_FACTOR))


async def _secondary_failed(deps: SecondaryDeps, source: str, error: Exception) -> None:
    """Record that a source was not read, whatever its reading raised. Raises the error when MongoDB is away."""
    if is_transient(error) and not isinstance(error, FetchFailed):
        raise error
    await record_secondary_failure(deps.store, source, reason_of(error), now=deps.clock())
    log.warning("source_failed", source=source, reason=reason_of(error)[:MAX_REASON_CHARS])
