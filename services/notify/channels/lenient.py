"""Reads what providers post as leniently as possible, because a cry for help may be in it. Pure.

A strict parser refuses a whole post for one odd sign. Here each sign, number or entry that cannot be read is replaced
or left to a person, and the rest is kept. Every step takes time in proportion to the size of the post.
"""

import codecs
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl

from shared.errors import PermanentError

#: Stands for each sign that cannot be read.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
#: Values inside values are looked at so deep.
DEPTH_LIMIT = 6
#: Different values of one key that are kept.
REPEATED_LIMIT = 20
#: Longest sender that is kept; a telephone number has 15 digits.
SENDER_LIMIT = 60
#: Encodings that a Content-Type may name beside UTF-8. Browsers and gateways write windows-1252 and call it latin-1.
_ENCODINGS = {
    "iso8859-1": "cp1252", "cp1252": "cp1252", "iso8859-15": "iso8859-15",
    "utf-16": "utf-16", "utf-16-le": "utf-16-le", "utf-16-be": "utf-16-be",
}  # fmt: skip
#: Around a post: blanks, control signs, byte order marks and signs without a width.
_AROUND = "".join(map(chr, range(33))) + "\x7f\ufeff\u200b\u2060\ufffe"
#: Fields that may hold the text inside a message object.
_TEXT_FIELDS = ("text", "body", "content", "message", "value")
_SURROGATE = re.compile("[\ud800-\udfff]")
# A string, to its end or that of the post; a number with a plus or leading zeros; a comma before a closing bracket.
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*+"?)|(?<![\w.+-])(\+?\d++)(?![\w.+-])|(,)(?=\s*+[}\]])', re.DOTALL)
_ESCAPE = re.compile(r'\\(u[0-9a-fA-F]{4}|["\\/bfnrt])|\\')
_WHOLE_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,20})?(?:[eE]\+?\d{1,2})?")


class RepeatedField(list[Any]):
    """The different values of a key that an object has more than once."""


def text_of_body(body: bytes, content_type: str = "") -> str:
    """The body as text; bytes that do not decode are replaced. UTF-8, UTF-16 and UTF-32 are recognised.

    The encoding that the Content-Type names counts only where the body is none of these.
    """
    encoding = json.detect_encoding(body)
    has_mark = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if encoding.startswith(("utf-16", "utf-32")) and not has_mark and body.count(0) * 4 < len(body):
        encoding = "utf-8"  # a stray NUL in front, not two bytes to a sign
    try:
        return body.decode(encoding)
    except UnicodeDecodeError:
        return body.decode(_named_encoding(content_type), "replace")


def _named_encoding(content_type: str) -> str:
    header = Message()
    header["Content-Type"] = content_type.replace("\r", " ").replace("\n", " ")
    try:
        return _ENCODINGS.get(codecs.lookup(str(header.get_param("charset", "utf-8"))).name, "utf-8")
    except (LookupError, ValueError):
        return "utf-8"


def entries_of(body: bytes) -> list[object]:
    """The values in a post: one for JSON or a form, several for JSON lines. A rest that cannot be read is a text.

    Raises PermanentError when nothing in it can be read.
    """
    return _entries(body.decode("utf-8", "replace"), wrapped=True)


def _entries(text: str, *, wrapped: bool) -> list[object]:
    text = text.strip(_AROUND)
    if text.startswith(("{", "[")):
        return next((values for attempt in (text, _mended(text)) if (values := _json_values(attempt))), [text])
    if wrapped and text.startswith('"'):
        (inner, *_) = _json_values(text) or [""]
        return _entries(inner if isinstance(inner, str) else "", wrapped=False)
    if "=" not in text:
        raise PermanentError("neither JSON nor a form" if text else "nothing in it")
    form = _form(text)
    (only, *_) = form.values()
    is_wrapped = wrapped and len(form) == 1 and isinstance(only, str) and only.lstrip(_AROUND).startswith(("{", "["))
    return _entries(only, wrapped=False) if is_wrapped else [form]


