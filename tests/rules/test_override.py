"""R17: overrides raise or lower, begin and end on their days, and never loosen red."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.safety.model import AdviceLevels, Override
from services.safety.rules.override import (
    MAX_OVERRIDES,
    Reason,
    apply_overrides,
    level_at,
    overrides_in_effect,
    permission,
)
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
        (picture(1), [override("ES", 2), override("ES", 3)], {"ES": 3}),  # of several stricter ones the strictest
        (picture(2), [override("ES", 1, loosens=True), override("ES", 0, loosens=True)], {"ES": 0}),
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


@pytest.mark.parametrize(
    ("adopted", "level", "loosens", "order", "reason"),
    [
        (2, 2, None, False, Reason.MAY_BE_SET),
        (2, 2, None, True, Reason.MAY_BE_SET),
        (2, 2, True, True, Reason.ORDER_NEEDS_NEGATIVE_LEVEL),  # an order to leave never belongs to a looser one
        (1, 1, None, True, Reason.ORDER_NEEDS_NEGATIVE_LEVEL),
        (1, 3, None, True, Reason.MAY_BE_SET),
        (3, 2, False, False, Reason.MAY_BE_SET),
        (3, 2, True, False, Reason.RED_IS_NEVER_LOOSENED),
        (None, 2, None, False, Reason.MAY_BE_SET),
        (None, 1, None, False, Reason.UNKNOWN_IS_NEVER_LOOSENED),
        (None, 2, True, False, Reason.UNKNOWN_IS_NEVER_LOOSENED),
    ],
)
def test_override_permission_by_its_level_its_kind_and_the_order_to_leave(
    adopted: int | None, level: int, loosens: bool | None, order: bool, reason: Reason
) -> None:
    """The same level as the adopted one is a stricter override. Its last day may be today."""
    world = World()
    world.read([reading("ES", adopted)])

    decision = permission(
        world.states["ES"], "ES", Level(level), TODAY, loosens=loosens, order_to_leave=order, today=TODAY
    )

    assert decision.reason is reason
    assert decision.loosens is bool(loosens)


def test_override_of_a_region_without_a_code_is_of_no_region() -> None:
    """An area that has no code of its own is not mistaken for another one without; a level unknown there stays so."""
    adopted = AdviceLevels(
        level=Level.YELLOW,
        regions=(
            AreaLevel(area="the border", code=None, level=Level.YELLOW),
            AreaLevel(area="a part", code="ES-CT", level=None),
            AreaLevel(area="the rest", code="ES-CT", level=Level.YELLOW),
        ),
    )

    found = apply_overrides("ES", adopted, (override("ES-MD", 3),), TODAY)

    assert {region.area: region.level for region in found.regions} == {
        "the border": 1, "a part": None, "the rest": 1, "ES-MD": 3
    }  # fmt: skip
    assert level_at("ES", adopted, "ES-CT") is None
    assert level_at("ES", adopted, "ES-MD") == 1


def test_override_that_decides_is_named_for_each_area() -> None:
    """The one for the area itself before the country's, an order to leave before a ban, the older before the newer."""
    adopted = picture(1, CT=1, MD=3)
    later = NOW + timedelta(hours=1)
    newer = override("ES", 3).model_copy(update={"override_id": "newer", "set_at": later})
    order = newer.model_copy(update={"override_id": "order", "order_to_leave": True})
    ban, own = override("ES", 3), override("ES-CT", 3, since=TODAY - timedelta(days=3))
    past = override("ES", 3, since=TODAY - timedelta(days=9), until=TODAY - timedelta(days=1))

    def named(*overrides: Override) -> dict[str, str]:
        effective = apply_overrides("ES", adopted, overrides, TODAY)
        deciding = overrides_in_effect("ES", adopted, effective, overrides, TODAY)
        return {area: part.override.override_id for part in deciding for area in part.areas}

    everywhere = dict.fromkeys(("ES", "ES-CT", "ES-MD"), ban.override_id)
    assert named(newer, ban, past.model_copy(update={"override_id": "past"})) == everywhere
    assert named(ban, order) == dict.fromkeys(("ES", "ES-CT", "ES-MD"), "order")
    assert named(order, own) == {"ES": "order", "ES-CT": own.override_id, "ES-MD": "order"}
    looser = override("ES", 0, loosens=True)
    assert named(looser) == {"ES": looser.override_id}
    # It counts since its first day, and since it was set if that came later.
    [early] = overrides_in_effect("ES", picture(1), picture(3), (override("ES", 3, since=TODAY),), TODAY)
    [late] = overrides_in_effect("ES", picture(1), picture(3), (newer,), TODAY)
    [long] = overrides_in_effect("ES", picture(1), picture(3), (own.model_copy(update={"area": "ES"}),), TODAY)
    assert (early.override.since, late.override.since, long.override.since) == (NOW, later, NOW)
    [tomorrow] = overrides_in_effect(
        "ES", picture(1), picture(3), (override("ES", 3, since=TODAY + timedelta(days=1)),), TODAY + timedelta(days=1)
    )
    assert tomorrow.override.since == datetime(2026, 3, 1, 23, tzinfo=UTC)


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
