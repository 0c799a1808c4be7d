"""How the API shows a registration: response models, and how they are made of the state."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

from pydantic import Field

from services.registration.access import Permissions
from services.registration.api.students import Students, students_of
from services.registration.commands.answers import clearance_summary, contact_for_queue
from services.registration.commands.deps import CommandDeps
from services.registration.commands.documents import KIND_PATH
from services.registration.decision_inputs import load_inputs
from services.registration.group_trip import GroupTrip
from services.registration.itinerary_places import with_places
from services.registration.model import Document, Registration, Status
from services.registration.read_models import DecisionInputs
from services.registration.rules import checklist, places
from services.registration.rules.clearance import clearance
from services.registration.rules.overlap import is_open, overlaps
from services.registration.rules.waits_for import waits_for
from services.registration.student_contact import open_student_contact
from services.registration.texts import Language, item_text, reason_text, staff_text
from shared.bus.history import history
from shared.catalogue_entries import Acknowledgement
from shared.clock import utc_now
from shared.events import (
    ActivityType,
    AdviceSeen,
    Event,
    LegKind,
    LevelGrounds,
    Part,
    RegistrationSubmitted,
    StudyAnswers,
    TaskCommented,
)
from shared.privacy.contact import ContactDetails
from shared.privacy.students import StudentEntry


class ClearanceSummary(Part):
    """Whether the student may depart: only `approved` says so (R10)."""

    outcome: str
    rule: str
    reason: str
    reason_text: str
    contact: dict[str, str] | None


class RegistrationAnswer(Part):
    """The answer to a command."""

    registration_id: str
    status: Status
    study_related: bool
    clearance: ClearanceSummary


class RegistrationSummary(RegistrationAnswer):
    """A registration in a list."""

    approval_id: str | None
    faculty_id: str
    programme_id: str
    activity_type: ActivityType
    departure_date: date
    return_date: date
    countries: tuple[str, ...]
    overlaps: tuple[str, ...] = Field(
        default=(), description="Other registrations of the same student on these days, as far as the caller sees them"
    )
    submitted_at: datetime
    changed_at: datetime
    student: StudentEntry = Field(description="Whose it is; phone numbers only where `contact` is shown too")
    programme_source: Literal["login", "claimed"] = Field(
        description="Who says that it is the student's programme; `claimed`: the student, until an approval confirms it"
    )


class HistoryEntry(Part):
    """One event: who did what, when, on which advice, and in which words. `by`: personId, `rules` or `cause-ended`."""

    what: str
    at: datetime
    rule: str | None
    reason: str | None
    by: str | None = None
    advice: tuple[AdviceSeen, ...] = ()
    remark: str | None = Field(default=None, description="What that person wrote, for the student and all who see it")


class DocumentEntry(Part):
    """A document without its name, which only some callers may read."""

    document_id: str
    kind: str
    sha256: str
    size_bytes: int
    media_type: str
    attached_at: datetime


async def document_entries(deps: CommandDeps, documents: Sequence[Document]) -> list[DocumentEntry]:
    """The documents without their names; a kind in the student's own words is opened, and empty when erased."""
    sealed = [document.kind_sealed for document in documents if document.kind_sealed is not None]
    opened = iter(await deps.keyring.open_many(sealed, KIND_PATH) if sealed else ())
    kinds = [document.kind if document.kind_sealed is None else next(opened).value or "" for document in documents]
    return [
        DocumentEntry(**document.model_dump(exclude={"name", "kind", "kind_sealed"}), kind=kind)
        for document, kind in zip(documents, kinds, strict=True)
    ]


class ReturnEntry(Part):
    """The outcome of the stay (R20), with the words of the person who recorded it in the history."""

    on: date
    outcome: str
    recorded_at: datetime


class WaitsFor(Part):
    """Who has the registration now, and why; `contact` is null when the student has to act."""

    queue: str = Field(description="`student`, or the queue of the staff who have it")
    rule: str
    reason: str
    reason_text: str
    contact: dict[str, str] | None


class LegEntry(Part):
    """One place of an itinerary with its dates, as the student wrote it."""

    start_date: date
    end_date: date
    country: str
    region: str | None = Field(description="ISO 3166-2, when the student chose a region")
    place: str | None = Field(description="Town or area; null: none was given, or the person was erased")
    kind: LegKind


def leg_entries(journey: Registration | GroupTrip) -> tuple[LegEntry, ...]:
    """The itinerary of a journey with its places as they were written (`itinerary_places.with_places`)."""
    return tuple(LegEntry(**leg.model_dump(include=set(LegEntry.model_fields))) for leg in journey.legs)


