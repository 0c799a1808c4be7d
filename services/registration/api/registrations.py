"""Registrations over HTTP: hand in, look at, change, cancel; what is still needed."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field, model_validator

from services.registration.access import READERS, Permissions, permissions_of
from services.registration.commands import registrations
from services.registration.commands.registrations import CommandDeps, RegistrationForm
from services.registration.evaluation import load_inputs
from services.registration.model import Registration, Status
from services.registration.rules import checklist, places
from services.registration.texts import Language, item_text, reason_text
from shared.bus.history import history
from shared.clock import utc_now
from shared.events import (
    ActivityType,
    AdviceSeen,
    Event,
    Identifier,
    Leg,
    LegKind,
    Part,
    RegistrationSubmitted,
    StudyAnswers,
)
from shared.fields import CountryCode, RegionOfCountry, ShortText, is_region_of
from shared.privacy.contact import ContactDetails
from shared.web.bodies import Body
from shared.web.cause import CauseOf
from shared.web.concurrency import IfMatch, etag
from shared.web.idempotency import IdempotentRequest, idempotent_request
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.routes import RouteClass, Routes

Reader = Annotated[Identity, Depends(require(*READERS))]
Student = Annotated[Identity, Depends(require("student"))]
OnceOf = Annotated[IdempotentRequest | None, Depends(idempotent_request)]
Id = Annotated[Identifier, Path()]


class LegBody(Body):
    """One place with its dates; both days count."""

    start_date: date
    end_date: date
    country: CountryCode
    region: RegionOfCountry | None = None
    place: ShortText | None = Field(default=None, description="Town or area as written; resolved to a region (R16)")
    kind: LegKind = LegKind.STAY

    @model_validator(mode="after")
    def _region_lies_in_country(self) -> "LegBody":
        if self.region is not None and not is_region_of(self.region, self.country):
            raise ValueError("region is not one of the country (ISO 3166-2)")
        return self


class AnswersBody(Body):
    """The three questions of R1."""

    credits: bool
    university_funding: bool
    transcript_entry: bool


class ContactBody(ContactDetails):
    """How to reach the student; a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class RegistrationBody(Body):
    """A registration as a student hands it in. The person is the caller, never a field."""

    approval_id: Identifier | None = Field(default=None, description="The approval it rests on; now or linked later")
    faculty_id: Identifier
    programme_id: Identifier
    activity_type: ActivityType
    legs: tuple[LegBody, ...] = Field(min_length=1, max_length=60)
    answers: AnswersBody
    contact: ContactBody
    language: Literal["nl", "en"]
    group_id: Identifier | None = Field(default=None, description="The trip that it belongs to")

    def form(self) -> RegistrationForm:
        """The same in the service's own words."""
        return RegistrationForm(
            self.approval_id,
            self.faculty_id,
            self.programme_id,
            self.activity_type,
            tuple(Leg(**leg.model_dump()) for leg in self.legs),
            StudyAnswers(**self.answers.model_dump()),
            self.contact,
            self.language,
            self.group_id,
        )


class Clearance(Part):
    """Whether the student may depart: only `approved` says so (R10)."""

    outcome: str
    rule: str
    reason: str
    reason_text: str
    contact: dict[str, str] | None


class Receipt(Part):
    """The answer to a command."""

    registration_id: str
    status: Status
    study_related: bool
    clearance: Clearance


class Summary(Receipt):
    """A registration in a list."""

    approval_id: str | None
    faculty_id: str
    programme_id: str
    activity_type: ActivityType
    departure_date: date
    return_date: date
    countries: tuple[str, ...]
    submitted_at: datetime
    changed_at: datetime


class Step(Part):
    """One thing that happened: who did what, when, on which advice. `by` is a personId, `rules` or `cause-ended`."""

    what: str
    at: datetime
    rule: str | None
    reason: str | None
    by: str | None = None
    advice: tuple[AdviceSeen, ...] = ()


class DocumentEntry(Part):
    """A document without its name, which is for those who may open it."""

    document_id: str
    kind: str
    sha256: str
    size_bytes: int
    media_type: str
    attached_at: datetime


