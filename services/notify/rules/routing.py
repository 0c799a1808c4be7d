"""R38: which teams of the university take over when a student needs help or cannot be reached, by faculty. Pure.

Source: Leiden, Crisis management: LUMC: its crisis unit and the International Incident Team; others: the faculty's team
and the International Incident Team; serious: the Central Crisis Team.
"""

from dataclasses import dataclass
from enum import StrEnum

from shared.catalogue import Contact, IncidentRouting


class Reason(StrEnum):
    """Which entry of the routing table applies."""

    FACULTY = "faculty"
    OTHER_FACULTY = "other_faculty"
    NOT_CONFIGURED = "not_configured"


@dataclass(frozen=True, slots=True)
class Route:
    """The decision: all of these contacts are notified."""

    reason: Reason
    contacts: tuple[Contact, ...]


def route(table: IncidentRouting | None, faculty_id: str, *, serious: bool, otherwise: Contact) -> Route:
    """R38: whom to notify of a student of this faculty. Without a table: `otherwise`, the safety officers."""
    if table is None:
        return Route(Reason.NOT_CONFIGURED, (otherwise,))
    own = table.faculties.get(faculty_id)
    teams = own if own is not None else table.other_faculties
    also = (table.serious,) if serious and table.serious is not None else ()
    return Route(Reason.FACULTY if own is not None else Reason.OTHER_FACULTY, (*teams, *also))
