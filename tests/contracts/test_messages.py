"""Every message in both languages against its golden file; names that could break an email; broken templates.

After a change of texts run `UPDATE_GOLDEN=1 pytest tests/contracts/test_messages.py`, and read the difference.
"""

import email
import os
import re
import shutil
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import get_args

import pytest

from services.notify.messages.content import AlertKind, Kind, ManualContent, NoticeKind
from services.notify.messages.gsm import is_gsm, segments
from services.notify.messages.rendering import FORMS, TEMPLATES, Messages
from services.notify.messages.sms import SEGMENT_LIMIT
from services.notify.messages.specimens import EMERGENCY_NUMBER, MANUAL, SPECIMENS
from services.notify.messages.wording import LANGUAGES, Language, readable_number
from shared.errors import PermanentError

GOLDEN = Path(__file__).parent / "messages"
SENDER = "alerts@university.example"
LINK = "https://safe-passage.example/notify/v1/answers/" + "A" * 22
AT = datetime(2026, 10, 12, 12, 5, tzinfo=UTC)
KINDS: tuple[Kind, ...] = get_args(AlertKind) + get_args(NoticeKind)
ASKS_FOR_AN_ANSWER = ("alert_country", "alert_region", "alert_unresolved", "manual", "drill", "reminder")

NAMES = {
    "crlf": "Robin\r\nBcc: somebody@elsewhere.example\r\n\r\nNew body",
    "html": '<script>alert("x")</script><b>Robin</b> & Co',
    "emoji": "Robin 👩‍🚀🇳🇱",
    "right-to-left": "\u202eنورة\u202c \u200fRobin",
    "long": "R" * 300,
    "template": "{{ 7 * 7 }} {% raw %} \ue000\ue001",
    "lone surrogate": "Robin \ud83d",
    "nothing": "\u200b\r\n",
}


@pytest.fixture(scope="module")
def messages() -> Messages:
    return Messages(SENDER)


def raw(messages: Messages, kind: Kind, language: Language, name: str) -> bytes:
    """The email as it is sent."""
    skeleton = messages.email_skeleton(kind, language, SPECIMENS[kind])
    return skeleton.render(
        name=name, recipient="robin@students.example", link=LINK, message_id="<0@university.example>", date=AT
    )


def read_email(messages: Messages, kind: Kind, language: Language, name: str) -> EmailMessage:
    """The email as a mail program parses it."""
    content = raw(messages, kind, language, name)
    parsed: EmailMessage = email.message_from_bytes(content, policy=default)
    return parsed


def part(mail: EmailMessage, subtype: str) -> str:
    """Its plain text or HTML."""
    found = mail.get_body((subtype,))
    assert found is not None
    return str(found.get_content())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_message_is_as_its_golden_file(messages: Messages, kind: Kind, language: Language) -> None:
    """Subject, text and SMS, in both languages, the student's own first."""
    shown = messages.preview(kind, language, SPECIMENS[kind], name="Robin", link=LINK)
    sms = "" if shown.sms is None else f"--- sms, {shown.segments} parts\n{shown.sms}\n"
    text = f"Subject: {shown.subject}\n\n{shown.text}{sms}"
    file = GOLDEN / f"{kind}.{language}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")

    assert text == file.read_text(encoding="utf-8")


def test_golden_files_are_those_of_the_messages_there_are() -> None:
    """Every kind has its files and templates, and every file and template belongs to a kind."""
    assert {file.name for file in GOLDEN.iterdir()} == {
        f"{kind}.{language}.txt" for kind in KINDS for language in LANGUAGES
    }
    assert set(FORMS) == set(SPECIMENS) == set(KINDS)
    written = {f"{kind}.{language}.txt.j2" for kind in KINDS for language in LANGUAGES}
    written |= {f"{kind}.{language}.sms.j2" for kind in KINDS if FORMS[kind].sms for language in LANGUAGES}
    assert {file.name for file in TEMPLATES.glob("*.j2")} == written


