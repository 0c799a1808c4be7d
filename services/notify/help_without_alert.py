"""R38: a cry for help that no alert hears goes to the teams at once; the reply waits for a safety officer.

It came by SMS, from a known person without an alert or from a number that is nobody's or several persons'; or by mail
to the bounce mailbox, where no answer is recorded because its sender may be forged. A sender who repeats it within
MAIL_PERIOD is one cry: the teams get one mail, and every reply waits for an officer. Idempotent: event and mails have
ids that are derived from sender and period, so a request that is processed again changes nothing.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from services.notify import notices
from services.notify.alert_steps import EscalationDeps
from services.notify.messages.content import HelpReplyContent, common_content
from services.notify.model.escalations import EscalationRecord
from services.notify.model.whereabouts import Whereabouts
from services.notify.rules.audience import is_there
from services.notify.rules.escalation import EscalationStep, Reason
from services.notify.rules.routing import route
from services.notify.store.callbacks import Callback
from services.notify.store.send_queue import EMERGENCY
from services.notify.store.unjudged import Judging
from shared.clock import amsterdam_date
from shared.envelope import Cause, Draft
from shared.events import AlertEscalated
from shared.ids import derived_id

#: A phone that sends HELP without end, on purpose or by a loop of automatic answers, fills no team's mailbox.
MAIL_PERIOD = timedelta(minutes=10)


async def tell_teams(
    deps: EscalationDeps,
    callback: Callback,
    sender: str,
    persons: Collection[str],
    now: datetime,
    *,
    by_mail: bool = False,
) -> None:
    """Record the escalation of a person who is known for certain, and mail each team of R38.

    `sender`: stands for the number or the address, without naming it.
    """
    period = int(callback.at.timestamp() // MAIL_PERIOD.total_seconds())
    notice = notices.notice_id(derived_id("help", sender, str(period)))
    cause = Cause(notice, callback.id)
    person = next(iter(persons)) if len(persons) == 1 else None
    if person is not None:
        event = AlertEscalated(
            alert_id=notice,
            person_id=person,
            step=EscalationStep.CRISIS_TEAM,
            to="crisis-unit",
            reason=Reason.HELP,
            by="rules",
        )
        await deps.outbox.append_once(Draft(event, derived_id("escalated", notice, person)), cause=cause, now=now)
        await deps.alerts.escalations.add(notice, [EscalationRecord.of(event, now)])
    where = await _newest_registration(deps, person) if person is not None else None
    university = deps.notices.catalogue.university
    decision = route(
        university.incident_routing,
        where.faculty_id if where is not None else "",
        serious=True,
        otherwise=university.safety_officers,
    )
    content = HelpReplyContent(
        **common_content(university),
        asked_at=callback.at,
        is_known=person is not None,
        country=_country_now(where, now) if where is not None else None,
        by_mail=by_mail,
    )
    recipients = [notices.office_recipient(contact, "help_reply") for contact in decision.contacts]
    for number, recipient in enumerate(recipients):
        await notices.create_notice(
            deps.notices, f"{notice}-{number}", "0", (recipient,), content, cause, now, priority=EMERGENCY
        )


async def _newest_registration(deps: EscalationDeps, person: str) -> Whereabouts | None:
    registrations = await deps.whereabouts.registrations_of(person)
    return max(registrations, key=lambda where: where.changed_at, default=None)


def _country_now(where: Whereabouts, now: datetime) -> str | None:
    today = amsterdam_date(now)
    there = Judging().ask(where, lambda: [stay for stay in where.stays if is_there(where, stay, today)])
    return there[0].country if there and not where.cancelled else None
