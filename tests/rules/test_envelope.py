"""The envelope of an event: its refusals, its place in the chain, and which cause is which."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from shared.envelope import (
    GENESIS,
    MAX_EVENT_BYTES,
    Cause,
    Draft,
    UnknownEventType,
    chain,
    compose,
    digest,
    parse,
)
from shared.errors import PermanentError
from shared.events import AlertClosed

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
CAUSE = Cause("first-request", "direct-cause", "00-trace-01")
FACT = AlertClosed(alert_id="ES-1", closed_by="officer", reason="over")


def body(fact: AlertClosed = FACT, **changes: Any) -> bytes:
    """The body of an event, with changed attributes."""
    composed = compose(Draft(fact, "event-1"), source="/notify", version=3, time=NOW, cause=CAUSE)
    return orjson.dumps(orjson.loads(composed) | changes) if changes else composed


def test_event_is_read_as_it_was_composed() -> None:
    """Each attribute in its own place; the next event names this one as its direct cause."""
    envelope = parse(chain(body(), 7, digest(b"before")))

    assert (envelope.id, envelope.source, envelope.subject, envelope.time) == ("event-1", "/notify", "ES-1", NOW)
    assert (envelope.streamversion, envelope.sequence, envelope.prevhash) == (3, 7, digest(b"before"))
    assert (envelope.correlationid, envelope.causationid) == ("first-request", "direct-cause")
    assert (envelope.type, envelope.data) == ("AlertClosed", FACT)
    assert envelope.cause() == Cause("first-request", "event-1", "00-trace-01")
    elsewhere = NOW.astimezone(timezone(timedelta(hours=2)))
    late = compose(Draft(FACT, "event-1"), source="/notify", version=3, time=elsewhere, cause=Cause("c", "c"))
    assert parse(late).time == NOW
    assert parse(late).traceparent is None
    assert b'"time":"2026-03-01T09:00:00Z"' in body()


@pytest.mark.parametrize("event_type", ["AlertClosed", "InventedLater"])
def test_event_is_chained_when_it_has_both_a_sequence_and_a_hash(event_type: str) -> None:
    """A record with one of them was not published by a relay: it must not count as a service's own."""
    for link, is_chained in (
        ({"sequence": 1, "prevhash": GENESIS}, True), ({"sequence": 1}, False), ({"prevhash": GENESIS}, False),
        ({}, False),
    ):  # fmt: skip
        value = body(type=event_type, **link)
        try:
            read: Any = parse(value)
        except UnknownEventType as unknown:
            read = unknown
        assert (read.source, read.subject, read.streamversion) == ("/notify", "ES-1", 3)
        assert read.is_chained == is_chained, link


def test_what_our_services_never_write_is_refused() -> None:
    """Everything about the event is right but one thing; the same event without it is read."""
    good = chain(body(), 1, GENESIS)
    parse(good)
    bad = {
        "a key twice": good.replace(b'"streamversion":3', b'"streamversion":3,"streamversion":3'),
        "white space": good.replace(b'"streamversion":3', b'"streamversion": 3'),
        "nested too deeply to be read": good.replace(b'"over"', b"[" * 2_000 + b"]" * 2_000),
        "nested too deeply to be written": good.replace(b'"over"', b"[" * 500 + b"]" * 500),
        "another stream": good.replace(b'"subject":"ES-1"', b'"subject":"ES-2"'),
        "version 0": good.replace(b'"streamversion":3', b'"streamversion":0'),
        "sequence 0": good.replace(b'"sequence":1', b'"sequence":0'),
        "a number beyond MongoDB's": good.replace(b'"sequence":1', b'"sequence":%d' % (2**63)),
        "a short hash": good.replace(GENESIS.encode(), GENESIS[1:].encode()),
        "a hash in capitals": good.replace(GENESIS.encode(), b"A" * 64),
        "another specification": good.replace(b'"specversion":"1.0"', b'"specversion":"1.01"'),
        "no id": good.replace(b'"id":"event-1"', b'"id":""'),
    }

    accepted = []
    for name, value in bad.items():
        assert value != good, name
        try:
            parse(value)
            accepted.append(name)
        except PermanentError:
            continue
    assert accepted == []
    assert parse(good.replace(b'"sequence":1', b'"sequence":%d' % (2**63 - 1))).sequence == 2**63 - 1


def test_largest_event_is_exactly_as_large_as_the_limit() -> None:
    """One byte more is refused when the event is written."""

    def of_length(reason: int) -> bytes:
        return body(AlertClosed.model_construct(alert_id="ES-1", closed_by="officer", reason="x" * reason))

    rest = len(of_length(0))
    assert len(of_length(MAX_EVENT_BYTES - rest)) == MAX_EVENT_BYTES
    with pytest.raises(PermanentError, match=f"{MAX_EVENT_BYTES + 1} bytes"):
        of_length(MAX_EVENT_BYTES - rest + 1)
