"""Notify beyond the plain selection run: held alerts, returns, changed addresses, manual alerts, escalation."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.notify import alert_steps, escalation, follow_ups, handlers
from services.notify.audience.alerting import alert_arrivals
from services.notify.audience.deps import SelectionDeps
from services.notify.audience.manual_alerts import EmptyDrillList, plan_manual_alert
from services.notify.audience.preview import preview_audience
from services.notify.commands.alerts import raise_alert, record_call, reopen_alert
from services.notify.commands.answers import record_answer
from services.notify.commands.closing import close_alert
from services.notify.model.deliveries import delivery_id
from services.notify.rules.escalation import EscalationStep, RollCallStatus, recipient_state, roll_call_status
from services.notify.rules.handing_over import Assignment
from services.notify.store.advice import AdviceStore
from services.notify.store.contacts import NumberMatch
from services.notify.store.deliveries import StoredEvent
from services.notify.store.selections import Selection
from shared.audit.reader import Record
from shared.clock import amsterdam_date, utc_now
from shared.envelope import parse
from shared.events import (
    AdviceReleased,
    AlertEscalated,
    AlertRaised,
    Channel,
    ClearanceRestored,
    DeliveryOutcome,
    Event,
    Level,
    NotificationsFailed,
    PersonAnswered,
    PersonErased,
    RecipientsSelected,
    ReminderDue,
    ReminderKind,
    ReturnRecorded,
    SlotAllocated,
    StayContactUpdated,
    StayEnded,
)
from shared.ids import new_id
from shared.testing.failpoints import Broken
from shared.web.problem import Problem
from tests.audit.log import Log
from tests.integration.notify_world import CAUSE, Failpoints, World, close, contact_of, leg, notify, officer
from tests.rules.notify_world import cancelled, submitted

G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    async with notify(stack, namespace) as world:
        yield world


@pytest.fixture
def failpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Failpoints:
    """Failpoints of this process, for this test."""
    monkeypatch.setenv("FAILPOINTS_DIR", str(tmp_path))
    return Failpoints(tmp_path)


def held(world: World, after: Level, hold: str = "h-1", country: str = "ES", for_: timedelta = HOUR) -> Record:
    """The advice changes, and its alerts are held."""
    event = parse(world.change(after, country=country).value).data
    log = world.advice
    log.records.pop()
    log.append(event.model_copy(update={"hold_id": hold, "alerts_held_until": utc_now() + for_}), utc_now())
    return log.records[-1]


def decided(world: World, accepted: bool, hold: str = "h-1", country: str = "ES") -> Record:
    """A person decides about a hold."""
    event = AdviceReleased(country=country, hold_id=hold, accepted=accepted, decided_by="officer", reason="Looked.")
    return world._appended(world.advice, event)


async def alert_ids(world: World) -> list[str]:
    """The alerts in the order in which they were raised."""
    return [event.alert_id for event in await world.events_of(AlertRaised) if isinstance(event, AlertRaised)]


# ---------------------------------------------------------------- held alerts


async def test_held_alert_waits_and_leaves_when_accepted(world: World) -> None:
    """Nobody is notified while a bulk change is held; a deterioration elsewhere in the same reading alerts at once."""
    await world.handle(world.register("p1"), world.register("p2", leg(country="FR")))
    await world.handle(world.change(Y), world.change(Y, country="FR"))

    await world.handle(held(world, R), world.change(R, country="FR"))
    await world.handle(world.register("p3"))
    await world.sweep()
    assert [alert for alert, _, _ in await world.notified()] == ["FR-2"]

    release = decided(world, accepted=True)
    await world.handle(release)
    await world.handle(release)
    assert [(alert, person) for alert, person, _ in await world.notified()] == [
        ("ES-2", "p1"),
        ("ES-2", "p3"),
        ("FR-2", "p2"),
    ]
    await world.check()


async def test_held_alert_is_dropped_when_rejected(world: World) -> None:
    """Rejected, and the former level returns: nobody is notified, not even by the sweep or a redelivery."""
    await world.handle(world.register("p1"))
    await world.handle(world.change(Y))
    red = held(world, R, for_=timedelta(0))
    await world.handle(red, decided(world, accepted=False), world.change(Y))

    await world.handle(red)
    await world.sweep(utc_now() + HOUR)

    assert await world.notified() == []


async def test_held_alert_goes_by_itself_when_nobody_decides(world: World) -> None:
    """No decision counts as acceptance: the sweep finds the expired hold, also after a crash."""
    await world.handle(world.register("p1"))
    await world.handle(world.change(Y), held(world, R))

    await world.sweep(utc_now() + 59 * MINUTE)
    assert await world.notified() == []
    await world.sweep(utc_now() + 61 * MINUTE)
    assert await world.notified() == [("ES-2", "p1", R)]


async def test_held_alert_decided_before_a_crash_is_found_by_the_sweep(world: World, failpoints: Failpoints) -> None:
    """The decision is stored, then the process crashes: the sweep notifies everyone."""
    await world.handle(world.register("p1"))
    await world.handle(world.change(Y), held(world, R))
    failpoints.arm("hold_decided", "raise")
    with pytest.raises(Broken):
        await world.handle(decided(world, accepted=True))
    assert await world.notified() == []

    await world.sweep()

    assert await world.notified() == [("ES-2", "p1", R)]


async def test_held_alert_that_a_newer_version_overtakes_is_raised_by_that(world: World) -> None:
    """The newest advice is still red and no longer held, so a selection run notifies everyone there."""
    await world.handle(world.register("p1"))
    await world.handle(world.change(Y), held(world, R), world.change(R))

    await world.handle(decided(world, accepted=False))

    assert await world.notified() == [("ES-3", "p1", R)]
    assert await world.late_arrivals() == set()


async def test_hold_of_a_second_deterioration_leaves_the_first_alert_in_force(world: World) -> None:
    """Orange, then red held: a late arrival is notified of orange; once accepted, red notifies everyone."""
    await world.handle(world.register("p1"))
    await world.handle(world.change(Y), world.change(O), held(world, R))
    await world.handle(world.register("p2"))
    assert await world.notified() == [("ES-2", "p1", O), ("ES-2", "p2", O)]

    await world.handle(decided(world, accepted=True))

    assert (await world.notified())[2:] == [("ES-3", "p1", R), ("ES-3", "p2", R)]


# ---------------------------------------------------------------- presence


async def test_overdue_student_is_notified_until_the_return_is_recorded(world: World) -> None:
    """The stay ended a week ago without a recorded return: notified; with one: not."""
    for person in ("p1", "p2"):
        ids = {"registration_id": f"r-{person}", "person_id": person}
        await world.handle(world.register(person, leg(-30, -7)), world.publish(StayEnded(**ids, on=leg(-6).start_date)))
    back = ReturnRecorded(
        registration_id="r-p2", person_id="p2", on=leg(-7).start_date, outcome="returned", recorded_by="p2"
    )
    await world.handle(world.publish(back))

    await world.handle(world.change(Y), world.change(R))

    assert await world.notified() == [("ES-2", "p1", R)]


async def test_stay_that_ends_without_a_return_in_a_negative_place_notifies_at_once(world: World) -> None:
    """Two streams meet: the advice came after the itinerary ended; `StayEnded` makes them overdue and notifies them."""
    await world.handle(world.register("p1", leg(-30, -7)))
    await world.handle(world.change(Y), world.change(R))
    assert await world.notified() == []

    await world.handle(world.publish(StayEnded(registration_id="r-p1", person_id="p1", on=leg(-6).start_date)))

    assert await world.notified() == [("ES-2", "p1", R)]
    assert await world.late_arrivals() == {"p1"}


async def test_whereabouts_at_a_past_time_are_what_was_known_then(world: World) -> None:
    """From registration events alone: before the change of plans, after it, and after the cancellation."""
    began = utc_now() - 10 * HOUR
    for hours, event in enumerate(
        (
            submitted(leg(country="ES"), person="p1"),
            submitted(leg(country="FR"), person="p1", changed=True),
            cancelled("p1"),
        )
    ):
        world.registrations.append(event, began + hours * HOUR)
    await world.handle(*world.registrations.records)
    await world.handle(*world.registrations.records)
    first, second, third = (began + hours * HOUR + MINUTE for hours in range(3))

    async def known(country: str, at: Any) -> list[tuple[str, bool]]:
        rows = await world.whereabouts.there_at(country, at, 0, 10)
        return [(where.stays[0].country, where.cancelled) for where, _ in rows]

    assert await known("ES", first - HOUR) == []
    assert await known("ES", first) == [("ES", False)]
    assert await known("ES", second) == [("FR", False)]
    assert await known("FR", second) == [("FR", False)]
    assert await known("FR", third) == [("FR", True)]


# ---------------------------------------------------------------- addresses


def _moved(person: str) -> StayContactUpdated:
    return StayContactUpdated(
        registration_id=f"r-{person}", person_id=person, contact=f"sealed:v1:{person}:event:AAAA", confirmed=False
    )


async def test_new_address_before_the_first_claim_is_simply_used(world: World) -> None:
    """No worker has read the old address: no further step."""
    await world.handle(world.register("p1"))
    await world.handle(world.change(Y), world.change(R))
    world.keyring.contacts["p1"] = contact_of("p100")

    await world.handle(world.publish(_moved("p1")))

    assert await world.steps("ES-2") == []
    assert (await world.whereabouts.contacts.of_registrations(["r-p1"]))["r-p1"].email == contact_of("p100").email
    assert await world.whereabouts.contacts.match_number(contact_of("p1").mobile) == NumberMatch()


async def test_details_of_one_stay_that_do_not_open_hide_nobody(world: World) -> None:
    """Whoever asks who is in the country sees everyone; that person with the contact that messages go to."""
    await world.handle(world.register("p1"), world.register("p2"))
    await world.handle(world.publish(_moved("p1")))
    await world.database["whereabouts"].update_one({"_id": "r-p1"}, {"$set": {"details": b"not what was sealed"}})

    rows = await world.whereabouts.there("ES", amsterdam_date(utc_now()), skip=0, limit=10)

    assert [(where.person_id, contact is not None and contact.reached_at.email) for where, contact in rows] == [
        ("p1", contact_of("p1").email), ("p2", contact_of("p2").email)
    ]  # fmt: skip


async def test_new_address_after_the_first_claim_adds_a_step_to_it(world: World, failpoints: Failpoints) -> None:
    """The message may have gone to the old address: it also goes to the new one, once, over the changed channel."""
    await world.handle(world.register("p1"), world.register("p2"))
    await world.handle(world.change(Y), world.change(R))
    for channel in Channel:
        assert await world.send_queue.claim(channel, "worker", 60) is not None
    world.keyring.contacts["p1"] = contact_of("p1").model_copy(update={"mobile": "+31612345678"})
    failpoints.arm("registration_stored", "raise")
    with pytest.raises(Broken):
        await world.handle(world.publish(_moved("p1")), world.publish(_moved("p2")))
    await follow_ups.alert_new_addresses(world.escalation, CAUSE, utc_now())

    await world.handle(*world.registrations.records)

    assert await world.steps("ES-2") == [(12, "p1", "alert_country", (Channel.SMS,))]
    escalated = [event for event in await world.events_of(AlertEscalated) if isinstance(event, AlertEscalated)]
    assert [(event.person_id, event.step, event.to, event.reason) for event in escalated] == [
        ("p1", 12, "sms", "contact_changed")
    ]


async def test_new_address_sends_the_alert_again_to_whom_it_still_concerns_only(world: World) -> None:
    """Not to who is safe for certain, and not for the address of a registration that the alert did not use."""
    other = world.register("p3", registration="r-other")
    await world.handle(other, *(world.register(f"p{number}") for number in range(1, 5)))
    await world.handle(world.change(Y), world.change(R))
    for channel in Channel:
        assert await world.send_queue.claim(channel, "worker", 60) is not None
    await answers(world, "p1", "safe")
    await answers(world, "p2", "safe", verified=False)
    moved = {person: _moved(person) for person in ("p1", "p2", "p3", "p4")}
    moved["p3"] = moved["p3"].model_copy(update={"registration_id": "r-other"})
    for number, person in enumerate(moved, start=1):
        world.keyring.contacts[person] = contact_of(person).model_copy(update={"mobile": f"+3161234567{number}"})

    await world.handle(*(world.publish(event) for event in moved.values()))

    sent = [(12, person, "alert_country", (Channel.SMS,)) for person in ("p2", "p4")]
    assert await world.steps("ES-2") == sent
    assert await world.whereabouts.contacts.changed_addresses(10) == []


async def test_erased_person_leaves_no_address_behind_and_none_comes_back(world: World) -> None:
    """Contacts, also earlier ones, and the number index are gone; a later event restores nothing."""
    await world.handle(world.register("p1"), world.register("p2"))
    await world.handle(world.publish(_moved("p1")))
    assert len((await world.database["whereabouts"].find_one({"_id": "r-p1"}))["earlier"]) == 1
    erased = world._appended(
        world.registrations, PersonErased(person_id="p1", requested_by="o-1", confirmed_by="o-2", reason="request")
    )

    await world.handle(erased)
    await world.handle(world.register("p1", leg(-1, 9), changed=True))

    assert set(await world.whereabouts.contacts.of_registrations(["r-p1", "r-p2"])) == {"r-p2"}
    assert await world.whereabouts.contacts.match_number(contact_of("p1").mobile) == NumberMatch()
    document = await world.database["whereabouts"].find_one({"_id": "r-p1"})
    assert document["contact"] is None
    assert not {"phone", "mail", "earlier"} & set(document)


# ---------------------------------------------------------------- service mail


async def test_reminders_and_restored_clearance_become_mail_once(world: World) -> None:
    """R21, R22, R24, R25, R39: one mail to the student for each event, also after a redelivery."""
    await world.handle(world.register("p1", leg(20, 40)))
    ids: dict[str, Any] = {"registration_id": "r-p1", "person_id": "p1"}
    reminders = [
        ReminderDue(
            **ids, kind=kind, occasion="T-14", due_on=leg().start_date, late=False, checked_at=utc_now(),
            faculty_id="example-sciences", programme_id="example-biology", departure_date=leg(20).start_date,
        )
        for kind in ReminderKind
    ]  # fmt: skip
    restored = ClearanceRestored(**ids, reason="looked_again", advice=(), decided_by="o-1")
    records = [world.publish(event) for event in (*reminders, restored)]

    await world.handle(*records)
    await world.handle(*records)

    kinds = ("check_advice", "clearance_restored", "safety_session", "stay_contact", "still_correct")
    assert await world.notices() == [("p1", kind) for kind in kinds]


async def test_promotion_from_the_waiting_list_becomes_mail_to_the_address_in_the_fact(world: World) -> None:
    """R34: without a registration. A student who was not promoted, or was erased, gets no mail."""
    log = Log("travel.approval.v1", partitions=1, source="/approval")
    common: dict[str, Any] = {"slot_pool_id": "pool-1", "cluster": "Surgery"}
    for person, promoted in (("p1", True), ("p2", False), ("p3", True)):
        contact = f"sealed:v1:{person}:event:AAAA"
        event = SlotAllocated(
            **common,
            approval_id=f"a-{person}",
            person_id=person,
            promoted=promoted,
            contact=contact,
        )
        log.append(event, utc_now())
    world.keyring.erased.add("p3")

    for record in (*log.records, *log.records):
        envelope: Any = parse(record.value)
        await handlers.notify_student_when_slot_allocated(envelope, world.deps)

    assert await world.notices() == [("p1", "slot_promoted")]
    contacts = await world.whereabouts.contacts.of_registrations(["slot-a-p1"])
    assert contacts["slot-a-p1"].email == contact_of("p1").email


async def test_mail_about_a_slot_names_the_facultys_own_office(world: World) -> None:
    """R34: the International Office of the faculty that has the slots; the university's for a pool nobody knows."""
    log = Log("travel.approval.v1", partitions=1, source="/approval")
    catalogue = world.deps.notices.catalogue
    pool_id, placed = next(iter(catalogue.pools().items()))
    for person, pool in (("p1", pool_id), ("p2", "pool-of-another-year")):
        event = SlotAllocated(
            slot_pool_id=pool, cluster="Surgery", approval_id=f"a-{person}", person_id=person, promoted=True,
            contact=f"sealed:v1:{person}:event:AAAA",
        )  # fmt: skip
        log.append(event, utc_now())

    for record in log.records:
        envelope: Any = parse(record.value)
        await handlers.notify_student_when_slot_allocated(envelope, world.deps)

    contacts = {}
    async for document in world.database["selections"].find({"alertId": {"$regex": "^n-"}}):
        selection = Selection.read(document)
        assert selection.facts is not None
        contacts[selection.recipients.persons[0]] = selection.facts["contact"]["email"]
    own_office = catalogue.international_office(placed.faculty_id).email
    assert contacts == {"p1": own_office, "p2": catalogue.university.international_office.email}
    assert own_office != catalogue.university.international_office.email