def members(value: object, *path: str) -> list[object]:
    """The entries below a path of fields; a list or an object may stand at each step, also without the field."""
    if isinstance(value, list):
        return [entry for member in value for entry in members(member, *path)]
    for position, name in enumerate(path):
        if has_field(value, name):
            return members(first_field(value, name), *path[position + 1 :])
    return [value]


def has_field(value: object, *names: str) -> bool:
    """Whether an object has one of these fields, in upper or lower case."""
    return isinstance(value, Mapping) and any(_key(value, name) is not None for name in names)


def first_field(value: object, *names: str) -> Any:
    """The first of these fields that an object has; its name may be in upper or lower case. None without one."""
    if isinstance(value, Mapping):
        for name in names:
            key = _key(value, name)
            if key is not None:
                return value[key]
    return None


def _key(value: Mapping[str, Any], name: str) -> str | None:
    if name in value:
        return name
    return next((key for key in value if key.lower() == name.lower()), None)


def text_of(value: object, depth: int = 0) -> str | None:
    """A text, a number, or the texts in a list or a message object; None when there is none."""
    if isinstance(value, str):
        return readable(value)
    if depth >= DEPTH_LIMIT:
        return None
    if isinstance(value, Mapping):
        return text_of(first_field(value, *_TEXT_FIELDS), depth + 1)
    if isinstance(value, list):
        texts = [text for member in value if (text := text_of(member, depth + 1))]
        return " / ".join(texts) if texts else None
    return None


def sender_of(value: object, depth: int = 0) -> str:
    """A sender as its provider wrote it: a number or a name; empty when it is hidden, missing, or not one."""
    if isinstance(value, Mapping) and depth < DEPTH_LIMIT:
        names = ("number", "msisdn", "phone", "address", "value", "name")
        return next((sender for name in names if (sender := sender_of(first_field(value, name), depth + 1))), "")
    if isinstance(value, list) and depth < DEPTH_LIMIT:
        senders = {sender_of(member, depth + 1) for member in value} - {""}
        return senders.pop() if len(senders) == 1 else ""
    if not isinstance(value, str):
        return ""
    sender = readable(value).strip(_AROUND)
    if _WHOLE_NUMBER.fullmatch(sender) and not sender.isdigit():
        number = Decimal(sender)
        sender = str(int(number)) if number == int(number) else sender
    return sender[:SENDER_LIMIT]


def readable(text: str) -> str:
    """The text without what no database, log or message can hold: halves of signs, and NUL."""
    return _SURROGATE.sub(REPLACEMENT, text).replace("\0", REPLACEMENT)


def as_text(value: object) -> str:
    """An entry of a post as a person can read it."""
    if isinstance(value, str):
        return readable(value)
    try:
        return readable(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "(too deep)"


def _json_values(text: str) -> list[object]:
    """The JSON values that follow each other, and the rest that is not JSON, as a text. Empty without a value."""
    values: list[object] = []
    position = 0
    while position < len(text):
        try:
            value, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            return [*values, text[position:]] if values else []
        values.append(value)
        while position < len(text) and text[position] in _AROUND:
            position += 1
    return values


def _mended(text: str) -> str:
    """The text with what JSON forbids and providers write: numbers with a plus or zeros, bad escapes, last commas."""

    def mend(token: re.Match[str]) -> str:
        string, number, _ = token.groups()
        if string is not None:
            return _ESCAPE.sub(lambda escape: escape[0] if escape[1] else r"\\", string)
        return f'"{number}"' if number is not None else ""

    return _TOKEN.sub(mend, text)


def _form(text: str) -> dict[str, Any]:
    return _object(parse_qsl(text, keep_blank_values=True))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; where a key comes with different values, all of them count."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        known = fields.get(name, value)
        if isinstance(known, RepeatedField):
            if len(known) < REPEATED_LIMIT and value not in known:
                known.append(value)
        else:
            fields[name] = value if known == value else RepeatedField([known, value])
    return fields


# Numbers stay texts: a telephone number may be written as one, and an endless one must not become an integer.
_DECODER = json.JSONDecoder(
    strict=False, object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=lambda name: None
)
