"""Notify's stores on a real MongoDB: what an older state, a competing writer and a redelivery may not undo."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.notify.model.answers import AnswerRecord
from services.notify.model.office_cases import CaseChange, CaseKind, OfficeCase
from services.notify.model.planned_mails import PlannedMail
from services.notify.model.whereabouts import Whereabouts
from services.notify.rules.service_mail import Group, MailPlan, Reason
from services.notify.store.advice import EXPIRED_HOLD_WAIT, AdviceStore
from services.notify.store.answers import AnswerStore
from services.notify.store.contacts import NumberMatch
from services.notify.store.office_cases import OfficeCaseStore
from services.notify.store.whereabouts import NewContact, PastState, WhereaboutsUpdate
from shared.clock import utc_now
from shared.envelope import Envelope
from shared.events import Channel, Level, PersonAnswered, TravelAdviceChanged
from shared.privacy.contact import StudentContact
from tests.integration.notify_world import KEY, World, contact_of, notify
from tests.rules import notify_world as build

G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    async with notify(stack, namespace) as world:
        yield world


class PausedReader:
    """A collection whose first reader halts after it has read, until `go_on`: another writer comes in between."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self.has_read = asyncio.Event()
        self.go_on = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def find_one(self, *arguments: Any, **options: Any) -> Any:
        """As of the collection. Who reads after the first one does not halt."""
        document = await self._collection.find_one(*arguments, **options)
        if not self.has_read.is_set():
            self.has_read.set()
            await self.go_on.wait()
        return document


# ---------------------------------------------------------------- whereabouts and contact details


def version(number: int, region: str) -> Whereabouts:
    """The registration of p1 in this version: from now on in this region."""
    where = build.whereabouts(build.stay(region=region), person="p1")
    return where.model_copy(update={"version": number, "changed_at": build.NOW + number * MINUTE})


def update(number: int, region: str, person: str, *, replaces: bool) -> WhereaboutsUpdate:
    """That version with the contact details of `person`."""
    where = version(number, region)
    contact = NewContact(StudentContact(contact_of(person)))
    states = (PastState(where, where.changed_at),)
    return WhereaboutsUpdate(where, contact, states, tuple(Channel) if replaces else (), replaces)


@pytest.mark.parametrize("replaces", [False, True])
async def test_older_state_of_a_registration_never_overwrites_a_newer_one(world: World, replaces: bool) -> None:
    """A process that was slow stores version 2 after another one stored version 3: place and address stay the newer."""
    await world.whereabouts.put([update(1, "ES-MD", "p10", replaces=False)])
    await world.whereabouts.put([update(3, "ES-CT", "p30", replaces=replaces)])

    await world.whereabouts.put([update(2, "ES-GA", "p20", replaces=replaces)])
    await world.whereabouts.put([update(3, "ES-GA", "p20", replaces=replaces)])

    where = (await world.whereabouts.load(["r-p1"]))["r-p1"]
    (snapshot,) = await world.whereabouts.of_persons("ES", ["p1"])
    assert (where.version, where.stays[0].region) == (3, "ES-CT")
    assert (snapshot.version, snapshot.whereabouts().stays[0].region) == (3, "ES-CT")
    assert (await world.whereabouts.contacts.addresses(["r-p1"]))["r-p1"].email == contact_of("p30").email
    assert await world.whereabouts.contacts.match_number(contact_of("p20").mobile) == NumberMatch()
    past = await world.database["itineraries"].find({}, {"version": 1, "state": 1}).sort("version", 1).to_list(None)
    assert [(state["version"], state["state"]["stays"][0]["region"]) for state in past] == [
        (1, "ES-MD"), (2, "ES-GA"), (3, "ES-CT")
    ]  # fmt: skip


async def test_address_that_changes_while_the_former_change_is_handled_is_handled_too(world: World) -> None:
    """Escalation has read the change of version 2; version 3 comes; only the note about version 2 goes."""
    await world.whereabouts.put([update(1, "ES-MD", "p10", replaces=False)])
    await world.whereabouts.put([update(2, "ES-MD", "p20", replaces=True)])
    (second,) = await world.whereabouts.contacts.changed_addresses(10)
    await world.whereabouts.put([update(3, "ES-MD", "p30", replaces=True)])

    await world.whereabouts.contacts.note_handled(second)

    (third,) = await world.whereabouts.contacts.changed_addresses(10)
    assert third.where.version == 3
    await world.whereabouts.contacts.note_handled(third)
    assert await world.whereabouts.contacts.changed_addresses(10) == []