class RegistrationDetails(RegistrationSummary):
    """One registration. The contact details are null when the caller may not read them, and for an erased person."""

    person_id: str
    legs: tuple[LegEntry, ...]
    answers: StudyAnswers
    language: Literal["nl", "en"]
    contact: ContactDetails | None = Field(description="As registered; a change of the registration replaces them")
    stay_contact: ContactDetails | None = Field(
        description="How to reach the student during the stay, when given: alerts go there, not to `contact`"
    )
    open_tasks: tuple[dict[str, str], ...]
    history: tuple[HistoryEntry, ...]
    group_id: str | None
    trip_change: int | None = Field(description="Version of the group trip that the student can take over; null: none")
    advice: tuple[AdviceSeen, ...] = Field(description="As it is now; a decision names these versions")
    decided_on: tuple[AdviceSeen, ...] = Field(description="As it was at the newest decision")
    documents: tuple[DocumentEntry, ...]
    stay_contact_at: datetime | None
    contact_confirmed_at: datetime | None
    returned: ReturnEntry | None
    waits_for: WaitsFor | None = Field(description="null when nobody has to act before the student may depart")


class PageToRead(Part):
    """R39: a page of the university; `version` is what a registration acknowledges."""

    id: str
    url: str | None
    version: str


class ChecklistLine(Part):
    """One thing that is needed: done, to do, waiting for staff, or blocked; and whom to contact."""

    item: checklist.Item
    state: checklist.State
    rule: str
    reason: str
    reason_text: str
    until: date | None
    country: str | None
    contact: dict[str, str] | None
    document: str | None = Field(default=None, description="R9: the kind of document that is required")
    remark: str | None = Field(default=None, description="Of the clearance: what the person who decided wrote")
    title: str = Field(description="What the line is about, in words")
    grounds: LevelGrounds | None = Field(
        default=None, description="R17: who decided the level of the advice, and since when; document and reason"
    )
    page: PageToRead | None = None


class Checklist(Part):
    """What the student still needs, as of now."""

    registration_id: str
    may_depart: bool
    language: Literal["nl", "en"]
    lines: tuple[ChecklistLine, ...]


async def registration_summaries(
    deps: CommandDeps, states: Sequence[Registration], permissions: Permissions, kind: str
) -> list[RegistrationSummary]:
    """The registrations of a list, with their students and those that they overlap; one read for all of them.

    `kind` names the read in the processing log.
    """
    students = await students_of(deps, states, permissions, kind)
    others: dict[str, list[Registration]] = {}
    for registration in await deps.store.open_of_persons({state.person_id for state in states}):
        if permissions.sees(registration):
            others.setdefault(registration.person_id, []).append(registration)
    return [registration_summary(deps, state, students, others.get(state.person_id, ())) for state in states]


def registration_summary(
    deps: CommandDeps, state: Registration, students: Students, others: Sequence[Registration] = ()
) -> RegistrationSummary:
    """A registration in a list. `others`: the open registrations of the same student."""
    found = overlaps(state.legs, others) if is_open(state) else ()
    return RegistrationSummary(
        registration_id=state.registration_id,
        status=state.status,
        study_related=state.study_related,
        clearance=ClearanceSummary.model_validate(clearance_summary(deps.catalogue, state)),
        approval_id=state.approval_id,
        faculty_id=state.faculty_id,
        programme_id=state.programme_id,
        activity_type=state.activity_type,
        departure_date=state.departure_date,
        return_date=state.return_date,
        countries=tuple(dict.fromkeys(leg.country for leg in state.legs)),
        overlaps=tuple(
            overlap.other.registration_id for overlap in found if overlap.other.registration_id != state.registration_id
        ),
        submitted_at=state.submitted_at,
        changed_at=state.changed_at,
        student=students[state.registration_id],
        programme_source="login" if state.programme_from_login else "claimed",
    )


async def registration_details(deps: CommandDeps, state: Registration, permissions: Permissions) -> RegistrationDetails:
    """One registration, as far as this caller may read it."""
    contact = await open_student_contact(deps.keyring, state) if permissions.sees_contact(state) else None
    (summary,) = await registration_summaries(deps, [state], permissions, "registration")
    recorded_return = state.return_recorded
    inputs = await load_inputs(deps.evaluation, state)
    (written,) = await with_places(deps.keyring, [state])
    return RegistrationDetails(
        **summary.model_dump(),
        person_id=state.person_id,
        legs=leg_entries(written),
        answers=state.answers,
        language=state.language,
        contact=contact.registered if contact is not None else None,
        stay_contact=contact.reached_at if contact is not None and contact.stay is not None else None,
        open_tasks=tuple({"queue": task.queue, "rule": task.rule, "reason": task.reason} for task in state.open_tasks),
        history=await _history(deps, state.registration_id),
        group_id=state.group_id,
        trip_change=state.trip_change,
        advice=places.advice_seen(places.places(state.legs, inputs, utc_now())),
        decided_on=state.decision.advice if state.decision is not None else (),
        documents=tuple(await document_entries(deps, state.documents)),
        stay_contact_at=state.stay_contact_at,
        contact_confirmed_at=state.contact_confirmed_at,
        returned=ReturnEntry(
            on=recorded_return.on, outcome=recorded_return.outcome, recorded_at=recorded_return.recorded_at
        )
        if recorded_return is not None
        else None,
        waits_for=_waits_for(deps, state, inputs),
    )


