"""Mails the offices about the cases that wait for them: urgent ones at once, all that is open in a daily digest.

`app.py` runs both every SERVICE_MAIL_SECONDS in one process at a time. A mail and the note that its cases stand in it
are one transaction. If MongoDB fails, the next run does the rest. A mail holds counts and ids, never a name.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.notify.messages.content import NoticeKind, common_content
from services.notify.messages.service_content import CaseCount, CaseLine, OfficeCasesContent, OfficeDigestContent
from services.notify.model.office_cases import CaseKind, OfficeCase, read_reply, reply_case
from services.notify.model.requests import Request
from services.notify.model.whereabouts import Whereabouts
from services.notify.notices import new_notice, notice_id, office_recipient, store_new_notices
from services.notify.rules.office_mail import Urgency, digest_due, urgency
from services.notify.rules.offices import INTERNATIONAL_OFFICE, SAFETY_OFFICER, office_for
from services.notify.service_mail.deps import ServiceMailDeps
from services.notify.store.callbacks import TO_BE_READ
from services.notify.store.selections import Selection
from services.notify.store.send_queue import EMERGENCY, SERVICE, SendJob
from shared.catalogue import Contact
from shared.clock import amsterdam_date
from shared.envelope import Cause
from shared.ids import derived_id
from shared.mongo.client import Session
from shared.observability.logs import get_logger
from shared.transient import reason_of

#: Cases that one run looks at.
BATCH = 1_000
#: Cases that a mail lists; of the others it tells the number.
LINES = 20
AT_ONCE: NoticeKind = "office_cases"
DIGEST: NoticeKind = "office_digest"

log = get_logger()


@dataclass(frozen=True, slots=True)
class _PlacedCase:
    """A case with its office and the journey that it is about."""

    case: OfficeCase
    office: Contact
    faculty_id: str = ""
    starts_on: date | None = None
    countries: tuple[str, ...] = ()
    is_void: bool = False

    def urgency(self, today: date) -> Urgency:
        """How soon the office hears of it."""
        return urgency(self.case, self.starts_on, today)


async def mail_urgent_cases(deps: ServiceMailDeps, now: datetime) -> int:
    """Mail each office its new urgent cases; how many mails. Cases in the pause after a mail share the next one."""
    await _note_replies(deps)
    today, policy = amsterdam_date(now), deps.office_policy
    by_mailbox: dict[str, list[_PlacedCase]] = defaultdict(list)
    settled = now - deps.policy.settle
    to_digest: list[OfficeCase] = []
    for placed in await _placed(deps, await deps.cases.undecided(BATCH)):
        case, level = placed.case, placed.urgency(today)
        if (
            placed.is_void
            or not case.is_open
            or _is_told_otherwise(deps, case)
            or level is Urgency.DAILY
            or now - case.opened_at > deps.policy.max_age
        ):
            to_digest.append(case)
        elif level is Urgency.EMERGENCY or (case.opened_at <= settled and not deps.policy.is_quiet(now)):
            by_mailbox[placed.office.email].append(placed)
    await deps.cases.leave_to_digest(to_digest)
    if AT_ONCE in deps.policy.off:
        await deps.cases.leave_to_digest([placed.case for of_office in by_mailbox.values() for placed in of_office])
        return 0
    count = 0
    for mailbox, of_office in by_mailbox.items():
        level = min(placed.urgency(today) for placed in of_office)
        if not await deps.cases.mailed_between(mailbox, now - policy.pause_after(level), now):
            await _mail_at_once(deps, of_office, is_emergency=level is Urgency.EMERGENCY, now=now)
            count += 1
    return count


async def mail_digests(deps: ServiceMailDeps, now: datetime) -> int:
    """Once a day at the digest hour, mail each office its open cases; how many mails. An empty digest is none."""
    due = digest_due(now, deps.office_policy)
    if due is None or await deps.cases.is_digest_made(amsterdam_date(now)):
        return 0
    by_office: dict[str, list[_PlacedCase]] = defaultdict(list)
    async for batch in deps.cases.open_cases(BATCH):
        for placed in await _placed(deps, batch):
            wait = deps.office_policy.overdue_after if placed.case.kind is CaseKind.OVERDUE else timedelta(0)
            is_on_board = placed.case.kind is CaseKind.HELP
            if not placed.is_void and not is_on_board and placed.case.opened_at + wait <= due:
                by_office[placed.office.email].append(placed)
    if DIGEST not in deps.policy.off:
        for mailbox, of_office in by_office.items():
            name = derived_id("digest", mailbox, amsterdam_date(now).isoformat())
            await _store(deps, _digest(deps, name, of_office, due, now), (), now)
    await deps.cases.note_digest_made(amsterdam_date(now))
    return len(by_office)


def _is_told_otherwise(deps: ServiceMailDeps, case: OfficeCase) -> bool:
    """Without a routing of incidents (R38) the escalation itself writes to the safety officers."""
    return case.kind is CaseKind.HELP and deps.notices.catalogue.university.incident_routing is None


async def _note_replies(deps: ServiceMailDeps) -> None:
    """Replies that wait for a person are cases until a safety officer has read them."""
    waiting = await deps.callbacks.replies_with_note(TO_BE_READ)
    known = {case.about for case in await deps.cases.open_of_kind(CaseKind.REPLY)}
    changes = [reply_case(callback_id, at) for callback_id, at in waiting.items() if callback_id not in known]
    changes += [read_reply(callback_id) for callback_id in known if callback_id not in waiting]
    await deps.cases.apply(changes)


async def _placed(deps: ServiceMailDeps, cases: Sequence[OfficeCase]) -> list[_PlacedCase]:
    """Each case with its office. A case about a journey that is not known goes to the International Office."""
    of_requests = {case.about for case in cases if case.kind in (CaseKind.REQUEST, CaseKind.STEP)}
    of_registrations = {case.about for case in cases if case.kind in (CaseKind.TASK, CaseKind.OVERDUE)}
    requests = await deps.requests.load(of_requests)
    whereabouts = await deps.notices.whereabouts.load(of_registrations)
    placed = []
    for case in cases:
        try:
            placed.append(_place(deps, case, requests, whereabouts))
        # One case that cannot be placed must not hold up the others: it goes where cases without a journey go.
        except Exception as error:
            log.error("case_not_placed", kind=case.kind.value, about=case.about, reason=reason_of(error))
            placed.append(_PlacedCase(case, office_for(case.queue, "", "", deps.notices.catalogue)))
    return placed


def _place(
    deps: ServiceMailDeps,
    case: OfficeCase,
    requests: Mapping[str, Request],
    whereabouts: Mapping[str, Whereabouts],
) -> _PlacedCase:
    catalogue, request, where = deps.notices.catalogue, requests.get(case.about), whereabouts.get(case.about)
    if request is not None:
        office = office_for(
            case.queue, request.faculty_id, request.programme_id, catalogue, request.activity_type, request.study_level
        )
        return _PlacedCase(case, office, request.faculty_id, request.start_date, (request.country,))
    if where is not None:
        office = office_for(case.queue, where.faculty_id, where.programme_id, catalogue)
        departure = min(stay.start_date for stay in where.stays)
        countries = tuple(dict.fromkeys(stay.country for stay in where.stays))
        is_void = case.kind is CaseKind.OVERDUE and not where.is_overdue
        return _PlacedCase(case, office, where.faculty_id, departure, countries, is_void or where.cancelled)
    return _PlacedCase(case, office_for(case.queue, "", "", catalogue))


async def _mail_at_once(
    deps: ServiceMailDeps, of_office: Sequence[_PlacedCase], *, is_emergency: bool, now: datetime
) -> None:
    listed = sorted(of_office, key=lambda placed: (placed.urgency(amsterdam_date(now)), placed.case.opened_at))
    content = OfficeCasesContent(
        **common_content(deps.notices.catalogue.university),
        contact=_answers_to(deps, of_office[0]),
        portal_url=deps.portal_url,
        lines=tuple(
            CaseLine(
                kind=placed.case.kind,
                rule=placed.case.rule,
                about=placed.case.about,
                countries=placed.countries,
                starts_on=placed.starts_on,
            )
            for placed in listed[:LINES]
        ),
        more=max(0, len(listed) - LINES),
        today=amsterdam_date(now),
    )
    name = derived_id("cases", *sorted(f"{placed.case.case_id}@{placed.case.opened_at}" for placed in of_office))
    recipient = office_recipient(of_office[0].office, AT_ONCE)
    notice = new_notice(
        notice_id(name), "0", (recipient,), content, Cause(of_office[0].case.about, name), now,
        priority=EMERGENCY if is_emergency else SERVICE,
    )  # fmt: skip
    await _store(deps, notice, [placed.case for placed in of_office], now)
    log.info("office_mail_queued", kind=AT_ONCE, count=len(of_office))


def _digest(
    deps: ServiceMailDeps, name: str, of_office: Sequence[_PlacedCase], due: datetime, now: datetime
) -> tuple[Selection, SendJob]:
    groups: dict[tuple[str, str], list[_PlacedCase]] = defaultdict(list)
    for placed in of_office:
        groups[placed.case.kind, placed.case.rule].append(placed)
    today = amsterdam_date(now)
    counts = [
        CaseCount(
            kind=kind,
            rule=rule,
            count=len(group),
            new=sum(placed.case.opened_at > due - timedelta(days=1) for placed in group),
            late=sum(
                kind == CaseKind.REQUEST and placed.starts_on is not None and placed.starts_on <= today
                for placed in group
            ),
            oldest=min(placed.case.opened_at for placed in group),
        )
        for (kind, rule), group in groups.items()
    ]
    content = OfficeDigestContent(
        **common_content(deps.notices.catalogue.university),
        contact=_answers_to(deps, of_office[0]),
        portal_url=deps.portal_url,
        counts=tuple(sorted(counts, key=lambda entry: entry.oldest)),
        day=today,
    )
    recipient = office_recipient(of_office[0].office, DIGEST)
    return new_notice(notice_id(name), "0", (recipient,), content, Cause(DIGEST, name), now, priority=SERVICE)


def _answers_to(deps: ServiceMailDeps, placed: _PlacedCase) -> Contact:
    """Whom an office can ask: the International Office, which asks the safety officers in turn."""
    office = office_for(INTERNATIONAL_OFFICE, placed.faculty_id, "", deps.notices.catalogue)
    is_same = office.email == placed.office.email
    return office_for(SAFETY_OFFICER, "", "", deps.notices.catalogue) if is_same else office


async def _store(
    deps: ServiceMailDeps, notice: tuple[Selection, SendJob], cases: Sequence[OfficeCase], now: datetime
) -> None:
    selection, _ = notice
    (recipient,) = selection.recipients
    sent_before = await deps.deliveries.alerts_with_deliveries([selection.alert_id])

    async def store(session: Session) -> None:
        if cases:
            await deps.cases.note_mailed(cases, selection.alert_id, recipient.mailbox or "", now, session)
        if not sent_before:
            await store_new_notices(deps.notices, [notice], now, session)

    await deps.notices.mongo.transact(store, what=f"mail {selection.alert_id} to an office")
    deps.notices.send_queue.announce()