async def test_message_is_repeated_to_the_address_that_it_was_begun_to(world: World) -> None:
    """Of three addresses: the one that was in force at that time by the database's clock."""
    for number, person in enumerate(("p10", "p20", "p30"), start=1):
        await world.whereabouts.put([update(number, "ES-MD", person, replaces=number > 1)])
    first_until, second_until = build.NOW, build.NOW + MINUTE
    times = {"earlier.0.until": first_until, "earlier.1.until": second_until}
    await world.database["whereabouts"].update_one({"_id": "r-p1"}, {"$set": times})

    async def address(at: datetime | None) -> str:
        return (await world.whereabouts.contacts.addresses(["r-p1"], at))["r-p1"].email

    assert await address(first_until - SECOND) == contact_of("p10").email
    assert await address(first_until) == contact_of("p10").email
    assert await address(second_until) == contact_of("p20").email
    assert await address(second_until + SECOND) == contact_of("p30").email
    assert await address(None) == contact_of("p30").email


async def test_details_for_service_mail_of_an_erased_person_are_not_kept(world: World) -> None:
    """The event of a slot arrives after the erasure, and its contact still opened: nothing is left of it."""
    await world.whereabouts.contacts.erase("p1")

    await world.whereabouts.contacts.put_without_registration("slot-1", "p1", contact_of("p1"))
    await world.whereabouts.contacts.put_without_registration("slot-2", "p2", contact_of("p2"))

    assert set(await world.whereabouts.contacts.of_registrations(["slot-1", "slot-2"])) == {"slot-2"}
    assert await world.whereabouts.contacts.is_erased("p1")
    assert not await world.whereabouts.contacts.is_erased("p2")


async def test_details_for_service_mail_that_are_stored_stay_as_they_are(world: World) -> None:
    """A redelivered event may hold details that were corrected since: the mail was made for the first details."""
    await world.whereabouts.contacts.put_without_registration("slot-1", "p1", contact_of("p10"))
    await world.whereabouts.contacts.put_without_registration("slot-1", "p1", contact_of("p20"))

    stored = await world.whereabouts.contacts.of_registrations(["slot-1"])

    assert stored["slot-1"].email == contact_of("p10").email


async def test_note_about_a_registration_that_nobody_can_judge_ends_with_its_next_version(world: World) -> None:
    """The same version again, or an older one, leaves the note; a newer one is judged anew."""
    await world.whereabouts.unjudged.note({"r-p1": 2, "r-p2": 1}, utc_now())

    for number, notes in ((1, 2), (2, 2), (3, 1)):
        await world.whereabouts.put([update(number, "ES-MD", "p10", replaces=False)])
        assert await world.whereabouts.unjudged.count() == notes


# ---------------------------------------------------------------- advice


def advised(
    number: int, before: Level | None, after: Level, hold: str | None = None, until: datetime | None = None
) -> Envelope[TravelAdviceChanged]:
    """The advice of Spain in this version; held until then where a hold is named."""
    event = build.change(number, before, after).model_copy(update={"hold_id": hold, "alerts_held_until": until})
    return Envelope(
        id=f"advice-{number}", source="/safety", type="TravelAdviceChanged", subject="ES", time=build.NOW,
        streamversion=number, correlationid="c", causationid="c", traceparent=None, sequence=None,
        prevhash=None, data=event,
    )  # fmt: skip


async def standing(store: AdviceStore) -> tuple[int, Level | None, bool]:
    """The current advice of Spain: version, level, and whether it asks for a selection run."""
    advice = await store.get("ES")
    assert advice is not None
    return advice.advice_version, advice.whole.level, await store.raises_alert("ES", advice.advice_version)


async def test_older_advice_never_replaces_a_newer_one(world: World) -> None:
    """A slow process read the country before version 3 was stored, and stores its version 2 afterwards."""
    store, slow = world.advice_store, AdviceStore(world.database)
    now = utc_now()
    await store.put(advised(1, None, G), now)
    paused = PausedReader(world.database["advice"])
    slow._advice = paused  # type: ignore[assignment]  # the collection is an argument of nobody
    older = asyncio.create_task(slow.put(advised(2, G, Y), now))
    await paused.has_read.wait()

    await store.put(advised(3, Y, R), now)
    paused.go_on.set()
    await older
    await store.put(advised(2, G, Y), now)

    assert await standing(store) == (3, R, True)
    assert await store.negative() == ["ES"]


