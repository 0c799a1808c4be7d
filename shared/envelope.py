"""The envelope of an event: CloudEvents 1.0 as structured JSON. Its bytes are the Kafka value.

`compose` builds the body when the event is stored. The relay's `chain` appends sequence and prevhash without changing
a byte of it. `parse` reads the value and refuses anything that our services do not write.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import PermanentError
from shared.events import EVENTS, Event
from shared.ids import new_id

GENESIS = "0" * 64
MAX_EVENT_BYTES = 256_000
#: Our own numbers count from 1. Beyond this MongoDB stores no integer.
MAX_NUMBER = 2**63 - 1

E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause of an event: the first request or read, the direct request or event, and the trace."""

    correlation_id: str
    causation_id: str
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it has a version in its stream. The id exists already, because sealing binds to it.

    `json`: the data exactly as the model would write them, for code that builds thousands of events without models;
    `data` then needs only its stream.
    """

    data: Event
    id: str
    json: bytes | None = None


def draft(data: Event) -> Draft:
    """A draft with a new id, for an event without sealed fields."""
    return Draft(data, new_id())


@dataclass(frozen=True, slots=True)
class Envelope(Generic[E_co]):
    """An event as stored. `sequence` and `prevhash` are None until the relay has chained it."""

    id: str
    type: str
    source: str
    time: datetime
    subject: str
    streamversion: int
    correlationid: str
    causationid: str
    traceparent: str | None
    sequence: int | None
    prevhash: str | None
    data: E_co

    @property
    def is_chained(self) -> bool:
        """Whether the relay gave the event a place in its service's chain."""
        return self.sequence is not None and self.prevhash is not None

    def cause(self) -> Cause:
        """The cause of events that follow from this one."""
        return Cause(self.correlationid, self.id, self.traceparent)


class UnknownEventType(Exception):
    """A valid envelope of a type that this version does not know. It is skipped and counted, never parked."""

    def __init__(self, head: "_Head") -> None:
        super().__init__(head.type)
        self.event_id = head.id
        self.source = head.source
        self.subject = head.subject
        self.streamversion = head.streamversion
        self.is_chained = head.is_chained


class _Head(BaseModel):
    """The CloudEvents attributes on the wire."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    specversion: str = Field(pattern=r"^1\.0$")
    id: str = Field(min_length=1, max_length=64)
    type: str = Field(min_length=1, max_length=64)
    source: str = Field(min_length=1, max_length=64)
    time: datetime
    subject: str = Field(min_length=1, max_length=120)
    streamversion: int = Field(ge=1, le=MAX_NUMBER)
    correlationid: str = Field(min_length=1, max_length=128)
    causationid: str = Field(min_length=1, max_length=128)
    traceparent: str | None = Field(default=None, max_length=64)
    sequence: int | None = Field(default=None, ge=1, le=MAX_NUMBER)
    prevhash: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    data: dict[str, Any]

    @property
    def is_chained(self) -> bool:
        """Whether the relay gave the event a place in its service's chain."""
        return self.sequence is not None and self.prevhash is not None


def compose(fact: Draft, *, source: str, version: int, time: datetime, cause: Cause) -> bytes:
    """The body of an event, without sequence and prevhash. Raises PermanentError above 256 kB."""
    record: dict[str, Any] = {
        "specversion": "1.0",
        "id": fact.id,
        "type": type(fact.data).__name__,
        "source": source,
        "time": time,
        "subject": fact.data.stream,
        "datacontenttype": "application/json",
        "dataschema": f"urn:safe-passage:{type(fact.data).__name__}:1",
        "streamversion": version,
        "correlationid": cause.correlation_id,
        "causationid": cause.causation_id,
    }
    if cause.traceparent:
        record["traceparent"] = cause.traceparent
    record["data"] = (
        fact.data.model_dump(mode="json", by_alias=True) if fact.json is None else orjson.Fragment(fact.json)
    )
    body = orjson.dumps(record, option=orjson.OPT_UTC_Z)
    if len(body) > MAX_EVENT_BYTES:
        raise PermanentError(f"{type(fact.data).__name__} of {len(body)} bytes is over {MAX_EVENT_BYTES}")
    return body


def chain(body: bytes, sequence: int, prevhash: str) -> bytes:
    """The final bytes: the body with its sequence in the service's chain and the hash of the event before it."""
    return b'%b,"sequence":%d,"prevhash":"%b"}' % (body[:-1], sequence, prevhash.encode("ascii"))


def digest(value: bytes) -> str:
    """SHA-256 of the final bytes in hex: the next event's prevhash."""
    return hashlib.sha256(value).hexdigest()


def parse(value: bytes | None) -> Envelope[Event]:
    """The event in a Kafka value.

    Raises PermanentError for null, bad UTF-8, bad JSON (also NaN and duplicate keys) and a wrong schema; raises
    UnknownEventType for a valid envelope of a type that is not in `shared.events`.
    """
    if value is None:
        raise PermanentError("null value")
    try:
        record = orjson.loads(value)
        # Our producers write what orjson writes. Another length means duplicate keys, which loads() hides.
        if len(orjson.dumps(record)) != len(value):
            raise PermanentError("not canonical JSON (duplicate keys or foreign formatting)")
        head = _Head.model_validate(record)
        event_class = EVENTS.get(head.type)
        if event_class is None:
            raise UnknownEventType(head)
        data = event_class.model_validate(head.data)
    except orjson.JSONDecodeError as error:
        raise PermanentError(f"not JSON: {error.msg}") from None
    except ValidationError as error:
        where = "; ".join(
            ".".join(str(part) for part in problem["loc"]) + ": " + problem["type"] for problem in error.errors()[:5]
        )
        raise PermanentError(f"schema: {where}") from None
    except orjson.JSONEncodeError:
        # orjson reads 1,024 levels and writes 254.
        raise PermanentError("nested too deeply") from None
    if data.stream != head.subject:
        raise PermanentError("subject and data name different streams")
    return Envelope(
        head.id, head.type, head.source, head.time, head.subject, head.streamversion, head.correlationid,
        head.causationid, head.traceparent, head.sequence, head.prevhash, data,
    )  # fmt: skip
