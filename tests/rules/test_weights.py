"""Interchangeable providers: which one is tried first, and how their weights move."""

from datetime import timedelta

import pytest

from services.notify.rules.weights import Health, Weights, adjusted_weights, provider_order
from tests.rules.notify_world import NOW

RESTING = {"cm": 51, "spryng": 49}
MINUTE = timedelta(minutes=1)
BAD, SLOW = Health(errors=51), Health(judged=20, slow=3)


@pytest.mark.parametrize(
    ("health", "after"),
    [
        ({}, {"cm": 51, "spryng": 49}),
        ({"cm": Health(errors=50)}, {"cm": 51, "spryng": 49}),
        ({"cm": BAD}, {"cm": 41, "spryng": 59}),
        ({"spryng": BAD}, {"cm": 61, "spryng": 39}),
        ({"cm": BAD, "spryng": BAD}, {"cm": 51, "spryng": 49}),
        ({"cm": SLOW}, {"cm": 41, "spryng": 59}),
        ({"cm": Health(judged=19, slow=19)}, {"cm": 51, "spryng": 49}),
        ({"cm": SLOW, "spryng": SLOW}, {"cm": 51, "spryng": 49}),
        ({"cm": SLOW, "spryng": BAD}, {"cm": 61, "spryng": 39}),
    ],
)
def test_weights_move_away_from_what_goes_wrong(health: dict[str, Health], after: dict[str, int]) -> None:
    """Weights move by ten; if all providers are slow, or all fail, nothing moves."""
    before = Weights(RESTING, NOW - 2 * MINUTE)

    assert adjusted_weights(before, RESTING, health, NOW).of == after


def test_weights_move_once_a_minute_and_stay_within_their_bounds() -> None:
    """Weights move once a minute at most, and never fall below zero."""
    weights = Weights(RESTING, NOW)
    assert adjusted_weights(weights, RESTING, {"cm": BAD}, NOW + 0.5 * MINUTE) is weights

    for minute in range(1, 12):
        weights = adjusted_weights(weights, RESTING, {"cm": BAD}, NOW + minute * MINUTE)

    assert weights.of == {"cm": 0, "spryng": 100}


def test_weights_drift_back_after_a_quiet_quarter_of_an_hour() -> None:
    """Weights return by ten, never past their configured values."""
    weights = Weights({"cm": 11, "spryng": 89}, NOW)
    assert adjusted_weights(weights, RESTING, {}, NOW + 14 * MINUTE) is weights

    for quarter in range(1, 7):
        weights = adjusted_weights(weights, RESTING, {}, NOW + quarter * 15 * MINUTE)

    assert weights.of == RESTING


@pytest.mark.parametrize(("chance", "first"), [(0.0, "cm"), (0.5, "cm"), (0.52, "spryng"), (0.99, "spryng")])
def test_order_begins_by_weight_and_leaves_nobody_out(chance: float, first: str) -> None:
    """The other providers follow, for when the first one refuses."""
    assert provider_order(RESTING, chance)[0] == first
    assert set(provider_order(RESTING, chance)) == set(RESTING)


def test_order_with_no_weight_left_still_asks_somebody() -> None:
    """With all weights at zero, messages are still sent."""
    assert set(provider_order({"cm": 0, "spryng": 0}, 0.3)) == {"cm", "spryng"}
