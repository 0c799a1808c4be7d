"""Erasure on real parts: after it no store of registration and no topic holds the canary, and the chain verifies."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from bson import BSON

from services.passage.rebuild import ShadowRebuild
from services.registration.commands.erasure import (
    DeleteElsewhere,
    ErasureDeps,
    Ground,
    erase,
    finish_open_erasures,
)
from services.registration.commands.form import RegistrationForm
from services.registration.commands.submit import submit
from services.registration.model import Status
from services.registration.retention import erase_after_retention, retention_candidates
from services.registration.scheduler import record_due_events
from services.registration.store.persons import PersonsStore
from shared.audit.chain import ChainVerifier
from shared.audit.event_query import ReadingReport, follow
from shared.audit.projections import Difference
from shared.audit.reader import Reader
from shared.clock import amsterdam_date, utc_now
from shared.envelope import Envelope
from shared.events import (
    ActivityType,
    AlertClosed,
    AlertRaised,
    AlertReopened,
    AlertTrigger,
    Leg,
    Level,
    Recipient,
    RecipientsSelected,
    RegistrationCancelled,
    RegistrationEvent,
    ReturnRecorded,
    StudyAnswers,
)
from shared.ids import new_id
from shared.mongo.client import Mongo
from shared.privacy.contact import ContactDetails
from shared.privacy.keyring import Keyring
from shared.web.idempotency import Answer
from shared.web.identity import Identity
from shared.web.problem import Problem
from tests.conftest import Stack
from tests.integration.bus_world import prepare, running, side, until
from tests.integration.registration_parts import KEY, Parts, Pauses, command_by, journey, parts, permissions_with

CANARY = "Canaryfeather"
CONTACT = ContactDetails(
    given_name=CANARY, surname=f"{CANARY}sson", email=f"{CANARY.lower()}@example.org", mobile="+31612349876"
)


@pytest.fixture
async def made(stack: Stack, namespace: str) -> AsyncIterator[Parts]:
    """The service's parts."""
    async with parts(stack.mongo, namespace) as found:
        yield found


@pytest.fixture
def pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pauses:
    """No failpoint is armed yet."""
    monkeypatch.setenv("FAILPOINTS_DIR", str(tmp_path))
    return Pauses(tmp_path)


def deps(made: Parts, *delete_elsewhere: DeleteElsewhere) -> ErasureDeps:
    """What an erasure works with."""
    database = made.mongo.database("registration")
    return ErasureDeps(made.mongo, database, made.store, PersonsStore(database), made.keyring, delete_elsewhere)


async def leaver(made: Parts) -> tuple[str, str]:
    """A person who registered and cancelled: (personId, registrationId)."""
    person_id = await made.keyring.person_id("issuer", new_id())
    answer = await submit_for(made, person_id)
    registration_id = str(answer.body["registrationId"])
    fact = RegistrationCancelled(registration_id=registration_id, person_id=person_id, cancelled_by=person_id)
    await made.add(registration_id, fact)
    return person_id, registration_id


async def submit_for(made: Parts, person_id: str) -> Answer:
    """The person submits a journey that begins in forty days."""
    start = amsterdam_date(utc_now()) + timedelta(days=40)
    form = RegistrationForm(
        approval_id=None,
        faculty_id="example-sciences",
        programme_id="example-biology",
        activity_type=ActivityType.INTERNSHIP,
        legs=(Leg(start_date=start, end_date=start, country="ES", place=f"{CANARY} sur Mer"),),
        answers=StudyAnswers(credits=False, university_funding=False, transcript_entry=False),
        contact=CONTACT,
        language="en",
        overlaps_known=True,
    )
    return await submit(made.commands, form, command_by(permissions_with(person_id, "student")))


async def ask(where: ErasureDeps, person_id: str, by: str) -> Any:
    """An officer requests the erasure, or confirms it."""
    return await erase(where, person_id, Ground.REQUEST, command_by(Identity(by, frozenset({"safety-officer"}))))


