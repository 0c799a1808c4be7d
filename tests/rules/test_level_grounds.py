"""R17: who decided the level that counts, the ministry or the university, and since when that holds."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest

from services.safety.model import AdviceLevels
from services.safety.reading import CountryReading, RegionReading
from services.safety.rules.release import apply_overrides_of_today, state_after
from shared.advice import CountryAdvice, evolve
from shared.clock import start_of_day
from shared.events import Level, LevelBasis, LevelGrounds, OverrideEnded, OverrideSet, TravelAdviceChanged
from tests.rules.safety_world import NOW, World, reading

JUNE = NOW - timedelta(days=250)
DAY = timedelta(days=1)


class Published(World):
    """A world that remembers the advice of Russia as notify and registration fold it."""

    advice: CountryAdvice | None = None

    def write(self, country, events, now):  # type: ignore[no-untyped-def]
        """Fold the events here as well."""
        events = tuple(events)
        super().write(country, events, now)
        for event in events:
            if isinstance(event, TravelAdviceChanged) and country == "RU":
                self.advice = evolve(self.advice, event, f"RU-{event.advice_version}", now)

    def override(self, level: int, now: datetime, area: str = "RU", **fields: object) -> None:
        """An officer sets an override."""
        event = OverrideSet(
            country="RU", override_id=f"override-{level}", area=area, level=Level(level), valid_from=now.date(),
            valid_until=None, decided_by="officer-1", document=f"Board 2026/{level}", reason="Travel is not safe.",
        ).model_copy(update=fields)  # fmt: skip
        self.write("RU", (event, *apply_overrides_of_today(state_after(self.states["RU"], (event,), now), now)), now)

    def end_override(self, level: int, now: datetime) -> None:
        """An officer ends it."""
        event = OverrideEnded(country="RU", override_id=f"override-{level}", ended_by="officer-1", reason="Over.")
        self.write("RU", (event, *apply_overrides_of_today(state_after(self.states["RU"], (event,), now), now)), now)

    def grounds(self, area: str = "RU") -> tuple[Level | None, LevelGrounds]:
        """The level of an area, and who decided it."""
        assert self.advice is not None
        areas = (self.advice.whole, *self.advice.regions)
        found = next(listed for listed in areas if area in (listed.code, listed.area))
        assert found.grounds is not None
        return found.level, found.grounds


def russia(level: int | None, at: datetime = JUNE, *regions: RegionReading, text: str = "") -> CountryReading:
    """What the ministry says of Russia; `at`: since when, by its own words."""
    return reading("RU", level, at=at, text=text).model_copy(update={"regions": regions})


def ministry(world: Published) -> None:
    """Red by the ministry since June."""
    world.read([russia(3)], NOW)


def stricter(world: Published) -> None:
    """Yellow by the ministry since June, red by the university since today."""
    world.read([russia(1)], NOW - DAY)
    world.override(3, NOW)


def looser(world: Published) -> None:
    """Orange by the ministry since June, yellow by the university since today."""
    world.read([russia(2)], NOW - DAY)
    world.override(1, NOW, loosens=True)


def unconfirmed(world: Published) -> None:
    """Red since June; the ministry says yellow today, which nobody has confirmed."""
    world.read([russia(3)], NOW - DAY)
    world.read([russia(1, NOW, text="geel")], NOW)


def rejected(world: Published) -> None:
    """The same, and a person has rejected it."""
    unconfirmed(world)
    world.decide(world.states["RU"].holds[0].hold_id, accepted=False, now=NOW + DAY)
    world.read([russia(1, NOW, text="geel")], NOW + 2 * DAY)


def last_known(world: Published) -> None:
    """Orange since June; today's text gives no colour that can be read."""
    world.read([russia(2)], NOW - DAY)
    world.read([russia(None, NOW, text="?")], NOW)


def unread(world: Published) -> None:
    """Yellow, and a sentence that names red and cannot be read: `area` is that sentence."""
    world.read([russia(1, JUNE, RegionReading(area="Rood langs de grens", level=Level.RED, unread=True))], NOW)


def ended(world: Published) -> None:
    """Red by the university, until it ended its decision: the ministry's yellow of June counts again."""
    stricter(world)
    world.end_override(3, NOW + DAY)


