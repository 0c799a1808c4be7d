"""Sends the planned mails that are due to students: checks that each is still true, composes it, queues its notice.

`app.py` runs it every SERVICE_MAIL_SECONDS in one process at a time. The notice and the end of the plan are one
transaction, so a mail is queued once. If MongoDB fails, the next run does the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.notify.channel_spec import NOTICE_CHANNEL
from services.notify.columns.recipient_columns import Recipient
from services.notify.messages.content import common_content
from services.notify.messages.service_content import OutcomeContent, RequestContent, SealedWords
from services.notify.model.planned_mails import PlannedMail
from services.notify.model.requests import Request
from services.notify.model.whereabouts import Whereabouts
from services.notify.notices import new_notice, notice_id, programme_contact, store_new_notices
from services.notify.rules.offices import COORDINATOR, office_for, queue_for
from services.notify.rules.service_mail import Group, Reason, registration_mail, reminder_to_register_id, request_mail
from services.notify.service_mail.deps import ServiceMailDeps
from services.notify.store.requests import contact_key
from services.notify.store.selections import Selection
from services.notify.store.send_queue import SERVICE, SendJob
from shared.clock import amsterdam_date
from shared.envelope import Cause
from shared.mongo.client import Session
from shared.observability.logs import get_logger
from shared.transient import reason_of

#: Mails in one transaction.
BATCH = 100

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Subjects:
    """What the mails of a batch are about, and which students have registered for a request already."""

    requests: Mapping[str, Request]
    whereabouts: Mapping[str, Whereabouts]
    registered: frozenset[str]
    reachable: Mapping[str, str]


async def send_due_mails(deps: ServiceMailDeps, now: datetime) -> int:
    """Queue every mail that is due, unless it is quiet; how many were queued."""
    if deps.policy.is_quiet(now):
        return 0
    queued = 0
    while batch := await deps.planned.due(now, BATCH):
        queued += await _send(deps, batch, now)
    if queued:
        log.info("service_mail_queued", count=queued)
    return queued


async def _send(deps: ServiceMailDeps, mails: Sequence[PlannedMail], now: datetime) -> int:
    subjects = await _subjects(deps, mails)
    # After a rebuild our own events name the mails that were sent before.
    sent_before = await deps.deliveries.alerts_with_deliveries([notice_id(mail.mail_id) for mail in mails])
    outcomes: dict[str, Reason] = {}
    notices: dict[str, tuple[Selection, SendJob]] = {}
    for mail in mails:
        try:
            outcomes[mail.mail_id] = _decide(deps, mail, subjects, now)
            if outcomes[mail.mail_id] is Reason.TRUE and notice_id(mail.mail_id) not in sent_before:
                notices[mail.mail_id] = _notice(deps, mail, subjects, now)
        # One mail that cannot be decided on or written must not hold up the others.
        except Exception as error:
            log.error("service_mail_invalid", kind=mail.kind, event_id=mail.mail_id, reason=reason_of(error))
            outcomes[mail.mail_id] = Reason.INVALID

    async def store(session: Session) -> int:
        waiting = await deps.planned.settle(outcomes, session)
        of_waiting = [notice for mail_id, notice in notices.items() if mail_id in waiting]
        return await store_new_notices(deps.notices, of_waiting, now, session)

    count = await deps.notices.mongo.transact(store, what="planned service mail")
    deps.notices.send_queue.announce()
    return count


async def _subjects(deps: ServiceMailDeps, mails: Sequence[PlannedMail]) -> _Subjects:
    """Load what the mails are about. `registered`: ids of reminders that are needless."""
    of_requests = {mail.about: mail.person_id for mail in mails if mail.group in (Group.REQUEST, Group.REGISTER)}
    requests = await deps.requests.load(of_requests)
    reminders = [reminder_to_register_id(approval_id, person) for approval_id, person in of_requests.items()]
    without_contact = [request.person_id for request in requests.values() if not request.has_contact]
    return _Subjects(
        requests,
        await deps.notices.whereabouts.load([mail.about for mail in mails if mail.about not in of_requests]),
        frozenset(await deps.planned.needless(reminders)),
        await deps.notices.whereabouts.newest_registration_of(without_contact),
    )


def _decide(deps: ServiceMailDeps, mail: PlannedMail, subjects: _Subjects, now: datetime) -> Reason:
    request, where = subjects.requests.get(mail.about), subjects.whereabouts.get(mail.about)
    if request is not None:
        if not request.has_contact and request.person_id not in subjects.reachable:
            return Reason.NO_ADDRESS
        is_registered = reminder_to_register_id(request.approval_id, request.person_id) in subjects.registered
        return request_mail(mail, request, is_registered=is_registered, policy=deps.policy, now=now)
    if where is None:
        return Reason.NO_ADDRESS
    return registration_mail(mail, where, deps.policy, now)


def _notice(deps: ServiceMailDeps, mail: PlannedMail, subjects: _Subjects, now: datetime) -> tuple[Selection, SendJob]:
    request, where = subjects.requests.get(mail.about), subjects.whereabouts.get(mail.about)
    content: SealedWords
    if request is not None:
        key = contact_key(mail.about) if request.has_contact else subjects.reachable[request.person_id]
        content, language = _request_content(deps, mail, request), request.language
    else:
        assert where is not None, "decided above"
        key, content, language = mail.about, _outcome_content(deps, mail, where, now), where.language
    recipient = Recipient(
        person_id=mail.person_id, registration_id=key, kind=mail.kind, language=language, channels=(NOTICE_CHANNEL,)
    )
    return new_notice(
        notice_id(mail.mail_id), "0", (recipient,), content, Cause(mail.about, mail.mail_id), now, priority=SERVICE
    )


def _request_content(deps: ServiceMailDeps, mail: PlannedMail, request: Request) -> RequestContent:
    _, programme = programme_contact(deps.notices, request.faculty_id, request.programme_id)
    coordinator = office_for(
        COORDINATOR, request.faculty_id, request.programme_id, deps.notices.catalogue, request.activity_type,
        request.study_level,
    )  # fmt: skip
    return RequestContent(
        **common_content(deps.notices.catalogue.university),
        contact=coordinator,
        portal_url=deps.portal_url,
        **_sealed(mail),
        approval_id=request.approval_id,
        activity=request.activity_type,
        country=request.country,
        start_date=request.start_date,
        end_date=request.end_date,
        programme=programme,
    )


def _outcome_content(deps: ServiceMailDeps, mail: PlannedMail, where: Whereabouts, now: datetime) -> OutcomeContent:
    _, programme = programme_contact(deps.notices, where.faculty_id, where.programme_id)
    details, departure = mail.details, min(stay.start_date for stay in where.stays)
    queue = details.get("queue") or queue_for(details.get("rule", ""))
    return OutcomeContent(
        **common_content(deps.notices.catalogue.university),
        contact=office_for(queue, where.faculty_id, where.programme_id, deps.notices.catalogue),
        portal_url=deps.portal_url,
        **_sealed(mail),
        registration_id=where.registration_id,
        departure_date=departure,
        return_date=where.last_day,
        countries=tuple(dict.fromkeys(stay.country for stay in where.stays)),
        programme=programme,
        rule=details.get("rule", ""),
        reason=details.get("reason", ""),
        missing=tuple(details.get("missing", ())),
        has_left=departure <= amsterdam_date(now),
    )


def _sealed(mail: PlannedMail) -> dict[str, Any]:
    return {"sealed": mail.details.get("sealed"), "path": mail.details.get("path", "")}
