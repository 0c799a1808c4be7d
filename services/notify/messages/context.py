"""MessageContent as the words that a template may use, in one language. Pure."""

from collections.abc import Mapping
from typing import Any

from services.notify.messages.content import (
    AlertContent,
    AnswerContent,
    AnyContent,
    ClearanceContent,
    HelpReplyContent,
    IncidentContent,
    ManualContent,
    RegistrationContent,
    ReminderContent,
    SlotContent,
)
from services.notify.messages.plain import shortened
from services.notify.messages.service_content import (
    OfficeCasesContent,
    OfficeDigestContent,
    OutcomeContent,
    RequestContent,
)
from services.notify.messages.service_context import office_context, service_context
from services.notify.messages.shared_content import MessageContent
from services.notify.messages.wording import (
    MEANINGS,
    Language,
    colour,
    day,
    moment,
    names_another_colour,
    readable_number,
    reason_of,
    short_moment,
    source_name,
    source_short,
    students,
)
from shared.advice import NEGATIVE, OVERRIDES
from shared.catalogue import Contact
from shared.country_names import country_name, region_name
from shared.events import Level, LevelBasis, LevelGrounds

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
            return {"country": country_name(content.country, language), "presence": content.presence.value, **asked}
        case AnswerContent():
            return {
                "country": country_name(content.country, language),
                "needs_help": content.answer == "help",
                "answered_at": moment(content.answered_at, language),
            }
        case IncidentContent():
            total = sum(count for _, count in content.reasons)
            return {
                "country": country_name(content.country, language),
                "alert": content.alert_id,
                "total": total,
                "students": students(total, language),
                "reasons": [
                    {"what": reason_of(reason, count, language), "count": count} for reason, count in content.reasons
                ],
                "at": moment(content.at, language),
                "is_closed": content.is_closed,
                "is_drill": content.is_drill,
            }
        case HelpReplyContent():
            return {
                "asked_at": moment(content.asked_at, language),
                "is_known": content.is_known,
                "by_mail": content.by_mail,
                "country": country_name(content.country, language) if content.country is not None else "",
            }
        case SlotContent():
            return {"cluster": content.cluster, **_contact(content.contact)}
        case RegistrationContent():
            return {
                "registration": content.registration_id,
                "departure": day(content.departure_date, language),
                "programme": content.programme.text(language),
                "places": _places(content, language),
                "checked_at": moment(content.checked_at, language) if content.checked_at else "",
                **_contact(content.contact),
            }
        case ClearanceContent():
            return _clearance(content, language)
        case OfficeCasesContent() | OfficeDigestContent():
            return {**office_context(content, language), **_contact(content.contact)}
        case RequestContent() | OutcomeContent():
            return {**service_context(content, language), **_contact(content.contact)}


def _common(content: MessageContent, language: Language) -> Mapping[str, Any]:
    return {
        "university": content.university.text(language),
        "emergency_number": readable_number(content.emergency_number),
        "emergency_number_short": content.emergency_number,
        "emergency_email": content.emergency_email,
    }


def _alert(content: AlertContent, language: Language, place_limit: int) -> Mapping[str, Any]:
    in_english = language == "en"
    # An area that only an override names has its code for a name.
    by_code = content.area_code is not None and (in_english or content.area == content.area_code)
    area = region_name(content.area_code) if by_code and content.area_code else content.area
    # Selections that an older version stored have no grounds; then it was told as the source's own.
    grounds = content.grounds or LevelGrounds(
        basis=LevelBasis.SOURCE, since=content.since, source=content.source, override=None
    )
    words = shortened(content.text_nl if language == "nl" else content.text_en, QUOTE_MAX_CHARS)
    says_the_same = grounds.basis is LevelBasis.SOURCE and not names_another_colour(words, content.level, language)
    return {
        "country": country_name(content.country, language),
        "area": shortened(area, place_limit),
        "meaning": MEANINGS[language][content.level],
        "presence": content.presence.value,
        "level": _level(content, content.level, grounds, language),
        "document_short": shortened(grounds.override.document, min(place_limit, 40)) if grounds.override else "",
        "advice_of": moment(content.effective_at, language),
        "words": words if says_the_same else "",
        "url": content.url,
    }


def _level(
    content: MessageContent, level: Level | None, grounds: LevelGrounds | None, language: Language
) -> Mapping[str, Any]:
    """A level, and who decided it, for the macros of parts/who_decided. Without grounds nobody is named."""
    override = grounds.override if grounds is not None else None
    ended_at = grounds.override_ended_at if grounds is not None else None
    is_override = grounds is not None and grounds.basis in OVERRIDES
    return {
        "colour": colour(level, language),
        "is_negative": level is not None and level >= NEGATIVE,
        "basis": grounds.basis.value if grounds is not None and level is not None else "",
        "by_university": is_override and level is not None,
        "orders_to_leave": override is not None and override.order_to_leave,
        "since": moment(grounds.since, language) if grounds is not None else "",
        "since_short": short_moment(grounds.since) if grounds is not None else "",
        "source": source_name(grounds.source, language) if grounds is not None else "",
        "source_short": source_short(grounds.source, language) if grounds is not None else "",
        "university": content.university.text(language),
        "override": {
            "since": moment(override.since, language),
            "document": override.document,
            "reason": override.reason,
        }
        if override is not None
        else {},
        "override_ended": moment(ended_at, language) if ended_at is not None else "",
    }


def _clearance(content: ClearanceContent, language: Language) -> Mapping[str, Any]:
    return {
        "rule": content.rule,
        "registration": content.registration_id,
        "departure": day(content.departure_date, language),
        "programme": content.programme.text(language),
        "places": _places(content, language),
        **_contact(content.contact),
    }


def _manual(content: ManualContent, language: Language, words_limit: int) -> Mapping[str, Any]:
    words = content.message_nl if language == "nl" else content.message_en
    return {
        "country": country_name(content.country, language),
        "presence": content.presence.value,
        "area": region_name(content.area_code) if content.area_code else "",
        "paragraphs": [line for line in words.split("\n") if line.strip()],
        "words_short": shortened(words, words_limit),
        "raised_at": moment(content.raised_at, language),
        "raised_short": short_moment(content.raised_at),
    }


def _places(content: ClearanceContent | RegistrationContent, language: Language) -> list[Mapping[str, Any]]:
    return [
        {
            "country": country_name(place.country, language),
            "level": _level(content, place.level, place.grounds, language),
            "url": place.url,
        }
        for place in content.places
    ]


def _contact(contact: Contact) -> Mapping[str, Any]:
    return {
        "contact": contact.function,
        "contact_email": contact.email,
        "contact_number": readable_number(contact.phone),
        "contact_number_short": contact.phone,
    }
