"""The state of one message to one person over one channel, and which status may follow which."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from shared.events import (
    Channel,
    Event,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    NotificationsUnknown,
    OutcomeEvent,
)


class DeliveryState(StrEnum):
    """What is known of one message to one person over one channel."""

    CREATED = "created"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    PENDING = "pending"
    SENT_NO_RECEIPT = "sent_no_receipt"
    TECHNICAL_FAILURE = "technical_failure"
    INVALID = "invalid"
    TEMPORARY_FAILURE = "temporary_failure"
    FAILED = "failed"
    DELIVERED = "delivered"


#: Definitely not delivered, as far as anybody knows: the next step of the ladder need not wait.
FAILURES = frozenset(
    {
        DeliveryState.TECHNICAL_FAILURE,
        DeliveryState.INVALID,
        DeliveryState.TEMPORARY_FAILURE,
        DeliveryState.FAILED,
    }
)

#: How much each state knows: what is said later in this list is not taken back by what stands before it.
_KNOWING = tuple(DeliveryState)

#: From → to. What is not here is kept in the history and changes nothing: receipts come late, twice and in any order.
#: Only upwards, so that the end does not depend on the order; unknown may become unknown again (sent again).
TRANSITIONS: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    state: frozenset(_KNOWING[number + 1 :]) | ({state} & {DeliveryState.UNKNOWN})
    for number, state in enumerate(_KNOWING)
}

OUTCOMES: Mapping[type[Event], DeliveryState] = {
    NotificationsAccepted: DeliveryState.ACCEPTED,
    NotificationsDelivered: DeliveryState.DELIVERED,
    NotificationsFailed: DeliveryState.FAILED,
    NotificationsUnknown: DeliveryState.UNKNOWN,
}

#: What an event of each kind may say more exactly in an entry's `detail`; anything else is as if nothing were said.
DETAILS: Mapping[type[Event], Mapping[str, DeliveryState]] = {
    NotificationsAccepted: {
        "pending": DeliveryState.PENDING,
        "no_receipt": DeliveryState.SENT_NO_RECEIPT,
    },
    NotificationsFailed: {
        "temporary": DeliveryState.TEMPORARY_FAILURE,
        "technical": DeliveryState.TECHNICAL_FAILURE,
        "invalid": DeliveryState.INVALID,
        "cancelled": DeliveryState.CANCELLED,
    },
}


def delivery_id(alert_id: str, who: str, channel: Channel, step: int = 1) -> str:
    """R27: one message per (alert, person, channel, step)."""
    return f"{alert_id}:{who}:{channel.value}:{step}"


def step_of(delivery: str) -> int:
    """The step of a delivery's id."""
    return int(delivery.rpartition(":")[2])


def reference(delivery: str) -> str:
    """What a provider gets as our reference: 32 hex digits, the same at every attempt, and nothing to learn from."""
    return hashlib.sha256(delivery.encode()).hexdigest()[:32]


#: Of what was said of a delivery so much is kept: a provider may say the same for ever.
HISTORY_LIMIT = 32


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One thing that was said of a delivery; `counted` is false where the table has no such transition."""

    event_id: str
    state: DeliveryState
    at: datetime
    reason: str
    counted: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one person over one channel: the fold of what was said of it.

    `resends`: how often it was sent again after unknown. `unknown_since` is None when it is not, or no longer, to be
    resolved.
    """

    delivery_id: str
    alert_id: str
    shard: int
    person_id: str | None
    registration_id: str | None
    channel: Channel
    state: DeliveryState
    attempts: int = 0
    resends: int = 0
    unknown_since: datetime | None = None
    history: tuple[StatusChange, ...] = ()

    def after(self, event_id: str, state: DeliveryState, at: datetime, reason: str, attempt: int) -> "Delivery":
        """The delivery after something was said of it; the same event twice changes nothing."""
        if any(turn.event_id == event_id for turn in self.history):
            return self
        counted = state in TRANSITIONS[self.state]
        turn = StatusChange(event_id, state, at, reason, counted)
        history = (*self.history, turn)
        if len(history) > HISTORY_LIMIT:
            # What did not count goes first: what counted says how it came to be as it is.
            idle = next((number for number, each in enumerate(history) if not each.counted), 0)
            history = history[:idle] + history[idle + 1 :]
        unknown_since = self.unknown_since
        if counted:
            unknown_since = at if state is DeliveryState.UNKNOWN else None
        return Delivery(
            self.delivery_id, self.alert_id, self.shard, self.person_id, self.registration_id, self.channel,
            state if counted else self.state, max(self.attempts, attempt), self.resends, unknown_since, history,
        )  # fmt: skip


class StatusUpdate(NamedTuple):
    """What one fact says of one delivery."""

    delivery_id: str
    person_id: str | None
    registration_id: str | None
    channel: Channel
    state: DeliveryState
    at: datetime
    reason: str
    attempt: int


def state_of_entry(event: type[Event], detail: str) -> DeliveryState:
    """The state that an entry of an outcome event speaks of."""
    return DETAILS.get(event, {}).get(detail, OUTCOMES[event])


def status_updates(event: OutcomeEvent) -> list[StatusUpdate]:
    """What an outcome event says, delivery by delivery."""
    kind = type(event)
    return [
        StatusUpdate(
            each.delivery_id, each.person_id, each.registration_id, each.channel, state_of_entry(kind, each.detail),
            each.at, each.reason, each.attempt,
        )
        for each in event.entries
    ]  # fmt: skip


def outcomes(event_id: str, event: OutcomeEvent, known: Mapping[str, Delivery]) -> list[Delivery]:
    """The deliveries after an outcome event; those it does not change are not in the answer."""
    changed = []
    for each in status_updates(event):
        former = known.get(each.delivery_id) or Delivery(
            each.delivery_id, event.alert_id, event.shard, each.person_id, each.registration_id, each.channel,
            DeliveryState.CREATED,
        )  # fmt: skip
        after = former.after(event_id, each.state, each.at, each.reason, each.attempt)
        if after is not former:
            changed.append(after)
    return changed
