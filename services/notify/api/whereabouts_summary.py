"""How many people are abroad on a day, by country and colour: the start page of a safety officer. No names."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import Field

from services.notify.api.not_assessable import count_not_assessable
from services.notify.messages.wording import COLOURS
from services.notify.model.whereabouts import Whereabouts
from services.notify.rules.audience import stays_on
from services.notify.store.advice import AdviceStore
from services.notify.store.unjudged import Judging
from services.notify.store.whereabouts import WhereaboutsStore
from shared.advice import CountryAdvice, at_place
from shared.bus.bus import Bus
from shared.clock import amsterdam_date, utc_now
from shared.events import Level, Part
from shared.web.bodies import TravelDay
from shared.web.identity import Identity, require
from shared.web.routes import RouteClass, Routes

Reader = Annotated[Identity, Depends(require("safety-officer", "crisis-team", "international-office"))]
Colour = Literal["green", "yellow", "orange", "red", "unknown"]
BATCH = 1_000


class CountryCount(Part):
    """The people in one country. A person in two places counts once, in the worse colour."""

    country: str
    persons: int
    by_colour: dict[Colour, int] = Field(description="The colour of each person's own place (R16)")
    overdue: int = Field(description="Of these, persons whose stay is over without a recorded return")


class WhereaboutsSummary(Part):
    """Everybody who is abroad on a day. Countries with the worst colours come first."""

    day: date
    persons: int = Field(description="A person who is in two countries on that day counts once")
    by_colour: dict[Colour, int] = Field(description="Each person in the worst colour of their places")
    overdue: int
    not_assessable: int = Field(
        description="Registrations that nobody can assess: parked, or beyond what the rules can judge"
    )
    countries: tuple[CountryCount, ...]


@dataclass(frozen=True, slots=True)
class SummaryDeps:
    """What the route needs."""

    whereabouts: WhereaboutsStore
    advice: AdviceStore
    bus: Bus


@dataclass(frozen=True, slots=True)
class Presence:
    """One person in one country: the worst level of their places there, None for unknown."""

    person_id: str
    country: str
    level: Level | None
    is_overdue: bool


def routes(deps: SummaryDeps) -> Routes:
    """The summary."""
    router = Routes(RouteClass.USER, tags=["whereabouts"])

    @router.get("/v1/whereabouts-counts", operation_id="summarizeWhereabouts")
    async def summarize(
        caller: Reader,
        at: Annotated[TravelDay | None, Query(description="Day in Europe/Amsterdam, today or later")] = None,
    ) -> WhereaboutsSummary:
        """How many people are abroad, by country and by the colour of their place today."""
        day = at or amsterdam_date(utc_now())
        advice: dict[str, CountryAdvice | None] = {}
        found, judging = list[Presence](), Judging()
        async for batch in deps.whereabouts.abroad(day, BATCH):
            for country in {stay.country for where in batch for stay in where.stays} - advice.keys():
                advice[country] = await deps.advice.get(country)
            for where in batch:
                found += judging.ask(where, partial(presences, where, advice, day)) or ()
        await deps.whereabouts.unjudged.note(judging.failed, utc_now())
        return summary(day, found, await count_not_assessable(deps.bus, deps.whereabouts.unjudged))

    return router


def presences(where: Whereabouts, advice: Mapping[str, CountryAdvice | None], day: date) -> list[Presence]:
    """Where the person of a registration is on a day: one entry for each of their places."""
    found = []
    for stay in stays_on(where, day):
        known = advice.get(stay.country)
        level = at_place(known, stay.region).level if known is not None else None
        found.append(Presence(where.person_id, stay.country, level, where.is_overdue and day > stay.end_date))
    return found


def summary(day: date, found: Iterable[Presence], not_assessable: int) -> WhereaboutsSummary:
    """The counts. Pure."""
    by_country: dict[str, list[Presence]] = defaultdict(list)
    everybody: list[Presence] = []
    for presence in found:
        by_country[presence.country].append(presence)
        everybody.append(presence)
    countries = []
    for country, there in by_country.items():
        colours = _colours(there)
        overdue = len({presence.person_id for presence in there if presence.is_overdue})
        countries.append(
            CountryCount(country=country, persons=sum(colours.values()), by_colour=colours, overdue=overdue)
        )
    total = _colours(everybody)
    return WhereaboutsSummary(
        day=day,
        persons=sum(total.values()),
        by_colour=total,
        overdue=len({presence.person_id for presence in everybody if presence.is_overdue}),
        not_assessable=not_assessable,
        countries=tuple(sorted(countries, key=_worst_first)),
    )


def _colours(there: Iterable[Presence]) -> dict[Colour, int]:
    """How many persons are in each colour, the worst colour of each. Unknown is worse than yellow (R14)."""
    worst: dict[str, Level | None] = {}
    for presence in there:
        before = worst.get(presence.person_id, presence.level)
        worst[presence.person_id] = max(before, presence.level, key=_badness)
    counts = Counter(_colour(level) for level in worst.values())
    return {colour: counts[colour] for colour in ("red", "orange", "unknown", "yellow", "green")}


def _badness(level: Level | None) -> float:
    return Level.YELLOW + 0.5 if level is None else float(level)


def _colour(level: Level | None) -> Colour:
    names: dict[str, Colour] = {"green": "green", "yellow": "yellow", "orange": "orange", "red": "red"}
    return "unknown" if level is None else names[COLOURS["en"][level]]


def _worst_first(count: CountryCount) -> tuple[int, ...]:
    return (*(-count.by_colour[colour] for colour in ("red", "orange", "unknown")), -count.persons)
