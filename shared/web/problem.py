"""Errors as RFC 9457 problem+json. A block names its rule, its reason and a person to contact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"


#: Python renames phrases between its versions; ours stay. Source: RFC 9110.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
MOST_ERRORS = 100


def title(status: int) -> str:
    """What a status is called."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; the value itself is never quoted."""

    field: str
    reason: str


class Problem(Exception):
    """Any answer that is not a success. `type_` is the last part of the problem's URN."""

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
        return body

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
    contact: dict[str, Any] | None = Field(default=None, description="Whom to ask")
    errors: list[dict[str, str]] | None = Field(default=None, description="Every field that is wrong, together")


def invalid(*errors: FieldError) -> Problem:
    """400 with everything that is wrong, together; of a flood of mistakes the first hundred."""
    return Problem(400, "The request is not valid.", type_="invalid-request", errors=errors[:MOST_ERRORS])


def not_found() -> Problem:
    """404 for what is not there, and for what is somebody else's: the difference is nobody's business."""
    return Problem(404, "There is no such thing, or it is not yours to see.")
