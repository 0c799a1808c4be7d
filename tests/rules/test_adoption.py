"""R12-R14: worse counts at once, better after a second reading, unknown and older readings replace nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.safety.model import CountryState, PendingImprovement, evolve
from services.safety.reading import CountryReading, RegionReading
from services.safety.rules.adoption import Adoption, Reason, adopt
from shared.events import HoldReason, Level
from tests.rules.safety_world import World
from tests.rules.safety_world import reading as reading_of

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)
LEVELS = st.sampled_from([None, *Level])


def reading(level: int | None, *, at: datetime = NOW, text: str = "", **regions: int | None) -> CountryReading:
    """A reading of Spain by the ministry."""
    known = [region for region in regions.values() if region is not None]
    return CountryReading(
        source="netherlands", source_id="ESP", country="ES", level=level,
        regions=tuple(RegionReading(area=name, code=None, level=regional) for name, regional in regions.items()),
        regional_max=max(known, default=None), effective_at=at, source_modified_at=at, text_nl=text, text_en=text,
        url="https://advice.example/es", unread=(),
    )  # fmt: skip


def spain(level: int) -> CountryReading:
    """The same, for the world of countries."""
    return reading_of("ES", level)


class Safety:
    """The state of one country under a series of readings."""

    def __init__(self) -> None:
        self.state: CountryState | None = None
        self.pending: PendingImprovement | None = None
        self.events = 0

    def read(self, what: CountryReading, now: datetime = NOW) -> Adoption:
        """Adopt one reading."""
        adoption = adopt(self.state, what, self.pending, parser_version=1, confirmation=HALF_AN_HOUR, now=now)
        for event in adoption.events:
            self.events += 1
            self.state = evolve(self.state, event, now, self.events)
        self.pending = adoption.pending
        return adoption


@pytest.fixture
def safety() -> Safety:
    """Spain is yellow."""
    safety = Safety()
    safety.read(reading(1))
    return safety


def test_adoption_first_picture_is_a_baseline() -> None:
    """The first reading of a country is a baseline: it raises no alert."""
    adoption = Safety().read(reading(3))

    assert adoption.reason is Reason.FIRST_READING
    assert adoption.event is not None
    assert adoption.event.baseline


def test_adoption_same_reading_again_changes_nothing(safety: Safety) -> None:
    """Reading the same advice again appends no event."""
    assert safety.read(reading(1)).event is None
    assert safety.read(reading(1, at=NOW + timedelta(days=1))).event is None


def test_adoption_deterioration_acts_at_once(safety: Safety) -> None:
    """Yellow to red is one event, and counts at once."""
    adoption = safety.read(reading(3))

    assert adoption.event is not None
    assert (adoption.event.effective.before, adoption.event.effective.after) == (1, 3)
    assert [(change.area, change.before, change.after) for change in adoption.event.changes] == [("ES", 1, 3)]
    assert not adoption.event.baseline


def test_adoption_improvement_waits_for_a_second_reading(safety: Safety) -> None:
    """Red to orange: red counts until a reading half an hour later says orange as well."""
    safety.read(reading(3))

    first = safety.read(reading(2), NOW)
    early = safety.read(reading(2), NOW + timedelta(minutes=29))
    late = safety.read(reading(2), NOW + timedelta(minutes=30))

    assert first.event is not None  # the ministry's own word changed: shown, not yet counted
    assert (first.event.ministry.after, first.event.effective.after) == (2, 3)
    assert early.event is None
    assert early.reason is Reason.IMPROVEMENT_UNCONFIRMED
    assert late.event is not None
    assert late.event.effective.after == 2


def test_adoption_improvement_is_read_twice_even_without_a_wait() -> None:
    """With FALL_CONFIRMATION_SECONDS=0 the next reading confirms a better level, the first one never does."""
    world = World(confirmation=timedelta(0))
    world.read([spain(1)])

    world.read([spain(0)])
    assert world.levels() == {"ES": 1}
    world.read([spain(0)])
    assert world.levels() == {"ES": 0}


@pytest.mark.parametrize(("before", "after"), [(3, 1), (3, 0), (2, 0)])
def test_adoption_improvement_of_two_levels_waits_for_a_person(safety: Safety, before: int, after: int) -> None:
    """North Korea was level 1 for a day: such a reading counts only after a person released it."""
    safety.read(reading(before))

    first = safety.read(reading(after), NOW)
    late = safety.read(reading(after), NOW + timedelta(days=1))

    assert [(hold.reason, hold.releases_at) for hold in first.held] == [(HoldReason.IMPLAUSIBLE_FALL, None)]
    assert first.pending is None
    assert late.events == ()
    assert late.reason is Reason.IMPROVEMENT_HELD
    assert safety.state is not None
    assert safety.state.effective == before


@pytest.mark.parametrize("text", ["Exercise normal precautionSummary not available", "Content not available."])
def test_adoption_improvement_from_a_placeholder_waits_for_a_person(safety: Safety, text: str) -> None:
    """Better by one level, but the text stands in place of missing advice."""
    adoption = safety.read(reading(0, text=text))

    assert [hold.reason for hold in adoption.held] == [HoldReason.IMPLAUSIBLE_FALL]
    assert safety.state is not None
    assert safety.state.effective == Level.YELLOW


def test_adoption_improvement_that_is_taken_back_never_counts(safety: Safety) -> None:
    """A feed that says level 1 for a moment never counts as better."""
    safety.read(reading(3))
    safety.read(reading(2))
    safety.read(reading(3), NOW + timedelta(minutes=10))

    again = safety.read(reading(2), NOW + timedelta(minutes=40))

    assert safety.state is not None
    assert safety.state.effective == Level.RED
    assert again.pending is not None


def test_adoption_unknown_never_replaces_a_level(safety: Safety) -> None:
    """Unreadable text is neither safe nor red: the known level stays."""
    safety.read(reading(2))

    adoption = safety.read(reading(None))

    assert adoption.event is not None
    assert adoption.event.ministry.after is None
    assert adoption.event.effective.after == Level.ORANGE


@pytest.mark.parametrize("region", [2, 3])
def test_adoption_text_without_the_country_drops_no_region(safety: Safety, region: int) -> None:
    """A source that says nothing about the whole country says nothing about a region that it leaves out."""
    safety.read(reading(1, North=region))

    for hours in range(3):
        safety.read(reading(None), NOW + timedelta(hours=hours))

    assert safety.state is not None
    assert [area.level for area in safety.state.regions] == [region]


@given(LEVELS, LEVELS, LEVELS, LEVELS)
def test_adoption_damaged_record_counts_only_where_it_is_worse(
    country: int | None, north: int | None, said: int | None, said_north: int | None
) -> None:
    """However often it is read, no area gets better by it, and what is worse counts at once."""
    safety = Safety()
    safety.read(reading(country, North=north))
    damaged = reading(said, **({} if said_north is None else {"North": said_north}))
    for hours in range(1, 4):
        at_once = safety.read(damaged.model_copy(update={"is_damaged": True}), NOW + timedelta(hours=hours))
        assert not at_once.held

    assert safety.state is not None
    assert safety.state.effective == max((level for level in (country, said) if level is not None), default=None)
    levels = {area.area: area.level for area in safety.state.regions}
    level_now = levels.get("North", safety.state.effective)
    worst = max((level for level in (north, said_north) if level is not None), default=None)
    assert worst is None or (level_now is not None and level_now >= worst)


def test_adoption_older_reading_is_dropped(safety: Safety) -> None:
    """A reading with an older source date never replaces a newer one."""
    safety.read(reading(3, at=NOW + timedelta(hours=1)))

    adoption = safety.read(reading(0, at=NOW))

    assert adoption.reason is Reason.OLDER_THAN_KNOWN
    assert adoption.event is None


def test_adoption_region_gets_worse_while_the_country_improves(safety: Safety) -> None:
    """One event raises a province at once, while the country's better level waits."""
    safety.read(reading(2))

    adoption = safety.read(reading(1, North=3))

    assert adoption.event is not None
    assert adoption.event.effective.after == Level.ORANGE
    assert [(region.area, region.before, region.after) for region in adoption.event.regions] == [("North", 2, 3)]


