"""The event contract: golden samples of every version for ever, schemas that only grow, AsyncAPI that does not lag."""

import contextlib
import inspect
import json
from datetime import datetime
from pathlib import Path

import orjson
import pytest
from cloudevents.v1.http import from_json
from hypothesis import given
from hypothesis import strategies as st

from shared import asyncapi, events
from shared.envelope import MAX_EVENT_BYTES, Cause, Draft, UnknownEventType, chain, compose, digest, parse
from shared.errors import PermanentError
from shared.events import EVENTS, AlertClosed, Event

SAMPLES = sorted(Path(__file__).parent.joinpath("events").glob("*.json"))


def test_events_page_is_the_registry() -> None:
    """Every event class on the page is in EVENTS, and nothing else."""
    classes = {
        name
        for name, thing in inspect.getmembers(events, inspect.isclass)
        if issubclass(thing, Event) and not thing.__name__.endswith("Event")
    }

    assert classes == set(EVENTS)


def test_events_every_field_is_described() -> None:
    """No field on the wire needs guessing: it has a description, or a type that is one."""
    plain = [
        f"{name}.{field}"
        for name, event in EVENTS.items()
        for field, info in event.model_fields.items()
        if not info.description and not isinstance(info.annotation, type)
    ]

    assert [field for field in plain if field.rsplit(".", 1)[1] not in _SELF_EXPLAINING] == []


_SELF_EXPLAINING = {"advice_version", "override_id", "hold_id", "answer", "via", "recipients", "entries"} | {
    "country", "alert_id", "task_id", "closed_by", "person_id"
}  # fmt: skip


def test_samples_cover_every_event() -> None:
    """Each event has a golden sample of its current version."""
    assert {path.name.split(".")[0] for path in SAMPLES} >= set(EVENTS)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_is_read_and_nothing_is_lost(path: Path) -> None:
    """A golden sample still validates, and every field of it is written back unchanged."""
    value = path.read_bytes()

    envelope = parse(value)

    written = orjson.loads(value)
    again = envelope.data.model_dump(mode="json", by_alias=True)
    assert _as_written(again, written["data"]) == written["data"]
    assert envelope.id == written["id"]


def _as_written(again: object, written: object) -> object:
    """The data as written now, without fields that were added after the sample."""
    if isinstance(again, dict) and isinstance(written, dict):
        return {key: _as_written(again[key], value) for key, value in written.items()}
    if isinstance(again, list) and isinstance(written, list) and len(again) == len(written):
        return [_as_written(*pair) for pair in zip(again, written, strict=True)]
    return again


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_is_a_cloudevent(path: Path) -> None:
    """The CloudEvents SDK, as an oracle, reads the same attributes."""
    event = from_json(path.read_bytes())

    envelope = parse(path.read_bytes())
    assert event["id"] == envelope.id
    assert event["type"] == envelope.type
    assert event["subject"] == envelope.subject
    assert event["streamversion"] == envelope.streamversion


def test_asyncapi_equals_the_code() -> None:
    """deploy/asyncapi.json is what `python -m shared.asyncapi` writes."""
    assert asyncapi.FILE.read_text(encoding="utf-8") == asyncapi.text()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_schema_only_grows(path: Path) -> None:
    """Within v1 nothing becomes required that an old sample lacks, and nothing it has goes away."""
    name = path.name.split(".")[0]
    schema = EVENTS[name].model_json_schema(mode="validation")
    sample = json.loads(path.read_bytes())["data"]

    assert set(schema.get("required", [])) <= set(sample)
    assert set(sample) <= set(schema["properties"])


def test_unknown_field_is_ignored_and_unknown_type_is_told_apart() -> None:
    """Consumers are tolerant: a newer producer's field is skipped; a type we do not know is not poison."""
    record = orjson.loads(_closed())
    record["data"]["addedLater"] = 1
    newer = orjson.dumps(record)
    record["type"] = "InventedLater"

    assert isinstance(parse(newer).data, AlertClosed)
    with pytest.raises(UnknownEventType):
        parse(orjson.dumps(record))


@pytest.mark.parametrize(
    "value",
    [
        None, b"", b"{", b"null", b"[]", b"1", b"\xff\xfe", b'{"a":NaN}', b'{"id":"1","id":"2"}', b"[" * 100_000,
        b'{"specversion":"1.0"}',
    ],
    ids=["null", "empty", "torn", "nothing", "list", "number", "utf8", "nan", "twice", "deep", "half"],
)  # fmt: skip
def test_parse_of_garbage_is_permanent(value: bytes | None) -> None:
    """Whatever is not an event is refused for good, with a reason."""
    with pytest.raises(PermanentError):
        parse(value)


def test_parse_error_does_not_quote_the_input() -> None:
    """A reason goes to the dead letters: it must not carry what stood in the event."""
    record = orjson.loads(_closed())
    record["data"]["closedBy"] = {"canary": "Student Canary"}

    with pytest.raises(PermanentError) as caught:
        parse(orjson.dumps(record))

    assert "anary" not in str(caught.value)


@given(st.binary(max_size=300))
def test_parse_of_any_bytes_raises_nothing_else(value: bytes) -> None:
    """Random bytes never raise anything but the two declared errors."""
    with contextlib.suppress(PermanentError, UnknownEventType):
        parse(value)


@given(st.integers(0, 2_000), st.integers(0, 255))
def test_parse_of_a_mutated_event_raises_nothing_else(position: int, byte: int) -> None:
    """One changed byte gives an event or a declared error."""
    value = bytearray(_closed())
    value[position % len(value)] = byte
    with contextlib.suppress(PermanentError, UnknownEventType):
        parse(bytes(value))


def test_chain_keeps_every_byte_of_the_body() -> None:
    """Sequence and prevhash are appended; the body before them is untouched."""
    body = _body()

    value = chain(body, 7, digest(b"before"))

    assert value.startswith(body[:-1])
    assert parse(value).sequence == 7
    assert parse(value).prevhash == digest(b"before")


def test_compose_refuses_what_is_too_large() -> None:
    """The size is bounded when the fact is written, not when Kafka refuses it."""
    fact = AlertClosed.model_construct(alert_id="ES-1", closed_by="p", reason="x" * MAX_EVENT_BYTES)

    with pytest.raises(PermanentError, match="256000"):
        compose(Draft(fact, "e-1"), source="/notify", version=1, time=_sample_time(), cause=Cause("c", "c"))


def _sample_time() -> datetime:
    return parse(SAMPLES[0].read_bytes()).time


def _body() -> bytes:
    fact = AlertClosed(alert_id="ES-1", closed_by="p-1", reason="é 🙂")
    return compose(Draft(fact, "e-1"), source="/notify", version=1, time=_sample_time(), cause=Cause("c", "c"))


def _closed() -> bytes:
    return chain(_body(), 1, "0" * 64)
