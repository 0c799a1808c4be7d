"""Wording that all messages share, in Dutch and English: colours and their meaning, sources, dates. Pure."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

import phonenumbers

from shared.clock import in_amsterdam
from shared.events import Level

Language = Literal["nl", "en"]
LANGUAGES: tuple[Language, ...] = ("nl", "en")

COLOURS: Mapping[Language, Mapping[Level, str]] = {
    "nl": {Level.GREEN: "groen", Level.YELLOW: "geel", Level.ORANGE: "oranje", Level.RED: "rood"},
    "en": {Level.GREEN: "green", Level.YELLOW: "yellow", Level.ORANGE: "orange", Level.RED: "red"},
}
_COLOUR_WORD: Mapping[Language, re.Pattern[str]] = {
    language: re.compile(rf"\b(?:{'|'.join(words.values())})\b", re.IGNORECASE) for language, words in COLOURS.items()
}
NO_COLOUR: Mapping[Language, str] = {"nl": "onbekend", "en": "unknown"}
# Our own wording. The email quotes the ministry's words too, where the source gives them.
MEANINGS: Mapping[Language, Mapping[Level, str]] = {
    "nl": {
        Level.GREEN: "er zijn geen bijzondere veiligheidsrisico's.",
        Level.YELLOW: "let op, er zijn veiligheidsrisico's.",
        Level.ORANGE: "reis er alleen heen als het echt noodzakelijk is.",
        Level.RED: "reis er niet heen. Wie er is, loopt groot gevaar.",
    },
    "en": {
        Level.GREEN: "there are no particular safety risks.",
        Level.YELLOW: "be alert, there are safety risks.",
        Level.ORANGE: "travel there only if it is really necessary.",
        Level.RED: "do not travel there. Anyone who is there is in great danger.",
    },
}
# Why a team has to take care of people (R38), as a line of a list after their number: of one person, of several.
REASONS: Mapping[Language, Mapping[str, tuple[str, str]]] = {
    "nl": {
        "help": ("vraagt om hulp", "vragen om hulp"),
        "no_answer": ("heeft niet geantwoord", "hebben niet geantwoord"),
        "unreachable": ("is over geen enkel kanaal bereikbaar", "zijn over geen enkel kanaal bereikbaar"),
        "wrong_person": (
            "is onder dit nummer of adres niet te bereiken: iemand anders antwoordde",
            "zijn onder hun nummer of adres niet te bereiken: iemand anders antwoordde",
        ),
    },
    "en": {
        "help": ("asks for help", "ask for help"),
        "no_answer": ("has not answered", "have not answered"),
        "unreachable": ("cannot be reached over any channel", "cannot be reached over any channel"),
        "wrong_person": (
            "cannot be reached at this number or address: someone else answered",
            "cannot be reached at their number or address: someone else answered",
        ),
    },
}
# One student, several students.
STUDENTS: Mapping[Language, tuple[str, str]] = {"nl": ("student", "studenten"), "en": ("student", "students")}
SOURCES: Mapping[str, Mapping[Language, str]] = {
    "netherlands": {"nl": "het ministerie van Buitenlandse Zaken", "en": "the Dutch Ministry of Foreign Affairs"},
}
SOURCES_SHORT: Mapping[str, Mapping[Language, str]] = {"netherlands": {"nl": "BuZa", "en": "Dutch MFA"}}
_MONTHS: Mapping[Language, tuple[str, ...]] = {
    "nl": (
        "januari", "februari", "maart", "april", "mei", "juni",
        "juli", "augustus", "september", "oktober", "november", "december",
    ),
    "en": (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
}  # fmt: skip


def students(count: int, language: Language) -> str:
    """`student` or `students`."""
    return STUDENTS[language][count != 1]


def reason_of(reason: str, count: int, language: Language) -> str:
    """Why a team has to take care of so many people, to be read after their number."""
    return f"{students(count, language)} {REASONS[language][reason][count != 1]}"


def other(language: Language) -> Language:
    """The other language, which comes second in a message."""
    return "en" if language == "nl" else "nl"


def colour(level: Level | None, language: Language) -> str:
    """The colour of a level."""
    return NO_COLOUR[language] if level is None else COLOURS[language][level]


def names_another_colour(words: str, level: Level, language: Language) -> bool:
    """Whether words name colours of advice, and not this one: they do not say the same as the level."""
    named = {word.lower() for word in _COLOUR_WORD[language].findall(words)}
    return bool(named) and COLOURS[language][level] not in named


def source_name(source: str, language: Language) -> str:
    """The publisher of the advice, for use in a sentence; a source that is not listed keeps its module's name."""
    names = SOURCES.get(source)
    return names[language] if names else source


def source_short(source: str, language: Language) -> str:
    """The publisher of the advice, shortened for SMS."""
    names = SOURCES_SHORT.get(source)
    return names[language] if names else source


def day(value: date, language: Language) -> str:
    """`12 oktober 2026`, `12 October 2026`."""
    return f"{value.day} {_MONTHS[language][value.month - 1]} {value.year}"


def moment(instant: datetime, language: Language) -> str:
    """`12 oktober 2026, 14:05` in Amsterdam."""
    local = in_amsterdam(instant)
    return f"{day(local, language)}, {local:%H:%M}"


def short_moment(instant: datetime) -> str:
    """`12-10 14:05` in Amsterdam, for SMS."""
    return f"{in_amsterdam(instant):%d-%m %H:%M}"


def readable_number(number: str) -> str:
    """An E.164 number in groups of digits, as people read it."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL))
