"""Makes text from outside safe for a message: one line, no direction marks, none of our placeholders. Pure."""

import re
import unicodedata

# Placeholders for what differs between persons: private-use characters, which `one_line` removes from outside text.
# NAME: whom the message addresses. STUDENT: the student whom a message to an office is about.
NAME, LINK, STUDENT = "\ue000", "\ue001", "\ue002"
PLACEHOLDERS = frozenset({NAME, LINK, STUDENT})
_REMOVED = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ue000-\ue0ff]")
_BLANK = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def one_line(text: str) -> str:
    """The text in one line, in NFC. Control characters become blanks; direction marks and surrogates are removed."""
    if text.isascii() and text.isprintable():
        return text.strip()
    text = _SURROGATE.sub("\ufffd", unicodedata.normalize("NFC", text))
    return _BLANK.sub(" ", _REMOVED.sub("", text)).strip()


def shortened(text: str, limit: int) -> str:
    """The text, cut to at most `limit` characters: after a sentence, else after a word, with three dots."""
    text = one_line(text)
    if len(text) <= limit:
        return text
    head = text[: max(0, limit - 3)]
    sentence = max(head.rfind(". "), head.rfind("! "), head.rfind("? "))
    if sentence > limit // 2:
        return head[: sentence + 1]
    word = head.rfind(" ")
    return f"{head[:word] if word > limit // 2 else head}..." if head else ""
