"""Erasure on real parts: after it no store of registration and no topic holds the canary, and the chain verifies."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
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
    finish_erasure,
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
from shared.bus.history import history
from shared.clock import amsterdam_date, in_amsterdam, utc_now
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
    TaskOpened,
)
from shared.ids import derived_id, new_id
from shared.mongo.client import Mongo, MongoUnavailable
from shared.privacy.contact import ContactDetails
from shared.privacy.keyring import Keyring
from shared.testing.failpoints import Broken
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
    assert (await ask(where, person_id, "officer-9")).body["state"] == "erased", "asked again, nothing more happens"
    assert await made.store.outbox.events.count_documents({"stream": person_id}) == 1


@pytest.mark.fault("an officer whose request meets that of a colleague which was stored just now")
async def test_officer_who_read_before_a_colleagues_request_confirms_it(made: Parts) -> None:
    """The request is read again when it cannot be stored a second time. The event of a person has one id for ever."""
    person_id, _ = await leaver(made)

    class Behind(PersonsStore):
        """Reads no request the first time."""

        has_read = False

        async def erasure(self, person_id: str, session: Any = None) -> Any:
            """The stored documents, from the second transaction on."""
            if session is not None and not self.has_read:
                self.has_read = True
                return None
            return await super().erasure(person_id, session)

    await ask(deps(made), person_id, "officer-1")
    slower = replace(deps(made), persons=Behind(made.mongo.database("registration")))
    answer = await ask(slower, person_id, "officer-2")

    assert answer.body["state"] == "erased"
    (event,) = await history(made.store.outbox, person_id)
    assert event.id == derived_id("person-erased", person_id)


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


async def marked(made: Parts, person_id: str) -> str:
    """The person's erasure is under way elsewhere; their journey was committed beside it. Returns its id."""
    await deps(made).persons.mark_being_erased(person_id, new_id(), utc_now())
    submitted = journey(40, person_id=person_id)
    await made.submit([submitted], utc_now())
    ids = {"registration_id": submitted.registration_id, "person_id": person_id}
    task = TaskOpened(
        **ids, task_id=new_id(), queue="coordinator", scope="example-biology", rule="R2", reason="approval_missing"
    )
    await made.add(submitted.registration_id, task)
    return submitted.registration_id


async def cancellations(made: Parts, registration_id: str) -> int:
    """How often a registration was cancelled."""
    return sum(isinstance(event, RegistrationCancelled) for event in await made.events(registration_id))


