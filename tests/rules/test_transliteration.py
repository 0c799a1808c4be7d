"""Transliteration into the GSM alphabet: letters stay readable, and a number stays the same number."""

import re
import sys
import unicodedata
from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notify.messages.gsm import ALPHABET, EXTENSION, is_gsm
from services.notify.messages.transliteration import to_gsm
from tests.failures import Failures


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("België", "Belgie"),
        ("Oekraïne", "Oekraine"),
        ("Curaçao", "Curacao"),
        ("Réunion, São Tomé, Åland", "Réunion, Sao Tomé, Åland"),
        ("Łódź Đakovo", "Lodz Dakovo"),
        ("Türkiye'nin ığ", "Türkiye'nin ig"),
        ("‘zo’ “en” – dat…", "'zo' \"en\" - dat..."),
        ("€ 5 {a} [b] ~", "€ 5 {a} [b] ~"),
        ("hulp 🚨 nodig", "hulp  nodig"),
        ("\u202eabc\u200f", "abc"),
        ("Київ", "????"),
        ("Việt Nam", "Viet Nam"),
        ("a\u0301\u0308", "a"),
        ("ΑΘΗΝΑ, ΚΥΠΡΟΣ", "AΘHNA, KYΠPOΣ"),
        ("ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ", "ABΓΔEZHΘIKΛMNΞOΠPΣTYΦXΨΩ"),
        ("Ώρα", "Ω??"),
        ("A → B", "A -> B"),
    ],
)
def test_to_gsm_text_becomes_readable_ascii_or_kept(text: str, expected: str) -> None:
    """Letters of the alphabet stay, others lose their accents; emoji and direction marks are removed."""
    assert to_gsm(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # fractions
        ("½ km", "1/2 km"),
        ("3½ km", "3 1/2 km"),
        ("½5", "1/2 5"),
        ("1½2½", "1 1/2 2 1/2"),
        ("3½.5", "3 1/2 .5"),
        ("1⁄2", "1/2"),
        ("3¹⁄₂", "3 1/2"),
        ("3⅟₄", "3 1/4"),
        ("༳ ൶", "-1/2 1/16"),
        # exponents and indices
        ("10² m", "10^2 m"),
        ("10²3", "10^2 3"),
        ("10⁻¹²", "10^-12"),
        ("10ⁿ", "10^n"),
        ("5 m² 3", "5 m^2 3"),
        ("5㎡3", "5m^2 3"),
        ("H₂O, CO₂5", "H2O, CO2 5"),
        ("10₂", "10_2"),
        ("1ˢᵗ 5™", "1st 5TM"),
        # other digits and numbers
        ("٣٤ ３４ 𝟛𝟜", "34 34 34"),
        ("٣٫٥ ３．５", "3.5 3.5"),
        ("①② ⑩ 3❶ ㈠ ㊀ ㉈", "(1)(2) (10) 3(1) (1) (1) (10)"),
        ("5⒈5", "5 1. 5"),
        ("Ⅷ ⅩⅠ ↂ", "VIII XI 10000"),
        ("፲፩ ௰", "10 1 10"),
        ("5㋀", "5 1?"),
        # signs beside a number
        ("1🚨2 5\ufe0f\u20e36\ufe0f\u20e3", "1 2 5 6"),
        ("1\u200b2 a\u200bb", "1 2 ab"),
        ("1\x0b2 1\u20092", "1 2 1 2"),
        ("5〜10, 5–10", "5-10, 5-10"),
        ("•5", "*5"),
        ("3·5 l·l", "3 . 5 l.l"),
        ("≤5 ≥5 ±5 √4 x≠5 ≮5", "<=5 >=5 +/-5 root 4 x not =5 not <5"),
        ("30°C 30 °C 5℃ 5½℉ 40° 52°30′N", "30 C 30 C 5 C 5 1/2 F 40 deg 52 deg 30'N"),
        ("1º 2ª nº", "1.o 2.a no"),
        ("№5 5‰ 5%", "No 5 5 per mille 5%"),
        ("5㎞ 5㎍ 5µm 5㎨", "5km 5ug 5um 5m/s^2"),
        ("₹500 500₽ ￥5 5¢", "INR 500 500 RUB ¥5 5 cent"),
    ],
)  # fmt: skip
def test_to_gsm_number_keeps_its_value_and_stays_apart(text: str, expected: str) -> None:
    """½ km is not 12 km, and 10² m is not 102 m."""
    assert to_gsm(text) == expected


