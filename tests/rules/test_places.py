"""R12-R16: the advice for every place of the journey."""

from datetime import timedelta

import pytest

from services.registration.read_models import DecisionInputs
from services.registration.rules.places import Reason, advice_seen, place, places
from shared.events import AdviceSeen, LegKind, Level, LevelBasis
from tests.rules.registration_world import DEPARTURE, NOW, advice, inputs, leg, overridden

G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours


@pytest.mark.parametrize(
    ("known", "reason", "level"),
    [
        (inputs(advice(G)), Reason.SAFE, G),
        (inputs(advice(Y)), Reason.SAFE, Y),
        (inputs(advice(O)), Reason.NEGATIVE, O),
        (inputs(advice(R)), Reason.NEGATIVE, R),
        (inputs(advice(None)), Reason.UNKNOWN, None),
        (inputs(), Reason.UNKNOWN, None),
        (DecisionInputs(), Reason.UNKNOWN, None),
        (inputs(advice(Y), fresh_until=NOW - timedelta(seconds=1)), Reason.STALE, Y),
        (inputs(advice(R), fresh_until=NOW - timedelta(seconds=1)), Reason.NEGATIVE, R),
        (inputs(advice(Y), checked={"ES": 4}), Reason.BEHIND, Y),
        (inputs(advice(Y, "FR")), Reason.UNKNOWN, None),
    ],
)
def test_place_whole_country_table(known: DecisionInputs, reason: Reason, level: Level | None) -> None:
    """R12, R13, R14: only known, fresh green or yellow is safe; negative counts even when stale."""
    found = place(leg(), None, known, NOW)

    assert (found.reason, found.level) == (reason, level)
    assert found.is_safe == (reason is Reason.SAFE)


@pytest.mark.parametrize(
    ("level", "basis", "reason"),
    [
        (R, LevelBasis.STRICTER_OVERRIDE, Reason.FORBIDDEN),
        (O, LevelBasis.STRICTER_OVERRIDE, Reason.FORBIDDEN),
        (Y, LevelBasis.LOOSER_OVERRIDE, Reason.ALLOWED),
        (R, LevelBasis.SOURCE, Reason.NEGATIVE),
        (R, LevelBasis.UNCONFIRMED, Reason.NEGATIVE),
        (Y, LevelBasis.NOT_ADOPTED, Reason.SAFE),
    ],
)
def test_place_under_an_override_says_that_the_university_decided(
    level: Level, basis: LevelBasis, reason: Reason
) -> None:
    """R17: what the university decided is not called the ministry's advice."""
    found = place(leg(), None, inputs(overridden(advice(level), basis)), NOW)

    assert found.reason is reason
    assert found.is_safe == (level is Y)
    assert found.is_negative == (level is not Y)


def test_advice_seen_carries_who_decided_the_worst_place() -> None:
    """The mail about a decision says who decided, from the event alone."""
    known = inputs(advice(Y, "FR"), overridden(advice(R)))

    seen = {advised.country: advised for advised in advice_seen(places((leg("FR"), leg()), known, NOW))}

    assert seen["FR"].grounds is None
    assert seen["ES"].grounds is not None
    assert seen["ES"].grounds.basis is LevelBasis.STRICTER_OVERRIDE


def test_place_without_any_reading_of_the_source_is_stale() -> None:
    """R14: advice of which nobody said that it was read whole is not trusted."""
    known = DecisionInputs(advice={"ES": advice(G)})

    assert place(leg(), None, known, NOW).reason is Reason.STALE


@pytest.mark.parametrize(
    ("region", "country", "regions", "reason", "level"),
    [
        ("ES-CT", Y, {"ES-CT": O}, Reason.NEGATIVE, O),
        ("ES-MD", Y, {"ES-CT": O}, Reason.SAFE, Y),
        ("ES-MD", R, {"ES-MD": Y}, Reason.SAFE, Y),
        (None, Y, {"ES-CT": O}, Reason.UNRESOLVED, O),
        (None, G, {"ES-CT": Y}, Reason.UNRESOLVED, Y),
        (None, Y, {"ES-CT": G}, Reason.SAFE, Y),
        (None, R, {"ES-CT": Y}, Reason.NEGATIVE, R),
        ("ES-MD", Y, {"the border area": R}, Reason.UNRESOLVED, R),
        ("ES-MD", G, {"the border area": Y}, Reason.SAFE, Y),
        (None, None, {"ES-CT": G}, Reason.UNKNOWN, None),
        (None, None, {"ES-CT": R}, Reason.UNRESOLVED, R),
    ],
)
def test_place_part_country_table(
    region: str | None, country: Level | None, regions: dict[str, Level | None], reason: Reason, level: Level | None
) -> None:
    """R16: a resolved place has its region's colour; one that is not resolved the worst, and is never allowed."""
    found = place(leg(), region, inputs(advice(country, regions=regions)), NOW)

    assert (found.reason, found.level) == (reason, level)


def test_places_travelled_through_are_checked_and_the_worst_is_seen() -> None:
    """R15: the country of a stopover counts like any other, and the decision stores the advice."""
    stop = leg("FR", DEPARTURE, DEPARTURE, LegKind.THROUGH)
    found = places((stop, leg(), leg("FR")), inputs(advice(R, "FR", 7), advice(G)), NOW)

    assert [place.reason for place in found] == [Reason.NEGATIVE, Reason.SAFE, Reason.NEGATIVE]
    assert advice_seen(found) == (
        AdviceSeen(country="FR", advice_version=7, level=R),
        AdviceSeen(country="ES", advice_version=3, level=G),
    )


@pytest.mark.parametrize(
    ("levels", "worst"),
    [((Y, O), O), ((None, O), O), ((None, Y), None), ((G, None), None), ((None, None), None), ((G, Y), Y)],
)
def test_advice_seen_of_one_country_keeps_the_worst(
    levels: tuple[Level | None, Level | None], worst: Level | None
) -> None:
    """Negative is worse than unknown, unknown is worse than green and yellow."""
    known = inputs(advice(None, regions={"ES-CT": levels[0], "ES-MD": levels[1]}), regions=("ES-CT", "ES-MD"))

    (seen,) = advice_seen(places((leg(), leg()), known, NOW))

    assert seen.level == worst