async def test_improvement_notifies_who_was_notified_and_is_there(world: World) -> None:
    """R21: red, then yellow: a mail to whom red notified and who is there; not to who cancelled or is not there yet."""
    await world.handle(world.register("p1"), world.register("p2"), world.register("p3", leg(3, 9)))
    await world.handle(world.change(Y), world.change(R))
    await world.handle(world.cancel("p2"))

    better = world.change(Y)
    await world.handle(better)
    await world.handle(better)

    assert await world.notices() == [("p1", "advice_improved")]
    await world.check()


async def test_improvement_that_is_no_longer_true_is_not_mailed(world: World, failpoints: Failpoints) -> None:
    """Red, yellow, orange: the handler of yellow crashed, and is repeated when the alert of orange has left."""
    await world.handle(world.register("p1"))
    await world.handle(world.change(Y), world.change(R))
    better = world.change(Y)
    failpoints.arm("advice_stored", "raise")
    with pytest.raises(Broken):
        await world.handle(better)
    await world.handle(world.change(O))

    await world.handle(better)

    assert [alert for alert, _, _ in await world.notified()] == ["ES-2", "ES-4"]
    assert await world.notices() == []


# ---------------------------------------------------------------- manual alerts


async def manual_alert(world: World, country: str = "ES", region: str | None = None, *, drill: bool = False) -> str:
    """An officer raises an alert, and the sweep runs its selection."""
    now = utc_now()
    messages = {"nl": "Blijf binnen.", "en": "Stay inside."}
    plan = await plan_manual_alert(world.selection, country, region, messages, is_drill=drill, raised_by="o-1", now=now)
    answer = await raise_alert(world.commands, officer(now), world.selection, plan, alerts_known=True)
    await world.sweep(now)
    return str(answer.body["alertId"])


