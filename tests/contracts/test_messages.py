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

from services.notify.messages.content import (
    AlertContent,
    AlertKind,
    AnyContent,
    ClearanceContent,
    Kind,
    ManualContent,
    NoticeKind,
    Place,
    RegistrationContent,
)
from services.notify.messages.gsm import is_gsm, segments
from services.notify.messages.rendering import FORMS, TEMPLATES, Messages
from services.notify.messages.service_specimens import CONTACT_PERSON, COORDINATOR, INTERNATIONAL_OFFICE
from services.notify.messages.sms import SEGMENT_LIMIT
from services.notify.messages.specimens import (
    EMERGENCY_EMAIL,
    EMERGENCY_NUMBER,
    MANUAL,
    OFFICE_READERS,
    REGION,
    SPECIMENS,
    STUDENT,
    TEAM,
    VARIANTS,
    reader_name,
)
from services.notify.messages.wording import COLOURS, LANGUAGES, Language, colour, readable_number
from shared.errors import PermanentError

GOLDEN = Path(__file__).parent / "messages"
SENDER = "alerts@university.example"
LINK = "https://safe-passage.example/notify/v1/answers/" + "A" * 22
AT = datetime(2026, 10, 12, 13, 20, tzinfo=UTC)
STUDENT_AND_NUMBER = "Robin van Voorbeeld (s0000001)"
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
    shown = messages.preview(
        kind, language, SPECIMENS[kind], name=reader_name(kind), link=LINK, student=STUDENT_AND_NUMBER
    )
    sms = "" if shown.sms is None else f"--- sms, {shown.segments} parts\n{shown.sms}\n"
    text = f"Subject: {shown.subject}\n\n{shown.text}{sms}"
    file = GOLDEN / f"{kind}.{language}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")

    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", VARIANTS)
def test_variants_of_a_message_are_as_their_golden_file(messages: Messages, kind: Kind, language: Language) -> None:
    """The same kind where something else was decided, or the person is elsewhere; in one language, with its SMS."""
    shown = ""
    for name, content in VARIANTS[kind].items():
        subject, text, sms = one_language(messages, kind, language, content)
        shown += f"===== {name}\nSubject: {subject}\n\n{text}" + (f"--- sms\n{sms}\n" if sms else "") + "\n"
    file = GOLDEN / f"{kind}.variants.{language}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(shown, encoding="utf-8")

    assert shown == file.read_text(encoding="utf-8")


def one_language(messages: Messages, kind: Kind, language: Language, content: AnyContent) -> tuple[str, str, str]:
    """Subject, text and SMS of a message, in the reader's own language alone."""
    shown = messages.preview(kind, language, content, name=reader_name(kind), link=LINK, student=STUDENT_AND_NUMBER)
    sms = (shown.sms or "").partition(" *** ")[0]
    return shown.subject.partition(" / ")[0], shown.text.partition("\n\n* * *")[0] + "\n", sms


