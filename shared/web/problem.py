"""Errors as RFC 9457 problem+json. A rule that blocks is named, with its reason and a contact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from shared.web.phrases import Language, Phrases

MEDIA_TYPE = "application/problem+json"

#: Phrases that Python renames between versions stay the same here. Source: RFC 9110.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
MAX_FIELD_ERRORS = 100
#: Names of fields that the caller made up are cut off after this many characters.
MAX_NAME_CHARS = 60
#: The phrases of all services, for problems outside of one.
SHARED_PHRASES = Phrases()


def title(status: int) -> str:
    """The phrase of a status."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


@dataclass(frozen=True, slots=True)
class FieldError:
    """The error of one field. Its value is never quoted. `dutch`: the reason in Dutch, where no phrase says it."""

    field: str
    reason: str
    dutch: str | None = None

    def text(self, phrases: Phrases, language: Language | None) -> str:
        """The reason in the reader's language; None: as it was written."""
        return _text(self.reason, self.dutch, phrases, language)


class Problem(Exception):
    """An answer that is not a success. `type_` is the last part of the problem's URN.

    `members`: further members of the document (RFC 9457, Extension Members). `dutch`: the detail in Dutch, where it is
    made of parts and no phrase says it.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        type_: str = "",
        rule: str | None = None,
        reason: str | None = None,
        contact: Mapping[str, Any] | None = None,
        errors: Sequence[FieldError] = (),
        dutch: str | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.type = type_ or title(status).lower().replace(" ", "-")
        self.rule = rule
        self.reason = reason
        self.contact = contact
        self.errors = tuple(errors)
        self.dutch = dutch
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def body(self, phrases: Phrases = SHARED_PHRASES, language: Language | None = None) -> dict[str, Any]:
        """The JSON document, in the reader's language; None: as it was written."""
        body: dict[str, Any] = {
            "type": f"urn:safe-passage:problem:{self.type}",
            "title": title(self.status),
            "status": self.status,
            "detail": _text(self.detail, self.dutch, phrases, language),
        }
        if self.rule is not None:
            body["rule"] = self.rule
        if self.reason is not None:
            body["reason"] = self.reason
        if self.contact is not None:
            body["contact"] = dict(self.contact)
        if self.errors:
            body["errors"] = [{"field": error.field, "reason": error.text(phrases, language)} for error in self.errors]
        return {**body, **self.members}

    def response(self, phrases: Phrases = SHARED_PHRASES, language: Language | None = None) -> JSONResponse:
        """The HTTP answer."""
        spoken = {"Content-Language": language} if language is not None else {}
        return JSONResponse(self.body(phrases, language), self.status, {**self.headers, **spoken}, MEDIA_TYPE)


def _text(text: str, dutch: str | None, phrases: Phrases, language: Language | None) -> str:
    if language is None:
        return text
    return dutch if dutch is not None and language == "nl" else phrases.in_language(text, language)


class ProblemBody(BaseModel):
    """The shape of a problem, for the OpenAPI document."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    rule: str | None = Field(default=None, description="The rule that blocks, e.g. R13")
    reason: str | None = Field(default=None, description="Reason code")
    contact: dict[str, Any] | None = Field(default=None, description="Contact who can help")
    errors: list[dict[str, str]] | None = Field(default=None, description="Every wrong field")


def invalid(*errors: FieldError) -> Problem:
    """400 with every wrong field, at most the first hundred."""
    return Problem(400, "The request is not valid.", type_="invalid-request", errors=errors[:MAX_FIELD_ERRORS])


def not_found() -> Problem:
    """404 for an object that does not exist, and for one that the caller may not see: they cannot tell which."""
    return Problem(404, "It does not exist, or you have no access to it.")
