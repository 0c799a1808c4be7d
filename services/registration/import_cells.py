"""What a spreadsheet makes of a value, undone where it is certain; otherwise the cell is refused with the reason."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.registration.import_columns import Kind
from shared.trimming import trimmed

#: As Excel writes them in Dutch and English, and as people do.
_TRUTHS = {
    **dict.fromkeys(("true", "waar", "ja", "yes", "1"), True),
    **dict.fromkeys(("false", "onwaar", "nee", "no", "0"), False),
}
#: `2026-09-15`, with slashes too, and with the midnight that a database adds.
_YEAR_FIRST = re.compile(r"([0-9]{4})([-/])([0-9]{1,2})\2([0-9]{1,2})(?:[ T]0{1,2}:00(?::00(?:\.0+)?)?Z?)?")
#: As a Dutch spreadsheet shows a date: the day first.
_DAY_FIRST = re.compile(r"([0-9]{1,2})([-.])([0-9]{1,2})\2([0-9]{4})(?: 0{1,2}:00(?::00)?)?")
#: With slashes the month comes first in the United States, and the day in the United Kingdom.
_EITHER_FIRST = re.compile(r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}(?: .*)?")
_SHORT_YEAR = re.compile(r"[0-9]{1,2}[-.][0-9]{1,2}[-.][0-9]{2}")
_SERIAL = re.compile(r"[0-9]{5}(?:[.,][0-9]+)?")
_POWER = re.compile(r"[0-9]+(?:[.,][0-9]+)?E[+-][0-9]+", re.IGNORECASE)
_ERROR = re.compile(r"#{2,}|#[A-Z]+(?:/[A-Z0-9]+)?[!?]?")
#: An apostrophe keeps a spreadsheet from running a cell as a formula, also in the lists of this service.
_GUARDED = re.compile(r"'(?=[=+\-@])")
_AS_FORMULA = re.compile(r'="([^"]*)"')
_LOST = "\ufffd"


@dataclass(frozen=True, slots=True)
class Refused:
    """A cell whose value a spreadsheet has changed, so that nobody knows what it was."""

    reason: str


def plain(cell: str) -> str:
    """The text of a cell without the invisible signs around it, and without what guards it in a spreadsheet."""
    text = trimmed(cell)
    formula = _AS_FORMULA.fullmatch(text)
    return trimmed(formula[1]) if formula else _GUARDED.sub("", text, count=1)


def value_of(text: str, kind: Kind) -> Any:
    """The value of a cell: a text, a day in ISO form, or true or false; or why it is refused."""
    if _LOST in text:
        return Refused("holds a sign that was lost before: save the file anew, as UTF-8")
    if _POWER.fullmatch(text):
        return Refused("was made a power of ten by a spreadsheet: format the column as text, and enter it again")
    if _ERROR.fullmatch(text):
        return Refused("is the error of a formula in a spreadsheet")
    if kind == "truth":
        return _TRUTHS.get(text.casefold(), text)
    return _day(text) if kind == "day" else text


def _day(text: str) -> str | Refused:
    """The day in ISO form. Any other text stays as it is: the form refuses it."""
    if (found := _YEAR_FIRST.fullmatch(text)) is not None:
        return _iso(text, found[1], found[3], found[4])
    if (found := _DAY_FIRST.fullmatch(text)) is not None:
        return _iso(text, found[4], found[3], found[1])
    if _EITHER_FIRST.fullmatch(text) or _SHORT_YEAR.fullmatch(text):
        return Refused("may be one of two dates: write it as 2026-09-15")
    if _SERIAL.fullmatch(text):
        return Refused("is the number that a spreadsheet has for a day: format the column as a date")
    return text


def _iso(text: str, year: str, month: str, day: str) -> str:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return text
