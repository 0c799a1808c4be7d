"""Transliterates a text into the GSM 7 bit alphabet of an SMS. Pure.

A number keeps its value and stays apart from its neighbours: ½ is 1/2, 3½ is 3 1/2, 10² is 10^2, 5‰ is 5 per mille.
A letter or sign without an equivalent becomes `?`; an emoji that is removed between two digits leaves a space.
"""

import re
import unicodedata
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache

from services.notify.messages.gsm import ALPHABET, EXTENSION

_IN_ALPHABET = re.compile(f"[{re.escape(''.join(sorted(ALPHABET | EXTENSION)))}]*")

#: Marks in the text that is being made: a space belongs here if digits meet, or if letters or digits meet.
_APART, _WORD = "\0", "\1"
_MARKS = re.compile("[\0\1]+")
_DIGIT_BEFORE, _DIGIT_AFTER = re.compile(r"[0-9][/.,]?$"), re.compile(r"[-+/.,^_]?[0-9]")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")

_UP = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁱⁿ", "0123456789+-=()in", strict=True))
_DOWN = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎", "0123456789+-=()", strict=True))
_RAISED, _LOWERED = str.maketrans(_UP), str.maketrans(_DOWN)
#: Signs that are read together, each run by the first form that fits. The last form is any other sign.
_RUNS = re.compile(
    f"(?P<fraction>(?:[{''.join(_UP)[:10]}]+[/⁄∕]|⅟)[{''.join(_DOWN)[:10]}]+)|(?P<up>[{''.join(_UP)}]+)"
    f"|(?P<down>[{''.join(_DOWN)}]+)|(?P<other>.)",
    re.DOTALL,
)

