"""The rules of who is affected (R15, R16, R20, R26), written a second time for the audit. Pure.

The audit must not share notify's code: a mistake there would otherwise hide itself here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from shared.clock import amsterdam_date, days_later
from shared.events import AlertRaised, Leg, LegKind, TravelAdviceChanged
from shared.subdivision_names import enclosing

ORANGE = 2
#: resolve(country, place as written) -> ISO 3166-2 region, or None where it is not certain
Resolve = Callable[[str, str], str | None]


@dataclass(frozen=True, slots=True)
class RegistrationVersion:
    """One version of a registration: its place in Kafka, its legs, and whether the stay ended."""

    registration_id: str
    version: int
    partition: int
    offset: int
    at: datetime
    person_id: str
    event_id: str
    legs: tuple[Leg, ...]  # empty: cancelled
    imported: bool = False
    ended: bool = False
    #: the recorded date of return; None while no return is recorded
    returned_on: date | None = None


@dataclass(frozen=True, slots=True)
class AdviceVersion:
    data: TravelAdviceChanged
    time: datetime


def legs_present(
    registered: RegistrationVersion, first: date, last: date, *, strict: bool
) -> Iterator[tuple[Leg, str]]:
    """R26: legs on which the person is present between `first` and `last`, each with a note ("" when certain).

    A leg has a day of grace on both sides. An overdue last leg lasts until the return is recorded. Unless `strict`, a
    recorded return has a day of grace as well.
    """
    final = max((leg.end_date for leg in registered.legs), default=first)
    back = registered.returned_on
    for leg in registered.legs:
        if days_later(leg.start_date, -1) > last:
            continue
        if back is not None:
            if not strict and days_later(min(leg.end_date, back), 1) >= first:
                yield leg, "has returned"
        elif days_later(leg.end_date, 1) >= first:
            yield leg, "" if days_later(leg.start_date, -1) <= first else "the stay begins later"
        elif registered.ended and leg.end_date == final:
            yield leg, "overdue: the stay ended and no return is recorded"


def region_of(leg: Leg, resolve: Resolve) -> str | None:
    """R16: the region that was chosen, or in which the place lies. Older events have the place itself, in clear."""
    return leg.region or leg.place_region or (resolve(leg.country, leg.place) if leg.place else None)


def is_in_area(raised: AlertRaised, region: str | None) -> bool:
    """Whether a place may lie in a manual alert's area. A place without a resolved region may lie in any (R16)."""
    area = raised.area
    if region is None or area in (None, raised.country, *enclosing_regions(region)):
        return True
    return region in enclosing_regions(area)


def enclosing_regions(region: str | None) -> tuple[str, ...]:
    """The region and all regions that contain it: Palermo lies in Sicily."""
    return enclosing(region) if region is not None else ()


def level_at(advice: TravelAdviceChanged, region: str | None) -> tuple[int | None, str, str]:
    """R15, R16: the worst level that may hold at a place, how it was derived, and the area that decides."""
    around = enclosing_regions(region)
    own = [entry for entry in advice.regions if entry.code is not None and entry.code in around]
    certain = [(int(entry.after), "region", entry.area) for entry in own if entry.after is not None]
    if not own and advice.effective.after is not None:
        certain = [(int(advice.effective.after), "country", advice.country)]
    possible = [
        (int(entry.after), "unresolved_place", entry.area)
        for entry in advice.regions
        if entry.after is not None and (entry.code is None or region is None or region in enclosing_regions(entry.code))
    ]
    if certain:
        return max([*certain, *possible], key=lambda candidate: candidate[0])
    negative = [candidate for candidate in possible if candidate[0] >= ORANGE]
    return max(negative, key=lambda candidate: candidate[0]) if negative else (None, "country", advice.country)


def area_levels(
    history: Sequence[AdviceVersion], deciding: tuple[int | None, str, str], now: int | None
) -> list[int | None]:
    """The level of the deciding area in each version. An area that a version does not list has the country's level."""
    _, how, area = deciding
    levels: list[int | None] = []
    for advice in history:
        own = [entry.after for entry in advice.data.regions if entry.area == area] if how != "country" else []
        after = own[0] if own else advice.data.effective.after
        levels.append(None if after is None else int(after))
    return [*levels[:-1], now]


def may_be_negative(advice: TravelAdviceChanged) -> bool:
    levels = [advice.effective.after, *(entry.after for entry in advice.regions)]
    return any(level is not None and level >= ORANGE for level in levels)


def unbroken_since(levels: Sequence[int | None]) -> int:
    """Index of the first version from which the last level, or a worse one, holds without interruption."""
    last = levels[-1] or 0
    first = len(levels) - 1
    while first > 0 and (levels[first - 1] or 0) >= last and levels[first - 1] is not None:
        first -= 1
    return first


def came_after(leg_since: datetime, leg: Leg, baseline: datetime) -> bool:
    """Whether the person arrived after the baseline, the first reading of the country. Only then an alert is due."""
    day: date = amsterdam_date(baseline)
    return leg_since > baseline or days_later(leg.start_date, -1) > day


def first_version_of_each_leg(versions: list[RegistrationVersion]) -> dict[Leg, RegistrationVersion]:
    """The version that first contained each leg. A changed phone number does not make a person a newcomer."""
    first: dict[Leg, RegistrationVersion] = {}
    for registered in versions:
        for leg in registered.legs:
            first.setdefault(without_kind(leg), registered)
    return first


def without_kind(leg: Leg) -> Leg:
    """The leg without its kind, which does not affect where and when the person is."""
    return leg if leg.kind is LegKind.STAY else leg.model_copy(update={"kind": LegKind.STAY})
