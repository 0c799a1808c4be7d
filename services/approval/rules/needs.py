"""R29-R37: which details are asked for an activity, before anybody fills in a form. `findings.py` checks by it."""

from dataclasses import dataclass
from enum import StrEnum

from services.approval.rules.inputs import RuleSettings
from shared.events import ActivityType


class When(StrEnum):
    """When a detail is needed."""

    ALWAYS = "always"
    IF_YOU_LIKE = "if_you_like"
    WITHOUT_IT_THE_THEME_IS_APPROVED_FIRST = "without_it_the_theme_is_approved_first"
    PARTNER_INSTITUTE = "for_a_partner_institute"
    PARTNER_INSTITUTE_LISTED = "for_a_partner_institute_that_is_listed"
    OWN_CHOICE = "for_an_institute_of_your_own_choice"
    REGULAR_ROTATION = "for_a_regular_rotation"
    UNLESS_DESCRIBED = "unless_you_describe_another_school"


@dataclass(frozen=True, slots=True)
class Need:
    """A field of the request, by its wire name, the rule that asks for it, and when."""

    field: str
    rule: str
    when: When


def needs(kind: ActivityType, country: str | None, settings: RuleSettings) -> tuple[Need, ...]:
    """R5, R29, R30, R32, R33, R34, R37: the needs of this activity; without a country: wherever it is."""
    asked: list[Need] = []
    if settings.research is not None and kind in settings.research.activity_types:
        asked += _RESEARCH
    if kind is ActivityType.INTERNSHIP and settings.in_europe is not None:
        asked += _EUROPE
    if kind is ActivityType.CLINICAL_CLERKSHIP:
        asked.append(Need("details.rotation", "R33", When.ALWAYS))
        clusters = settings.clerkships.clusters if settings.clerkships is not None else {}
        if (country in clusters) if country is not None else clusters:
            asked += _PLACES
    if kind is ActivityType.SUMMER_OR_WINTER_SCHOOL:
        if settings.schools:
            asked.append(Need("details.school", "R37", When.UNLESS_DESCRIBED))
        asked.append(Need("details.credits", "R37", When.ALWAYS))
    return (*asked, _CONTACT)


#: Who decides has to know who asks, and the answer goes there.
_CONTACT = Need("contact", "R5", When.ALWAYS)
_RESEARCH = (
    Need("details.theme", "R30", When.WITHOUT_IT_THE_THEME_IS_APPROVED_FIRST),
    Need("details.institute", "R30", When.ALWAYS),
    Need("details.partnerNetwork", "R30", When.PARTNER_INSTITUTE),
    Need("details.partnerInstitute", "R30", When.PARTNER_INSTITUTE_LISTED),
    Need("instituteReason", "R30", When.OWN_CHOICE),
)
_EUROPE = (Need("details.studyLevel", "R32", When.IF_YOU_LIKE), Need("details.yearOfStudy", "R32", When.IF_YOU_LIKE))
_PLACES = (
    Need("details.cluster", "R34", When.REGULAR_ROTATION),
    Need("details.hospital", "R34", When.IF_YOU_LIKE),
)
