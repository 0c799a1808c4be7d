"""R12: a source that once dated its advice in the future is heard when it has mended its clock."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.safety.reading import CountryReading
from services.safety.rules.effective_level import modified_at, source_version
from services.safety.rules.source_dates import in_order
from services.safety.sources.documents import newest_of, not_in_future, unread_entries
from shared.events import Level
from shared.plausible import EARLIEST
from tests.rules.safety_world import World, reading

BEGAN = datetime(2026, 11, 30, 9, tzinfo=UTC)
FETCHED = timedelta(seconds=5)  # from the beginning of a reading to its parsing
POLLS = timedelta(minutes=5)


def said(level: Level, dated: datetime, began: datetime, world: World) -> CountryReading:
    """A reading of Spain with this date, as the parser and the command make it."""
    modified, _ = not_in_future(dated, began + FETCHED)
    state = world.states.get("ES")
    known = modified_at(state.source_version) if state is not None else None
    return in_order(reading("ES", level, at=modified), known, began)


def test_date_in_the_past_stays() -> None:
    """Also that of this moment: it is the version."""
    dated = reading("ES", Level.RED, at=BEGAN)

    assert in_order(dated, None, BEGAN) is dated


def test_date_to_come_is_the_known_version() -> None:
    """Without one it is the earliest, so that every true date is newer."""
    to_come = reading("ES", Level.RED, at=BEGAN + FETCHED)

    assert in_order(to_come, BEGAN - POLLS, BEGAN).source_modified_at == BEGAN - POLLS
    assert in_order(to_come, None, BEGAN).source_modified_at == EARLIEST


def test_version_holds_the_time_that_made_it() -> None:
    """A version of an earlier program may hold none."""
    assert modified_at(source_version(reading("ES", Level.RED, at=BEGAN))) == BEGAN
    assert modified_at("7") is None


offsets = st.timedeltas(timedelta(minutes=-600), timedelta(days=40_000))


@given(offsets, st.lists(st.tuples(st.sampled_from(Level), offsets), max_size=4))
def test_no_date_of_the_past_hides_a_warning(first: timedelta, others: list[tuple[Level, timedelta]]) -> None:
    """Whatever the dates were until now: red that is dated after the last believable date counts at once."""
    world, now = World(), BEGAN
    believed = EARLIEST
    for level, offset in [(Level.GREEN, first), *others]:
        dated = now + offset
        world.read([said(level, dated, now, world)], now + FETCHED)
        if dated <= now:
            believed = max(believed, dated)
        now += POLLS

    world.read([said(Level.RED, believed + timedelta(seconds=1), now, world)], now + FETCHED)

    assert world.states["ES"].counting.level is Level.RED


@given(st.permutations([Level.GREEN, Level.YELLOW, Level.RED]), st.sets(st.integers(0, 2)))
def test_of_several_versions_one_that_is_dated_in_the_future_counts_only_if_it_is_worse(
    levels: list[Level], to_come: set[int]
) -> None:
    """Three versions of an advisory in one list, from the oldest to the newest; some have an impossible date."""
    readings = []
    for number, level in enumerate(levels):
        dated = BEGAN + timedelta(days=number - 3) if number not in to_come else BEGAN + timedelta(days=400)
        modified, remark = not_in_future(dated, BEGAN)
        version = reading("ES", level, at=modified)
        readings.append(version.model_copy(update={"unread": unread_entries("ES", [remark] if remark else [])}))

    newest = max((number for number in range(3) if number not in to_come), default=None)
    candidates = [levels[number] for number in range(3) if number in to_come or number == newest]
    assert newest_of(readings).level is max(candidates)
