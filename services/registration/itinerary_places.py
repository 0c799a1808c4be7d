"""The places of itineraries as students write them: sealed in events and stored state, opened for those who may read.

The same town of the same person is sealed the same, so rules compare places without opening them. What rules need of a
place, its region (R16), stands beside it. See docs/architecture.md, Privacy.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from services.registration.decision_inputs import Resolve
from services.registration.group_trip import GroupTrip
from services.registration.model import Registration
from shared.events import Leg
from shared.privacy.keyring import Keyring
from shared.web.sealing import sealed_alike

Journey = TypeVar("Journey", Registration, GroupTrip)
#: The field for which a place is sealed.
PLACE_PATH = "/placeSealed"


async def seal_places(
    keyring: Keyring, resolve: Resolve, person_id: str, legs: Iterable[Leg], former: Sequence[Leg] = ()
) -> tuple[Leg, ...]:
    """The legs of a form as an event has them. Raises Problem 409 for an erased person.

    `former`: the itinerary until now. A place of it that stands in clear, from an older event, stays as it is: it must
    not look like another place.
    """
    in_clear = {leg.where for leg in former if leg.place is not None}
    return tuple(
        [
            leg
            if leg.place is None or leg.where in in_clear
            else with_region(leg, resolve).model_copy(
                update={"place_sealed": await sealed_alike(keyring, person_id, PLACE_PATH, leg.place)}
            )
            for leg in legs
        ]
    )


def with_region(leg: Leg, resolve: Resolve) -> Leg:
    """The leg without the town, and with the region in which it lies."""
    region = resolve(leg.country, leg.place) if leg.place is not None and leg.region is None else None
    return leg.model_copy(update={"place": None, "place_region": region or leg.place_region})


async def with_places(keyring: Keyring, journeys: Sequence[Journey]) -> list[Journey]:
    """The journeys with their places as they were written: `place` is set where it can be opened. One read of keys."""
    sealed = [leg.place_sealed for journey in journeys for leg in journey.legs if leg.place_sealed is not None]
    opened = iter(await keyring.open_many(sealed, PLACE_PATH) if sealed else ())
    return [
        journey.model_copy(
            update={
                "legs": tuple(
                    leg if leg.place_sealed is None else _with_place(leg, next(opened).value) for leg in journey.legs
                )
            }
        )
        for journey in journeys
    ]


def _with_place(leg: Leg, place: str | None) -> Leg:
    """The leg as its student wrote it; with the region alone where the place cannot be opened any more."""
    unsealed = leg.model_copy(update={"place": place, "place_sealed": None})
    return unsealed if place is None else unsealed.model_copy(update={"place_region": None})
