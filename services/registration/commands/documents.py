"""Attaches documents to registrations (R9). A new document replaces the one of the same kind."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.registration.access import Permissions
from services.registration.commands.after_commit import evaluate_after_commit
from services.registration.commands.answers import contact_for_queue, registration_answer
from services.registration.commands.deps import CommandDeps
from services.registration.commands.loading import check_not_cancelled, load_visible, state_of
from services.registration.document_storage import DocumentRefused, StoredDocument
from services.registration.model import Document, Registration
from services.registration.rules import documents
from services.registration.rules.clearance import Queue
from services.registration.texts import reason_text
from shared.catalogue import Catalogue
from shared.command import Command
from shared.envelope import Draft
from shared.errors import PermanentError, TransientError
from shared.events import DocumentAttached
from shared.ids import new_id
from shared.mongo.client import PyMongoError, Session
from shared.web.idempotency import Answer, IdempotentRequest, run_once
from shared.web.problem import FieldError, Problem, not_found
from shared.web.sealing import erased, sealed_alike

#: Kinds of documents of one registration; no journey needs more.
MAX_KINDS = 30
#: The field for which a kind in the student's own words is sealed.
KIND_PATH = "/kindSealed"
#: Stored bytes may wait this long for the event that names them; and this many files are checked in one sweep.
GRACE = timedelta(hours=1)
SWEEP_SIZE = 100


@dataclass(frozen=True, slots=True)
class Upload:
    """A document that is being uploaded. `name` is shown to people and never used as a path.

    `key` is the Idempotency-Key, bound to caller and path.
    """

    kind: str
    name: str
    chunks: AsyncIterator[bytes]
    key: str | None


async def attach(deps: CommandDeps, registration_id: str, upload: Upload, command: Command[Permissions]) -> Answer:
    """Store the bytes, then the event that names them; then evaluate the registration.

    Raises Problem for a file that cannot be attached. Bytes that no event names, and those of the document that was
    replaced, are deleted at once, or by the sweep if the process died in between.
    """
    state = state_of(await load_visible(deps, command.caller, registration_id))
    _check_attachable(command.caller, state)
    _check_kind(deps.catalogue, state, upload.kind)
    kind_key = await _kind_key(deps, state, upload.kind)
    _check_count(state, kind_key)
    document_id, event_id = new_id(), new_id()
    async with deps.document_limits.uploads.slot(command.caller.person_id):
        sealed_name, stored = await _store(deps, state, document_id, event_id, upload, kind_key)
    event = DocumentAttached(
        registration_id=registration_id,
        person_id=state.person_id,
        document_id=document_id,
        kind=kind_key[0],
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        media_type=stored.media_type,
        name=sealed_name,
        kind_sealed=kind_key[1],
    )
    replaced = [document.document_id for document in state.documents if document.kind_key == kind_key]
    for former_id in replaced:
        await deps.documents.files.doubt(former_id)

    async def work(session: Session) -> Answer:
        loaded = await load_visible(deps, command.caller, registration_id, session)
        _check_attachable(command.caller, state_of(loaded))
        _check_count(state_of(loaded), kind_key)
        drafts = [Draft(event, event_id)]
        after = await deps.store.record(loaded, drafts, cause=command.cause, now=command.now, session=session)
        answer = registration_answer(deps.catalogue, after, 201)
        location = f"/v1/registrations/{registration_id}/documents/{document_id}"
        return Answer(201, {**answer.body, "documentId": document_id}, {**answer.headers, "Location": location})

    command = replace(command, idempotency=_idempotency(upload, stored))
    try:
        answer = await run_once(deps.mongo, deps.database, command.idempotency, work)
    except Problem:  # certainly nothing was stored; after any other error the sweep finds out
        await deps.documents.files.delete(document_id)
        raise
    if answer.body["documentId"] != document_id:  # a repeated request: its first upload is stored
        await deps.documents.files.delete(document_id)
        return answer
    with contextlib.suppress(PyMongoError, TransientError):  # the sweep deletes them then
        for former_id in replaced:
            await deps.documents.files.delete(former_id)
    return await evaluate_after_commit(deps, answer, command)


async def load_document(
    deps: CommandDeps, permissions: Permissions, registration_id: str, document_id: str
) -> tuple[Registration, Document]:
    """A document that is attached to the registration now and that the caller may open. Raises Problem 404."""
    state = state_of(await load_visible(deps, permissions, registration_id))
    document = next((document for document in state.documents if document.document_id == document_id), None)
    if document is None or not permissions.sees_contact(state):
        raise not_found()
    return state, document


async def delete_unreferenced_documents(deps: CommandDeps, now: datetime) -> None:
    """Delete files that no registration names: they were replaced, or a crash left them. Each is checked once."""
    document_ids = await deps.documents.files.doubted(now - GRACE, SWEEP_SIZE)
    attached = await deps.store.attached_documents(document_ids)
    for document_id in document_ids:
        if document_id in attached:
            await deps.documents.files.trust(document_id)
        else:
            await deps.documents.files.delete(document_id)


async def _store(
    deps: CommandDeps,
    state: Registration,
    document_id: str,
    event_id: str,
    upload: Upload,
    kind_key: tuple[str, str | None],
) -> tuple[str, StoredDocument]:
    """The sealed name and the stored document. Raises Problem when the file is refused or the person was erased."""
    try:
        chunks = _within(upload.chunks, await _bytes_left(deps, state, kind_key))
        sealed_name = await deps.keyring.seal(state.person_id, event_id, "/name", upload.name)
        return sealed_name, await deps.documents.store(document_id, state.person_id, chunks)
    except DocumentRefused as refused:
        raise Problem(
            400,
            "This file cannot be attached.",
            type_="invalid-request",
            rule="R9",
            reason=refused.reason,
            errors=[FieldError("body", reason_text(refused.reason, state.language))],
        ) from None
    except PermanentError:
        raise erased() from None


async def _bytes_left(deps: CommandDeps, state: Registration, kind_key: tuple[str, str | None]) -> int:
    """How large a document of this kind may be: what the registration and the person have left without the former."""
    replaced = sum(document.size_bytes for document in state.documents if document.kind_key == kind_key)
    attached = sum(document.size_bytes for document in state.documents)
    limits = deps.document_limits
    stored = await deps.documents.files.stored_bytes(state.person_id)
    return replaced + min(limits.registration_bytes - attached, limits.person_bytes - stored)


async def _within(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """The same bytes. Raises Problem 409 as soon as they are more than the limit: the documents take too much."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise Problem(
                409,
                "The documents of this registration, or of this student, take too much room. Make the file smaller, or "
                "replace another one by a smaller one.",
                rule="R9",
                reason="too_much",
            )
        yield chunk