@pytest.mark.parametrize(("accepted", "stands"), [(True, (2, R, True)), (False, (1, Y, False))])
async def test_decision_about_a_hold_that_comes_before_its_advice_counts(
    world: World, accepted: bool, stands: tuple[int, Level, bool]
) -> None:
    """The advice was parked and is put back after a person decided. A decision about another hold does not count."""
    now = utc_now()
    await world.advice_store.put(advised(1, None, Y), now)
    await world.advice_store.decide("ES", "h-other", not accepted)
    await world.advice_store.decide("ES", "h-1", accepted)

    await world.advice_store.put(advised(2, Y, R, "h-1", now + HOUR), now)
    await world.advice_store.release_due(now + 2 * HOUR)

    assert await standing(world.advice_store) == stands


async def test_decision_for_a_country_without_advice_makes_it_negative_nowhere(world: World) -> None:
    """Only the decision is known: no level, no alert, and the advice that follows is the first one."""
    await world.advice_store.decide("ES", "h-1", accepted=True)

    assert await world.advice_store.get("ES") is None
    assert await world.advice_store.negative() == []
    assert await world.advice_store.unswept(utc_now().date()) == []
    await world.advice_store.put(advised(1, None, R), utc_now())
    assert await standing(world.advice_store) == (1, R, False)


async def test_hold_that_expired_before_it_is_read_waits_for_a_decision_behind_it(world: World) -> None:
    """Notify was away: the rejection stands right behind the advice in the topic, and has not been read yet."""
    now = utc_now()
    await world.advice_store.put(advised(1, None, Y), now)
    await world.advice_store.put(advised(2, Y, R, "h-1", now - HOUR), now)

    await world.advice_store.release_due(now + EXPIRED_HOLD_WAIT - SECOND)
    assert await standing(world.advice_store) == (1, Y, False)
    await world.advice_store.release_due(now + EXPIRED_HOLD_WAIT)

    assert await standing(world.advice_store) == (2, R, True)


async def test_newer_held_advice_replaces_an_older_held_one_and_keeps_its_alert(world: World) -> None:
    """Red is held, then its text changes and is held too: the older one, redelivered, changes nothing; once accepted,
    the run that version 2 asked for follows.
    """
    now = utc_now()
    await world.advice_store.put(advised(1, None, Y), now)
    await world.advice_store.put(advised(2, Y, R, "h-1", now + HOUR), now)
    await world.advice_store.put(advised(3, R, R, "h-2", now + HOUR), now)
    await world.advice_store.put(advised(2, Y, R, "h-1", now + HOUR), now)
    await world.advice_store.decide("ES", "h-1", accepted=False)  # about a hold that is over
    assert await standing(world.advice_store) == (1, Y, False)

    await world.advice_store.decide("ES", "h-2", accepted=True)

    assert await standing(world.advice_store) == (3, R, True)


async def test_held_advice_outlives_an_older_one_that_is_put_back(world: World) -> None:
    """Version 2 was parked: when it is put back, version 3 is still held, and is released when its hold expires."""
    now = utc_now()
    await world.advice_store.put(advised(1, None, G), now)
    await world.advice_store.put(advised(3, Y, R, "h-1", now + HOUR), now)

    await world.advice_store.put(advised(2, G, Y), now)

    assert await standing(world.advice_store) == (2, Y, False)
    await world.advice_store.release_due(now + HOUR - SECOND)
    assert await standing(world.advice_store) == (2, Y, False)
    await world.advice_store.release_due(now + HOUR)
    assert await standing(world.advice_store) == (3, R, True)


# ---------------------------------------------------------------- answers


def answered(answer: Any) -> PersonAnswered:
    """The answer of p1 by link."""
    return PersonAnswered(alert_id="ES-2", shard=0, person_id="p1", answer=answer, via="link", answered_at=build.NOW)