async def test_manual_alert_reaches_everyone_who_is_or_may_be_in_the_place(world: World) -> None:
    """The same decisions: the region, an unresolved place as uncertain, nobody else; no advice is needed."""
    await world.handle(
        world.register("p1", leg(region="ES-MD")),
        world.register("p2", leg(region="ES-CT")),
        world.register("p3", leg(place="Somewhere")),
        world.register("p4", leg(3, 9, region="ES-MD")),
    )
    now = utc_now()
    preview = await preview_audience(world.selection, "ES", "ES-MD", is_drill=False, now=now)

    alert_id = await manual_alert(world, region="ES-MD")

    assert (preview.recipients, preview.uncertain, preview.by_region) == (2, 1, {"": 1, "ES-MD": 1})
    assert alert_id == "ES-m1"
    events = [event for event in await world.events_of(RecipientsSelected) if isinstance(event, RecipientsSelected)]
    assert sorted((recipient.person_id, recipient.reason) for event in events for recipient in event.recipients) == [
        ("p1", "region"),
        ("p3", "unresolved_place"),
    ]
    assert await world.planned_messages() == {
        (alert_id, person, channel): 1 for person in ("p1", "p3") for channel in Channel
    }


async def test_manual_alert_counts_for_no_advice(world: World) -> None:
    """R27: a person whom a manual alert told is still notified of red, and a second manual alert reaches them again."""
    await world.handle(world.register("p1"))
    await manual_alert(world)

    await world.handle(world.change(Y), world.change(R))
    second = await manual_alert(world)

    assert second == "ES-m2"
    assert sorted(alert for alert, _, _ in await world.notified()) == ["ES-2", "ES-m1", "ES-m2"]


