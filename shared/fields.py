"""Validated fields of request bodies: countries, regions and texts."""

import unicodedata
from typing import Annotated, Any

import pycountry
from pydantic import AfterValidator, BeforeValidator, Field

from shared.trimming import BLANK, trimmed, trimmed_end

#: Kosovo has no ISO 3166-1 code; this user-assigned one is in common use.
KOSOVO = "XK"
#: Directional marks can make a text look like another one. Source: Unicode TR9, TR36.
_DIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVISIBLE = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
#: Ends of host names that mail programs make a link of in capitals as well.
_COMMON_ENDS = frozenset({"com", "net", "org", "info", "biz", "io", "app", "nl", "eu", "de", "fr", "uk", "ru", "cn"})


def _trim(value: Any) -> Any:
    """A text without the invisible signs at its ends; any other value as it is, for the field's type to refuse."""
    return trimmed(value) if isinstance(value, str) else value


def _country(value: str) -> str:
    if value != KOSOVO and pycountry.countries.get(alpha_2=value) is None:
        raise ValueError("is not a country (ISO 3166-1 alpha-2)")
    return value


def _is_visible(letter: str) -> bool:
    """Whether a sign shows something by itself: no space, mark, joiner or other format character."""
    return unicodedata.category(letter)[0] in "LNPS" and letter not in BLANK


def _line(value: str) -> str:
    text = stored_line(trimmed(value))
    if not any(map(_is_visible, text)):
        raise ValueError("is empty")
    return text


def stored_line(value: str) -> str:
    """One line of a stored text: a text that was accepted once stays readable."""
    text = unicodedata.normalize("NFC", value).strip()
    if not text:
        raise ValueError("is empty")
    if any(letter in _DIRECTIONAL or unicodedata.category(letter) in _INVISIBLE for letter in text):
        raise ValueError("holds control or directional characters")
    return text


def _name(value: str) -> str:
    text = _line(value)
    if not any(unicodedata.category(letter)[0] == "L" and letter not in BLANK for letter in text):
        raise ValueError("has no letter")
    if any(map(_is_address, text.split())):
        raise ValueError("is a web or mail address, not a name")
    return text


def _is_address(word: str) -> bool:
    """Whether a mail program may make a link of a word. `St.John` and `J.P.` are names, `example.com` is none."""
    folded = word.casefold()
    if "@" in folded or "://" in folded or folded.startswith("www."):
        return True
    host, _, end = word.partition("/")[0].rstrip(".,;:!?)").rpartition(".")
    is_host = len(host.rpartition(".")[2]) > 1 and len(end) > 1 and end.isascii() and end.isalpha()
    return is_host and (end.islower() or end.casefold() in _COMMON_ENDS)


def _free_text(value: str) -> str:
    # Browsers send CRLF between the lines of a text area; a paste leaves tabs and marks at their ends.
    lines = [trimmed_end(line) for line in unicodedata.normalize("NFC", trimmed(value)).split("\n")]
    for line in lines:
        if any(letter in _DIRECTIONAL or unicodedata.category(letter) in _INVISIBLE for letter in line):
            raise ValueError("holds control or directional characters")
    text = "\n".join(lines)
    if not any(map(_is_visible, text)):
        raise ValueError("is empty")
    return text


CountryCode = Annotated[
    str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2; XK for Kosovo"), AfterValidator(_country)
]
RegionOfCountry = Annotated[str, Field(pattern=r"^[A-Z]{2}-[A-Z0-9]{1,3}$", description="ISO 3166-2")]
#: Runs first, so that a limit counts kept characters: of `Annotated`, the last one that validates before is the first.
Trimmed = BeforeValidator(_trim)
ShortText = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_line), Trimmed]
#: The name of a person, or of what a student gives one to: official mail shows it, so it is no address to click on.
PlainName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_name), Trimmed]
DocumentKind = Annotated[
    str, Field(min_length=1, max_length=80, description="The faculty's name for it"), AfterValidator(_line), Trimmed
]
FreeText = Annotated[
    str,
    Field(min_length=1, max_length=4000, description="Plain text with line breaks"),
    AfterValidator(_free_text),
    Trimmed,
]
# Each limit has a type of its own: of `FreeText = Field(max_length=500)` pydantic keeps 4,000, the limit of the type.
#: The reason of a decision, as events record it.
ReasonText = Annotated[
    str,
    Field(min_length=1, max_length=500, description="Plain text with line breaks"),
    AfterValidator(_free_text),
    Trimmed,
]
#: An officer's message to everybody in a place, in one language.
AlertMessage = Annotated[
    str,
    Field(min_length=1, max_length=1000, description="Plain text with line breaks"),
    AfterValidator(_free_text),
    Trimmed,
]


def is_region_of(region: str, country: str) -> bool:
    """Whether an ISO 3166-2 code exists and lies in the country."""
    subdivision = pycountry.subdivisions.get(code=region)  # type: ignore[no-untyped-call] # pycountry types only a part
    return subdivision is not None and subdivision.country_code == country
