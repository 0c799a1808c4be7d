"""The safety officer's decisions over HTTP: holds, released or rejected, and overrides. Each is an event."""

from typing import Annotated, Literal

from fastapi import Depends, Path, Query
from fastapi.responses import JSONResponse
from pydantic import Field, model_validator

from services.safety.api.colours import LEVELS, Colour
from services.safety.commands import holds, overrides
from services.safety.commands.deps import DecisionDeps
from services.safety.commands.holds import OpenHold
from services.safety.commands.overrides import OpenOverride
from shared.clock import utc_now
from shared.events import Identifier, Part
from shared.fields import CountryCode, ReasonText, ShortText, is_region_of
from shared.web.bodies import Body, TravelDay
from shared.web.command import CommandOf
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.routes import RouteClass, Routes

Officer = Annotated[Identity, Depends(require("safety-officer"))]
#: Who reads holds and overrides: who decided them, on which document and why.
DECISION_READERS = ("safety-officer", "international-office", "auditor")
Reader = Annotated[Identity, Depends(require(*DECISION_READERS))]
Id = Annotated[Identifier, Path()]
#: A country, or one of its regions.
Area = Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$", description="ISO 3166-1 alpha-2 or ISO 3166-2")]


class DecisionBody(Body):
    """A decision about a hold, and its reason. Without `countries` it is about all countries of the hold."""

    decision: Literal["release", "reject"]
    reason: ReasonText
    countries: tuple[CountryCode, ...] = Field(default=(), max_length=300)


class OverrideBody(Body):
    """An override. Without `effect` it is stricter, unless its level is better than the adopted level there."""

    country: CountryCode
    area: Area | None = Field(default=None, description="A region of the country; by default the whole country")
    level: Colour
    effect: Literal["stricter", "looser"] | None = None
    valid_from: TravelDay
    valid_until: TravelDay | None = None
    document: ShortText = Field(description="Document in which the decision is recorded; shown to students")
    reason: ReasonText = Field(description="Shown to students")
    order_to_leave: bool = Field(
        default=False,
        description="True: everybody there must leave; false: a ban on travel, no order to leave",
    )

    @model_validator(mode="after")
    def _check_area_and_days(self) -> "OverrideBody":
        if self.area is not None and self.area != self.country and not is_region_of(self.area, self.country):
            raise ValueError("area is not one of the country (ISO 3166-2)")
        if self.valid_until is not None and self.valid_until < self.valid_from:
            raise ValueError("validUntil lies before validFrom")
        return self


class ClosureBody(Body):
    """Why an override ends before its last day."""

    reason: ReasonText


class Decided(Part):
    """The result of a decision. `left`: how many countries of the hold are still undecided."""

    hold_id: str
    state: Literal["released", "rejected", "waits_for_second_person"]
    countries: tuple[str, ...]
    left: int


class Ended(Part):
    """An override that ended."""

    override_id: str
    country: str
    state: Literal["ended"]


def routes(deps: DecisionDeps) -> Routes:
    """The routes of holds and overrides."""
    router = Routes(RouteClass.USER, tags=["decisions"])

    @router.get("/v1/holds", operation_id="listHolds")
    async def list_holds(caller: Reader, paged: Paged) -> Page[OpenHold]:
        """Every open hold and why, newest first, with the improvements that wait for a second reading."""
        open_holds = await holds.open_holds(deps.store)
        return paged.page(open_holds[paged.skip : paged.skip + paged.fetch])

    @router.post(
        "/v1/holds/{hold_id}/decisions",
        operation_id="decideHold",
        status_code=201,
        response_model=Decided,
        responses={202: {"model": Decided, "description": "A second person must agree"}},
    )
    async def decide_hold(caller: Officer, hold_id: Id, body: DecisionBody, command: CommandOf) -> JSONResponse:
        """Release or reject a hold, for all of its countries or for some."""
        decision = holds.RequestedDecision(hold_id, body.decision, body.reason, body.countries)
        answer = await holds.decide(deps, command.by(caller.person_id), decision)
        return answer.response()

    @router.get("/v1/overrides", operation_id="listOverrides")
    async def list_overrides(
        caller: Reader, paged: Paged, country: Annotated[CountryCode | None, Query()] = None
    ) -> Page[OpenOverride]:
        """The overrides that are valid now or later, newest first. The history of a country has those that ended."""
        open_overrides = [
            override
            for override in await overrides.open_overrides(deps.store, utc_now())
            if country in (None, override.country)
        ]
        return paged.page(open_overrides[paged.skip : paged.skip + paged.fetch])

    @router.post("/v1/overrides", operation_id="setOverride", status_code=201, response_model=OpenOverride)
    async def set_override(caller: Officer, body: OverrideBody, command: CommandOf) -> JSONResponse:
        """R17: set a level for a country or region. It begins and ends by itself. Red is never loosened (409)."""
        override = overrides.RequestedOverride(
            country=body.country,
            area=body.area or body.country,
            level=LEVELS[body.level],
            loosens=None if body.effect is None else body.effect == "looser",
            valid_from=body.valid_from,
            valid_until=body.valid_until,
            document=body.document,
            reason=body.reason,
            order_to_leave=body.order_to_leave,
        )
        answer = await overrides.set_override(deps, command.by(caller.person_id), override)
        return answer.response()

    @router.post(
        "/v1/overrides/{override_id}/closure", operation_id="endOverride", status_code=201, response_model=Ended
    )
    async def end_override(caller: Officer, override_id: Id, body: ClosureBody, command: CommandOf) -> JSONResponse:
        """End an override now. The ministry's level counts again at once."""
        answer = await overrides.end_override(deps, command.by(caller.person_id), override_id, body.reason)
        return answer.response()

    return router
