"""R9 over HTTP on a real GridFS: stored whole, sealed and named once; a refused file leaves nothing behind."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from services.registration.commands.documents import GRACE, delete_unreferenced_documents
from services.registration.document_storage import PIECE_BYTES, DocumentStorage
from shared.clock import utc_now
from shared.mongo.files import Files
from tests.conftest import Stack
from tests.contracts.services_world import FILE, PDF
from tests.integration.fake_clamd import EICAR, FakeClamd, fake_clamd
from tests.journeys.registration_world import (
    APPROVER,
    FACULTY_CONTACT,
    INTERNATIONAL_OFFICE,
    LETTER,
    PLAN,
    STUDENT,
    Level,
    Portal,
    another,
    legs,
    portal,
    voluntary,
)
from tests.rules.document_files import SCRIPT, archive, film, jpeg, png, samsung_notes

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMIT = 1_000_000
FIELDWORK = {"activityType": "research_or_fieldwork"}


def pdf(size: int) -> bytes:
    """An incompressible PDF of so many bytes."""
    return PDF[:-6] + os.urandom(size - len(PDF)).replace(b"PK", b"pk") + PDF[-6:]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clamd() -> AsyncIterator[FakeClamd]:
    """A fake clamd, for the service that has a scanner."""
    async with fake_clamd() as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Portal]:
    """The service with default settings and a smaller limit."""
    async with portal(stack.mongo, tmp_path_factory.mktemp("plain"), document_limit_bytes=LIMIT) as found:
        await found.advise("ES", Level.GREEN)
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scanned(stack: Stack, tmp_path_factory: pytest.TempPathFactory, clamd: FakeClamd) -> AsyncIterator[Portal]:
    """The service with a scanner."""
    folder, where = tmp_path_factory.mktemp("scanned"), f"127.0.0.1:{clamd.port}"
    async with portal(stack.mongo, folder, clamd=where, clamd_timeout_seconds=1) as found:
        await found.advise("ES", Level.GREEN)
        yield found


async def kept(of: Portal) -> set[str]:
    """Ids of the stored files; checks that every chunk belongs to one of them."""
    database = of.world.mongo.database("registration")
    files = {str(file["_id"]) async for file in database["documents.files"].find({}, {"_id": 1})}
    chunks = {str(file_id) for file_id in await database["documents.chunks"].distinct("files_id")}
    assert chunks <= files
    return files


async def sweep(of: Portal, later: timedelta = GRACE + timedelta(minutes=1)) -> None:
    """The sweep of the service, later."""

    class Deps:
        store = of.deps.evaluation.store
        documents = DocumentStorage(of.world.mongo.database("registration"), of.world.keyring, None)

    await delete_unreferenced_documents(Deps(), utc_now() + later)  # type: ignore[arg-type] # only these two are used


# ---------------------------------------------------------------- R9


async def test_documents_that_are_required_keep_a_registration_incomplete(plain: Portal) -> None:
    """Incomplete until the last one is attached; each is a line of the checklist, with a contact."""
    registration_id = await plain.register(**voluntary(), **FIELDWORK)
    found = await plain.see(registration_id)
    assert (found["status"], found["clearance"]["rule"]) == ("incomplete", "R9")
    lines = [line for line in (await plain.checklist(registration_id))["lines"] if line["item"] == "document"]
    assert [(line["document"], line["state"], line["rule"]) for line in lines] == [
        (LETTER, "todo", "R9"), (PLAN, "todo", "R9")
    ]  # fmt: skip
    assert all(line["contact"] and line["until"] for line in lines)

    first = await plain.upload(registration_id, LETTER)
    assert first.json()["status"] == "incomplete"
    second = await plain.upload(registration_id, PLAN, png())

    assert second.json()["status"] == "approved"
    found = await plain.see(registration_id)
    assert [(document["kind"], document["mediaType"]) for document in found["documents"]] == [
        (LETTER, "application/pdf"), (PLAN, "image/png")
    ]  # fmt: skip
    lines = (await plain.checklist(registration_id))["lines"]
    assert {line["item"] for line in lines if line["state"] != "done"} == {"safety_session"}  # R39: in nobody's way


async def test_incomplete_is_told_beside_what_a_person_has_to_see(plain: Portal) -> None:
    """Short notice goes first to the contact person, who cannot approve without the documents."""
    registration_id = await plain.register(**voluntary(), **FIELDWORK, legs=legs(5, 20))
    assert (await plain.see(registration_id))["clearance"]["rule"] == "R7"

    problem = await plain.cannot(409, FACULTY_CONTACT, registration_id, "approve")

    assert (problem["rule"], problem["reason"]) == ("R9", "documents_missing")
    for kind in (LETTER, PLAN):
        await plain.upload(registration_id, kind)
    assert (await plain.decide(FACULTY_CONTACT, registration_id, "approve"))["status"] == "approved"


async def test_documents_of_an_erased_person_are_gone(plain: Portal) -> None:
    """Two officers erase a person: none of that person's bytes is left, another person's documents stay."""
    leaver, stays = another(STUDENT, "leaver"), another(STUDENT, "stays")
    theirs, other = [await plain.register(who, **voluntary(), **FIELDWORK) for who in (leaver, stays)]
    before = await kept(plain)
    for registration_id, who in ((theirs, leaver), (other, stays)):
        for kind in (LETTER, PLAN):
            assert (await plain.upload(registration_id, kind, who=who)).status_code == 201
    person_id = (await plain.see(theirs))["personId"]
    remain = {document["documentId"] for document in (await plain.see(other))["documents"]}
    await plain.done(leaver, "POST", f"/registrations/{theirs}/cancellation", etag="*")

    for officer in (INTERNATIONAL_OFFICE, another(INTERNATIONAL_OFFICE, "second-officer")):
        assert await kept(plain) - before > remain
        answer = await plain.done(officer, "DELETE", f"/persons/{person_id}", params={"reason": "request"}, etag="*")

    assert answer["state"] == "erased"
    assert await kept(plain) - before == remain


@pytest.mark.parametrize(
    ("content", "media_type"),
    [(PDF, "application/pdf"), (jpeg(), "image/jpeg"), (png(), "image/png"), (pdf(3 * PIECE_BYTES), "application/pdf"),
     (pdf(PIECE_BYTES), "application/pdf"), (pdf(PIECE_BYTES + 1), "application/pdf")],
    ids=["pdf", "jpeg", "png", "three pieces", "one piece", "a byte more"],
)  # fmt: skip
async def test_document_comes_back_as_it_was(plain: Portal, content: bytes, media_type: str) -> None:
    """Byte for byte, with its SHA-256; stored sealed; downloaded under its name, never displayed in place."""
    registration_id = await plain.register(**voluntary())
    name = "Brief — Süd.pdf"
    header = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}

    answer = await plain.upload(registration_id, "Letter", content, **header)

    assert answer.status_code == 201, answer.text
    found = await plain.call(STUDENT, "GET", answer.headers["location"].removeprefix("/v1"))
    assert found.content == content
    assert found.headers["content-type"] == media_type
    assert found.headers["content-disposition"] == header["Content-Disposition"]
    assert found.headers["x-content-type-options"] == "nosniff"
    (entry,) = (await plain.done(STUDENT, "GET", f"/registrations/{registration_id}/documents"))["items"]
    assert (entry["sha256"], entry["sizeBytes"], entry["name"]) == (
        hashlib.sha256(content).hexdigest(), len(content), name
    )  # fmt: skip
    (unnamed,) = (await plain.done(APPROVER, "GET", f"/registrations/{registration_id}/documents"))["items"]
    assert unnamed["name"] is None
    chunks = plain.world.mongo.database("registration")["documents.chunks"]
    stored = b"".join([bytes(chunk["data"]) async for chunk in chunks.find({"files_id": answer.json()["documentId"]})])
    assert content[:16] not in stored


@pytest.mark.parametrize(
    ("document", "behind", "media_type"),
    [
        (jpeg(), samsung_notes(film()), "image/jpeg"),
        (jpeg(data=b"\x12" * (2 * PIECE_BYTES)), b"\0" * (PIECE_BYTES + 7), "image/jpeg"),
        (jpeg(data=b"\x12" * 400), jpeg() * 2_000, "image/jpeg"),
        (png(), bytes(range(128, 256)) * 3_000, "image/png"),
    ],
    ids=["film of a Samsung phone", "filler in later pieces", "more pictures", "random bytes"],
)
async def test_picture_is_stored_to_its_end_and_everybody_says_so(
    plain: Portal, document: bytes, behind: bytes, media_type: str
) -> None:
    """What a phone appended is not stored: download, list, event and ETag name the bytes of the picture alone."""
    registration_id = await plain.register(**voluntary())
    key = {"Idempotency-Key": f"picture-{len(document)}"}

    answer = await plain.upload(registration_id, "Letter", document + behind, **key)
    again = await plain.upload(registration_id, "Letter", document + behind, **key)

    assert answer.status_code == 201, answer.text
    assert again.json() == answer.json()
    found = await plain.call(STUDENT, "GET", answer.headers["location"].removeprefix("/v1"))
    digest = hashlib.sha256(document).hexdigest()
    assert found.content == document
    assert (found.headers["content-type"], found.headers["content-length"]) == (media_type, str(len(document)))
    assert found.headers["etag"] == f'"{digest}"'
    assert found.headers["x-content-type-options"] == "nosniff"
    (entry,) = (await plain.done(STUDENT, "GET", f"/registrations/{registration_id}/documents"))["items"]
    assert (entry["sha256"], entry["sizeBytes"]) == (digest, len(document))
    events = plain.world.mongo.database("registration")["events"]
    bodies = [bytes(event["body"]) async for event in events.find({"stream": registration_id})]
    (attached,) = [body for body in bodies if b"DocumentAttached" in body]
    assert f'"sha256":"{digest}","sizeBytes":{len(document)},'.encode() in attached


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf\r\n", b"\0" * 100])
@pytest.mark.parametrize("ending", [b"", b"%%EOF\n\x1a", b"%%EOF" + b"\0" * 512])
async def test_pdf_is_stored_with_what_stands_around_it(plain: Portal, before: bytes, ending: bytes) -> None:
    """Byte for byte: its positions count them."""
    registration_id = await plain.register(**voluntary())
    content = before + PDF.removesuffix(b"%%EOF\n") + ending

    answer = await plain.upload(registration_id, "Letter", content)

    assert answer.status_code == 201, answer.text
    found = await plain.call(STUDENT, "GET", answer.headers["location"].removeprefix("/v1"))
    assert (found.content, found.headers["content-type"]) == (content, "application/pdf")


async def test_new_document_replaces_the_former_of_its_kind(plain: Portal) -> None:
    """The replaced one is not found any more, its bytes are deleted at once, and the history still names both."""
    registration_id = await plain.register(**voluntary())
    first = (await plain.upload(registration_id, "Letter")).json()["documentId"]
    await sweep(plain)  # attached documents stay
    second = (await plain.upload(registration_id, "Letter", png())).json()["documentId"]

    await plain.refused(404, STUDENT, "GET", f"/registrations/{registration_id}/documents/{first}")
    assert (await kept(plain)) & {first, second} == {second}
    await sweep(plain)
    assert (await kept(plain)) & {first, second} == {second}
    what = [step["what"] for step in (await plain.see(registration_id))["history"]]
    assert what.count("DocumentAttached") == 2


async def test_repeat_with_the_same_key_keeps_one_document(plain: Portal) -> None:
    """The same bytes: the first answer. Other bytes, kind or name with the same key: 422. No file is left over."""
    registration_id = await plain.register(**voluntary())
    key = {"Idempotency-Key": "document-key"}
    first = await plain.upload(registration_id, "Letter", **key)
    before, facts = await kept(plain), await plain.facts()

    again = await plain.upload(registration_id, "Letter", **key)
    other = await plain.upload(registration_id, "Letter", png(), **key)
    elsewhere = await plain.upload(registration_id, "Other letter", **key)

    assert again.json() == first.json()
    assert (other.status_code, elsewhere.status_code) == (422, 422)
    assert (await kept(plain), await plain.facts()) == (before, facts)


async def test_office_adds_a_document_and_a_stranger_does_not(plain: Portal) -> None:
    """As the table of tests/contracts/test_ownership.py says; a refused upload leaves no bytes."""
    registration_id = await plain.register(**voluntary())
    before = await kept(plain)
    stranger = await plain.upload(registration_id, "Letter", who=another(STUDENT, "student-two"))
    assert stranger.status_code == 404
    assert await kept(plain) == before

    assert (await plain.upload(registration_id, "Letter", who=INTERNATIONAL_OFFICE)).status_code == 201


# ---------------------------------------------------------------- bad input

BOMB = archive(b"\0" * 50_000_000)
NO_DOCUMENTS = {
    "empty": (b"", "empty"),
    "zip bomb": (BOMB, "type_not_allowed"),
    "eicar": (EICAR, "type_not_allowed"),
    "html": (SCRIPT, "type_not_allowed"),
    "html called a pdf": (SCRIPT + b"%PDF-1.7 %%EOF", "type_not_allowed"),
    "program": (b"MZ" + b"\0" * 200, "type_not_allowed"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "type_not_allowed"),
    "gif": (b"GIF89a" + b"\0" * 50, "type_not_allowed"),
    "office with macros": (archive(b"word/vbaProject.bin"), "type_not_allowed"),
    "text": (b"Dear board of examiners", "type_not_allowed"),
    "pdf and zip": (PDF + archive(b"payload"), "holds_something_else"),
    "pdf and zip bomb": (PDF + BOMB, "holds_something_else"),
    "jpeg and zip": (jpeg() + archive(b"payload"), "holds_something_else"),
    "zip that ends as a pdf": (PDF + archive(b"payload") + b"%%EOF", "holds_something_else"),
    "png and html": (png() + SCRIPT, "holds_something_else"),
    "torn pdf": (PDF[:20], "not_complete"),
    "torn jpeg": (jpeg()[:-2], "not_complete"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100, "picture_is_heic"),
    "pdf after a program": (b"MZ" + b"\0" * 100 + PDF, "type_not_allowed"),
    "jpeg and page": (jpeg() + SCRIPT, "holds_something_else"),
    "film and zip behind a jpeg": (jpeg() + film() + archive(), "holds_something_else"),
}


@pytest.mark.parametrize("name", NO_DOCUMENTS)
async def test_what_is_no_document_is_refused_and_leaves_nothing(plain: Portal, name: str) -> None:
    """By content, not by name: the problem names field, rule and reason; no bytes and no event are stored."""
    content, reason = NO_DOCUMENTS[name]
    registration_id = await plain.register(**voluntary())
    before, facts = await kept(plain), await plain.facts()

    response = await plain.upload(registration_id, "Letter", content)

    assert response.status_code == 400, response.text
    problem = response.json()
    assert (problem["rule"], problem["reason"]) == ("R9", reason)
    assert [error["field"] for error in problem["errors"]] == ["body"]
    assert (await kept(plain), await plain.facts()) == (before, facts)


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "C:\\letter.pdf", "..", ".", "%2e%2e%2fletter.pdf",
     "a\r\nSet-Cookie: x", "right\u202efdp.exe", "nul\0.pdf", " ", "x" * 101],
)  # fmt: skip
async def test_name_that_is_no_name_is_refused(plain: Portal, name: str) -> None:
    """A path, a header inside a header, a name with direction marks: the problem names the header, nothing is stored.

    `%2e%2e%2f` sent as such is text after one decoding, and stays text: it is only a name, and never used.
    """
    registration_id = await plain.register(**voluntary())
    before, facts = await kept(plain), await plain.facts()
    header = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}

    response = await plain.upload(registration_id, "Letter", **header)

    if name.startswith("%2e"):
        assert response.status_code == 201
        return
    assert response.status_code == 400, response.text
    assert [error["field"] for error in response.json()["errors"]] == ["header.Content-Disposition"]
    assert (await kept(plain), await plain.facts()) == (before, facts)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/pdf"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Disposition": "attachment; filename=letter.pdf"}, 201),
        ({"Content-Disposition": 'attachment; filename="letter of the host.pdf"'}, 201),
        ({"Content-Disposition": "attachment; filename=\"l.pdf\"; filename*=UTF-8''l%C3%A9tter.pdf"}, 201),
        ({"Content-Disposition": "Attachment; FILENAME*=utf-8'nl'l%c3%a9tter.pdf"}, 201),
        ({"Content-Disposition": b'attachment; filename="l\xc3\xa9tter.pdf"'}, 201),
        ({"Content-Disposition": 'attachment; filename=""'}, 400),
        ({"Content-Disposition": 'attachment; filename="../letter.pdf"'}, 400),
        ({"Content-Disposition": 'attachment; filename="letter.pdf'}, 400),
        ({"Content-Disposition": 'attachment; filename="letter.pdf"; size=3'}, 400),
        ({"Content-Disposition": "inline; filename*=UTF-8''letter.pdf"}, 400),
        ({"Content-Disposition": "attachment; filename*=UTF-8''%FF%FE.pdf"}, 400),
        ({"Content-Disposition": "attachment; filename*=UTF-8''%zz.pdf"}, 400),
        ({"Content-Disposition": "attachment; filename*=latin1''letter.pdf"}, 400),
    ],
)
async def test_headers_name_a_file_or_are_refused(plain: Portal, headers: dict[str, str], status: int) -> None:
    """A plain or an encoded name; another Content-Type is a 415, for every client."""
    registration_id = await plain.register(**voluntary())

    response = await plain.upload(registration_id, "Letter", **headers)

    assert response.status_code == status, response.text


async def test_too_large_is_413_and_leaves_nothing(plain: Portal) -> None:
    """At once by Content-Length, or as soon as the body exceeds it; exactly the limit passes."""
    registration_id = await plain.register(**voluntary())
    before = await kept(plain)

    async def without_length() -> AsyncIterator[bytes]:
        yield PDF[:100]
        for _ in range(LIMIT // 100_000 + 1):
            yield os.urandom(100_000)

    for content in (pdf(LIMIT + 1), without_length()):
        response = await plain.upload(registration_id, "Letter", content)  # type: ignore[arg-type] # httpx takes both
        assert response.status_code == 413
    assert await kept(plain) == before

    assert (await plain.upload(registration_id, "Letter", pdf(LIMIT))).status_code == 201


async def test_most_kinds_are_enough(plain: Portal) -> None:
    """At most thirty kinds; each of them may still be replaced."""
    registration_id = await plain.register(**voluntary())
    for number in range(30):
        assert (await plain.upload(registration_id, f"Letter {number}")).status_code == 201

    assert (await plain.upload(registration_id, "One more")).json()["reason"] == "too_many"
    assert (await plain.upload(registration_id, "Letter 3")).status_code == 201


async def test_crash_between_the_bytes_and_the_fact_leaves_no_bytes_for_long(plain: Portal) -> None:
    """The sweep deletes files that no registration names, and only those."""
    registration_id = await plain.register(**voluntary())
    named = (await plain.upload(registration_id, "Letter")).json()["documentId"]
    documents = DocumentStorage(plain.world.mongo.database("registration"), plain.world.keyring, None)

    async def content() -> AsyncIterator[bytes]:
        yield PDF

    await documents.store("left-behind", "somebody", content())
    await sweep(plain)

    assert (await kept(plain)) & {named, "left-behind"} == {named}


async def test_bytes_of_an_erased_person_are_unreadable_and_can_be_forgotten(plain: Portal) -> None:
    """Without the key no copy can be opened; and the files of one person can be deleted together."""
    student = another(STUDENT, "student-erased")
    registration_id = await plain.register(student, **voluntary())
    document_id = (await plain.upload(registration_id, "Letter", who=student)).json()["documentId"]
    person_id = await plain.world.person_id(student)
    app_keyring, files = plain.world.keyring, Files(plain.world.mongo.database("registration"), "documents", 1)
    document = (await plain.deps.evaluation.store.registrations.load(registration_id)).state
    assert document is not None
    await app_keyring.erase(person_id)

    reader = DocumentStorage(plain.world.mongo.database("registration"), app_keyring, None)
    assert await reader.read(person_id, document.documents[0]) is None
    assert await files.delete_of(person_id) == 1
    assert document_id not in await kept(plain)


# ---------------------------------------------------------------- the scanner


async def test_scanner_sees_every_byte_and_finds_eicar_inside_a_document(scanned: Portal, clamd: FakeClamd) -> None:
    """A PDF that contains EICAR is a PDF by its content: the scanner finds it, and nothing is stored."""
    clamd.mode = "honest"
    registration_id = await scanned.register(**voluntary())
    clean, infected = pdf(2 * PIECE_BYTES + 5), PDF[:-6] + EICAR + PDF[-6:]

    good = await scanned.upload(registration_id, "Letter", clean)
    before, facts = await kept(scanned), await scanned.facts()
    bad = await scanned.upload(registration_id, "Letter", infected)

    assert good.status_code == 201
    assert clamd.scanned[-2:] == [clean, infected]
    assert clamd.broken == []
    assert (bad.status_code, bad.json()["reason"], bad.json()["rule"]) == (400, "malware_found", "R9")
    assert (await kept(scanned), await scanned.facts()) == (before, facts)


@pytest.mark.parametrize("mode", ["silent", "error", "hang-up", "nonsense"])
async def test_scanner_that_gives_no_verdict_fails_closed(scanned: Portal, clamd: FakeClamd, mode: str) -> None:
    """503 with Retry-After: a file that was not confirmed to be clean is not stored."""
    registration_id = await scanned.register(**voluntary())
    before, facts = await kept(scanned), await scanned.facts()
    clamd.mode = mode

    response = await scanned.upload(registration_id, "Letter", pdf(3 * PIECE_BYTES))

    clamd.mode = "honest"
    assert response.status_code == 503, response.text
    assert response.headers["retry-after"]
    assert (await kept(scanned), await scanned.facts()) == (before, facts)
    assert (await scanned.upload(registration_id, "Letter")).status_code == 201


async def test_scanner_that_is_away_fails_closed(stack: Stack, tmp_path: Path) -> None:
    """While the scanner is down, no document is stored and everything else works."""
    async with portal(stack.mongo, tmp_path, clamd="127.0.0.1:9", clamd_timeout_seconds=1) as found:
        await found.advise("ES", Level.GREEN)
        registration_id = await found.register(**voluntary())

        response = await found.upload(registration_id, "Letter")

        assert response.status_code == 503
        assert await kept(found) == set()
        assert (await found.see(registration_id))["status"] == "approved"


async def test_two_documents_at_once_are_two(plain: Portal) -> None:
    """Uploads at the same moment: each document is attached and complete."""
    registration_id = await plain.register(**voluntary())

    found = await asyncio.gather(*(plain.upload(registration_id, f"Letter {n}", pdf(300_000 + n)) for n in range(4)))

    assert {response.status_code for response in found} == {201}
    documents: list[dict[str, Any]] = (await plain.see(registration_id))["documents"]
    assert {(document["kind"], document["sizeBytes"]) for document in documents} == {
        (f"Letter {n}", 300_000 + n) for n in range(4)
    }
    assert FILE["Content-Type"] == "application/octet-stream"
