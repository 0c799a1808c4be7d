"""Reads the records of a source from JSON pages, one by one where a page is damaged: no other record is lost. Pure.

What JSON does not allow, but changes nothing, is read: control signs in a text, half a surrogate pair, NaN, a comma
before a closing bracket, a byte order mark, anything before or behind the document. Of a record that cannot be read
whole, the fields that can be are read, and it `is_damaged`: then only the worst that it says counts.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.safety.reading import BatchRejected
from services.safety.sources.decoding import REPLACED, decoded

#: Places of a damaged page at which a record might begin, and characters of a record that is read in part.
MAX_TRIES, MAX_PART_CHARS = 20_000, 1_000_000
#: Values of one field in a damaged record.
MAX_VALUES = 200

_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    r"\\(?P<pair>u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|"
    r"\\(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\]+|\\(?:.|\Z))*"?|,(?=\s*[}\]])', re.DOTALL)
_BACKSLASH = re.compile(r'\\(?P<known>u[0-9a-fA-F]{4}|["\\/bfnrt])|\\')
_MEMBER = re.compile(
    r'"(?P<name>[\w -]{1,60})"\s*:\s*'
    r'(?:(?P<plain>-?\d[\d.eE+-]{0,40}|true|false|null)|(?P<list>\[[^\[\]{}]{0,2000}\])|(?P<quote>"))'
)
# A quote ends a text if a field or the end of the record follows.
_TEXT = re.compile(r'(?:[^"\\]+|\\(?:.|\Z)|"(?!\s*(?:,\s*"[^"\\]{1,60}"\s*:|,?\s*[}\]]|\Z)))*', re.DOTALL)
_ESCAPED = re.compile(r"\\(?:u(?P<code>[0-9a-fA-F]{4})|(?P<sign>.))", re.DOTALL)
_NAMED_ESCAPES = {"n": "\n", "r": "\n", "t": "\t", "b": "", "f": " "}

#: Field → its values in a damaged record, at any depth, in their order.
Fields = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `key`: its name in an object of records. `is_damaged`: not all of it is certain."""

    fields: Mapping[str, Any]
    key: str = ""
    is_damaged: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """How the records of a source lie in a page.

    `noun`: what a page is. `entries`: the records of a whole page with their keys; None if it is another document.
    For a damaged page: `begins` is where a record may begin, up to its brace, with its key as the group `key`;
    `identity` finds the identities in a damaged part, and `rebuilt` makes a record of the fields in it.
    """

    noun: str
    entries: Callable[[Any], list[tuple[str, Any]] | None]
    begins: re.Pattern[str]
    is_record: Callable[[Mapping[str, Any]], bool]
    identity: re.Pattern[str]
    rebuilt: Callable[[str, Fields], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Records:
    """The records of the pages, and the damage in them, page by page."""

    records: Sequence[Record]
    damage: tuple[str, ...] = ()


def read_records(pages: Sequence[bytes], shape: Shape) -> Records:
    """The records of all pages. A page without any is damage; if no other page holds one, BatchRejected is raised."""
    records: list[Record] = []
    damage: list[str] = []
    rejections: list[BatchRejected] = []
    for number, page in enumerate(pages, start=1):
        try:
            of_page = page_records(page, number, shape)
        except BatchRejected as rejected:
            rejections.append(rejected)
            damage.append(str(rejected))
            continue
        records += of_page.records
        damage += of_page.damage
    if rejections and not records:
        raise rejections[0]
    return Records(records, tuple(damage))


def page_records(page: bytes, number: int, shape: Shape) -> Records:
    """The records of one page. Raises BatchRejected if it is another document, or holds no record at all."""
    text = _with_whole_pairs(decoded(page)).strip()
    for is_mended in (False, True):
        text = _mended(text) if is_mended else text
        try:
            document, is_doubled = _loaded(text)
        except (ValueError, RecursionError):
            continue
        entries = shape.entries(document)
        if entries is None:
            raise BatchRejected(f"page {number} is not {shape.noun}")
        if is_doubled:
            break
        return Records([Record(value, key) for key, value in entries if isinstance(value, dict)])
    return _recovered(text, number, shape)


def is_json(page: bytes) -> bool:
    """Whether a page is JSON, word for word."""
    try:
        orjson.loads(page)
    except (orjson.JSONDecodeError, RecursionError):
        return False
    return True


def has_replaced(*texts: str) -> bool:
    """Whether a sign of a text could not be decoded: nobody knows what stood there."""
    return any(REPLACED in text for text in texts)


def without_replaced(text: str) -> str:
    """The text without such signs: one of them inside a word hides no warning. What it says is not certain."""
    return text.replace(REPLACED, "")


def _loaded(text: str) -> tuple[Any, bool]:
    """The document, and whether an object in it has one field twice; the last counts."""
    is_doubled = False

    def last(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal is_doubled
        fields = dict(pairs)
        is_doubled |= len(fields) < len(pairs)
        return fields

    return json.JSONDecoder(strict=False, object_pairs_hook=last).decode(text), is_doubled


def _versions_at(text: str, begin: int) -> tuple[list[dict[str, Any]], int]:
    """The object that begins here, and its end. Twice, if a field is there twice: with its last and its first value.

    Raises ValueError or RecursionError.
    """
    version, end = json.JSONDecoder(strict=False).raw_decode(text, begin)
    first_decoder = json.JSONDecoder(strict=False, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    first, _ = first_decoder.raw_decode(text, begin)
    return ([version] if first == version else [version, first]), end


def _recovered(text: str, number: int, shape: Shape) -> Records:
    """The records of a damaged page, each by itself. Raises BatchRejected if there is none."""
    whole: list[Record] = []
    in_part: list[Record] = []
    part_begins = position = tries = 0
    while tries < MAX_TRIES and (match := shape.begins.search(text, position)):
        tries += 1
        try:
            versions, end = _versions_at(text, match.end() - 1)
        except (ValueError, RecursionError):
            versions, end = [], match.end()
        # Without its last bracket a record swallows the next ones: then it is read in part, and they by themselves.
        has_swallowed = len(_identities(text[match.start() : end], shape)) > 1
        if has_swallowed or not versions or not all(shape.is_record(version) for version in versions):
            position = match.end()
            continue
        in_part += _parts(text[part_begins : match.start()], shape)
        (in_part if len(versions) > 1 else whole).extend(
            Record(version, match["key"], is_damaged=len(versions) > 1) for version in versions
        )
        part_begins = position = end
    in_part += _parts(text[part_begins:], shape)
    if not whole and not in_part:
        raise BatchRejected(f"page {number} is not JSON")
    damage = f"page {number} is not JSON: {len(whole)} records are read whole, {len(in_part)} in part"
    return Records([*whole, *in_part], (damage,))


def _parts(part: str, shape: Shape) -> list[Record]:
    """The damaged records in a part of a page, one for each identity in it."""
    identities = _identities(part, shape)
    if not identities:
        return []
    fields = _fields(part[:MAX_PART_CHARS])
    return [Record(shape.rebuilt(identity, fields), identity, is_damaged=True) for identity in identities]


def _identities(part: str, shape: Shape) -> list[str]:
    return list(dict.fromkeys(match[1] for match in shape.identity.finditer(part)))


def _fields(part: str) -> Fields:
    """The fields of a damaged record that can be read."""
    fields: dict[str, list[Any]] = defaultdict(list)
    position = 0
    while match := _MEMBER.search(part, position):
        position = match.end()
        if match["quote"]:
            text = _TEXT.match(part, position)
            assert text is not None
            position = text.end()
            value: Any = _ESCAPED.sub(_sign, text[0])
        else:
            try:
                value = json.loads(match["plain"] or match["list"], strict=False)
            except (ValueError, RecursionError):
                continue
        if len(fields[match["name"]]) < MAX_VALUES:
            fields[match["name"]].append(value)
    return fields


def _sign(escape: re.Match[str]) -> str:
    if escape["code"] is None:
        return _NAMED_ESCAPES.get(escape["sign"], escape["sign"])
    sign = chr(int(escape["code"], 16))
    return REPLACED if "\ud800" <= sign <= "\udfff" else sign


def _with_whole_pairs(text: str) -> str:
    """The text without halves of surrogate pairs (`\\ud83c`), which are no sign."""
    if _HALF_PAIR.search(text) is None:
        return text
    return _ESCAPE.sub(lambda escape: REPLACED if escape["half"] else escape[0], text)


def _mended(text: str) -> str:
    """The text without commas before a closing bracket, and with REPLACED for an escape that does not exist."""

    def mended(match: re.Match[str]) -> str:
        if match[0] == ",":
            return ""
        return _BACKSLASH.sub(lambda escape: escape[0] if escape["known"] else REPLACED, match[0])

    return _STRING_OR_COMMA.sub(mended, text)
