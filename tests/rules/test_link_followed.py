"""Whether a machine may have followed the link of a message: its "safe" is then shown as unverified."""

from datetime import timedelta

import pytest

from services.notify.commands.answers import is_perhaps_a_scanner
from services.notify.model.deliveries import Delivery, DeliveryState, StatusChange
from shared.events import Channel
from tests.rules.notify_world import NOW

WITHIN = timedelta(seconds=20)
ACCEPTED, DELIVERED, FAILED = DeliveryState.ACCEPTED, DeliveryState.DELIVERED, DeliveryState.FAILED


def mail(*changes: tuple[DeliveryState, float], counted: bool = True) -> Delivery:
    """A mail with these states, each so many seconds ago."""
    history = tuple(
        StatusChange(f"e{number}", state, NOW - timedelta(seconds=ago), "", counted)
        for number, (state, ago) in enumerate(changes)
    )
    return Delivery("ES-2:p1:email:1", "ES-2", 0, "p1", "r-p1", Channel.EMAIL, ACCEPTED, history=history)


@pytest.mark.parametrize(
    ("deliveries", "perhaps"),
    [
        ([mail((ACCEPTED, 3))], True),
        ([mail((ACCEPTED, 0))], True),
        ([mail((ACCEPTED, 19.999))], True),
        ([mail((ACCEPTED, 20))], False),  # nobody scans so late
        ([mail((ACCEPTED, 600), (DELIVERED, 3))], True),  # it reached the mailbox just now
        ([mail((ACCEPTED, 600))], False),
        ([mail((ACCEPTED, 600)), mail((ACCEPTED, 3))], True),  # a reminder
        ([mail((ACCEPTED, -1))], False),  # that message left after the click: it cannot have led to it
        ([mail((FAILED, 3))], False),  # it reached no scanner
        ([mail((ACCEPTED, 3), counted=False)], False),
        ([], False),
    ],
)
def test_click_within_seconds_of_a_message_may_be_a_scanners(deliveries: list[Delivery], perhaps: bool) -> None:
    """So soon after any of the person's messages arrived; later a person has followed the link."""
    assert is_perhaps_a_scanner(deliveries, NOW, WITHIN) is perhaps
