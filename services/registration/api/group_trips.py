"""Group trips over HTTP: create, read with the link, join, and the participants."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import Depends, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from services.registration.access import with_permissions
from services.registration.api.bodies import OVERLAPS_KNOWN, AnswersBody, ContactBody, Id, LegBody, Student
from services.registration.api.views import ClearanceSummary, LegEntry, RegistrationAnswer, leg_entries
from services.registration.commands import group_trips, trip_change
from services.registration.commands.answers import clearance_summary
from services.registration.commands.deps import CommandDeps
from services.registration.commands.loading import state_of
from services.registration.group_trip import GroupTrip
from services.registration.itinerary_places import with_places
from services.registration.model import Status
from services.registration.student_contact import open_student_contact
from shared.events import ActivityType, Identifier, Part, StudyAnswers
from shared.fields import PlainName
from shared.privacy.contact import ContactDetails
from shared.privacy.processing_log import log_personal_data_read
from shared.web.bodies import Body
from shared.web.command import ChangeOf, CommandOf
from shared.web.concurrency import etag
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.routes import RouteClass, Routes

#: Who may lead a trip: students of an association, teachers, staff.
LEADERS = ("student", "faculty-contact", "approver", "international-office")
Leader = Annotated[Identity, Depends(require(*LEADERS))]


class TripBody(Body):
    """What participants have in common. The leader is the caller, never a field."""

    name: PlainName
    faculty_id: Identifier
    programme_id: Identifier
    activity_type: ActivityType
    legs: tuple[LegBody, ...] = Field(min_length=1, max_length=60)
    answers: AnswersBody

    def form(self) -> group_trips.TripForm:
        """As the commands take it."""
        return group_trips.TripForm(
            self.name,
            self.faculty_id,
            self.programme_id,
            self.activity_type,
            tuple(leg.leg() for leg in self.legs),
            self.answers.answers(),
        )


class JoinBody(Body):
    """What a participant fills in for themselves. Sending it confirms what the leader filled in."""

    approval_id: Identifier | None = None
    contact: ContactBody
    language: Literal["nl", "en"]
    overlaps_known: bool = Field(default=False, description=OVERLAPS_KNOWN)

    def form(self) -> group_trips.ParticipantForm:
        """As the commands take it."""
        contact = ContactDetails(**self.contact.model_dump())
        return group_trips.ParticipantForm(self.approval_id, contact, self.language, self.overlaps_known)


class TripAnswer(Part):
    """The answer to a command of the leader."""

    group_id: str
    open: bool


class TripEntry(Part):
    """What the leader filled in; `name` is null when the leader was erased."""

    group_id: str
    name: str | None
    faculty_id: str
    programme_id: str
    activity_type: ActivityType
    legs: tuple[LegEntry, ...]
    answers: StudyAnswers
    open: bool
    leads: bool = Field(description="The caller leads the trip and may see its participants")
    created_at: datetime


class Participant(Part):
    """One participant, for the leader: a name to tick off, and whether they may depart. Nothing else."""

    registration_id: str
    given_name: str | None = Field(description="null when the person was erased")
    surname: str | None
    status: Status
    clearance: ClearanceSummary
    departure_date: date
    return_date: date
    deviates: bool = Field(description="Another journey than the trip's: places, days, activity or answers")


def routes(deps: CommandDeps) -> Routes:
    """The routes of group trips."""
    router = Routes(RouteClass.USER, tags=["group trips"])

    @router.post("/v1/group-trips", operation_id="createGroupTrip", status_code=201, response_model=TripAnswer)
    async def create_trip(caller: Leader, body: TripBody, command: CommandOf) -> JSONResponse:
        """Create a trip; its id is the link that the leader gives to participants."""
        answer = await group_trips.create(deps, body.form(), with_permissions(command, deps.catalogue))
        return answer.response()

    @router.get("/v1/group-trips", operation_id="listGroupTrips")
    async def list_trips(caller: Leader, paged: Paged) -> Page[TripEntry]:
        """The trips that the caller leads, the newest first."""
        trips = await deps.store.trips_led_by(caller.person_id, paged.skip, paged.fetch)
        return paged.page([await _entry(deps, trip, caller.person_id) for trip in trips])

    @router.get("/v1/group-trips/{group_id}", operation_id="getGroupTrip")
    async def get_trip(caller: Leader, group_id: Id, response: Response) -> TripEntry:
        """What the leader filled in, for everybody who has the link."""
        loaded = await group_trips.load_trip(deps, group_id)
        response.headers["ETag"] = etag(loaded.version)
        return await _entry(deps, group_trips.trip_of(loaded), caller.person_id)

    @router.put("/v1/group-trips/{group_id}", operation_id="changeGroupTrip", response_model=TripAnswer)
    async def change_trip(caller: Leader, group_id: Id, body: TripBody, command: ChangeOf) -> JSONResponse:
        """The leader changes the trip; each participant keeps their registration, is told, and can take it over."""
        answer = await group_trips.change(deps, group_id, body.form(), with_permissions(command, deps.catalogue))
        return answer.response()

    @router.post(
        "/v1/registrations/{registration_id}/trip-change",
        operation_id="takeOverTripChange",
        response_model=RegistrationAnswer,
    )
    async def take_over_trip_change(caller: Student, registration_id: Id, change: ChangeOf) -> JSONResponse:
        """Register the journey as the leader of the group trip changed it; contact details and approval stay."""
        answer = await trip_change.take_over(deps, registration_id, with_permissions(change, deps.catalogue))
        return answer.response()

    @router.post(
        "/v1/group-trips/{group_id}/closure",
        operation_id="closeGroupTrip",
        status_code=201,
        response_model=TripAnswer,
    )
    async def close_trip(caller: Leader, group_id: Id, command: ChangeOf) -> JSONResponse:
        """Close the trip: nobody can join it any more."""
        answer = await group_trips.close(deps, group_id, with_permissions(command, deps.catalogue))
        return answer.response()

    @router.post(
        "/v1/group-trips/{group_id}/participants",
        operation_id="joinGroupTrip",
        status_code=201,
        response_model=RegistrationAnswer,
    )
    async def join_trip(caller: Student, group_id: Id, body: JoinBody, command: CommandOf) -> JSONResponse:
        """A student confirms what the leader filled in and registers; the leader sees their name and state."""
        answer = await group_trips.join(deps, group_id, body.form(), with_permissions(command, deps.catalogue))
        return answer.response()

    @router.get("/v1/group-trips/{group_id}/participants", operation_id="listParticipants")
    async def list_participants(caller: Leader, group_id: Id, paged: Paged) -> Page[Participant]:
        """Who has registered, with their state, for the leader alone."""
        trip = group_trips.trip_of(await group_trips.load_led_trip(deps, caller.person_id, group_id))
        participants, persons = list[Participant](), set[str]()
        (trip,) = await with_places(deps.keyring, [trip])
        page = [state_of(loaded) for loaded in await deps.store.page({"groupId": group_id}, paged.skip, paged.fetch)]
        for state, written in zip(page, await with_places(deps.keyring, page), strict=True):
            student = await open_student_contact(deps.keyring, state)
            contact = student.registered if student is not None else None
            persons.add(state.person_id)
            participants.append(
                Participant(
                    registration_id=state.registration_id,
                    given_name=contact.called if contact is not None else None,
                    surname=contact.surname if contact is not None else None,
                    status=state.status,
                    clearance=ClearanceSummary.model_validate(clearance_summary(deps.catalogue, state)),
                    departure_date=state.departure_date,
                    return_date=state.return_date,
                    deviates=trip.differs_from(written),
                )
            )
        log_personal_data_read("participants", caller.person_id, persons)
        return paged.page(participants)

    return router


async def _entry(deps: CommandDeps, trip: GroupTrip, person_id: str) -> TripEntry:
    (written,) = await with_places(deps.keyring, [trip])
    return TripEntry(
        group_id=trip.group_id,
        name=await deps.keyring.open(trip.name, "/name"),
        faculty_id=trip.faculty_id,
        programme_id=trip.programme_id,
        activity_type=trip.activity_type,
        legs=leg_entries(written),
        answers=trip.answers,
        open=trip.is_open,
        leads=trip.leader_id == person_id,
        created_at=trip.created_at,
    )