async def _kind_key(deps: CommandDeps, state: Registration, kind: str) -> tuple[str, str | None]:
    """The kind as the event has it: named by the catalogue, or in the student's own words, which are sealed.

    A kind that stands in clear in this registration, from an older event, stays as it is.
    """
    named = deps.catalogue.document_kinds(state.faculty_id).keys() | {document.kind for document in state.documents}
    if kind in named:
        return kind, None
    return "", await sealed_alike(deps.keyring, state.person_id, KIND_PATH, kind)


def _check_attachable(permissions: Permissions, state: Registration) -> None:
    """For the student, or for the International Office, which helps. Raises Problem 403 or 409 otherwise."""
    if not (permissions.owns(state) or permissions.is_international_office):
        raise Problem(
            403, "Only the student and the International Office can attach documents.", reason="not_the_student"
        )
    check_not_cancelled(state)


def _check_count(state: Registration, kind_key: tuple[str, str | None]) -> None:
    """Raises Problem 409 for a kind too many."""
    if len({document.kind_key for document in state.documents} | {kind_key}) > MAX_KINDS:
        raise Problem(409, f"A registration has documents of at most {MAX_KINDS} kinds.", reason="too_many")


def _check_kind(catalogue: Catalogue, state: Registration, kind: str) -> None:
    """R9: the kind is one of the catalogue's, if it names any. Raises Problem 400 with the list of them."""
    known = catalogue.document_kinds(state.faculty_id)
    standing = documents.kind_standing(kind, known)
    if standing is not documents.Reason.UNKNOWN_KIND:
        return
    sentence = reason_text(standing, state.language)
    choices = ", ".join(f"{code} ({known[code].name.text(state.language)})" for code in known)
    raise Problem(
        400,
        f"{sentence} {choices}.",
        type_="invalid-request",
        rule="R9",
        reason=standing,
        contact=contact_for_queue(catalogue, state, Queue.FACULTY_CONTACT),
        errors=[FieldError("query.kind", f"is not one of {', '.join(known)}")],
    )


def _idempotency(upload: Upload, stored: StoredDocument) -> IdempotentRequest | None:
    """The same Idempotency-Key must come with the same bytes, kind and name."""
    if upload.key is None:
        return None
    content = "\n".join((stored.sha256, upload.kind, upload.name))
    return IdempotentRequest(upload.key, hashlib.sha256(content.encode()).hexdigest())
