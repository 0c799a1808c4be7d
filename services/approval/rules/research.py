"""R29: which programmes have a faculty's research projects. Source: Leiden University, "Internships, ...", tab LUMC."""

from collections.abc import Collection
from enum import StrEnum

from services.approval.rules.ruling import Effect, Ruling


class Reason(StrEnum):
    """Whether the research projects are for the student's programme."""

    PROGRAMME_HAS_PROJECTS = "programme_has_projects"
    ANOTHER_PROGRAMME = "another_programme"


def research(programme_id: str, programmes: Collection[str]) -> Ruling:
    """R29: projects are for certain programmes. For a student of another one, its coordinator has to look."""
    if programme_id in programmes:
        return Ruling(Effect.SATISFIED, "R29", Reason.PROGRAMME_HAS_PROJECTS)
    return Ruling(Effect.ROUTED, "R29", Reason.ANOTHER_PROGRAMME)
