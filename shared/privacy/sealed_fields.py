"""Finds the sealed fields of an event by their type. How a text looks says nothing: a person can write any text."""

from collections.abc import Iterator
from functools import cache
from typing import get_args, get_type_hints

from pydantic import BaseModel

from shared.events import Sealed


@cache
def sealed_fields(model: type[BaseModel]) -> frozenset[str]:
    """The names of the model's own fields that are `Sealed`."""
    hints = get_type_hints(model, include_extras=True)
    return frozenset(name for name in model.model_fields if hints[name] == Sealed or Sealed in get_args(hints[name]))


def sealed_texts(value: object, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every sealed text in a model and the models in it, with its place: names as on the wire, numbers of items."""
    if isinstance(value, BaseModel):
        sealed = sealed_fields(type(value))
        for name, info in type(value).model_fields.items():
            inner, here = getattr(value, name), (*place, info.alias or name)
            if name not in sealed:
                yield from sealed_texts(inner, here)
            elif inner is not None:
                yield here, inner
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from sealed_texts(item, (*place, number))
