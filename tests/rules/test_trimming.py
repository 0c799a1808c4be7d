"""Signs that show nothing around a text: with and without them it is the same text, in every field of the door."""

import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.fields import AlertMessage, DocumentKind, FreeText, PlainName, ReasonText, ShortText
from shared.privacy.contact import FormEmail, FormMobile, FormPhone, StudentNumber
from shared.trimming import shows_nothing, trimmed

#: What a paste leaves: RLM, LRM, tab, VT, ZWSP, NBSP, soft hyphen, BOM, word joiner, ideographic space, filler.
PASTED = "\u200f\u200e\t\x0b\u200b\u00a0\u00ad\ufeff\u2060\u3000\u3164\u202a\u202c\u2028\x85\r\n "
INVISIBLE = [chr(code) for code in range(sys.maxunicode + 1) if shows_nothing(chr(code))]
around = st.text(st.sampled_from(PASTED) | st.sampled_from(INVISIBLE), max_size=8)
FIELDS: dict[str, tuple[Any, list[str]]] = {
    "short text": (ShortText, ["São Paulo", "a", "x" * 100, "القاهرة", "👩\u200d🎓"]),
    "name": (PlainName, ["Nguyễn", "می\u200cخواهم", "क्\u200dष", "J.P.", "x" * 100, "\u0301e"]),
    "free text": (FreeText, ["one\ntwo", "x" * 4000, "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"]),
    "reason": (ReasonText, ["no", "x" * 500]),
    "alert": (AlertMessage, ["Stay inside.", "x" * 1000]),
    "kind": (DocumentKind, ["Letter"]),
    "mail": (FormEmail, ["student@students.example", "o'neil+travel@xn--mnchen-3ya.example"]),
    "mobile": (FormMobile, ["+31612345678", "+34 612 345 678"]),
    "phone": (FormPhone, ["+31 71 527 1234 ext 12", "+31612345678"]),
    "student number": (StudentNumber, ["s1234567"]),
}


def value_of(kind: Any, text: str) -> str | None:
    """What a field keeps of a text; None when it refuses it."""
    try:
        return str(TypeAdapter(kind).validate_python(text))
    except ValidationError:
        return None


@pytest.mark.parametrize("field", FIELDS)
@settings(max_examples=20)
@given(before=around, after=around)
def test_invisible_signs_around_a_value_change_nothing(field: str, before: str, after: str) -> None:
    """The longest value is not too long because of them."""
    kind, values = FIELDS[field]
    for value in values:
        expected = value_of(kind, value)
        assert expected is not None
        assert value_of(kind, f"{before}{value}{after}") == expected


@given(before=around, text=st.text(max_size=20), after=around)
def test_any_text_is_kept_or_refused_as_without_them(before: str, text: str, after: str) -> None:
    """Whatever stands between them."""
    for kind in (ShortText, PlainName, FreeText):
        assert value_of(kind, f"{before}{text}{after}") == value_of(kind, text)


@given(st.text(st.sampled_from(INVISIBLE)))
def test_nothing_but_invisible_signs_is_empty(text: str) -> None:
    """Trimmed to nothing, and refused."""
    assert trimmed(text) == ""
    assert {value_of(kind, text) for kind, _ in FIELDS.values()} == {None}


def test_letters_and_marks_are_never_trimmed() -> None:
    """All of Unicode, but for five letters and a mark that show nothing."""
    letters = {chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] in "LMNS"}

    assert {letter for letter in letters if trimmed(letter) != letter} == set("\u115f\u1160\u3164\uffa0\u2800\u034f")


def test_tabs_and_marks_at_the_ends_of_lines_are_trimmed_too() -> None:
    """A list that is pasted from a mail; within a line they are still refused."""
    assert value_of(FreeText, "one\t\r\ntwo\u200f\n\n three \u200b") == "one\ntwo\n\n three"
    assert value_of(FreeText, "one\ttwo") is None


@pytest.mark.parametrize("sign", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\ue000", "\ud800"])
def test_a_control_character_of_no_keyboard_is_refused_wherever_it_stands(sign: str) -> None:
    """It is no paste: whoever sent it made it."""
    for kind in (ShortText, PlainName, FreeText, FormEmail, FormMobile):
        for value in ("ann", "ann@students.example", "+31612345678"):
            assert {value_of(kind, f"{value}{sign}"), value_of(kind, f"{sign}{value}")} == {None}