async def test_drill_reaches_only_its_list(world: World) -> None:
    """A person who is not on the list is not selected; without a list there is no drill."""
    await world.handle(world.register("p1"), world.register("p2"))
    with pytest.raises(EmptyDrillList):
        await manual_alert(world, drill=True)
    world.select_with(drill_list=frozenset({contact_of("p1").email}))

    drill = await manual_alert(world, drill=True)

    assert drill == "ES-m1"
    assert await world.planned_messages() == {(drill, "p1", Channel.EMAIL): 1}
    assert await escalation.run_escalations(world.escalation, utc_now() + HOUR) == 0


# ---------------------------------------------------------------- escalation


async def failed(world: World, person: str, *channels: Channel, alert_id: str = "ES-2") -> None:
    """The providers refuse permanently."""
    recipient = await world.alerts.selections.recipient(alert_id, person)
    assert recipient is not None
    entries = tuple(
        DeliveryOutcome(
            delivery_id=delivery_id(alert_id, person, channel), person_id=person, channel=channel, step=1,
            provider="test", reference="0", at=utc_now(), reason="no such number",
        )
        for channel in channels
    )  # fmt: skip
    event = NotificationsFailed(alert_id=alert_id, shard=recipient[0].shard, entries=entries)
    await world.deliveries.fold([StoredEvent(new_id(), utc_now(), event)])