def _waits_for(deps: CommandDeps, state: Registration, inputs: DecisionInputs) -> WaitsFor | None:
    waits = waits_for(state, clearance(state, inputs, utc_now()))
    if waits is None:
        return None
    return WaitsFor(
        queue=waits.queue or "student",
        rule=waits.rule,
        reason=waits.reason,
        reason_text=staff_text(waits.reason, "en"),
        contact=contact_for_queue(deps.catalogue, state, waits.queue) if waits.queue is not None else None,
    )


async def checklist_view(deps: CommandDeps, state: Registration, language: Language | None) -> Checklist:
    """The checklist in this language, or in the student's."""
    chosen = language or state.language
    unnamed = state.approval_id is None and await deps.store.read_models.has_request(state.person_id)
    inputs = await load_inputs(deps.evaluation, state)
    lines = checklist.checklist(state, inputs, utc_now(), has_unnamed_request=unnamed)
    return Checklist(
        registration_id=state.registration_id,
        may_depart=checklist.permits_departure(lines),
        language=chosen,
        lines=tuple([await _checklist_line(deps, state, line, chosen) for line in lines]),
    )


async def _history(deps: CommandDeps, registration_id: str) -> tuple[HistoryEntry, ...]:
    return tuple(
        [
            HistoryEntry(
                what=envelope.type,
                at=envelope.time,
                rule=getattr(envelope.data, "rule", None),
                reason=getattr(envelope.data, "reason", None),
                by=_actor(envelope.data),
                advice=getattr(envelope.data, "advice", ()),
                remark=await _remark(deps, envelope.data),
            )
            for envelope in await history(deps.store.outbox, registration_id)
        ]
    )


async def _remark(deps: CommandDeps, event: Event) -> str | None:
    """What the person who acted wrote. A comment on a task is for colleagues, and stands with the task alone."""
    sealed = None if isinstance(event, TaskCommented) else getattr(event, "remark", None)
    return await deps.keyring.open(sealed, "/remark") if sealed is not None else None


#: The fields in which events name the person who acted.
_ACTOR_FIELDS = (
    "decided_by", "cancelled_by", "closed_by", "claimed_by", "given_back_by", "commented_by", "recorded_by"
)  # fmt: skip


def _actor(event: Event) -> str | None:
    """Who acted. A submission names the student alone."""
    actor = next((getattr(event, name) for name in _ACTOR_FIELDS if getattr(event, name, None)), None)
    if actor is None and isinstance(event, RegistrationSubmitted):
        return event.person_id
    return str(actor) if actor is not None else None


def _title(deps: CommandDeps, state: Registration, line: checklist.Line, language: Language) -> str:
    """What a line is about, in words: of a document and of a page the name in the catalogue."""
    kind, page = deps.catalogue.document_kinds(state.faculty_id).get(line.document or ""), _page(deps, line)
    title, named = item_text(line.item, language), kind or page
    return f"{title}: {named.name.text(language)}" if named is not None else title


def _page(deps: CommandDeps, line: checklist.Line) -> Acknowledgement | None:
    return next((page for page in deps.catalogue.university.acknowledged if page.id == line.page), None)


async def _checklist_line(
    deps: CommandDeps, state: Registration, line: checklist.Line, language: Language
) -> ChecklistLine:
    decision = state.decision
    remark = None
    if line.item is checklist.Item.CLEARANCE and decision is not None and line.reason == decision.reason:
        remark = await deps.keyring.open(decision.remark, "/remark") if decision.remark is not None else None
    page = _page(deps, line)
    return ChecklistLine(
        item=line.item,
        state=line.state,
        rule=line.rule,
        reason=line.reason,
        reason_text=reason_text(line.reason, language, line.grounds),
        until=line.until,
        country=line.country,
        contact=contact_for_queue(deps.catalogue, state, line.who) if line.who is not None else None,
        document=line.document,
        remark=remark,
        title=_title(deps, state, line, language),
        grounds=line.grounds,
        page=PageToRead(id=page.id, url=page.url, version=page.version or deps.catalogue.version) if page else None,
    )
