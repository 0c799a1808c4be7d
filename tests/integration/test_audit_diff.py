"""`audit diff` on the databases of the services: no difference after normal work, and every loss is named."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.notify import escalation, send_worker
from services.notify.model.outcome import Outcome
from services.notify.store.send_queue import SendJob, SendQueue
from services.passage.rebuild import ShadowRebuild
from services.safety.commands.deps import ReadingDeps, ReadingPolicy
from services.safety.commands.secondary_sources import record_secondary_batch, record_secondary_failure
from services.safety.commands.source_states import record_failure
from services.safety.reading import Batch
from services.safety.store.secondary_advice import SecondaryAdviceStore
from shared.audit.evidence import read
from shared.audit.projections import Difference
from shared.audit.reader import Record
from shared.clock import amsterdam_date, utc_now
from shared.envelope import GENESIS, chain
from shared.events import AdviceSeen, Channel, ClearanceSuspended, Level
from shared.mongo.client import Document, Mongo
from tests.integration.bus_world import until
from tests.integration.notify_sending_world import send_deps
from tests.integration.notify_world import World, close, contact_of, leg, notify
from tests.integration.safety_world import SafetyWorld

#: (collection, id, the fields that differ or the kind of difference)
Found = set[tuple[str, str, str]]
ADVICE = "travel.advice.v1"
GONE, SILENT = "is in the events and is not kept", "is kept and is not in the events"


async def differences(mongo: Mongo, records: Iterable[Record], service: str) -> Found:
    """Everything that differs in a service's database."""
    shadow = ShadowRebuild(mongo)
    try:
        for record in records:
            await shadow.fold(read(record))
        await shadow.flush()
        found = [difference async for difference in shadow.differences() if difference.service == service]
    finally:
        await shadow.close()
    return {
        (difference.collection, difference.id, ",".join(difference.fields) or difference.what) for difference in found
    }


# ---------------------------------------------------------------- notify


class Accepting:
    """A provider that takes everything."""

    provider = "example"

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """At once."""

    async def send(self, messages: Any, /) -> list[Outcome]:
        """Accepted."""
        return [Outcome.accepted("250 taken") for _ in messages]


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    """Five people are registered for Spain."""
    async with notify(stack, namespace) as made:
        await made.handle(*(made.register(f"p{number}") for number in range(5)))
        yield made


async def differing(world: World, stack: Any, namespace: str) -> Found:
    """What differs of notify."""
    records = [*world.registrations.records, *await world.notifications()]
    return await differences(Mongo(stack.mongo, namespace=namespace), records, "notify")


async def turns_red(world: World) -> None:
    """Spain does."""
    await world.handle(world.change(Level.YELLOW), world.change(Level.RED))


async def send(world: World) -> None:
    """All work that there is."""
    made = send_deps(world)
    workers = [asyncio.create_task(send_worker.claim_and_send(made, channel, Accepting(), "w")) for channel in Channel]

    async def done() -> bool:
        return not await world.database["lanes"].count_documents({"done": False})

    await until(done)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def taken_away(world: World, collection: str, query: Document) -> None:
    """Lost, as after a repair by hand."""
    assert (await world.database[collection].delete_many(query)).deleted_count


async def test_nothing_differs_before_and_after_sending(world: World, stack: Any, namespace: str) -> None:
    """Alerts, one of them late; two registrations of one person; an escalation's reminder; a suspension's mails."""
    for registration, region in (("r-first", "ES-CT"), ("r-newest", "ES-MD")):
        await world.handle(world.register("twice", leg(region=region), registration=registration))
    await turns_red(world)
    await world.handle(world.register("late"))
    await world.handle(world.publish(suspended()))
    assert await differing(world, stack, namespace) == set()
    await send(world)
    assert await differing(world, stack, namespace) == set()
    assert await escalation.run_escalations(world.escalation, utc_now() + timedelta(minutes=31))
    assert await differing(world, stack, namespace) == set()
    await send(world)
    assert await differing(world, stack, namespace) == set()


async def test_work_that_is_lost_is_named(world: World, stack: Any, namespace: str) -> None:
    """Send jobs of an alert and of a suspension's email; of the escalation, the selection that its job needs."""
    await turns_red(world)
    await world.handle(world.publish(suspended()))
    await taken_away(world, "lanes", {"channel": "email", "alertId": "ES-2"})
    await taken_away(world, "lanes", {"alertId": {"$regex": "^n-"}})
    found = await differing(world, stack, namespace)
    assert {difference for difference in found if not difference[1].startswith("n-")} == {
        ("lanes", f"ES-2:p{number}:email:1", GONE) for number in range(5)
    }
    notices = [identity for _, identity, _ in found if identity.startswith("n-")]
    assert sorted(identity.split(":", 1)[1] for identity in notices) == [
        "coordinator:email:1", "p1:email:1",
    ]  # fmt: skip


async def test_lane_without_its_selection_is_named(world: World, stack: Any, namespace: str) -> None:
    """Nobody can send it, and no event says anything of it."""
    await turns_red(world)
    await send(world)
    await escalation.run_escalations(world.escalation, utc_now() + timedelta(minutes=31))
    await taken_away(world, "selections", {"step": {"$gt": 1}})

    found = await differing(world, stack, namespace)

    assert found
    assert {(collection, what) for collection, _, what in found} == {("lanes", SILENT)}


async def test_contact_details_for_one_mail_are_no_registration(world: World, stack: Any, namespace: str) -> None:
    """They stand in `whereabouts` under a key of their own, without a state."""
    details = contact_of("p9")
    await world.whereabouts.contacts.put_without_registration("slot-a-1", "p9", details)

    assert await differing(world, stack, namespace) == set()