async def answers(world: World, person: str, answer: Any, *, verified: bool = True) -> None:
    """The person answers by link."""
    now = utc_now()
    given = PersonAnswered(
        alert_id="ES-2", shard=0, person_id=person, answer=answer, via="link", answered_at=now, verified=verified
    )
    await record_answer(world.outbox, world.deliveries, given, event_id=new_id(), now=now)


async def test_escalation_takes_every_step_once_and_hands_over_who_does_not_answer(world: World) -> None:
    """R38: failed SMS at once, reminder at 30 minutes, the team at 60; help and unreachable at once; safe: nothing."""
    world.keyring.erased.add("p4")
    await world.handle(*(world.register(f"p{number}") for number in range(1, 7)))
    await world.handle(world.change(Y), world.change(R))
    await failed(world, "p2", Channel.SMS)
    await failed(world, "p5", *Channel)
    await answers(world, "p1", "safe")
    await answers(world, "p3", "help")
    await answers(world, "p6", "safe", verified=False)
    now = utc_now()

    for _ in range(2):
        await escalation.run_escalations(world.escalation, now)
    at_once = await world.events_of(AlertEscalated)
    for minutes in (31, 31, 61, 61):
        await escalation.run_escalations(world.escalation, now + minutes * MINUTE)

    def rows(events: list[Event]) -> list[tuple[str, int, str, str]]:
        escalated = [event for event in events if isinstance(event, AlertEscalated)]
        return sorted((event.person_id, event.step, event.to, event.reason) for event in escalated)

    assert rows(at_once) == [
        ("p2", EscalationStep.SECOND_SMS, "sms", "failed"),
        ("p3", EscalationStep.CRISIS_TEAM, "crisis-unit", "help"),
        ("p4", EscalationStep.CRISIS_TEAM, "crisis-unit", "unreachable"),
        ("p5", EscalationStep.CRISIS_TEAM, "crisis-unit", "unreachable"),
    ]
    assert rows(await world.events_of(AlertEscalated)) == sorted(
        [
            *rows(at_once),
            *((person, EscalationStep.REMINDER, "reminder", "no_answer") for person in ("p2", "p6")),
            *((person, EscalationStep.CRISIS_TEAM, "crisis-unit", "no_answer") for person in ("p2", "p6")),
        ]
    )
    assert await world.steps("ES-2") == [
        (2, "p2", "alert_country", (Channel.SMS,)),
        (3, "p2", "reminder", tuple(Channel)),
        (3, "p6", "reminder", tuple(Channel)),
    ]
    teams = [who for who, kind in await world.notices() if kind == "incident"]
    assert teams == [
        "central-crisis-team@university.example", *(["incident-team@university.example"] * 2)
    ]  # fmt: skip


