"""Rebuilds notify's deliveries, which notify stores in pages."""

from collections.abc import AsyncIterator, Mapping

from services.notify.model.deliveries import HISTORY_LIMIT, Delivery, DeliveryState, StatusChange, apply_outcome_event
from services.notify.store.deliveries import deliveries_of
from services.passage.projections.projection import Comparable, DocumentProjection, as_kept, by_group
from shared.audit.evidence import Evidence
from shared.events import Channel, Event, OutcomeEvent
from shared.mongo.client import Collection, Document


def _of_deliveries(evidence: Evidence) -> Mapping[str, Event]:
    event = evidence.data
    if not isinstance(event, OutcomeEvent):
        return {}
    group = f"{event.alert_id}:{event.shard}"
    return {
        f"{group}:{entry.channel.value}#{entry.delivery_id}": event.model_copy(update={"entries": (entry,)})
        for entry in event.entries
    }


def _delivery(former: Document | None, evidence: Evidence, fact: Event) -> Document:
    assert isinstance(fact, OutcomeEvent)
    (entry,) = fact.entries
    known = {} if former is None else {entry.delivery_id: _as_delivery(former)}
    after = next(iter(apply_outcome_event(evidence.id, fact, known)), known.get(entry.delivery_id))
    assert after is not None
    return _as_document(after)


def _as_document(delivery: Delivery) -> Document:
    return {
        "deliveryId": delivery.delivery_id,
        "alertId": delivery.alert_id,
        "shard": delivery.shard,
        "personId": delivery.person_id,
        "registrationId": delivery.registration_id,
        "channel": delivery.channel.value,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "history": [
            [change.event_id, change.state.value, change.at, change.reason, change.counted]
            for change in delivery.history
        ],
    }


def _as_delivery(kept: Document) -> Delivery:
    history = tuple(StatusChange(event, DeliveryState(state), at, *rest) for event, state, at, *rest in kept["history"])
    return Delivery(
        kept["deliveryId"], kept["alertId"], kept["shard"], kept["personId"], kept["registrationId"],
        Channel(kept["channel"]), DeliveryState(kept["state"]), kept["attempts"], history=history,
    )  # fmt: skip


def _comparable_delivery(document: Document) -> Comparable:
    """Without the number of resends, and with a history that does not depend on the order of folding."""
    said = sorted(f"{event} {state}" for event, state, *_ in document["history"])
    if len(said) >= HISTORY_LIMIT:
        said = []  # which entries a full history dropped depends on the order of folding
    return {"said": said, **{name: value for name, value in document.items() if name not in ("_id", "history")}}


async def _pages(collection: Collection) -> AsyncIterator[tuple[str, Mapping[str, Document]]]:
    async for page in as_kept(collection):
        documents = {name: _as_document(delivery) for name, delivery in deliveries_of(page).items()}
        yield str(page["_id"]).partition("#")[0], documents


def _deliveries(collection: Collection) -> AsyncIterator[Document]:
    """The pages of one alert, shard and channel are adjacent, so they form a group."""
    return by_group(_pages(collection))


DELIVERIES = DocumentProjection(_of_deliveries, _delivery, _comparable_delivery, _deliveries)
