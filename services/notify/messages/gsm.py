"""SMS text: into the GSM 7 bit alphabet by transliteration, and how many parts it takes. Pure.

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

# Letters that Unicode does not take apart, and signs that have a plain one beside them.
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
    """The text in the GSM alphabet: accents go where they must, é ä ö ü ñ stay, what has no letter becomes `?`.

    Emoji, marks without a letter, control and direction characters vanish.
    """
    if _IN_ALPHABET.fullmatch(text):
        return text  # as every link is: this runs for each recipient
    return "".join(_transliterated(unicodedata.normalize("NFC", text).translate(_PLAIN)))


def _transliterated(text: str) -> Iterable[str]:
    for character in text:
        if character in ALPHABET or character in EXTENSION:
            yield character
            continue
        plain = unicodedata.normalize("NFKD", character).translate(_PLAIN)
        known = "".join(part for part in plain if part in ALPHABET or part in EXTENSION)
        if known:
            yield known
        elif unicodedata.category(character)[0] in "LN":
            yield "?"


def is_gsm(text: str) -> bool:
    """Whether every character is in the GSM alphabet or its extension."""
    return all(character in ALPHABET or character in EXTENSION for character in text)


def segments(text: str) -> int:
    """SMS parts: septets in the GSM alphabet (extension characters count two), else UTF-16 units.

    Neither an extension character nor a surrogate pair is cut in two: it moves to the next part.
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