async def holds_canary(made: Parts) -> list[str]:
    """Collections of registration with a document that has the canary in clear, read as bytes."""
    database, found = made.mongo.database("registration"), []
    for name in await database.list_collection_names():
        async for document in database[name].find({}):
            if CANARY.lower().encode() in BSON.encode(document).lower():
                found.append(name)
    return found


async def test_erased_person_is_in_no_store_and_no_topic_and_the_chain_verifies(
    made: Parts, stack: Stack, namespace: str
) -> None:
    """Personal data are never stored in clear. Before the erasure they can be opened, afterwards by no process."""
    await prepare(stack, namespace)
    await made.advise("ES", Level.GREEN, 1)
    person_id, registration_id = await leaver(made)
    other, other_registration = await leaver(made)
    deleted: list[tuple[str, tuple[str, ...]]] = []

    async def delete(person: str, registrations: Any) -> None:
        deleted.append((person, tuple(registrations)))

    where = deps(made, delete)
    registration = side(stack, namespace, "registration")
    async with running(registration.relay()):
        assert (await ask(where, person_id, "officer-1")).body["state"] == "requested"
        assert (await ask(where, person_id, "officer-1")).body["state"] == "requested"
        assert (await ask(where, person_id, "officer-2")).body["state"] == "erased"
        await until(lambda: _published(made))
    registration.mongo.close()

    assert await holds_canary(made) == []
    assert deleted == [(person_id, (registration_id,))]
    verifier, values = ChainVerifier(RegistrationEvent.topic), []
    async with Reader(stack.kafka, namespace) as reader:
        async for record in reader.in_order([RegistrationEvent.topic]):
            verifier.feed(record)
            values.append(record.value or b"")
    assert list(verifier.findings()) == []
    assert not any(CANARY.lower().encode() in value.lower() for value in values)
    assert sum(b'"PersonErased"' in value for value in values) == 1
    fresh = Keyring(made.mongo, KEY)
    gone, kept = [
        (await made.store.registrations.load(stream)).state for stream in (registration_id, other_registration)
    ]
    assert gone is not None
    assert kept is not None
    assert await fresh.open(gone.contact, "/contact") is None
    assert (await fresh.open(kept.contact, "/contact"))["givenName"] == CANARY
    assert other != person_id


async def test_rebuilt_from_kafka_alone_is_the_same(made: Parts, stack: Stack, namespace: str) -> None:
    """Registrations and tasks, also of an erased person, with every record twice on the topic; a change is named."""
    await prepare(stack, namespace)
    await made.advise("ES", Level.RED, 1)
    person_id, _ = await leaver(made)
    await made.submit([journey(20, person_id=new_id()) for _ in range(40)], utc_now())
    await record_due_events(made.evaluation, utc_now() + timedelta(days=30))
    where = deps(made)
    await ask(where, person_id, "officer-1")
    await ask(where, person_id, "officer-2")
    registration = side(stack, namespace, "registration")
    async with running(registration.relay()):
        await until(lambda: _published(made))
    registration.mongo.close()
    await publish_again(stack, namespace)

    differing, compared = await audit_diff(stack, namespace)

    assert differing == []
    assert compared["registration.registrations"] == 41
    assert compared["registration.tasks"] == await made.store.tasks.collection.count_documents({})
    live = made.store.registrations.collection
    document = await live.find_one({})
    assert document is not None
    await live.update_one({"_id": document["_id"]}, {"$set": {"status": "approved"}})
    differing, _ = await audit_diff(stack, namespace)
    assert [(difference.id, difference.fields) for difference in differing] == [(document["_id"], ("status",))]


async def publish_again(stack: Stack, namespace: str) -> None:
    """Publish every record of the topic once more, byte for byte, as a relay does that has crashed."""
    async with Reader(stack.kafka, namespace) as reader:
        records = [record async for record in reader.in_order([RegistrationEvent.topic])]
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka)
    await producer.start()
    try:
        for record in records:
            await producer.send_and_wait(
                namespace + RegistrationEvent.topic, record.value, key=record.key, partition=record.partition
            )
    finally:
        await producer.stop()


