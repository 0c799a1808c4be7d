"""R12-R14, R17: what a decision about a hold changes and leaves, and what the clock alone brings."""

from datetime import timedelta

import pytest

from services.safety.model import PendingImprovement, levels_digest
from services.safety.rules.release import (
    HoldDecision,
    Reason,
    decision_outcome,
    events_due,
    hold_missing_country,
    hold_of_pending,
)
from shared.events import AdviceHeld, HoldReason, Level, OverrideSet
from tests.rules.safety_world import HALF_AN_HOUR, NOW, World, names, reading

HOUR, WEEK = timedelta(hours=1), timedelta(days=7)
LATER = NOW + HOUR


@pytest.fixture
def world() -> World:
    """Sixty yellow countries, each with an orange region in the north."""
    world = World()
    world.read([reading(country, 1, North=2) for country in names(60)])
    return world


def override(override_id: str, level: Level, person: str, days: int, until: int | None = None) -> OverrideSet:
    """An override of the first country that begins so many days from now."""
    begins = (NOW + timedelta(days=days)).date()
    return OverrideSet(
        country="AA", override_id=override_id, area="AA", level=level, valid_from=begins,
        valid_until=None if until is None else (NOW + timedelta(days=until)).date(), decided_by=person,
        document="Decision 1", reason="Unrest.", loosens=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("hold", "two_persons", "first", "expected"),
    [
        (HoldReason.MASS_FALL, True, None, Reason.NEEDS_A_SECOND_PERSON),
        (HoldReason.MASS_FALL, True, "officer-1", Reason.SAME_PERSON_TWICE),
        (HoldReason.MASS_FALL, True, "officer-2", Reason.RELEASED),
        (HoldReason.MASS_FALL, False, None, Reason.RELEASED),
        (HoldReason.IMPLAUSIBLE_FALL, True, None, Reason.RELEASED),
        (HoldReason.MASS_RISE, True, None, Reason.RELEASED),
        (None, True, None, Reason.RELEASED),
    ],
)
def test_bulk_improvement_alone_needs_two_persons(
    hold: HoldReason | None, two_persons: bool, first: str | None, expected: Reason
) -> None:
    """The second one is another person; one person suffices to reject."""
    release = HoldDecision(True, "officer-1", "Looked.")

    assert decision_outcome(hold, release, first, two_persons=two_persons) is expected
    rejection = HoldDecision(False, "officer-1", "Looked.")
    assert decision_outcome(hold, rejection, first, two_persons=two_persons) is Reason.REJECTED


def test_rejected_withdrawal_leaves_the_levels_and_counts_the_grace_anew(world: World) -> None:
    """The advice is kept as the ministry's own; a change of the levels in between forgets nothing of that."""
    hold = hold_missing_country(world.states["AA"], world.seen["AA"], timedelta(0), LATER)
    assert hold is not None
    world.write("AA", [hold], LATER)

    world.decide(hold.hold_id, accepted=False, now=LATER)
    assert world.changes == []
    assert (world.states["AA"].ministry, world.states["AA"].kept_at) == (1, LATER)

    world.write("AA", [override("o-1", Level.RED, "officer-2", 0)], LATER)
    world.tick(LATER)
    assert world.levels()["AA"] == 3
    assert world.states["AA"].kept_at == LATER
    assert hold_missing_country(world.states["AA"], world.seen["AA"], WEEK, LATER + WEEK) is None


def test_withdrawal_that_the_source_answers_was_kept_by_nobody(world: World) -> None:
    """The grace counts from the reading that names the country again."""
    hold = hold_missing_country(world.states["AA"], world.seen["AA"], timedelta(0), LATER)
    assert hold is not None
    world.write("AA", [hold], LATER)

    world.read([reading("AA", 1, North=2)], LATER)

    assert world.states["AA"].holds == ()
    assert world.states["AA"].kept_at is None


def test_waiting_improvement_is_put_before_a_person_only_while_the_source_says_so(world: World) -> None:
    """Other levels, or none that waits: there is nothing to decide."""
    world.read([reading("AA", 0, at=LATER, North=2)], LATER)
    state, pending = world.states["AA"], world.pending["AA"]

    assert hold_of_pending(state, pending) is not None
    assert hold_of_pending(state, pending.model_copy(update={"levels": "other"})) is None
    settled = PendingImprovement(country="AB", levels=levels_digest(world.states["AB"].said), first_read_at=NOW)
    assert hold_of_pending(world.states["AB"], settled) is None


