"""Mail to offices: which case gets a mail at once, and when the digest of a day is due.

Sources: seed, "within 2 weeks, get in touch with your faculty contact person"; everything else is a proposal.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import IntEnum

from services.notify.model.office_cases import CaseKind, OfficeCase
from shared.clock import AMSTERDAM, in_amsterdam, in_utc

#: R7: a departure within this time is mailed at once.
SOON = timedelta(days=14)
#: R19: the coordinator has a mail of its own about each suspended clearance.
_MAILED_ALREADY = frozenset({"R19"})
#: These are emergencies, whatever the rule; and so is R20: a student is where the advice is negative.
EMERGENCY_KINDS = frozenset({CaseKind.HOLD, CaseKind.REPLY, CaseKind.HELP})
EMERGENCY_RULES = frozenset({"R20"})


class Urgency(IntEnum):
    """EMERGENCY: at once, day and night. URGENT: at once, outside quiet hours. DAILY: in the digest alone."""

    EMERGENCY = 0
    URGENT = 1
    DAILY = 2


@dataclass(frozen=True, slots=True)
class OfficePolicy:
    """When offices get mail. `digest_hour`: of the Amsterdam clock.

    `pause`: after a mail about cases, further ones wait so long and share a mail; emergencies at most a minute.
    `overdue_after`: so long after the end of a stay, a student who has not said that they are back is a case.
    """

    digest_hour: int = 8
    pause: timedelta = timedelta(minutes=15)
    overdue_after: timedelta = timedelta(days=10)

    def pause_after(self, level: Urgency) -> timedelta:
        """How long after a mail cases of this urgency wait for the next one."""
        return min(self.pause, timedelta(minutes=1)) if level is Urgency.EMERGENCY else self.pause


def urgency(case: OfficeCase, starts_on: date | None, today: date) -> Urgency:
    """How soon an office hears of a case. `starts_on`: the first day of the journey, if it is about one."""
    if case.kind in EMERGENCY_KINDS or case.rule in EMERGENCY_RULES:
        return Urgency.EMERGENCY
    if case.kind is CaseKind.SOURCE:
        return Urgency.URGENT
    if case.kind is CaseKind.OVERDUE or case.rule in _MAILED_ALREADY or starts_on is None:
        return Urgency.DAILY
    return Urgency.URGENT if starts_on - today < SOON else Urgency.DAILY


def digest_due(now: datetime, policy: OfficePolicy) -> datetime | None:
    """The instant of today's digest, once it has come. It tells of the cases that were open by then."""
    local = in_amsterdam(now)
    due = datetime.combine(local.date(), time(policy.digest_hour), AMSTERDAM)
    return in_utc(due) if due <= local else None