async def test_document_of_no_known_shape_is_named_and_ends_nothing(world: World, stack: Any, namespace: str) -> None:
    """A registration whose state is no document any more, and another loss: both are named."""
    await world.database["whereabouts"].update_one({"_id": "r-p1"}, {"$set": {"state": 7}})
    await taken_away(world, "whereabouts", {"_id": "r-p2"})

    found = await differing(world, stack, namespace)

    assert found == {("whereabouts", "r-p1", "has not the shape of its collection"), ("whereabouts", "r-p2", GONE)}


async def test_what_arrives_between_the_readings_is_no_difference(world: World, stack: Any, namespace: str) -> None:
    """Two documents differ; the events of one come later, the other one was lost."""
    await taken_away(world, "whereabouts", {"_id": "r-p2"})
    late = world.register("late")
    await world.handle(late)
    records = [record for record in world.registrations.records if record is not late]
    shadow = ShadowRebuild(Mongo(stack.mongo, namespace=namespace))
    try:
        for record in records:
            await shadow.fold(read(record))
        await shadow.flush()
        first = {difference.id async for difference in shadow.differences() if difference.service == "notify"}
        same, has_changed = await shadow.compare_again()
        assert (first, of_notify(same), has_changed) == ({"r-late", "r-p2"}, first, False)

        await shadow.fold(read(late))
        await shadow.flush()
        left, has_changed = await shadow.compare_again()
    finally:
        await shadow.close()
    assert (of_notify(left), has_changed) == ({"r-p2"}, True)


async def test_document_that_never_stands_still_is_no_difference(world: World, stack: Any, namespace: str) -> None:
    """At each reading it is ahead of the log; the events that come show that it was right when it was read."""
    shadow = ShadowRebuild(Mongo(stack.mongo, namespace=namespace))
    try:
        for record in world.registrations.records:
            await shadow.fold(read(record))
        await shadow.flush()
        unread = [world.register("late"), world.register("late", changed=True)]
        for record in unread:
            await world.handle(record)
        first = {difference.id async for difference in shadow.differences() if difference.service == "notify"}
        assert first == {"r-late"}

        await world.handle(world.register("late", changed=True))
        for record in unread:
            await shadow.fold(read(record))
            await shadow.settle()
        left, _ = await shadow.compare_again()
    finally:
        await shadow.close()
    assert of_notify(left) == set()


def of_notify(differences: Iterable[Difference]) -> set[str]:
    """The differing documents of notify; the other services keep nothing in this world."""
    return {difference.id for difference in differences if difference.service == "notify"}


class DyingQueue(SendQueue):
    """The process dies before it marks a job as done."""

    async def finish(self, job: SendJob, now: datetime) -> None:
        """Ends the worker."""
        raise asyncio.CancelledError


async def test_alert_that_is_closed_before_its_work_is_done_is_as_it_should_be(
    world: World, stack: Any, namespace: str
) -> None:
    """The deliveries of a closed alert are cancelled, and the process dies before it marks the send job as done."""
    await turns_red(world)
    await close(world, "ES-2")

    deps = replace(send_deps(world), send_queue=DyingQueue(world.database, "notify-0"))
    worker = asyncio.create_task(send_worker.claim_and_send(deps, Channel.SMS, Accepting(), "w"))
    await asyncio.gather(worker, return_exceptions=True)
    assert await world.database["deliveries"].count_documents({})

    assert await differing(world, stack, namespace) == set()
    await taken_away(world, "deliveries", {})
    assert await differing(world, stack, namespace)


def suspended() -> ClearanceSuspended:
    """R19, for one of them."""
    return ClearanceSuspended(
        registration_id="r-p1", person_id="p1", rule="R19", reason="advice_negative", faculty_id="example-sciences",
        programme_id="example-biology", departure_date=amsterdam_date(utc_now()) + timedelta(days=30),
        advice=(AdviceSeen(country="ES", advice_version=2, level=Level.RED),),
    )  # fmt: skip


# ---------------------------------------------------------------- safety


async def test_sources_as_they_fail_heal_and_cease_to_decide(stack: Any, namespace: str) -> None:
    """Told and untold failures and readings; one that was silent before it decides; one that decides no more."""
    world = SafetyWorld(Mongo(stack.mongo, namespace=namespace))
    await world.store.create_indexes()
    secondary_advice = SecondaryAdviceStore(world.database)
    await secondary_advice.create_indexes()
    deps = ReadingDeps(world.mongo, world.store, ReadingPolicy(timedelta(minutes=30), timedelta(hours=1)))

    async def fails(name: str) -> None:
        await record_failure(deps, name, "status 500", now=world.now)

    async def read_() -> None:
        await world.read([])

    async def is_silent() -> None:
        await record_secondary_failure(world.store, "germany", "status 500", now=world.now)

    async def informs() -> None:
        batch = Batch(source="netherlands", parser_version=1, countries=())
        await record_secondary_batch(
            world.store, secondary_advice, batch, timedelta(hours=1), began=world.now, now=world.now
        )

    happenings = (
        lambda: fails("netherlands"), lambda: fails("netherlands"), read_, read_, lambda: fails("netherlands"),
        is_silent, lambda: fails("germany"), read_, informs,
    )  # fmt: skip
    for number, happen in enumerate(happenings):
        world.now += timedelta(minutes=7)
        await happen()
        found = world.store.outbox.events.find({}).sort([("position", 1), ("_id", 1)])
        records = [
            Record(
                "travel.advice.v1", 0, offset, str(event["stream"]).encode(), chain(event["body"], offset + 1, GENESIS)
            )
            for offset, event in enumerate(await found.to_list(None))
        ]
        assert await differences(Mongo(stack.mongo, namespace=namespace), records, "safety") == set(), number
    world.mongo.close()
