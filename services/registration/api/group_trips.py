"""Group trips over HTTP: prefill, show to whoever has the link, join, and how the group stands."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from services.registration.api.registrations import (
    AnswersBody,
    Clearance,
    ContactBody,
    LegBody,
    OnceOf,
    Receipt,
    Student,
)
from services.registration.commands import group_trips
from services.registration.commands.registrations import CommandDeps, clearance, state_of
from services.registration.group_trip import GroupTrip
from services.registration.model import Status
from shared.clock import utc_now
from shared.events import ActivityType, Identifier, Leg, Part, StudyAnswers
from shared.fields import ShortText
from shared.privacy.contact import ContactDetails
from shared.web.bodies import Body
from shared.web.cause import CauseOf
from shared.web.concurrency import IfMatch, etag
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.routes import RouteClass, Routes

#: Whoever may lead a trip: students of an association, teachers, those who help.
LEADERS = ("student", "faculty-contact", "approver", "international-office")
Leader = Annotated[Identity, Depends(require(*LEADERS))]
Id = Annotated[Identifier, Path()]


class TripBody(Body):
    """What a leader prefills. The leader is the caller, never a field."""

    name: ShortText
    faculty_id: Identifier
    programme_id: Identifier
    activity_type: ActivityType
    legs: tuple[LegBody, ...] = Field(min_length=1, max_length=60)
    answers: AnswersBody

    def prefilled(self) -> group_trips.TripForm:
        """The same in the service's own words."""
        return group_trips.TripForm(
            self.name,
            self.faculty_id,
            self.programme_id,
            self.activity_type,
            tuple(Leg(**leg.model_dump()) for leg in self.legs),
            StudyAnswers(**self.answers.model_dump()),
        )


class JoinBody(Body):
    """What a participant says for themselves. Sending it confirms what the leader prefilled."""

    approval_id: Identifier | None = None
    contact: ContactBody
    language: Literal["nl", "en"]

    def joining(self) -> group_trips.ParticipantForm:
        """The same in the service's own words."""
        return group_trips.ParticipantForm(self.approval_id, ContactDetails(**self.contact.model_dump()), self.language)


class TripReceipt(Part):
    """The answer to a command of the leader."""

    group_id: str
    open: bool


class TripEntry(Part):
    """What a leader prefilled; `name` is null when the leader was erased."""

    group_id: str
    name: str | None
    faculty_id: str
    programme_id: str
    activity_type: ActivityType
    legs: tuple[Leg, ...]
    answers: StudyAnswers
    open: bool
    leads: bool = Field(description="The caller leads it, and may see who takes part")
    created_at: datetime


class Participant(Part):
    """How one participant stands, for the leader: a name to tick off, and whether they may depart. No more."""

    registration_id: str
    given_name: str | None = Field(description="null when the person was erased")
    surname: str | None
    status: Status
    clearance: Clearance
    departure_date: date
    return_date: date
    deviates: bool = Field(description="Other places or days than the trip's")


def routes(deps: CommandDeps) -> Routes:
    """Trips that several people make together."""
    router = Routes(RouteClass.USER, tags=["group trips"])

    @router.post("/v1/group-trips", operation_id="createGroupTrip", status_code=201, response_model=TripReceipt)
    async def create(caller: Leader, body: TripBody, repeat: OnceOf, cause: CauseOf) -> JSONResponse:
        """A leader prefills a trip; its id is the link that participants get from them."""
        answer = await group_trips.create(deps, caller.person_id, body.prefilled(), repeat, cause=cause, now=utc_now())
        return answer.response()

    @router.get("/v1/group-trips", operation_id="listGroupTrips")
    async def listed(caller: Leader, paged: Paged) -> Page[TripEntry]:
        """The trips that the caller leads, the newest first."""
        found = await deps.store.trips_of(caller.person_id, paged.skip, paged.fetch)
        return paged.page([await _entry(deps, trip, caller.person_id) for trip in found])

    @router.get("/v1/group-trips/{group_id}", operation_id="getGroupTrip")
    async def one(caller: Leader, group_id: Id, response: Response) -> TripEntry:
        """What is prefilled, for whoever has the link."""
        loaded = await group_trips.load_trip(deps, group_id)
        response.headers["ETag"] = etag(loaded.version)
        return await _entry(deps, group_trips.trip_of(loaded), caller.person_id)

    @router.put("/v1/group-trips/{group_id}", operation_id="changeGroupTrip", response_model=TripReceipt)
    async def change(
        caller: Leader, group_id: Id, body: TripBody, seen: IfMatch, repeat: OnceOf, cause: CauseOf
    ) -> JSONResponse:
        """The leader replaces what is prefilled; whoever has registered keeps their own registration."""
        answer = await group_trips.change(
            deps, caller.person_id, group_id, body.prefilled(), seen, repeat, cause=cause, now=utc_now()
        )
        return answer.response()

    @router.post(
        "/v1/group-trips/{group_id}/closure",
        operation_id="closeGroupTrip",
        status_code=201,
        response_model=TripReceipt,
    )
    async def close(caller: Leader, group_id: Id, seen: IfMatch, repeat: OnceOf, cause: CauseOf) -> JSONResponse:
        """Nobody else joins."""
        answer = await group_trips.close(deps, caller.person_id, group_id, seen, repeat, cause=cause, now=utc_now())
        return answer.response()

    @router.post(
        "/v1/group-trips/{group_id}/participants",
        operation_id="joinGroupTrip",
        status_code=201,
        response_model=Receipt,
    )
    async def join(caller: Student, group_id: Id, body: JoinBody, repeat: OnceOf, cause: CauseOf) -> JSONResponse:
        """A student confirms what the leader prefilled and is registered; the leader sees the name and the state."""
        answer = await group_trips.join(
            deps, caller.person_id, group_id, body.joining(), repeat, cause=cause, now=utc_now()
        )
        return answer.response()

    @router.get("/v1/group-trips/{group_id}/participants", operation_id="listParticipants")
    async def participants(caller: Leader, group_id: Id, paged: Paged) -> Page[Participant]:
        """Who has registered and how each stands, for the leader alone."""
        trip = group_trips.trip_of(await group_trips.load_led_trip(deps, caller.person_id, group_id))
        found = await deps.store.page({"groupId": group_id}, paged.skip, paged.fetch)
        shown = []
        for loaded in found:
            state = state_of(loaded)
            opened = await deps.keyring.open(state.contact, "/contact")
            contact = ContactDetails.model_validate(opened) if opened is not None else None
            shown.append(
                Participant(
                    registration_id=state.registration_id,
                    given_name=contact.called if contact is not None else None,
                    surname=contact.surname if contact is not None else None,
                    status=state.status,
                    clearance=Clearance.model_validate(clearance(deps, state)),
                    departure_date=state.departure_date,
                    return_date=state.return_date,
                    deviates=state.legs != trip.legs,
                )
            )
        return paged.page(shown)

    return router


async def _entry(deps: CommandDeps, trip: GroupTrip, person_id: str) -> TripEntry:
    return TripEntry(
        group_id=trip.group_id,
        name=await deps.keyring.open(trip.name, "/name"),
        faculty_id=trip.faculty_id,
        programme_id=trip.programme_id,
        activity_type=trip.activity_type,
        legs=trip.legs,
        answers=trip.answers,
        open=trip.is_open,
        leads=trip.leader_id == person_id,
        created_at=trip.created_at,
    )
