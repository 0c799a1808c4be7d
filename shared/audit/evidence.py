"""Reads one Kafka record as evidence: its attributes and data, each checked against the bytes before it is used.

Our relay writes one layout, so two patterns find the attributes; other layouts are parsed in full, which is slower.
"""

import re
from datetime import date, datetime
from functools import cached_property, lru_cache
from typing import Any

import orjson
from pydantic import ValidationError

from shared.audit.reader import Record
from shared.clock import in_utc
from shared.envelope import Envelope, UnknownEventType, parse
from shared.errors import PermanentError
from shared.events import EVENTS, Event
from shared.topic_writers import Untrusted, check_origin

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
#: The event version that this module reads. A `.v2` class will bring its number and its upcaster.
VERSION = b"1"


class Unreadable(PermanentError):
    """The value is not an event that this version of the audit can read. The text says why and quotes no content."""


class UnknownVersion(Unreadable):
    """An event of a type or version that this audit does not know: no answer takes it into account."""


class Foreign(Unreadable):
    """An event that the writer of its topic did not publish: no answer takes it into account."""


class Evidence:
    """One event: its place in Kafka, its attributes, and its data, which is validated at the first access."""

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
        """Its time, as bytes that sort like instants."""
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
        """Its version in its stream."""
        return int(self.head[7])

    @property
    def correlationid(self) -> str:
        """The request or feed reading that started the chain of causes."""
        return self.head[8].decode()

    @property
    def causationid(self) -> str:
        """The event or request that caused it directly."""
        return self.head[9].decode()

    @cached_property
    def data(self) -> Event:
        """The validated event. Raises Unreadable when the data do not fit the schema."""
        return check(self)

    @property
    def place(self) -> str:
        """Its place in Kafka: topic/partition@offset."""
        return f"{self.record.topic}/{self.record.partition}@{self.record.offset}"


def read(record: Record) -> Evidence:
    """Check a record's attributes, not yet its data. Raises Unreadable and UnknownVersion, whatever its bytes are."""
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


def read_trusted(record: Record) -> Evidence:
    """As `read`. Raises Foreign for an event that the topic's writer did not publish (shared/topic_writers.py)."""
    evidence = read(record)
    _check_origin(record.topic, evidence.head[1], evidence.head[2], evidence.sequence, evidence.prevhash)
    return evidence


def claims(record: Record) -> tuple[int | None, bytes]:
    """Only the sequence and the time of the event in a record, checked as `read_trusted` checks them."""
    value = record.value
    head = _HEAD.match(value) if value is not None else None
    if value is not None and head is not None:
        _known(*head.group(2, 4, 6, 7))
        end = value.rfind(b',"sequence":', head.end())
        tail = _TAIL.fullmatch(value, end) if end >= 0 else None
        if tail is not None:
            _check_origin(record.topic, head[2], head[3], int(tail[1]), tail[2])
            return int(tail[1]), head[4]
    evidence = read_trusted(record)
    return evidence.sequence, evidence.order


@lru_cache(maxsize=256)
def _foreign(topic: str, kind: bytes, source: bytes) -> str | None:
    """Why an event of this type and source does not belong to the topic; None: it does."""
    try:
        check_origin(topic, source.decode(), EVENTS[kind.decode()], is_chained=True)
    except Untrusted as error:
        return str(error)
    return None


def _check_origin(topic: str, kind: bytes, source: bytes, sequence: int | None, prevhash: bytes | None) -> None:
    problem = _foreign(topic, kind, source)
    if problem is not None:
        raise Foreign(problem)
    if sequence is None or prevhash is None:
        raise Foreign("it is not chained")


def _known(kind: bytes, time: bytes, schema: bytes, version: bytes) -> None:
    """Raise Unreadable for contradictory types or an impossible date, UnknownVersion for an unknown type or version."""
    if schema != kind:
        raise Unreadable("its type and its schema name different events")
    if not _is_day(time[:10]):
        raise Unreadable("its time does not exist")
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
    """Validate the data against the event's schema. Raises Unreadable, which names the field and never its content."""
    try:
        data = orjson.loads(evidence.data_bytes)
        # Our producers write with orjson, so dumping again gives the same length. `loads()` alone would hide a
        # duplicate key.
        if len(orjson.dumps(data)) != len(evidence.data_bytes):
            raise Unreadable("not canonical JSON (duplicate keys or foreign formatting)")
        fact: Event = _VALIDATORS[evidence.head[1]].validate_python(data)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error.msg}") from None
    except ValidationError as error:
        raise Unreadable(f"schema: {_fields(error)}") from None
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise Unreadable(f"schema: {type(error).__name__}") from None
    if fact.stream.encode() != evidence.head[4]:
        raise Unreadable("subject and data name different streams")
    return fact


def _fields(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_context=False)[:5]
    return "; ".join(".".join(map(str, problem["loc"])) + ": " + problem["type"] for problem in problems)


def _read_otherwise(record: Record, value: bytes) -> Evidence:
    """Read an event whose layout is not our relay's. `parse` accepts any valid CloudEvent and refuses the rest."""
    try:
        return _parsed(record, value)
    except UnknownEventType as error:
        raise UnknownVersion(f"{error} is not known here") from None
    except Unreadable:
        raise
    except PermanentError as error:
        raise Unreadable(str(error)) from None
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise Unreadable(f"not an event ({type(error).__name__})") from None


def _parsed(record: Record, value: bytes) -> Evidence:
    envelope = parse(value)
    schema: Any = orjson.loads(value).get("dataschema")
    match = _DATASCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if match is not None and (match[1], match[2]) != (envelope.type, VERSION.decode()):
        raise UnknownVersion(f"{match[1]} version {match[2]} is not known here")
    return Evidence(record, _groups(envelope), orjson.dumps(orjson.loads(value)["data"]), envelope.sequence,
                    envelope.prevhash.encode() if envelope.prevhash else None)  # fmt: skip


def _groups(envelope: Envelope[Event]) -> tuple[bytes, ...]:
    time = in_utc(envelope.time).isoformat(timespec="microseconds").removesuffix("+00:00")
    texts = (
        envelope.id, envelope.type, envelope.source, time, envelope.subject, envelope.type, VERSION.decode(),
        str(envelope.streamversion), envelope.correlationid, envelope.causationid, envelope.traceparent or "",
    )  # fmt: skip
    return tuple(text.encode() for text in texts)