async def audit_diff(stack: Stack, namespace: str) -> tuple[list[Difference], dict[str, int]]:
    """What `passage audit diff` says of registration: the differences, and how many documents it compared."""
    report = ReadingReport()
    shadow = ShadowRebuild(Mongo(stack.mongo, namespace=namespace))
    try:
        async with Reader(stack.kafka, namespace) as reader:
            # Reminders were recorded on a later day, which is no wrong clock.
            async for evidence in follow(reader, report, utc_now() + timedelta(days=31)):
                await shadow.fold(evidence)
        await shadow.flush()
        differences = [difference async for difference in shadow.differences() if difference.service == "registration"]
    finally:
        await shadow.close()
    assert not report.trouble, "a record is unreadable or missing"
    return differences, shadow.counts


@pytest.mark.fault("an erasure that dies between its event and the deletion")
async def test_erasure_that_died_after_the_fact_is_finished_by_the_next_process(made: Parts) -> None:
    """The event is stored, the key still exists: another process finishes the erasure, once."""
    person_id, _ = await leaver(made)

    async def dies(person: str, registrations: Any) -> None:
        raise ConnectionError

    await ask(deps(made, dies), person_id, "officer-1")
    with pytest.raises(ConnectionError):
        await ask(deps(made, dies), person_id, "officer-2")

    await finish_open_erasures(deps(made), utc_now())

    standing = await deps(made).persons.erasure(person_id)
    assert standing is not None
    assert standing["state"] == "erased"
    assert await Keyring(made.mongo, KEY).key(person_id) is None
    events = [event async for event in made.store.outbox.events.find({"stream": person_id})]
    assert len(events) == 1


@pytest.mark.fault("four officers erase one person at the same moment")
async def test_two_officers_who_ask_at_the_same_moment_erase_once(made: Parts) -> None:
    """The second request confirms it; there is one event."""
    person_id, _ = await leaver(made)
    where = deps(made)

    found = await asyncio.gather(*(ask(where, person_id, f"officer-{n}") for n in range(4)), return_exceptions=True)

    assert {answer.body["state"] for answer in found if not isinstance(answer, BaseException)} == {
        "requested",
        "erased",
    }
    assert await made.store.outbox.events.count_documents({"stream": person_id}) == 1


@pytest.mark.fault("a registration submitted while its student is being erased")
async def test_who_registers_while_being_erased_is_told_so(made: Parts, pauses: Pauses) -> None:
    """Neither side sees the other before its commit: the student is told, and the registration is cancelled."""
    person_id, _ = await leaver(made)
    where = deps(made)
    await ask(where, person_id, "officer-1")
    async with pauses.at("decided_provisionally") as is_reached:
        registering = asyncio.create_task(submit_for(made, person_id))
        await until(is_reached)
        assert (await ask(where, person_id, "officer-2")).body["state"] == "erased"
    with pytest.raises(Problem) as told:
        await registering

    await finish_open_erasures(where, utc_now())

    assert (told.value.status, told.value.reason) == (409, "being_erased")
    assert {registration.status for registration in await where.persons.registrations_of(person_id)} == {
        Status.CANCELLED
    }


@pytest.mark.fault("an erasure confirmed while its student registers")
async def test_who_registered_before_the_look_is_not_erased(made: Parts, pauses: Pauses) -> None:
    """The erasure sees the journey and is refused; the key stays, and a later submission succeeds."""
    person_id, _ = await leaver(made)
    where = deps(made)
    await ask(where, person_id, "officer-1")
    async with pauses.at("erasure_marked") as is_reached:
        erasing_ = asyncio.create_task(ask(where, person_id, "officer-2"))
        await until(is_reached)
        with pytest.raises(Problem) as told:
            await submit_for(made, person_id)
    with pytest.raises(Problem) as refused:
        await erasing_

    assert (told.value.reason, refused.value.reason) == ("being_erased", "journey_ahead")
    assert await Keyring(made.mongo, KEY).key(person_id) is not None
    assert (await submit_for(made, person_id)).status == 201