# Letters that Unicode does not decompose, and signs that have a plain equivalent.
_LETTERS = {
    "ı": "i", "İ": "I", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th",
    "œ": "oe", "Œ": "OE", "ħ": "h", "Ħ": "H", "ŋ": "ng", "Ŋ": "NG", "ĳ": "ij", "Ĳ": "IJ", "ə": "e", "Ə": "E",
    "µ": "u", "μ": "u",
}  # fmt: skip
#: Greek capitals that look like Latin ones; GSM has the others. Source: 3GPP TS 23.038 6.2.1.
_GREEK = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True))
_PUNCTUATION = {
    "ʻ": "'", "ʼ": "'", "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "`": "'", "´": "'",
    "“": '"', "”": '"', "„": '"', "″": '"', "«": '"', "»": '"', "‹": "'", "›": "'",
    "‐": "-", "‑": "-", "⁃": "-", "•": "*", "…": "...", "\t": " ", "\u00a0": " ", "¦": "|",
    "،": ",", "؛": ";", "؟": "?", "、": ",", "。": ".", "٫": ".",
}  # fmt: skip
#: Without them the number beside them would say something else.
_MATHEMATICS = {
    "×": "x", "÷": "/", "⁄": "/", "∕": "/", "−": "-", "±": "+/-", "∓": "-/+", "∶": ":", "∗": "*", "∣": "|",
    "≈": "~", "∼": "~", "≃": "~", "≤": "<=", "≥": ">=", "⩽": "<=", "⩾": ">=", "≠": f"{_WORD}not{_WORD} =",
    "→": "->", "←": "<-", "↔": "<->", "⇒": "=>", "∆": "Δ", "∑": "Σ", "∏": "Π", "♯": "#", "٪": "%",
}  # fmt: skip
_WORDS = {
    "№": "No", "°": "deg", "℃": "C", "℉": "F", "‰": "per mille", "؉": "per mille", "‱": "per ten thousand",
    "؊": "per ten thousand", "√": "root", "∛": "cube root", "∜": "fourth root", "∞": "infinite", "🔟": "10",
    "¢": "cent", "฿": "THB", "৳": "BDT", "៛": "KHR", "₡": "CRC", "₤": "£", "₦": "NGN", "₩": "KRW", "₪": "ILS",
    "₫": "VND", "₭": "LAK", "₮": "MNT", "₱": "PHP", "₲": "PYG", "₴": "UAH", "₵": "GHS", "₸": "KZT", "₹": "INR",
    "₺": "TRY", "₼": "AZN", "₽": "RUB", "₾": "GEL", "₿": "BTC", "﷼": "rial", "⃀": "KGS",
}  # fmt: skip
#: A point between digits is a decimal sign to some readers and a multiplication to others: it stands by itself.
_DOTS = dict.fromkeys("·∙⋅‧・", f"{_APART}.{_APART}")
_PLAIN = {
    **_LETTERS, **_GREEK, **_PUNCTUATION, **_MATHEMATICS, **_DOTS,
    **{sign: f"{_WORD}{word}{_WORD}" for sign, word in _WORDS.items()},
}  # fmt: skip
#: Replaces a sign that has neither an equivalent nor a decomposition, by its general category in Unicode.
_BY_CATEGORY = {
    "Pd": "-", "Pc": "_", "Ps": "(", "Pe": ")", "Pi": '"', "Pf": '"', "Zs": " ", "Zl": "\n", "Zp": "\n",
    "Sc": f"{_WORD}¤{_WORD}", "Sm": "?",
}  # fmt: skip
_DEGREES_OF = re.compile("°(?=[CF])")
_ORDINALS = re.compile(r"(?<=[0-9])(?=[ºª])")
#: The stroke that negates a sign: ≠ is = with it.
_NEGATION = "\u0338"


def to_gsm(text: str) -> str:
    """The text in the GSM alphabet. Accents that it lacks are dropped; é ä ö ü ñ stay.

    A letter, number or mathematical sign without an equivalent becomes `?`. Emoji, marks without a letter, control and
    direction characters are removed.
    """
    if _IN_ALPHABET.fullmatch(text):
        return text  # saves time: every link is in the alphabet, and this runs for each recipient
    composed = unicodedata.normalize("NFC", text)
    composed = _DEGREES_OF.sub(_WORD, composed.replace(_WORD, _APART))
    return _resolve_marks("".join(_transliterated(_ORDINALS.sub(".", composed))))


def _transliterated(text: str) -> Iterable[str]:
    """The text in the alphabet and the two marks."""
    for run in _RUNS.finditer(text):
        signs = run.group()
        match run.lastgroup:
            case "fraction":
                numerator, denominator = re.split("[/⁄∕⅟]", signs)
                yield f"{_APART}{numerator.translate(_RAISED) or 1}/{denominator.translate(_LOWERED)}{_APART}"
            case "up":
                yield f"^{signs.translate(_RAISED)}{_APART}"
            case "down":
                sign = "_" if text[run.start() - 1 : run.start()].isdigit() else ""
                yield f"{sign}{signs.translate(_LOWERED)}{_APART}"
            case _:
                yield signs if signs in ALPHABET or signs in EXTENSION or signs == _WORD else _sign(signs)


@lru_cache(maxsize=4_096)
def _sign(sign: str) -> str:
    """One sign that is not in the alphabet."""
    if sign in _PLAIN:
        return _PLAIN[sign]
    category = unicodedata.category(sign)
    if category == "Nd":
        return str(unicodedata.decimal(sign))  # a digit of a number: digits beside it belong to the same number
    if category in ("Nl", "No"):
        return f"{_APART}{_number(sign)}{_APART}"
    if category == "Mn":
        return ""  # an accent of the sign before it
    if decomposition := unicodedata.decomposition(sign):
        return _decomposed(decomposition) or _APART
    return _BY_CATEGORY.get(category) or ("?" if category[0] == "L" else _APART)


def _decomposed(decomposition: str) -> str:
    """What Unicode says that a sign is made of. Numbers in it stay apart from the numbers beside the sign."""
    parts = "".join(chr(int(code, 16)) for code in decomposition.split() if not code.startswith("<"))
    found = "".join(_transliterated(parts))
    if _NEGATION in parts:
        return f"{_WORD}not{_WORD} {found}"
    return f"{_APART}{found}{_APART}" if re.search("[0-9]", found) else found


def _number(sign: str) -> str:
    """A sign that is a number by itself: ⅔, ①, Ⅷ, or of a script that counts in other ways."""
    value = unicodedata.numeric(sign, None)
    name = unicodedata.name(sign, "")
    if value is not None and ("CIRCLED" in name or "PARENTHESIZED" in name):
        return f"({value:.0f})"
    written = _decomposed(unicodedata.decomposition(sign))
    if written and "?" not in written:
        return written
    return "?" if value is None else str(Fraction(value).limit_denominator(1_000))


def _resolve_marks(text: str) -> str:
    """A space for each mark at which two numbers, or a word and its neighbour, would become one."""

    def space(marks: re.Match[str]) -> str:
        before = _MARKS.sub("", text[max(0, marks.start() - 8) : marks.start()])
        after = _MARKS.sub("", text[marks.end() : marks.end() + 8])
        numbers_meet = bool(_DIGIT_BEFORE.search(before)) and bool(_DIGIT_AFTER.match(after))
        words_meet = bool(_LETTER_OR_DIGIT.fullmatch(before[-1:])) and bool(_LETTER_OR_DIGIT.fullmatch(after[:1]))
        return " " if numbers_meet or (_WORD in marks.group() and words_meet) else ""

    return _MARKS.sub(space, text)
