"""CAP 1.2: which messages are in force after alerts, updates and cancels in any order, and which are left out."""

import contextlib
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.safety.reading import BatchRejected
from services.safety.sources.cap import CapMessage, messages_in_force, parse
from tests.rules.feeds import NOW, SAMPLES, damaged

SENT = "2026-11-01T09:00:00-00:00"


def alert(
    identifier: str = "1",
    kind: str = "Alert",
    *,
    sent: str = SENT,
    references: str = "",
    sender: str = "civil",
    status: str = "Actual",
    expires: str = "2026-11-02T09:00:00+00:00",
    language: str = "en-GB",
) -> str:
    """A CAP message as XML."""
    info = (
        f"<info><language>nl</language><event>Overstroming</event></info><info><language>{language}</language>"
        f"<event>Flood</event><urgency>Immediate</urgency><severity>Extreme</severity><certainty>Observed</certainty>"
        f"<expires>{expires}</expires><headline>Water rises</headline><area><areaDesc>North</areaDesc></area></info>"
    )
    return (
        f'<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>{identifier}</identifier>'
        f"<sender>{sender}</sender><sent>{sent}</sent><status>{status}</status><msgType>{kind}</msgType>"
        f"<scope>Public</scope><references>{references}</references>{info}</alert>"
    )


def messages(*documents: str) -> list[CapMessage]:
    """The messages in the documents."""
    return [message for document in documents for message in parse(document.encode())[0]]


def test_cap_sample_is_read() -> None:
    """Our message in two languages: the English one, with its area, until it expires after three hours."""
    [message] = parse((SAMPLES / "cap" / "alert.xml").read_bytes())[0]

    assert (message.event, message.headline, message.severity, message.areas) == (
        "Flood Warning", "The Example River rises", "Severe", ("Example County",)
    )  # fmt: skip
    assert message.sent == datetime(2026, 3, 29, 16, 13, 10, tzinfo=UTC)
    assert messages_in_force([message], message.sent + timedelta(hours=2)) == [message]
    assert messages_in_force([message], message.sent + timedelta(hours=3)) == []


def test_cap_english_of_several_languages() -> None:
    """The English text is taken; without one, the first."""
    assert messages(alert())[0].event == "Flood"
    assert messages(alert(language="fr"))[0].event == "Overstroming"


@pytest.mark.parametrize("status", ["Exercise", "Test", "System", "Draft", "", "actual"])
def test_cap_only_actual_counts(status: str) -> None:
    """Exercises, tests and drafts are left out."""
    found, left_out = parse(alert(status=status).encode())

    assert found == []
    assert len(left_out) == 1


def test_cap_update_and_cancel_end_what_they_refer_to_in_any_order() -> None:
    """They end the message with that sender, identifier and time, in any order, and also if it comes twice."""
    first = alert("1")
    update = alert("2", "Update", sent="2026-11-01T10:00:00+00:00", references=f"civil,1,{SENT}")
    cancel = alert("3", "Cancel", sent="2026-11-01T11:00:00+00:00", references="civil,2,2026-11-01T11:00:00+01:00")

    for order in itertools.permutations([first, update, cancel, first]):
        assert messages_in_force(messages(*order), NOW) == []
    for order in itertools.permutations([first, update]):
        assert [message.identifier for message in messages_in_force(messages(*order), NOW)] == ["2"]


@pytest.mark.parametrize(
    "other",
    [
        alert("9", "Cancel", sender="mallory", references=f"civil,1,{SENT}"),
        alert("9", "Cancel", sent="2026-10-31T00:00:00+00:00", references=f"civil,1,{SENT}"),
        alert("9", "Cancel", references="civil,1"),
        alert("9", "Cancel", references=f"civil,2,{SENT}"),
        alert("9", "Alert", sender="mallory", expires="2026-10-01T00:00:00Z", references=f"civil,1,{SENT}"),
        alert("9", "Cancel", status="Test", references=f"civil,1,{SENT}"),
    ],
)
def test_cap_nothing_else_ends_a_message(other: str) -> None:
    """Another sender, an older message, half a reference and an exercise end nothing."""
    assert "1" in {message.identifier for message in messages_in_force(messages(alert("1"), other), NOW)}


def test_cap_message_is_over_when_it_expires() -> None:
    """A message ends when it expires, or two days after it was sent if it has no expiry."""
    assert messages_in_force(messages(alert(expires="2026-11-01T11:59:00Z")), NOW) == []
    endless = messages(alert(expires=""))

    assert messages_in_force(endless, NOW) == endless
    assert messages_in_force(endless, NOW + timedelta(days=2)) == []


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"", "not well-formed"),
        (b"{}", "not well-formed"),
        (b"<html></html>", "no CAP 1.2 message"),
        (alert().replace("cap:1.2", "cap:1.1").encode(), "no CAP 1.2 message"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + alert().encode(), "document type or entities"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + alert().encode(), "document type or entities"),
        ('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"), "it "),
        (b"<a>" * 10_000, "not well-formed"),
        (b"<a>" * 10_000 + b"</a>" * 10_000, "no CAP 1.2 message"),
    ],
)
def test_cap_document_that_is_none_is_rejected(page: bytes, reason: str) -> None:
    """XML that is not well-formed, declares entities or holds no CAP 1.2 message is rejected."""
    with pytest.raises(BatchRejected, match=reason):
        parse(page)


@settings(deadline=None)
@given(st.data())
def test_cap_damaged_document_is_messages_or_a_rejection(data: st.DataObject) -> None:
    """Damage never raises another exception than BatchRejected."""
    with contextlib.suppress(BatchRejected):
        parse(data.draw(damaged(alert().encode())))
