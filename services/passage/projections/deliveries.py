"""Notify: deliveries, page by page."""

from collections.abc import AsyncIterator, Mapping

from services.notify.model.deliveries import HISTORY_LIMIT, Delivery, DeliveryState, StatusChange, apply_outcome_event
from services.notify.store.deliveries import deliveries_of
from services.passage.projections.projection import Comparable, Item, as_kept, by_place
from shared.audit.evidence import Evidence
from shared.events import Channel, Event, OutcomeEvent
from shared.mongo.client import Collection, Document


def _of_deliveries(evidence: Evidence) -> Mapping[str, Event]:
    event = evidence.data
    if not isinstance(event, OutcomeEvent):
        return {}
    where = f"{event.alert_id}:{event.shard}"
    return {
        f"{where}:{entry.channel.value}#{entry.delivery_id}": event.model_copy(update={"entries": (entry,)})
        for entry in event.entries
    }


def _delivery(former: Document | None, evidence: Evidence, fact: Event) -> Document:
    assert isinstance(fact, OutcomeEvent)
    (entry,) = fact.entries
    known = {} if former is None else {entry.delivery_id: _as_delivery(former)}
    after = next(iter(apply_outcome_event(evidence.id, fact, known)), known.get(entry.delivery_id))
    assert after is not None
    return _as_document(after)


def _as_document(each: Delivery) -> Document:
    return {
        "deliveryId": each.delivery_id,
        "alertId": each.alert_id,
        "shard": each.shard,
        "personId": each.person_id,
        "registrationId": each.registration_id,
        "channel": each.channel.value,
        "state": each.state.value,
        "attempts": each.attempts,
        "history": [[turn.event_id, turn.state.value, turn.at, turn.reason, turn.counted] for turn in each.history],
    }


def _as_delivery(kept: Document) -> Delivery:
    history = tuple(StatusChange(event, DeliveryState(state), at, *rest) for event, state, at, *rest in kept["history"])
    return Delivery(
        kept["deliveryId"], kept["alertId"], kept["shard"], kept["personId"], kept["registrationId"],
        Channel(kept["channel"]), DeliveryState(kept["state"]), kept["attempts"], history=history,
    )  # fmt: skip


def _delivery_alone(document: Document) -> Comparable:
    """Without how often the engine sent it again, and with what was said whatever the order it was folded in."""
    said = sorted(f"{event} {state}" for event, state, *_ in document["history"])
    if len(said) >= HISTORY_LIMIT:
        said = []  # what was forgotten depends on the order
    return {"said": said, **{name: value for name, value in document.items() if name not in ("_id", "history")}}


async def _pages(collection: Collection) -> AsyncIterator[tuple[str, Mapping[str, Document]]]:
    async for page in as_kept(collection):
        here = {name: _as_document(each) for name, each in deliveries_of(page).items()}
        yield str(page["_id"]).partition("#")[0], here


def _deliveries(collection: Collection) -> AsyncIterator[Document]:
    """All pages of an alert's shard and channel follow one another."""
    return by_place(_pages(collection))


DELIVERIES = Item(_of_deliveries, _delivery, _delivery_alone, _deliveries)
