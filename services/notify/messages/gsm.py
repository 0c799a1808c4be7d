"""SMS text: transliterates it into the GSM 7 bit alphabet, and counts its parts. Pure.

Source: 3GPP TS 23.038 (alphabet and extension table), TS 23.040 (160 septets alone, 153 in a chain). ë and ï are
not in the alphabet: one of them turns an SMS of 160 characters into one of 70.
"""

import re
import unicodedata
from collections.abc import Iterable

ALPHABET = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")
_IN_ALPHABET = re.compile(f"[{re.escape(''.join(sorted(ALPHABET | EXTENSION)))}]*")
SINGLE, CHAINED = 160, 153
SINGLE_UTF16, CHAINED_UTF16 = 70, 67

# Letters that Unicode does not decompose, and signs that have a plain equivalent.
_PLAIN = str.maketrans(
    {
        "ı": "i", "İ": "I", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th",
        "œ": "oe", "Œ": "OE", "ħ": "h", "Ħ": "H", "ŋ": "ng", "Ŋ": "NG", "ĳ": "ij", "Ĳ": "IJ", "ə": "e", "Ə": "E",
        "ʻ": "'", "ʼ": "'", "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "`": "'", "´": "'",
        "“": '"', "”": '"', "„": '"', "″": '"', "«": '"', "»": '"', "‹": "'", "›": "'",
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-", "·": ".", "•": "-", "…": "...",
        "×": "x", "÷": "/", "№": "No", "°": "o", "\t": " ", "\u00a0": " ", "\u2028": "\n", "\u2029": "\n",
    }
)  # fmt: skip


def to_gsm(text: str) -> str:
    """The text in the GSM alphabet. Accents that it lacks are dropped; é ä ö ü ñ stay.

    A letter or digit without an equivalent becomes `?`. Emoji, marks without a letter, control and direction
    characters are removed.
    """
    if _IN_ALPHABET.fullmatch(text):
        return text  # saves time: every link is in the alphabet, and this runs for each recipient
    return "".join(_transliterated(unicodedata.normalize("NFC", text).translate(_PLAIN)))


def _transliterated(text: str) -> Iterable[str]:
    for character in text:
        if character in ALPHABET or character in EXTENSION:
            yield character
            continue
        plain = unicodedata.normalize("NFKD", character).translate(_PLAIN)
        transliterated = "".join(part for part in plain if part in ALPHABET or part in EXTENSION)
        if transliterated:
            yield transliterated
        elif unicodedata.category(character)[0] in "LN":
            yield "?"


def is_gsm(text: str) -> bool:
    """Whether every character is in the GSM alphabet or its extension."""
    return all(character in ALPHABET or character in EXTENSION for character in text)


def segments(text: str) -> int:
    """The number of SMS parts: counted in septets in the GSM alphabet (an extension character takes two), else in
    UTF-16 units. An extension character or surrogate pair is never split: it moves to the next part.
    """
    if is_gsm(text):
        return _parts([2 if character in EXTENSION else 1 for character in text], SINGLE, CHAINED)
    return _parts([2 if ord(character) > 0xFFFF else 1 for character in text], SINGLE_UTF16, CHAINED_UTF16)


def _parts(widths: list[int], single: int, chained: int) -> int:
    if sum(widths) <= single:
        return 1
    number, used = 1, 0
    for width in widths:
        if used + width > chained:
            number, used = number + 1, 0
        used += width
    return number
