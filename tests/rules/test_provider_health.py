"""Provider health: when a provider counts as not taking our messages, and which refusals are of our account."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.notify.channels import cm, email, spryng, twilio
from services.notify.channels.http import HttpResponse
from services.notify.channels.smtp_wire import SmtpReply
from services.notify.messages.outgoing import Sms
from services.notify.model.outcome import Outcome, OutcomeKind
from services.notify.provider_health import add_answers
from services.notify.rules.provider_health import (
    LOOK_AT_PROVIDER,
    LOOK_AT_REFUSALS,
    MEND_ACCOUNT,
    ProviderRecord,
    judge_provider,
)
from services.notify.store.provider_health import ProviderAnswers

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TEXT = Sms("ES-2:p1:sms:1", "0" * 32, "+31600000001", "Go home.")
ACCEPTED, NO, LATER = Outcome.accepted("ok"), Outcome.refused("no such number"), Outcome.try_later("421", code="421")


def ago(**parts: float) -> datetime:
    """A time before now."""
    return NOW - timedelta(**parts)


@pytest.mark.parametrize(
    ("record", "next_step"),
    [
        (ProviderRecord(), ""),
        (ProviderRecord(accepted_at=ago(days=3)), ""),
        (ProviderRecord(account_refused_at=ago(seconds=1), account_code="101"), MEND_ACCOUNT),
        (ProviderRecord(accepted_at=ago(days=1), account_refused_at=ago(hours=9), account_code="101"), MEND_ACCOUNT),
        (ProviderRecord(accepted_at=ago(seconds=1), account_refused_at=ago(seconds=2), account_code="101"), ""),
        (ProviderRecord(failing_since=ago(seconds=59), refused_at=NOW), ""),
        (ProviderRecord(failing_since=ago(seconds=60), refused_at=NOW), LOOK_AT_PROVIDER),
        (ProviderRecord(failing_since=ago(hours=5), refused_at=ago(minutes=5)), LOOK_AT_PROVIDER),
        (ProviderRecord(failing_since=ago(hours=5), refused_at=ago(minutes=16)), ""),
        (ProviderRecord(accepted_at=NOW, failing_since=ago(minutes=9), refused_at=ago(minutes=1)), ""),
        (ProviderRecord(accepted_at=NOW, refused_at=NOW, answers=20, refusals=10), LOOK_AT_REFUSALS),
        (ProviderRecord(accepted_at=NOW, refused_at=NOW, answers=20, refusals=9), ""),
        (ProviderRecord(accepted_at=NOW, refused_at=NOW, answers=19, refusals=19), ""),
    ],
)
def test_provider_health_table(record: ProviderRecord, next_step: str) -> None:
    """A refused account counts at once, failing after a minute, refusals from half of twenty; success clears."""
    verdict = judge_provider(record, NOW)

    assert (verdict.is_well, verdict.next_step) == (next_step == "", next_step)


@pytest.mark.parametrize(
    ("calls", "is_failing"),
    [
        ([[ACCEPTED]], False), ([[NO]], False), ([[LATER]], True), ([[LATER, ACCEPTED]], False),
        ([[LATER], [ACCEPTED]], False), ([[ACCEPTED], [LATER]], True), ([[LATER], [LATER]], True),
    ],
)  # fmt: skip
def test_provider_answers_without_an_acceptance_are_failing(calls: list[list[Outcome]], is_failing: bool) -> None:
    """A wrong number is a verdict and no failing; an acceptance ends the failing."""
    answers = ProviderAnswers()

    for number, outcomes in enumerate(calls):
        add_answers(answers, outcomes, NOW + timedelta(seconds=number))

    assert (answers.failed_at is not None) == is_failing
    assert answers.answers == sum(map(len, calls))


def sms(status: int, body: bytes = b"{}") -> Any:
    """An answer of an HTTP API."""
    return HttpResponse(status, body)


def by_cm(status: int, body: bytes = b"{}") -> Any:
    """CM's verdict on one message."""
    return cm.judge(status, body, [TEXT], cm.ERROR_CODES)[0]


def by_smtp(stage: str, code: int, text: str) -> Any:
    """The verdict on a mail whose MAIL, RCPT or content was answered so."""
    unsent = SimpleNamespace(recipient="a@b.example", email=SimpleNamespace(recipient="a@b.example"))
    reply = SmtpReply(code, text)
    if stage == "content":
        return email._judge_content(reply, SimpleNamespace(ended="", ended_code=""), unsent)  # type: ignore[arg-type]
    return email._refusal(stage, reply, unsent)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (by_cm(400, b'{"errorCode":101}'), "101"), (by_cm(402), "HTTP 402"), (by_cm(404), "HTTP 404"),
        (by_cm(302), "HTTP 302"),
        (by_cm(200, b'{"messages":[{"reference":"%s","messageErrorCode":103}]}' % TEXT.reference.encode()), "103"),
        (spryng.judge(sms(401)), "HTTP 401"), (spryng.judge(sms(402)), "HTTP 402"),
        (twilio.judge(sms(401, b'{"code":20003}')), "20003"), (twilio.judge(sms(400, b'{"code":21606}')), "21606"),
        (by_smtp("MAIL", 550, "5.7.1 not your sender"), "550"), (by_smtp("MAIL", 530, "5.7.0 log in"), "530"),
        (by_smtp("RCPT", 554, "5.7.1 <a@b.example>: Relay access denied"), "554"),
        (by_smtp("RCPT", 550, "5.7.54 SMTP; Unable to relay recipient in non-accepted domain"), "550"),
        (by_smtp("RCPT", 454, "4.7.1 Relay access denied"), "454"), (by_smtp("RCPT", 530, "Log in first"), "530"),
        (by_smtp("content", 550, "5.7.60 Client does not have permissions to send as this sender"), "550"),
    ],
)  # fmt: skip
def test_provider_that_refuses_the_account_refuses_no_message(outcome: Outcome, code: str) -> None:
    """Every message waits for the cure instead of failing for good, and the code is known."""
    assert (outcome.kind, outcome.refuses_account, outcome.code) == (OutcomeKind.TRY_LATER, True, code)


@pytest.mark.parametrize(
    "outcome",
    [
        by_cm(429), by_cm(400, b'{"errorCode":303}'), spryng.judge(sms(429)), spryng.judge(sms(400)),
        twilio.judge(sms(400, b'{"code":21211}')), twilio.judge(sms(429, b'{"code":20429}')),
        by_smtp("MAIL", 421, "busy"), by_smtp("MAIL", 450, "4.1.8 sender's domain does not resolve now"),
        by_smtp("RCPT", 550, "5.1.1 No such mailbox"), by_smtp("RCPT", 451, "greylisted"),
        by_smtp("content", 554, "5.7.1 looks like spam"), by_smtp("content", 452, "disk full"),
    ],
)  # fmt: skip
def test_provider_that_refuses_a_message_does_not_refuse_the_account(outcome: Any) -> None:
    """A number, a mailbox, a full disk or a busy moment raises no alarm about the account."""
    assert not getattr(outcome, "refuses_account", False)
