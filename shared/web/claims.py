"""Reads the claims of a verified token: roles, student number, programmes. Identity providers write them differently.

What cannot be read gives nothing: no role, no number.
"""

import re
from collections.abc import Mapping
from typing import TypeGuard

from shared.web.roles import is_role

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
STUDENT_NUMBER = re.compile(r"[A-Za-z0-9-]{1,20}")
MAX_PROGRAMME_ID_CHARS = 120
#: As `scope` of RFC 6749, and as some providers join the values of a group.
_BETWEEN_VALUES = re.compile(r"[\s,]+")


def claim_at(claims: Mapping[str, object], path: str) -> object:
    """The claim of this name, or one within others: `realm_access.roles`. None: there is none, or no path was given.

    Names may have dots themselves (`https://example.org/roles`, a client in Keycloak's `resource_access`): the longest
    name that exists is tried first.
    """
    if not path:
        return None
    if path in claims:
        return claims[path]
    for dot in reversed([place for place, sign in enumerate(path) if sign == "."]):
        inner = claims.get(path[:dot])
        if isinstance(inner, Mapping) and (found := claim_at(inner, path[dot + 1 :])) is not None:
            return found
    return None


def roles_of(claim: object) -> frozenset[str]:
    """The known roles in a claim: a list of them, or one text with blanks or commas between them."""
    values = _BETWEEN_VALUES.split(claim) if is_text(claim) else _texts(claim)
    return frozenset(value for value in values if is_role(value))


def student_number_of(claim: object) -> str | None:
    """The first student number in a claim, plain or as SURFconext's `urn:schac:personalUniqueCode:…:<number>`."""
    for value in _texts(claim):
        number = value.rpartition(":")[2] if value.startswith("urn:schac:personalUniqueCode:") else value
        if STUDENT_NUMBER.fullmatch(number):
            return number
    return None


def programmes_of(claim: object) -> frozenset[str] | None:
    """The programmes in a claim; None where there is none to read."""
    return frozenset(value for value in _texts(claim) if 0 < len(value) <= MAX_PROGRAMME_ID_CHARS) or None


def is_text(value: object) -> TypeGuard[str]:
    """Whether this is text that can be stored: JSON also carries halves of characters (lone surrogates)."""
    return isinstance(value, str) and not LONE_SURROGATE.search(value)


def _texts(claim: object) -> list[str]:
    """The texts in a claim that holds one or several; anything else is ignored."""
    return [value for value in (claim if isinstance(claim, list) else [claim]) if is_text(value)]