#: For each way in which a level comes about: who must be named, and since when, in Amsterdam.
MINISTRYS_TIME = {"nl": "12 oktober 2026, 14:05", "en": "12 october 2026, 14:05"}
OVERRIDES_TIME = {"nl": "3 november 2026, 09:30", "en": "3 november 2026, 09:30"}
DECIDED = {
    "source": ("ministry", MINISTRYS_TIME),
    "stricter_override": ("university", OVERRIDES_TIME),
    "order_to_leave": ("university", OVERRIDES_TIME),
    "looser_override": ("university", OVERRIDES_TIME),
    "unconfirmed": ("not confirmed", MINISTRYS_TIME),
    "not_adopted": ("not adopted", MINISTRYS_TIME),
    "last_known": ("last known", MINISTRYS_TIME),
    "unread": ("not read", MINISTRYS_TIME),
    "override_ended": ("ministry", MINISTRYS_TIME),
}
NAMED = {
    "nl": {
        "ministry": "dit staat in het reisadvies van het ministerie van buitenlandse zaken",
        "university": "dit is een besluit van voorbeelduniversiteit",
        "not confirmed": "totdat een verbetering van het reisadvies is bevestigd",
        "not adopted": "een strenger reisadvies van het ministerie van buitenlandse zaken bekeken en niet overgenomen",
        "last known": "geeft geen kleurcode die wij kunnen lezen",
        "not read": "wij konden die zin niet zeker lezen",
    },
    "en": {
        "ministry": "this is in the travel advice of the dutch ministry of foreign affairs",
        "university": "this is a decision of example university",
        "not confirmed": "until an improvement of the travel advice has been confirmed",
        "not adopted": "a stricter travel advice of the dutch ministry of foreign affairs and has not adopted it",
        "last known": "gives no colour that we can read",
        "not read": "we could not read that sentence with certainty",
    },
}
QUOTED = {"nl": "in de woorden van het advies", "en": "says, in english"}
IMPROVED = {"nl": "verbeterd", "en": "improved"}
#: A sentence that names every colour, whatever the level.
RULE_OF_COLOURS = {"nl": "Oranje, rood of onbekend", "en": "Orange, red or unknown"}
ABOUT_LEVELS = [kind for kind in VARIANTS if kind not in ("manual", "reminder", "incident", "help_reply")]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("mechanism", DECIDED)
@pytest.mark.parametrize("kind", ABOUT_LEVELS)
def test_message_says_who_decided_and_since_when(
    messages: Messages, kind: Kind, mechanism: str, language: Language
) -> None:
    """R17: it names nobody else, shows document and reason of an override, and quotes only what says the same."""
    content = {"source": SPECIMENS[kind], **VARIANTS[kind]}.get(mechanism)
    if content is None:
        pytest.skip("cannot be: a looser override raises no alert, an order lists no places, an unread text no country")
    who, since = DECIDED[mechanism]
    subject, text, sms = one_language(messages, kind, language, content)
    shown = f"{subject}\n{text.replace(RULE_OF_COLOURS[language], '')}\n{sms}".lower()

    assert {name for name, words in NAMED[language].items() if words in shown} == {who}
    assert since[language] in shown
    assert ("cvb 2026/1" in shown) is (who == "university")
    assert ("onze verzekering dekt deze reis niet meer." in shown) is (who == "university")
    assert (QUOTED[language] in shown) is (isinstance(content, AlertContent) and who == "ministry")
    assert (IMPROVED[language] in shown) is ((kind, mechanism) == ("advice_improved", "source"))
    levels = [content.level] if isinstance(content, AlertContent) else [place.level for place in places_of(content)]
    colours = {word for word in COLOURS[language].values() if re.search(rf"\b{word}\b", shown)}
    assert colours == {colour(level, language) for level in levels}
    if who == "university":
        assert "buza" not in sms.lower()
        assert "mfa" not in sms.lower()


def places_of(content: AnyContent) -> tuple[Place, ...]:
    """The places that a message lists."""
    assert isinstance(content, ClearanceContent | RegistrationContent)
    return content.places


def test_message_says_whether_the_university_forbids_travel_or_orders_to_leave(messages: Messages) -> None:
    """R17: a ban is no evacuation; an order to leave is not lost where the ministry says the same level."""
    variants = VARIANTS["alert_country"]
    ban, order, both = (
        one_language(messages, "alert_country", "en", variants[name])
        for name in ("stricter_override", "order_to_leave", "order_to_leave_and_source")
    )

    assert "not an order to leave" in ban[1]
    assert "no order to leave" in ban[2]
    assert "ask you to return" not in ban[1]
    for subject, text, sms in (order, both):
        assert subject.startswith("Leave Ukraine.")
        assert "Whoever is there must leave." in text
        assert "Leave as soon as it is safe." in sms
    assert "This is in the travel advice" in both[1]
    assert "has decided this itself as well" in both[1]


def test_quote_that_names_another_colour_is_left_out(messages: Messages) -> None:
    """The beginning of a long text may speak of another part of the country: it does not say the same."""
    content = REGION.model_copy(update={"text_nl": "Voor de rest van het land geldt kleurcode geel."})

    _, text, _ = one_language(messages, "alert_region", "nl", content)

    assert "geel" not in text


