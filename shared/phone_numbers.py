"""Phone numbers: what a person writes becomes E.164, or is refused with the reason.

A country's own plan of numbers decides (ITU-T E.164, by Google's libphonenumber). A stored number is read as it
was accepted, because a newer version of that plan may not know it any more.
"""

import re

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

from shared.trimming import trimmed

_NO_NUMBER = "is not a phone number in international form (+31...)"
_REASONS = {
    ValidationResult.INVALID_COUNTRY_CODE: "begins with a country code that does not exist",
    ValidationResult.TOO_SHORT: "has too few digits for its country",
    ValidationResult.TOO_LONG: "has too many digits for its country",
}
_NOT_OF_ITS_PLAN = "is not a number that exists in its country: check every digit"
_PAID = "is a number of a paid service: give that of a person"
_NO_COUNTRY = "is a satellite or service number, which our messages may not reach: give a mobile number"
_LANDLINE = "is a landline, which gets no SMS: give a mobile number"
_NO_SMS = "is a number of a kind that gets no SMS: give a mobile number"
#: Mexico dropped the 1 after its country code in 2019; people still write it. Source: libphonenumber, its metadata.
_FORMER_MEXICAN_MOBILE = re.compile(r"\+521(?=[0-9]{10}$)")
#: A plus or the 00 of most countries, then digits of any script with the signs that people group them with. Letters
#: have no place in a number: on a keypad they would be other digits.
_WRITTEN = re.compile(r"(?:tel:)?\(?(?:\+|\uff0b|00)([\d\s().\-/\u00ad\u200b\u2010-\u2015\u2060]+)(.*)", re.DOTALL)
#: As people write an extension, and as RFC 3966 does.
_EXTENSION = re.compile(r"(?:;ext=|,|#|x|ext\.?|extension|toestel|tst\.?)[\s:.]*(\d{1,7})")
#: Numbers that no message should go to: they cost a fortune, or belong to a service.
_SERVICES = {
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.VOICEMAIL,
    PhoneNumberType.PAGER,
}
#: Country codes of premium and shared-cost services that belong to no country.
_SERVICE_CODES = {808, 979}
_GETS_SMS = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
_WORLD = "001"


def mobile_number(text: str) -> str:
    """The number as E.164. Raises ValueError: not a number that gets SMS."""
    number = _number_of(text)
    kind = phonenumbers.number_type(number)
    if number.country_code in _SERVICE_CODES or kind in _SERVICES:
        raise ValueError(_PAID)
    if phonenumbers.region_code_for_country_code(number.country_code or 0) == _WORLD:
        # Satellite networks and other codes of no country: our SMS providers promise nothing there, at a high price.
        raise ValueError(_NO_COUNTRY)
    if kind not in _GETS_SMS:
        raise ValueError(_LANDLINE if kind == PhoneNumberType.FIXED_LINE else _NO_SMS)
    if number.extension:
        raise ValueError("has an extension, which no SMS reaches: give the number of a mobile phone alone")
    return _stored(number)


def personal_number(text: str) -> str:
    """The number of a person to call, as E.164, with `;ext=` and its extension (RFC 3966). Raises ValueError."""
    number = _number_of(text)
    if number.country_code in _SERVICE_CODES or phonenumbers.number_type(number) in _SERVICES:
        raise ValueError(_PAID)
    return _stored(number)


def office_number(text: str) -> str:
    """As `personal_number`, of any kind: an office may have a service number. Raises ValueError."""
    return _stored(_number_of(text))


def is_possible(stored: str) -> bool:
    """Whether any network could have this stored number: of an existing country, neither too short nor too long."""
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(_FORMER_MEXICAN_MOBILE.sub("+52", stored)))
    except phonenumbers.NumberParseException:
        return False


def _number_of(text: str) -> PhoneNumber:
    """The number that a person wrote. Raises ValueError when it does not exist in the plan of its country."""
    written = _WRITTEN.fullmatch(trimmed(text).casefold())
    if written is None:
        raise ValueError(_NO_NUMBER)
    digits, rest = written.groups()
    extension = _EXTENSION.fullmatch(rest) if rest else None
    if rest and extension is None:
        raise ValueError("holds letters: write the number in digits" if any(map(str.isalpha, rest)) else _NO_NUMBER)
    try:
        number = phonenumbers.parse(_with_plus(digits))
    except phonenumbers.NumberParseException as error:
        has_no_country = error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE
        raise ValueError(_REASONS[ValidationResult.INVALID_COUNTRY_CODE] if has_no_country else _NO_NUMBER) from None
    if not phonenumbers.is_valid_number(number):
        raise ValueError(_REASONS.get(phonenumbers.is_possible_number_with_reason(number), _NOT_OF_ITS_PLAN))
    if extension is not None:
        number.extension = phonenumbers.normalize_digits_only(extension[1])
    return number


def _with_plus(digits: str) -> str:
    plain = "+" + phonenumbers.normalize_digits_only(digits)
    # libphonenumber drops the national zero of `+31 (0)6`, and keeps the one that belongs to a number (Italy).
    return _FORMER_MEXICAN_MOBILE.sub("+52", plain)


def _stored(number: PhoneNumber) -> str:
    plain = str(phonenumbers.format_number(number, PhoneNumberFormat.E164))
    return f"{plain};ext={number.extension}" if number.extension else plain
