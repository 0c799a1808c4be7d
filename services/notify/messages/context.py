"""MessageContent as the words that a template may use, in one language. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.notify.messages.content import (
    AlertContent,
    AnswerContent,
    AnyContent,
    ClearanceContent,
    IncidentContent,
    ManualContent,
    MessageContent,
    Place,
    RegistrationContent,
    ReminderContent,
    SlotContent,
)
from services.notify.messages.countries import country_name, region_name
from services.notify.messages.plain import shortened
from services.notify.messages.wording import (
    MEANINGS,
    REASONS,
    Language,
    colour,
    day,
    moment,
    readable_number,
    short_moment,
    source_name,
    source_short,
)
from shared.catalogue import Contact

WORDS_LIMIT = 600  # of the source's own text; the link leads to the rest


def context(facts: AnyContent, language: Language, place_limit: int) -> Mapping[str, Any]:
    """The variables of a template; `place_limit` is how long an area's name or an officer's words may be."""
    return {**_everywhere(facts, language), **_own(facts, language, place_limit)}


def _own(facts: AnyContent, language: Language, place_limit: int) -> Mapping[str, Any]:
    match facts:
        case AlertContent():
            return _alert(facts, language, place_limit)
        case ManualContent():
            return _manual(facts, language, place_limit)
        case ReminderContent():
            asked = {"since": moment(facts.asked_at, language), "since_short": short_moment(facts.asked_at)}
            return {"country": country_name(facts.country, language), **asked}
        case AnswerContent():
            return {
                "country": country_name(facts.country, language),
                "needs_help": facts.answer == "help",
                "answered_at": moment(facts.answered_at, language),
            }
        case IncidentContent():
            return {
                "country": country_name(facts.country, language),
                "alert": facts.alert_id,
                "total": sum(count for _, count in facts.reasons),
                "reasons": [{"what": REASONS[language][reason], "count": count} for reason, count in facts.reasons],
                "at": moment(facts.at, language),
            }
        case SlotContent():
            return {"cluster": facts.cluster, **_contact(facts.contact)}
        case RegistrationContent():
            return {
                "registration": facts.registration_id,
                "departure": day(facts.departure_date, language),
                "programme": facts.programme.text(language),
                "places": _places(facts.places, language),
                "checked_at": moment(facts.checked_at, language) if facts.checked_at else "",
                **_contact(facts.contact),
            }
        case ClearanceContent():
            return _clearance(facts, language)


def _everywhere(facts: MessageContent, language: Language) -> Mapping[str, Any]:
    return {
        "university": facts.university.text(language),
        "emergency_number": readable_number(facts.emergency_number),
        "emergency_number_short": facts.emergency_number,
        "emergency_email": facts.emergency_email,
    }


def _alert(facts: AlertContent, language: Language, place_limit: int) -> Mapping[str, Any]:
    in_english = language == "en" and facts.area_code is not None
    area = region_name(facts.area_code) if in_english and facts.area_code else facts.area
    return {
        "country": country_name(facts.country, language),
        "area": shortened(area, place_limit),
        "colour": colour(facts.level, language),
        "meaning": MEANINGS[language][facts.level],
        "since": moment(facts.since, language),
        "since_short": short_moment(facts.since),
        "advice_of": moment(facts.effective_at, language),
        "source": source_name(facts.source, language),
        "source_short": source_short(facts.source, language),
        "words": shortened(facts.text_nl if language == "nl" else facts.text_en, WORDS_LIMIT),
        "url": facts.url,
    }


def _clearance(facts: ClearanceContent, language: Language) -> Mapping[str, Any]:
    return {
        "rule": facts.rule,
        "registration": facts.registration_id,
        "departure": day(facts.departure_date, language),
        "programme": facts.programme.text(language),
        "places": _places(facts.places, language),
        **_contact(facts.contact),
    }


def _manual(facts: ManualContent, language: Language, words_limit: int) -> Mapping[str, Any]:
    words = facts.message_nl if language == "nl" else facts.message_en
    return {
        "country": country_name(facts.country, language),
        "area": region_name(facts.area_code) if facts.area_code else "",
        "paragraphs": [line for line in words.split("\n") if line.strip()],
        "words_short": shortened(words, words_limit),
        "raised_at": moment(facts.raised_at, language),
        "raised_short": short_moment(facts.raised_at),
    }


def _places(places: Sequence[Place], language: Language) -> list[Mapping[str, Any]]:
    return [
        {
            "country": country_name(place.country, language),
            "colour": colour(place.level, language),
            "url": place.url,
        }
        for place in places
    ]


def _contact(contact: Contact) -> Mapping[str, Any]:
    return {
        "contact": contact.function,
        "contact_email": contact.email,
        "contact_number": readable_number(contact.phone),
        "contact_number_short": contact.phone,
    }
