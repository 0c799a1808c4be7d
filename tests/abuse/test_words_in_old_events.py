"""Events from before places and kinds of documents were sealed: read as ever, and forgotten where they can be."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson import BSON

from services.registration.commands.erasure import DeleteElsewhere, ErasureDeps, Ground, erase
from services.registration.store.persons import PersonsStore
from shared.clock import utc_now
from shared.envelope import draft
from shared.events import (
    ActivityType,
    DocumentAttached,
    GroupTripCreated,
    Leg,
    PersonErased,
    RegistrationCancelled,
    StudyAnswers,
)
from shared.ids import new_id
from shared.mongo.client import Session
from shared.web.identity import Identity
from tests.conftest import Stack
from tests.integration.bus_world import prepare, running, side, until
from tests.integration.notify_world import World, leg
from tests.integration.registration_parts import CAUSE, Parts, command_by, journey, parts
from tests.integration.test_registration_erasure import audit_diff

CANARY = "Canaryfeather"
NAMED = "Passport"


@pytest.fixture
async def made(stack: Stack, namespace: str) -> AsyncIterator[Parts]:
    """The registration service's parts."""
    async with parts(stack.mongo, namespace) as found:
        yield found


async def test_registration_forgets_old_places_and_kinds_when_it_erases(
    made: Parts, stack: Stack, namespace: str
) -> None:
    """They go from registrations and trips, kinds of the catalogue stay, and the rebuilt state is no contradiction.

    In the events themselves, here and on Kafka, they stay: a log whose records change would prove nothing.
    """
    await prepare(stack, namespace)
    person_id, registration_id, group_id = new_id(), new_id(), new_id()
    submitted = journey(40, person_id=person_id, registration_id=registration_id)
    old = submitted.model_copy(update={"legs": (submitted.legs[0].model_copy(update={"place": CANARY}),)})
    await made.submit([old], utc_now())
    await made.add(registration_id, *(_document(registration_id, person_id, kind) for kind in (CANARY, NAMED)))
    cancelled = RegistrationCancelled(registration_id=registration_id, person_id=person_id, cancelled_by=person_id)
    await made.add(registration_id, cancelled)
    await _lead(made, group_id, person_id, old.legs)
    await made.keyring.key(person_id)
    assert await _with_canary(made) == {"events", "registrations", "trips"}

    persons = PersonsStore(made.mongo.database("registration"))

    async def forget(erased: str, _: Any) -> None:
        await persons.forget_texts_in_clear(erased, {NAMED})

    where = _deps(made, persons, forget)
    for officer in ("officer-1", "officer-2"):
        identity = Identity(officer, frozenset({"safety-officer"}))
        await erase(where, person_id, Ground.REQUEST, command_by(identity))

    assert await _with_canary(made) == {"events"}
    state = (await made.store.registrations.load(registration_id)).state
    assert state is not None
    assert [document.kind for document in state.documents] == ["", NAMED]
    registration = side(stack, namespace, "registration")
    async with running(registration.relay()):
        await until(lambda: _published(made))
    registration.mongo.close()
    assert (await audit_diff(stack, namespace))[0] == []


def _document(registration_id: str, person_id: str, kind: str) -> DocumentAttached:
    document_id = new_id()
    return DocumentAttached(
        registration_id=registration_id, person_id=person_id, document_id=document_id, kind=kind, sha256="a" * 64,
        size_bytes=1, media_type="application/pdf", name=f"sealed:v1:{person_id}:{document_id}:x",
    )  # fmt: skip


async def _lead(made: Parts, group_id: str, person_id: str, legs: tuple[Leg, ...]) -> None:
    event = GroupTripCreated(
        group_id=group_id, person_id=person_id, name=f"sealed:v1:{person_id}:{group_id}:x", faculty_id="f",
        programme_id="p", activity_type=ActivityType.FIELD_TRIP, legs=legs,
        answers=StudyAnswers(credits=False, university_funding=False, transcript_entry=False),
    )  # fmt: skip

    async def work(session: Session) -> None:
        loaded = await made.store.trips.load(group_id, session)
        await made.store.trips.record(loaded, [draft(event)], cause=CAUSE, now=utc_now(), session=session)

    await made.mongo.transaction(work)


def _deps(made: Parts, persons: PersonsStore, forget: DeleteElsewhere) -> ErasureDeps:
    database = made.mongo.database("registration")
    return ErasureDeps(made.mongo, database, made.store, persons, made.keyring, (forget,))


async def _with_canary(made: Parts) -> set[str]:
    database, found = made.mongo.database("registration"), set[str]()
    for name in await database.list_collection_names():
        async for document in database[name].find({}):
            if CANARY.encode() in BSON.encode(document):
                found.add(name)
    return found


async def _published(made: Parts) -> bool:
    return await made.store.outbox.events.count_documents({"pending": True}) == 0


@pytest.mark.parametrize("erased_first", [False, True])
async def test_notify_forgets_old_places_when_a_person_is_erased(world: World, erased_first: bool) -> None:
    """From who-is-where and from its past, whichever of the two events is read first."""
    submitted = world.register("p1", leg(-1, 9, place=CANARY))
    moved = world.register("p1", leg(-1, 5, place=CANARY), changed=True)
    erased = world._appended(
        world.registrations, PersonErased(person_id="p1", requested_by="o-1", confirmed_by="o-2", reason="request")
    )
    others = world.register("p2", leg(-1, 9, place=f"{CANARY}ville"))

    for records in ([erased], [submitted, moved]) if erased_first else ([submitted, moved], [erased]):
        await world.handle(*records)
    await world.handle(others)

    for name in ("whereabouts", "itineraries"):
        kept = [document async for document in world.database[name].find({})]
        with_canary = {document["state"]["personId"] for document in kept if CANARY.encode() in BSON.encode(document)}
        assert with_canary == {"p2"}, name
        assert len(kept) >= 2
