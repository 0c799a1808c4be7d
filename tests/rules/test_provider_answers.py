"""What an answer of an SMS provider means: only a clear yes is a yes, and only a clear no is sent again."""

from typing import Any

import orjson
import pytest

from services.notify.channels import cm, spryng, twilio
from services.notify.channels.http import HttpResponse
from services.notify.messages.outgoing import Sms
from services.notify.model.outcome import Outcome, OutcomeKind

ACCEPTED, REFUSED = OutcomeKind.ACCEPTED, OutcomeKind.REFUSED
TRY_LATER, UNKNOWN = OutcomeKind.TRY_LATER, OutcomeKind.UNKNOWN
ONE, TWO = (Sms(f"ES-2:p{n}:sms:1", f"{n:032x}", f"+3160000000{n}", "Go home.") for n in (1, 2))


def entry(text: Sms = ONE, status: str = "Accepted", code: object = 0) -> dict[str, Any]:
    """What CM says of one message."""
    return {"reference": text.reference, "status": status, "messageErrorCode": code, "parts": 1}


def by_cm(status: int, *messages: dict[str, Any], code: object = 0, texts: tuple[Sms, ...] = (ONE,)) -> list[Any]:
    """The outcomes of CM's answer."""
    body = orjson.dumps({"errorCode": code, "details": "why", "messages": messages})
    return cm.judge(status, body, texts, cm.ERROR_CODES)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (200, entry(), ACCEPTED),
        (400, entry(), ACCEPTED),
        (500, entry(), UNKNOWN),
        (503, None, UNKNOWN),
        (200, None, UNKNOWN),
        (200, entry(TWO), UNKNOWN),
        # It says two things: the message may have been taken.
        (200, entry(code=303), UNKNOWN),
        (200, entry(status="Rejected", code=0), UNKNOWN),
        (200, entry(status="Rejected", code="?"), UNKNOWN),
        (200, entry(status="Rejected", code=True), UNKNOWN),
        (200, entry(status="Rejected", code=999), UNKNOWN),
        (200, entry(status="Rejected", code="303"), REFUSED),
        (200, entry(status="Rejected", code=102), TRY_LATER),
        (200, entry(status="Rejected", code=777), TRY_LATER),
        (302, entry(), TRY_LATER),
        (429, None, TRY_LATER),
        (401, None, TRY_LATER),
    ],
)
def test_answer_of_cm(status: int, message: dict[str, Any] | None, kind: OutcomeKind) -> None:
    """Without a word on the message, or with two, nobody knows."""
    [outcome] = by_cm(status, *([message] if message else []))

    assert isinstance(outcome, Outcome)
    assert outcome.kind is kind


def test_answer_of_cm_that_names_a_message_twice_or_not_at_all() -> None:
    """An acceptance counts wherever it stands; each message has its own outcome."""
    refused = entry(status="Rejected", code=303)

    for messages in ((entry(), refused), (refused, entry())):
        assert [outcome.kind for outcome in by_cm(200, *messages, texts=(ONE, TWO))] == [ACCEPTED, UNKNOWN]
    assert [outcome.kind for outcome in by_cm(200, refused, entry(TWO), texts=(ONE, TWO))] == [REFUSED, ACCEPTED]


def test_refusal_of_a_whole_request_by_cm() -> None:
    """An error of CM's own is no refusal, one of our account is ours to mend; any other names no message."""
    kinds = {code: by_cm(400, code=code)[0] for code in (500, 999, 101, 303, "?")}

    assert [kinds[code].kind for code in (500, 999, 101)] == [UNKNOWN, UNKNOWN, TRY_LATER]
    assert kinds[101].refuses_account
    assert [type(kinds[code]).__name__ for code in (303, "?")] == ["_RequestRefused"] * 2


@pytest.mark.parametrize(
    ("status", "answer", "kind", "is_ours"),
    [
        (201, {"sid": "SM1", "status": "queued"}, ACCEPTED, False),
        (201, {"sid": "SM1", "status": "failed", "error_code": 30006}, REFUSED, False),
        (201, {"sid": "SM1", "status": "undelivered"}, REFUSED, False),
        (201, {"status": "queued"}, UNKNOWN, False),
        (200, {}, UNKNOWN, False),
        (500, {"code": 21211}, UNKNOWN, False),
        (400, {"code": 21211}, REFUSED, False),
        (429, {"code": 21610}, TRY_LATER, False),
        (400, {"code": 20429}, TRY_LATER, False),
        (400, {"code": True}, TRY_LATER, False),
        (400, {"code": 21606}, TRY_LATER, True),
        (401, {}, TRY_LATER, True),
        (307, {}, TRY_LATER, True),
    ],
)
def test_answer_of_twilio(status: int, answer: object, kind: OutcomeKind, *, is_ours: bool) -> None:
    """Only codes about the number or the message are permanent."""
    outcome = twilio.judge(HttpResponse(status, orjson.dumps(answer)))

    assert (outcome.kind, outcome.refuses_account) == (kind, is_ours)


@pytest.mark.parametrize(
    ("status", "answer", "kind", "is_ours"),
    [
        (202, {"data": {"messageIds": ["m1"]}}, ACCEPTED, False),
        (202, {"data": {"messageIds": []}}, UNKNOWN, False),
        (202, {"data": {"messageIds": [1]}}, UNKNOWN, False),
        (200, [], UNKNOWN, False),
        (502, {"errors": [{"errorCode": 1}]}, UNKNOWN, False),
        (400, {"errors": [{"errorCode": 1, "errorMessage": "bad number"}]}, REFUSED, False),
        (422, "nonsense", REFUSED, False),
        (429, {}, TRY_LATER, False),
        (408, {}, TRY_LATER, False),
        (403, {}, TRY_LATER, True),
        (301, {}, TRY_LATER, True),
    ],
)
def test_answer_of_spryng(status: int, answer: object, kind: OutcomeKind, *, is_ours: bool) -> None:
    """An answer without the id of a message is no acceptance, and no refusal either."""
    outcome = spryng.judge(HttpResponse(status, orjson.dumps(answer)))

    assert (outcome.kind, outcome.refuses_account) == (kind, is_ours)
