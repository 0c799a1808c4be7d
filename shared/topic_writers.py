"""Which service writes which topic: one matrix, for subscribers, for the audit, and for the access rules of Kafka.

A topic belongs to one service, whose relay gives each of its events a place in one chain. A record from anybody else,
or without a place in the chain, is not an event of the service: nobody obeys it.
"""

from shared.errors import PermanentError
from shared.events import AdviceEvent, AlertEvent, ApprovalEvent, Event, RegistrationEvent

#: Topic → the service that writes it.
WRITERS: dict[str, str] = {
    ApprovalEvent.topic: "approval",
    RegistrationEvent.topic: "registration",
    AdviceEvent.topic: "safety",
    AlertEvent.topic: "notify",
}
#: Dead letters `<topic>.<service>.dlq` are written by the service that could not process the record.
DEAD_LETTERS = ".dlq"


class Untrusted(PermanentError):
    """A record that the writer of its topic did not publish. It is parked and never obeyed; the text says why."""


def writer_of(topic: str) -> str:
    """The service that may write a topic, also one with dead letters. Raises KeyError for an unknown topic."""
    if topic.endswith(DEAD_LETTERS):
        original, _, reader = topic.removesuffix(DEAD_LETTERS).rpartition(".")
        return reader if original in WRITERS else WRITERS[topic]
    return WRITERS[topic]


def source_of(service: str) -> str:
    """The `source` of a service's events."""
    return f"/{service}"


def check_origin(topic: str, source: str, event: type[Event] | None, *, is_chained: bool) -> None:
    """Raises Untrusted for a record of another source than the topic's writer, or without a place in its chain.

    `event`: its class, which must belong to this topic; None for a type that this version does not know.
    """
    expected = source_of(writer_of(topic))
    if source != expected:
        raise Untrusted(f"its source is not {expected}, which alone writes {topic}")
    if event is not None and event.topic != topic:
        raise Untrusted(f"{event.__name__} does not belong to {topic}")
    if not is_chained:
        raise Untrusted(f"it has no place in the chain of {expected}: the relay did not publish it")
