"""Keys of logins: which spellings are one person, and which look like it. Pure.

A login is the subject (`sub`) that the identity provider gives to a person. OpenID Connect (Core 1.0, §2) tells two
subjects apart by their case; a provider that does not is told by LOGIN_IGNORES_CASE.
"""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.fields import Trimmed
from shared.trimming import shows_nothing, trimmed

#: Letters and digits that look like another letter, in any of its cases, folded. Source: Unicode TR39, confusables.
_ALIKE = str.maketrans("01i|ıаеорсухіјѕһԁԛԝвнкмтαβεζηικμνορτυχ", "ollllaeopcyxljshdqwbhkmtabezhlkmvoptyx")


def login_key(subject: str, *, ignores_case: bool) -> str:
    """The subject as it is compared: composed (NFC), without invisible signs around it, folded if case is ignored."""
    key = unicodedata.normalize("NFC", trimmed(subject))
    return unicodedata.normalize("NFC", key.casefold()) if ignores_case else key


def look_alike(key: str) -> str:
    """The same for logins that a person would take for one: apart from case, blanks, accents and look-alike letters."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", key).casefold())
    shown = (sign for sign in folded if not (shows_nothing(sign) or unicodedata.category(sign).startswith("M")))
    return "".join(shown).translate(_ALIKE)


def _login(value: str) -> str:
    if any((shows_nothing(sign) and sign != " ") or unicodedata.category(sign) == "Cc" for sign in value):
        raise ValueError("has an invisible sign in it")
    return value


#: A login as a file or a person names it.
Login = Annotated[str, Trimmed, Field(min_length=1, max_length=255), AfterValidator(_login)]
