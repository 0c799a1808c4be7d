"""A sealed place decides what it decided in clear: its region counts, and two legs in it are in the same place."""

from datetime import UTC, date, datetime, timedelta
from typing import cast

import pytest

from services.notify.model.whereabouts import evolve_whereabouts
from services.registration.itinerary_places import seal_places, with_region
from services.registration.rules.overlap import Reason, overlaps
from shared.audit.independent_rules import region_of
from shared.events import Leg, RegistrationChanged, RegistrationSubmitted
from shared.privacy.keyring import Keyring
from tests.rules.registration_world import registration

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = date(2026, 4, 1)
MADRID = "sealed:v1:person:any:AAAA"
TOLEDO = "sealed:v1:person:any:BBBB"


def leg(**other: object) -> Leg:
    """Ten days in Spain."""
    return Leg.model_validate({"startDate": DAY, "endDate": DAY + timedelta(days=9), "country": "ES", **other})


def resolve(country: str, place: str) -> str | None:
    """Madrid lies in its own region; no other place is certain."""
    return "ES-MD" if (country, place) == ("ES", "Madrid") else None


def in_no_gazetteer(country: str, place: str) -> str | None:
    """Nothing is looked up."""
    raise AssertionError(place)


class Sealing:
    """A keyring that seals a text as something that shows which text it was."""

    async def seal_alike(self, person_id: str, path: str, text: str) -> str:
        """The same for the same person and text."""
        return f"sealed:v1:{person_id}:any:{text.encode().hex()}"


@pytest.mark.parametrize(
    ("given", "region", "looks_up"),
    [
        (leg(placeSealed=MADRID, placeRegion="ES-MD"), "ES-MD", in_no_gazetteer),
        (leg(placeSealed=MADRID), None, in_no_gazetteer),
        (leg(region="ES-CT", placeSealed=MADRID), "ES-CT", in_no_gazetteer),
        (leg(place="Madrid"), "ES-MD", resolve),
        (leg(place="Nowhere"), None, resolve),
        (leg(), None, in_no_gazetteer),
    ],
)
def test_region_is_that_of_the_event_or_for_older_events_that_of_the_place(
    given: Leg, region: str | None, looks_up: object
) -> None:
    """R16 in notify and in the audit: what the event says; only a place in clear is looked up."""
    where = evolve_whereabouts(None, _submitted(given), 1, NOW, looks_up)  # type: ignore[arg-type]  # one of the two

    assert where is not None
    assert where.stays[0].region == region
    assert region_of(given, looks_up) == region  # type: ignore[arg-type]  # one of the two


def test_same_sealed_place_is_the_same_stay_and_another_is_not() -> None:
    """R27: a stay that is named again keeps since when it is known; a move to another town is new."""
    before = evolve_whereabouts(None, _submitted(leg(placeSealed=MADRID)), 1, NOW, resolve)
    later = NOW + timedelta(hours=1)

    kept = evolve_whereabouts(before, _changed(leg(placeSealed=MADRID)), 2, later, resolve)
    moved = evolve_whereabouts(before, _changed(leg(placeSealed=TOLEDO)), 2, later, resolve)

    assert kept is not None
    assert moved is not None
    assert (kept.stays[0].since, moved.stays[0].since) == (NOW, later)


def test_shorter_stay_in_the_same_sealed_place_is_within_the_longer_one() -> None:
    """R8: days that were cleared stay cleared; in another town they are not."""
    cleared = leg(placeSealed=MADRID, placeRegion="ES-MD")
    shorter = cleared.model_copy(update={"end_date": DAY + timedelta(days=3)})

    assert shorter.is_within(cleared)
    assert not shorter.model_copy(update={"place_sealed": TOLEDO}).is_within(cleared)


@pytest.mark.parametrize(("place", "reason"), [(MADRID, Reason.IDENTICAL), (TOLEDO, Reason.OVERLAPPING)])
def test_registrations_of_the_same_sealed_place_are_identical(place: str, reason: Reason) -> None:
    """R26: the same journey registered twice is recognised without opening its places."""
    other = registration(leg(placeSealed=MADRID))

    (found,) = overlaps([leg(placeSealed=place)], [other])

    assert found.reason is reason


async def test_form_is_sealed_with_its_region_and_what_stood_in_clear_stays() -> None:
    """No event has a new place in clear. One of an older event is written as it was: it must not look like a move."""
    keyring = cast("Keyring", Sealing())
    former = (leg(place="Madrid"),)

    new, chosen, none, kept = (
        *await seal_places(keyring, resolve, "p", [leg(place="Madrid"), leg(place="Madrid", region="ES-CT"), leg()]),
        *await seal_places(keyring, resolve, "p", [leg(place="Madrid")], former),
    )
    (other,) = await seal_places(keyring, resolve, "p", [leg(place="Toledo")], former)

    sealed = f"sealed:v1:p:any:{b'Madrid'.hex()}"
    assert new == leg(placeSealed=sealed, placeRegion="ES-MD")
    assert chosen == leg(placeSealed=sealed, region="ES-CT")
    assert none == leg()
    assert kept == former[0]
    assert (other.place, other.place_region) == (None, None)
    assert with_region(leg(place="Madrid"), resolve) == leg(placeRegion="ES-MD")


def _submitted(*legs: Leg) -> RegistrationSubmitted:
    return RegistrationSubmitted(**_fields(legs))  # type: ignore[arg-type]  # the fields of the event


def _changed(*legs: Leg) -> RegistrationChanged:
    return RegistrationChanged(**_fields(legs))  # type: ignore[arg-type]  # the fields of the event


def _fields(legs: tuple[Leg, ...]) -> dict[str, object]:
    return {
        "registration_id": "r-1", "person_id": "p", "approval_id": None, "faculty_id": "f", "programme_id": "p",
        "activity_type": "internship", "legs": legs, "study_related": False, "language": "nl",
        "answers": {"credits": False, "universityFunding": False, "transcriptEntry": False},
        "contact": "sealed:v1:p:e:AAAA",
    }  # fmt: skip
