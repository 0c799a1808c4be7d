"""What other governments and warning systems say, over HTTP. Nothing here changes the advice."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path

from services.safety.model import CountryState
from services.safety.rules.disagreement import Disagreement, Reason, disagreement
from services.safety.secondary_advice import SecondaryAdvice
from services.safety.sources.cap import CapMessage, messages_in_force
from services.safety.store.advice import Store
from services.safety.store.cap_messages import CapMessageStore
from services.safety.store.secondary_advice import SecondaryAdviceStore
from shared.clock import utc_now
from shared.events import Level, Part, RegionCode
from shared.fields import CountryCode
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.routes import RouteClass, Routes

Reader = Annotated[Identity, Depends(require("safety-officer", "international-office", "auditor"))]


class RegionLevel(Part):
    """One area with a level of its own, as the source names it."""

    area: str
    code: RegionCode | None
    level: Level | None


class CountrySource(Part):
    """What one source says about one country, since when, and how it compares with the effective level (`counts`).

    Levels are 0 to 3; null: the source gives none. `isWithoutWarning`: the source has no green, and warns of nothing.
    """

    source: str
    country: str
    level: Level | None
    is_without_warning: bool
    regions: tuple[RegionLevel, ...]
    regional_max: Level | None
    says_so_since: datetime
    effective_at: datetime
    is_fresh: bool
    counts: Level | None
    standing: Reason
    text_en: str
    url: str


def routes(store: Store, advice_store: SecondaryAdviceStore, message_store: CapMessageStore) -> Routes:
    """The routes of secondary sources and CAP messages."""
    router = Routes(RouteClass.USER, tags=["sources"])

    @router.get("/v1/travel-advice/{country}/sources", operation_id="listCountrySources")
    async def list_country_sources(
        caller: Reader, country: Annotated[CountryCode, Path()], paged: Paged
    ) -> Page[CountrySource]:
        """What the secondary sources say about a country; empty if none was read or none names it."""
        state = (await store.countries.load(country)).state
        sources = [await _country_source(store, state, advice) for advice in await advice_store.of_country(country)]
        return paged.page(sources[paged.skip : paged.skip + paged.fetch])

    @router.get("/v1/disagreements", operation_id="listDisagreements")
    async def list_disagreements(caller: Reader, paged: Paged) -> Page[CountrySource]:
        """Every country where only one of a secondary source and the effective level is orange or red (R13)."""
        states = await store.all_countries()
        differing = [
            advice for advice in await advice_store.all() if _compared(states.get(advice.country), advice).matters
        ]
        page = differing[paged.skip : paged.skip + paged.fetch]
        return paged.page([await _country_source(store, states.get(advice.country), advice) for advice in page])

    @router.get("/v1/cap-messages", operation_id="listCapMessages")
    async def list_cap_messages(caller: Reader, paged: Paged) -> Page[CapMessage]:
        """The warnings of other systems (CAP 1.2) in force now, newest first; empty unless CAP_URLS names documents."""
        messages = messages_in_force(await message_store.newest(), utc_now())
        return paged.page(messages[paged.skip : paged.skip + paged.fetch])

    return router


def _compared(state: CountryState | None, advice: SecondaryAdvice) -> Disagreement:
    return disagreement(state.effective if state else None, state.worst if state else None, advice)


async def _country_source(store: Store, state: CountryState | None, advice: SecondaryAdvice) -> CountrySource:
    source = await store.source_state(advice.source)
    fresh_until = source.fresh_until
    return CountrySource(
        source=advice.source,
        country=advice.country,
        level=advice.level,
        is_without_warning=advice.is_without_warning,
        regions=tuple(RegionLevel(area=region.area, code=region.code, level=region.level) for region in advice.regions),
        regional_max=advice.regional_max,
        says_so_since=advice.says_so_since,
        effective_at=advice.effective_at,
        is_fresh=fresh_until is not None and fresh_until >= utc_now() and advice.country not in source.left_out,
        counts=state.effective if state else None,
        standing=_compared(state, advice).reason,
        text_en=advice.text_en,
        url=advice.url,
    )
