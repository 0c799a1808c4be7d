"""The words by which a student is found: parts of the name, student number, mail address; stored only as keyed hashes.

Names are sealed, so a database cannot search them. A keyed hash of each word can be compared, and tells nothing without
the key. Letters are compared without case and accents.
"""

import re
import unicodedata
from collections.abc import Iterable

from services.registration.model import Registration
from services.registration.student_contact import open_student_contact
from shared.privacy.contact import ContactDetails
from shared.privacy.keyring import Keyring

_WORD = re.compile(r"[\w@.+-]+")


def words_of(details: ContactDetails) -> set[str]:
    """The words of a student's contact details."""
    names = (details.given_name, details.surname_prefix, details.surname, details.preferred_name)
    words = {word for name in names if name for word in words_in(name)}
    words |= {part for word in words for part in word.split("-") if part}
    return words | {_plain(value) for value in (details.email, details.student_number) if value}


def words_in(text: str) -> set[str]:
    """The words of a search text; each of them has to be found."""
    words = (word.strip(".-+@_") for word in _WORD.findall(_plain(text)))
    return {word for word in words if word}


async def student_terms(keyring: Keyring, state: Registration) -> list[str]:
    """The hashed words of a registration's student: as registered, and as given for the stay; none when erased."""
    student = await open_student_contact(keyring, state)
    return hashed(keyring, words_of(student.registered) | words_of(student.reached_at)) if student is not None else []


def hashed(keyring: Keyring, words: Iterable[str]) -> list[str]:
    """The words as they are stored."""
    return sorted(keyring.search_hash(word) for word in words)


def _plain(text: str) -> str:
    """Small letters without accents."""
    letters = unicodedata.normalize("NFKD", text.strip().casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
