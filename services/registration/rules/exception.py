"""R18: an exception at orange. Source: Leiden announcements 2020; the current page says never, so it is off."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.registration.rules.places import Place
from shared.events import AdviceSeen, ExceptionPermissions, Level


class Reason(StrEnum):
    """Why an exception is made, or not."""

    GRANTED = "exception_at_orange"
    OFF = "exceptions_are_off"
    RED = "never_at_red"
    PERMISSION_MISSING = "permission_missing"


@dataclass(frozen=True, slots=True)
class OrangeException:
    """The decision."""

    reason: Reason

    @property
    def is_granted(self) -> bool:
        """Orange does not block."""
        return self.reason is Reason.GRANTED


def exception_at_orange(
    enabled: bool, checked: Sequence[Place], permissions: ExceptionPermissions, attached: Iterable[str]
) -> OrangeException:
    """R18: if the university allows exceptions, at orange and no worse, with both written permissions attached.

    `attached` are the ids of the registration's documents. R13: there is no exception at red.
    """
    if not enabled:
        return OrangeException(Reason.OFF)
    if any(place.level is not None and place.level > Level.ORANGE for place in checked):
        return OrangeException(Reason.RED)
    documents = {permissions.board_document_id, permissions.host_document_id}
    if len(documents) == 2 and documents <= set(attached):
        return OrangeException(Reason.GRANTED)
    return OrangeException(Reason.PERMISSION_MISSING)


def tolerated(exception: Iterable[AdviceSeen], place: Place) -> bool:
    """R18: the place is certainly orange, no worse, and an exception was made for its country at orange."""
    return (
        place.is_negative
        and place.level == Level.ORANGE
        and any(seen.country == place.leg.country and seen.level == Level.ORANGE for seen in exception)
    )