def test_adoption_region_that_leaves_the_list_is_an_improvement(safety: Safety) -> None:
    """A region is dropped only after a second reading without it."""
    safety.read(reading(1, North=2))

    safety.read(reading(1))
    assert safety.state is not None
    assert [region.level for region in safety.state.regions] == [Level.ORANGE]

    adoption = safety.read(reading(1), NOW + HALF_AN_HOUR)
    assert safety.state.regions == ()
    assert adoption.event is not None
    assert [(change.area, change.before, change.after) for change in adoption.event.changes] == [("North", 2, 1)]


@given(st.lists(st.tuples(LEVELS, LEVELS, st.integers(0, 60)), max_size=12))
def test_adoption_never_counts_better_than_two_readings_said(steps: list[tuple[int | None, int | None, int]]) -> None:
    """For any readings in any order: the effective level is never better than the worst of the last half hour."""
    safety = Safety()
    now = NOW
    said: list[tuple[datetime, int]] = []
    for country, region, minutes in steps:
        now += timedelta(minutes=minutes)
        safety.read(reading(country, at=now, **({} if region is None else {"North": region})), now)
        if country is not None:
            said.append((now, country))
        recent = [level for at, level in said if now - at < HALF_AN_HOUR]
        if recent and said[-1][0] == now:
            assert safety.state is not None
            assert safety.state.effective is not None
            assert safety.state.effective >= min(recent)
