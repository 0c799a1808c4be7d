"""R26: who is somewhere when stays end, people come back or do not, and registrations are taken over from elsewhere."""

from datetime import date, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notify.audience.affected import memoised_decisions
from services.notify.columns.registration_snapshot import RegistrationSnapshot
from services.notify.model.whereabouts import Whereabouts, evolve_whereabouts
from services.notify.rules.audience import PastNotification, Reason, decide_audience, stay_there
from services.notify.rules.improvement import Reason as Better
from services.notify.rules.improvement import before_change, improvement, lowers
from shared.events import (
    Level,
    RegistrationEvent,
    RegistrationSubmitted,
    ReturnRecorded,
    StayContactUpdated,
    StayEnded,
)
from tests.rules.notify_world import (
    DAY,
    LONG_AGO,
    NOW,
    SEALED,
    STUDENT,
    TODAY,
    advice,
    change,
    days,
    nowhere,
    since,
    stay,
    submitted,
    whereabouts,
)

G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours
RED = advice(R, began=since(at=NOW))


def ended(day: int) -> StayEnded:
    """The last day has passed."""
    return StayEnded(registration_id=f"r-{STUDENT}", person_id=STUDENT, on=TODAY + day * DAY)


def returned(day: int, outcome: str = "returned") -> ReturnRecorded:
    """The outcome of a return is recorded."""
    return ReturnRecorded.model_validate(
        {
            "registration_id": f"r-{STUDENT}",
            "person_id": STUDENT,
            "on": TODAY + day * DAY,
            "outcome": outcome,
            "recorded_by": STUDENT,
        }
    )


def contact() -> StayContactUpdated:
    """Another telephone number."""
    return StayContactUpdated(registration_id=f"r-{STUDENT}", person_id=STUDENT, contact=SEALED, confirmed=False)


def after(*events: RegistrationEvent, start: datetime = LONG_AGO) -> Whereabouts:
    """The whereabouts after these events, a day apart."""
    state: Whereabouts | None = None
    for number, event in enumerate(events):
        state = evolve_whereabouts(state, event, number + 1, start + number * DAY, nowhere)
    assert state is not None
    return state


PAST, NOW_THERE, SPLIT = days(-30, -10), days(-30, 10), (days(-30, -20, "FR"), days(-19, -10))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([submitted(PAST)], Reason.NOT_THERE),
        ([submitted(PAST), ended(-9)], Reason.AFFECTED),
        ([submitted(*SPLIT), ended(-9)], Reason.AFFECTED),
        ([submitted(*SPLIT[::-1]), ended(-9)], Reason.AFFECTED),
        ([submitted(days(-30, -20), days(-19, -10, "FR")), ended(-9)], Reason.NOT_THERE),
        ([submitted(PAST), ended(-9), returned(-9)], Reason.NOT_THERE),
        ([submitted(PAST), ended(-9), returned(-1)], Reason.NOT_THERE),
        ([submitted(PAST), ended(-9), returned(-1, "stays")], Reason.AFFECTED),
        ([submitted(PAST), ended(-9), returned(-1, "elsewhere")], Reason.AFFECTED),
        ([submitted(PAST), ended(-9), returned(-1, "unknown")], Reason.AFFECTED),
        ([submitted(PAST), ended(-9), returned(-1), returned(0, "stays")], Reason.AFFECTED),
        ([submitted(NOW_THERE)], Reason.AFFECTED),
        ([submitted(NOW_THERE), returned(-2)], Reason.NOT_THERE),
        ([submitted(NOW_THERE), returned(-1)], Reason.AFFECTED),
        ([submitted(NOW_THERE), returned(0)], Reason.AFFECTED),
        ([submitted(NOW_THERE), returned(-3), contact()], Reason.NOT_THERE),
        ([submitted(NOW_THERE), returned(-3), submitted(NOW_THERE, changed=True)], Reason.NOT_THERE),
        ([submitted(NOW_THERE), returned(-3), submitted(days(-1, 5), changed=True)], Reason.AFFECTED),
        ([submitted(PAST), ended(-9), submitted(PAST, changed=True)], Reason.AFFECTED),
        ([submitted(PAST), ended(-9), submitted(days(-30, -5), changed=True)], Reason.NOT_THERE),
    ],
)
def test_presence_table(events: list[RegistrationEvent], expected: Reason) -> None:
    """Overdue until a return is recorded; an early return ends the stay a day later; new dates begin a new stay."""
    assert decide_audience(after(*events), RED, TODAY).reason is expected


