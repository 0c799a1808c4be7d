"""The scheduler on a real MongoDB: each reminder is stored once, with several instances, wrong clocks and crashes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta

import pytest

from services.registration.commands.submit import decide_provisionally
from services.registration.decision_inputs import load_inputs
from services.registration.evaluation import REQUEST_ENDED_AFTER, evaluate_country, sweep
from services.registration.evolve import evolve
from services.registration.reported_returns import record_reported_returns
from services.registration.scheduler import WrongClock, record_due_events, remind_after_failed_messages, run_due
from shared.clock import AMSTERDAM, amsterdam_date, utc_now
from shared.envelope import Envelope
from shared.events import (
    ActivityType,
    Channel,
    DeliveryOutcome,
    Level,
    NotificationsFailed,
    RegistrationCancelled,
    ReminderDropped,
    ReminderDue,
    ReturnRecorded,
    ReturnReported,
    StayContactUpdated,
    StayStarted,
    StudyAnswers,
    TaskClosed,
    TaskOpened,
)
from shared.ids import new_id
from tests.conftest import Stack
from tests.integration.registration_parts import CAUSE, Parts, journey, parts


@pytest.fixture
async def one(stack: Stack, namespace: str) -> AsyncIterator[Parts]:
    """One process of the service."""
    async with parts(stack.mongo, namespace) as made:
        yield made


@pytest.fixture
async def other(stack: Stack, namespace: str) -> AsyncIterator[Parts]:
    """A second process on the same database."""
    async with parts(stack.mongo, namespace) as made:
        yield made


async def event_names(one: Parts, registration_id: str) -> list[str]:
    """The types of a registration's events."""
    return [type(event).__name__ for event in await one.events(registration_id)]


def noon(days: int = 0) -> datetime:
    """Noon, so many days from today."""
    return utc_now().replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=days)


async def test_reminder_is_sent_from_the_very_hour_of_the_morning_and_no_minute_earlier(one: Parts) -> None:
    """R22: due at eight by the Amsterdam clock; who looks at eight finds it, who looks at 7:59 does not."""
    (loaded,) = await one.submit([journey(20)], noon(-20))
    eight = datetime.combine(amsterdam_date(noon(6)), time(8), AMSTERDAM)

    await record_due_events(one.evaluation, eight - timedelta(minutes=1))
    before = [event for event in await one.events(loaded.id) if isinstance(event, ReminderDue)]
    await record_due_events(one.evaluation, eight)

    sent = [event for event in await one.events(loaded.id) if isinstance(event, ReminderDue)]
    assert [(event.kind, event.occasion) for event in sent if event not in before] == [("check_advice", "T-14")]


async def test_who_waits_for_an_approval_on_the_day_after_departure_is_put_before_a_person(one: Parts) -> None:
    """R8: held until the day of departure is over; then the sweep routes it, once, without any event of others."""
    leaves_on = amsterdam_date(noon(20))
    await one.advise("ES", Level.GREEN, 1)
    studies = StudyAnswers(credits=True, university_funding=False, transcript_entry=False)
    waiting = journey(20).model_copy(update={"study_related": True, "answers": studies, "approval_id": new_id()})
    clerkship = {"faculty_id": "example-medical-centre", "programme_id": "example-clinical-medicine"}
    incomplete = journey(20).model_copy(update=clerkship | {"activity_type": ActivityType.CLINICAL_CLERKSHIP})
    await one.submit([waiting, incomplete], noon(0))
    await sweep(one.evaluation, noon(1))

    for days in (20, 21, 21):
        await sweep(one.evaluation, noon(days))
        for registration_id in (waiting.registration_id, incomplete.registration_id):
            state = (await one.store.registrations.load(registration_id)).state
            assert state is not None
            tasks = [(task.queue, task.rule) for task in state.open_tasks]
            has_left = amsterdam_date(noon(days)) > leaves_on
            assert tasks == ([("faculty-contact", "R8")] if has_left else []), (days, state.decision)


@pytest.mark.fault("four schedulers at the same moment, without the lease between them")
async def test_two_schedulers_at_once_settle_each_reminder_once(one: Parts, other: Parts) -> None:
    """R22, R39: without a lease between them, the version of each registration keeps them apart."""
    await one.advise("ES", Level.YELLOW, 1)
    submitted = await one.submit([journey(20) for _ in range(300)], noon(-30))

    await asyncio.gather(*(record_due_events(process.evaluation, noon(6)) for process in (one, other, one, other)))

    settled: Counter[tuple[str, str]] = Counter()
    for loaded in submitted:
        for event in await one.events(loaded.id):
            if isinstance(event, ReminderDue | ReminderDropped):
                settled[loaded.id, f"{event.kind} {event.occasion}"] += 1
    assert set(settled.values()) == {1}
    assert len(settled) == 300 * 2  # T-14, and T-30 of the safety session
    assert await record_due_events(one.evaluation, noon(6)) == 0


