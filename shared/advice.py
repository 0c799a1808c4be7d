"""The advice level of one place, computed from events alone. Used by registration (R10-R16) and notify (R26).

A region never raises its country. A place or an area that cannot be resolved gets the worst level (R16).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.events import (
    DecidingOverride,
    Level,
    LevelBasis,
    LevelGrounds,
    Part,
    Picture,
    TravelAdviceChanged,
)
from shared.subdivision_names import enclosing

NEGATIVE = Level.ORANGE  # R13: orange and red are negative advice


class Since(Part):
    """The version of the advice since which an area has been at a level or worse, without a break."""

    advice_version: int
    at: datetime
    baseline: bool


class AreaAdvice(Part):
    """The level of the country (`code` is the country's) or of one of its regions (`code` null: only a text).

    `adopted`: the level before overrides, and since when it is this one; by the source's own time where the source said
    it. `grounds`: who decided the level; null in a state that an older version stored.
    """

    area: str
    code: str | None
    level: Level | None
    orange_since: Since | None = None
    red_since: Since | None = None
    adopted: Level | None = None
    adopted_since: datetime | None = None
    grounds: LevelGrounds | None = None


class CountryAdvice(Part):
    """The current advice of a country: the fold of its TravelAdviceChanged events."""

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
        """Whether the advice is negative (R13) in at least a part of the country."""
        return self.worst is not None and self.worst >= NEGATIVE


class HowAffected(StrEnum):
    """How a place got its level."""

    COUNTRY = "country"
    REGION = "region"
    UNRESOLVED_PLACE = "unresolved_place"


@dataclass(frozen=True, slots=True)
class PlaceAdvice:
    """The advice of one place. With `since`, notify does not send a person the same bad news twice."""

    level: Level | None
    how: HowAffected
    area: AreaAdvice

    @property
    def is_negative(self) -> bool:
        """R13: orange or red."""
        return self.level is not None and self.level >= NEGATIVE

    @property
    def since(self) -> Since | None:
        """The version since which this level or worse has held without a break; None below orange."""
        if self.level is Level.RED:
            return self.area.red_since
        return self.area.orange_since if self.level is Level.ORANGE else None


def evolve(state: CountryAdvice | None, event: TravelAdviceChanged, event_id: str, at: datetime) -> CountryAdvice:
    """The advice after an event. An event that is not newer than the state changes nothing."""
    if state is not None and state.advice_version >= event.advice_version:
        return state
    areas_before = {area.area: area for area in (state.whole, *state.regions)} if state else {}
    # A version in between is missing (parked): `before` in the newer event shows whether it was better.
    has_gap = state is not None and event.advice_version > state.advice_version + 1

    grounds_of = _Grounds(event, at, has_gap)

    def area(
        name: str, code: str | None, level: Level | None, just_before: Level | None, unread: bool = False
    ) -> AreaAdvice:
        # A region that is new in the list had the country's level until now.
        before = areas_before.get(name) or (state.whole if state else None)
        now = Since(advice_version=event.advice_version, at=at, baseline=event.baseline)

        def since(threshold: Level, earlier: Since | None) -> Since | None:
            if has_gap and (just_before is None or just_before < threshold):
                earlier = None
            return (earlier or now) if level is not None and level >= threshold else None

        adopted = grounds_of.adopted(name, code, level)
        adopted_since = grounds_of.adopted_since(name, code, adopted, before)
        return AreaAdvice(
            area=name,
            code=code,
            level=level,
            orange_since=since(Level.ORANGE, before.orange_since if before else None),
            red_since=since(Level.RED, before.red_since if before else None),
            adopted=adopted,
            adopted_since=adopted_since,
            grounds=grounds_of.grounds(name, code, level, adopted, adopted_since, before, unread=unread),
        )

    return CountryAdvice(
        country=event.country,
        advice_version=event.advice_version,
        event_id=event_id,
        changed_at=at,
        source=event.source,
        whole=area(event.country, event.country, event.effective.after, event.effective.before),
        # A region that left the list has the country's level again and is dropped here.
        regions=tuple(
            area(region.area, region.code, region.after, region.before, region.unread) for region in event.regions
        ),
        effective_at=event.effective_at,
        text_nl=event.text_nl,
        text_en=event.text_en,
        url=event.url,
    )


@dataclass(frozen=True, slots=True)
class _Grounds:
    """Who decided each level of an event: the source, the university by an override, or nobody yet (a held change)."""

    event: TravelAdviceChanged
    at: datetime
    has_gap: bool

    def adopted(self, name: str, code: str | None, level: Level | None) -> Level | None:
        """The level of an area before overrides."""
        return level if self.event.adopted is None else level_in(self.event.adopted, name, code)

    def adopted_since(self, name: str, code: str | None, adopted: Level | None, before: AreaAdvice | None) -> datetime:
        """Since when an area has its adopted level: by the source's time if it says so itself, else by ours."""
        is_same = before is not None and before.adopted == adopted and not self.has_gap
        if is_same and before is not None and before.adopted_since is not None:
            return before.adopted_since
        return self.event.effective_at if self._said(name, code, adopted) == adopted else self.at

    def grounds(
        self,
        name: str,
        code: str | None,
        level: Level | None,
        adopted: Level | None,
        adopted_since: datetime,
        before: AreaAdvice | None,
        *,
        unread: bool,
    ) -> LevelGrounds:
        """Who decided the level of an area, and since when that holds."""
        basis = self._basis(level, adopted, self._said(name, code, adopted), unread=unread)
        deciding = self._override(code or name)
        override = deciding.override if deciding is not None else None
        by_override = basis in OVERRIDES
        former = before.grounds if before is not None else None
        ended_at = None
        if former is not None and not by_override and before is not None:
            has_ended = former.basis in OVERRIDES
            ended_at = self.at if has_ended else former.override_ended_at if before.level == level else None
        return LevelGrounds(
            basis=basis,
            # An event of an older version does not say which override decides, only that one does.
            since=(override.since if override is not None else self.at) if by_override else adopted_since,
            source=self.event.source,
            override=override,
            override_ended_at=ended_at,
        )

    def _said(self, name: str, code: str | None, adopted: Level | None) -> Level | None:
        """The level that the source itself gives."""
        if self.event.said is not None:
            return level_in(self.event.said, name, code)
        return self.event.ministry.after if name == self.event.country else adopted

    def _basis(self, level: Level | None, adopted: Level | None, said: Level | None, *, unread: bool) -> LevelBasis:
        if level != adopted:
            is_stricter = adopted is None or (level is not None and level > adopted)
            return LevelBasis.STRICTER_OVERRIDE if is_stricter else LevelBasis.LOOSER_OVERRIDE
        if said == adopted or adopted is None:
            return LevelBasis.UNREAD if unread else LevelBasis.SOURCE
        if said is None:
            return LevelBasis.LAST_KNOWN
        return LevelBasis.UNCONFIRMED if said < adopted else LevelBasis.NOT_ADOPTED

    def _override(self, area: str) -> DecidingOverride | None:
        return next((deciding for deciding in self.event.overrides if area in deciding.areas), None)


#: R17: the university decided.
OVERRIDES = frozenset({LevelBasis.STRICTER_OVERRIDE, LevelBasis.LOOSER_OVERRIDE})


def level_in(levels: Picture, name: str, code: str | None) -> Level | None:
    """The level of the country or of an area. An area that is not listed has the country's level."""
    by_name = next((region for region in levels.regions if region.area == name), None)
    listed = by_name or next((region for region in levels.regions if code is not None and region.code == code), None)
    return listed.level if listed is not None else levels.level


def at_place(advice: CountryAdvice, region: str | None) -> PlaceAdvice:
    """R15, R16: the advice of a place. `region` is its ISO 3166-2 code; None: the place was not resolved.

    A place has the level of the region in which it lies, if that has one of its own (Palermo in Sicily). A worse area
    counts as well when the place may lie in it: an area with only a text may be anywhere in the country, an unresolved
    place may lie in any region, and a place known only by its region may lie in any part of that.
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
        # The country is unknown, and stays so: the level of a harmless region elsewhere says nothing about it.
        return PlaceAdvice(None, how, base)
    return PlaceAdvice(worst.level, HowAffected.UNRESOLVED_PLACE, worst)


def _may_hold(area: AreaAdvice, region: str | None) -> bool:
    """Whether a place, of which only the region is known, may lie in the area."""
    return area.code is None or region is None or region in enclosing(area.code)


def _rank(area: AreaAdvice) -> int:
    return -1 if area.level is None else int(area.level)


def is_fresh(advice: CountryAdvice, fresh_until: datetime | None, checked_version: int | None, now: datetime) -> bool:
    """R14: whether the source was read completely in time, and we have its newest version for this country."""
    if fresh_until is None or checked_version is None:
        return False
    return now <= fresh_until and advice.advice_version >= checked_version
