"""Request bodies: camelCase and strict. Errors name a wrong field and never quote its value."""

import re
from datetime import date, datetime
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _date(value: Any) -> Any:
    if isinstance(value, str) and not _DATE.fullmatch(value):
        raise ValueError("is not a date (YYYY-MM-DD)")
    return value


#: A date in a query or a path. Pydantic alone would also accept seconds since 1970.
Day = Annotated[date, BeforeValidator(_date)]


def _instant(value: Any) -> Any:
    if isinstance(value, str) and not _INSTANT.fullmatch(value):
        raise ValueError("is not an instant with its offset (RFC 3339)")
    return value


#: An instant in a query. Pydantic alone would also accept seconds since 1970.
Instant = Annotated[datetime, BeforeValidator(_instant)]


class Body(BaseModel):
    """A request body. Unknown fields are refused, so no caller can set a status or a person."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=False, hide_input_in_errors=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_conversions(cls, value: Any, info: ValidationInfo) -> Any:
        """Values must have their JSON type: no "yes" for true, no "1" for 1, no seconds since 1970 for a date."""
        if value is None or info.field_name is None:
            return value
        kinds = _kinds(cls.model_fields[info.field_name].annotation)
        if datetime in kinds and not (isinstance(value, str) and _INSTANT.fullmatch(value)):
            raise ValueError("is not an instant with its offset (RFC 3339)")
        if date in kinds and not (isinstance(value, str) and _DATE.fullmatch(value)):
            raise ValueError("is not a date (YYYY-MM-DD)")
        if bool in kinds and not isinstance(value, bool):
            raise ValueError("is not true or false")
        if int in kinds and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError("is not a whole number")
        return value


def _kinds(annotation: Any) -> frozenset[Any]:
    """The types in an annotation: `date | None` → {date}."""
    if get_origin(annotation) in (Union, UnionType):
        return frozenset(get_args(annotation)) - {type(None)}
    return frozenset({annotation})