@pytest.mark.parametrize("is_first", [True, False])
async def test_two_processes_that_store_answers_at_once_lose_no_cry_for_help(world: World, is_first: bool) -> None:
    """One read the answers and halts; another stores "help"; then the first one stores "safe": help stands."""
    quick, slow = world.deliveries.answers, AnswerStore(world.database, KEY)
    if not is_first:
        await quick.store("e0", build.NOW, answered("safe"))
    paused = PausedReader(world.database["answers"])
    slow._answers = paused  # type: ignore[assignment]  # the collection is an argument of nobody
    safe = asyncio.create_task(slow.store("e2", build.NOW + SECOND, answered("safe")))
    await paused.has_read.wait()

    await quick.store("e1", build.NOW, answered("help"))
    paused.go_on.set()
    await safe

    assert await quick.standing("ES-2", "p1") == "help"
    records = (await quick.records("ES-2", ["p1"]))["p1"]
    assert {record.event_id for record in records} == {"e1", "e2"} | (set() if is_first else {"e0"})


async def test_answer_that_is_folded_again_is_one_answer(world: World) -> None:
    """Redelivered, also after a later one: nothing is added, and the time of the first fold stays."""
    for event_id, answer, seconds in (("e1", "help", 0), ("e2", "safe", 1), ("e1", "help", 60)):
        await world.deliveries.answers.store(event_id, build.NOW + seconds * SECOND, answered(answer))

    records: list[AnswerRecord] = (await world.deliveries.answers.records("ES-2", ["p1"]))["p1"]

    assert [(record.event_id, record.known_at) for record in records] == [
        ("e1", build.NOW), ("e2", build.NOW + SECOND)
    ]  # fmt: skip


# ---------------------------------------------------------------- planned mails


def planned(mail_id: str, number: int = 1, **more: Any) -> PlannedMail:
    """A mail about r-1 that version `number` of its registration asks for, due at once."""
    fields = {"kind": "registration_cleared", "about": "r-1", "group": Group.OUTCOME, "person_id": "p1"} | more
    return PlannedMail(mail_id=mail_id, version=number, at=build.NOW, due_at=build.NOW, **fields)


async def mail_states(world: World) -> dict[str, tuple[str, str]]:
    """Mail → its state and the reason."""
    documents = world.database["plannedmails"].find({})
    return {document["_id"]: (document["state"], document["reason"]) async for document in documents}


async def test_event_ends_only_the_waiting_mails_that_older_events_asked_for(world: World) -> None:
    """Version 3 is handled; version 2, delivered late, ends nothing of it. A sent mail stays sent."""
    mails = world.planned_mails
    await mails.put([("r-1", 1, MailPlan(mails=(planned("sent"), planned("waits"))))])
    await mails.settle({"sent": Reason.TRUE})
    newer = MailPlan(ends=(Group.OUTCOME,), mails=(planned("newer", 3),))
    older = MailPlan(ends=(Group.OUTCOME,), mails=(planned("older", 2),))

    await mails.put([("r-1", 3, newer)])
    await mails.put([("r-1", 2, older)])
    await mails.put([("r-1", 3, newer), ("r-2", 9, replace(newer, mails=()))])

    assert await mail_states(world) == {
        "sent": ("sent", Reason.TRUE.value),
        "waits": ("dropped", Reason.NO_LONGER_TRUE.value),
        "newer": ("waiting", ""),
        "older": ("dropped", Reason.NO_LONGER_TRUE.value),
    }


async def test_mail_is_settled_once(world: World) -> None:
    """Two processes find it due: the second one is told that it was not waiting, and sends nothing."""
    await world.planned_mails.put([("r-1", 1, MailPlan(mails=(planned("a"), planned("b"))))])

    first = await world.planned_mails.settle({"a": Reason.TRUE})
    second = await world.planned_mails.settle({"a": Reason.NO_LONGER_TRUE, "b": Reason.TRUE, "unknown": Reason.TRUE})

    assert (first, second) == ({"a"}, {"b"})
    assert await mail_states(world) == {"a": ("sent", "true"), "b": ("sent", "true")}
    assert await world.planned_mails.due(build.NOW + HOUR, 10) == []


@pytest.mark.parametrize(
    ("before", "state"), [("nothing", "dropped"), ("planned", "dropped"), ("sent", "sent"), ("dropped", "dropped")]
)
async def test_reminder_of_a_student_who_registered_is_not_sent_in_any_order(
    world: World, before: str, state: str
) -> None:
    """The registration is handled before the grant or after it; a reminder that left is not said to be unsent."""
    plan = MailPlan(mails=(planned("m"),))
    if before != "nothing":
        await world.planned_mails.put([("a-1", 1, plan)])
    if before in ("sent", "dropped"):
        await world.planned_mails.settle({"m": Reason.TRUE if before == "sent" else Reason.NO_LONGER_TRUE})

    await world.planned_mails.put([("r-1", 1, MailPlan(needless=(planned("m"),)))])
    await world.planned_mails.put([("a-1", 1, plan)])

    assert (await mail_states(world))["m"][0] == state
    assert await world.planned_mails.needless(["m"]) == (set() if state == "sent" else {"m"})


