"""Removes what shows nothing at both ends of a text: blanks, tabs, line ends, directional marks, zero-width signs.

Pasting leaves them there, and nobody sees them: with and without them a person wrote the same. Other control characters
(a bell, NUL) come from no keyboard: they stay, and the field refuses them.
"""

import unicodedata

#: Letters, a symbol and a mark that show nothing. Source: Unicode, DerivedCoreProperties, Default_Ignorable_Code_Point.
BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f")
#: Separators and format characters. Source: Unicode, General_Category.
_SHOWS_NOTHING = frozenset({"Zs", "Zl", "Zp", "Cf"})
#: The end of a flag such as that of Wales, whose signs would show another flag without it. Source: Unicode TR51.
_CANCEL_TAG = "\U000e007f"
#: Turn the direction of what follows; no paste leaves them. They stay, and the field refuses them.
_OVERRIDES = "\u202d\u202e"
_KEPT = frozenset({_CANCEL_TAG, *_OVERRIDES})


def shows_nothing(sign: str) -> bool:
    """Whether a sign shows nothing at the end of a text."""
    return sign.isspace() or sign in BLANK or (unicodedata.category(sign) in _SHOWS_NOTHING and sign not in _KEPT)


def trimmed(text: str) -> str:
    """The text without the signs at its ends that show nothing."""
    start = next((index for index, sign in enumerate(text) if not shows_nothing(sign)), len(text))
    return trimmed_end(text[start:])


def trimmed_end(text: str) -> str:
    """The text without the signs at its end that show nothing."""
    end = len(text)
    while end and shows_nothing(text[end - 1]):
        end -= 1
    return text[:end]
