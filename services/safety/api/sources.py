"""The sources over HTTP: how each is doing."""

from datetime import datetime, timedelta
from typing import Literal

from services.safety.store.advice import Store
from services.safety.store.source_state import SourceState
from shared.clock import utc_now
from shared.events import Part
from shared.web.identity import Caller
from shared.web.paging import Page, Paged
from shared.web.routes import RouteClass, Routes


class Source(Part):
    """How a source is doing. Without `freshUntil` it was never read whole.

    `leftOut`: known countries that the last reading does not confirm, so that they are stale (R14). `isFrozen`: the
    source answers, but nothing in it has changed for too long. `readDifferently`: what the newest parser reads
    differently in unchanged texts.
    """

    source: str
    state: Literal["fresh", "stale", "never_read"]
    checked_at: datetime | None
    fresh_until: datetime | None
    countries: int
    left_out: tuple[str, ...]
    failed_since: datetime | None
    failure: str | None
    unread: tuple[str, ...]
    moved_at: datetime | None
    is_frozen: bool
    read_differently: tuple[str, ...]


def routes(store: Store, source_names: tuple[str, ...], frozen_after: timedelta) -> Routes:
    """The route of the sources."""
    router = Routes(RouteClass.USER, tags=["travel advice"])

    @router.get("/v1/sources", operation_id="listSources")
    async def list_sources(caller: Caller, paged: Paged) -> Page[Source]:
        """Every source: when it was last read whole, since when it fails, which sentences are unread."""
        now = utc_now()
        sources = [_source(await store.source_state(name), now, frozen_after) for name in source_names]
        return paged.page(sources[paged.skip : paged.skip + paged.fetch])

    return router


def _source(state: SourceState, now: datetime, frozen_after: timedelta) -> Source:
    if state.fresh_until is None:
        freshness: Literal["fresh", "stale", "never_read"] = "never_read"
    else:
        freshness = "fresh" if state.fresh_until >= now else "stale"
    return Source(
        source=state.source,
        state=freshness,
        checked_at=state.checked_at,
        fresh_until=state.fresh_until,
        countries=state.countries,
        left_out=state.left_out,
        failed_since=state.failed_at,
        failure=state.failure,
        unread=state.unread,
        moved_at=state.moved_at,
        is_frozen=state.is_frozen(now, frozen_after),
        read_differently=state.read_differently,
    )
