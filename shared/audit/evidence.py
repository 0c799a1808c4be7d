"""One record as evidence: what stands in it, read from its very bytes; nothing is believed that was not checked.

Our producers write one layout, so the attributes are found by two patterns; anything else is read the slow way.
"""

import re
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from typing import Any

import orjson
from pydantic import ValidationError

from shared.audit.reader import Record
from shared.envelope import Envelope, UnknownEventType, parse
from shared.errors import PermanentError
from shared.events import EVENTS, Event

_HEAD = re.compile(
    rb'\{"specversion":"1\.0","id":"([ !#-\[\]-~]{1,64})","type":"([A-Za-z0-9]{1,64})",'
    rb'"source":"([ !#-\[\]-~]{1,64})","time":"(\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3])(?::[0-5]\d){2}(?:\.\d{1,6})?)Z",'
    rb'"subject":"([ !#-\[\]-~]{1,120})","datacontenttype":"application/json",'
    rb'"dataschema":"urn:safe-passage:([A-Za-z0-9]{1,64}):([1-9]\d{0,3})","streamversion":([1-9]\d{0,17}),'
    rb'"correlationid":"([ !#-\[\]-~]{1,128})","causationid":"([ !#-\[\]-~]{1,128})",'
    rb'(?:"traceparent":"([ !#-\[\]-~]{1,64})",)?"data":'
)
_TAIL = re.compile(rb',"sequence":([1-9]\d{0,17}),"prevhash":"([0-9a-f]{64})"\}')
_DATASCHEMA = re.compile(r"urn:safe-passage:([A-Za-z0-9]+):(\d+)")
_VALIDATORS = {name.encode(): event.__pydantic_validator__ for name, event in EVENTS.items()}
#: The versions of each event that this page can read. A `.v2` class brings its number and its upcaster.
VERSION = b"1"


class Unreadable(PermanentError):
    """The value is no event that this version of the audit can read; the text says why and quotes nothing."""


class UnknownVersion(Unreadable):
    """An event of a type or version that this audit does not know: what it says is not in any answer."""


class Evidence:
    """One event: where it stands, its attributes, and its data when asked for."""

    __slots__ = ("__dict__", "data_bytes", "head", "prevhash", "record", "sequence")

    def __init__(
        self, record: Record, head: tuple[bytes, ...], data_bytes: bytes, sequence: int | None, prevhash: bytes | None
    ) -> None:
        self.record = record
        self.head = head
        self.data_bytes = data_bytes
        self.sequence = sequence
        self.prevhash = prevhash

    @property
    def id(self) -> str:
        """The event's id."""
        return self.head[0].decode()

    @property
    def type(self) -> str:
        """The event's class."""
        return self.head[1].decode()

    @property
    def source(self) -> str:
        """The service that wrote it."""
        return self.head[2].decode()

    @property
    def order(self) -> bytes:
        """Its time as bytes that sort as the instants do."""
        return self.head[3]

    @property
    def at(self) -> datetime:
        """Its time, UTC."""
        return datetime.fromisoformat(self.head[3].decode() + "+00:00")

    @property
    def subject(self) -> str:
        """Its stream."""
        return self.head[4].decode()

    @property
    def streamversion(self) -> int:
        """Its number in its stream."""
        return int(self.head[7])

    @property
    def correlationid(self) -> str:
        """The request or reading at the beginning of all this."""
        return self.head[8].decode()

    @property
    def causationid(self) -> str:
        """What it directly follows from."""
        return self.head[9].decode()

    @cached_property
    def data(self) -> Event:
        """The fact. Raises Unreadable when it does not fit its schema."""
        return check(self)

    @property
    def place(self) -> str:
        """Where it stands: topic/partition@offset."""
        return f"{self.record.topic}/{self.record.partition}@{self.record.offset}"