@pytest.mark.parametrize("kind", KINDS)
def test_message_shows_the_emergency_number_and_where_to_answer(messages: Messages, kind: Kind) -> None:
    """R28: every email and SMS holds the emergency number twice, and the person's link where it wants an answer."""
    for language in LANGUAGES:
        shown = messages.preview(kind, language, SPECIMENS[kind], name="Robin", link=LINK)
        assert shown.text.count(readable_number(EMERGENCY_NUMBER)) >= 2
        if shown.sms is not None:
            assert EMERGENCY_NUMBER in shown.sms or kind == "drill"
            assert shown.sms.count(LINK) == 1
        assert (LINK in shown.text) is (kind in (*ASKS_FOR_AN_ANSWER, "answer_received"))


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_mail_survives_any_name(messages: Messages, kind: Kind, name: str) -> None:
    """A name makes no header, tag or second body; both parts say the same; the wire format is ASCII."""
    mail = read_email(messages, kind, "nl", name)

    assert mail.get_all("Bcc") is None
    assert mail["To"] == "robin@students.example"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    text, page = part(mail, "plain"), part(mail, "html")
    assert "<script>" not in page
    assert not re.search("[\u202a-\u202e\u2066-\u2069\ue000-\ue0ff]", text + page)
    assert text.count("* * *") == 1
    assert "\nNew body" not in text.replace("\r\n", "\n")
    content = raw(messages, kind, "nl", name)
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 78


@pytest.mark.parametrize("kind", [kind for kind in KINDS if FORMS[kind].sms])
def test_sms_is_plain_and_short(messages: Messages, kind: Kind) -> None:
    """Every SMS is in the GSM alphabet and takes at most three parts, in both orders of the languages."""
    for language in LANGUAGES:
        text = messages.sms(kind, language, SPECIMENS[kind], LINK)
        assert is_gsm(text)
        assert segments(text) <= SEGMENT_LIMIT


@pytest.mark.parametrize("words", ["€" * 500, "ë" * 1_000, "Стой. " * 200, "👩‍🚀 " * 100, "a" * 1_000, "Kort."])
def test_sms_of_an_officer_fits_whatever_is_written(messages: Messages, words: str) -> None:
    """A long text is cut in the SMS, but not the emergency number and the link; the email has all of it."""
    facts = ManualContent.model_validate({**MANUAL.model_dump(), "message_nl": words, "message_en": words})
    for language in LANGUAGES:
        shown = messages.preview("manual", language, facts, name="Robin", link=LINK)
        assert shown.sms is not None
        assert is_gsm(shown.sms)
        assert shown.segments <= SEGMENT_LIMIT
        assert EMERGENCY_NUMBER in shown.sms
        assert LINK in shown.sms
        assert shown.text.count(words.strip()) >= 2


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("alert_country.nl.txt.j2", "Subject: {{ colour }\nText", "alert_country.nl.txt.j2"),
        ("alert_region.en.sms.j2", "{{ no_such_thing }}", "no_such_thing"),
        ("reminder.en.txt.j2", "No subject here", "Subject"),
        ("manual.nl.txt.j2", 'Subject: x\n\n{% include "parts/gone.j2" %}', "gone"),
        ("still_correct.nl.txt.j2", "Subject: {{ paragraphs }}\n\nText", "paragraphs"),
    ],
)
def test_template_that_does_not_work_is_refused_at_the_start(
    tmp_path: Path, file: str, content: str, named: str
) -> None:
    """The service does not start with a broken template, and the error names it."""
    shutil.copytree(TEMPLATES, tmp_path / "templates")
    (tmp_path / "templates" / file).write_text(content, encoding="utf-8")

    with pytest.raises(PermanentError, match=re.escape(named)):
        Messages(SENDER, templates=tmp_path / "templates")


def test_version_of_a_message_changes_with_its_words(tmp_path: Path, messages: Messages) -> None:
    """The alert names the version of every template, so an auditor can tell the exact text."""
    shutil.copytree(TEMPLATES, tmp_path / "templates")
    changed = tmp_path / "templates" / "reminder.nl.sms.j2"
    changed.write_text(changed.read_text(encoding="utf-8") + " ", encoding="utf-8")

    other = Messages(SENDER, templates=tmp_path / "templates").versions()

    assert {kind for kind, version in messages.versions().items() if other[kind] != version} == {"reminder"}
