"""R15, R16, R26, as the audit applies them by itself: each boundary of a stay, an area and a level."""

from datetime import date, timedelta
from typing import Any

import pytest

from shared.audit.independent_rules import (
    RegistrationVersion,
    first_version_of_each_leg,
    is_in_area,
    legs_present,
    level_at,
    region_of,
)
from shared.events import AlertRaised, Leg, LegKind, LevelChange, RegionAdvice, TravelAdviceChanged
from tests.audit.log import START

DAY = date(2026, 3, 1)


def leg(start: int, end: int, **more: Any) -> Leg:
    """A leg in Spain, by days from DAY."""
    days = {"start_date": DAY + timedelta(days=start), "end_date": DAY + timedelta(days=end)}
    return Leg(**days, country="ES", **more)


def registered(*legs: Leg, version: int = 1, **more: Any) -> RegistrationVersion:
    """A version of a registration."""
    return RegistrationVersion("r-1", version, 0, version, START, "student-01", f"e-{version}", legs, **more)


def notes(registration: RegistrationVersion, *, strict: bool = True, last: int = 0) -> list[str]:
    """The note about each leg on which the person is there on DAY, or up to `last` days later."""
    return [note for _, note in legs_present(registration, DAY, DAY + timedelta(days=last), strict=strict)]


def test_leg_has_one_day_of_grace_on_both_sides() -> None:
    """The day before the first day and the day after the last one."""
    for start, end, there in ((1, 5, True), (2, 5, False), (-5, -1, True), (-5, -2, False)):
        assert bool(notes(registered(leg(start, end)))) is there
    assert notes(registered(leg(2, 5)), last=1) == ["the stay begins later"]


def test_overdue_is_the_last_leg_alone() -> None:
    """Who has not said that they are back may still be in the last place, and in none of those before it."""
    first, second = leg(-40, -20), leg(-19, -9)

    assert list(legs_present(registered(first, second, ended=True), DAY, DAY, strict=True)) == [
        (second, "overdue: the stay ended and no return is recorded")
    ]
    assert notes(registered(first, second)) == []


@pytest.mark.parametrize(("back", "there"), [(0, True), (-1, True), (-2, False)])
def test_who_has_returned_has_one_day_of_grace_by_the_tolerant_reading_only(back: int, there: bool) -> None:
    """From the day of return or the last day of the leg, whichever comes first."""
    returned = registered(leg(-9, 9), returned_on=DAY + timedelta(days=back))
    long_over = registered(leg(-9, -2), returned_on=DAY)

    assert notes(returned, strict=False) == (["has returned"] if there else [])
    assert notes(returned) == []
    assert notes(long_over, strict=False) == []


def raised(area: str | None) -> AlertRaised:
    """A manual alert for an area of Italy."""
    return AlertRaised(
        alert_id="IT-m1", trigger="manual", country="IT", advice_version=1, advice_event_id="advice-1", as_of=START,
        shard_count=1, templates={}, area=area,
    )  # fmt: skip


def test_place_may_lie_in_an_area_that_contains_it_or_that_it_contains() -> None:
    """Palermo lies in Sicily, and who is somewhere in Sicily may be in Palermo; who is in Lombardy is in neither."""
    sicily, palermo, lombardy = "IT-82", "IT-PA", "IT-25"

    for area, region, inside in (
        (sicily, sicily, True), (sicily, palermo, True), (palermo, sicily, True), (sicily, lombardy, False),
        (palermo, lombardy, False), (sicily, None, True), (None, lombardy, True), ("IT", lombardy, True),
    ):  # fmt: skip
        assert is_in_area(raised(area), region) is inside, (area, region)


def advice(country: int | None, *regions: tuple[str | None, int | None]) -> TravelAdviceChanged:
    """Advice for Spain: the level of the country, and (code, level) of its areas."""
    listed = tuple(
        RegionAdvice(area=f"area {number}", code=code, before=None, after=level)
        for number, (code, level) in enumerate(regions)
    )
    change = LevelChange(before=None, after=country)
    return TravelAdviceChanged(
        country="ES", advice_version=1, baseline=False, ministry=change, effective=change, regions=listed, changes=(),
        source="example", source_version="1", parser_version=1, effective_at=START, text_nl="", text_en="", url="",
        decided_by="rules",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("levels", "region", "expected"),
    [
        (advice(1), "ES-AN", (1, "country", "ES")),
        (advice(1, ("ES-AN", 3)), "ES-AN", (3, "region", "area 0")),
        (advice(3, ("ES-AN", 0)), "ES-AN", (0, "region", "area 0")),
        (advice(1, ("ES-AN", 3)), "ES-MD", (1, "country", "ES")),
        (advice(1, ("ES-AN", 3)), None, (3, "unresolved_place", "area 0")),
        (advice(1, (None, 2)), "ES-MD", (2, "unresolved_place", "area 0")),
        (advice(None, (None, 2)), "ES-MD", (2, "unresolved_place", "area 0")),
        (advice(None, (None, 1)), "ES-MD", (None, "country", "ES")),
        (advice(None), "ES-MD", (None, "country", "ES")),
        (advice(3, (None, 1)), "ES-MD", (3, "country", "ES")),
    ],
)
def test_level_of_a_place_is_the_worst_one_that_may_hold_there(
    levels: TravelAdviceChanged, region: str | None, expected: tuple[int | None, str, str]
) -> None:
    """Of an unknown country an area counts from orange on; a milder one says nothing of the rest."""
    assert level_at(levels, region) == expected


def test_region_of_a_leg_is_the_chosen_one_then_that_of_the_place() -> None:
    """Older events have the place in clear; a place that nobody can resolve has no region."""

    def resolve(country: str, place: str) -> str | None:
        return "ES-AN" if (country, place) == ("ES", "Sevilla") else None

    assert region_of(leg(0, 1, region="ES-MD", place_region="ES-CT", place="Sevilla"), resolve) == "ES-MD"
    assert region_of(leg(0, 1, place_region="ES-CT", place="Sevilla"), resolve) == "ES-CT"
    assert region_of(leg(0, 1, place="Sevilla"), resolve) == "ES-AN"
    assert region_of(leg(0, 1, place="nowhere"), resolve) is None
    assert region_of(leg(0, 1), resolve) is None


def test_leg_is_as_old_as_the_first_version_that_has_it_whatever_its_kind() -> None:
    """Other dates make another leg; `through` instead of `stay` does not."""
    through, stay, later = leg(0, 5, kind=LegKind.THROUGH), leg(0, 5), leg(0, 6)
    versions = [registered(through), registered(stay, version=2), registered(later, version=3)]

    first = first_version_of_each_leg(versions)

    assert {found: version.version for found, version in first.items()} == {stay: 1, later: 3}