async def test_open_alert_stands_in_the_way_until_it_is_closed(made: Parts) -> None:
    """From notify's events, in any order; a notice is no alert."""
    person_id, _ = await leaver(made)
    where = deps(made)
    selected = RecipientsSelected(
        alert_id="ES-7", shard=0, late=False,
        recipients=(
            Recipient(person_id=person_id, registration_id="r", registration_version=1, reason="country", area="ES",
                      level=Level.RED, channels=()),
        ),
    )  # fmt: skip
    raised = AlertRaised(
        alert_id="ES-7", trigger=AlertTrigger.ADVICE_CHANGED, country="ES", advice_version=7, advice_event_id="e",
        as_of=utc_now(), shard_count=1, templates={},
    )  # fmt: skip
    notice = selected.model_copy(update={"alert_id": "n-1"})

    await where.persons.save_alerts([_told(notice, 1)])
    assert await where.persons.open_alerts(person_id) == 0
    await where.persons.save_alerts([_told(selected, 1), _told(raised, 1)])
    await where.persons.save_alerts([_told(selected, 1)])
    with pytest.raises(Problem) as refused:
        await ask(where, person_id, "officer-1")
    closed = _told(AlertClosed(alert_id="ES-7", closed_by="o", reason="over"), 2)
    reopened = _told(AlertReopened(alert_id="ES-7", reopened_by="o", reason="not over"), 3)
    await where.persons.save_alerts([closed, reopened])
    assert await where.persons.open_alerts(person_id) == 1
    await where.persons.save_alerts([closed])
    await where.persons.save_alerts([_told(selected, 1)])

    assert (refused.value.status, refused.value.reason) == (409, "open_alert")
    assert (await ask(where, person_id, "officer-1")).body["state"] == "requested"


async def test_retention_shows_first_and_erases_whose_time_is_over(made: Parts) -> None:
    """Long over and returned: erased. Long over without a return, or not long enough: kept, with the reason."""
    kept, now = timedelta(days=365), utc_now()
    long_ago, missing, lately = await made.submit(
        [journey(-500, 30), journey(-500, 30), journey(-100, 30)], now - timedelta(days=520)
    )
    for loaded in (long_ago, lately):
        assert loaded.state is not None
        await made.add(
            loaded.id,
            ReturnRecorded(
                registration_id=loaded.id, person_id=loaded.state.person_id, on=loaded.state.return_date,
                outcome="returned", recorded_by="officer-1",
            ),
        )  # fmt: skip
    where = deps(made)

    preview = {
        due.person_id: due.decision.reason async for due in retention_candidates(where, kept, amsterdam_date(now))
    }
    count = await erase_after_retention(where, kept, now=now)
    again = await erase_after_retention(where, kept, now=now)

    assert long_ago.state is not None
    assert missing.state is not None
    assert preview == {long_ago.state.person_id: "erasable", missing.state.person_id: "return_not_recorded"}
    assert (count, again) == (1, 0)
    fact = [event async for event in made.store.outbox.events.find({"stream": long_ago.state.person_id})]
    assert b'"reason":"retention"' in bytes(fact[0]["body"])
    assert b'"confirmedBy":null' in bytes(fact[0]["body"])


def _told(event: Any, version: int) -> Envelope[Any]:
    now: datetime = utc_now()
    return Envelope(
        new_id(), type(event).__name__, "/notify", now, event.stream, version, "c", "c", None, 1, None, event
    )  # fmt: skip


async def _published(made: Parts) -> bool:
    return await made.store.outbox.events.count_documents({"pending": True}) == 0
