"""What the services write, recognised: for each event a pattern made of its own schema, so that what matches is valid.

Most events of a log are exactly as our producers write them. Such a one needs no parsing: it has every field once, in
order, without a space, each of the form that its schema asks. Whatever does not match is not wrong, only to be looked
at by `evidence.check`. A schema that says more than this page understands has no pattern (`None`), and is always
looked at.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from shared.events import Event

#: Days that every month has, and those that only some have; the 29th of February is looked at.
_DAY = (
    r"[12]\d{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_INSTANT = _DAY + r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?Z"
#: What stands in JSON as it is; anything else is looked at.
_PLAIN = r"[ !#-\[\]-~]"
#: Patterns of fields that mean the same here as in the schema's own engine: plain classes, letters, counts.
_SIMPLE = re.compile(r"\^(?:[A-Za-z0-9:-]|\[(?:[A-Za-z0-9._:@]|-(?!-))+\]|[*+]|\{\d+(?:,\d+)?\})+\$")
#: What every schema may say beside what it is.
_BESIDE = {"type", "metadata", "ref"}


class Inexpressible(Exception):
    """The schema says more than a pattern here can."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The pattern of one event's data. `stream` and `names`: how its stream's name is made of which of its fields."""

    pattern: re.Pattern[bytes]
    stream: bytes
    names: tuple[str, ...]

    def fits(self, data: bytes, stream: bytes) -> bool:
        """Whether the data are certainly valid, canonical, and of this stream; if not they have to be looked at."""
        match = self.pattern.fullmatch(data)
        return match is not None and self.stream % match.group(*self.names) == stream


@cache
def shape_of(event: type[Event]) -> Shape | None:
    """The shape of an event's data; None where its schema can not be said as a pattern. Made when first asked for."""
    asked = _Asked()
    stream = inspect.getattr_static(event, "stream").fget(asked)
    try:
        pattern = _pattern(event.__pydantic_core_schema__, frozenset(asked.names))
    except Inexpressible:
        return None
    return Shape(re.compile(pattern.encode()), stream.encode(), tuple(asked.names))


class _Asked:
    """Stands where an event would: says which fields its stream is made of."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattr__(self, name: str) -> str:
        self.names.append(name)
        return "%b"


def _pattern(schema: Mapping[str, Any], named: frozenset[str] = frozenset()) -> str:
    kind = schema["type"]
    if kind not in _KINDS:
        raise Inexpressible(kind)
    write, known = _KINDS[kind]
    if more := schema.keys() - known - _BESIDE:
        raise Inexpressible(f"{kind} with {sorted(more)}")
    return write(schema, named)


def _model(schema: Mapping[str, Any], named: frozenset[str]) -> str:
    # With one of these the schema does more than to look at its fields.
    if schema.get("custom_init") or schema.get("root_model") or schema["config"].keys() - _CONFIG:
        raise Inexpressible("a model of its own kind")
    return _pattern(schema["schema"], named)


def _fields(schema: Mapping[str, Any], named: frozenset[str]) -> str:
    if schema.get("computed_fields"):
        raise Inexpressible("computed fields")
    fields = []
    for name, field in schema["fields"].items():
        value = _pattern(field["schema"])
        if name in named:
            value = f'"(?P<{name}>{value[1:-1]})"' if value.startswith('"') else f"(?P<{name}>{value})"
        fields.append(f"{_literally(field['serialization_alias'])}:{value}")
    return rf"\{{{','.join(fields)}\}}"


def _inner(schema: Mapping[str, Any], _: frozenset[str]) -> str:
    return _pattern(schema["schema"])


def _nullable(schema: Mapping[str, Any], _: frozenset[str]) -> str:
    return f"(?:null|{_pattern(schema['schema'])})"


def _text(schema: Mapping[str, Any], _: frozenset[str]) -> str:
    bounds = f"{{{schema.get('min_length', 0)},{schema.get('max_length', '')}}}"
    if "pattern" not in schema:
        return f'"{_PLAIN}{bounds}"'
    if not isinstance(schema["pattern"], str) or _SIMPLE.fullmatch(schema["pattern"]) is None:
        raise Inexpressible("a pattern with more in it")
    is_bounded = schema.keys() & {"min_length", "max_length"}
    ahead = f'(?=[^"]{bounds}")' if is_bounded else ""
    return f'"{ahead}{schema["pattern"][1:-1]}"'


def _number(schema: Mapping[str, Any], _: frozenset[str]) -> str:
    least, most = schema.get("ge", 0), schema.get("le")
    if most is not None:
        if not 0 <= least <= most <= 9:
            raise Inexpressible("a number between others")
        return f"[{least}-{most}]"
    if least not in (0, 1):
        raise Inexpressible("a number from some other one on")
    return r"[1-9]\d{0,8}" if least else r"(?:0|[1-9]\d{0,8})"


def _choice(schema: Mapping[str, Any], _: frozenset[str]) -> str:
    members = [getattr(each, "value", each) for each in schema.get("members", schema.get("expected"))]
    if not all(isinstance(each, str | int) and not isinstance(each, bool) for each in members):
        raise Inexpressible("a choice of other things")
    return f"(?:{'|'.join(map(_literally, members))})"


def _several(schema: Mapping[str, Any], _: frozenset[str]) -> str:
    if len(schema["items_schema"]) != 1 or schema.get("variadic_item_index") != 0:
        raise Inexpressible("a tuple of several kinds")
    one, least, most = _pattern(schema["items_schema"][0]), schema.get("min_length", 0), schema.get("max_length")
    if most is not None and most < max(1, least):
        raise Inexpressible("a tuple of nothing")
    some = f"{one}(?:,{one}){{{max(0, least - 1)},{'' if most is None else most - 1}}}"
    return rf"\[{some}\]" if least else rf"\[(?:{some})?\]"


def _literally(value: str | int) -> str:
    return re.escape(orjson.dumps(value).decode())


_CONFIG = {"extra_fields_behavior", "hide_input_in_errors", "title", "validate_by_alias", "validate_by_name"}
#: The kinds of schema → how its pattern is written, and what it may say.
_KINDS: Mapping[str, tuple[Callable[[Mapping[str, Any], frozenset[str]], str], set[str]]] = {
    "model": (_model, {"cls", "config", "custom_init", "root_model", "schema"}),
    "model-fields": (_fields, {"computed_fields", "fields", "model_name"}),
    "default": (_inner, {"default", "schema"}),
    "nullable": (_nullable, {"schema"}),
    "str": (_text, {"min_length", "max_length", "pattern"}),
    "int": (_number, {"ge", "le"}),
    "bool": (lambda *_: "(?:true|false)", set()),
    "date": (lambda *_: f'"{_DAY}"', set()),
    "datetime": (lambda *_: f'"{_INSTANT}"', {"microseconds_precision"}),
    "enum": (_choice, {"cls", "members", "sub_type"}),
    "literal": (_choice, {"expected"}),
    "tuple": (_several, {"items_schema", "variadic_item_index", "min_length", "max_length"}),
}
