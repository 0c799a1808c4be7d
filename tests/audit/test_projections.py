"""Documents that are not event streams, rebuilt from events, equal what the service's own code stores."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import permutations
from typing import Any

from services.notify.model.escalations import EscalationRecord
from services.notify.model.owners import OwnerRecord
from services.notify.model.senders import ConfirmedSender
from services.notify.store.alerts import Alert
from services.notify.store.escalations import escalation_document
from services.notify.store.owners import owner_document
from services.notify.store.senders import sender_document
from services.passage.projections import DOCUMENT_PROJECTIONS
from services.registration.store.tasks import new_task
from shared.audit.evidence import read
from shared.audit.reader import Record
from shared.events import (
    AlertClosed,
    AlertEscalated,
    AlertRaised,
    AlertReopened,
    AlertTrigger,
    Channel,
    ClearanceSuspended,
    DeliveryOutcome,
    Event,
    HandedOver,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsUnknown,
    RecipientsHandedOver,
    ReminderDue,
    ReplySenderConfirmed,
    SelectionCompleted,
    SourceChecked,
    SourceFailed,
    TaskClaimed,
    TaskClosed,
    TaskCommented,
    TaskOpened,
)
from tests.audit.log import START, Log
from tests.rules.registration_world import registration

ABOUT = {"registration_id": "r-1", "person_id": "student-01", "task_id": "t-1"}
OPENED = TaskOpened(**ABOUT, queue="coordinator", scope="p", rule="R2", reason="differs")


def rebuilt(kind: tuple[str, str], *events: Event) -> dict[str, Any]:
    """The document after these events, one hour apart."""
    log, document = Log(events[0].topic, 1), None
    for number, event in enumerate(events):
        log.append(event, at=START + timedelta(hours=number))
    for record in log.records:
        evidence = read(record)
        ((_, part),) = DOCUMENT_PROJECTIONS[kind].changes(evidence).items()
        document = DOCUMENT_PROJECTIONS[kind].apply(document, evidence, part)
    assert document is not None
    return DOCUMENT_PROJECTIONS[kind].comparable(document)


def test_task_is_what_registration_keeps() -> None:
    """Opened, claimed, released, commented twice, closed: the fields and instants of each step."""
    kind = ("registration", "tasks")
    fresh = new_task(OPENED, registration(), START)
    del fresh["_id"], fresh["departureDate"]
    remark = TaskCommented(**ABOUT, commented_by="officer", remark="sealed:v1:x")
    claimed, back = TaskClaimed(**ABOUT, claimed_by="officer"), TaskClaimed(**ABOUT, claimed_by=None)
    closed = TaskClosed(**ABOUT, closed_by="officer")

    assert rebuilt(kind, OPENED) == fresh
    mine = rebuilt(kind, OPENED, claimed)
    assert (mine["claimedBy"], mine["claimedAt"]) == ("officer", START + timedelta(hours=1))
    done = rebuilt(kind, OPENED, claimed, back, remark, remark, closed)
    assert done == {
        **fresh,
        "comments": 2,
        "open": False,
        "closedBy": "officer",
        "closedAt": START + timedelta(hours=5),
    }


def test_alert_is_what_notify_keeps() -> None:
    """Raised, selected, closed, reopened; notify's copy of the advice is left out."""
    raised = AlertRaised(
        alert_id="ES-2", trigger=AlertTrigger.ADVICE_CHANGED, country="ES", advice_version=2, advice_event_id="e",
        as_of=START, shard_count=4, templates={},
    )  # fmt: skip
    done = SelectionCompleted(alert_id="ES-2", offsets={}, selected=9, unreachable=1)
    closed = AlertClosed(alert_id="ES-2", closed_by="officer", reason="over")
    kept = Alert.model_construct(
        alert_id="ES-2", country="ES", advice_version=2, trigger=AlertTrigger.ADVICE_CHANGED, as_of=START,
        shard_count=4, is_selected=True, selected=9, unreachable=1, is_closed=True, closed_by="officer",
        closed_at=START + timedelta(hours=2),
    )  # fmt: skip
    reopened = AlertReopened(alert_id="ES-2", reopened_by="officer", reason="one of them asks for help")
    open_again = kept.model_copy(update={"is_closed": False, "closed_by": None, "closed_at": None})
    comparable = DOCUMENT_PROJECTIONS["notify", "alerts"].comparable

    assert rebuilt(("notify", "alerts"), raised, done, closed) == comparable(
        {"state": kept.model_dump(mode="json", by_alias=True)}
    )
    assert rebuilt(("notify", "alerts"), raised, done, closed, reopened) == comparable(
        {"state": open_again.model_dump(mode="json", by_alias=True)}
    )
    assert rebuilt(("notify", "alerts"), raised)["isSelected"] is False


