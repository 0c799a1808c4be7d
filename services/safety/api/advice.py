"""What safety tells: the advice as it counts, its history, and how the sources are doing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Path, Query, Response

from services.safety.model import CountryState, Override
from services.safety.store.advice import SourceState, Store
from shared.clock import amsterdam_date, utc_now
from shared.events import (
    AdviceHeld,
    AdviceReleased,
    AreaChange,
    Event,
    HoldReason,
    Level,
    LevelChange,
    OverrideEnded,
    OverrideSet,
    Part,
    RegionCode,
    TravelAdviceChanged,
)
from shared.fields import CountryCode
from shared.web.bodies import Instant
from shared.web.concurrency import etag
from shared.web.identity import Caller
from shared.web.paging import Page, Paged
from shared.web.problem import not_found
from shared.web.routes import RouteClass, Routes

Colour = Literal["green", "yellow", "orange", "red", "unknown"]
_COLOURS: dict[Level | None, Colour] = {
    None: "unknown", Level.GREEN: "green", Level.YELLOW: "yellow", Level.ORANGE: "orange", Level.RED: "red"
}  # fmt: skip


class OverrideOfCountry(Part):
    """R17: a level of the university's own that counts here; the whole country or a region."""

    override_id: str
    area: str
    level: Level
    effect: Literal["stricter", "looser"]
    valid_from: date
    valid_until: date | None
    reason: str


class Region(Part):
    """One region with a level of its own."""

    area: str
    code: RegionCode | None
    level: Level | None
    colour: Colour


class Country(Part):
    """The advice for one country, in short: what counts, what the ministry says, and why the two differ.

    `overrides` are valid today; `held`: a question about it waits for a person, and the worse level counts.
    """

    country: str
    level: Level | None
    colour: Colour
    worst: Colour
    regions: tuple[Region, ...]
    advice_version: int
    source: str
    effective_at: datetime
    changed_at: datetime
    is_fresh: bool | None
    url: str
    ministry: Level | None
    overrides: tuple[OverrideOfCountry, ...]
    held: tuple[HoldReason, ...]


class CountryInFull(Country):
    """The advice for one country with the source's own words; `isFresh` is null for a past time."""

    text_nl: str
    text_en: str
    source_version: str


class Change(Part):
    """One event of a country: a version of its advice, or a hold, a decision, an override. Who, and why.

    `adviceVersion` is that of the change itself, null for what is no change.
    """

    kind: Literal["changed", "held", "released", "rejected", "override_set", "override_ended"]
    at: datetime
    advice_version: int | None = None
    baseline: bool = False
    effective: LevelChange | None = None
    ministry: LevelChange | None = None
    changes: tuple[dict[str, str | int | None], ...] = ()
    source: str | None = None
    source_version: str | None = None
    decided_by: str | None = None
    second: str | None = None
    hold_id: str | None = None
    override_id: str | None = None
    reason: str | None = None
    document: str | None = None


class Source(Part):
    """How a source is doing. Without `freshUntil` it was never read whole.

    `leftOut`: known countries for which the last reading says nothing, so that they are stale (R14). `isFrozen`: it
    answers, and nothing in it has moved for too long. `readDifferently`: what the newest parser made of old texts.
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


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes need."""

    store: Store
    sources: tuple[str, ...]
    frozen_after: timedelta


def routes(desk: Desk) -> Routes:
    """The service's routes."""
    router = Routes(RouteClass.USER, tags=["travel advice"])

    @router.get("/v1/travel-advice", operation_id="listTravelAdvice")
    async def list_advice(
        caller: Caller,
        paged: Paged,
        at_least: Annotated[Literal["yellow", "orange", "red"] | None, Query(alias="atLeast")] = None,
    ) -> Page[Country]:
        """Every country by its code; `atLeast` leaves out those without such a place."""
        fresh = await _fresh(desk)
        states = sorted((await desk.store.all_countries()).values(), key=lambda state: state.country)
        wanted = next((level for level, colour in _COLOURS.items() if colour == at_least), None)
        found = [state for state in states if wanted is None or (state.worst is not None and state.worst >= wanted)]
        shown = [_shown(state, fresh, utc_now()) for state in found[paged.skip : paged.skip + paged.fetch]]
        return paged.page(shown)

    @router.get("/v1/travel-advice/{country}", operation_id="getTravelAdvice")
    async def one(
        caller: Caller,
        country: Annotated[CountryCode, Path()],
        response: Response,
        at: Annotated[Instant | None, Query(description="What was known then; now when left out")] = None,
    ) -> CountryInFull:
        """The advice for one country. 404: no source speaks of it, and unknown is not safe (R14)."""
        if at is None:
            state = (await desk.store.countries.load(country)).state
        else:
            state = await desk.store.state_at(country, at)
        if state is None:
            raise not_found()
        response.headers["ETag"] = etag(state.advice_version)
        short = _shown(state, await _fresh(desk) if at is None else None, at or utc_now())
        return CountryInFull(
            **short.model_dump(), text_nl=state.text_nl, text_en=state.text_en, source_version=state.source_version
        )

    @router.get("/v1/travel-advice/{country}/history", operation_id="listTravelAdviceHistory")
    async def versions(caller: Caller, country: Annotated[CountryCode, Path()], paged: Paged) -> Page[Change]:
        """Everything that happened to it, newest first: versions, holds, decisions, overrides."""
        if (await desk.store.countries.load(country)).state is None:
            raise not_found()
        found = await desk.store.stream(country, skip=paged.skip, limit=paged.fetch)
        return paged.page([_happened(each.data, each.time) for each in found])

    @router.get("/v1/sources", operation_id="listSources")
    async def sources(caller: Caller, paged: Paged) -> Page[Source]:
        """Every source: when it was last read whole, what failed since, which sentences nobody could read."""
        now = utc_now()
        found = [_source(await desk.store.source(name), now, desk.frozen_after) for name in desk.sources]
        return paged.page(found[paged.skip : paged.skip + paged.fetch])

    return router