# ---------------------------------------------------------------- cases of offices


def opened(name: str = "t-1", number: int = 1, at: datetime = build.NOW) -> CaseChange:
    """A task that opens."""
    case = OfficeCase(
        case_id=name, kind=CaseKind.TASK, queue="coordinator", about="r-1", version=number, opened_at=at, rule="R7"
    )
    return CaseChange(name, number, case)


async def cases(world: World) -> dict[str, tuple[int, bool, str | None]]:
    """Case → version, whether it is open, and what mailed it."""
    documents = world.database["officecases"].find({})
    return {
        document["_id"]: (document["version"], document["state"]["isOpen"], document["mailedBy"])
        async for document in documents
    }


class SlowCases(OfficeCaseStore):
    """Cases whose first writer halts after it has read."""

    def __init__(self, database: Any, between: Callable[[], Any]) -> None:
        super().__init__(database)
        self._between: Callable[[], Any] | None = between

    async def _load(self, case_ids: Any) -> dict[str, OfficeCase]:
        loaded = await super()._load(case_ids)
        between, self._between = self._between, None
        if between is not None:
            await between()
        return loaded


@pytest.mark.parametrize("is_new", [True, False])
async def test_competing_writers_of_a_case_keep_the_newest_version(world: World, is_new: bool) -> None:
    """One process opens the case; before it stores that, another has opened and closed it: it stays closed."""
    store = world.service_mail.cases
    if not is_new:
        await store.apply([opened(number=1), CaseChange("t-1", 2)])

    async def meanwhile() -> None:
        await store.apply([opened(number=3), CaseChange("t-1", 4)])

    await SlowCases(world.database, meanwhile).apply([opened(number=3)])

    assert (await cases(world))["t-1"][:2] == (4, False)


@pytest.mark.parametrize("is_new", [True, False])
async def test_competing_writers_of_a_case_lose_no_change(world: World, is_new: bool) -> None:
    """One process has an older state before it and closes the case; another opens it in between: it is closed."""
    store = world.service_mail.cases
    if not is_new:
        await store.apply([opened(number=1), CaseChange("t-1", 2)])

    async def meanwhile() -> None:
        await store.apply([opened(number=3)])

    await SlowCases(world.database, meanwhile).apply([opened(number=3), CaseChange("t-1", 5)])

    assert (await cases(world))["t-1"][:2] == (5, False)


async def test_case_is_mailed_once_and_anew_when_it_opens_again(world: World) -> None:
    """The second decision about a case changes nothing; an event about an open case does not make it new."""
    store = world.service_mail.cases
    await store.apply([opened()])
    (case,) = await store.undecided(10)
    await store.note_mailed([case], "n-1", "office@university.example", build.NOW)
    await store.note_mailed([case], "n-2", "other@university.example", build.NOW)
    await store.leave_to_digest([case])
    await store.apply([opened(number=2, at=build.NOW + HOUR)])
    assert await cases(world) == {"t-1": (2, True, "n-1")}

    await store.apply([CaseChange("t-1", 3), opened(number=4, at=build.NOW + 2 * HOUR)])

    assert await cases(world) == {"t-1": (4, True, None)}
    assert await store.count_undecided() == 1


async def test_pause_between_mails_to_an_office_counts_what_was_mailed_to_it_within_the_time(world: World) -> None:
    """After `since`, until now: not another mailbox, not a mail at that very moment, and not one from the future."""
    store, office = world.service_mail.cases, "office@university.example"
    await store.apply([opened()])
    await store.note_mailed(await store.undecided(10), "n-1", office, build.NOW)

    async def mailed(since: datetime, now: datetime, mailbox: str = office) -> bool:
        return await store.mailed_between(mailbox, since, now)

    assert await mailed(build.NOW - SECOND, build.NOW)
    assert not await mailed(build.NOW, build.NOW + HOUR)
    assert not await mailed(build.NOW - HOUR, build.NOW - SECOND)
    assert not await mailed(build.NOW - SECOND, build.NOW, "other@university.example")
