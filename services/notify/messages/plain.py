"""Makes text from outside safe for a message: one line, no direction marks, none of our placeholders. Pure."""

import re
import unicodedata

# Placeholders for what differs between persons: private-use characters, which `one_line` removes from outside text.
# NAME: whom the message addresses. STUDENT: the student whom a message to an office is about.
NAME, LINK, STUDENT = "\ue000", "\ue001", "\ue002"
PLACEHOLDERS = frozenset({NAME, LINK, STUDENT})
_REMOVED = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ue000-\ue0ff]")
_BLANK = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")
#: Between the digits of a number, and in front of it.
_WITHIN_NUMBERS = " .,:/^()+-"
_SURROGATE = re.compile("[\ud800-\udfff]")


def one_line(text: str) -> str:
    """The text in one line, in NFC. Control characters become blanks; direction marks and surrogates are removed."""
    if text.isascii() and text.isprintable():
        return text.strip()
    text = _SURROGATE.sub("\ufffd", unicodedata.normalize("NFC", text))
    return _BLANK.sub(" ", _REMOVED.sub("", text)).strip()


def shortened(text: str, limit: int) -> str:
    """The text, cut to at most `limit` characters: after a sentence, else after a word, with three dots.

    Never within a number, or between its groups: half a phone number is another one.
    """
    text = one_line(text)
    if len(text) <= limit:
        return text
    head = text[: max(0, limit - 3)]
    sentence = max(head.rfind(". "), head.rfind("! "), head.rfind("? "))
    if sentence > limit // 2:
        return head[: sentence + 1]
    word = head.rfind(" ")
    cut = head[:word] if word > limit // 2 else head
    cut = _without_torn_number(cut, text[len(cut) :])
    return f"{cut}..." if cut else ""


def _without_torn_number(cut: str, rest: str) -> str:
    """The text without the number at its end if that goes on in the rest."""
    if not (cut.rstrip(_WITHIN_NUMBERS)[-1:].isnumeric() and rest.lstrip(_WITHIN_NUMBERS)[:1].isnumeric()):
        return cut
    end = len(cut)
    while end and (cut[end - 1].isnumeric() or cut[end - 1] in _WITHIN_NUMBERS):
        end -= 1
    return cut[:end]