async def _fresh(desk: Desk) -> dict[str, SourceState]:
    """The sources whose advice stands, but for the countries that they left out (R14)."""
    now = utc_now()
    states = [await desk.store.source(name) for name in desk.sources]
    return {state.source: state for state in states if state.fresh_until is not None and state.fresh_until >= now}


def _shown(state: CountryState, fresh: Mapping[str, SourceState] | None, now: datetime) -> Country:
    source = fresh.get(state.source) if fresh is not None else None
    today = amsterdam_date(now)
    return Country(
        country=state.country,
        level=state.effective,
        colour=_COLOURS[state.effective],
        worst=_COLOURS[state.worst],
        regions=tuple(
            Region(area=each.area, code=each.code, level=each.level, colour=_COLOURS[each.level])
            for each in state.regions
        ),
        advice_version=state.advice_version,
        source=state.source,
        effective_at=state.effective_at,
        changed_at=state.changed_at,
        is_fresh=None if fresh is None else source is not None and state.country not in source.left_out,
        url=state.url,
        ministry=state.ministry,
        overrides=tuple(_override(each) for each in state.overrides if each.is_valid(today)),
        held=tuple(sorted({hold.reason for hold in state.holds})),
    )


def _override(override: Override) -> OverrideOfCountry:
    return OverrideOfCountry(
        override_id=override.override_id,
        area=override.area,
        level=override.level,
        effect="looser" if override.loosens else "stricter",
        valid_from=override.valid_from,
        valid_until=override.valid_until,
        reason=override.reason,
    )


def _happened(event: Event, at: datetime) -> Change:
    match event:
        case TravelAdviceChanged():
            return Change(
                kind="changed",
                at=at,
                advice_version=event.advice_version,
                baseline=event.baseline,
                effective=event.effective,
                ministry=event.ministry,
                changes=_areas(event.changes),
                source=event.source,
                source_version=event.source_version,
                decided_by=event.decided_by,
                hold_id=event.hold_id,
                override_id=event.override_id,
            )
        case AdviceHeld():
            return Change(
                kind="held", at=at, changes=_areas(event.changes), source=event.source,
                source_version=event.source_version, hold_id=event.hold_id, reason=event.reason.value,
            )  # fmt: skip
        case AdviceReleased():
            return Change(
                kind="released" if event.accepted else "rejected", at=at, decided_by=event.decided_by,
                second=event.second, hold_id=event.hold_id, reason=event.reason,
            )  # fmt: skip
        case OverrideSet():
            return Change(
                kind="override_set", at=at, changes=({"area": event.area, "before": None, "after": event.level},),
                decided_by=event.decided_by, override_id=event.override_id, reason=event.reason,
                document=event.document,
            )  # fmt: skip
        case _:
            assert isinstance(event, OverrideEnded)
            return Change(
                kind="override_ended", at=at, decided_by=event.ended_by, override_id=event.override_id,
                reason=event.reason,
            )  # fmt: skip


def _areas(changes: tuple[AreaChange, ...]) -> tuple[dict[str, str | int | None], ...]:
    return tuple({"area": each.area, "before": each.before, "after": each.after} for each in changes)


def _source(state: SourceState, now: datetime, frozen_after: timedelta) -> Source:
    if state.fresh_until is None:
        standing: Literal["fresh", "stale", "never_read"] = "never_read"
    else:
        standing = "fresh" if state.fresh_until >= now else "stale"
    return Source(
        source=state.source,
        state=standing,
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