class ReturnEntry(Part):
    """What came of the stay (R20)."""

    on: date
    outcome: str
    recorded_at: datetime


class InFull(Summary):
    """One registration. `contact` is null for who may not read it, and when the person was erased."""

    person_id: str
    legs: tuple[Leg, ...]
    answers: StudyAnswers
    language: Literal["nl", "en"]
    contact: ContactDetails | None
    open_tasks: tuple[dict[str, str], ...]
    history: tuple[Step, ...]
    group_id: str | None
    advice: tuple[AdviceSeen, ...] = Field(description="As it is now; a decision names these versions")
    decided_on: tuple[AdviceSeen, ...] = Field(description="As it was at the newest decision: what has changed since")
    documents: tuple[DocumentEntry, ...]
    stay_contact_at: datetime | None
    contact_confirmed_at: datetime | None
    returned: ReturnEntry | None


class ChecklistLine(Part):
    """One thing that is needed: done, to do, waiting for somebody, or blocked; and whom to turn to."""

    item: checklist.Item
    state: checklist.State
    rule: str
    reason: str
    reason_text: str
    until: date | None
    country: str | None
    contact: dict[str, str] | None
    document: str | None = Field(default=None, description="R9: the kind that is asked for")
    title: str = Field(description="What the line is about, in words")


class Checklist(Part):
    """What the student still needs, judged now."""

    registration_id: str
    may_depart: bool
    language: Literal["nl", "en"]
    lines: tuple[ChecklistLine, ...]


def routes(deps: CommandDeps) -> Routes:
    """The service's routes."""
    router = Routes(RouteClass.USER, tags=["registration"])

    def of(caller: Identity) -> Permissions:
        return permissions_of(caller, deps.catalogue)

    @router.post("/v1/registrations", operation_id="submitRegistration", status_code=201, response_model=Receipt)
    async def submit(caller: Student, body: RegistrationBody, repeat: OnceOf, cause: CauseOf) -> JSONResponse:
        """A student registers an activity abroad; the answer says whether they may depart, and why."""
        answer = await registrations.submit(deps, caller.person_id, body.form(), repeat, cause=cause, now=utc_now())
        return answer.response()

    @router.get("/v1/registrations", operation_id="listRegistrations")
    async def listed(
        caller: Reader,
        paged: Paged,
        status: Annotated[Status | None, Query()] = None,
        country: Annotated[CountryCode | None, Query()] = None,
    ) -> Page[Summary]:
        """What the caller may see, by departure."""
        wanted: list[dict[str, Any]] = [of(caller).registrations()]
        if status is not None:
            wanted.append({"status": status.value})
        if country is not None:
            wanted.append({"legs.country": country})
        found = await deps.store.page({"$and": wanted}, paged.skip, paged.fetch)
        return paged.page([_summary(deps, registrations.state_of(loaded)) for loaded in found])

    @router.get("/v1/registrations/{registration_id}", operation_id="getRegistration")
    async def one(caller: Reader, registration_id: Id, response: Response) -> InFull:
        """One registration with its history."""
        loaded = await registrations.visible(deps, of(caller), registration_id)
        response.headers["ETag"] = etag(loaded.version)
        return await _in_full(deps, registrations.state_of(loaded), of(caller))

    @router.put("/v1/registrations/{registration_id}", operation_id="changeRegistration", response_model=Receipt)
    async def change(
        caller: Student, registration_id: Id, body: RegistrationBody, seen: IfMatch, repeat: OnceOf, cause: CauseOf
    ) -> JSONResponse:
        """The student replaces the whole registration; also to name an approval that came later."""
        answer = await registrations.change(
            deps, of(caller), registration_id, body.form(), seen, repeat, cause=cause, now=utc_now()
        )
        return answer.response()

    @router.get("/v1/registrations/{registration_id}/checklist", operation_id="getChecklist")
    async def needed(
        caller: Reader, registration_id: Id, language: Annotated[Literal["nl", "en"] | None, Query()] = None
    ) -> Checklist:
        """What is still needed, why, until when, and from whom; in the student's language or another."""
        state = registrations.state_of(await registrations.visible(deps, of(caller), registration_id))
        lines = checklist.checklist(state, await load_inputs(deps.evaluation, state), utc_now())
        return Checklist(
            registration_id=state.registration_id,
            may_depart=state.status is Status.APPROVED,
            language=language or state.language,
            lines=tuple(_line(deps, state, line, language or state.language) for line in lines),
        )

    @router.post(
        "/v1/registrations/{registration_id}/cancellation",
        operation_id="cancelRegistration",
        status_code=201,
        response_model=Receipt,
    )
    async def cancel(
        caller: Student, registration_id: Id, seen: IfMatch, repeat: OnceOf, cause: CauseOf
    ) -> JSONResponse:
        """The student does not go."""
        answer = await registrations.cancel(deps, of(caller), registration_id, seen, repeat, cause=cause, now=utc_now())
        return answer.response()

    return router


