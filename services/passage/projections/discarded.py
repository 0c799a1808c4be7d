"""Rebuilds which parked records an operator discarded. The parked ones are no facts: Kafka's dead letters hold them."""

from collections.abc import AsyncIterator, Mapping

from services.passage.projections.projection import DocumentProjection
from shared.audit.evidence import Evidence
from shared.bus.parking import DISCARDED
from shared.events import DiscardEvent, RecordDiscardedByNotify, RecordDiscardedByRegistration
from shared.mongo.client import Collection, Document


def _place(topic: str, partition: int, offset: int) -> str:
    return f"{topic}|{partition}|{offset}"


def _discarded(_: Document | None, __: Evidence, fact: DiscardEvent) -> Document:
    return {"by": fact.discarded_by, "reason": fact.reason, "kind": fact.kind}


async def _live(collection: Collection) -> AsyncIterator[Document]:
    """The discarded records by their place in Kafka: the id is prefixed with the consumer group."""
    documents = [
        {
            "_id": _place(document["topic"], document["partition"], document["offset"]),
            "by": document["discardedBy"],
            "reason": document["discardReason"],
            "kind": document["kind"],
        }
        async for document in collection.find({"state": DISCARDED})
    ]
    for document in sorted(documents, key=lambda found: str(found["_id"])):
        yield document


def _of(event: type[DiscardEvent]) -> DocumentProjection:
    def changes(evidence: Evidence) -> Mapping[str, DiscardEvent]:
        fact = evidence.data
        if not isinstance(fact, event):
            return {}
        return {_place(fact.record_topic, fact.partition, fact.offset): fact}

    return DocumentProjection(changes, _discarded, live=_live)


DISCARDED_BY_NOTIFY = _of(RecordDiscardedByNotify)
DISCARDED_BY_REGISTRATION = _of(RecordDiscardedByRegistration)
