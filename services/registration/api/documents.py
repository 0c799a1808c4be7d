"""Documents over HTTP (R9): the bytes are the body, streamed; what they are is seen by their content."""

import re
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import TypeAdapter, ValidationError

from services.registration.access import READERS, Permissions, permissions_of
from services.registration.api.registrations import DocumentEntry, Receipt
from services.registration.commands import documents
from services.registration.commands.registrations import CommandDeps, state_of, visible
from services.registration.file_type import MediaType
from shared.clock import utc_now
from shared.events import Identifier
from shared.fields import DocumentKind, ShortText
from shared.web.cause import CauseOf
from shared.web.idempotency import streamed_idempotency_key
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.problem import FieldError, Problem, invalid, not_found
from shared.web.routes import RouteClass, Routes

Reader = Annotated[Identity, Depends(require(*READERS))]
InOffice = Annotated[Identity, Depends(require("student", "international-office"))]
KeyOf = Annotated[str | None, Depends(streamed_idempotency_key)]
Id = Annotated[Identifier, Path()]

#: The name of a file as a header can hold it. Source: RFC 6266, RFC 8187 (ext-value in UTF-8).
_NAME = r"^attachment; filename\*=UTF-8''[A-Za-z0-9%!#$&+.^_`|~-]{1,900}$"
LONGEST_NAME = 100
OCTETS = "application/octet-stream"
_BODY = {"requestBody": {"required": True, "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The document", "content": {each.value: {} for each in MediaType}}
}
_NAMES: TypeAdapter[str] = TypeAdapter(ShortText)


class DocumentReceipt(Receipt):
    """The answer to a document."""

    document_id: str


class NamedDocument(DocumentEntry):
    """A document with its name; null when the student was erased."""

    name: str | None


def routes(deps: CommandDeps, room: dict[str, Any]) -> Routes:
    """Below one registration. `room`: how large a document may be and how long it may take (`roomy`)."""
    router = Routes(RouteClass.USER, tags=["documents"])

    def of(caller: Identity) -> Permissions:
        return permissions_of(caller, deps.catalogue)

    @router.post(
        "/v1/registrations/{registration_id}/documents",
        operation_id="attachDocument",
        status_code=201,
        response_model=DocumentReceipt,
        openapi_extra={**room, **_BODY},
    )
    async def attach(
        caller: InOffice,
        registration_id: Id,
        request: Request,
        kind: Annotated[DocumentKind, Query()],
        content_disposition: Annotated[str, Header(alias="Content-Disposition", pattern=_NAME, max_length=1_000)],
        key: KeyOf,
        cause: CauseOf,
    ) -> JSONResponse:
        """A document for the registration; one of the same kind is replaced. PDF, JPEG or PNG, by content."""
        must_be_octets(request)
        name = _name(content_disposition)
        incoming = documents.Upload(kind, name, request.stream(), key)
        answer = await documents.attach(deps, of(caller), registration_id, incoming, cause=cause, now=utc_now())
        return answer.response()

    @router.get("/v1/registrations/{registration_id}/documents", operation_id="listDocuments")
    async def listed(caller: Reader, registration_id: Id, paged: Paged) -> Page[NamedDocument]:
        """What lies with the registration; names are for those who may open them."""
        who = of(caller)
        state = state_of(await visible(deps, who, registration_id))
        shown = state.documents[paged.skip : paged.skip + paged.fetch]
        names = [await deps.keyring.open(each.name, "/name") if who.sees_contact(state) else None for each in shown]
        return paged.page(
            [
                NamedDocument(**each.model_dump(exclude={"name"}), name=name)
                for each, name in zip(shown, names, strict=True)
            ]
        )

    @router.get(
        "/v1/registrations/{registration_id}/documents/{document_id}",
        operation_id="getDocument",
        response_class=Response,
        responses=_FILE,
        openapi_extra=room,
    )
    async def one(caller: Reader, registration_id: Id, document_id: Id) -> StreamingResponse:
        """The bytes of one document, to be saved, never shown in place."""
        state, document = await documents.load_document(deps, of(caller), registration_id, document_id)
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


def must_be_octets(request: Request) -> None:
    """Raises Problem 415: what the bytes are is seen by looking at them, so nobody says it."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoded = request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
    if given != OCTETS or encoded:
        raise Problem(415, f"Send the bytes as {OCTETS}, not compressed.", headers={"Accept": OCTETS})


def _name(header: str) -> str:
    """The file's name. Raises Problem for one that is a path, cannot be read or is not what it looks like."""
    encoded = header.partition("''")[2]
    field = "header.Content-Disposition"
    if re.search(r"%(?![0-9A-Fa-f]{2})", encoded):
        raise invalid(FieldError(field, "is not percent-encoded"))
    try:
        name = unquote(encoded, errors="strict")
    except UnicodeDecodeError:
        raise invalid(FieldError(field, "is not UTF-8")) from None
    if "/" in name or "\\" in name or name.strip(". ") == "":
        raise invalid(FieldError(field, "is a path, not the name of a file"))
    if len(name) > LONGEST_NAME:
        raise invalid(FieldError(field, "is too long"))
    try:
        return _NAMES.validate_python(name)
    except ValidationError:
        raise invalid(FieldError(field, "holds control or directional characters")) from None
