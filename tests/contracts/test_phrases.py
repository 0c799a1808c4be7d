"""Problems are read in the reader's language: every sentence that code raises has a Dutch and an English text."""

import ast
from pathlib import Path

import pytest

from services.approval import texts as approval_texts
from services.registration import texts as registration_texts
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
]
FOLDERS = ("services/registration/api", "services/registration/commands", "services/approval", "shared/web",
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
