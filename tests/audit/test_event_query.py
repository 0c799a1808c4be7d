"""Which events answer a question, and which records are reported instead of counted. Pure: no Kafka."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.audit.event_query import Filter, ReadingReport, _read_all, _RecordChecks, _wanted, type_marks
from shared.audit.evidence import Evidence, Unreadable, read
from shared.audit.independent_rules import came_after, unbroken_since
from shared.audit.stale import StaleApprovals
from shared.audit.total_order import Record, sequence_hint, time_hint
from shared.errors import PermanentError
from shared.events import (
    AdviceSeen,
    AlertClosed,
    AlertRaised,
    Event,
    Leg,
    PersonAnswered,
    RegistrationApproved,
    SourceChecked,
)
from tests.audit.log import START, Log, changed
from tests.audit.sample import Sample

AT = START + timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


def evidence(event: Event, at: datetime = AT) -> Evidence:
    """An event as it is read."""
    log = Log(type(event).topic)
    log.append(event, at=at)
    return read(log.records[0])


def raised(alert_id: str = "ES-2", country: str = "ES") -> AlertRaised:
    """An alert."""
    return AlertRaised(
        alert_id=alert_id, trigger="advice_changed", country=country, advice_version=2, advice_event_id="advice-1",
        as_of=START, shard_count=1, templates={},
    )  # fmt: skip


ANSWER = PersonAnswered(
    alert_id="ES-2", shard=0, person_id="student-01", answer="safe", via="link", answered_at=START
)  # fmt: skip


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ({}, True),
        ({"since": AT}, True), ({"since": AT + MICROSECOND}, False),
        ({"until": AT}, True), ({"until": AT - MICROSECOND}, False),
        ({"type": "PersonAnswered"}, True), ({"type": "AlertClosed"}, False),
        ({"correlation": "c"}, True), ({"correlation": "other"}, False),
        ({"person": "student-01"}, True), ({"person": "student-0"}, False), ({"person": "ES-2"}, False),
        ({"alert": "ES-2"}, True), ({"alert": "ES-1"}, False), ({"alert": "student-01"}, False),
        ({"registration": "student-01"}, False),
        ({"person": "student-01", "alert": "ES-1"}, False),
        ({"person": "student-01", "type": "AlertClosed"}, False),
    ],
)  # fmt: skip
def test_event_is_shown_when_it_meets_every_condition(conditions: dict[str, Any], matches: bool) -> None:
    """The first and the last instant belong to the range; an id counts in its own field only, and whole."""
    assert Filter(**conditions).allows(evidence(ANSWER), set()) is matches


def test_events_of_a_country_are_those_of_its_alerts_too() -> None:
    """An answer names no country: it belongs to that of its alert, once the alert was seen."""
    spain, alerts = Filter(country="ES"), set[str]()

    assert not spain.allows(evidence(ANSWER), alerts)
    assert not spain.allows(evidence(raised("PT-1", "PT")), alerts)
    assert spain.allows(evidence(raised()), alerts)
    assert alerts == {"ES-2"}
    assert spain.allows(evidence(ANSWER), alerts)
    assert not spain.allows(evidence(ANSWER.model_copy(update={"alert_id": "PT-1"})), alerts)


def test_reading_of_a_source_belongs_to_each_country_that_it_names() -> None:
    """The versions of the countries are keys of one object."""
    fact = SourceChecked(source="example", checked_at=START, fresh_until=AT, countries={"ES": 2, "PT": 1})

    assert Filter(country="PT").allows(evidence(fact), set())
    assert not Filter(country="IT").allows(evidence(fact), set())


def three() -> list[Record]:
    """Three chained events."""
    log = Log("travel.notification.v1")
    for number in range(3):
        log.append(AlertClosed(alert_id=f"ES-{number}", closed_by="officer", reason="over"))
    return log.records


def checked(records: list[Record], latest: str = "2026-12-01") -> tuple[list[int], list[str]]:
    """Offsets of the valid records, and the problems."""
    checks = _RecordChecks(latest.encode())
    ready = [(time, 0, shown) for _, time, shown in _read_all(records, None) if shown is not None]
    _, valid = checks.valid(ready)
    return [record.offset for record in valid], [problem for _, problem in checks.problems]


def test_duplicate_is_dropped_and_an_event_with_its_sequence_is_reported() -> None:
    """The relay publishes the same bytes again after a crash; other bytes under the same sequence are a forgery."""
    first, second, third = three()
    again = replace(second, offset=7)
    forged = changed(again, b"over", b"OVER")

    assert checked([first, second, third]) == ([0, 1, 2], [])
    assert checked([first, second, again, third]) == ([0, 1, 2], [])
    assert checked([first, second, forged, third]) == ([0, 1, 2], ["another event has the same sequence"])


def test_record_that_cannot_be_read_is_reported_and_the_next_ones_are_shown() -> None:
    """Garbage, a foreign event, and an event of the future, which is shown and reported."""
    first, second, third = three()
    foreign = changed(second, b'"source":"/notify"', b'"source":"/safety"')

    valid, problems = checked([first, foreign, replace(third, value=b"junk"), third])
    assert (valid, len(problems)) == ([0, 2], 2)
    shown, late = checked([first, second], latest=START.strftime("%Y-%m-%dT%H:%M:%S"))
    assert shown == [0, 1]
    assert len(late) == 2
    assert all("is in the future" in problem for problem in late)


def test_record_is_skipped_unread_only_when_it_cannot_match() -> None:
    """All marks of one kind, any of the other. Another layout is always read: its marks look different."""
    record = three()[0].value or b""
    odd = b" " + record

    assert _wanted([], []) is None
    for all_of, any_of, reads in (
        ([b"ES-0"], [], True), ([b"ES-0", b"ES-9"], [], False), ([], [b"ES-9", b"ES-0"], True), ([], [b"ES-9"], False),
        ([b"ES-0"], [b"ES-9"], False), (type_marks("AlertClosed"), [], True), (type_marks("AlertReopened"), [], False),
    ):  # fmt: skip
        wanted = _wanted(all_of, any_of)
        assert wanted is not None
        assert wanted(record) is reads
        assert wanted(odd)
        assert wanted(record.replace(b':1","streamversion":', b':2","streamversion":'))


@pytest.mark.parametrize(
    "error", [Unreadable("schema"), PermanentError("no"), KeyError("x"), TypeError("x"), OverflowError("x")]
)
def test_event_that_makes_no_sense_is_reported_and_ends_no_answer(error: Exception) -> None:
    """It is counted, named by its place, and the answer goes on; a failed assertion of our own is raised."""
    report, first = ReadingReport(), evidence(ANSWER)

    with report.skipping(first):
        raise error
    with report.skipping(first):
        pass

    assert (report.problems, report.named[0][0]) == (1, first.place)
    assert report.trouble.startswith("1 record is not as they should be")
    with pytest.raises(AssertionError), report.skipping(first):
        raise AssertionError


def test_place_in_the_order_is_read_from_the_attributes_and_not_from_the_data() -> None:
    """An object in the data may have a `sequence` of its own; a number without end is no sequence."""
    words = b'{"id":"1","time":"2026-01-02T00:00:00Z","data":{"a":1,"sequence":9,"b":2},"sequence":4,"prevhash":"0"}'
    late = b'{"id":"' + b"x" * 700 + b'","time":"2026-01-02T00:00:00Z"}'

    assert (sequence_hint(words), time_hint(words)) == (4, b"2026-01-02T00:00:00")
    assert sequence_hint(words.replace(b":4,", b":" + b"4" * 30 + b",")) == 0
    assert sequence_hint(words.replace(b":4,", b":-4,")) == 0
    assert time_hint(late) == b""


# ---------------------------------------------------------------- rules that the audit applies by itself


@pytest.mark.parametrize(
    ("levels", "index"),
    [([3], 0), ([1, 3], 1), ([3, 3], 0), ([2, 3], 1), ([3, 2], 0), ([3, 1, 2], 2), ([2, 3, 2], 0), ([3, None, 3], 2),
     ([None, 2], 1), ([2, 2, 1, 2, 2], 3)],
)  # fmt: skip
def test_level_holds_since_the_first_version_without_a_better_one(levels: list[int | None], index: int) -> None:
    """A worse level in between interrupts nothing; a better or an unknown one does."""
    assert unbroken_since(levels) == index


@pytest.mark.parametrize(
    ("registered", "starts", "came"),
    [(-1, 0, False), (0, 0, False), (1, 0, True), (-1, 1, False), (-1, 2, True)],
)
def test_person_came_after_the_first_reading_by_registration_or_by_arrival(
    registered: int, starts: int, came: bool
) -> None:
    """A microsecond after it, or with a first day two days later: the day of grace belongs to the stay."""
    day = START.date() + timedelta(days=starts)
    leg = Leg(start_date=day, end_date=day + timedelta(days=9), country="ES")

    assert came_after(START + registered * MICROSECOND, leg, START) is came


def approved(version: int, at: datetime) -> Evidence:
    """A registration for Spain that was approved on this version of the advice."""
    return evidence(
        RegistrationApproved(
            registration_id="r-1", person_id="student-01", reason="approved_and_safe", approval_id="a-1",
            advice=(AdviceSeen(country="ES", advice_version=version, level=1),), decided_by="rules",
        ), at,
    )  # fmt: skip


def test_approval_on_advice_that_was_not_the_newest_or_not_fresh_is_found(advice_of_spain: Evidence) -> None:
    """R10, R14: at the very end of its freshness the advice still counts."""
    until = AT + timedelta(hours=1)
    found = StaleApprovals()
    unknown = [stale.reason for stale in found.take(approved(0, AT))]
    for known in (
        advice_of_spain,
        evidence(SourceChecked(source="netherlands", checked_at=START, fresh_until=until, countries={"ES": 2})),
    ):
        assert list(found.take(known)) == []

    assert unknown == ["nothing was known of the country"]
    assert list(found.take(approved(2, until))) == []
    assert [stale.reason for stale in found.take(approved(1, until))] == ["version 2 was out already"]
    (late,) = found.take(approved(2, until + MICROSECOND))
    assert late.reason.startswith("netherlands was last fresh until")
    assert (late.country, late.advice_version, late.registration_id) == ("ES", 2, "r-1")


@pytest.fixture
def advice_of_spain() -> Evidence:
    """Version 2."""
    for record in Sample().records:
        found = read(record)
        if found.type == "TravelAdviceChanged" and found.subject == "ES" and found.streamversion == 2:
            return found
    raise AssertionError
