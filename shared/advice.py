"""What the advice says about one place, from events alone. Pure: used by registration (R10-R16) and notify (R26).

A region never raises its country; an area or place that cannot be resolved takes the worst colour (R16).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.events import Level, Part, TravelAdviceChanged
from shared.subdivision_names import enclosing

NEGATIVE = Level.ORANGE  # R13: orange and red are negative advice


class Since(Part):
    """Since when an area has been at a level or worse, without a break."""

    advice_version: int
    at: datetime
    baseline: bool


class AreaAdvice(Part):
    """The level of the whole country (`code` is the country) or of one of its regions (`code` null: text only)."""

    area: str
    code: str | None
    level: Level | None
    orange_since: Since | None = None
    red_since: Since | None = None


class CountryAdvice(Part):
    """The current advice for a country: the fold of its TravelAdviceChanged events."""

    country: str
    advice_version: int
    event_id: str
    changed_at: datetime
    source: str
    whole: AreaAdvice
    regions: tuple[AreaAdvice, ...]
    effective_at: datetime
    text_nl: str
    text_en: str
    url: str

    @property
    def worst(self) -> Level | None:
        """The worst known level anywhere in the country."""
        levels = [area.level for area in (self.whole, *self.regions) if area.level is not None]
        return max(levels) if levels else None

    @property
    def is_negative_somewhere(self) -> bool:
        """R13 holds at least in a part of the country."""
        return self.worst is not None and self.worst >= NEGATIVE


class HowAffected(StrEnum):
    """How a place came to its level."""

    COUNTRY = "country"
    REGION = "region"
    UNRESOLVED_PLACE = "unresolved_place"


@dataclass(frozen=True, slots=True)
class PlaceAdvice:
    """The advice for one place. `since` tells since when it has been that bad, for who was told already."""

    level: Level | None
    how: HowAffected
    area: AreaAdvice

    @property
    def is_negative(self) -> bool:
        """R13: orange or red."""
        return self.level is not None and self.level >= NEGATIVE

    @property
    def since(self) -> Since | None:
        """Since when this level or worse holds without a break; None below orange."""
        if self.level is Level.RED:
            return self.area.red_since
        return self.area.orange_since if self.level is Level.ORANGE else None


def evolve(state: CountryAdvice | None, event: TravelAdviceChanged, event_id: str, at: datetime) -> CountryAdvice:
    """The current advice after an event. An older version than the known one changes nothing."""
    if state is not None and state.advice_version >= event.advice_version:
        return state
    former = {area.area: area for area in (state.whole, *state.regions)} if state else {}
    # A version that never came (it is parked) may have been better: then the newer one says so.
    missed = state is not None and event.advice_version > state.advice_version + 1

    def area(name: str, code: str | None, level: Level | None, just_before: Level | None) -> AreaAdvice:
        # A region that is new on the list had the country's level until now.
        before = former.get(name) or (state.whole if state else None)
        now = Since(advice_version=event.advice_version, at=at, baseline=event.baseline)

        def since(threshold: Level, earlier: Since | None) -> Since | None:
            if missed and (just_before is None or just_before < threshold):
                earlier = None
            return (earlier or now) if level is not None and level >= threshold else None

        return AreaAdvice(
            area=name,
            code=code,
            level=level,
            orange_since=since(Level.ORANGE, before.orange_since if before else None),
            red_since=since(Level.RED, before.red_since if before else None),
        )

    return CountryAdvice(
        country=event.country,
        advice_version=event.advice_version,
        event_id=event_id,
        changed_at=at,
        source=event.source,
        whole=area(event.country, event.country, event.effective.after, event.effective.before),
        # A region that left the list has the country's level again: it is no area of its own any more.
        regions=tuple(area(region.area, region.code, region.after, region.before) for region in event.regions),
        effective_at=event.effective_at,
        text_nl=event.text_nl,
        text_en=event.text_en,
        url=event.url,
    )


def at_place(advice: CountryAdvice, region: str | None) -> PlaceAdvice:
    """R15, R16: the advice for a place whose region is the ISO 3166-2 code, or None where it is not resolved.

    A region with a level of its own has that level, and so has every place that lies in it: Palermo in Sicily. An
    area that only has a text may be anywhere in the country, so a worse one counts for every place; so does every
    worse region for a place without a region, and every worse part of its region for a place that is known no closer.
    """
    around = enclosing(region) if region is not None else ()
    named = [area for area in advice.regions if area.code in around]
    base = max(named, key=_rank) if named else advice.whole
    how = HowAffected.REGION if named else HowAffected.COUNTRY
    possible = [area for area in advice.regions if _may_hold(area, region) and _rank(area) > _rank(base)]
    if not possible:
        return PlaceAdvice(base.level, how, base)
    worst = max(possible, key=_rank)
    if base.level is None and worst.level is not None and worst.level < NEGATIVE:
        # The country is unknown: a harmless region elsewhere makes nothing known.
        return PlaceAdvice(None, how, base)
    return PlaceAdvice(worst.level, HowAffected.UNRESOLVED_PLACE, worst)


def _may_hold(area: AreaAdvice, region: str | None) -> bool:
    """Whether a place of which only the region is known may lie in the area."""
    return area.code is None or region is None or region in enclosing(area.code)


def _rank(area: AreaAdvice) -> int:
    return -1 if area.level is None else int(area.level)


def is_fresh(advice: CountryAdvice, fresh_until: datetime | None, checked_version: int | None, now: datetime) -> bool:
    """R14: the source was read whole recently, and what it said of this country is what we know."""
    if fresh_until is None or checked_version is None:
        return False
    return now <= fresh_until and advice.advice_version >= checked_version
