"""A record that the writer of its topic did not publish is parked and never obeyed, by any kind of subscription."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from shared.audit.affected import Affected
from shared.audit.chain import ChainVerifier, Fault
from shared.audit.evidence import Foreign, claims, read_trusted
from shared.audit.reader import Record
from shared.bus import parking
from shared.bus.log_end import highest_published_sequence
from shared.envelope import GENESIS, Cause, Draft, Envelope, chain, compose
from shared.events import EVENTS, AlertClosed, Event, PersonErased, RegistrationCancelled
from shared.ids import new_id
from shared.topic_writers import WRITERS, Untrusted, check_origin, source_of, writer_of
from tests.audit.log import START, Log
from tests.integration.bus_world import TOPIC, Side, prepare, publish, record, running, side, until

VICTIM = "r-1"
TOPICS = Path(__file__).resolve().parents[2] / "deploy" / "topics.yaml"


def forged(event: Event, source: str, *, is_chained: bool, key: str = VICTIM) -> tuple[bytes, bytes]:
    """Key and value of a record that no relay published."""
    body = compose(Draft(event, new_id()), source=source, version=1, time=START, cause=Cause("c", "c"))
    return key.encode(), chain(body, 9_999, GENESIS) if is_chained else body


ERASED = PersonErased(person_id="p", requested_by="x", confirmed_by=None, reason="request")
CANCELLED = RegistrationCancelled(registration_id=VICTIM, person_id="p", cancelled_by="p")


def forgeries() -> dict[str, tuple[bytes, bytes]]:
    """One record of each kind, most with the key of a stream that has events of its own."""
    unknown = orjson.loads(forged(CANCELLED, "/anybody", is_chained=True)[1]) | {"type": "Later", "streamversion": 999}
    return {
        "another source": forged(ERASED, "/anybody", is_chained=True),
        "another source, not chained": forged(CANCELLED, "/anybody", is_chained=False),
        "another service": forged(CANCELLED, "/notify", is_chained=True),
        "the right source, not chained": forged(ERASED, "/registration", is_chained=False),
        "an event of another topic": forged(AlertClosed(alert_id=VICTIM, closed_by="p", reason="x"), "/registration",
                                            is_chained=True),
        "an unknown type that skips the stream's versions": (VICTIM.encode(), orjson.dumps(unknown)),
    }  # fmt: skip


class Heard:
    """What a subscription of notify hands on, by one of the three kinds of subscription."""

    def __init__(self, notify: Side, kind: str) -> None:
        self.bus = notify.bus()
        self.events: list[tuple[str, int]] = []
        if kind == "handlers":
            self.bus.subscribe(TOPIC, {RegistrationCancelled: self._one, PersonErased: self._one})
        elif kind == "batches":
            self.bus.subscribe_in_batches(TOPIC, {RegistrationCancelled, PersonErased}, self._all)
        else:
            self.bus.project(TOPIC, self._all)

    async def _one(self, envelope: Envelope[Any]) -> None:
        await self._all([envelope])

    async def _all(self, envelopes: Sequence[Envelope[Any]]) -> None:
        self.events += [(envelope.subject, envelope.streamversion) for envelope in envelopes]


@pytest.mark.parametrize("kind", ["handlers", "batches", "projection"])
async def test_forged_records_are_parked_and_the_stream_goes_on(stack: Any, namespace: str, kind: str) -> None:
    """None is handed on, each is parked with its reason, requeued ones again; the victim's own events are handled."""
    await prepare(stack, namespace)
    notify = side(stack, namespace, "notify")
    heard, records = Heard(notify, kind), forgeries()
    await publish(stack, namespace, record(VICTIM, 1, 1), *records.values(), record(VICTIM, 2, 2))

    async with running(heard.bus):
        await until(lambda: {(VICTIM, 1), (VICTIM, 2)} <= set(heard.events))
        parked = await parking.listed(notify.database)
        await parking.requeue(notify.database, {})
        await until(lambda: _parked_again(notify, len(records)))
        (check,) = [check for check in await heard.bus.health() if check.name == f"subscription {TOPIC}"]

    assert set(heard.events) == {(VICTIM, 1), (VICTIM, 2)}
    assert [document["kind"] for document in parked] == ["Untrusted"] * len(records)
    assert all(document["reason"] and document["key"] == b"" for document in parked)
    assert check.facts["parked"] == len(records)
    assert not check.ok
    assert await heard.bus.parking.count_unknown(heard.bus.group(TOPIC)) == 0, "nobody is not assessable by it"
    notify.mongo.close()


async def _parked_again(notify: Side, count: int) -> bool:
    return len(await parking.listed(notify.database, {"state": parking.PARKED})) == count


async def test_forged_sequence_at_the_end_of_the_log_stops_no_start(stack: Any, namespace: str) -> None:
    """A service that starts compares its log with its own records alone, and passes over what cannot be read."""
    await prepare(stack, namespace)
    registration = side(stack, namespace, "registration")
    await publish(stack, namespace, record(VICTIM, 1, 7))
    await publish(stack, namespace, *(forged(ERASED, "/anybody", is_chained=True, key=f"k-{n}") for n in range(40)))
    nested = b"[" * 500 + b"]" * 500
    await publish(stack, namespace, *((f"k-{n}".encode(), nested) for n in range(0, 40, 2)))

    assert await highest_published_sequence(registration.settings, [TOPIC]) <= 7
    registration.mongo.close()


# ---------------------------------------------------------------- pure


def test_matrix_names_the_writer_of_every_declared_topic_and_of_every_event() -> None:
    """Topics, dead letters too, and events: none is without a writer, and a service writes one topic."""
    declared = [topic["name"] for topic in yaml.safe_load(TOPICS.read_text(encoding="utf-8"))["topics"]]

    assert {event.topic for event in EVENTS.values()} == set(WRITERS)
    assert len(set(WRITERS.values())) == len(WRITERS)
    writers = {topic: writer_of(topic) for topic in declared}
    assert set(writers.values()) == set(WRITERS.values())
    assert writers["travel.advice.v1.notify.dlq"] == "notify"


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.__name__)
def test_event_is_trusted_from_its_service_alone_on_its_topic_alone(event: type[Event]) -> None:
    """Every pair of topic and source but one is refused."""
    trusted = []
    for topic in WRITERS:
        for service in (*WRITERS.values(), "anybody"):
            try:
                check_origin(topic, source_of(service), event, is_chained=True)
            except Untrusted:
                continue
            trusted.append((topic, service))

    assert trusted == [(event.topic, WRITERS[event.topic])]


@pytest.mark.parametrize("kind", sorted(forgeries().keys() - {"an unknown type that skips the stream's versions"}))
def test_audit_names_a_forged_record_and_answers_without_it(kind: str) -> None:
    """`verify` reports it; the folds and the recomputation of who was affected do not use it."""
    log = Log(TOPIC)
    log.append(CANCELLED)
    key, value = forgeries()[kind]
    record_ = Record(TOPIC, 0, 1, key, value)
    verifier, affected = ChainVerifier(TOPIC), Affected(lambda country, place: None)
    for logged in (*log.records, record_):
        verifier.feed(logged)
        affected.feed(logged)

    faults = {finding.fault for finding in verifier.findings() if finding.offset == 1}

    assert faults & {Fault.FOREIGN, Fault.INSERTED}
    assert not affected._erased
    for read in (claims, read_trusted):
        with pytest.raises(Foreign):
            read(record_)
