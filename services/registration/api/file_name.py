"""The name of an uploaded file, in the header Content-Disposition as browsers, curl and programs write it. Pure.

`filename="brief.pdf"` or `filename*=UTF-8''brief.pdf`, which holds if both are given; in capitals or small letters.
Sources: RFC 6266; RFC 9110 5.6 (parameters, token, quoted-string); RFC 8187 (ext-value, in UTF-8 alone).
"""

import re
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from shared.fields import ShortText
from shared.web.problem import FieldError, invalid

MAX_NAME_CHARS = 100
_NAMES: TypeAdapter[str] = TypeAdapter(ShortText)


def _in_any_case(word: str) -> str:
    """A pattern for the word, which readers of the OpenAPI document understand too: flags are not part of it."""
    return "".join(f"[{letter.upper()}{letter}]" if letter.isalpha() else letter for letter in word)


#: A quoted name may hold bytes of UTF-8 as they are, which HTTP hands over as Latin-1, and escaped quotes.
_QUOTED = r"""(?:[ !#-\[\]-~\x80-\xff]|\\["\\]){1,900}"""
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,900}"
_ENCODED = rf"{_in_any_case('utf-8')}'[A-Za-z0-9-]{{0,20}}'[A-Za-z0-9%!#$&+.^_`|~-]{{1,900}}"
_PART = rf"""{_in_any_case("filename")}(\* *= *{_ENCODED}| *= *"{_QUOTED}"| *= *{_TOKEN})"""
#: The whole header.
PATTERN = rf"^{_in_any_case('attachment')} *; *{_PART}( *; *{_PART})? *;? *$"


def file_name(header: str) -> str:
    """The file's name. Raises Problem for a path, a wrong encoding, or characters that make it look different."""
    field = "header.Content-Disposition"
    values = [part.group(1) for part in re.finditer(_PART, header)]
    encoded = next((value.split("'", 2)[2] for value in values if value.startswith("*")), None)
    if encoded is None:
        name = _plain(values[0].partition("=")[2].strip())
    elif re.search(r"%(?![0-9A-Fa-f]{2})", encoded):
        raise invalid(FieldError(field, "is not percent-encoded"))
    else:
        try:
            name = unquote(encoded, errors="strict")
        except UnicodeDecodeError:
            raise invalid(FieldError(field, "is not UTF-8")) from None
    if "/" in name or "\\" in name or name.strip(". ") == "":
        raise invalid(FieldError(field, "is a path, not the name of a file"))
    if len(name) > MAX_NAME_CHARS:
        raise invalid(FieldError(field, "is too long"))
    try:
        return _NAMES.validate_python(name)
    except ValidationError:
        raise invalid(FieldError(field, "holds control or directional characters")) from None


def _plain(value: str) -> str:
    """A name without the encoding of RFC 8187: a token, or a quoted string in UTF-8 or Latin-1."""
    if not value.startswith('"'):
        return value
    unescaped = re.sub(r'\\(["\\])', r"\1", value[1:-1])
    try:
        return unescaped.encode("latin-1").decode()
    except UnicodeDecodeError:
        return unescaped