def read(record: Record) -> Evidence:
    """The event in a record, its attributes checked, its data not yet. Raises Unreadable and UnknownVersion."""
    value = record.value
    if value is None:
        raise Unreadable("null value")
    head = _HEAD.match(value)
    if head is None:
        return _read_otherwise(record, value)
    groups = head.groups()
    _known(groups[1], groups[3], groups[5], groups[6])
    end = value.rfind(b',"sequence":', head.end())
    tail = _TAIL.fullmatch(value, end) if end > 0 else None
    if tail is None:
        if end > 0:
            return _read_otherwise(record, value)
        return Evidence(record, groups, value[head.end() : -1], None, None)
    return Evidence(record, groups, value[head.end() : end], int(tail[1]), tail[2])


def claims(record: Record) -> tuple[int | None, bytes]:
    """The sequence and the time of the event in a record, checked as `read` does, without the rest of it."""
    value = record.value
    head = _HEAD.match(value) if value is not None else None
    if value is not None and head is not None:
        _known(*head.group(2, 4, 6, 7))
        end = value.rfind(b',"sequence":', head.end())
        if end < 0:
            return None, head[4]
        tail = _TAIL.fullmatch(value, end)
        if tail is not None:
            return int(tail[1]), head[4]
    evidence = read(record)
    return evidence.sequence, evidence.order


def _known(kind: bytes, time: bytes, schema: bytes, version: bytes) -> None:
    """Refuse what names two events, no day, or an event or version that is not known here."""
    if schema != kind:
        raise Unreadable("its type and its schema name different events")
    if not _is_day(time[:10]):
        raise Unreadable("its time is no time")
    if kind not in _VALIDATORS or version != VERSION:
        raise UnknownVersion(f"{kind.decode()} version {version.decode()} is not known here")


@lru_cache(maxsize=4_096)
def _is_day(text: bytes) -> bool:
    try:
        date.fromisoformat(text.decode())
    except ValueError:
        return False
    return True


def check(evidence: Evidence) -> Event:
    """The data against the schema of its event. Raises Unreadable: which field, never what stands in it."""
    try:
        data = orjson.loads(evidence.data_bytes)
        # Our producers write what orjson writes: a duplicate key is the one thing that loads() hides.
        if len(orjson.dumps(data)) != len(evidence.data_bytes):
            raise Unreadable("not canonical JSON (duplicate keys or foreign formatting)")
        fact: Event = _VALIDATORS[evidence.head[1]].validate_python(data)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error.msg}") from None
    except ValidationError as error:
        raise Unreadable(f"schema: {_fields(error)}") from None
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    if fact.stream.encode() != evidence.head[4]:
        raise Unreadable("subject and data name different streams")
    return fact


def _fields(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_context=False)[:5]
    return "; ".join(".".join(map(str, each["loc"])) + ": " + each["type"] for each in problems)


def _read_otherwise(record: Record, value: bytes) -> Evidence:
    """An event in another layout than our relay's: valid CloudEvents are, all others are refused by `parse`."""
    try:
        envelope = parse(value)
    except UnknownEventType as error:
        raise UnknownVersion(f"{error} is not known here") from None
    except PermanentError as error:
        raise Unreadable(str(error)) from None
    schema: Any = orjson.loads(value).get("dataschema")
    match = _DATASCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if match is not None and (match[1], match[2]) != (envelope.type, VERSION.decode()):
        raise UnknownVersion(f"{match[1]} version {match[2]} is not known here")
    return Evidence(record, _groups(envelope), orjson.dumps(orjson.loads(value)["data"]), envelope.sequence,
                    envelope.prevhash.encode() if envelope.prevhash else None)  # fmt: skip


def _groups(envelope: Envelope[Event]) -> tuple[bytes, ...]:
    time = envelope.time.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
    texts = (
        envelope.id, envelope.type, envelope.source, time, envelope.subject, envelope.type, VERSION.decode(),
        str(envelope.streamversion), envelope.correlationid, envelope.causationid, envelope.traceparent or "",
    )  # fmt: skip
    return tuple(text.encode() for text in texts)