@pytest.mark.parametrize(
    ("mechanism", "area", "level", "basis", "since"),
    [
        (ministry, "RU", 3, LevelBasis.SOURCE, JUNE),
        (stricter, "RU", 3, LevelBasis.STRICTER_OVERRIDE, NOW),
        (looser, "RU", 1, LevelBasis.LOOSER_OVERRIDE, NOW),
        (unconfirmed, "RU", 3, LevelBasis.UNCONFIRMED, JUNE),
        (rejected, "RU", 3, LevelBasis.UNCONFIRMED, JUNE),
        (last_known, "RU", 2, LevelBasis.LAST_KNOWN, JUNE),
        (unread, "Rood langs de grens", 3, LevelBasis.UNREAD, JUNE),
        (ended, "RU", 1, LevelBasis.SOURCE, JUNE),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_level_grounds_table(
    mechanism: Callable[[Published], None], area: str, level: int, basis: LevelBasis, since: datetime
) -> None:
    """Each way in which a level comes about says who decided it, and since when that holds."""
    world = Published()

    mechanism(world)

    found, grounds = world.grounds(area)
    assert (found, grounds.basis, grounds.since) == (level, basis, since)


def test_level_grounds_of_a_rejected_deterioration_name_the_decision() -> None:
    """The ministry's worse level was taken back by a person: the level before counts, since that decision."""
    world = Published()
    countries = ["RU", *(f"A{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")]
    world.read([reading(country, 1, at=JUNE) for country in countries], NOW)
    world.read([reading(country, 3, at=NOW, text="rood") for country in countries], NOW + DAY)
    world.decide(world.states["RU"].holds[0].hold_id, accepted=False, now=NOW + 2 * DAY)

    level, grounds = world.grounds()

    assert (level, grounds.basis, grounds.since) == (1, LevelBasis.NOT_ADOPTED, NOW + 2 * DAY)


def test_level_grounds_carry_document_reason_and_order() -> None:
    """What a person is told about the university's decision stands in the advice alone."""
    world = Published()
    world.read([russia(1)], NOW - DAY)
    world.override(3, NOW, order_to_leave=True)

    override = world.grounds()[1].override

    assert override is not None
    assert (override.document, override.reason, override.order_to_leave) == (
        "Board 2026/3", "Travel is not safe.", True,
    )  # fmt: skip


def test_override_that_begins_later_counts_from_the_midnight_of_its_first_day() -> None:
    """Set today for tomorrow: it holds since tomorrow 0:00 in Amsterdam, when the clock applies it."""
    world = Published()
    world.read([russia(1)], NOW - DAY)
    tomorrow = date(2026, 3, 2)
    world.override(3, NOW, valid_from=tomorrow)
    assert world.grounds()[1].basis is LevelBasis.SOURCE

    world.tick(NOW + DAY)

    assert world.grounds()[1].since == start_of_day(tomorrow)


def test_override_ended_is_named_until_the_level_changes() -> None:
    """The improvement is the university's own decision that ended; the ministry improved nothing."""
    world = Published()
    ended(world)
    assert world.grounds()[1].override_ended_at == NOW + DAY

    world.read([russia(2, NOW + 2 * DAY, text="oranje")], NOW + 2 * DAY)

    assert world.grounds()[1].override_ended_at is None


def test_override_of_the_ministrys_own_level_is_published_beside_it() -> None:
    """Red by both: the ministry decided, and the university's order to leave is not lost."""
    world = Published()
    world.read([russia(3)], NOW - DAY)
    world.override(3, NOW, order_to_leave=True)

    level, grounds = world.grounds()

    assert (level, grounds.basis) == (3, LevelBasis.SOURCE)
    assert grounds.override is not None
    assert grounds.override.order_to_leave
    assert world.changes[-1].changes == ()


def test_override_of_a_region_decides_for_that_region_alone() -> None:
    """The rest of the country keeps the ministry's level and its time."""
    world = Published()
    world.read([russia(1)], NOW - DAY)
    world.override(3, NOW, area="RU-MOW")

    assert world.grounds("RU-MOW")[1].basis is LevelBasis.STRICTER_OVERRIDE
    assert world.grounds("RU")[1] == LevelGrounds(basis=LevelBasis.SOURCE, since=JUNE, source="netherlands")


def test_level_that_was_overridden_keeps_the_ministrys_time_underneath() -> None:
    """Orange by the ministry since June, red by the university for a day: afterwards it is orange since June again."""
    world = Published()
    world.read([russia(2)], NOW - DAY)
    world.override(3, NOW)
    world.end_override(3, NOW + DAY)

    level, grounds = world.grounds()

    assert (level, grounds.basis, grounds.since) == (2, LevelBasis.SOURCE, JUNE)


def test_event_of_an_older_version_still_tells_the_university_from_the_ministry() -> None:
    """Without the facts of the override: the levels alone say that the university decided, and since which event."""
    world = Published()
    stricter(world)
    former = world.changes[-1].model_copy(update={"overrides": ()})

    advice = evolve(None, former, "RU-2", NOW)

    assert advice.whole.grounds is not None
    assert (advice.whole.grounds.basis, advice.whole.grounds.since) == (LevelBasis.STRICTER_OVERRIDE, NOW)
    assert former.adopted == AdviceLevels(level=Level.YELLOW)
