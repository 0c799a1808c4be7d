"""Deliveries: the state of one message to one person over one channel, and which state may follow which. Pure."""

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
    """The state of one message to one person over one channel, from the least knowledge to the most."""

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


_S = DeliveryState

#: Not delivered, as far as is known: the next escalation step need not wait.
FAILURES = frozenset({_S.TECHNICAL_FAILURE, _S.INVALID, _S.TEMPORARY_FAILURE, _S.FAILED})

#: From → to. An update without a transition is kept in the history and changes nothing else.
#: Receipts come late, twice and in any order, so a state gives way only to one that knows more: then the final state
#: does not depend on the order. The exception: an unknown delivery that was sent again may become unknown again.
TRANSITIONS: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    _S.CREATED: frozenset(
        {_S.CANCELLED, _S.UNKNOWN, _S.ACCEPTED, _S.PENDING, _S.SENT_NO_RECEIPT, _S.TECHNICAL_FAILURE, _S.INVALID,
         _S.TEMPORARY_FAILURE, _S.FAILED, _S.DELIVERED}
    ),
    _S.CANCELLED: frozenset(
        {_S.UNKNOWN, _S.ACCEPTED, _S.PENDING, _S.SENT_NO_RECEIPT, _S.TECHNICAL_FAILURE, _S.INVALID,
         _S.TEMPORARY_FAILURE, _S.FAILED, _S.DELIVERED}
    ),
    _S.UNKNOWN: frozenset(
        {_S.UNKNOWN, _S.ACCEPTED, _S.PENDING, _S.SENT_NO_RECEIPT, _S.TECHNICAL_FAILURE, _S.INVALID,
         _S.TEMPORARY_FAILURE, _S.FAILED, _S.DELIVERED}
    ),
    _S.ACCEPTED: frozenset(
        {_S.PENDING, _S.SENT_NO_RECEIPT, _S.TECHNICAL_FAILURE, _S.INVALID, _S.TEMPORARY_FAILURE, _S.FAILED,
         _S.DELIVERED}
    ),
    _S.PENDING: frozenset(
        {_S.SENT_NO_RECEIPT, _S.TECHNICAL_FAILURE, _S.INVALID, _S.TEMPORARY_FAILURE, _S.FAILED, _S.DELIVERED}
    ),
    _S.SENT_NO_RECEIPT: frozenset(
        {_S.TECHNICAL_FAILURE, _S.INVALID, _S.TEMPORARY_FAILURE, _S.FAILED, _S.DELIVERED}
    ),
    _S.TECHNICAL_FAILURE: frozenset({_S.INVALID, _S.TEMPORARY_FAILURE, _S.FAILED, _S.DELIVERED}),
    _S.INVALID: frozenset({_S.TEMPORARY_FAILURE, _S.FAILED, _S.DELIVERED}),
    _S.TEMPORARY_FAILURE: frozenset({_S.FAILED, _S.DELIVERED}),
    _S.FAILED: frozenset({_S.DELIVERED}),
    _S.DELIVERED: frozenset(),
}  # fmt: skip

#: The state that an event of each kind reports.
OUTCOMES: Mapping[type[Event], DeliveryState] = {
    NotificationsAccepted: DeliveryState.ACCEPTED,
    NotificationsDelivered: DeliveryState.DELIVERED,
    NotificationsFailed: DeliveryState.FAILED,
    NotificationsUnknown: DeliveryState.UNKNOWN,
}

#: The finer state that `detail` of an entry may report, by event; any other detail leaves the event's own state.
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
    """The step in a delivery's id."""
    return int(delivery.rpartition(":")[2])


def reference(delivery: str) -> str:
    """Our reference for a provider: 32 hex digits, the same at every attempt, from which nobody can be identified."""
    return hashlib.sha256(delivery.encode()).hexdigest()[:32]


#: What send workers and lookups record of a message that left; what receipts report of one that a provider took.
_OUR_RECORDS = frozenset({DeliveryState.UNKNOWN, DeliveryState.ACCEPTED, DeliveryState.SENT_NO_RECEIPT})
_RECEIPTS = frozenset({DeliveryState.PENDING, DeliveryState.DELIVERED})

#: Status changes kept of one delivery: a provider may repeat itself without end.
HISTORY_LIMIT = 32


class StatusUpdate(NamedTuple):
    """What one event reports of one delivery."""

    delivery_id: str
    person_id: str | None
    registration_id: str | None
    channel: Channel
    state: DeliveryState
    at: datetime
    reason: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One entry of a delivery's history; `counted` is false where TRANSITIONS has no such transition."""

    event_id: str
    state: DeliveryState
    at: datetime
    reason: str
    counted: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one person over one channel, folded from outcome events.

    `resends`: how often it was sent again after it was unknown. `unknown_since`: only while it is still to be resolved.
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

    @property
    def handed_over_at(self) -> datetime | None:
        """When a provider first took the message, or may have taken it; None: never, as far as we know.

        By our own clock, where we recorded the attempt; a receipt alone has the provider's time.
        """
        ours = [change.at for change in self.history if change.state in _OUR_RECORDS]
        receipts = [change.at for change in self.history if change.state in _RECEIPTS]
        return min(ours or receipts, default=None)

    def apply(self, event_id: str, update: StatusUpdate) -> "Delivery":
        """The delivery after an update; the delivery itself when this event is in its history already."""
        if any(change.event_id == event_id for change in self.history):
            return self
        state = update.state
        counted = state in TRANSITIONS[self.state]
        history = (*self.history, StatusChange(event_id, state, update.at, update.reason, counted))
        if len(history) > HISTORY_LIMIT:
            # The oldest change that did not count is dropped first: those that counted explain the state.
            dropped = next((index for index, change in enumerate(history) if not change.counted), 0)
            history = history[:dropped] + history[dropped + 1 :]
        unknown_since = self.unknown_since
        if counted:
            unknown_since = update.at if state is DeliveryState.UNKNOWN else None
        return Delivery(
            self.delivery_id, self.alert_id, self.shard, self.person_id, self.registration_id, self.channel,
            state if counted else self.state, max(self.attempts, update.attempt), self.resends, unknown_since, history,
        )  # fmt: skip


def state_of_entry(event: type[Event], detail: str) -> DeliveryState:
    """The state that an entry of an outcome event reports."""
    return DETAILS.get(event, {}).get(detail, OUTCOMES[event])


def status_updates(event: OutcomeEvent) -> list[StatusUpdate]:
    """What an outcome event reports, delivery by delivery."""
    kind = type(event)
    return [
        StatusUpdate(
            entry.delivery_id, entry.person_id, entry.registration_id, entry.channel,
            state_of_entry(kind, entry.detail), entry.at, entry.reason, entry.attempt,
        )
        for entry in event.entries
    ]  # fmt: skip


def apply_outcome_event(event_id: str, event: OutcomeEvent, deliveries: Mapping[str, Delivery]) -> list[Delivery]:
    """The deliveries that the event changes, after it. One that is not in `deliveries` was created until now."""
    changed = []
    for update in status_updates(event):
        before = deliveries.get(update.delivery_id) or Delivery(
            update.delivery_id, event.alert_id, event.shard, update.person_id, update.registration_id, update.channel,
            DeliveryState.CREATED,
        )  # fmt: skip
        after = before.apply(event_id, update)
        if after is not before:
            changed.append(after)
    return changed
