"""R30, R31: the theme of a research project. Source: Leiden University, "Internships, ...", tab LUMC."""

from collections.abc import Collection
from enum import StrEnum

from services.approval.rules.ruling import Effect, Ruling
from shared.events import StepKind


class Reason(StrEnum):
    """Whether a project belongs to a theme of the faculty."""

    IN_A_THEME = "in_a_theme"
    NOT_A_THEME = "not_a_theme"
    OUTSIDE_THE_THEMES = "outside_the_themes"


def theme(named: str | None, themes: Collection[str]) -> Ruling:
    """R30: a theme of the faculty. R31: outside the themes, the theme is approved before the programme decides."""
    if named is None:
        return Ruling(Effect.DEMANDED, "R31", Reason.OUTSIDE_THE_THEMES, step=StepKind.THEME_APPROVED)
    if named in themes:
        return Ruling(Effect.SATISFIED, "R30", Reason.IN_A_THEME)
    return Ruling(Effect.INCOMPLETE, "R30", Reason.NOT_A_THEME, field="details.theme", choices=tuple(sorted(themes)))