def test_delivery_is_the_same_in_whatever_order_its_facts_were_folded() -> None:
    """Accepted, delivered, a late unknown: the most certain state wins, and the history is complete."""
    kind = ("notify", "deliveries")
    entry = DeliveryOutcome(
        delivery_id="ES-2:student-01:sms:1", person_id="student-01", registration_id="r-1", channel=Channel.SMS, step=1,
        attempt=1, provider="example", reference="0" * 32, at=START,
    )  # fmt: skip
    other = entry.model_copy(update={"delivery_id": "ES-2:student-02:sms:1", "person_id": "student-02"})
    facts = [event(alert_id="ES-2", shard=0, entries=(entry,))
             for event in (NotificationsAccepted, NotificationsDelivered, NotificationsUnknown)]  # fmt: skip
    log = Log(facts[0].topic, 1)
    for fact in facts:
        log.append(fact)

    def folded(records: Iterable[Record]) -> dict[str, Any]:
        document = None
        for evidence in map(read, records):
            ((identity, part),) = DOCUMENT_PROJECTIONS[kind].changes(evidence).items()
            assert identity == "ES-2:0:sms#ES-2:student-01:sms:1"
            document = DOCUMENT_PROJECTIONS[kind].apply(document, evidence, part)
        assert document is not None
        return DOCUMENT_PROJECTIONS[kind].comparable(document)

    one = folded(log.records)
    assert (one["state"], one["attempts"], len(one["said"])) == ("delivered", 1, 3)
    assert all(folded(order) == one for order in permutations(log.records))
    log.append(NotificationsAccepted(alert_id="ES-2", shard=0, entries=(entry, other)))
    assert [len(part.entries) for part in DOCUMENT_PROJECTIONS[kind].changes(read(log.records[-1])).values()] == [1, 1]


def test_step_of_the_ladder_counts_once() -> None:
    """An escalation step that is reported twice counts once: the first report stands."""
    fact = AlertEscalated(alert_id="ES-2", person_id="student-01", step=2, to="sms", reason="no_answer", by="rules")
    kept = EscalationRecord(person_id="student-01", step=2, to="sms", reason="no_answer", by="rules", at=START)

    found = rebuilt(("notify", "escalations"), fact, fact)

    assert found == escalation_document("ES-2", kept)


def test_owner_is_the_newest_one() -> None:
    """A recipient who is handed over twice belongs to the second owner."""
    first, second = (
        RecipientsHandedOver(
            alert_id="ES-2", shard=0, handed_by="officer",
            entries=(HandedOver(person_id="student-01", status="no_answer", owner=owner),),
        )
        for owner in ("crisis-unit", "officer-2")
    )  # fmt: skip
    kept = OwnerRecord(
        person_id="student-01", status="no_answer", owner="officer-2", by="officer", at=START + timedelta(hours=1)
    )

    assert rebuilt(("notify", "owners"), first, second) == owner_document("ES-2", kept)


def test_sender_of_a_reply_is_the_one_who_was_confirmed_first() -> None:
    """Whom a person confirmed as the sender of a reply, by whom and when; a second event changes nothing."""
    first, second = (
        ReplySenderConfirmed(alert_id="n-1", reply_id="a-reply", person_id=person, confirmed_by="officer")
        for person in ("student-01", "student-02")
    )
    kept = ConfirmedSender(person_id="student-01", by="officer", at=START)

    assert rebuilt(("notify", "senders"), first, second) == sender_document(kept)


def test_mail_that_a_fact_asks_for_is_in_a_selection_of_its_own() -> None:
    """R19: mail for the student and the coordinator; R22: mail for the student."""
    about = {"registration_id": "r-1", "person_id": "student-01", "faculty_id": "f", "programme_id": "p",
             "departure_date": START.date()}  # fmt: skip
    log = Log(ClearanceSuspended.topic, 1)
    log.append(ClearanceSuspended(**about, rule="R19", reason="advice_turned"), event_id="e1")
    log.append(
        ReminderDue(**about, kind="check_advice", occasion="T-7", due_on=START.date(), late=False), event_id="e2"
    )

    said = [DOCUMENT_PROJECTIONS["notify", "selections"].changes(read(record)) for record in log.records]

    assert [{name: (each["kind"], each["registrationId"]) for name, each in mails.items()} for mails in said] == [
        {
            "n-e1#00000#n-e1:student-01": ("clearance_suspended_student", "r-1"),
            "n-e1#00000#n-e1:coordinator": ("clearance_suspended_coordinator", None),
        },
        {"n-e2#00000#n-e2:student-01": ("check_advice", "r-1")},
    ]


def test_source_is_as_it_was_told() -> None:
    """Read, failed, failed again, read: the start of the failure and the time of its report."""
    read_at = START - timedelta(minutes=1)
    checked = SourceChecked(source="example", checked_at=read_at, fresh_until=START, countries={"ES": 1})
    failed = SourceFailed(source="example", failed_at=START + timedelta(hours=1), reason="status 500")
    later = SourceFailed(source="example", failed_at=START + timedelta(hours=2), reason="status 500")

    fails = rebuilt(("safety", "sources"), checked, failed, later)
    well = rebuilt(("safety", "sources"), failed, checked)

    assert (fails["failedAt"], fails["failureAnnouncedAt"]) == (failed.failed_at, START + timedelta(hours=2))
    assert (fails["announcedAt"], fails["checkedAt"], fails["vouchedFor"]) == (START, read_at, ["ES"])
    assert (well["failedAt"], well["failureAnnouncedAt"]) == (None, None)
    differing = DOCUMENT_PROJECTIONS["safety", "sources"].differing
    own = {**well, "vouchedFor": [], "leftOut": ("ES",)}
    assert differing(well, {**well, "checkedAt": START + timedelta(days=1)}) == set()
    assert differing(well, {**well, "checkedAt": read_at - timedelta(days=1)}) == {"checkedAt"}
    assert differing(well, own) == {"leftOut"}
