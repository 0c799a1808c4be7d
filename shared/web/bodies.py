"""Request bodies: camelCase and strict. Errors name a wrong field and never quote its value."""

from datetime import date, datetime
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from shared import plausible
from shared.clock import amsterdam_date, utc_now
from shared.instants import date_of, instant_of


def _in_window(value: date) -> date:
    if not plausible.is_in_window(value):
        raise ValueError("lies outside the years 2000 to 2199")
    return value


def _travel_date(value: date) -> date:
    if not plausible.is_travel_date(value, amsterdam_date(utc_now())):
        raise ValueError("lies more than ten years from today")
    return value


#: A date in a query or a path. Pydantic alone would also accept seconds since 1970.
Day = Annotated[date, BeforeValidator(date_of), AfterValidator(_in_window)]
#: A day of a journey, an approval or an override, in a body or a query.
TravelDay = Annotated[date, BeforeValidator(date_of), AfterValidator(_travel_date)]


def _past(value: datetime) -> datetime:
    if not plausible.is_past(value, utc_now()):
        raise ValueError("lies in the future, or before 2000")
    return value


#: An instant of the past in a query. Pydantic alone would also accept seconds since 1970.
PastInstant = Annotated[datetime, BeforeValidator(instant_of), AfterValidator(_past)]


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
        if datetime in kinds:
            instant_of(value)
        if date in kinds:
            date_of(value)
        if bool in kinds and not isinstance(value, bool):
            raise ValueError("is not true or false")
        if int in kinds and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError("is not a whole number")
        return value


def _kinds(annotation: Any) -> frozenset[Any]:
    """The types in an annotation: `TravelDay | None` → {date}."""
    if get_origin(annotation) in (Union, UnionType):
        return frozenset().union(*(_kinds(part) for part in get_args(annotation))) - {type(None)}
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    return frozenset({annotation})
