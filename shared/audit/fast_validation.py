"""Compiles each event schema to a regular expression; an event that matches is valid and needs no JSON parse.

Our producers write every field once, in schema order, without spaces, so most events match. An event that does not
match is not invalid: `evidence.check` parses and validates it. A schema with features that this module does not know
gets no pattern (`None`), and all its events are parsed. Decision 0021.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from shared.events import Event

#: Days that exist in every month, then the 29th to 31st where they exist. 29 February never matches: it is parsed.
_DAY = (
    r"[12]\d{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_INSTANT = _DAY + r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?Z"
#: Characters that JSON never escapes. Text with any other character is parsed.
_PLAIN = r"[ !#-\[\]-~]"
#: Field patterns that Python's `re` and pydantic's engine read alike: plain classes, letters and counts.
_SIMPLE = re.compile(r"\^(?:[A-Za-z0-9:-]|\[(?:[A-Za-z0-9._:@]|-(?!-))+\]|[*+]|\{\d+(?:,\d+)?\})+\$")
#: Keys that any core schema may have and that do not restrict the value.
_NEUTRAL_KEYS = {"type", "metadata", "ref"}


class Inexpressible(Exception):
    """The schema has a constraint that a pattern of this module cannot express."""


@dataclass(frozen=True, slots=True)
class EventPattern:
    """The pattern of one event's data. `stream` is a template for the stream name, `names` the fields that fill it."""

    pattern: re.Pattern[bytes]
    stream: bytes
    names: tuple[str, ...]

    def fits(self, data: bytes, stream: bytes) -> bool:
        """True: the data are valid, canonical JSON and belong to this stream. False: they must be parsed to know."""
        match = self.pattern.fullmatch(data)
        return match is not None and self.stream % match.group(*self.names) == stream


@cache
def event_pattern(event: type[Event]) -> EventPattern | None:
    """The pattern of an event's data, compiled at the first call; None when the schema cannot be expressed."""
    recorder = _FieldRecorder()
    stream = inspect.getattr_static(event, "stream").fget(recorder)
    try:
        pattern = _pattern(event.__pydantic_core_schema__, frozenset(recorder.names))
    except Inexpressible:
        return None
    return EventPattern(re.compile(pattern.encode()), stream.encode(), tuple(recorder.names))


class _FieldRecorder:
    """Takes an event's place while its `stream` property runs, and records which fields the property reads."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattr__(self, name: str) -> str:
        self.names.append(name)
        return "%b"


def _pattern(schema: Mapping[str, Any], named: frozenset[str] = frozenset()) -> str:
    kind = schema["type"]
    if kind not in _KINDS:
        raise Inexpressible(kind)
    write, supported = _KINDS[kind]
    if unknown := schema.keys() - supported - _NEUTRAL_KEYS:
        raise Inexpressible(f"{kind} with {sorted(unknown)}")
    return write(schema, named)


def _model(schema: Mapping[str, Any], named: frozenset[str]) -> str:
    # A model with one of these does more than validate its fields.
    if schema.get("custom_init") or schema.get("root_model") or schema["config"].keys() - _CONFIG:
        raise Inexpressible("a model with its own behaviour")
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
        raise Inexpressible("a pattern that is not simple")
    is_bounded = schema.keys() & {"min_length", "max_length"}
    ahead = f'(?=[^"]{bounds}")' if is_bounded else ""
    return f'"{ahead}{schema["pattern"][1:-1]}"'


def _number(schema: Mapping[str, Any], _: frozenset[str]) -> str:
    least, most = schema.get("ge", 0), schema.get("le")
    if most is not None:
        if not 0 <= least <= most <= 9:
            raise Inexpressible("a range of numbers beyond one digit")
        return f"[{least}-{most}]"
    if least not in (0, 1):
        raise Inexpressible("a lowest number other than 0 or 1")
    return r"[1-9]\d{0,8}" if least else r"(?:0|[1-9]\d{0,8})"


def _choice(schema: Mapping[str, Any], _: frozenset[str]) -> str:
    members = [getattr(member, "value", member) for member in schema.get("members", schema.get("expected"))]
    if not all(isinstance(member, str | int) and not isinstance(member, bool) for member in members):
        raise Inexpressible("a choice of values that are neither text nor numbers")
    return f"(?:{'|'.join(map(_literally, members))})"


def _several(schema: Mapping[str, Any], _: frozenset[str]) -> str:
    if len(schema["items_schema"]) != 1 or schema.get("variadic_item_index") != 0:
        raise Inexpressible("a tuple of several types")
    item, least, most = _pattern(schema["items_schema"][0]), schema.get("min_length", 0), schema.get("max_length")
    if most is not None and most < max(1, least):
        raise Inexpressible("a tuple without items")
    items = f"{item}(?:,{item}){{{max(0, least - 1)},{'' if most is None else most - 1}}}"
    return rf"\[{items}\]" if least else rf"\[(?:{items})?\]"


def _literally(value: str | int) -> str:
    return re.escape(orjson.dumps(value).decode())


_CONFIG = {"extra_fields_behavior", "hide_input_in_errors", "title", "validate_by_alias", "validate_by_name"}
#: Core schema type → (function that writes its pattern, keys that the function understands).
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
