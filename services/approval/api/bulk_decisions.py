"""Several requests granted at once over HTTP: each by the rules for itself, and each with an answer of its own."""

from typing import Annotated, Any, Literal

from fastapi import Depends
from pydantic import Field, model_validator

from services.approval.access import permissions_of
from services.approval.bulk_decisions import GrantItem, grant_many
from services.approval.decisions import Verdict
from services.approval.deps import CommandDeps
from services.approval.model import Status
from shared.events import Identifier, Part
from shared.fields import FreeText
from shared.web.bodies import Body
from shared.web.command import CommandOf
from shared.web.identity import Identity, require
from shared.web.routes import RouteClass, Routes

#: So many requests may be granted with one call.
MAX_ITEMS = 100

Approver = Annotated[Identity, Depends(require("approver"))]


class ItemBody(Body):
    """One request, on the version that the approver has seen in the list."""

    approval_id: Identifier
    version: int = Field(ge=1, le=2**53, description="`version` of the request as the approver has seen it")
    programme_confirmed: bool = Field(
        default=False, description="R5: the approver has checked that the student is one of the programme"
    )


class BulkBody(Body):
    """The requests to grant, with one reason for all of them."""

    decision: Literal["grant"]
    reason: FreeText | None = None
    items: tuple[ItemBody, ...] = Field(min_length=1, max_length=MAX_ITEMS)

    @model_validator(mode="after")
    def _names_each_once(self) -> "BulkBody":
        if len({item.approval_id for item in self.items}) != len(self.items):
            raise ValueError("a request stands in it twice")
        return self

    def grants(self) -> list[GrantItem]:
        """As the command takes them."""
        return [
            GrantItem(item.approval_id, item.version, Verdict("grant", self.reason, item.programme_confirmed))
            for item in self.items
        ]


class ItemOutcome(Part):
    """The outcome of one request. `problem` is the error that a single decision would have returned."""

    approval_id: str
    http_status: int = Field(description="201: granted")
    status: Status | None = Field(description="Of the request; null where the grant was not possible")
    problem: dict[str, Any] | None


class BulkOutcome(Part):
    """The outcome of each request, in the order of the items."""

    granted: int
    refused: int
    results: tuple[ItemOutcome, ...]


def routes(deps: CommandDeps) -> Routes:
    """The route of several decisions."""
    router = Routes(RouteClass.USER, tags=["approval"])

    @router.post("/v1/approval-decisions", operation_id="decideApprovalRequests", response_model=BulkOutcome)
    async def decide_many(caller: Approver, body: BulkBody, command: CommandOf) -> Any:
        """Grant several requests. One that the rules do not allow stops no other; a repeat grants none twice."""
        answer = await grant_many(deps, command.by(permissions_of(caller, deps.catalogue)), body.grants())
        return answer.response()

    return router