async def test_officer_records_a_call_and_help_that_comes_later_wins(world: World) -> None:
    """Needs help; an officer speaks to them: safe; they ask again: help."""
    await world.handle(world.register("p1"))
    await world.handle(world.change(Y), world.change(R))
    await answers(world, "p1", "help")

    await record_call(world.commands, officer(), "ES-2", "p1", "safe")
    spoken = await world.deliveries.answers.standing_by_person("ES-2")
    await answers(world, "p1", "help")

    assert (spoken, await world.deliveries.answers.standing_by_person("ES-2")) == ({"p1": "safe"}, {"p1": "help"})
    events = [event for event in await world.events_of(PersonAnswered) if isinstance(event, PersonAnswered)]
    assert [(event.via, event.recorded_by) for event in events] == [("link", None), ("officer", "o-1"), ("link", None)]
    given = (await world.deliveries.answers.records("ES-2", ["p1"]))["p1"]
    selected = await world.alerts.selections.recipient("ES-2", "p1")
    assert selected is not None
    selection, recipient = selected
    state = recipient_state(recipient.channels, selection.at, [], given)
    assert roll_call_status(state) is RollCallStatus.HELP


async def test_answer_is_confirmed_by_mail_once(world: World) -> None:
    """From notify's own topic, so a crash loses nothing: one mail for safe, one for help."""
    await world.handle(world.register("p1"))
    await world.handle(world.change(Y), world.change(R))
    for answer in ("safe", "safe", "help"):
        await answers(world, "p1", answer)

    for _ in range(2):
        envelopes = [parse(record.value) for record in await world.notifications()]
        await handlers.fold_own_events_when_published(envelopes, world.deps)

    assert await world.steps("ES-2") == [
        (5, "p1", "answer_received", (Channel.EMAIL,)),
        (6, "p1", "answer_received", (Channel.EMAIL,)),
    ]