def imported(*legs: object) -> RegistrationSubmitted:
    """A registration imported from another portal."""
    return submitted(*legs).model_copy(update={"imported": True})  # type: ignore[arg-type] # legs


@pytest.mark.parametrize(
    ("fact", "advice_at", "expected"),
    [
        (imported(NOW_THERE), LONG_AGO - DAY, Reason.THERE_AT_IMPORT),
        (imported(NOW_THERE), LONG_AGO, Reason.THERE_AT_IMPORT),
        (imported(NOW_THERE), LONG_AGO + DAY, Reason.AFFECTED),
        (submitted(NOW_THERE), LONG_AGO - DAY, Reason.AFFECTED),
    ],
)
def test_import_into_a_bad_place_is_listed_and_what_gets_worse_later_alerts(
    fact: RegistrationSubmitted, advice_at: object, expected: Reason
) -> None:
    """A person who was there at the import is told by the officer; if the advice came later, by an alert."""
    # The import at LONG_AGO is within this stay.
    there = after(fact.model_copy(update={"legs": (days(-500, 10),)}))
    began = since(at=advice_at)  # type: ignore[arg-type] # a datetime

    assert decide_audience(there, advice(R, began=began), TODAY).reason is expected


@pytest.mark.parametrize(("start", "expected"), [(-399, Reason.THERE_AT_IMPORT), (-398, Reason.AFFECTED)])
def test_import_on_the_day_before_the_stay_counts_as_there(start: int, expected: Reason) -> None:
    """The day of grace: the import was 400 days ago. Who left a day later came after it."""
    there = after(imported(days(start, 10)))

    assert decide_audience(there, advice(R, began=since(at=LONG_AGO - DAY)), TODAY).reason is expected


def test_import_stays_an_import_when_something_else_is_changed() -> None:
    """A new phone number makes no newcomer of who was there at the import."""
    there = after(imported(days(-500, 10)), submitted(days(-500, 10), changed=True))

    assert [stay.imported for stay in there.stays] == [True]
    began = since(at=LONG_AGO - DAY)
    assert decide_audience(there, advice(R, began=began), TODAY).reason is Reason.THERE_AT_IMPORT


def test_import_that_goes_on_to_another_bad_place_is_alerted() -> None:
    """A leg that was added after the import, and one that begins after it, are arrivals like any other."""
    began = since(at=LONG_AGO - DAY)
    moved = after(imported(days(-500, -400)), submitted(days(-3, 3), changed=True))
    later = after(imported(days(-1, 10)))

    assert decide_audience(moved, advice(R, began=began), TODAY).reason is Reason.AFFECTED
    assert decide_audience(later, advice(R, began=began), TODAY).reason is Reason.AFFECTED


def test_stay_there_prefers_the_stay_in_that_very_region() -> None:
    """To one whose place nobody could resolve, in whatever order they stand."""
    stays = (stay(region=None), stay(region="ES-MD"))

    for ordered in (stays, stays[::-1]):
        there = stay_there(whereabouts(*ordered), "ES", "ES-MD", TODAY)
        assert there is not None
        assert there.region == "ES-MD"


@pytest.mark.parametrize(
    ("region", "day", "is_there"),
    [
        (None, 0, True), ("ES-MD", 0, True), ("ES-CT", 0, False), (None, -30, True), (None, -31, False),
        (None, 10, True), (None, 11, False),
    ],
)  # fmt: skip
def test_stay_there_has_no_grace_and_keeps_who_may_be_there(region: str | None, day: int, is_there: bool) -> None:
    """The list of who is where has no day of grace; an unresolved place may be in every region."""
    known = after(submitted(days(-30, 10, region="ES-MD")))
    unresolved = after(submitted(days(-30, 10, place="Somewhere")))

    assert (stay_there(known, "ES", region, TODAY + day * DAY) is not None) is is_there
    if -30 <= day <= 10:
        assert stay_there(unresolved, "ES", region, TODAY + day * DAY) is not None


