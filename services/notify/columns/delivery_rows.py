"""Deliveries as rows of JSON, hundreds in one document (docs/decisions/0015-deliveries-in-pages.md).

A row becomes a `Delivery` only where it is read or changed; `tests/rules/test_delivery_rows.py` compares the two.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from services.notify.channel_spec import CHANNELS
from services.notify.model.deliveries import Delivery, DeliveryState, StatusChange, StatusUpdate
from shared.events import Channel

#: One delivery: a value for each column below. Times are seconds since 1970. A status change in the last column is
#: event id, state, time, reason, counted.
DeliveryRow = list[Any]
DELIVERY_ID, PERSON_ID, REGISTRATION_ID, STATE, ATTEMPTS, RESENDS, UNKNOWN_SINCE, HISTORY = range(8)

_STATES = {state.value: state for state in DeliveryState}
_AWAITING_RECEIPT = frozenset({DeliveryState.ACCEPTED.value, DeliveryState.PENDING.value})


class DeliveryPageKey(NamedTuple):
    """Which deliveries share pages: those of one alert, shard and channel."""

    alert_id: str
    shard: int
    channel: Channel


def encode_rows(rows: Iterable[DeliveryRow]) -> bytes:
    """Rows as they are stored."""
    return orjson.dumps(list(rows))


def decode_rows(stored: bytes) -> dict[str, DeliveryRow]:
    """Delivery id → row, in stored order."""
    return {row[DELIVERY_ID]: row for row in orjson.loads(stored)}


def first_row(event_id: str, update: StatusUpdate) -> DeliveryRow:
    """The row of a delivery with its first update: any update of a created delivery counts (`Delivery.apply`)."""
    state, at = update.state.value, update.at.timestamp()
    return [
        update.delivery_id, update.person_id, update.registration_id, state, update.attempt, 0,
        at if update.state is DeliveryState.UNKNOWN else None, [[event_id, state, at, update.reason, True]],
    ]  # fmt: skip


def encode(delivery: Delivery) -> DeliveryRow:
    """The row of a delivery; what it shares with others stands in the page's key."""
    history = [
        [change.event_id, change.state.value, change.at.timestamp(), change.reason, change.counted]
        for change in delivery.history
    ]
    unknown_since = delivery.unknown_since.timestamp() if delivery.unknown_since else None
    return [
        delivery.delivery_id, delivery.person_id, delivery.registration_id, delivery.state.value, delivery.attempts,
        delivery.resends, unknown_since, history,
    ]  # fmt: skip


def decode(key: DeliveryPageKey, row: DeliveryRow) -> Delivery:
    """The delivery in a row of a page."""
    alert_id, shard, channel = key
    delivery_id, person_id, registration_id, state, attempts, resends, unknown_since, changes = row
    history = tuple(
        StatusChange(event_id, _STATES[changed_to], datetime.fromtimestamp(at, UTC), reason, counted)
        for event_id, changed_to, at, reason, counted in changes
    )
    return Delivery(
        delivery_id, alert_id, shard, person_id, registration_id, channel, _STATES[state], attempts, resends,
        instant(unknown_since), history,
    )  # fmt: skip


def instant(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as a time."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def awaiting_receipt_since(channel: Channel, row: DeliveryRow) -> float | None:
    """Since when a message waits for its receipt, in seconds since 1970; None when it does not."""
    if row[STATE] not in _AWAITING_RECEIPT or not CHANNELS[channel].has_receipts:
        return None
    return next((at for _, state, at, _, counted in row[HISTORY] if counted and state in _AWAITING_RECEIPT), None)