def _summary(deps: CommandDeps, state: Registration) -> Summary:
    return Summary(
        registration_id=state.registration_id,
        status=state.status,
        study_related=state.study_related,
        clearance=Clearance.model_validate(registrations.clearance(deps, state)),
        approval_id=state.approval_id,
        faculty_id=state.faculty_id,
        programme_id=state.programme_id,
        activity_type=state.activity_type,
        departure_date=state.departure_date,
        return_date=state.return_date,
        countries=tuple(dict.fromkeys(leg.country for leg in state.legs)),
        submitted_at=state.submitted_at,
        changed_at=state.changed_at,
    )


async def _in_full(deps: CommandDeps, state: Registration, who: Permissions) -> InFull:
    contact = None
    if who.sees_contact(state):
        opened = await deps.keyring.open(state.contact, "/contact")
        contact = ContactDetails.model_validate(opened) if opened is not None else None
    known, back = await load_inputs(deps.evaluation, state), state.return_recorded
    steps = [
        Step(
            what=each.type,
            at=each.time,
            rule=getattr(each.data, "rule", None),
            reason=getattr(each.data, "reason", None),
            by=_by(each.data),
            advice=getattr(each.data, "advice", ()),
        )
        for each in await history(deps.store.outbox, state.registration_id)
    ]
    return InFull(
        **_summary(deps, state).model_dump(),
        person_id=state.person_id,
        legs=state.legs,
        answers=state.answers,
        language=state.language,
        contact=contact,
        open_tasks=tuple({"queue": task.queue, "rule": task.rule, "reason": task.reason} for task in state.open_tasks),
        history=tuple(steps),
        group_id=state.group_id,
        advice=places.advice_seen(places.places(state.legs, known, utc_now())),
        decided_on=state.decision.advice if state.decision is not None else (),
        documents=tuple(DocumentEntry(**each.model_dump(exclude={"name"})) for each in state.documents),
        stay_contact_at=state.stay_contact_at,
        contact_confirmed_at=state.contact_confirmed_at,
        returned=None if back is None else ReturnEntry(on=back.on, outcome=back.outcome, recorded_at=back.recorded_at),
    )


#: What an event calls the person who did it.
_ACTORS = ("decided_by", "cancelled_by", "closed_by", "claimed_by", "given_back_by", "commented_by", "recorded_by")


def _by(fact: Event) -> str | None:
    """Who did it; what a student handed in names nobody else."""
    named = next((getattr(fact, name) for name in _ACTORS if getattr(fact, name, None)), None)
    if named is None and isinstance(fact, RegistrationSubmitted):
        return fact.person_id
    return str(named) if named is not None else None


def _line(deps: CommandDeps, state: Registration, line: checklist.Line, language: Language) -> ChecklistLine:
    return ChecklistLine(
        item=line.item,
        state=line.state,
        rule=line.rule,
        reason=line.reason,
        reason_text=reason_text(line.reason, language),
        until=line.until,
        country=line.country,
        contact=registrations.contact_of(deps.catalogue, state, line.who) if line.who is not None else None,
        document=line.document,
        title=item_text(line.item, language),
    )
