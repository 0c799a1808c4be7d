"""R32: which internships should stay in Europe, as advice. Source: Leiden University, "Internships, ...", tab LUMC."""

from enum import StrEnum

from services.approval.rules.ruling import Effect, Ruling
from shared.events import ActivityType

# Source: United Nations M49, region 150 (Europe); with Kosovo (XK) and Cyprus, a member state of the European Union.
EUROPE = frozenset(
    (
        "AD", "AL", "AT", "AX", "BA", "BE", "BG", "BY", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FO", "FR",
        "GB", "GG", "GI", "GR", "HR", "HU", "IE", "IM", "IS", "IT", "JE", "LI", "LT", "LU", "LV", "MC", "MD", "ME",
        "MK", "MT", "NL", "NO", "PL", "PT", "RO", "RS", "RU", "SE", "SI", "SJ", "SK", "SM", "UA", "VA", "XK",
    )
)  # fmt: skip


class Reason(StrEnum):
    """Whether the student is advised to stay in Europe."""

    NO_ADVICE_TO_STAY = "no_advice_to_stay"
    IN_EUROPE = "in_europe"
    BETTER_IN_EUROPE = "better_in_europe"


def europe(
    kind: ActivityType,
    country: str,
    level: str | None,
    year: int | None,
    recommended: tuple[str, int] | None,
) -> Ruling:
    """R32: a warning, never a block. `recommended`: level and year of study for which the programme advises Europe.

    A student who does not state level or year is warned as well, because an unnecessary warning does no harm.
    """
    if kind is not ActivityType.INTERNSHIP or recommended is None:
        return Ruling(Effect.SATISFIED, "R32", Reason.NO_ADVICE_TO_STAY)
    if country in EUROPE:
        return Ruling(Effect.SATISFIED, "R32", Reason.IN_EUROPE)
    if (level or recommended[0]) == recommended[0] and (year or recommended[1]) == recommended[1]:
        return Ruling(Effect.WARNED, "R32", Reason.BETTER_IN_EUROPE, "student")
    return Ruling(Effect.SATISFIED, "R32", Reason.NO_ADVICE_TO_STAY)
