"""The roll call of an alert: its recipients with their messages and answers, the counts, and calls by officers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from services.notify.api.not_assessable import count_not_assessable
from services.notify.commands.alerts import CommandDeps, record_call
from services.notify.model.answers import AnswerWord
from services.notify.model.deliveries import Delivery, DeliveryState, step_of
from services.notify.model.escalations import EscalationRecord
from services.notify.roll_call import RecipientOverview, all_overviews, overviews
from services.notify.rules.escalation import RollCallStatus
from services.notify.store.contacts import ContactStore
from services.notify.store.unjudged import UnjudgedStore
from services.notify.store.waiting_messages import WaitingMessage, WaitingMessages
from shared.bus.bus import Bus
from shared.clock import utc_now
from shared.command import Command
from shared.events import Channel, Identifier, Level, Part, Presence
from shared.privacy.processing_log import log_personal_data_read
from shared.privacy.students import StudentEntry, student_entry
from shared.web.bodies import Body
from shared.web.cause import CauseOf
from shared.web.idempotency import Idempotency
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged, Paging
from shared.web.problem import not_found
from shared.web.routes import RouteClass, Routes

#: Who calls the people on the board.
Caller = Annotated[Identity, Depends(require("safety-officer", "crisis-team"))]
Reader = Annotated[Identity, Depends(require("safety-officer", "crisis-team", "international-office", "auditor"))]
#: Who looks after the students, and so sees their names. An auditor reads the same board without them.
LOOKS_AFTER = ("safety-officer", "crisis-team", "international-office")
AlertId = Annotated[Identifier, Path()]


class DeliveryEntry(Part):
    """One message to one recipient."""

    channel: Channel
    step: int = Field(description="1: the alert itself; higher: an escalation step")
    state: DeliveryState
    attempts: int = Field(description="Attempts so far, also while the message waits for the next one")
    sent_again: int
    reason: str = Field(description="The newest reason of the provider, without addresses")
    at: datetime | None


class EscalationEntry(Part):
    """An escalation step that was taken."""

    step: int
    to: str
    reason: str
    by: str
    at: datetime


class RecipientEntry(Part):
    """One recipient: why they were selected, the state of their messages, and their answer."""

    person_id: str | None
    registration_id: str | None
    reason: str
    area: str
    level: Level | None
    late: bool
    selected_at: datetime
    deliveries: tuple[DeliveryEntry, ...]
    answer: AnswerWord | None
    status: RollCallStatus = Field(
        description="Only an answer means safe; `unverified`: perhaps a machine followed the link; `unclear`: a reply "
        "that nobody has read"
    )
    escalations: tuple[EscalationEntry, ...] = ()
    owner: str | None = Field(default=None, description="Who takes care of them since a hand-over: a person or a team")
    presence: Presence = Field(
        default=Presence.THERE,
        description="On the day of the alert: there, about to go, back, or overdue",
    )
    student: StudentEntry | None = Field(
        default=None, description="Who it is and how to reach them; null for an auditor"
    )


class Board(Part):
    """The roll call in numbers: every recipient has exactly one status."""

    alert_id: str
    counts: dict[RollCallStatus, int]
    to_do: int = Field(
        description="Help, a reply to be read, unreachable, somebody else, or handed to a team: a person has to act"
    )
    with_owner: int = Field(
        default=0, description="Of those who are not safe: how many a person or a team has taken over"
    )
    not_assessable: int = Field(
        description="Registrations that nobody can assess: parked, or beyond what the rules can judge"
    )


class CallBody(Body):
    """The result of a call with a student, or with another person who has their number."""

    person_id: Identifier = Field(description="Recipient of the alert")
    answer: Literal["safe", "help", "wrong_person"]


@dataclass(frozen=True, slots=True)
class RollCallDeps:
    """What the routes need."""

    commands: CommandDeps
    contacts: ContactStore
    unjudged: UnjudgedStore
    bus: Bus


def routes(deps: RollCallDeps) -> Routes:
    """The roll call."""
    router = Routes(RouteClass.USER, tags=["alerts"])
    alerts, waiting_messages = deps.commands.alerts, WaitingMessages(deps.commands.database)

    async def check_alert(alert_id: str) -> None:
        if await alerts.get(alert_id) is None:
            raise not_found()

    async def entries_of(of_page: Sequence[RecipientOverview], alert_id: str, caller: Identity) -> list[RecipientEntry]:
        selections = {overview.selection.selection_id: overview.selection for overview in of_page}
        waiting = await waiting_messages.of(selections.values())
        students = await _students(deps, alert_id, of_page, caller)
        return [
            _entry(overview, waiting, students.get(overview.recipient.registration_id or "")) for overview in of_page
        ]

    @router.get("/v1/alerts/{alert_id}/recipients", operation_id="listAlertRecipients")
    async def recipients(
        caller: Reader,
        alert_id: AlertId,
        paged: Paged,
        status: Annotated[RollCallStatus | None, Query(description="Only recipients with this status")] = None,
    ) -> Page[RecipientEntry]:
        """The recipients: who each is and how to reach them, why they were selected, their messages, their answer."""
        await check_alert(alert_id)
        if status is None:
            page = await alerts.selections.page_of_recipients(alert_id, paged.skip, paged.fetch)
            selected = list(await overviews(deps.commands.roll_call, alert_id, page))
        else:
            selected = await _overviews_with(deps, alert_id, status, paged)
        entries = await entries_of(selected[: paged.size], alert_id, caller)
        return paged.page(entries, has_next=len(selected) > paged.size)

    @router.get("/v1/alerts/{alert_id}/counts", operation_id="getAlertBoard")
    async def board(caller: Reader, alert_id: AlertId) -> Board:
        """The roll call in numbers."""
        await check_alert(alert_id)
        counts = dict.fromkeys(RollCallStatus, 0)
        to_do = with_owner = 0
        async for overview in all_overviews(deps.commands.roll_call, alert_id):
            status = overview.status
            counts[status] += 1
            to_do += _needs_a_person(status, overview.escalations)
            with_owner += status is not RollCallStatus.SAFE and overview.owner is not None
        not_assessable = await count_not_assessable(deps.bus, deps.unjudged)
        return Board(
            alert_id=alert_id, counts=counts, to_do=to_do, with_owner=with_owner, not_assessable=not_assessable
        )

    @router.post("/v1/alerts/{alert_id}/calls", operation_id="recordCall", status_code=201)
    async def record(
        caller: Caller, alert_id: AlertId, body: CallBody, idempotency: Idempotency, cause: CauseOf,
        response: Response,
    ) -> JSONResponse:  # fmt: skip
        """Record how a recipient is whom an officer spoke to. It counts until they ask for help again."""
        await check_alert(alert_id)
        command = Command(caller.person_id, None, idempotency, cause, utc_now())
        answer = await record_call(deps.commands, command, alert_id, body.person_id, body.answer)
        log_personal_data_read("call", caller.person_id, {body.person_id}, alert_id=alert_id)
        return answer.response()

    return router


NEEDS_A_PERSON = (
    RollCallStatus.HELP,
    RollCallStatus.UNCLEAR,
    RollCallStatus.UNREACHABLE,
    RollCallStatus.WRONG_PERSON,
)


def _needs_a_person(status: RollCallStatus, escalations: Sequence[EscalationRecord]) -> bool:
    """R38: a human has to act. A recipient who was handed to a team stays with the team until safe."""
    if status in NEEDS_A_PERSON:
        return True
    return status is not RollCallStatus.SAFE and any(step.to == "crisis-unit" for step in escalations)


async def _students(
    deps: RollCallDeps, alert_id: str, found: Sequence[RecipientOverview], caller: Identity
) -> dict[str, StudentEntry]:
    """Registration → its student, for who looks after them; the processing log notes the look."""
    if not any(caller.has(role) for role in LOOKS_AFTER):
        return {}
    persons = {
        overview.recipient.registration_id: overview.recipient.person_id
        for overview in found
        if overview.recipient.registration_id is not None
    }
    opened = await deps.contacts.opened(persons)
    read = {person for person in persons.values() if person is not None}
    log_personal_data_read("recipients", caller.person_id, read, alert_id=alert_id)
    return {
        registration_id: student_entry(person_id, opened.get(registration_id), with_phone=True)
        for registration_id, person_id in persons.items()
    }


async def _overviews_with(
    deps: RollCallDeps, alert_id: str, status: RollCallStatus, paged: Paging
) -> list[RecipientOverview]:
    """The page of those who have this status, with one more, if there is one."""
    found: list[RecipientOverview] = []
    matching = 0
    async for overview in all_overviews(deps.commands.roll_call, alert_id):
        if overview.status is not status:
            continue
        matching += 1
        if matching > paged.skip:
            found.append(overview)
        if len(found) >= paged.fetch:
            break
    return found


def _entry(
    overview: RecipientOverview, waiting: Mapping[str, WaitingMessage], student: StudentEntry | None
) -> RecipientEntry:
    selection, recipient, state = overview.selection, overview.recipient, overview.state
    deliveries = sorted(overview.deliveries, key=lambda delivery: (step_of(delivery.delivery_id), delivery.channel))
    return RecipientEntry(
        person_id=recipient.person_id,
        registration_id=recipient.registration_id,
        reason=recipient.reason,
        area=recipient.area,
        level=recipient.level,
        late=selection.late,
        selected_at=selection.at,
        deliveries=tuple(_delivery_entry(delivery, waiting.get(delivery.delivery_id)) for delivery in deliveries),
        answer=state.answer,
        status=overview.status,
        owner=overview.owner.owner if overview.owner is not None else None,
        presence=recipient.presence,
        escalations=tuple(
            EscalationEntry(
                step=escalation.step,
                to=escalation.to,
                reason=escalation.reason,
                by=escalation.by,
                at=escalation.at,
            )
            for escalation in overview.escalations
        ),
        student=student,
    )


def _delivery_entry(delivery: Delivery, waiting: WaitingMessage | None) -> DeliveryEntry:
    """The message as its delivery stands; one that was only refused for now has its attempts in its send job."""
    if waiting is not None and waiting.attempts > delivery.attempts:
        return DeliveryEntry(
            channel=delivery.channel,
            step=step_of(delivery.delivery_id),
            state=delivery.state,
            attempts=waiting.attempts,
            sent_again=delivery.resends,
            reason=waiting.reason,
            at=waiting.at,
        )
    newest = next((change for change in reversed(delivery.history) if change.counted), None)
    return DeliveryEntry(
        channel=delivery.channel,
        step=step_of(delivery.delivery_id),
        state=delivery.state,
        attempts=delivery.attempts,
        sent_again=delivery.resends,
        reason=newest.reason if newest else "",
        at=newest.at if newest else None,
    )
