"""R5: whose programme it is. A student can name any programme; the login or the approver says that it is theirs."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """How the programme that a student names is confirmed, or why it is not."""

    FROM_LOGIN = "programme_from_login"
    CONFIRMED = "programme_confirmed"
    ONLY_CLAIMED = "programme_only_claimed"
    NOT_OF_THE_LOGIN = "programme_not_of_the_login"


@dataclass(frozen=True, slots=True)
class Programme:
    """Decision."""

    reason: Reason

    @property
    def is_certain(self) -> bool:
        """Whether the login or the approver says that it is the student's programme."""
        return self.reason in (Reason.FROM_LOGIN, Reason.CONFIRMED)


def named_programme(*, vouched_for: bool, ruled_out: bool) -> Programme:
    """R5: when the student asks. `vouched_for`, `ruled_out`: what the login says of the programme."""
    if ruled_out:
        return Programme(Reason.NOT_OF_THE_LOGIN)
    return Programme(Reason.FROM_LOGIN if vouched_for else Reason.ONLY_CLAIMED)


def own_programme(*, from_login: bool, confirmed: bool) -> Programme:
    """R5: when the approver grants. `confirmed`: the approver says that the student is one of the programme."""
    if from_login:
        return Programme(Reason.FROM_LOGIN)
    return Programme(Reason.CONFIRMED if confirmed else Reason.ONLY_CLAIMED)
