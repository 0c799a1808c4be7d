"""Travel advice over HTTP: the effective advice of every country, of one, and as it was known at an instant."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import Path, Query, Response

from services.safety.api.colours import COLOURS, LEVELS, ShownColour
from services.safety.model import CountryState, Override
from services.safety.store.advice import Store
from services.safety.store.source_state import SourceState
from shared.clock import amsterdam_date, utc_now
from shared.events import HoldReason, Level, Part, RegionCode
from shared.fields import CountryCode
from shared.web.bodies import PastInstant
from shared.web.concurrency import etag
from shared.web.identity import Caller
from shared.web.paging import Page, Paged
from shared.web.problem import not_found
from shared.web.routes import RouteClass, Routes


class OverrideOfCountry(Part):
    """R17: a level that the university sets here and that is valid today, for the whole country or a region."""

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
    colour: ShownColour


class Country(Part):
    """The advice for one country, in short: the effective level, the ministry's level, and why they differ.

    `overrides` are valid today. `held`: a question about the country waits for a person; the worse level counts.
    """

    country: str
    level: Level | None
    colour: ShownColour
    worst: ShownColour
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
    """The advice for one country with the source's own text. `isFresh` is null for a past instant."""

    text_nl: str
    text_en: str
    source_version: str


def routes(store: Store, source_names: tuple[str, ...]) -> Routes:
    """The routes of travel advice."""
    router = Routes(RouteClass.USER, tags=["travel advice"])

    @router.get("/v1/travel-advice", operation_id="listTravelAdvice")
    async def list_advice(
        caller: Caller,
        paged: Paged,
        at_least: Annotated[Literal["yellow", "orange", "red"] | None, Query(alias="atLeast")] = None,
    ) -> Page[Country]:
        """Every country by its code. `atLeast`: only countries with an area at that level or a worse one."""
        fresh_sources = await _fresh_sources(store, source_names)
        states = sorted((await store.all_countries()).values(), key=lambda state: state.country)
        if at_least is not None:
            states = [state for state in states if state.worst is not None and state.worst >= LEVELS[at_least]]
        page = states[paged.skip : paged.skip + paged.fetch]
        return paged.page([_country(state, fresh_sources, utc_now()) for state in page])

    @router.get("/v1/travel-advice/{country}", operation_id="getTravelAdvice")
    async def get_advice(
        caller: Caller,
        country: Annotated[CountryCode, Path()],
        response: Response,
        at: Annotated[PastInstant | None, Query(description="As it was known at this instant; by default now")] = None,
    ) -> CountryInFull:
        """The advice for one country. 404: no source names it; unknown is not safe (R14)."""
        state = (await store.countries.load(country)).state if at is None else await store.state_at(country, at)
        if state is None:
            raise not_found()
        response.headers["ETag"] = etag(state.advice_version)
        fresh_sources = await _fresh_sources(store, source_names) if at is None else None
        summary = _country(state, fresh_sources, at or utc_now())
        return CountryInFull(
            **summary.model_dump(), text_nl=state.text_nl, text_en=state.text_en, source_version=state.source_version
        )

    return router


async def _fresh_sources(store: Store, source_names: tuple[str, ...]) -> dict[str, SourceState]:
    """The sources whose last reading is fresh (R14). Countries that it left out are stale nevertheless."""
    now = utc_now()
    states = [await store.source_state(name) for name in source_names]
    return {state.source: state for state in states if state.fresh_until is not None and state.fresh_until >= now}


def _country(state: CountryState, fresh_sources: Mapping[str, SourceState] | None, now: datetime) -> Country:
    """`fresh_sources` None: a past instant, for which freshness is not known."""
    source = fresh_sources.get(state.source) if fresh_sources is not None else None
    today = amsterdam_date(now)
    return Country(
        country=state.country,
        level=state.effective,
        colour=COLOURS[state.effective],
        worst=COLOURS[state.worst],
        regions=tuple(
            Region(area=region.area, code=region.code, level=region.level, colour=COLOURS[region.level])
            for region in state.regions
        ),
        advice_version=state.advice_version,
        source=state.source,
        effective_at=state.effective_at,
        changed_at=state.changed_at,
        is_fresh=None if fresh_sources is None else source is not None and state.country not in source.left_out,
        url=state.url,
        ministry=state.ministry,
        overrides=tuple(_override(override) for override in state.overrides if override.is_valid(today)),
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
