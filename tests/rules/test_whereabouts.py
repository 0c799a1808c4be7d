"""Whereabouts folded from registration events, and the shards of people."""

from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.model.shards import HASH_BITS, person_hash, shard_of, shard_range
from services.notify.model.whereabouts import FORMER_STAYS_MAX, Whereabouts, evolve_whereabouts
from shared.events import (
    ClearanceSuspended,
    LegKind,
)
from tests.rules.notify_world import (
    DAY,
    LONG_AGO,
    NOW,
    STUDENT,
    TODAY,
    cancelled,
    days,
    folded,
    nowhere,
    submitted,
)

# ---------------------------------------------------------------- whereabouts


def sinces(state: Whereabouts) -> list[datetime]:
    """Since when each leg has been there."""
    return [stay.since for stay in state.stays]


def test_evolve_whereabouts_submission_is_full_state() -> None:
    """Every leg is kept with its dates and its region, given or resolved from the place."""
    state = folded(submitted(days(0, 5, region="ES-CT"), days(5, 9, place="Madrid"), days(9, 12, "FR", place="Nice")))

    assert [(stay.country, stay.region, stay.given_region) for stay in state.stays] == [
        ("ES", "ES-CT", "ES-CT"),
        ("ES", "ES-MD", None),
        ("FR", None, None),
    ]
    assert (state.person_id, state.version, state.hash) == (STUDENT, 1, person_hash(STUDENT))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_evolve_whereabouts_older_or_same_event_changes_nothing(version: int) -> None:
    """A redelivered event returns the same state."""
    state = folded(submitted(), submitted(days(0, 5), changed=True), cancelled())

    after = evolve_whereabouts(state, submitted(days(1, 1, "FR")), version, NOW, nowhere)

    assert after is state


def test_evolve_whereabouts_other_event_moves_the_version_alone() -> None:
    """An event that moves nobody only raises the version."""
    state = folded(submitted())
    other = ClearanceSuspended(
        registration_id=state.registration_id, person_id=STUDENT, rule="R19", reason="advice_negative",
        faculty_id="f", programme_id="p", departure_date=TODAY,
    )  # fmt: skip

    after = evolve_whereabouts(state, other, 2, NOW, nowhere)

    assert after == state.model_copy(update={"version": 2})


def test_evolve_whereabouts_without_a_submission_is_none() -> None:
    """A cancellation without a submission gives no whereabouts."""
    assert evolve_whereabouts(None, cancelled(), 2, NOW, nowhere) is None


def test_evolve_whereabouts_cancelled_keeps_where_the_person_would_have_been() -> None:
    """Only `cancelled` changes: a person who cancels by mistake and registers again is no newcomer."""
    state = folded(submitted(days(0, 5)), cancelled())
    again = evolve_whereabouts(state, submitted(days(0, 5), changed=True), 3, NOW, nowhere)

    assert state.cancelled
    assert again is not None
    assert not again.cancelled
    assert sinces(again) == [LONG_AGO]


def test_evolve_whereabouts_legs_keep_since_when_something_else_changes() -> None:
    """A new phone number, another order, transit for stay: none of them makes a newcomer."""
    first, second = days(0, 5, region="ES-CT"), days(5, 9, place="Madrid")
    through = first.model_copy(update={"kind": LegKind.THROUGH})

    state = folded(submitted(first, second), submitted(second, through, changed=True, contact="sealed:v1:p:e:BBBB"))

    assert sinces(state) == [LONG_AGO, LONG_AGO]
    assert state.changed_at == LONG_AGO + DAY


@pytest.mark.parametrize(
    "other",
    [days(0, 6), days(-1, 5), days(0, 5, "PT"), days(0, 5, region="ES-MD"), days(0, 5, place="Madrid")],
)
def test_evolve_whereabouts_leg_that_differs_is_new(other: object) -> None:
    """With other days or another place the leg is new."""
    state = folded(submitted(days(0, 5)), submitted(other, changed=True))  # type: ignore[arg-type] # legs by the table

    assert sinces(state) == [LONG_AGO + DAY]


def test_evolve_whereabouts_coming_back_to_a_former_leg_is_not_new() -> None:
    """There, elsewhere, and there again: the leg keeps its first `since`."""
    there, elsewhere = days(0, 5), days(0, 5, "FR")

    state = folded(submitted(there), submitted(elsewhere, changed=True), submitted(there, elsewhere, changed=True))

    assert sinces(state) == [LONG_AGO, LONG_AGO + DAY]
    assert state.former == ()


def test_evolve_whereabouts_former_legs_are_bounded() -> None:
    """However often a person changes the itinerary, the document is bounded, and the newest legs are kept."""
    many = [submitted(days(0, end), changed=True) for end in range(FORMER_STAYS_MAX + 20)]

    state = folded(submitted(days(-9, -9)), *many)

    assert len(state.former) == FORMER_STAYS_MAX
    assert state.former[0].end_date == TODAY + (FORMER_STAYS_MAX + 18) * DAY


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.data())
def test_evolve_whereabouts_redelivery_from_any_point_ends_the_same(ends: list[int], data: st.DataObject) -> None:
    """Kafka goes back to an earlier offset: the whole tail again changes nothing."""
    events = [submitted(days(0, end), changed=True) if end else cancelled() for end in ends]
    state: Whereabouts | None = None
    for number, event in enumerate(events):
        state = evolve_whereabouts(state, event, number + 1, LONG_AGO + number * DAY, nowhere)

    again = state
    for number in range(data.draw(st.integers(0, len(events))), len(events)):
        again = evolve_whereabouts(again, events[number], number + 1, LONG_AGO + number * DAY, nowhere)

    assert again == state


# ---------------------------------------------------------------- shards


@given(st.integers(1, 100_000), st.integers(0, 2**HASH_BITS - 1))
def test_shard_range_holds_exactly_its_hashes(count: int, hash_: int) -> None:
    """The shard of a hash is the one whose range holds it."""
    shard = shard_of(hash_, count)
    first, after = shard_range(shard, count)

    assert 0 <= shard < count
    assert first <= hash_ < after


@given(st.integers(1, 3_000))
def test_shard_ranges_cover_the_ring_exactly_once(count: int) -> None:
    """One after the other, without a gap or an overlap, from 0 to 2^32."""
    ranges = [shard_range(shard, count) for shard in range(count)]

    assert ranges[0][0] == 0
    assert ranges[-1][1] == 2**HASH_BITS
    assert all(earlier[1] == later[0] for earlier, later in pairwise(ranges))


@given(st.integers(1, 100_000), st.data())
def test_shard_borders_belong_to_one_side(count: int, data: st.DataObject) -> None:
    """The first hash of a range is in it, the one before is not."""
    shard = data.draw(st.integers(0, count - 1))
    first, after = shard_range(shard, count)

    assert shard_of(first, count) == shard
    assert shard_of(after - 1, count) == shard
    assert first == 0 or shard_of(first - 1, count) == shard - 1


def test_person_hash_is_the_same_on_every_machine() -> None:
    """The first four bytes of SHA-256; a change would put people into two shards of one alert."""
    assert person_hash("student-0001") == 0xF27E7605
