"""R17: overrides raise or lower, begin and end on their days, and never loosen red."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.safety.model import AdviceLevels, Override
from services.safety.rules.override import MAX_OVERRIDES, Reason, apply_overrides, permission
from services.safety.rules.release import apply_overrides_of_today, state_after
from shared.events import AreaLevel, Level, OverrideEnded, OverrideSet
from tests.rules.safety_world import NOW, World, reading

TODAY = date(2026, 3, 1)
LEVELS = st.sampled_from([None, *Level])
AREAS = st.sampled_from(["ES", "ES-CT", "ES-MD"])


def override(
    area: str, level: int, *, loosens: bool = False, since: date = TODAY, until: date | None = None
) -> Override:
    """An override of Spain or of a region."""
    return Override(
        override_id=f"o-{area}-{level}-{loosens}", area=area, level=Level(level), loosens=loosens, valid_from=since,
        valid_until=until, decided_by="officer-1", document="Decision 1", reason="Because.", set_at=NOW,
    )  # fmt: skip


def picture(level: int | None, **regions: int | None) -> AdviceLevels:
    """Levels of Spain, with regions by the last part of their codes."""
    return AdviceLevels(
        level=level,
        regions=tuple(
            AreaLevel(area=f"Region {name}", code=f"ES-{name}", level=regional) for name, regional in regions.items()
        ),
    )


def levels(found: AdviceLevels) -> dict[str, int | None]:
    """The levels by area."""
    return {"ES": found.level} | {region.code or region.area: region.level for region in found.regions}


@pytest.mark.parametrize(
    ("adopted", "overrides", "expected"),
    [
        (picture(1), [override("ES", 3)], {"ES": 3}),
        (picture(2), [override("ES", 1)], {"ES": 2}),  # a stricter one never lowers
        (picture(2), [override("ES", 1, loosens=True)], {"ES": 1}),
        (picture(1), [override("ES", 2, loosens=True)], {"ES": 1}),  # a looser one never raises
        (picture(3), [override("ES", 0, loosens=True)], {"ES": 3}),
        (picture(None), [override("ES", 0, loosens=True)], {"ES": None}),
        (picture(None), [override("ES", 1)], {"ES": None}),
        (picture(None), [override("ES", 2)], {"ES": 2}),
        (picture(1, CT=0), [override("ES", 2)], {"ES": 2, "ES-CT": 2}),
        (picture(2, CT=2), [override("ES", 0, loosens=True)], {"ES": 0, "ES-CT": 2}),
        (picture(1, CT=2), [override("ES-CT", 1, loosens=True)], {"ES": 1, "ES-CT": 1}),
        (picture(1, CT=3), [override("ES-CT", 1, loosens=True)], {"ES": 1, "ES-CT": 3}),
        (picture(1), [override("ES-CT", 3)], {"ES": 1, "ES-CT": 3}),
        (picture(2), [override("ES-CT", 1, loosens=True)], {"ES": 2, "ES-CT": 1}),
        (picture(3), [override("ES-CT", 1, loosens=True)], {"ES": 3, "ES-CT": 3}),
        (picture(2), [override("ES", 1, loosens=True), override("ES", 3)], {"ES": 3}),
        (picture(1), [override("ES", 3), override("ES-CT", 0, loosens=True)], {"ES": 3, "ES-CT": 3}),
    ],
)
def test_override_table(adopted: AdviceLevels, overrides: list[Override], expected: dict[str, int | None]) -> None:
    """The effective levels under each combination of overrides."""
    assert levels(apply_overrides("ES", adopted, tuple(overrides), TODAY)) == expected


@pytest.mark.parametrize(("day", "counts"), [(-1, 1), (0, 3), (5, 3), (6, 1)])
def test_override_counts_from_its_first_day_to_its_last(day: int, counts: int) -> None:
    """Both days count, in Amsterdam time."""
    one = override("ES", 3, until=TODAY + timedelta(days=5))

    assert apply_overrides("ES", picture(1), (one,), TODAY + timedelta(days=day)).level == counts


@given(
    LEVELS, LEVELS, st.lists(st.tuples(AREAS, st.sampled_from(list(Level)), st.booleans()), max_size=6),
)  # fmt: skip
def test_override_never_loosens_red_and_never_makes_unknown_safe(
    country: Level | None, region: Level | None, given_: list[tuple[str, Level, bool]]
) -> None:
    """For any overrides: red stays red, unknown stays unknown or turns orange or red."""
    adopted = picture(country, CT=region)
    overrides = tuple(override(area, level, loosens=loosens) for area, level, loosens in given_)

    found = levels(apply_overrides("ES", adopted, overrides, TODAY))

    for area, before in (("ES", country), ("ES-CT", region), ("ES-MD", country)):
        counts = found.get(area, found["ES"])
        if before is Level.RED:
            assert counts == Level.RED
        if before is None:
            assert counts is None or counts >= Level.ORANGE


@pytest.fixture
def world() -> World:
    """Spain is orange, with one red and one yellow region."""
    world = World()
    world.read([reading("ES", 2, North=3, South=1)])
    return world


def test_override_permission(world: World) -> None:
    """Loosening red, or an override whose last day is over, is refused with a reason. The level decides the kind."""

    def asked(level: int, *, loosens: bool | None = None, until: date | None = None) -> tuple[Reason, bool]:
        found = permission(world.states["ES"], "ES", Level(level), until, loosens=loosens, today=TODAY)
        return found.reason, found.loosens

    assert asked(3) == (Reason.MAY_BE_SET, False)
    assert asked(1) == (Reason.MAY_BE_SET, True)
    assert asked(1, loosens=False) == (Reason.MAY_BE_SET, False)
    assert asked(3, until=TODAY - timedelta(days=1)) == (Reason.IS_OVER, False)
    world.read([reading("ES", 3, at=NOW + timedelta(hours=1))], NOW + timedelta(hours=1))
    assert asked(1) == (Reason.RED_IS_NEVER_LOOSENED, True)
    many = world.states["ES"].model_copy(update={"overrides": (override("ES", 3),) * MAX_OVERRIDES})
    assert permission(many, "ES", Level.RED, None, loosens=None, today=TODAY).reason is Reason.TOO_MANY


def set_event(level: int, *, since: date, until: date | None = None, loosens: bool = False) -> OverrideSet:
    """The event of an override."""
    return OverrideSet(
        country="ES", override_id="o-1", area="ES", level=Level(level), valid_from=since, valid_until=until,
        decided_by="officer-1", document="Decision 1", reason="Because.", loosens=loosens,
    )  # fmt: skip


def test_override_full_state_follows_each_effect_and_the_end_undoes_it(world: World) -> None:
    """Set for tomorrow: no change; on its first day: one change; after its last: it ends, and one change back."""
    tomorrow = TODAY + timedelta(days=1)
    event = set_event(3, since=tomorrow, until=tomorrow)
    world.write("ES", [event, *apply_overrides_of_today(state_after(world.states["ES"], (event,), NOW), NOW)], NOW)
    assert world.levels()["ES"] == 2

    midnight = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)  # in Amsterdam
    world.tick(midnight - timedelta(seconds=1))
    assert world.written == []
    world.tick(midnight)
    [change] = world.changes
    assert (change.effective.before, change.effective.after, change.ministry.after) == (2, 3, 2)
    assert (change.override_id, change.decided_by) == ("o-1", "officer-1")
    assert {region.area: region.after for region in change.regions} == {"North": 3, "South": 3}
    world.tick(midnight + timedelta(hours=1))
    assert world.written == []

    world.tick(midnight + timedelta(days=1))
    [ended] = [event for event in world.written if isinstance(event, OverrideEnded)]
    [change] = world.changes
    assert (ended.ended_by, change.effective.after, change.override_id) == ("expired", 2, None)
    assert {region.area: region.after for region in change.regions} == {"North": 3, "South": 1}
    assert world.states["ES"].overrides == ()


def test_override_does_not_hide_a_deterioration_of_the_ministry(world: World) -> None:
    """Loosened at orange, red counts at the reading that brings it."""
    event = set_event(1, since=TODAY, loosens=True)
    world.write("ES", [event, *apply_overrides_of_today(state_after(world.states["ES"], (event,), NOW), NOW)], NOW)
    assert world.levels()["ES"] == 1

    world.read([reading("ES", 3, at=NOW + timedelta(hours=1))], NOW + timedelta(hours=1))

    assert world.levels()["ES"] == 3


def test_override_survives_readings(world: World) -> None:
    """After a new version of the ministry the override still applies, and the state keeps the level under it."""
    event = set_event(3, since=TODAY)
    world.write("ES", [event, *apply_overrides_of_today(state_after(world.states["ES"], (event,), NOW), NOW)], NOW)

    world.read([reading("ES", 2, at=NOW + timedelta(hours=1), text="Nieuw.", North=3, South=2)], NOW)

    state = world.states["ES"]
    assert (state.effective, state.adopted.level, state.said.level) == (3, 2, 2)
    assert [(region.area, region.level) for region in state.adopted.regions] == [("North", 3), ("South", 2)]
