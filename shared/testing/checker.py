"""The checker: holds what is on the topics against what was acknowledged, and against what is kept (DESIGN §9).

Feed it every record of one topic in the order of `Reader.in_order`; each question answers with sentences, one for
everything that is wrong: an empty list is a promise kept.
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

#: fold(state before, fact, when it happened, its version) -> state after
Fold = Callable[[S | None, Event, datetime, int], S]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a 2xx promised: this stream has at least so many events."""

    stream: str
    version: int


@dataclass(slots=True)
class Checker:
    """Everything on one topic. An identical duplicate counts once; another one is a broken chain."""

    topic: str
    streams: dict[str, list[Envelope[Event]]] = field(default_factory=dict)
    _values: dict[str, bytes] = field(default_factory=dict)
    _verifier: ChainVerifier = field(init=False)

    def __post_init__(self) -> None:
        self._verifier = ChainVerifier(self.topic)

    def feed(self, record: Record) -> None:
        """Take the next record."""
        self._verifier.feed(record)
        try:
            envelope = parse(record.value)
        except (PermanentError, UnknownEventType):
            return  # the verifier names it
        if envelope.id not in self._values:
            assert record.value is not None
            self._values[envelope.id] = record.value
            self.streams.setdefault(envelope.subject, []).append(envelope)

    def broken(self) -> list[str]:
        """The chain: altered, missing, inserted or reordered events; versions of a stream that do not count up."""
        return [
            f"{finding.fault}: {finding.topic}/{finding.partition}@{finding.offset} {finding.detail}"
            for finding in self._verifier.findings()
        ]

    def lost(self, acknowledged: Iterable[Acknowledged]) -> list[str]:
        """Commands that were answered with 2xx and are not on the topic."""
        return [
            f"{each.stream}: version {each.version} was acknowledged, {len(self.streams.get(each.stream, []))} there"
            for each in acknowledged
            if len(self.streams.get(each.stream, [])) < each.version
        ]

    def rewritten(self, kept: Mapping[str, bytes]) -> list[str]:
        """Events of the outbox (id to body) that are not on the topic, or there with other bytes.

        The relay appends its place in the chain inside the closing brace; everything before it is the body.
        """
        wrong = []
        for event_id, body in kept.items():
            value = self._values.get(event_id)
            if value is None:
                wrong.append(f"{event_id} is not on {self.topic}")
            elif not value.startswith(body.rstrip(b"}")):
                wrong.append(f"{event_id} stands on {self.topic} with other bytes than in the outbox")
        return wrong

    def unlike(self, fold: Fold[Any], kept: Mapping[str, Mapping[str, Any]], holds: type[Event]) -> list[str]:
        """Aggregates (id to document) that are not the fold of their stream; such a stream begins with a `holds`."""
        folded: dict[str, tuple[int, dict[str, Any]]] = {}
        for stream, envelopes in self.streams.items():
            if not isinstance(envelopes[0].data, holds):
                continue
            state: BaseModel | None = None
            for each in envelopes:
                state = fold(state, each.data, each.time, each.streamversion)
            assert state is not None
            folded[stream] = (envelopes[-1].streamversion, state.model_dump(mode="json", by_alias=True))
        wrong = [f"{stream} is on {self.topic} and not kept" for stream in folded.keys() - kept.keys()]
        wrong += [f"{stream} is kept and not on {self.topic}" for stream in kept.keys() - folded.keys()]
        for stream in folded.keys() & kept.keys():
            version, state_ = folded[stream]
            document = {key: value for key, value in kept[stream].items() if key != "_id"}
            if document != {"version": version, **state_}:
                differing = sorted(key for key in {*document, *state_} if document.get(key) != state_.get(key))
                wrong.append(f"{stream} is kept otherwise than its events say: {', '.join(differing)}")
        return wrong


async def read_topic(bootstrap_servers: str, namespace: str, topic: str) -> Checker:
    """A checker that was fed with the whole topic, as far as it goes now."""
    checker = Checker(topic)
    async with Reader(bootstrap_servers, namespace) as reader:
        async for record in reader.in_order([topic]):
            checker.feed(record)
    return checker
