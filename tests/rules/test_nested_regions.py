"""R15, R16: a place lies in every region that contains it. Palermo is in Sicily: red there is red in Palermo."""

import pytest

from shared.advice import HowAffected, at_place
from shared.events import Level
from tests.rules.notify_world import advice

O, R, Y = Level.ORANGE, Level.RED, Level.YELLOW  # noqa: E741  three of the colours


@pytest.mark.parametrize(
    ("country", "regions", "place", "level", "how"),
    [
        ("IT", {"IT-82": R}, "IT-PA", R, HowAffected.REGION),  # Palermo, in Sicily
        ("IT", {"IT-82": R}, "IT-82", R, HowAffected.REGION),
        ("IT", {"IT-82": R}, "IT-MI", Y, HowAffected.COUNTRY),  # Milan is not
        ("ES", {"ES-AN": O, "ES-SE": R}, "ES-SE", R, HowAffected.REGION),  # the worst region that contains it
        ("ES", {"ES-AN": R, "ES-SE": Y}, "ES-SE", R, HowAffected.REGION),
        ("ES", {"ES-B": R}, "ES-CT", R, HowAffected.UNRESOLVED_PLACE),  # somewhere in Catalonia: perhaps Barcelona
        ("ES", {"ES-B": R}, "ES-MD", Y, HowAffected.COUNTRY),
    ],
)
def test_place_in_a_part_of_a_region(
    country: str, regions: dict[str, Level | None], place: str, level: Level, how: HowAffected
) -> None:
    """A region's level counts for its parts; a worse part counts for a place of which only the region is known."""
    place_advice = at_place(advice(Y, regions, country=country), place)

    assert (place_advice.level, place_advice.how) == (level, how)
