"""R29: for whom research projects of a faculty are. Source: Leiden University, "Internships, ...", tab LUMC."""

from collections.abc import Collection
from enum import StrEnum

from services.approval.rules.ruling import Effect, Ruling


class Reason(StrEnum):
    """Whether the student's programme has the projects."""

    PROGRAMME_HAS_PROJECTS = "programme_has_projects"
    ANOTHER_PROGRAMME = "another_programme"


def research(programme_id: str, programmes: Collection[str]) -> Ruling:
    """R29: the faculty's own programmes with projects; whoever studies another one goes to its coordinator."""
    if programme_id in programmes:
        return Ruling(Effect.SATISFIED, "R29", Reason.PROGRAMME_HAS_PROJECTS)
    return Ruling(Effect.ROUTED, "R29", Reason.ANOTHER_PROGRAMME)
