"""What a safety officer decides: holds, released or rejected; overrides. Each is an event with who and why."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from fastapi import Depends, Path, Query
from fastapi.responses import JSONResponse
from pydantic import Field, model_validator

from services.safety.commands import holds, overrides
from services.safety.commands.holds import OpenHold
from services.safety.commands.overrides import OpenOverride
from shared.clock import utc_now
from shared.events import Identifier, Level, Part
from shared.fields import CountryCode, FreeText, ShortText, is_region_of
from shared.web.bodies import Body
from shared.web.cause import CauseOf
from shared.web.idempotency import IdempotentRequest, idempotent_request
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.routes import RouteClass, Routes

Officer = Annotated[Identity, Depends(require("safety-officer"))]
Reader = Annotated[Identity, Depends(require("safety-officer", "international-office", "auditor"))]
OnceOf = Annotated[IdempotentRequest | None, Depends(idempotent_request)]
Id = Annotated[Identifier, Path()]
#: A country, or one of its regions.
Area = Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$", description="ISO 3166-1 alpha-2 or ISO 3166-2")]
Colour = Literal["green", "yellow", "orange", "red"]
LEVELS: dict[Colour, Level] = {
    "green": Level.GREEN, "yellow": Level.YELLOW, "orange": Level.ORANGE, "red": Level.RED
}  # fmt: skip


class DecisionBody(Body):
    """What is decided about a hold, and why. `countries` left out: about all of them."""

    decision: Literal["release", "reject"]
    reason: FreeText = Field(max_length=500)
    countries: tuple[CountryCode, ...] = Field(default=(), max_length=300)


class OverrideBody(Body):
    """An override. `effect` left out: stricter, unless the level is better than what counts there now."""

    country: CountryCode
    area: Area | None = Field(default=None, description="The whole country when left out")
    level: Colour
    effect: Literal["stricter", "looser"] | None = None
    valid_from: date
    valid_until: date | None = None
    document: ShortText = Field(description="Where the decision is written down")
    reason: FreeText = Field(max_length=500)

    @model_validator(mode="after")
    def _belongs_together(self) -> "OverrideBody":
        if self.area is not None and self.area != self.country and not is_region_of(self.area, self.country):
            raise ValueError("area is not one of the country (ISO 3166-2)")
        if self.valid_until is not None and self.valid_until < self.valid_from:
            raise ValueError("validUntil lies before validFrom")
        return self


class ClosureBody(Body):
    """Why an override ends before its time."""

    reason: FreeText = Field(max_length=500)


class Decided(Part):
    """What became of a decision. `left`: so many countries of the hold are undecided still."""

    hold_id: str
    state: Literal["released", "rejected", "waits_for_second_person"]
    countries: tuple[str, ...]
    left: int


class Ended(Part):
    """An override that ended."""

    override_id: str
    country: str
    state: Literal["ended"]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes need."""

    holds: holds.Desk
    overrides: overrides.Desk


def routes(desk: Desk) -> Routes:
    """Holds and overrides."""
    router = Routes(RouteClass.USER, tags=["decisions"])

    @router.get("/v1/holds", operation_id="listHolds")
    async def listed(caller: Reader, paged: Paged) -> Page[OpenHold]:
        """What waits for a person and why, newest first; falls that wait for a second reading are here too."""
        found = await holds.open_holds(desk.holds.store)
        return paged.page(found[paged.skip : paged.skip + paged.fetch])

    @router.post(
        "/v1/holds/{hold_id}/decisions",
        operation_id="decideHold",
        status_code=201,
        response_model=Decided,
        responses={202: {"model": Decided, "description": "A second person has to want it too"}},
    )
    async def decide(caller: Officer, hold_id: Id, body: DecisionBody, repeat: OnceOf, cause: CauseOf) -> JSONResponse:
        """Release what is held, or reject it; whole, or for some of its countries."""
        asked = holds.Asked(hold_id, body.decision, body.reason, body.countries)
        answer = await holds.decide(desk.holds, caller.person_id, asked, repeat, cause=cause, now=utc_now())
        return answer.response()

    @router.get("/v1/overrides", operation_id="listOverrides")
    async def open_ones(
        caller: Reader, paged: Paged, country: Annotated[CountryCode | None, Query()] = None
    ) -> Page[OpenOverride]:
        """The overrides that count now or will, newest first; those that ended stand in the country's history."""
        found = await overrides.open_overrides(desk.overrides.store, utc_now())
        wanted = [each for each in found if country in (None, each.country)]
        return paged.page(wanted[paged.skip : paged.skip + paged.fetch])

    @router.post("/v1/overrides", operation_id="setOverride", status_code=201, response_model=OpenOverride)
    async def set_one(caller: Officer, body: OverrideBody, repeat: OnceOf, cause: CauseOf) -> JSONResponse:
        """R17: a level of the university's own. It begins and ends by itself; red is never loosened (409)."""
        asked = overrides.Asked(
            country=body.country,
            area=body.area or body.country,
            level=LEVELS[body.level],
            loosens=None if body.effect is None else body.effect == "looser",
            valid_from=body.valid_from,
            valid_until=body.valid_until,
            document=body.document,
            reason=body.reason,
        )
        answer = await overrides.set_override(
            desk.overrides, caller.person_id, asked, repeat, cause=cause, now=utc_now()
        )
        return answer.response()

    @router.post(
        "/v1/overrides/{override_id}/closure", operation_id="endOverride", status_code=201, response_model=Ended
    )
    async def end(caller: Officer, override_id: Id, body: ClosureBody, repeat: OnceOf, cause: CauseOf) -> JSONResponse:
        """The override ends today; the level of the ministry counts again in the same moment."""
        answer = await overrides.end_override(
            desk.overrides, caller.person_id, override_id, body.reason, repeat, cause=cause, now=utc_now()
        )
        return answer.response()

    return router
