"""Documents over HTTP (R9): the body of the request is the document, streamed; its type is detected by its content."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from services.registration.access import permissions_of
from services.registration.api.bodies import Id, Reader, StudentOrOffice
from services.registration.api.file_name import PATTERN, file_name
from services.registration.api.views import DocumentEntry, RegistrationAnswer, document_entries
from services.registration.commands import documents
from services.registration.commands.deps import CommandDeps
from services.registration.commands.loading import load_visible, state_of
from services.registration.file_type.inspection import MediaType
from shared.clock import utc_now
from shared.command import Command
from shared.fields import DocumentKind
from shared.web.cause import CauseOf
from shared.web.idempotency import streamed_idempotency_key
from shared.web.paging import Page, Paged
from shared.web.problem import Problem, not_found
from shared.web.routes import RouteClass, Routes

KeyOf = Annotated[str | None, Depends(streamed_idempotency_key)]

OCTETS = "application/octet-stream"
_BODY = {"requestBody": {"required": True, "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The document", "content": {media_type.value: {} for media_type in MediaType}}
}


class DocumentAnswer(RegistrationAnswer):
    """The answer to an upload."""

    document_id: str


class NamedDocument(DocumentEntry):
    """A document with its name; null when the caller may not read it, and when the student was erased."""

    name: str | None


def routes(deps: CommandDeps, limits: dict[str, Any]) -> Routes:
    """The documents of one registration. `limits`: how large a document may be, and how long it may take (`roomy`)."""
    router = Routes(RouteClass.USER, tags=["documents"])

    @router.post(
        "/v1/registrations/{registration_id}/documents",
        operation_id="attachDocument",
        status_code=201,
        response_model=DocumentAnswer,
        openapi_extra={**limits, **_BODY},
    )
    async def attach(
        caller: StudentOrOffice,
        registration_id: Id,
        request: Request,
        kind: Annotated[DocumentKind, Query()],
        content_disposition: Annotated[str, Header(alias="Content-Disposition", pattern=PATTERN, max_length=1_000)],
        key: KeyOf,
        cause: CauseOf,
    ) -> JSONResponse:
        """Attach a document; it replaces one of the same kind. PDF, JPEG or PNG, by content.

        Of a picture, what stands behind its end is not stored: `sha256` and `sizeBytes` are of the stored bytes.
        """
        check_octets(request)
        name = file_name(content_disposition)
        upload = documents.Upload(kind, name, request.stream(), key)
        # The request is idempotent once the bytes are known: the command derives that from the key and their hash.
        command = Command(permissions_of(caller, deps.catalogue), None, None, cause, utc_now())
        answer = await documents.attach(deps, registration_id, upload, command)
        return answer.response()

    @router.get("/v1/registrations/{registration_id}/documents", operation_id="listDocuments")
    async def list_documents(caller: Reader, registration_id: Id, paged: Paged) -> Page[NamedDocument]:
        """The documents of a registration; names are for callers who may open them."""
        permissions = permissions_of(caller, deps.catalogue)
        state = state_of(await load_visible(deps, permissions, registration_id))
        page, entries = state.documents[paged.skip : paged.skip + paged.fetch], []
        for document, entry in zip(page, await document_entries(deps, page), strict=True):
            name = await deps.keyring.open(document.name, "/name") if permissions.sees_contact(state) else None
            entries.append(NamedDocument(**entry.model_dump(), name=name))
        return paged.page(entries)

    @router.get(
        "/v1/registrations/{registration_id}/documents/{document_id}",
        operation_id="getDocument",
        response_class=Response,
        responses=_FILE,
        openapi_extra=limits,
    )
    async def get_document(caller: Reader, registration_id: Id, document_id: Id) -> StreamingResponse:
        """The bytes of one document, as a download that no browser displays in place."""
        state, document = await documents.load_document(
            deps, permissions_of(caller, deps.catalogue), registration_id, document_id
        )
        content = await deps.documents.read(state.person_id, document)
        name = await deps.keyring.open(document.name, "/name")
        if content is None or name is None:
            raise not_found()
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "Content-Length": str(document.size_bytes),
            "ETag": f'"{document.sha256}"',
        }
        return StreamingResponse(content, media_type=document.media_type, headers=headers)

    return router


def check_octets(request: Request) -> None:
    """Raises Problem 415 for another Content-Type: the type is detected by the content, so a request names none."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_encoded = request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
    if content_type != OCTETS or is_encoded:
        raise Problem(415, f"Send the bytes as {OCTETS}, not compressed.", headers={"Accept": OCTETS})
