"""Errors as RFC 9457 problem+json. A rule that blocks is named, with its reason and a contact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"

#: Phrases that Python renames between versions stay the same here. Source: RFC 9110.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
MAX_FIELD_ERRORS = 100
#: Names of fields that the caller made up are cut off after this many characters.
MAX_NAME_CHARS = 60


def title(status: int) -> str:
    """The phrase of a status."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


@dataclass(frozen=True, slots=True)
class FieldError:
    """The error of one field. Its value is never quoted."""

    field: str
    reason: str


class Problem(Exception):
    """An answer that is not a success. `type_` is the last part of the problem's URN.

    `members`: further members of the document (RFC 9457, Extension Members).
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
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def body(self) -> dict[str, Any]:
        """The JSON document."""
        body: dict[str, Any] = {
            "type": f"urn:safe-passage:problem:{self.type}",
            "title": title(self.status),
            "status": self.status,
            "detail": self.detail,
        }
        if self.rule is not None:
            body["rule"] = self.rule
        if self.reason is not None:
            body["reason"] = self.reason
        if self.contact is not None:
            body["contact"] = dict(self.contact)
        if self.errors:
            body["errors"] = [{"field": error.field, "reason": error.reason} for error in self.errors]
        return {**body, **self.members}

    def response(self) -> JSONResponse:
        """The HTTP answer."""
        return JSONResponse(self.body(), self.status, self.headers, MEDIA_TYPE)


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
