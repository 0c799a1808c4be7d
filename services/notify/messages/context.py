"""MessageContent as the words that a template may use, in one language. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.notify.messages.content import (
    AlertContent,
    AnswerContent,
    AnyContent,
    ClearanceContent,
    HelpReplyContent,
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

#: Characters quoted of the source's own text; the link leads to the rest.
QUOTE_MAX_CHARS = 600


def context(content: AnyContent, language: Language, place_limit: int) -> Mapping[str, Any]:
    """The variables of a template. `place_limit`: the most characters of an area's name, or of an officer's text."""
    return {**_common(content, language), **_of_kind(content, language, place_limit)}


def _of_kind(content: AnyContent, language: Language, place_limit: int) -> Mapping[str, Any]:
    match content:
        case AlertContent():
            return _alert(content, language, place_limit)
        case ManualContent():
            return _manual(content, language, place_limit)
        case ReminderContent():
            asked = {"since": moment(content.asked_at, language), "since_short": short_moment(content.asked_at)}
            return {"country": country_name(content.country, language), **asked}
        case AnswerContent():
            return {
                "country": country_name(content.country, language),
                "needs_help": content.answer == "help",
                "answered_at": moment(content.answered_at, language),
            }
        case IncidentContent():
            return {
                "country": country_name(content.country, language),
                "alert": content.alert_id,
                "total": sum(count for _, count in content.reasons),
                "reasons": [{"what": REASONS[language][reason], "count": count} for reason, count in content.reasons],
                "at": moment(content.at, language),
                "is_closed": content.is_closed,
                "is_drill": content.is_drill,
            }
        case HelpReplyContent():
            return {
                "asked_at": moment(content.asked_at, language),
                "is_known": content.is_known,
                "country": country_name(content.country, language) if content.country is not None else "",
            }
        case SlotContent():
            return {"cluster": content.cluster, **_contact(content.contact)}
        case RegistrationContent():
            return {
                "registration": content.registration_id,
                "departure": day(content.departure_date, language),
                "programme": content.programme.text(language),
                "places": _places(content.places, language),
                "checked_at": moment(content.checked_at, language) if content.checked_at else "",
                **_contact(content.contact),
            }
        case ClearanceContent():
            return _clearance(content, language)


def _common(content: MessageContent, language: Language) -> Mapping[str, Any]:
    return {
        "university": content.university.text(language),
        "emergency_number": readable_number(content.emergency_number),
        "emergency_number_short": content.emergency_number,
        "emergency_email": content.emergency_email,
    }


def _alert(content: AlertContent, language: Language, place_limit: int) -> Mapping[str, Any]:
    in_english = language == "en" and content.area_code is not None
    area = region_name(content.area_code) if in_english and content.area_code else content.area
    return {
        "country": country_name(content.country, language),
        "area": shortened(area, place_limit),
        "colour": colour(content.level, language),
        "meaning": MEANINGS[language][content.level],
        "since": moment(content.since, language),
        "since_short": short_moment(content.since),
        "advice_of": moment(content.effective_at, language),
        "source": source_name(content.source, language),
        "source_short": source_short(content.source, language),
        "words": shortened(content.text_nl if language == "nl" else content.text_en, QUOTE_MAX_CHARS),
        "url": content.url,
    }


def _clearance(content: ClearanceContent, language: Language) -> Mapping[str, Any]:
    return {
        "rule": content.rule,
        "registration": content.registration_id,
        "departure": day(content.departure_date, language),
        "programme": content.programme.text(language),
        "places": _places(content.places, language),
        **_contact(content.contact),
    }


def _manual(content: ManualContent, language: Language, words_limit: int) -> Mapping[str, Any]:
    words = content.message_nl if language == "nl" else content.message_en
    return {
        "country": country_name(content.country, language),
        "area": region_name(content.area_code) if content.area_code else "",
        "paragraphs": [line for line in words.split("\n") if line.strip()],
        "words_short": shortened(words, words_limit),
        "raised_at": moment(content.raised_at, language),
        "raised_short": short_moment(content.raised_at),
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
