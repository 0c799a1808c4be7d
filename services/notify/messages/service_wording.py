"""Wording of service mail in Dutch and English: activities, documents, and why a registration is not cleared. Pure."""

from collections.abc import Mapping

from services.notify.messages.wording import Language
from shared.events import ActivityType

ACTIVITIES: Mapping[Language, Mapping[ActivityType, str]] = {
    "nl": {
        ActivityType.INTERNSHIP: "stage",
        ActivityType.RESEARCH_OR_FIELDWORK: "onderzoek of veldwerk",
        ActivityType.FIELD_TRIP: "veldreis of excursie",
        ActivityType.SUMMER_OR_WINTER_SCHOOL: "zomer- of winterschool",
        ActivityType.MANDATORY_STUDY_ABROAD: "verplichte studie in het buitenland",
        ActivityType.CLINICAL_CLERKSHIP: "coschap",
        ActivityType.MOOT_COURT: "pleitwedstrijd",
        ActivityType.STUDY_ASSOCIATION_TRIP: "reis van de studievereniging",
    },
    "en": {
        ActivityType.INTERNSHIP: "internship",
        ActivityType.RESEARCH_OR_FIELDWORK: "research or fieldwork",
        ActivityType.FIELD_TRIP: "field trip or excursion",
        ActivityType.SUMMER_OR_WINTER_SCHOOL: "summer or winter school",
        ActivityType.MANDATORY_STUDY_ABROAD: "mandatory study abroad",
        ActivityType.CLINICAL_CLERKSHIP: "clinical clerkship",
        ActivityType.MOOT_COURT: "moot court",
        ActivityType.STUDY_ASSOCIATION_TRIP: "study association trip",
    },
}
#: Reason code of a decision → why a person has to decide, or why it was refused.
DECISION_REASONS: Mapping[Language, Mapping[str, str]] = {
    "nl": {
        "within_two_weeks": "Je vertrekt binnen veertien dagen, dus beslist een medewerker.",
        "already_departed": "Je was al vertrokken toen je je registreerde, dus beslist een medewerker.",
        "advice_unknown": "Voor een van je bestemmingen is geen reisadvies bekend.",
        "advice_stale": "Het reisadvies kon te lang niet worden gelezen.",
        "advice_being_updated": "Het reisadvies wordt op dit moment bijgewerkt.",
        "place_unresolved": "Een deel van het land heeft een ander reisadvies, en het is niet zeker of jij daar bent.",
        "suspended_before": "Je toestemming is eerder opgeschort.",
        "advice_negative": "Het reisadvies voor een van je bestemmingen is oranje of rood.",
        "approval_of_another_person": "De goedkeuring die je noemt, is niet van jou.",
        "approval_refused": "Je opleiding heeft je aanvraag niet goedgekeurd.",
        "approval_withdrawn": "De goedkeuring die je noemt, is ingetrokken.",
        "approval_revoked": "Je opleiding heeft haar goedkeuring teruggenomen.",
        "approval_for_another_activity": "De goedkeuring is voor een andere activiteit of opleiding.",
        "approval_for_another_country": "De goedkeuring is voor een ander land.",
        "approval_for_other_dates": "De goedkeuring is voor andere dagen.",
        "refused_by_person": "Een medewerker heeft dit besloten.",
    },
    "en": {
        "within_two_weeks": "You leave within fourteen days, so a member of staff decides.",
        "already_departed": "You had already left when you registered, so a member of staff decides.",
        "advice_unknown": "No travel advice is known for one of your destinations.",
        "advice_stale": "The travel advice could not be read for too long.",
        "advice_being_updated": "The travel advice is being updated at this moment.",
        "place_unresolved": "A part of the country has a different travel advice, and it is not certain whether you "
        "will be there.",
        "suspended_before": "Your clearance was suspended before.",
        "advice_negative": "The travel advice for one of your destinations is orange or red.",
        "approval_of_another_person": "The approval that you named is not yours.",
        "approval_refused": "Your programme has refused your request.",
        "approval_withdrawn": "The approval that you named has been withdrawn.",
        "approval_revoked": "Your programme has taken its approval back.",
        "approval_for_another_activity": "The approval is for another activity or programme.",
        "approval_for_another_country": "The approval is for another country.",
        "approval_for_other_dates": "The approval is for other days.",
        "refused_by_person": "A member of staff decided this.",
    },
}
_AND: Mapping[Language, str] = {"nl": " en ", "en": " and "}


def decision_reason(code: str, language: Language) -> str:
    """Why, in words; empty for a code that has no words here: the contact explains it."""
    return DECISION_REASONS[language].get(code, "")


def document_name(kind: str) -> str:
    """A kind of document as people read it: `placement_letter` → `placement letter`."""
    return kind.replace("_", " ")


def listed(names: list[str], language: Language) -> str:
    """`Spain, France and Italy`."""
    return _AND[language].join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
