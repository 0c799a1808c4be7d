"""SMS text: the GSM 7 bit alphabet, and the number of parts that a text takes. Pure.

Source: 3GPP TS 23.038 (alphabet and extension table), TS 23.040 (160 septets alone, 153 in a chain). ë and ï are
not in the alphabet: one of them turns an SMS of 160 characters into one of 70.
"""

ALPHABET = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")
SINGLE, CHAINED = 160, 153
SINGLE_UTF16, CHAINED_UTF16 = 70, 67


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