async def test_what_an_officer_wrote_down_and_a_wrong_person_are_not_confirmed(world: World) -> None:
    """The officer has just spoken to them; and who has the number now is not the person."""
    await world.handle(world.register("p1"), world.register("p2"))
    await world.handle(world.change(Y), world.change(R))
    await record_call(world.commands, officer(), "ES-2", "p1", "safe")
    await answers(world, "p2", "wrong_person")

    envelopes = [parse(record.value) for record in await world.notifications()]
    await handlers.fold_own_events_when_published(envelopes, world.deps)

    assert await world.steps("ES-2") == []


async def test_step_that_two_processes_found_due_is_recorded_once(world: World) -> None:
    """Both decided before either recorded it. Another cry for help of the same person is another record."""
    await world.handle(world.register("p1"), world.register("p2"))
    await world.handle(world.change(Y), world.change(R))
    alert, recipients = await world.alerts.get("ES-2"), {}
    for person in ("p1", "p2"):
        found = await world.alerts.selections.recipient("ES-2", person)
        assert found is not None
        recipients[person] = found
    assert alert is not None

    async def record(number: int, *steps: alert_steps.PlannedStep) -> None:
        await alert_steps.record_steps(world.escalation, alert, number, steps, "rules", CAUSE, utc_now())

    reminders = [
        alert_steps.plan_step(*recipient, tuple(Channel), "reminder", "no_answer", "reminder")
        for recipient in recipients.values()
    ]
    cries = [alert_steps.plan_step(*recipients["p1"], (), "crisis-unit", "help", answer_id=cry) for cry in ("e1", "e2")]
    await record(EscalationStep.REMINDER, reminders[0])
    await record(EscalationStep.REMINDER, *reminders)
    await record(EscalationStep.REMINDER, *reminders)
    for cry in (cries[0], cries[1], cries[0]):
        await record(EscalationStep.CRISIS_TEAM, cry)

    escalated = [event for event in await world.events_of(AlertEscalated) if isinstance(event, AlertEscalated)]
    assert sorted((event.person_id, event.step, event.answer_id or "") for event in escalated) == [
        ("p1", 3, ""), ("p1", 4, "e1"), ("p1", 4, "e2"), ("p2", 3, "")
    ]  # fmt: skip
    assert await world.steps("ES-2") == [(3, person, "reminder", tuple(Channel)) for person in ("p1", "p2")]


# ---------------------------------------------------------------- closed alerts


async def test_commands_refuse_what_is_not_there_or_was_done_already(world: World) -> None:
    """An open alert is not reopened; nobody records a call with a person whom the alert did not tell."""
    await world.handle(world.register("p1"), world.register("p2", leg(country="FR")))
    await world.handle(world.change(Y), world.change(R))
    for command, status in (
        (reopen_alert(world.commands, officer(), "ES-2", "again"), 409),
        (reopen_alert(world.commands, officer(), "ES-9", "again"), 404),
        (close_alert(world.commands, officer(), "ES-9", "over"), 404),
        (record_call(world.commands, officer(), "ES-2", "p2", "safe"), 404),
        (close_alert(world.commands, officer(), "ES-2", "over", [Assignment("unit", person_id="p2")]), 400),
    ):
        with pytest.raises(Problem) as refused:
            await command
        assert refused.value.status == status

    alert = await world.alerts.get("ES-2")
    assert alert is not None
    assert not alert.is_closed
    assert await world.deliveries.answers.standing("ES-2", "p2") is None


