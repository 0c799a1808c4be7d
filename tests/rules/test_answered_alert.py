"""Which alert an SMS reply answers: "safe" only one whose message had left before the reply, "help" always one."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.rules.answered_alert import (
    ARRIVAL_PRECISION,
    DATE_PRECISION,
    AlertedAt,
    Reason,
    answered_alert,
)
from services.notify.rules.answers import ReplyMeaning

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
SAFE, HELP = ReplyMeaning.SAFE, ReplyMeaning.HELP
NEVER = None


def at(minutes: float | None) -> datetime | None:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes) if minutes is not None else None


def alerted(alert_id: str, selected: float, handed_over: float | None) -> AlertedAt:
    """An alert that selected a person, and handed its message over, so many minutes after noon."""
    return AlertedAt(alert_id, NOON + timedelta(minutes=selected), at(handed_over))


OLD, NEW, WAITING = alerted("ES-2", 0, 1), alerted("ES-4", 30, 32), alerted("ES-6", 60, NEVER)


@pytest.mark.parametrize(
    ("meaning", "alerts", "claimed", "received", "alert_id", "reason"),
    [
        (SAFE, (), NEVER, 40, None, Reason.NO_ALERT),
        (HELP, (), NEVER, 40, None, Reason.NO_ALERT),
        (SAFE, (OLD,), NEVER, 40, "ES-2", Reason.AFTER_MESSAGE),
        (SAFE, (OLD,), 39, 40, "ES-2", Reason.AFTER_MESSAGE),
        (SAFE, (OLD,), 0.5, 40, "ES-2", Reason.AFTER_MESSAGE),  # a provider that writes whole minutes
        (SAFE, (OLD,), -1, 40, None, Reason.DATED_BEFORE_MESSAGE),
        (SAFE, (OLD,), -120, 40, None, Reason.DATED_BEFORE_MESSAGE),
        (SAFE, (OLD,), 160, 40, "ES-2", Reason.AFTER_MESSAGE),  # a clock that is ahead proves nothing
        (SAFE, (OLD,), NEVER, 0.5, None, Reason.BEFORE_ANY_MESSAGE),  # selected, and not told yet
        (SAFE, (OLD, NEW), NEVER, 40, "ES-4", Reason.AFTER_MESSAGE),
        (SAFE, (OLD, NEW), 30, 40, None, Reason.DATED_BEFORE_MESSAGE),  # an answer to the old one, or a wrong clock?
        (SAFE, (OLD, NEW), NEVER, 31, "ES-2", Reason.AFTER_MESSAGE),  # it came before the new message left
        (SAFE, (OLD, NEW), 10, 31, "ES-2", Reason.AFTER_MESSAGE),
        (SAFE, (OLD, NEW), NEVER, -5, None, Reason.BEFORE_ANY_MESSAGE),
        (SAFE, (OLD, WAITING), NEVER, 70, "ES-2", Reason.AFTER_MESSAGE),
        (SAFE, (WAITING,), NEVER, 70, None, Reason.BEFORE_ANY_MESSAGE),
        (HELP, (OLD, NEW), NEVER, 40, "ES-4", Reason.HELP),
        (HELP, (OLD, NEW), -1_000_000, -5, "ES-4", Reason.HELP),
        (HELP, (WAITING,), 1_000_000, 0, "ES-6", Reason.HELP),
    ],
)
def test_answered_alert_table(
    meaning: ReplyMeaning,
    alerts: tuple[AlertedAt, ...],
    claimed: float | None,
    received: float,
    alert_id: str | None,
    reason: Reason,
) -> None:
    """Minutes after noon."""
    decision = answered_alert(meaning, alerts, at(claimed), NOON + timedelta(minutes=received))

    assert (decision.alert and decision.alert.alert_id, decision.reason) == (alert_id, reason)


@pytest.mark.parametrize(
    ("received", "claimed", "reason"),
    [
        (-ARRIVAL_PRECISION, NEVER, Reason.AFTER_MESSAGE),  # the database cut the time of arrival to milliseconds
        (-ARRIVAL_PRECISION - timedelta(microseconds=1), NEVER, Reason.BEFORE_ANY_MESSAGE),
        (timedelta(0), -DATE_PRECISION, Reason.AFTER_MESSAGE),  # the provider cut its time to minutes
        (timedelta(0), -DATE_PRECISION - timedelta(microseconds=1), Reason.DATED_BEFORE_MESSAGE),
    ],
)
def test_times_that_were_cut_are_not_before_the_message(
    received: timedelta, claimed: timedelta | None, reason: Reason
) -> None:
    """Measured from the moment at which the message was handed over."""
    told = AlertedAt("ES-2", NOON, NOON)

    decision = answered_alert(SAFE, (told,), None if claimed is None else NOON + claimed, NOON + received)

    assert decision.reason is reason


near = st.integers(-500, 500).map(lambda seconds: NOON + timedelta(seconds=seconds))
moments = st.datetimes(timezones=st.just(UTC)) | near
histories = st.lists(
    st.builds(AlertedAt, st.uuids().map(str), moments, st.none() | moments), max_size=4, unique_by=lambda a: a.alert_id
)


@given(histories, st.none() | moments, moments)
def test_no_time_makes_a_reply_safe_for_an_alert_that_had_not_left(
    alerts: list[AlertedAt], claimed: datetime | None, received: datetime
) -> None:
    """Whatever the clocks say: an alert is answered only after its message left, by our clock and by the provider's."""
    decision = answered_alert(SAFE, alerts, claimed, received)

    if decision.alert is not None:
        assert decision.alert.handed_over_at is not None
        assert decision.alert.handed_over_at - received <= ARRIVAL_PRECISION
        assert claimed is None or decision.alert.handed_over_at - claimed <= DATE_PRECISION


@given(histories.filter(bool), st.none() | moments, moments)
def test_no_time_loses_a_cry_for_help(alerts: list[AlertedAt], claimed: datetime | None, received: datetime) -> None:
    """Help counts for the newest alert."""
    assert answered_alert(HELP, alerts, claimed, received).alert is alerts[-1]