@pytest.mark.fault("a process that dies between a decision and its confirmation, while the advice changes")
async def test_decision_on_outdated_advice_is_evaluated_once_more(one: Parts) -> None:
    """The advice changed before the commit, and the process died before it confirmed its inputs: the sweep decides."""
    now = noon(0)  # a country is evaluated once a day as well: the minute of this test is not around midnight
    await one.advise("ES", Level.GREEN, 1)
    submitted = journey(20, 10)
    state = evolve(None, submitted, now, 1)
    decision = decide_provisionally(state, await load_inputs(one.evaluation, state, cached=True), now)
    await one.advise("ES", Level.RED, 2)
    await evaluate_country(one.evaluation, "ES", 2, cause=CAUSE, now=now)
    await one.add(submitted.registration_id, submitted, *(draft.data for draft in decision), at=now)

    await sweep(one.evaluation, now + REQUEST_ENDED_AFTER - timedelta(seconds=2))
    assert await event_names(one, submitted.registration_id) == ["RegistrationSubmitted", "RegistrationApproved"]
    await sweep(one.evaluation, now + REQUEST_ENDED_AFTER + timedelta(seconds=2))
    events = await event_names(one, submitted.registration_id)
    assert events[:3] == ["RegistrationSubmitted", "RegistrationApproved", "ClearanceSuspended"]
    await sweep(one.evaluation, now + REQUEST_ENDED_AFTER + timedelta(seconds=9))
    assert await event_names(one, submitted.registration_id) == events


@pytest.mark.fault("a scheduler that dies between two batches")
async def test_scheduler_that_dies_between_batches_is_continued_by_the_next(one: Parts, other: Parts) -> None:
    """It leaves complete registrations only; the next scheduler does the others, once."""
    submitted = await one.submit([journey(20) for _ in range(200)], noon(-30))
    dying = asyncio.create_task(record_due_events(one.evaluation, noon(6), batch_size=50))
    while await one.store.registrations.collection.count_documents({"version": {"$gt": 1}}) < 50:
        await asyncio.sleep(0.005)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)

    await record_due_events(other.evaluation, noon(6))

    for loaded in submitted:
        kinds = Counter((type(event), getattr(event, "kind", "")) for event in await one.events(loaded.id))
        assert max(kinds.values()) == 1
        assert len(kinds) == 3  # submitted, and the two reminders


@pytest.mark.fault("the service away for three days and more")
async def test_scheduler_after_three_days_away_is_late_and_says_so(one: Parts) -> None:
    """R24: the day-1 reminder had its sense until day 3 came; that one is sent, late, with its own day."""
    (loaded,) = await one.submit([journey(1)], noon(-20))

    await record_due_events(one.evaluation, noon(1))
    await record_due_events(one.evaluation, noon(6))

    events = await one.events(loaded.id)
    assert any(isinstance(event, StayStarted) for event in events)
    sent = {event.occasion: event.late for event in events if isinstance(event, ReminderDue)}
    dropped = {event.occasion: event.reason for event in events if isinstance(event, ReminderDropped)}
    assert sent["day-3"] is True
    assert dropped["day-1"] == "superseded"


async def test_contact_task_stands_in_two_queues_and_closes_by_its_cause(one: Parts) -> None:
    """R24: after day 7 coordinator and International Office; the student's answer ends both, nothing else does."""
    (loaded,) = await one.submit([journey(1)], noon(-20))
    for day in range(1, 12):
        await record_due_events(one.evaluation, noon(day))
    opened = [event for event in await one.events(loaded.id) if isinstance(event, TaskOpened)]
    assert {(task.queue, task.scope) for task in opened} == {
        ("coordinator", "example-biology"), ("international-office", "")
    }  # fmt: skip
    assert await one.store.tasks.collection.count_documents({"open": True}) == 2

    told = StayContactUpdated(
        registration_id=loaded.id, person_id="p-1", contact="sealed:v1:x", confirmed=False
    )  # fmt: skip
    await one.add(loaded.id, told, at=noon(12))
    await record_due_events(one.evaluation, noon(12))

    closed = {event.task_id for event in await one.events(loaded.id) if isinstance(event, TaskClosed)}
    assert closed == {task.task_id for task in opened}
    assert await one.store.tasks.collection.count_documents({"open": True}) == 0


