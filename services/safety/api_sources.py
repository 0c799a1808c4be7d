"""What other governments say beside the level that counts: for the safety officer, who decides what it means."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path

from services.safety.cap_messages import Messages
from services.safety.model import CountryState
from services.safety.opinion import Opinion
from services.safety.opinions import Opinions
from services.safety.rules.disagreement import Disagreement, Reason, disagreement
from services.safety.sources.cap import CapMessage, in_force
from services.safety.store import Store
from shared.clock import utc_now
from shared.events import Level, Part, RegionCode
from shared.fields import CountryCode
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.routes import RouteClass, Routes

Reader = Annotated[Identity, Depends(require("safety-officer", "international-office", "auditor"))]


class SaidOfRegion(Part):
    """One area with a level of its own, as the source names it."""

    area: str
    code: RegionCode | None
    level: Level | None


class Saying(Part):
    """What one source says of one country, since when, and how that stands to the level that counts.

    Levels are 0 to 3; null: the source gives none. `isWithoutWarning`: it has no green, and warns against nothing.
    """

    source: str
    country: str
    level: Level | None
    is_without_warning: bool
    regions: tuple[SaidOfRegion, ...]
    regional_max: Level | None
    says_so_since: datetime
    effective_at: datetime
    is_fresh: bool
    counts: Level | None
    standing: Reason
    text_en: str
    url: str


def routes(store: Store, opinions: Opinions, messages: Messages) -> Routes:
    """The routes about what informs. None of them changes anything."""
    router = Routes(RouteClass.USER, tags=["sources"])

    @router.get("/v1/travel-advice/{country}/sources", operation_id="listCountrySources")
    async def of_country(caller: Reader, country: Annotated[CountryCode, Path()], paged: Paged) -> Page[Saying]:
        """What the informing sources say of a country; empty when none was read or none speaks of it."""
        state = (await store.countries.load(country)).state
        found = [await _saying(store, state, each) for each in await opinions.of_country(country)]
        return paged.page(found[paged.skip : paged.skip + paged.fetch])

    @router.get("/v1/disagreements", operation_id="listDisagreements")
    async def disagreements(caller: Reader, paged: Paged) -> Page[Saying]:
        """Every country where a source and the level that counts lie on two sides of negative advice (R13)."""
        states = await store.all_countries()
        differing = [each for each in await opinions.all() if _standing(states.get(each.country), each).matters]
        shown = differing[paged.skip : paged.skip + paged.fetch]
        return paged.page([await _saying(store, states.get(each.country), each) for each in shown])

    @router.get("/v1/cap-messages", operation_id="listCapMessages")
    async def cap_messages(caller: Reader, paged: Paged) -> Page[CapMessage]:
        """The warnings of other systems (CAP 1.2) that hold now, the newest first; empty unless CAP_URLS names some."""
        found = in_force(await messages.newest(), utc_now())
        return paged.page(found[paged.skip : paged.skip + paged.fetch])

    return router


def _standing(state: CountryState | None, opinion: Opinion) -> Disagreement:
    return disagreement(state.effective if state else None, state.worst if state else None, opinion)


async def _saying(store: Store, state: CountryState | None, opinion: Opinion) -> Saying:
    source = await store.source(opinion.source)
    fresh_until = source.fresh_until
    return Saying(
        source=opinion.source,
        country=opinion.country,
        level=opinion.level,
        is_without_warning=opinion.is_without_warning,
        regions=tuple(SaidOfRegion(area=each.area, code=each.code, level=each.level) for each in opinion.regions),
        regional_max=opinion.regional_max,
        says_so_since=opinion.says_so_since,
        effective_at=opinion.effective_at,
        is_fresh=fresh_until is not None and fresh_until >= utc_now() and opinion.country not in source.left_out,
        counts=state.effective if state else None,
        standing=_standing(state, opinion).reason,
        text_en=opinion.text_en,
        url=opinion.url,
    )
