"""The columns of a CSV file that `passage registration import` knows: the fields of a registration, dotted.

They follow from the request body, so a new field is a new column. A header is recognised in any case, with blanks,
hyphens and signs that show nothing: `Legs.0.Start date` is `legs.0.startDate`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from services.registration.api.bodies import RegistrationBody
from shared.trimming import trimmed

Kind = Literal["text", "day", "truth"]
#: Beside the body: the portal's own id of a registration, and the student's subject at the login.
_PORTAL = ("externalId", "login")
#: Stands for the number of an entry in a list.
_ANY = "#"
_MAX_INDEX_DIGITS = 2
_MAX_HEADER_CHARS = 60


@dataclass(frozen=True, slots=True)
class ImportField:
    """One column. `needed`: no registration is complete without a value in it."""

    name: str
    kind: Kind
    needed: bool


def column_of(header: str) -> ImportField | None:
    """The column that a header means; None when there is no such field."""
    pattern, indexes = [], []
    for part in header.split("."):
        folded = _folded(part)
        is_index = folded.isascii() and folded.isdecimal()
        if is_index and len(folded.lstrip("0")) > _MAX_INDEX_DIGITS:
            return None
        if is_index:
            indexes.append(int(folded))
        pattern.append(_ANY if is_index else folded)
    known = _KNOWN.get(".".join(pattern))
    if known is None:
        return None
    name = known.name
    for index in indexes:
        name = name.replace(_ANY, str(index), 1)
    return ImportField(name, known.kind, known.needed and not any(indexes))


def nearest(header: str) -> str | None:
    """The known column that a header resembles most, to name it; None when it resembles none."""
    names = {column.name.replace(_ANY, "0").casefold(): column.name.replace(_ANY, "0") for column in _KNOWN.values()}
    found = get_close_matches(trimmed(header).casefold()[:_MAX_HEADER_CHARS], names, n=1)
    return names[found[0]] if found else None


def _folded(part: str) -> str:
    return "".join(sign for sign in part.casefold() if sign.isalnum())


def _columns(model: type[BaseModel], prefix: str, needed: bool) -> Iterator[ImportField]:
    for field_name, field in model.model_fields.items():
        name = f"{prefix}{field.alias or field_name}"
        is_needed = needed and field.is_required()
        kind, is_list = _type_of(field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _columns(kind, f"{name}.{_ANY}." if is_list else f"{name}.", is_needed)
        else:
            yield ImportField(name, "truth" if kind is bool else "day" if kind is date else "text", is_needed)


def _type_of(annotation: Any) -> tuple[Any, bool]:
    """The type in an annotation, and whether it is a list of them: `tuple[LegBody, ...]` is (LegBody, True)."""
    if get_origin(annotation) in (Union, UnionType):
        return _type_of(next(part for part in get_args(annotation) if part is not type(None)))
    if get_origin(annotation) is Annotated:
        return _type_of(get_args(annotation)[0])
    if get_origin(annotation) is tuple:
        return _type_of(get_args(annotation)[0])[0], True
    return annotation, False


_KNOWN = {
    ".".join(_ANY if part == _ANY else _folded(part) for part in column.name.split(".")): column
    for column in (
        *(ImportField(name, "text", True) for name in _PORTAL),
        *_columns(RegistrationBody, "", True),
    )
}