MD = days(-5, 5, region="ES-MD")
TOLD = [PastNotification(2, R)]


@pytest.mark.parametrize(
    ("before", "now", "told", "legs", "expected"),
    [
        ((R, {}), (Y, {}), TOLD, (days(-5, 5),), Better.IMPROVED),
        ((R, {}), (O, {}), TOLD, (days(-5, 5),), Better.IMPROVED),
        ((O, {}), (R, {}), TOLD, (days(-5, 5),), Better.NOT_BETTER),
        ((R, {}), (None, {}), TOLD, (days(-5, 5),), Better.NOT_BETTER),
        ((Y, {}), (G, {}), TOLD, (days(-5, 5),), Better.NOT_BETTER),
        ((R, {}), (Y, {}), [], (days(-5, 5),), Better.NEVER_TOLD),
        ((R, {}), (Y, {}), TOLD, (days(-9, -3),), Better.NOT_THERE),
        ((Y, {"ES-MD": R}), (Y, {"ES-MD": Y}), TOLD, (MD,), Better.IMPROVED),
        ((Y, {"ES-MD": R, "ES-CT": O}), (Y, {"ES-MD": R, "ES-CT": Y}), TOLD, (MD,), Better.NOT_BETTER),
        ((R, {}), (Y, {"ES-MD": R}), TOLD, (MD,), Better.NOT_BETTER),
    ],
)
def test_improvement_table(
    before: tuple[Level | None, dict[str, Level]],
    now: tuple[Level | None, dict[str, Level]],
    told: list[PastNotification],
    legs: tuple[object, ...],
    expected: Better,
) -> None:
    """R21: only a person who was told, is there, and whose own place is known to be better."""
    regions = {name: (before[1].get(name), now[1].get(name)) for name in {**before[1], **now[1]}}
    event = change(3, before[0], now[0], regions)
    current = advice(now[0], now[1])  # type: ignore[arg-type] # narrower values
    where = after(submitted(*legs))  # type: ignore[arg-type] # legs

    decision = improvement(where, before_change(event, current), current, told, TODAY)

    assert decision.reason is expected
    assert (decision.place is not None) is (expected is Better.IMPROVED)
    if expected is Better.IMPROVED:
        assert lowers(event)


def test_day_of_return_is_a_date_of_the_university() -> None:
    """Returns are dates, and so is today: nothing here depends on an hour."""
    where = after(submitted(NOW_THERE), returned(-1))

    assert where.returned_on == date(TODAY.year, TODAY.month, TODAY.day) - timedelta(days=1)


@given(st.integers(0, 2**32), st.booleans())
@settings(max_examples=60, deadline=None)
def test_deciding_for_many_is_deciding_for_each(seed: int, baseline: bool) -> None:
    """A selection run decides once for all who are in the same places on the same days, always as for each alone."""
    random = Random(seed)
    began = since(at=LONG_AGO + random.randint(-3, 3) * DAY, baseline=baseline)
    current = advice(random.choice([Y, O, R]), {"ES-MD": random.choice([Y, O, R])}, began=began)
    decide = memoised_decisions(current, TODAY)
    for _ in range(40):
        legs = []
        for _ in range(random.randint(1, 2)):
            first = random.choice([-500, random.randint(-3, 2)])
            last = max(first, 0) + random.randint(0, 2)
            legs.append(days(first, last, random.choice(["ES", "FR"]), region=random.choice([None, "ES-MD"])))
        filed = submitted(*legs).model_copy(update={"imported": random.random() < 0.3})
        events: list[RegistrationEvent] = [filed]
        if random.random() < 0.3:
            events.append(ended(random.randint(-3, 2)))
        if random.random() < 0.3:
            events.append(returned(random.randint(-3, 2), random.choice(["returned", "stays"])))
        where = after(*events, start=LONG_AGO + random.randint(-2, 2) * DAY)
        if random.random() < 0.2:
            where = where.model_copy(update={"cancelled": True})

        assert decide(RegistrationSnapshot.of(where, is_reachable=True)) == decide_audience(where, current, TODAY)
