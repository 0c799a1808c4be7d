"""R9: a document comes to lie with a registration; a new one replaces the former of its kind."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.registration.access import Permissions
from services.registration.commands.registrations import CommandDeps, decided, shown, state_of, visible
from services.registration.document_storage import DocumentRefused, StoredDocument
from services.registration.model import Document, Registration, Status
from services.registration.texts import reason_text
from shared.envelope import Cause, Draft
from shared.errors import PermanentError
from shared.events import DocumentAttached
from shared.ids import new_id
from shared.mongo.client import Session
from shared.web.idempotency import Answer, IdempotentRequest, run_once
from shared.web.problem import FieldError, Problem, not_found
from shared.web.sealing import erased

#: Nobody needs more kinds of documents for one journey.
MOST_KINDS = 30
#: So long may a document wait for its registration to name it; and so many are looked at in one sweep.
GRACE = timedelta(hours=1)
SWEPT = 100


@dataclass(frozen=True, slots=True)
class Upload:
    """A document on its way in. `name` is shown, never used; `key` is the Idempotency-Key, bound to caller and path."""

    kind: str
    name: str
    chunks: AsyncIterator[bytes]
    key: str | None


async def attach(
    deps: CommandDeps, permissions: Permissions, registration_id: str, incoming: Upload, *, cause: Cause, now: datetime
) -> Answer:
    """Keep the bytes, then the fact that names them; the registration is looked at again.

    Raises Problem for what is no document or has no place here. What was kept for nothing is forgotten at once, or by
    the sweep where the process died in between.
    """
    state = _attachable(permissions, state_of(await visible(deps, permissions, registration_id)), incoming.kind)
    document_id, event_id = new_id(), new_id()
    name, kept = await _kept(deps, state, document_id, event_id, incoming)
    event = DocumentAttached(
        registration_id=registration_id,
        person_id=state.person_id,
        document_id=document_id,
        kind=incoming.kind,
        sha256=kept.sha256,
        size_bytes=kept.size_bytes,
        media_type=kept.media_type,
        name=name,
    )
    for former in state.documents:
        if former.kind == incoming.kind:
            await deps.documents.files.doubt(former.document_id)

    async def work(session: Session) -> Answer:
        loaded = await visible(deps, permissions, registration_id, session)
        _attachable(permissions, state_of(loaded), incoming.kind)
        after = await deps.store.record(loaded, [Draft(event, event_id)], cause=cause, now=now, session=session)
        answer = shown(deps, after, 201)
        location = f"/v1/registrations/{registration_id}/documents/{document_id}"
        return Answer(201, {**answer.body, "documentId": document_id}, {**answer.headers, "Location": location})

    once = _once(incoming, kept)
    try:
        answer = await run_once(deps.mongo, deps.database, once, work)
    except Problem:  # nothing is recorded; of any other error that is not certain, and the sweep will know
        await deps.documents.files.delete(document_id)
        raise
    if answer.body["documentId"] != document_id:  # a repeat: the first one is there
        await deps.documents.files.delete(document_id)
        return answer
    return await decided(deps, answer, once, cause, now)


async def load_document(
    deps: CommandDeps, permissions: Permissions, registration_id: str, document_id: str
) -> tuple[Registration, Document]:
    """A document that lies with the registration now, for who may open it. Raises Problem 404."""
    state = state_of(await visible(deps, permissions, registration_id))
    found = next((each for each in state.documents if each.document_id == document_id), None)
    if found is None or not permissions.sees_contact(state):
        raise not_found()
    return state, found


async def delete_unreferenced_documents(deps: CommandDeps, now: datetime) -> None:
    """Bytes that no registration names: replaced by newer ones, or left behind by a crash. Each is looked at once."""
    ids = await deps.documents.files.doubted(now - GRACE, SWEPT)
    named = await deps.store.named_documents(ids)
    for document_id in ids:
        if document_id in named:
            await deps.documents.files.trust(document_id)
        else:
            await deps.documents.files.delete(document_id)


async def _kept(
    deps: CommandDeps, state: Registration, document_id: str, event_id: str, incoming: Upload
) -> tuple[str, StoredDocument]:
    """The sealed name, and what came in."""
    try:
        name = await deps.keyring.seal(state.person_id, event_id, "/name", incoming.name)
        return name, await deps.documents.keep(document_id, state.person_id, incoming.chunks)
    except DocumentRefused as refused:
        raise Problem(
            400,
            "This file is not taken.",
            type_="invalid-request",
            rule="R9",
            reason=refused.reason,
            errors=[FieldError("body", reason_text(refused.reason, state.language))],
        ) from None
    except PermanentError:
        raise erased() from None


def _attachable(permissions: Permissions, state: Registration, kind: str) -> Registration:
    """The student's own, or one that the International Office helps with. Raises Problem."""
    if not (permissions.owns(state) or permissions.is_international_office):
        raise Problem(403, "Only the student, or the International Office, can add one.", reason="not_the_student")
    if state.status is Status.CANCELLED:
        raise Problem(409, "It was cancelled; hand in a new one.", reason="cancelled")
    if len({each.kind for each in state.documents} | {kind}) > MOST_KINDS:
        raise Problem(409, f"At most {MOST_KINDS} kinds of documents lie with a registration.", reason="too_many")
    return state


def _once(incoming: Upload, kept: StoredDocument) -> IdempotentRequest | None:
    """The same key stands for the same bytes, kind and name."""
    if incoming.key is None:
        return None
    what = "\n".join((kept.sha256, incoming.kind, incoming.name))
    return IdempotentRequest(incoming.key, hashlib.sha256(what.encode()).hexdigest())
