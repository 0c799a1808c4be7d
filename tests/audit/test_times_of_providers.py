"""`timings` and `explain` cope with every time that a provider's receipt or a reply left in the log."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.audit.alert_history import AlertHistory
from shared.audit.evidence import read
from shared.audit.timings import Timings
from shared.events import (
    AlertRaised,
    AlertTrigger,
    Channel,
    DeliveryOutcome,
    Event,
    Level,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    PersonAnswered,
    Recipient,
    RecipientsSelected,
    SelectionCompleted,
)
from tests.audit.log import START, Log

#: From the decision to the last event of the alert.
LONGEST_SECONDS = 600.0
moments = st.datetimes(timezones=st.just(UTC)) | st.sampled_from(
    [START + timedelta(hours=hours) for hours in (-24, -2, -1, 0, 1, 2, 24)]
)


def outcome(kind: type[Any], person: str, claimed: datetime) -> Event:
    """An outcome of the person's SMS, with the time that the provider named."""
    entry = DeliveryOutcome(
        delivery_id=f"ES-m1:{person}:sms:1", person_id=person, registration_id=f"r-{person}", channel=Channel.SMS,
        step=1, provider="cm", reference="0" * 32, at=claimed,
    )  # fmt: skip
    event: Event = kind(alert_id="ES-m1", shard=0, entries=(entry,))
    return event


def history(accepted: datetime, delivered: datetime, failed: datetime, answered: datetime) -> AlertHistory:
    """An alert of ten minutes to two people, whose receipts and answers carry these times."""
    people = ("p1", "p2")
    recipients = tuple(
        Recipient(person_id=person, registration_id=f"r-{person}", registration_version=1, reason="country", area="ES",
                  level=Level.RED, channels=(Channel.SMS,))
        for person in people
    )  # fmt: skip
    raised = AlertRaised(
        alert_id="ES-m1", trigger=AlertTrigger.MANUAL, country="ES", advice_version=1, advice_event_id="e",
        as_of=START, shard_count=1, templates={}, message_nl="Ga naar huis.", message_en="Go home.", raised_by="o",
    )  # fmt: skip
    log = Log("travel.notification.v1")
    for minute, event in enumerate(
        (
            raised,
            RecipientsSelected(alert_id="ES-m1", shard=0, late=False, recipients=recipients),
            SelectionCompleted(alert_id="ES-m1", offsets={}, selected=2, unreachable=0),
            outcome(NotificationsAccepted, "p1", accepted),
            outcome(NotificationsAccepted, "p2", START + timedelta(minutes=3)),
            outcome(NotificationsDelivered, "p1", delivered),
            outcome(NotificationsFailed, "p2", failed),
            *(PersonAnswered(alert_id="ES-m1", shard=0, person_id=person, answer="safe", via="sms",
                             answered_at=answered) for person in people),
        )
    ):  # fmt: skip
        log.append(event, START + timedelta(minutes=minute))
    story = AlertHistory("ES-m1", "ES", lambda country, place: None)
    for record in log.records:
        story.take(read(record))
    return story


@given(moments, moments, moments, moments)
def test_no_stored_time_makes_a_delay_negative_or_longer_than_the_alert(
    accepted: datetime, delivered: datetime, failed: datetime, answered: datetime
) -> None:
    """Events of earlier versions hold the times of the year 1, of 2099, and of clocks two hours ahead or behind."""
    measured = Timings.of(history(accepted, delivered, failed, answered))

    document = measured.document()
    seconds = [document["raisedSeconds"], document["selectedSeconds"]]
    for name, people in (("accepted", 2), ("delivered", 1), ("answered", 2)):
        assert document[name]["people"] == people
        seconds += [value for key, value in document[name].items() if key.endswith("Seconds")]
    assert all(0 <= value <= LONGEST_SECONDS for value in seconds)
    assert measured.svg().endswith("</svg>\n")


def test_plausible_times_stay_as_the_provider_named_them() -> None:
    """Within the alert a provider's time counts, to the second."""
    at = START + timedelta(minutes=4)

    story = history(START + timedelta(minutes=2), at, at, at)

    assert story.told["p1"].first("delivered") == at
    assert Timings.of(story).document()["answered"]["p50Seconds"] == 240.0