#: Presence → what the message must say, and what it must not say, in the reader's language.
ASKED = {
    "nl": {
        "there": ("nu in", "Ga niet naar"),
        "before": ("Ga niet naar", "nu in"),
        "after": ("net voorbij", "nu in"),
        "overdue": ("Ben je terug", "nu in"),
    },
    "en": {
        "there": (" now", "Do not go to"),
        "before": ("Do not go to", "you are in"),
        "after": ("has just ended", "you are in"),
        "overdue": ("If you are back", "you are in"),
    },
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("presence", ["there", "before", "after", "overdue"])
@pytest.mark.parametrize("kind", ["alert_country", "alert_region", "alert_unresolved"])
def test_alert_says_where_the_person_is(messages: Messages, kind: Kind, presence: str, language: Language) -> None:
    """R26: who leaves tomorrow reads "do not go", and not that they are there and must return."""
    content = SPECIMENS[kind] if presence == "there" else VARIANTS[kind][presence]
    said, unsaid = ASKED[language][presence]

    _, text, sms = one_language(messages, kind, language, content)

    assert said in text
    assert unsaid not in text
    assert ("terug te keren" in text or "ask you to return" in text) is (presence == "there")
    assert (re.search(r"NIET heen|NOT go", sms) is not None) is (presence == "before")


def test_golden_files_are_those_of_the_messages_there_are() -> None:
    """Every kind has its files and templates, and every file and template belongs to a kind."""
    golden = {f"{kind}.{language}.txt" for kind in KINDS for language in LANGUAGES}
    golden |= {f"{kind}.variants.{language}.txt" for kind in VARIANTS for language in LANGUAGES}
    assert {file.name for file in GOLDEN.iterdir()} == golden
    assert set(FORMS) == set(SPECIMENS) == set(KINDS)
    written = {f"{kind}.{language}.txt.j2" for kind in KINDS for language in LANGUAGES}
    written |= {f"{kind}.{language}.sms.j2" for kind in KINDS if FORMS[kind].sms for language in LANGUAGES}
    assert {file.name for file in TEMPLATES.glob("*.j2")} == written


def test_specimens_tell_the_roles_apart() -> None:
    """No two roles share a name, address or number, so a golden message that takes one for another shows it."""
    offices = (COORDINATOR, CONTACT_PERSON, INTERNATIONAL_OFFICE, TEAM)
    assert STUDENT.emergency_contact is not None
    assert STUDENT.student_number is not None
    values = [
        *(value for office in offices for value in (office.function, office.email, office.phone)),
        *(STUDENT.called, STUDENT.surname, STUDENT.full_name, STUDENT.email, STUDENT.mobile, STUDENT.student_number),
        *(STUDENT.emergency_contact.name, STUDENT.emergency_contact.phone),
        *(EMERGENCY_NUMBER, EMERGENCY_EMAIL),
    ]

    assert len(set(values)) == len(values)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", OFFICE_READERS)
def test_message_to_an_office_never_takes_the_office_for_the_student(
    messages: Messages, kind: Kind, language: Language
) -> None:
    """It names the student with number where it is about one student, and its reader only as its reader."""
    shown = messages.preview(
        kind, language, SPECIMENS[kind], name=reader_name(kind), link=LINK, student=STUDENT_AND_NUMBER
    )

    assert shown.text.count(STUDENT_AND_NUMBER) == (2 if FORMS[kind].names_student else 0)
    sentences = [line for line in shown.text.splitlines() if reader_name(kind) in line]
    assert all(sentence.startswith(("Aan ", "To ")) for sentence in sentences), sentences


@pytest.mark.parametrize("kind", KINDS)
def test_message_shows_the_emergency_number_and_where_to_answer(messages: Messages, kind: Kind) -> None:
    """R28: every email and SMS holds the emergency number twice, and the person's link where it wants an answer."""
    for language in LANGUAGES:
        shown = messages.preview(kind, language, SPECIMENS[kind], name="Robin", link=LINK)
        assert shown.text.count(readable_number(EMERGENCY_NUMBER)) >= 2
        if shown.sms is not None:
            assert EMERGENCY_NUMBER in shown.sms or kind == "drill"
            assert shown.sms.count(LINK) == 1
        assert (LINK in shown.text) is (kind in (*ASKS_FOR_AN_ANSWER, "answer_received", "stay_over"))


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
    for content in (SPECIMENS[kind], *VARIANTS.get(kind, {}).values()):
        for language in LANGUAGES:
            text = messages.sms(kind, language, content, LINK)
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
