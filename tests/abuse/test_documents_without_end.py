"""Documents without end: memory and disk stay bounded, and others still get their turn."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from services.registration.document_storage import PIECE_BYTES
from shared.mongo.files import Files
from tests.conftest import Stack
from tests.contracts.services_world import PDF
from tests.integration.bus_world import until
from tests.journeys.registration_world import STUDENT, Level, Portal, another, portal, voluntary

#: Small limits, so that the tests are quick; the program's own are settings.
REGISTRATION_BYTES, PERSON_BYTES, AT_ONCE = 1_000_000, 1_500_000, 3


@pytest_asyncio.fixture
async def narrow(stack: Stack, tmp_path: Path) -> AsyncIterator[Portal]:
    """Registration with little room for documents."""
    async with portal(
        stack.mongo,
        tmp_path,
        document_registration_bytes=REGISTRATION_BYTES,
        document_person_bytes=PERSON_BYTES,
        document_uploads=AT_ONCE,
        document_upload_wait_seconds=0.3,
    ) as found:
        await found.advise("ES", Level.GREEN)
        yield found


def pdf(size: int) -> bytes:
    """An incompressible PDF of so many bytes."""
    return PDF[:-6] + os.urandom(size - len(PDF)).replace(b"PK", b"pk") + PDF[-6:]


async def stored_bytes(narrow: Portal) -> int:
    """The bytes of all documents in the database."""
    chunks = narrow.world.mongo.database("registration")["documents.chunks"]
    return sum([len(chunk["data"]) async for chunk in chunks.find({}, {"data": 1})])


async def test_a_registration_has_room_for_so_many_bytes(narrow: Portal) -> None:
    """Beyond it 409 with what to do, nothing is left of it, and a document may still be replaced by a smaller one."""
    registration_id = await narrow.register(**voluntary())
    assert (await narrow.upload(registration_id, "Letter", pdf(600_000))).status_code == 201
    before = await stored_bytes(narrow)

    refused = await narrow.upload(registration_id, "Other letter", pdf(600_000))

    assert (refused.status_code, refused.json()["rule"], refused.json()["reason"]) == (409, "R9", "too_much")
    assert await stored_bytes(narrow) == before
    assert (await narrow.upload(registration_id, "Letter", pdf(900_000))).status_code == 201
    assert (await narrow.upload(registration_id, "Letter", pdf(20_000))).status_code == 201
    assert (await narrow.upload(registration_id, "Other letter", pdf(600_000))).status_code == 201


async def test_a_person_has_room_for_so_many_bytes_in_all_registrations(narrow: Portal) -> None:
    """Ten registrations, and replacing again and again: the database never holds more than the person may have."""
    for _ in range(3):
        registration_id = await narrow.register(**voluntary(), overlapsKnown=True)
        answers = [await narrow.upload(registration_id, "Letter", pdf(900_000)) for _ in range(3)]
        assert await stored_bytes(narrow) <= PERSON_BYTES + 100_000  # the seals

    assert {answer.status_code for answer in answers} == {409}
    friend = another(STUDENT, "somebody-else")
    other = await narrow.register(friend, **voluntary())
    assert (await narrow.upload(other, "Letter", pdf(900_000), who=friend)).status_code == 201


class Slow:
    """The body of an upload that goes on only when `goes_on` is set."""

    def __init__(self) -> None:
        self.began, self.goes_on = asyncio.Event(), asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.began.set()
        yield PDF[:-6]
        await self.goes_on.wait()
        yield PDF[-6:]


async def test_uploads_at_once_are_bounded_and_nobody_takes_all_turns(narrow: Portal) -> None:
    """Only so many bodies are read at once, two of one student; the others wait unread and then get 503."""
    greedy, other = another(STUDENT, "greedy"), another(STUDENT, "other")
    theirs = await narrow.register(greedy, **voluntary())
    own = await narrow.register(other, **voluntary())
    bodies = [Slow() for _ in range(4)]
    sent = [
        asyncio.create_task(narrow.upload(theirs, f"Letter {number}", body, who=greedy))
        for number, body in enumerate(bodies)
    ]
    await until(lambda: sum(body.began.is_set() for body in bodies) == 2)

    quick = await narrow.upload(own, "Letter", who=other)
    await until(lambda: sum(task.done() for task in sent) == 2)
    refused = [task.result() for task in sent if task.done()]
    for body in bodies:
        body.goes_on.set()
    answers = [await task for task in sent]

    assert quick.status_code == 201, "another student is served meanwhile"
    assert [answer.status_code for answer in refused] == [503, 503]
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    assert sum(body.began.is_set() for body in bodies) == 2
    assert sorted(answer.status_code for answer in answers) == [201, 201, 503, 503]


async def test_each_piece_is_stored_before_the_next_one_is_read(stack: Stack, narrow: Portal) -> None:
    """An upload takes the memory of a piece, not of the document: nothing collects in the process."""
    database = narrow.world.mongo.database("registration")
    files, chunks = Files(database, "documents", PIECE_BYTES), database["documents.chunks"]
    stored: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(5):
            stored.append(await chunks.count_documents({"files_id": "piecewise"}) - number)
            yield bytes(PIECE_BYTES)

    await files.write("piecewise", "nobody", pieces())

    assert stored == [0] * 5
    content: Any = await files.read("piecewise")
    assert [len(piece) async for piece in content] == [PIECE_BYTES] * 5
    assert await files.stored_bytes("nobody") == 5 * PIECE_BYTES


async def test_an_upload_that_breaks_off_leaves_nothing(narrow: Portal) -> None:
    """An error in the middle: neither the file nor a piece of it stays, and the room is free again."""
    database = narrow.world.mongo.database("registration")
    files = Files(database, "documents", PIECE_BYTES)

    async def pieces() -> AsyncIterator[bytes]:
        yield bytes(PIECE_BYTES)
        raise ConnectionResetError

    for _ in range(2):
        try:
            await files.write("broken", "nobody", pieces())
        except ConnectionResetError:
            continue

    assert await database["documents.chunks"].count_documents({"files_id": "broken"}) == 0
    assert await files.stored_bytes("nobody") == 0
    assert await files.read("broken") is None
