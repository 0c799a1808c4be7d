"""Whether a subscriber believes the dates and times in an event (shared/plausible.py).

The schema allows every date, so that events of former versions stay readable for folds and for the audit. Only what a
subscription hands to a handler is checked: an impossible date parks the event, where operators see it.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from functools import cache
from typing import Any, TypeVar, get_args

from pydantic import BaseModel

from shared import plausible
from shared.clock import amsterdam_date
from shared.envelope import Envelope
from shared.errors import PermanentError
from shared.events import NAMED_OUTSIDE, Event

M = TypeVar("M", bound=BaseModel)
E = TypeVar("E", bound=Event)


class Implausible(PermanentError):
    """An event names a date or a time that lies outside its window. The text names the field, never its value."""


def believed_event(envelope: Envelope[E]) -> Envelope[E]:
    """The event as a subscriber takes it; the same object when every date and time lies in its window.

    Raises Implausible. A time that a provider, a source or an officer named (NAMED_OUTSIDE) does not stop an event: the
    event's own time replaces it. The schema allows every date, so events of former versions stay readable.
    """
    if not plausible.is_in_window(envelope.time):
        raise Implausible("the event's own time is not plausible")
    data = _believed(envelope.data, envelope.time, "")
    return envelope if data is envelope.data else replace(envelope, data=data)


def _believed(model: M, time: datetime, path: str) -> M:
    """The model with its times in their windows; the same object when nothing changed."""
    changes: dict[str, Any] = {}
    for name, alias, is_foreign in _dated_fields(type(model)):
        value = getattr(model, name)
        believed = _believed_value(value, time, f"{path}{alias}", is_foreign)
        if believed is not value:
            changes[name] = believed
    return model.model_copy(update=changes) if changes else model


def _believed_value(value: Any, time: datetime, path: str, is_foreign: bool) -> Any:
    match value:
        case datetime():
            if is_foreign:
                return value if plausible.is_past(value, time) else time
            if not plausible.EARLIEST <= value <= time + plausible.EVENT_FORESIGHT:
                raise Implausible(f"{path} is not plausible")
        case date():
            if not plausible.is_travel_date(value, amsterdam_date(time)):
                raise Implausible(f"{path} is not plausible")
        case BaseModel():
            return _believed(value, time, f"{path}.")
        case tuple():
            parts = tuple(_believed_value(part, time, f"{path}.{n}", is_foreign) for n, part in enumerate(value))
            return value if all(part is former for part, former in zip(parts, value, strict=True)) else parts
    return value


@cache
def _dated_fields(model: type[BaseModel]) -> tuple[tuple[str, str, bool], ...]:
    """Each field that may hold a date or a time: its name, its name in JSON, whether it is NAMED_OUTSIDE."""
    return tuple(
        (name, field.alias or name, NAMED_OUTSIDE in (*field.metadata, *_parts(field.annotation)))
        for name, field in model.model_fields.items()
        if any(_holds_moment(part) for part in _parts(field.annotation))
    )


def _holds_moment(part: object) -> bool:
    if not isinstance(part, type) or get_args(part):
        return False
    return issubclass(part, date) or (issubclass(part, BaseModel) and bool(_dated_fields(part)))


def _parts(annotation: object) -> Iterator[object]:
    """An annotation and everything in it: `tuple[Leg, ...] | None` → itself, the tuple, Leg, Ellipsis, NoneType."""
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)
