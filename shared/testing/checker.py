"""The checker compares a topic with the acknowledged commands and the stored state: docs/architecture.md, Guarantees.

Feed it every record of one topic in the order of `Reader.in_order`. Each question returns one sentence for each
violation: an empty list means that the promise holds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from shared.audit.chain import ChainVerifier
from shared.audit.reader import Reader, Record
from shared.envelope import Envelope, UnknownEventType, parse
from shared.errors import PermanentError
from shared.events import Event

S = TypeVar("S", bound=BaseModel)

#: fold(state before, event, when it happened, its version) -> state after
Fold = Callable[[S | None, Event, datetime, int], S]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The promise of a 2xx answer: this stream has at least `version` events."""

    stream: str
    version: int


@dataclass(slots=True)
class Checker:
    """The events of one topic. An identical duplicate counts once; a different one breaks the chain."""

    topic: str
    streams: dict[str, list[Envelope[Event]]] = field(default_factory=dict)
    _values: dict[str, bytes] = field(default_factory=dict)
    _verifier: ChainVerifier = field(init=False)

    def __post_init__(self) -> None:
        self._verifier = ChainVerifier(self.topic)

    def feed(self, record: Record) -> None:
        """Read the next record."""
        self._verifier.feed(record)
        try:
            envelope = parse(record.value)
        except (PermanentError, UnknownEventType):
            return  # the verifier reports it
        if envelope.id not in self._values:
            assert record.value is not None
            self._values[envelope.id] = record.value
            self.streams.setdefault(envelope.subject, []).append(envelope)

    def broken(self) -> list[str]:
        """Events that were altered, are missing, inserted or reordered; streams with a gap in their versions."""
        return [
            f"{finding.fault}: {finding.topic}/{finding.partition}@{finding.offset} {finding.detail}"
            for finding in self._verifier.findings()
        ]

    def lost(self, acknowledged: Iterable[Acknowledged]) -> list[str]:
        """Acknowledged commands whose events are not on the topic."""
        return [
            f"{promise.stream}: version {promise.version} was acknowledged, the topic has "
            f"{len(self.streams.get(promise.stream, []))} events"
            for promise in acknowledged
            if len(self.streams.get(promise.stream, [])) < promise.version
        ]

    def rewritten(self, stored: Mapping[str, bytes]) -> list[str]:
        """Events of the outbox (id → body) that are not on the topic, or stand there with other bytes.

        The relay inserts sequence and prevhash before the closing brace; everything before those is the body.
        """
        wrong = []
        for event_id, body in stored.items():
            value = self._values.get(event_id)
            if value is None:
                wrong.append(f"{event_id} is not on {self.topic}")
            elif not value.startswith(body.rstrip(b"}")):
                wrong.append(f"{event_id} stands on {self.topic} with other bytes than in the outbox")
        return wrong

    def unlike(self, fold: Fold[Any], stored: Mapping[str, Mapping[str, Any]], first_event: type[Event]) -> list[str]:
        """Aggregates (id → document) that are not the fold of their stream, which begins with a `first_event`."""
        folded: dict[str, tuple[int, dict[str, Any]]] = {}
        for stream, envelopes in self.streams.items():
            if not isinstance(envelopes[0].data, first_event):
                continue
            state: BaseModel | None = None
            for envelope in envelopes:
                state = fold(state, envelope.data, envelope.time, envelope.streamversion)
            assert state is not None
            folded[stream] = (envelopes[-1].streamversion, state.model_dump(mode="json", by_alias=True))
        wrong = [f"{stream} is on {self.topic} and not stored" for stream in folded.keys() - stored.keys()]
        wrong += [f"{stream} is stored and not on {self.topic}" for stream in stored.keys() - folded.keys()]
        for stream in folded.keys() & stored.keys():
            version, state_ = folded[stream]
            document = {key: value for key, value in stored[stream].items() if key != "_id"}
            if document != {"version": version, **state_}:
                differing = sorted(key for key in {*document, *state_} if document.get(key) != state_.get(key))
                wrong.append(f"{stream} is stored with other values than its events give: {', '.join(differing)}")
        return wrong


async def read_topic(bootstrap_servers: str, namespace: str, topic: str) -> Checker:
    """A checker with all events that the topic has now."""
    checker = Checker(topic)
    async with Reader(bootstrap_servers, namespace) as reader:
        async for record in reader.in_order([topic]):
            checker.feed(record)
    return checker