def test_clock_releases_no_hold_of_a_better_level(world: World) -> None:
    """Whatever end such a hold names: only a person lets a better level count."""
    held = AdviceHeld(
        country="AA", hold_id="h-1", reason=HoldReason.IMPLAUSIBLE_FALL, changes=(), source="netherlands",
        source_version=world.states["AA"].source_version, levels="digest", releases_at=NOW,
    )  # fmt: skip
    world.write("AA", [held], NOW)

    assert events_due(world.states["AA"], LATER) == ()


def test_level_that_a_person_makes_worse_alerts_at_once(world: World) -> None:
    """While alerts of the ministry's deterioration wait, the university's own override does not."""
    world.read([reading(country, 2, at=LATER, North=2) for country in names(60)], LATER)
    assert world.states["AA"].holds != ()

    world.write("AA", [override("o-1", Level.RED, "officer-2", 0)], LATER)
    world.tick(LATER)

    [change] = [change for change in world.changes if change.country == "AA"]
    assert (change.effective.after, change.alerts_held_until, change.decided_by) == (3, None, "officer-2")


def test_rejected_deterioration_is_corrected_without_waiting_for_its_own_hold(world: World) -> None:
    """The correction names the hold that it answers, and no time until which its messages wait."""
    world.read([reading(country, 2, at=LATER, North=2) for country in names(60)], LATER)
    [hold] = world.states["AA"].holds

    world.decide(hold.hold_id, accepted=False, now=LATER)

    assert {(change.hold_id, change.alerts_held_until) for change in world.changes} == {(hold.hold_id, None)}
    assert set(world.levels().values()) == {1}


def test_rejected_deterioration_undoes_only_what_is_still_so(world: World) -> None:
    """The country turned red since, and the region has its level: neither goes back to what it was before the hold."""
    world.read([reading(country, 2, at=LATER) for country in names(60)], LATER)
    [hold] = world.states["AA"].holds
    world.read([reading("AA", 3, at=LATER + HALF_AN_HOUR)], LATER + HALF_AN_HOUR)

    world.decide(hold.hold_id, accepted=False, now=LATER + HALF_AN_HOUR)

    assert (world.levels()["AA"], world.levels()["AB"]) == (3, 1)
    assert world.states["AA"].regions == ()


def test_rejected_deterioration_lists_a_region_again_that_had_left_the_list() -> None:
    """The region was yellow in a green country; both turned red as one. Each gets its own level back."""
    world = World()
    world.read([reading(country, 0, North=1) for country in names(60)])
    world.read([reading(country, 3, at=LATER) for country in names(60)], LATER)
    assert world.states["AA"].regions == ()
    [hold] = world.states["AA"].holds

    world.decide(hold.hold_id, accepted=False, now=LATER)

    state = world.states["AA"]
    assert (state.effective, [(region.area, region.level) for region in state.regions]) == (0, [("North", 1)])


def test_region_that_had_left_the_list_stays_as_bad_as_the_country_has_become() -> None:
    """The country turned red after the hold: a rejection makes no milder region in it."""
    world = World()
    world.read([reading(country, 0, North=1) for country in names(60)])
    world.read([reading(country, 2, at=LATER) for country in names(60)], LATER)
    [hold] = world.states["AA"].holds
    world.read([reading("AA", 3, at=LATER + HALF_AN_HOUR)], LATER + HALF_AN_HOUR)

    world.decide(hold.hold_id, accepted=False, now=LATER + HALF_AN_HOUR)

    assert (world.levels()["AA"], world.states["AA"].regions) == (3, ())


def test_change_by_overrides_names_who_set_the_newest_that_counts(world: World) -> None:
    """Not one that is over, or still to come."""
    overrides = [
        override("o-1", Level.ORANGE, "officer-1", -5, until=9),
        override("o-2", Level.RED, "officer-2", -3),
        override("o-3", Level.RED, "officer-3", 2),
        override("o-4", Level.RED, "officer-4", -1, until=-1),
    ]
    world.write("AA", overrides, NOW)

    world.tick(NOW)

    assert [change.decided_by for change in world.changes] == ["officer-2"]


def test_versions_within_one_second_are_told_apart(world: World) -> None:
    """A source that writes twice in a second: the later version counts, and the earlier one replaces nothing."""
    second = timedelta(milliseconds=600)
    world.read([reading("AA", 3, at=LATER + second, North=2)], LATER + HOUR)

    world.read([reading("AA", 3, at=LATER, text="Before.", North=2)], LATER + HOUR)
    assert world.written == []

    world.read([reading("AA", 3, at=LATER + 2 * second, text="After.", North=2)], LATER + HOUR)
    assert world.states["AA"].text_nl == "After."
