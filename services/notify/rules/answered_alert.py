"""Which alert an SMS reply answers. Pure.

"Safe" counts for an alert only when it came after a message of that alert was handed over to the person. Our own clock
decides that. The provider's time can only make it doubtful: then a safety officer reads the reply. A cry for help
always counts. See docs/notifications.md, Answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.notify.rules.answers import ReplyMeaning

#: A provider may write whole minutes. A reply that is dated earlier than this before its message is doubtful.
DATE_PRECISION = timedelta(minutes=1)
#: The database keeps whole milliseconds of the time at which a reply arrived.
ARRIVAL_PRECISION = timedelta(milliseconds=1)


class Reason(StrEnum):
    """Why a reply counts for an alert, or for none."""

    HELP = "help"
    AFTER_MESSAGE = "after_message"
    BEFORE_ANY_MESSAGE = "before_any_message"
    DATED_BEFORE_MESSAGE = "dated_before_message"
    NO_ALERT = "no_alert"


@dataclass(frozen=True, slots=True)
class AlertedAt:
    """An alert that a person was selected for. `handed_over_at`: of its first message to the person; None: of none."""

    alert_id: str
    selected_at: datetime
    handed_over_at: datetime | None

    def is_handed_over(self, at: datetime) -> bool:
        """Whether a message of the alert was handed over to the person at that time."""
        return self.handed_over_at is not None and self.handed_over_at - at <= ARRIVAL_PRECISION


@dataclass(frozen=True, slots=True)
class AnsweredAlert:
    """The decision. `alert` None: the reply counts for no alert, so a safety officer reads it."""

    reason: Reason
    alert: AlertedAt | None = None


def answered_alert(
    meaning: ReplyMeaning, alerts: Sequence[AlertedAt], claimed: datetime | None, received: datetime
) -> AnsweredAlert:
    """The alert that a reply answers. `alerts`: those of the person, the oldest first; `claimed`: the provider's time.

    Help counts for the newest alert. Any other answer counts for the newest alert that had told the person when the
    reply arrived.
    """
    if not alerts:
        return AnsweredAlert(Reason.NO_ALERT)
    if meaning is ReplyMeaning.HELP:
        return AnsweredAlert(Reason.HELP, alerts[-1])
    told = next((alert for alert in reversed(alerts) if alert.is_handed_over(received)), None)
    if told is None or told.handed_over_at is None:
        return AnsweredAlert(Reason.BEFORE_ANY_MESSAGE)
    if claimed is not None and told.handed_over_at - claimed > DATE_PRECISION:
        return AnsweredAlert(Reason.DATED_BEFORE_MESSAGE)
    return AnsweredAlert(Reason.AFTER_MESSAGE, told)