@pytest.mark.fault("a clock that jumps a month ahead")
async def test_scheduler_with_a_wrong_clock_sends_nothing(one: Parts) -> None:
    """A clock that jumped a month ahead would send what cannot be taken back."""
    (loaded,) = await one.submit([journey(20)], noon(-30))

    with pytest.raises(WrongClock):
        await run_due(one.evaluation, utc_now() + timedelta(days=31))

    assert len(await one.events(loaded.id)) == 1
    await run_due(one.evaluation, utc_now())


@pytest.mark.fault("the same failed message delivered three times")
async def test_failed_message_asks_once_and_redelivery_asks_nothing(one: Parts) -> None:
    """R25: the same failure seen three times, another one the next hour, one of a registration nobody knows."""
    loaded, untouched = await one.submit([journey(-5), journey(-5)], noon(-20))
    now = utc_now()

    await remind_after_failed_messages(one.evaluation, [_failed(loaded.id, now)])
    await remind_after_failed_messages(one.evaluation, [_failed(loaded.id, now), _failed("nobody", now)])
    await remind_after_failed_messages(one.evaluation, [_failed(loaded.id, now + timedelta(hours=1))])

    asked = [event for event in await one.events(loaded.id) if isinstance(event, ReminderDue)]
    assert [reminder.occasion[:7] for reminder in asked] == ["bounce-"]
    assert len(await one.events(untouched.id)) == 1
    newer, older = now - timedelta(days=8), now - timedelta(days=9)
    for _ in range(2):  # redelivered after the week in which nobody is asked twice
        await remind_after_failed_messages(one.evaluation, [_failed(untouched.id, at) for at in (newer, older)])
    asked = [event for event in await one.events(untouched.id) if isinstance(event, ReminderDue)]
    assert [reminder.due_on for reminder in asked] == [amsterdam_date(newer)]


async def test_return_reported_by_the_link_in_a_mail_is_recorded_once_and_only_when_the_stay_is_over(
    one: Parts,
) -> None:
    """R20, R26: two taps, and one by a student whose stay goes on; the overdue return is recorded once."""
    over, abroad, others, cancelled = await one.submit(
        [journey(first, 20, person_id=who) for first, who in ((-30, "p-1"), (-5, "p-1"), (-30, "p-2"), (-30, "p-1"))],
        noon(-40),
    )
    await record_due_events(one.evaluation, utc_now())
    gone = RegistrationCancelled(registration_id=cancelled.id, person_id="p-1", cancelled_by="erasure")
    await one.add(cancelled.id, gone)

    for _ in range(2):
        await record_reported_returns(
            one.evaluation, [_back(name) for name in (over.id, abroad.id, others.id, cancelled.id, "nobody")]
        )

    returns = [event for event in await one.events(over.id) if isinstance(event, ReturnRecorded)]
    assert [(event.outcome, event.recorded_by) for event in returns] == [("returned", "p-1")]
    for loaded in (abroad, others, cancelled):
        assert not any(isinstance(event, ReturnRecorded) for event in await one.events(loaded.id))


async def test_due_registrations_are_found_by_the_index(one: Parts) -> None:
    """Nobody reads a hundred thousand registrations every half minute to find twelve."""
    await one.submit([journey(20) for _ in range(50)], noon(-1))

    plan = await one.store.registrations.collection.find({"progress.due": {"$lte": "2020-01-01T00"}}).explain()

    assert plan["executionStats"]["totalDocsExamined"] == plan["executionStats"]["totalKeysExamined"] == 0


def _failed(registration_id: str, at: datetime) -> Envelope[NotificationsFailed]:
    entry = DeliveryOutcome(
        delivery_id=f"ES-1:p-1:sms:{new_id()}", person_id="p-1", registration_id=registration_id, channel=Channel.SMS,
        step=1, provider="cm", reference="r", at=at, reason="5",
    )  # fmt: skip
    event = NotificationsFailed(alert_id="ES-1", shard=0, entries=(entry,))
    return Envelope(new_id(), "NotificationsFailed", "/notify", at, "ES-1.0", 1, "c", "c", None, 1, None, event)


def _back(registration_id: str) -> Envelope[ReturnReported]:
    now = utc_now()
    event = ReturnReported(
        alert_id="n-1", shard=0, person_id="p-1", registration_id=registration_id, on=amsterdam_date(now)
    )  # fmt: skip
    return Envelope(new_id(), "ReturnReported", "/notify", now, "n-1.0", 1, "c", "c", None, 1, None, event)
