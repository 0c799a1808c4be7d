"""Problems are read in the reader's language: every sentence that code raises has a Dutch and an English text."""

import ast
from pathlib import Path

import pytest

from services.approval import texts as approval_texts
from services.notify import texts as notify_texts
from services.notify.rules.escalation import RollCallStatus
from services.notify.rules.handing_over import is_open
from services.registration import texts as registration_texts
from services.safety import texts as safety_texts
from shared.web.phrases import SHARED, Phrases, preferred_language

ROOT = Path(__file__).parents[2]
#: Said only in a log or to an operator.
INTERNAL = {"the key set has no usable key", "a duplicate key", "a ticket is made of one block"}
PHRASES = [
    *SHARED,
    *registration_texts.REASONS.values(),
    *registration_texts.STAFF.values(),
    *registration_texts.PROBLEMS,
    *approval_texts.REASONS.values(),
    *approval_texts.PROBLEMS,
    *notify_texts.PROBLEMS,
    *safety_texts.PROBLEMS,
]
FOLDERS = ("services/registration/api", "services/registration/commands", "services/approval", "services/notify/api",
           "services/notify/commands", "services/safety/api", "services/safety/commands", "shared/web",
           "shared/privacy/contact.py", "shared/fields.py")  # fmt: skip


def _sentences(file: Path) -> set[str]:
    """The whole texts that a file gives to problems, wrong fields and validators; not those made of parts."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        position = {"Problem": 1, "FieldError": 1, "ValueError": 0}.get(node.func.id)
        if position is not None and len(node.args) > position:
            text = node.args[position]
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found.add(text.value)
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_sentence_has_its_counterpart(folder: str) -> None:
    """A Dutch student gets no English for a sentence that code says whole."""
    path = ROOT / folder
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    known = {text for pair in PHRASES for text in pair}

    missing = {text for file in files for text in _sentences(file)} - known - INTERNAL

    assert missing == set()


def test_no_sentence_has_two_counterparts() -> None:
    """A sentence in one language has one counterpart in the other."""
    pairs: dict[str, set[str]] = {}
    for dutch, english in PHRASES:
        pairs.setdefault(english, set()).add(dutch)

    assert {english: texts for english, texts in pairs.items() if len(texts) > 1} == {}


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, None),
        ("", None),
        ("nl", "nl"),
        ("nl-NL,nl;q=0.9,en;q=0.8", "nl"),
        ("en-GB,en;q=0.9,nl;q=0.8", "en"),
        ("de-DE,de;q=0.9,nl;q=0.4,en;q=0.5", "en"),
        ("fr", None),
        ("*", None),
        ("nl;q=0", None),
        ("nl;q=zero,en;q=0.1", "en"),
        ("nl;q=7", None),
        (";;;,,,=q", None),
        ("nl" * 10_000, None),
    ],
)
def test_preferred_language(header: str | None, language: str | None) -> None:
    """Whichever of the two the reader prefers; garbage is no preference."""
    assert preferred_language(header) == language


def test_phrases_go_both_ways_and_leave_what_they_do_not_know() -> None:
    """A text that was written in Dutch is read in English as well."""
    phrases = Phrases([("Hallo.", "Hello.")])

    assert phrases.in_language("Hello.", "nl") == phrases.in_language("Hallo.", "nl") == "Hallo."
    assert phrases.in_language("Hallo.", "en") == "Hello."
    assert phrases.in_language("Something else.", "nl") == "Something else."


def test_refused_closing_counts_in_both_languages() -> None:
    """One recipient is not *are*; each status is named once, with its number."""
    one = notify_texts.not_accounted_for({RollCallStatus.HELP: 1})
    many = notify_texts.not_accounted_for({RollCallStatus.UNREACHABLE: 2, RollCallStatus.NO_ANSWER: 1})

    assert one[0].startswith("1 ontvanger is niet in beeld: 1 om hulp gevraagd.")
    assert one[1].startswith("1 recipient is not accounted for: 1 asking for help.")
    assert many[0].startswith("3 ontvangers zijn niet in beeld: 2 onbereikbaar, 1 zonder antwoord.")
    assert many[1].startswith("3 recipients are not accounted for: 2 unreachable, 1 without an answer.")


def test_every_status_that_keeps_an_alert_open_has_its_words() -> None:
    """Whoever is not safe is counted under a name."""
    assert set(notify_texts.OPEN_AS) == {status for status in RollCallStatus if is_open(status, is_drill=False)}
