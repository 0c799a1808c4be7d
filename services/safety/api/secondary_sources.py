"""What other governments say beside the level that counts: for the safety officer, who decides what it means."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path

from services.safety.store.cap_messages import CapMessageStore
from services.safety.model import CountryState
from services.safety.secondary_advice import SecondaryAdvice
from services.safety.store.secondary_advice import SecondaryAdviceStore
from services.safety.rules.disagreement import Disagreement, Reason, disagreement
from services.safety.sources.cap import CapMessage, messages_in_force
from services.safety.store.advice import Store
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
    """What one source says of one country, since when, and how that stands to the level that counts.

    Levels are 0 to 3; null: the source gives none. `isWithoutWarning`: it has no green, and warns against nothing.
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


def routes(store: Store, secondary_advice: SecondaryAdviceStore, messages: CapMessageStore) -> Routes:
    """The routes about what informs. None of them changes anything."""
    router = Routes(RouteClass.USER, tags=["sources"])

    @router.get("/v1/travel-advice/{country}/sources", operation_id="listCountrySources")
    async def of_country(caller: Reader, country: Annotated[CountryCode, Path()], paged: Paged) -> Page[CountrySource]:
        """What the informing sources say of a country; empty when none was read or none speaks of it."""
        state = (await store.countries.load(country)).state
        found = [await _country_source(store, state, each) for each in await secondary_advice.of_country(country)]
        return paged.page(found[paged.skip : paged.skip + paged.fetch])

    @router.get("/v1/disagreements", operation_id="listDisagreements")
    async def disagreements(caller: Reader, paged: Paged) -> Page[CountrySource]:
        """Every country where a source and the level that counts lie on two sides of negative advice (R13)."""
        states = await store.all_countries()
        differing = [each for each in await secondary_advice.all() if _standing(states.get(each.country), each).matters]
        shown = differing[paged.skip : paged.skip + paged.fetch]
        return paged.page([await _country_source(store, states.get(each.country), each) for each in shown])

    @router.get("/v1/cap-messages", operation_id="listCapMessages")
    async def cap_messages(caller: Reader, paged: Paged) -> Page[CapMessage]:
        """The warnings of other systems (CAP 1.2) that hold now, the newest first; empty unless CAP_URLS names some."""
        found = messages_in_force(await messages.newest(), utc_now())
        return paged.page(found[paged.skip : paged.skip + paged.fetch])

    return router


def _standing(state: CountryState | None, advice: SecondaryAdvice) -> Disagreement:
    return disagreement(state.effective if state else None, state.worst if state else None, advice)


async def _country_source(store: Store, state: CountryState | None, advice: SecondaryAdvice) -> CountrySource:
    source = await store.source(advice.source)
    fresh_until = source.fresh_until
    return CountrySource(
        source=advice.source,
        country=advice.country,
        level=advice.level,
        is_without_warning=advice.is_without_warning,
        regions=tuple(RegionLevel(area=each.area, code=each.code, level=each.level) for each in advice.regions),
        regional_max=advice.regional_max,
        says_so_since=advice.says_so_since,
        effective_at=advice.effective_at,
        is_fresh=fresh_until is not None and fresh_until >= utc_now() and advice.country not in source.left_out,
        counts=state.effective if state else None,
        standing=_standing(state, advice).reason,
        text_en=advice.text_en,
        url=advice.url,
    )
