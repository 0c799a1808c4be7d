"""The words that a person wrote in a mail, without the mail that they answer. Pure.

A quoted alert contains the words for safe and help, which are ours and not the person's.
"""

import html
import re
import string
from collections.abc import Iterable

from services.notify.channels.mail_parts import MailPart

#: Characters of a mail's text that are read.
WORDS_LIMIT = 20_000
#: Elements of HTML that hold no words of the writer, or the mail that is quoted.
_WITHOUT_WORDS = ("style", "script", "head", "blockquote")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_LINE_END = re.compile(r"<(?:br|/?p|/?div|/?li|/?tr)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_SENTENCE_END = re.compile(r"[.!?]\s|\n")
#: Below such a line stands nothing but the mail that is answered, or a signature.
_CUT = re.compile(r"-- ?$|_{10}|-{3,10} ?(?:original|oorspronkelijk|ursprüngliche|forwarded|doorgestuurd)")
#: The first line of the header that Outlook quotes: From, then Sent or Date.
_QUOTED_HEADER = re.compile(r"\*?(?:from|van|von|de)\s?:\*?\s")
#: "On Monday, X wrote:" above a quotation.
_ATTRIBUTION = re.compile(
    r"(?:on|op|am|le|el|il)\b.{0,200}\b(?:wrote|schreef|schrieb|escribió|scritto|a écrit)\b.{0,100}:$"
)


def words_of_mail(parts: Iterable[MailPart]) -> str:
    """The text of a mail itself, not of a mail that it encloses: its plain text, or its HTML without tags."""
    own = [part for part in parts if not part.is_enclosed]
    texts = [part.text for part in own if part.content_type == "text/plain" and part.body.strip()]
    if not texts:
        texts = [without_tags(part.text[: 4 * WORDS_LIMIT]) for part in own if part.content_type == "text/html"]
    return "\n".join(texts)[:WORDS_LIMIT]


def without_tags(text: str) -> str:
    """HTML as text, without what its reader does not see as the writer's own."""
    for element in _WITHOUT_WORDS:
        text = _without_element(text, element)
    return html.unescape(_TAG.sub(" ", _LINE_END.sub("\n", text)))


def _without_element(text: str, element: str) -> str:
    """Everything outside the elements of this name; an open one reaches to the end, a quotation to the last end."""
    kept, lower, position = list[str](), text.translate(_LOWER), 0
    while (start := lower.find(f"<{element}", position)) >= 0:
        kept.append(text[position:start])
        end = (lower.rfind if element == "blockquote" else lower.find)(f"</{element}", start)
        position = end if end >= 0 else len(text)
    return "".join(kept) + text[position:]


def unquoted(text: str) -> str:
    """What the writer added: without quoted lines, and without the mail that a mail program appends."""
    lines: list[str] = []
    for line in text.splitlines():
        words = line.strip()
        if _CUT.match(words.lower()) or _QUOTED_HEADER.match(words.lower()):
            break
        if not words.startswith(">") and not _ATTRIBUTION.match(words.lower()):
            lines.append(words)
    return "\n".join(lines).strip()


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text: in a mail a cry for help often stands between others."""
    return [sentence.strip() for sentence in _SENTENCE_END.split(text) if sentence.strip()]
