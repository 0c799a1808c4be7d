"""Service mail to students: which events ask for which mail, and whether a mail that is due is still true.

Sources: seed, "After gaining approval"; "get in touch with your faculty contact person". Times: proposals, configured.
To add a mail, follow CONTRIBUTING.md, Add a service mail.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from services.notify.messages.content import NoticeKind
from services.notify.model.planned_mails import PlannedMail
from services.notify.model.requests import Request, RequestState
from services.notify.model.whereabouts import Whereabouts
from shared.clock import in_amsterdam
from shared.events import (
    ApprovalEvent,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalReturned,
    ApprovalRevoked,
    ApprovalStepRecorded,
    ClearanceRestored,
    ClearanceSuspended,
    Event,
    RegistrationApproved,
    RegistrationCancelled,
    RegistrationChanged,
    RegistrationEvent,
    RegistrationHeld,
    RegistrationRefused,
    RegistrationRouted,
    RegistrationSubmitted,
    ReturnRecorded,
    StayEnded,
    TripChangeOffered,
)
from shared.ids import derived_id

#: The mail to a student who has an approval and no registration.
TO_REGISTER: NoticeKind = "not_registered"
#: The mail whose link reports that the student is back.
ASKS_FOR_RETURN: NoticeKind = "stay_over"
#: Decisions of an import were taken within this time of it.
IMPORT_TAKES = timedelta(minutes=10)


class Group(StrEnum):
    """Mails that the same events end while they wait."""

    REQUEST = "request"
    REGISTER = "register"
    OUTCOME = "outcome"
    TRIP = "trip"
    STAY = "stay"


class Reason(StrEnum):
    """Why a mail is sent, or is dropped."""

    TRUE = "true"
    SWITCHED_OFF = "switched_off"
    TOO_OLD = "too_old"
    NO_LONGER_TRUE = "no_longer_true"
    REGISTERED = "registered"
    IMPORTED = "imported"
    NO_ADDRESS = "no_address"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class MailPolicy:
    """When service mail is sent. Hours are of the Amsterdam clock; equal quiet hours mean none.

    `settle`: a mail waits this long, so that a decision that is replaced at once makes one mail. `max_age`: a mail that
    was due longer ago is not sent, for example after a rebuild. `off`: kinds that are not sent.
    """

    settle: timedelta = timedelta(seconds=10)
    max_age: timedelta = timedelta(hours=72)
    quiet_from: int = 22
    quiet_until: int = 8
    off: frozenset[str] = frozenset()
    register_after: timedelta = timedelta(days=3)
    return_after: tuple[timedelta, ...] = (timedelta(0), timedelta(days=3), timedelta(days=7))

    def is_quiet(self, now: datetime) -> bool:
        """Whether ordinary mail waits now."""
        hour = in_amsterdam(now).hour
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= hour < self.quiet_until
        return hour >= self.quiet_from or hour < self.quiet_until


@dataclass(frozen=True, slots=True)
class MailRule:
    """One kind of mail: the event that asks for it.

    `words`: the event's sealed field that the mail quotes. `delays`: how long after the event each mail is due.
    `when`: which of these events ask for it.
    """

    kind: NoticeKind
    event: type[Event]
    group: Group
    words: str = ""
    delays: Callable[[MailPolicy], tuple[timedelta, ...]] = lambda policy: (policy.settle,)
    when: Callable[[Any], bool] = lambda event: True


#: Every service mail to students.
MAILS: tuple[MailRule, ...] = (
    MailRule("approval_question", ApprovalReturned, Group.REQUEST, words="question"),
    MailRule("approval_granted", ApprovalGranted, Group.REQUEST),
    MailRule("approval_refused", ApprovalRefused, Group.REQUEST, words="reason"),
    MailRule("approval_revoked", ApprovalRevoked, Group.REQUEST, words="reason"),
    MailRule(TO_REGISTER, ApprovalGranted, Group.REGISTER, delays=lambda policy: (policy.register_after,)),
    MailRule("registration_cleared", RegistrationApproved, Group.OUTCOME, words="remark"),
    MailRule("registration_routed", RegistrationRouted, Group.OUTCOME),
    MailRule("registration_incomplete", RegistrationHeld, Group.OUTCOME, when=lambda event: event.rule == "R9"),
    MailRule("registration_refused", RegistrationRefused, Group.OUTCOME, words="remark"),
    MailRule("trip_changed", TripChangeOffered, Group.TRIP, when=lambda event: not event.withdrawn),
    MailRule(ASKS_FOR_RETURN, StayEnded, Group.STAY, delays=lambda policy: policy.return_after),
)
#: Every kind of service mail that can be switched off.
SERVICE_MAIL_KINDS = frozenset({*(rule.kind for rule in MAILS), "office_cases", "office_digest"})
#: A mail about a request is true while the request is in this state.
_STATE_OF: Mapping[str, RequestState] = {
    "approval_question": RequestState.QUESTION,
    "approval_granted": RequestState.GRANTED,
    "approval_refused": RequestState.REFUSED,
    "approval_revoked": RequestState.REVOKED,
    TO_REGISTER: RequestState.GRANTED,
}
#: Events of a registration that end its waiting mails: what those say is not the newest decision any more.
_ENDS_OF_REGISTRATION: Mapping[type[Event], tuple[Group, ...]] = {
    RegistrationHeld: (Group.OUTCOME,),
    RegistrationRouted: (Group.OUTCOME,),
    RegistrationApproved: (Group.OUTCOME,),
    RegistrationRefused: (Group.OUTCOME,),
    ClearanceSuspended: (Group.OUTCOME,),
    ClearanceRestored: (Group.OUTCOME,),
    StayEnded: (Group.STAY,),
    TripChangeOffered: (Group.TRIP,),
    RegistrationCancelled: (Group.OUTCOME, Group.TRIP, Group.STAY),
    ReturnRecorded: (Group.OUTCOME, Group.TRIP, Group.STAY),
}


@dataclass(frozen=True, slots=True)
class MailPlan:
    """What an event asks for: it `ends` these groups of its stream, asks for `mails`, and makes others `needless`."""

    ends: tuple[Group, ...] = ()
    mails: tuple[PlannedMail, ...] = ()
    needless: tuple[PlannedMail, ...] = ()

    @property
    def is_any(self) -> bool:
        """Whether the event plans, ends or prevents a mail."""
        return bool(self.ends or self.mails or self.needless)


def plan_mails(event: Event, event_id: str, version: int, at: datetime, policy: MailPolicy) -> MailPlan:
    """The service mail that an event asks for, and the waiting mail that it ends."""
    if not isinstance(event, ApprovalEvent | RegistrationEvent):
        return MailPlan()
    mails = tuple(
        _mail(rule, event, event_id, number, version, at, delay)
        for rule in MAILS
        if type(event) is rule.event and rule.when(event)
        for number, delay in enumerate(rule.delays(policy))
    )
    needless: tuple[PlannedMail, ...] = ()
    if isinstance(event, RegistrationSubmitted) and event.approval_id is not None:
        needless = (_reminder_to_register(event.approval_id, event.person_id, at),)
    return MailPlan(_ends(event), mails, needless)


def reminder_to_register_id(approval_id: str, person_id: str) -> str:
    """The id of the mail that asks a student with an approval to register. Registering makes it needless."""
    return derived_id("mail", TO_REGISTER, approval_id, person_id)


def request_mail(
    mail: PlannedMail, request: Request, *, is_registered: bool, policy: MailPolicy, now: datetime
) -> Reason:
    """Whether a mail about a request that is due is sent."""
    if (blocked := _blocked(mail, policy, now)) is not None:
        return blocked
    if is_registered and request.state is RequestState.GRANTED:
        return Reason.REGISTERED  # the decision about the registration is the next mail
    return Reason.TRUE if request.state is _STATE_OF[mail.kind] else Reason.NO_LONGER_TRUE


def registration_mail(mail: PlannedMail, where: Whereabouts, policy: MailPolicy, now: datetime) -> Reason:
    """Whether a mail about a registration that is due is sent. An import decides at once about many who know it."""
    if (blocked := _blocked(mail, policy, now)) is not None:
        return blocked
    if where.cancelled or (mail.group == Group.STAY and not where.is_overdue):
        return Reason.NO_LONGER_TRUE
    imported_at = min((stay.since for stay in where.stays if stay.imported), default=None)
    if imported_at is not None and mail.group == Group.OUTCOME and mail.at - imported_at < IMPORT_TAKES:
        return Reason.IMPORTED
    return Reason.TRUE


def _blocked(mail: PlannedMail, policy: MailPolicy, now: datetime) -> Reason | None:
    if mail.kind in policy.off:
        return Reason.SWITCHED_OFF
    return Reason.TOO_OLD if now - mail.due_at > policy.max_age else None


def _ends(event: ApprovalEvent | RegistrationEvent) -> tuple[Group, ...]:
    if isinstance(event, ApprovalEvent):
        return () if isinstance(event, ApprovalStepRecorded) else (Group.REQUEST, Group.REGISTER)
    if isinstance(event, RegistrationSubmitted):
        return (Group.OUTCOME, Group.TRIP) if isinstance(event, RegistrationChanged) else (Group.OUTCOME,)
    if isinstance(event, ReturnRecorded) and event.outcome != "returned":
        return (Group.OUTCOME,)
    return _ENDS_OF_REGISTRATION.get(type(event), ())


def _mail_id(rule: MailRule, event: ApprovalEvent | RegistrationEvent, event_id: str, number: int) -> str:
    if rule.kind == TO_REGISTER:
        return reminder_to_register_id(event.stream, event.person_id)
    return derived_id("mail", rule.kind, event_id, str(number))


def _mail(
    rule: MailRule,
    event: ApprovalEvent | RegistrationEvent,
    event_id: str,
    number: int,
    version: int,
    at: datetime,
    delay: timedelta,
) -> PlannedMail:
    details: dict[str, str | list[str]] = {
        name: str(getattr(event, name))
        for name in ("rule", "reason", "queue")
        if name != rule.words and hasattr(event, name)
    }
    if isinstance(event, RegistrationHeld):
        details["missing"] = list(event.missing)
    sealed = getattr(event, rule.words, None) if rule.words else None
    if sealed is not None:
        details |= {"sealed": sealed, "path": f"/{rule.words}"}
    return PlannedMail(
        mail_id=_mail_id(rule, event, event_id, number),
        kind=rule.kind,
        about=event.stream,
        group=rule.group,
        version=version,
        person_id=event.person_id,
        at=at,
        due_at=at + delay,
        number=number,
        details=details,
    )


def _reminder_to_register(approval_id: str, person_id: str, at: datetime) -> PlannedMail:
    return PlannedMail(
        mail_id=reminder_to_register_id(approval_id, person_id),
        kind=TO_REGISTER,
        about=approval_id,
        group=Group.REGISTER,
        version=0,
        person_id=person_id,
        at=at,
        due_at=at,
    )