@pytest.mark.fault("an erasure that dies beside a registration, and nobody looks for longer than its mark stays")
async def test_registration_beside_an_erasure_that_died_goes_with_its_tasks_even_without_the_mark(
    made: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process cancels it once, closes its tasks, and leaves alone a journey that is over."""
    person_id, cancelled = await leaver(made)
    over = journey(-40, 10, person_id=person_id)
    await made.submit([over], utc_now() - timedelta(days=50))
    back = ReturnRecorded(
        registration_id=over.registration_id, person_id=person_id, on=over.legs[0].end_date, outcome="returned",
        recorded_by=person_id,
    )  # fmt: skip
    await made.add(over.registration_id, back)
    monkeypatch.setenv("FAILPOINTS_DIR", str(tmp_path))
    (tmp_path / "erasure_recorded").write_text("raise")
    await ask(deps(made), person_id, "officer-1")
    with pytest.raises(Broken):
        await ask(deps(made), person_id, "officer-2")
    late = await marked(made, person_id)
    await made.mongo.database("registration")["leaving"].delete_many({})

    for _ in range(2):
        await finish_open_erasures(deps(made), utc_now())

    assert [await cancellations(made, stream) for stream in (late, cancelled, over.registration_id)] == [1, 1, 0]
    assert await made.store.tasks.collection.count_documents({"registrationId": late, "open": True}) == 0


@pytest.mark.fault("a registration and a file that arrive just after their student was erased")
async def test_what_comes_just_after_an_erasure_is_deleted_by_the_next_run(made: Parts) -> None:
    """While the mark stays, every run cancels the person's registrations and deletes their data elsewhere again."""
    person_id, former = await leaver(made)
    deleted: list[set[str]] = []

    async def delete(person: str, registrations: Any) -> None:
        assert person == person_id
        assert await deps(made).persons.is_being_erased(person), "who registers now is told so"
        deleted.append(set(registrations))

    where = deps(made, delete)
    await ask(where, person_id, "officer-1")
    await ask(where, person_id, "officer-2")
    late = await marked(made, person_id)

    await finish_open_erasures(where, utc_now())

    assert deleted == [{former}, {former, late}]
    assert await cancellations(made, late) == 1


async def test_who_is_marked_and_was_not_erased_keeps_registration_and_data(made: Parts) -> None:
    """Marks are also those of attempts that are refused: of a request alone, and of one that died before its event."""
    requested, _ = await leaver(made)
    died = await made.keyring.person_id("issuer", new_id())

    async def delete(person: str, registrations: Any) -> None:
        raise AssertionError(person)

    where = deps(made, delete)
    await ask(where, requested, "officer-1")
    kept = [await marked(made, person_id) for person_id in (requested, died)]

    await finish_open_erasures(where, utc_now())

    assert [await cancellations(made, registration_id) for registration_id in kept] == [0, 0]


@pytest.mark.fault("a registration that another process cancels between the look at it and its cancellation")
async def test_registration_beside_an_erasure_is_cancelled_once_by_two_processes(made: Parts) -> None:
    """The transaction reads everything once more."""
    person_id, _ = await leaver(made)
    await ask(deps(made), person_id, "officer-1")
    await ask(deps(made), person_id, "officer-2")
    late = await marked(made, person_id)
    seen = await deps(made).persons.registrations_of(person_id)

    class Slower(PersonsStore):
        """Another process, which read the registrations before the first one had cancelled any."""

        async def registrations_of(self, person_id: str, session: Any = None) -> Any:
            """As they were."""
            return seen

    await finish_open_erasures(deps(made), utc_now())
    await finish_open_erasures(replace(deps(made), persons=Slower(made.mongo.database("registration"))), utc_now())

    assert await cancellations(made, late) == 1


@pytest.mark.fault("MongoDB commits an erasure, and its answer is lost")
async def test_erasure_whose_commit_nobody_confirmed_is_finished_and_tells_who_registers_beside_it(made: Parts) -> None:
    """The officer gets an error, and the event is stored: so the mark stays, and the next run finishes the erasure."""
    person_id, _ = await leaver(made)
    await ask(deps(made), person_id, "officer-1")

    class Unanswered(Mongo):
        """Commits, and then nobody hears of it."""

        def __init__(self) -> None:
            """Over the same client."""
            self.__dict__ = made.mongo.__dict__

        async def transaction(self, *arguments: Any, **named: Any) -> Any:
            """As always, without the answer."""
            await super().transaction(*arguments, **named)
            raise MongoUnavailable("no answer")

    with pytest.raises(MongoUnavailable):
        await ask(replace(deps(made), mongo=Unanswered()), person_id, "officer-2")
    with pytest.raises(Problem) as told:
        await submit_for(made, person_id)
    await finish_open_erasures(deps(made), utc_now())

    standing = await deps(made).persons.erasure(person_id)
    assert told.value.reason == "being_erased"
    assert standing is not None
    assert standing["state"] == "erased"
    registrations = await deps(made).persons.registrations_of(person_id)
    assert {registration.status for registration in registrations} == {Status.CANCELLED}


async def test_erased_person_is_in_no_alert_and_the_hour_of_the_erasure_stays(made: Parts) -> None:
    """A second process that finishes the same erasure later changes nothing of it."""
    person_id, _ = await leaver(made)
    where = deps(made)
    await ask(where, person_id, "officer-1")
    await where.persons.save_alerts([_told(_selected(person_id), 1), _told(CLOSED, 2)])
    await ask(where, person_id, "officer-2")
    erased = await where.persons.erasure(person_id)

    await finish_erasure(where, person_id, utc_now() + timedelta(hours=1))

    assert erased is not None
    assert (erased["state"], erased["requestedBy"], erased["confirmedBy"]) == ("erased", "officer-1", "officer-2")
    assert await where.persons.erasure(person_id) == erased
    assert await made.mongo.database("registration")["alerted"].count_documents({"personId": person_id}) == 0


@pytest.mark.fault("an erasure that fails for a reason of its own before the others of its run")
async def test_one_erasure_that_fails_stops_no_other(made: Parts) -> None:
    """Neither one that was left open nor one that is cleaned up once more."""
    people = sorted([(await leaver(made))[0] for _ in range(2)])
    failing = ""

    async def delete(person: str, registrations: Any) -> None:
        if person == failing:
            raise ValueError(person)
        done.append(person)

    where, done = deps(made, delete), list[str]()
    for person_id in people:
        await ask(where, person_id, "officer-1")
        await ask(where, person_id, "officer-2")
    done.clear()
    failing = people[0]

    await finish_open_erasures(where, utc_now())
    await where.persons.erasures.update_many({}, {"$set": {"state": "erasing"}})
    await made.mongo.database("registration")["leaving"].delete_many({})
    await finish_open_erasures(where, utc_now())

    assert done == [people[1]] * 2
    states = [standing["state"] for standing in await where.persons.erasures_page(0, 10)]
    assert states == ["erasing", "erased"]


async def test_mark_of_one_attempt_stays_when_another_one_is_refused(made: Parts) -> None:
    """Two attempts mark the same person; only when neither does is the person not being erased."""
    persons, person_id = deps(made).persons, new_id()
    found = []

    for change in (persons.mark_being_erased, persons.mark_being_erased):
        await change(person_id, f"attempt-{len(found)}", utc_now())
        found.append(await persons.is_being_erased(person_id))
    for attempt in (1, 0):
        await persons.unmark_being_erased(person_id, f"attempt-{attempt}")
        found.append(await persons.is_being_erased(person_id))

    assert found == [True, True, True, False]


async def test_open_alert_stands_in_the_way_until_it_is_closed(made: Parts) -> None:
    """From notify's events, in any order; a notice is no alert."""
    person_id, _ = await leaver(made)
    where = deps(made)
    selected = _selected(person_id)
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
    closed = _told(CLOSED, 2)
    reopened = _told(AlertReopened(alert_id="ES-7", reopened_by="o", reason="not over"), 3)
    await where.persons.save_alerts([closed, reopened])
    assert await where.persons.open_alerts(person_id) == 1
    await where.persons.save_alerts([closed])
    await where.persons.save_alerts([_told(raised, 1), _told(selected, 1)])

    assert (refused.value.status, refused.value.reason) == (409, "open_alert")
    assert (await ask(where, person_id, "officer-1")).body["state"] == "requested"


async def returned(made: Parts, *days: tuple[int, int], person_id: str | None = None) -> str:
    """A person who came back from each of these journeys: (first day from today, days). Returns the personId."""
    who, now = person_id or new_id(), utc_now()
    journeys = [journey(start, length, today=in_amsterdam(now), person_id=who) for start, length in days]
    for loaded in await made.submit(journeys, now - timedelta(days=520)):
        assert loaded.state is not None
        event = ReturnRecorded(
            registration_id=loaded.id, person_id=who, on=loaded.state.return_date, outcome="returned",
            recorded_by="officer-1",
        )  # fmt: skip
        await made.add(loaded.id, event)
    return who


async def test_retention_shows_first_and_erases_whose_time_is_over(made: Parts) -> None:
    """Long over and returned: erased. Long over without a return, or not long enough: kept, with the reason.

    Neither who came back exactly so many days ago, nor who has also made a journey lately, is in the preview.
    """
    kept, now = timedelta(days=365), utc_now()
    (missing,) = await made.submit([journey(-500, 30)], now - timedelta(days=520))
    long_ago = await returned(made, (-500, 30))
    for days in (((-100, 30),), ((-395, 30),), ((-500, 30), (-100, 30))):
        await returned(made, *days)
    where = deps(made)

    preview = {
        due.person_id: due.decision.reason async for due in retention_candidates(where, kept, amsterdam_date(now))
    }
    count = await erase_after_retention(where, kept, now=now)
    again = [due.person_id async for due in retention_candidates(where, kept, amsterdam_date(now))]
    died = {"$set": {"state": "erasing"}}  # as a crash leaves it: finished as an erasure, no candidate any more
    await where.persons.erasures.update_one({"_id": long_ago}, died)
    assert [due.person_id async for due in retention_candidates(where, kept, amsterdam_date(now))] == again
    await finish_open_erasures(where, now)

    assert missing.state is not None
    assert preview == {long_ago: "erasable", missing.state.person_id: "return_not_recorded"}
    assert (count, again) == (1, [missing.state.person_id])
    assert not await where.persons.is_being_erased(missing.state.person_id)
    standing = await where.persons.erasure(long_ago)
    assert standing is not None
    assert standing["state"] == "erased"
    fact = [event async for event in made.store.outbox.events.find({"stream": long_ago})]
    assert b'"reason":"retention"' in bytes(fact[0]["body"])
    assert b'"confirmedBy":null' in bytes(fact[0]["body"])


@pytest.mark.fault("a student whose retention time is over, who registers while the run looks at them")
async def test_retention_leaves_who_registers_at_that_moment_and_tells_who_registers_later(made: Parts) -> None:
    """Each student is looked at once more after the mark; who is left alone is not marked any longer."""
    kept, now = timedelta(days=365), utc_now()
    registering, other = await returned(made, (-500, 30)), await returned(made, (-500, 30))
    await made.submit([journey(-500, 30)], now - timedelta(days=520))  # no return is recorded: never marked
    was_marked: dict[str, bool] = {}
    attempted: set[str] = set()

    class Meeting(PersonsStore):
        """A registration is committed just before the mark."""

        async def mark_being_erased(self, person_id: str, mark_id: str, now: datetime) -> None:
            """As always, after the student's commit."""
            attempted.add(person_id)
            if person_id == registering:
                await made.submit([journey(40, person_id=registering)], now)
            await super().mark_being_erased(person_id, mark_id, now)

    async def delete(person: str, registrations: Any) -> None:
        was_marked[person] = await where.persons.is_being_erased(person)

    where = replace(deps(made, delete), persons=Meeting(made.mongo.database("registration")))

    assert await erase_after_retention(where, kept, now=now) == 1

    assert (was_marked, attempted) == ({other: True}, {registering, other})
    assert await where.persons.erasure(registering) is None
    assert not await where.persons.is_being_erased(registering)


async def test_retention_goes_on_after_one_that_fails_and_ends_after_so_many(made: Parts) -> None:
    """A person whose registration cannot be read stops nobody; a run erases no more than its limit."""
    kept, now = timedelta(days=365), utc_now()
    unreadable = await returned(made, (-510, 10))
    people = {await returned(made, (-500 + number, 10)) for number in range(3)}
    await made.store.registrations.collection.update_one({"personId": unreadable}, {"$set": {"legs": "?"}})
    where = deps(made)

    counts = [await erase_after_retention(where, kept, now=now, limit=2) for _ in range(3)]

    assert counts == [2, 1, 0]
    assert {standing["_id"] for standing in await where.persons.erasures_page(0, 10)} == people


CLOSED = AlertClosed(alert_id="ES-7", closed_by="o", reason="over")


def _selected(person_id: str) -> RecipientsSelected:
    """The person is in the alert."""
    return RecipientsSelected(
        alert_id="ES-7", shard=0, late=False,
        recipients=(
            Recipient(person_id=person_id, registration_id="r", registration_version=1, reason="country", area="ES",
                      level=Level.RED, channels=()),
        ),
    )  # fmt: skip


def _told(event: Any, version: int) -> Envelope[Any]:
    now: datetime = utc_now()
    return Envelope(
        new_id(), type(event).__name__, "/notify", now, event.stream, version, "c", "c", None, 1, None, event
    )  # fmt: skip


async def _published(made: Parts) -> bool:
    return await made.store.outbox.events.count_documents({"pending": True}) == 0