@settings(deadline=None)
@given(st.text(max_size=300))
def test_to_gsm_any_text_is_in_the_alphabet_and_stable(text: str) -> None:
    """Every text becomes GSM, and a second transliteration changes nothing."""
    once = to_gsm(text)

    assert is_gsm(once)
    assert to_gsm(once) == once


NUMERIC = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in ("Nd", "Nl", "No")]
DIGITS = [sign for sign in NUMERIC if unicodedata.category(sign) == "Nd"]
ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1_000}


def value_of(text: str) -> Fraction | None:
    """The number that a person reads in the text; None for `?`."""
    plain = text.strip("()^_.,? ")
    if not plain:
        return None
    if set(plain.upper()) <= ROMAN.keys():
        values = [ROMAN[letter] for letter in plain.upper()]
        following = [*values[1:], 0]
        return Fraction(sum(-one if one < two else one for one, two in zip(values, following, strict=True)))
    return Fraction(plain)


def test_to_gsm_every_number_of_unicode_has_its_value() -> None:
    """Alone, and between two digits: read again, it is the same number, and the two digits are still themselves."""
    with Failures() as failures:
        for sign in NUMERIC:
            with failures.case(f"{sign} U+{ord(sign):04X}"):
                expected = Fraction(unicodedata.numeric(sign)).limit_denominator(1_000)
                written, between = to_gsm(sign), to_gsm(f"7{sign}8")
                if sign == "⅟":  # the numerator of a fraction that goes on
                    assert (written, between) == ("1/", "7 1/ 8")
                    continue
                assert value_of(written) in (expected, None)
                if sign in DIGITS:
                    assert between == f"7{unicodedata.decimal(sign)}8"
                    continue
                assert re.fullmatch(r"7[^0-9/.,].*[^0-9/.,]8|7[IVXLCDMivxlcdm?]+8", between)
                assert value_of(between[1:-1]) in (expected, None)


def assigned() -> Iterator[str]:
    """Every sign of Unicode that is no ordinary letter or ideograph, and a letter of each kind of name."""
    for code in range(sys.maxunicode + 1):
        sign = chr(code)
        if unicodedata.category(sign) not in ("Cn", "Co", "Cs") and not (
            "\u3400" <= sign <= "\u9fff" or code > 0x20000
        ):
            yield sign


def test_to_gsm_no_sign_of_unicode_joins_two_numbers_or_makes_one() -> None:
    """A sign that is no number brings no digit along and leaves the digits around it apart, or says so with a dot.

    Combining marks decorate the digit before them. Signs that Unicode makes of numbers (㎡, ㏠) keep theirs apart.
    """
    wrong = []
    for sign in assigned():
        written = to_gsm(f"7{sign}8")
        if not all(character in ALPHABET or character in EXTENSION for character in written):
            wrong.append((sign, written))
        if unicodedata.category(sign) in ("Mn", "Nd", "Nl", "No"):
            continue
        groups = re.findall("[0-9]+", written)
        made_of_numbers = any(map(str.isdigit, unicodedata.normalize("NFKD", sign))) or sign == "🔟"
        if groups != ["7", "8"] and not (made_of_numbers and groups[0] == "7" and groups[-1] == "8"):
            wrong.append((sign, written))
        if made_of_numbers and re.match("7[0-9/.,]|.*[0-9/.,]8$", written):
            wrong.append((sign, written))
    assert wrong == []


def test_to_gsm_unassigned_and_private_signs_are_in_the_alphabet_without_digits() -> None:
    """The rest of Unicode, lone surrogates too."""
    signs = (chr(code) for code in range(sys.maxunicode + 1))
    rest = "".join(sign for sign in signs if unicodedata.category(sign) in ("Cn", "Co", "Cs"))

    written = to_gsm(rest)

    assert is_gsm(written)
    assert not re.search("[0-9]", written)


@settings(deadline=None)
@given(st.lists(st.sampled_from([*NUMERIC, *"🚨\u200b°№‰⁄·×", *"09", " "]), max_size=12).map("".join))
def test_to_gsm_digits_out_are_the_digits_in(text: str) -> None:
    """Numbers beside numbers and signs: no run of digits in the message holds digits of two numbers of the text."""
    longest = [1]
    for sign in text:
        longest.append(longest[-1] + 1 if sign in DIGITS else 1)
    alone = [len(run) for sign in set(text) for run in re.findall("[0-9]+", to_gsm(sign))]
    exponents = [len(run) for run in re.findall("[⁰¹²³⁴⁵⁶⁷⁸⁹]+|[₀₁₂₃₄₅₆₇₈₉]+", text)]

    runs = [len(run) for run in re.findall("[0-9]+", to_gsm(text))]

    assert max(runs, default=0) <= max([*longest, *alone, *exponents])
