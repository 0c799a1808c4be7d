"""Facts as the words that a template may use, in one language. Pure."""

from collections.abc import Mapping
from typing import Any

from services.notify.messages.countries import country_name, region_name
from services.notify.messages.facts import AlertFacts, ClearanceFacts, Facts
from services.notify.messages.plain import shortened
from services.notify.messages.wording import (
    MEANINGS,
    Language,
    colour,
    day,
    moment,
    readable_number,
    short_moment,
    source_name,
    source_short,
)

WORDS_LIMIT = 600  # of the source's own text; the link leads to the rest


def context(facts: AlertFacts | ClearanceFacts, language: Language, place_limit: int) -> Mapping[str, Any]:
    """The variables of a template; `place_limit` is how long an area's name may be."""
    if isinstance(facts, AlertFacts):
        return {**_everywhere(facts, language), **_alert(facts, language, place_limit)}
    return {**_everywhere(facts, language), **_clearance(facts, language)}


def _everywhere(facts: Facts, language: Language) -> Mapping[str, Any]:
    return {
        "university": facts.university.text(language),
        "emergency_number": readable_number(facts.emergency_number),
        "emergency_number_short": facts.emergency_number,
        "emergency_email": facts.emergency_email,
    }


def _alert(facts: AlertFacts, language: Language, place_limit: int) -> Mapping[str, Any]:
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


def _clearance(facts: ClearanceFacts, language: Language) -> Mapping[str, Any]:
    return {
        "rule": facts.rule,
        "registration": facts.registration_id,
        "departure": day(facts.departure_date, language),
        "programme": facts.programme.text(language),
        "places": [
            {
                "country": country_name(place.country, language),
                "colour": colour(place.level, language),
                "url": place.url,
            }
            for place in facts.places
        ],
        "contact": facts.contact.function,
        "contact_email": facts.contact.email,
        "contact_number": readable_number(facts.contact.phone),
        "contact_number_short": facts.contact.phone,
    }
