"""Every text that others write has a longest length, and the length that a field declares is the one that holds."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

import services
import shared
from shared import events
from shared.fields import AlertMessage, FreeText, ReasonText


def _models() -> list[type[BaseModel]]:
    """Every model of services/ and shared/."""
    for package in (services, shared):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    ours = {model for model in _subclasses(BaseModel) if model.__module__.split(".")[0] in ("services", "shared")}
    return sorted(ours, key=lambda model: (model.__module__, model.__qualname__))


def _subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for subclass in model.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


#: Models that refuse unknown fields too, but read nothing that strangers write, each with the reason.
OURS = {
    "services.notify.messages.": "the content of messages, which our own code makes of events",
    "shared.audit.manifest.": "a signed file of the auditor",
    "shared.bus.topics.": "a file of the deployment",
}


def _is_from_outside(model: type[BaseModel]) -> bool:
    """Bodies and catalogue entries refuse unknown fields; events come from Kafka. Settings are the operator's."""
    name = f"{model.__module__}.{model.__qualname__}"
    if name.startswith(tuple(OURS)) or name.endswith("Settings"):
        return False
    return model.model_config.get("extra") == "forbid" or model.__module__ == events.__name__


def _texts(annotation: Any, metadata: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The constraints of each text in an annotation: of a field, of its entries, of one of several types."""
    kind, parts = get_origin(annotation), get_args(annotation)
    if annotation is str:
        yield metadata
    elif kind is Annotated:
        own = [m for given in parts[1:] for m in (given.metadata if isinstance(given, FieldInfo) else [given])]
        yield from _texts(parts[0], (*metadata, *own))
    elif kind is not Literal:
        for part in parts:
            yield from _texts(part, metadata if kind in (Union, UnionType) else ())


def _fields(models: list[type[BaseModel]]) -> Iterator[tuple[str, list[int], bool]]:
    """Each text of the models: its name, its longest lengths, and whether a pattern bounds it."""
    for model in models:
        for name, field in model.model_fields.items():
            for constraints in _texts(field.annotation, tuple(field.metadata)):
                lengths = [c.max_length for c in constraints if isinstance(c, annotated_types.MaxLen)]
                patterns = [c.pattern for c in constraints if getattr(c, "pattern", None)]
                bounded = any("+" not in pattern and "*" not in pattern for pattern in patterns)
                yield f"{model.__module__}.{model.__qualname__}.{name}", lengths, bounded


def test_text_has_one_longest_length() -> None:
    """Of two lengths pydantic keeps the one of the type, so a shorter one of the field would be no limit at all."""
    several = {name: lengths for name, lengths, _ in _fields(_models()) if len(lengths) > 1}

    assert several == {}


def test_text_from_outside_has_a_longest_length() -> None:
    """Of a body, of the catalogue, of an event: a length, or a pattern that allows no repetition without end."""
    models = [model for model in _models() if _is_from_outside(model)]

    endless = [name for name, lengths, bounded in _fields(models) if not lengths and not bounded]

    assert len(models) > 100
    assert endless == []


@pytest.mark.parametrize(("text", "length"), [(FreeText, 4_000), (ReasonText, 500), (AlertMessage, 1_000)])
def test_length_of_a_text_holds(text: Any, length: int) -> None:
    """The longest is taken, one character more is refused."""
    adapter: TypeAdapter[str] = TypeAdapter(text)

    assert adapter.validate_python("x" * length)
    with pytest.raises(ValidationError):
        adapter.validate_python("x" * (length + 1))


def test_shadowed_length_is_found() -> None:
    """The mistake itself: pydantic keeps 4,000, and the test above names the field."""

    class Careless(BaseModel):
        reason: FreeText = Field(max_length=500)
        remark: FreeText | None = Field(default=None, max_length=500)
        words: str

    lengths = {name.rsplit(".", 1)[1]: lengths for name, lengths, _ in _fields([Careless])}

    assert Careless(reason="x" * 4_000, words="").reason
    assert lengths == {"reason": [500, 4_000], "remark": [500, 4_000], "words": []}
