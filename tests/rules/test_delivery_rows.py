"""Rows of deliveries: decoding reverses encoding, and a first row is that of a delivery with one update."""

from datetime import timedelta

import pytest

from services.notify.columns.delivery_rows import (
    DeliveryPageKey,
    awaiting_receipt_since,
    decode,
    decode_rows,
    encode,
    encode_rows,
    first_row,
)
from services.notify.model.deliveries import TRANSITIONS, Delivery, DeliveryState, StatusUpdate
from shared.events import Channel
from tests.rules.notify_world import NOW

KEY = DeliveryPageKey("ES-2", 7, Channel.SMS)
A, U, D = DeliveryState.ACCEPTED, DeliveryState.UNKNOWN, DeliveryState.DELIVERED


def update(state: DeliveryState, minutes: int = 0, person: str = "p1") -> StatusUpdate:
    """What an event reports of a delivery."""
    at = NOW + timedelta(minutes=minutes, microseconds=123_456)
    return StatusUpdate(f"ES-2:{person}:sms:1", person, "r1", Channel.SMS, state, at, "250 Ok", 2)


def created(person: str = "p1") -> Delivery:
    """A delivery before any update."""
    return Delivery(f"ES-2:{person}:sms:1", "ES-2", 7, person, "r1", Channel.SMS, DeliveryState.CREATED)


@pytest.mark.parametrize("state", [state for state in DeliveryState if state is not DeliveryState.CREATED])
def test_first_row_is_byte_for_byte_that_of_the_delivery(state: DeliveryState) -> None:
    """The short way to a new row writes what applying the update to a created delivery gives."""
    assert state in TRANSITIONS[DeliveryState.CREATED]
    assert encode_rows([first_row("e1", update(state))]) == encode_rows([encode(created().apply("e1", update(state)))])


def test_rows_come_back_as_they_were() -> None:
    """Every column, a history with a change that did not count, a role's mailbox without a person; in order."""
    deliveries = [created().apply("e1", update(D)).apply("e2", update(A, 1)), created("p2").apply("e1", update(U))]

    rows = decode_rows(encode_rows([encode(delivery) for delivery in deliveries]))

    assert [decode(KEY, row) for row in rows.values()] == deliveries
    assert list(rows) == [delivery.delivery_id for delivery in deliveries]


def test_awaiting_receipt_since_the_first_acceptance_and_over_sms_alone() -> None:
    """An accepted SMS waits from its first acceptance; a delivered one, and email, wait for nothing."""
    accepted = created().apply("e1", update(A, 5)).apply("e2", update(DeliveryState.PENDING, 9))

    assert awaiting_receipt_since(Channel.SMS, encode(accepted)) == update(A, 5).at.timestamp()
    assert awaiting_receipt_since(Channel.EMAIL, encode(accepted)) is None
    assert awaiting_receipt_since(Channel.SMS, encode(accepted.apply("e3", update(D, 10)))) is None
