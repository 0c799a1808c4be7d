"""What advice and decisions become in a message: since when the level holds, and which places are named."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from services.notify.messages.content import alert_content, clearance_content
from services.notify.messages.specimens import COORDINATOR
from shared import catalogue_files
from shared.advice import AreaAdvice, CountryAdvice, Since
from shared.catalogue import Name, University
from shared.events import AdviceSeen, ClearanceRestored, ClearanceSuspended, Level, Presence
from tests.rules.notify_world import NOW, TODAY, advice, since

G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours
DAY = timedelta(days=1)
CATALOGUE = Path(__file__).resolve().parents[2] / "deploy" / "local" / "catalogue"
ORANGE_SINCE, RED_SINCE = since(version=2, at=NOW - 9 * DAY), since(version=3, at=NOW - 4 * DAY)


@pytest.fixture(scope="module")
def university() -> University:
    return catalogue_files.load(CATALOGUE).university


def of_version_5(level: Level, *regions: AreaAdvice) -> CountryAdvice:
    """Advice that a version without grounds stored: orange since version 2, red since version 3, now version 5."""
    whole = AreaAdvice(area="ES", code="ES", level=level, orange_since=ORANGE_SINCE, red_since=RED_SINCE)
    return advice(level, version=5).model_copy(update={"whole": whole, "regions": regions, "effective_at": NOW - DAY})


@pytest.mark.parametrize(("level", "began"), [(R, RED_SINCE), (O, ORANGE_SINCE)])
def test_alert_says_since_when_this_colour_holds(university: University, level: Level, began: Since) -> None:
    """A red alert says since when it is red, an orange one since when it is orange: not the other way round."""
    content = alert_content(of_version_5(level), "ES", level, university, Presence.OVERDUE)

    assert (content.since, content.level, content.presence) == (began.at, level, Presence.OVERDUE)


def test_alert_about_what_this_version_brought_has_the_time_of_the_source(university: University) -> None:
    """Red since this very version: the ministry's own time, not the time at which we read it."""
    current = of_version_5(R)
    brought_now = current.whole.model_copy(update={"red_since": since(version=5, at=NOW)})

    content = alert_content(current.model_copy(update={"whole": brought_now}), "ES", R, university)

    assert content.since == current.effective_at != NOW


@pytest.mark.parametrize(
    ("named", "area", "code"),
    [("ES", "", None), ("ES-CT", "Catalunya", "ES-CT"), ("the border", "the border", None), ("gone", "gone", None)],
)
def test_alert_names_the_area_and_not_the_country_of_it(
    university: University, named: str, area: str, code: str | None
) -> None:
    """By code or by text; the whole country has no area; an area that the advice lists no more keeps its name."""
    regions = (
        AreaAdvice(area="Catalunya", code="ES-CT", level=O, orange_since=ORANGE_SINCE),
        AreaAdvice(area="the border", code=None, level=O, orange_since=ORANGE_SINCE),
    )

    content = alert_content(of_version_5(O, *regions), named, O, university)

    assert (content.area, content.area_code) == (area, code)


#: One place of each colour, and one whose advice is not known.
SEEN: Mapping[str, Level | None] = {"ES": R, "FR": O, "PT": Y, "IT": G, "TR": None}


def seen() -> tuple[AdviceSeen, ...]:
    """The places of a decision."""
    return tuple(AdviceSeen(country=country, level=level, advice_version=3) for country, level in SEEN.items())


def test_suspension_names_the_places_that_are_negative_or_unknown(university: University) -> None:
    """R19, R14: unknown is not safe, so the mail names it beside orange and red, and names no place that is allowed."""
    event = ClearanceSuspended(
        registration_id="r-1", person_id="p-1", faculty_id="f-1", programme_id="g-1", rule="R19", advice=seen(),
        reason="advice_negative", departure_date=TODAY,
    )  # fmt: skip

    content = clearance_content(
        event, TODAY, Name(nl="x", en="y"), COORDINATOR, university, {"TR": "https://tr.example"}
    )

    assert [(place.country, place.level) for place in content.places] == [("ES", R), ("FR", O), ("TR", None)]
    assert [place.url for place in content.places] == ["", "", "https://tr.example"]
    assert content.rule == "R19"


def test_restoration_shows_every_place(university: University) -> None:
    """R21: the student sees the current colour of each place."""
    event = ClearanceRestored(registration_id="r-1", person_id="p-1", reason="looked", advice=seen(), decided_by="o-1")

    content = clearance_content(event, TODAY, Name(nl="x", en="y"), COORDINATOR, university, {})

    assert {place.country: place.level for place in content.places} == SEEN
    assert content.rule == "R21"
