"""One telephone number, many spellings: compares a number as a network wrote it with a stored one. Pure.

A reply's number comes as the networks between wrote it: with `00`, a trunk zero, without its country code, or with a
sign for mobile phones that has been given up. Source: ITU-T E.164 and E.123, RFC 3966 (`tel:`), libphonenumber; Mexico:
IFT, plan of 2019 (no more 1, 044 and 045); Argentina: 9 before and 15 behind the area code; Brazil: ANATEL, resolution
553 (a ninth digit for mobile phones, 2010 to 2016).
"""

import re
import unicodedata
from collections.abc import Iterator
from enum import IntEnum
from urllib.parse import unquote

import phonenumbers

#: Digits at the end of a number by which it is looked up.
ENDING_DIGITS = 6
#: So many equal last digits make it worth asking a person; of a shorter number, all of its national digits.
SIGNIFICANT_DIGITS = 8
FEWEST_SIGNIFICANT_DIGITS = 7
#: ITU-T E.164.
MOST_DIGITS = 15
_LONGEST_SPELLING = 60
_SCHEME = re.compile(r"(?:tel|sms|smsto|mms|sip|sips|callto|whatsapp):/{0,2}", re.IGNORECASE)
_TRUNK_ZERO = re.compile(r"\(\s*+0\s*+\)")
_CONTEXT = re.compile(r";phone-context=\+?(\d{1,4})", re.IGNORECASE)
_ALLOWED = re.compile(r"[\d\s+()./\u2010-\u2015\u2212-]+")
#: What the exchanges of several countries want before a country code.
_INTERNATIONAL = ("00", "011", "0011", "810")
_MEXICO, _ARGENTINA, _BRAZIL = 52, 54, 55


class Likeness(IntEnum):
    """How much a written number is like a stored one.

    SAME: country and number. NATIONAL: it names no country, and the number is the same. ENDING: the last digits are
    equal, which a person has to judge.
    """

    NONE = 0
    ENDING = 1
    NATIONAL = 2
    SAME = 3


def likeness(written: str, stored: str) -> Likeness:
    """How much a number as a network wrote it is like a stored one (E.164)."""
    spelling, number = _Spelling.of(written), _parsed(stored)
    if spelling is None or number is None or number.country_code is None:
        return Likeness.NONE
    code, own = number.country_code, _significant(number)
    for digits in spelling.international:
        if digits.startswith(str(code)) and own in _national(code, digits.removeprefix(str(code))):
            return Likeness.SAME
    if spelling.is_national and own in _national(code, spelling.digits):
        return Likeness.NATIONAL
    wanted = min(SIGNIFICANT_DIGITS, len(own))
    is_alike = wanted >= FEWEST_SIGNIFICANT_DIGITS and spelling.digits[-wanted:] == own[-wanted:]
    return Likeness.ENDING if is_alike else Likeness.NONE


def international(written: str) -> str | None:
    """E.164, for a number that names its country for certain; else None."""
    spelling = _Spelling.of(written)
    if spelling is None or spelling.is_national or not spelling.international:
        return None
    digits = next((digits for digits in spelling.international if _is_valid(digits)), spelling.international[0])
    return f"+{digits}" if len(digits) <= MOST_DIGITS and not digits.startswith("0") else None


def ending(written: str) -> str | None:
    """The last digits of a number, by which all spellings of it are found; None for any other text."""
    spelling = _Spelling.of(written)
    return spelling.digits[-ENDING_DIGITS:] if spelling is not None and len(spelling.digits) >= ENDING_DIGITS else None


class _Spelling:
    """The digits of a number as it was written, and the ways to read them.

    `international`: the digits from the country code on, for each way to read them. `is_national`: whether they may be
    a number without its country code.
    """

    def __init__(self, digits: str, international: list[str], *, is_national: bool) -> None:
        self.digits = digits
        self.international = international
        self.is_national = is_national

    @classmethod
    def of(cls, written: str) -> "_Spelling | None":
        """The spelling; None for a name, a short code and anything else that is no telephone number."""
        if len(written) > _LONGEST_SPELLING:
            return None
        text = _SCHEME.sub("", unicodedata.normalize("NFKC", unquote(written)).strip(), count=1)
        text = "".join(character for character in text if unicodedata.category(character) not in ("Cf", "Cc"))
        context = _CONTEXT.search(text)
        text = _TRUNK_ZERO.sub("", re.split("[;@]", text, maxsplit=1)[0])
        if not _ALLOWED.fullmatch(text):
            return None
        has_plus, digits = text.lstrip("( ").startswith("+"), "".join(_digits(text))
        if not ENDING_DIGITS <= len(digits) <= MOST_DIGITS + 4:
            return None
        if context is not None and not has_plus:
            return cls(digits, [context[1] + digits.removeprefix("0")], is_national=False)
        international = [digits, *(digits[len(prefix) :] for prefix in _INTERNATIONAL if digits.startswith(prefix))]
        if digits.startswith("0"):
            # A gateway that puts a plus before everything makes +0031… and +06…
            return cls(digits, international[1:], is_national=not digits.startswith("00"))
        # Most providers leave out the plus. A number that some country has is read with its plus.
        return cls(digits, international, is_national=not has_plus and not _is_valid(digits))


def _digits(text: str) -> Iterator[str]:
    return (str(unicodedata.digit(character)) for character in text if character.isdigit())


def _is_valid(digits: str) -> bool:
    number = _parsed(f"+{digits}")
    return number is not None and phonenumbers.is_valid_number(number)


def _parsed(number: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None


def _national(code: int, rest: str) -> set[str]:
    """The significant digits that a national number may stand for in this country, with its trunk prefixes."""
    region = phonenumbers.region_code_for_country_code(code)
    found = {rest, rest.removeprefix("0")}
    if code == _MEXICO:
        found |= {rest[-10:]} if re.fullmatch(r"(?:04[45]|0?[12])?\d{10}", rest) else set()
    try:
        # As it is dialled within the country, with trunk and carrier prefixes.
        number = phonenumbers.parse(rest, region)
    except phonenumbers.NumberParseException:
        number = None
    if number is not None and number.country_code == code:
        found.add(phonenumbers.national_significant_number(number))
    return {_modern(code, digits) for digits in found if digits}


def _significant(number: phonenumbers.PhoneNumber) -> str:
    return _modern(number.country_code or 0, phonenumbers.national_significant_number(number))


def _modern(code: int, digits: str) -> str:
    """The national number without signs for mobile phones that some networks write and others leave out."""
    if code == _MEXICO and len(digits) == 11 and digits.startswith("1"):
        return digits[1:]
    if code == _ARGENTINA and len(digits) == 11 and digits.startswith("9"):
        return digits[1:]
    if code == _BRAZIL and len(digits) == 10 and digits[2] in "6789":
        return f"{digits[:2]}9{digits[2:]}"
    return digits