async def test_closing_ends_the_conversation_with_everyone_selected_by_then_whatever_the_clocks_say(
    world: World,
) -> None:
    """The clock of the officer's process is behind that of the selection. Reopened, the conversation goes on."""
    await world.handle(world.register("p1"))
    await world.handle(world.change(Y), world.change(R))
    behind = officer(utc_now() - HOUR)

    await close_alert(world.commands, behind, "ES-2", "over", [Assignment("crisis-unit")])
    closed = await world.alerts.get("ES-2")
    assert await world.alerts.in_conversation(utc_now() - HOUR) == []
    assert await escalation.run_escalations(world.escalation, utc_now() + HOUR) == 0
    await reopen_alert(world.commands, officer(), "ES-2", "not over")

    selected = await world.alerts.selections.recipient("ES-2", "p1")
    assert selected is not None
    assert closed is not None
    assert closed.closed_at is not None
    assert closed.closed_at >= selected[0].at
    assert [alert.alert_id for alert in await world.alerts.in_conversation(utc_now() - HOUR)] == ["ES-2"]
    assert await escalation.run_escalations(world.escalation, utc_now() + HOUR) == 1


async def test_help_in_two_alerts_and_in_a_drill_escalates_in_each(world: World) -> None:
    """Each alert has its own team mail; a drill too, because a recipient may really need help."""
    await world.handle(world.register("p1"), world.register("p1", leg(country="FR"), registration="r-other"))
    for country in ("ES", "FR"):
        await world.handle(world.change(Y, country=country), world.change(R, country=country))
    world.select_with(drill_list=frozenset({contact_of("p1").email}))
    drill = await manual_alert(world, drill=True)
    for alert_id in ("ES-2", "FR-2", drill):
        given = PersonAnswered(
            alert_id=alert_id, shard=0, person_id="p1", answer="help", via="link", answered_at=utc_now()
        )
        await record_answer(world.outbox, world.deliveries, given, event_id=new_id(), now=utc_now())

    for _ in range(2):
        await escalation.run_escalations(world.escalation, utc_now())

    escalated = [event for event in await world.events_of(AlertEscalated) if isinstance(event, AlertEscalated)]
    assert sorted((event.alert_id, event.reason) for event in escalated) == [
        ("ES-2", "help"),
        ("ES-m1", "help"),
        ("FR-2", "help"),
    ]
    assert len(await world.notices()) == 2 * 3  # the incident team and the central team, for each


async def test_who_is_selected_by_a_process_whose_clock_is_behind_is_told_after_the_closing(world: World) -> None:
    """The closing is dated before the selection, whatever the clocks say: otherwise the messages would be cancelled."""
    await world.handle(world.register("p1"), world.change(Y), world.change(R))
    await close(world)
    closed = await world.alerts.get("ES-2")
    await world.handle(world.register("p2"), deps=replace(world.deps, selection=_blind(world)))

    await alert_arrivals(world.selection, {"ES"}, {"p2"}, cause=CAUSE, now=utc_now() - MINUTE)

    late = await world.alerts.selections.recipient("ES-2", "p2")
    assert late is not None
    assert closed is not None
    assert closed.closed_at is not None
    assert late[0].at > closed.closed_at
    await close_again_is_refused(world)
    await world.check()


def _blind(world: World) -> SelectionDeps:
    """Knows of no advice: the registration is stored, and nobody is selected."""
    return replace(world.selection, advice=AdviceStore(world.mongo.database("elsewhere")))


async def close_again_is_refused(world: World) -> None:
    """A closed alert cannot be closed again, also when a recipient came later."""
    with pytest.raises(Problem) as refused:
        await close(world)
    assert refused.value.reason == "already_closed"


async def test_alert_that_an_earlier_version_closed_gets_the_time_of_its_event(world: World) -> None:
    """Without it nobody could say who was selected before the closing. Once at the start, and once is enough."""
    await world.handle(world.register("p1"), world.change(Y), world.change(R))
    await close(world)
    before = await world.alerts.get("ES-2")
    await world.database["alerts"].update_one({"_id": "ES-2"}, {"$unset": {"state.closedAt": ""}})

    for _ in range(2):
        await world.alerts.note_closing_times(world.outbox)

    assert await world.alerts.get("ES-2") == before
