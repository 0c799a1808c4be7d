"""The colour words of the ministry's Dutch: inflected, joined to another word, and misspelt. Pure."""

import re
import unicodedata
from functools import lru_cache

from shared.events import Level

#: The colours as the forms of a statement may write them: `een rode kleurcode`, `de gele kleurcode`.
COLOURS = {
    "groen": Level.GREEN, "groene": Level.GREEN, "geel": Level.YELLOW, "gele": Level.YELLOW,
    "oranje": Level.ORANGE, "rood": Level.RED, "rode": Level.RED,
}  # fmt: skip
COLOUR_WORD = "groene?|geel|gele|oranje|rood|rode"
#: Other spellings. They are seen, but no form of a statement reads them: a person looks at the sentence.
_OTHER_SPELLINGS = {
    "roode": Level.RED, "roden": Level.RED, "rooie": Level.RED, "oranjes": Level.ORANGE, "orange": Level.ORANGE,
    "geele": Level.YELLOW,
}  # fmt: skip
#: The same words in English and German, as a translator leaves them behind `code`. Elsewhere they are other words.
_FOREIGN = {
    "green": Level.GREEN, "grün": Level.GREEN, "yellow": Level.YELLOW, "gelb": Level.YELLOW, "amber": Level.ORANGE,
    "red": Level.RED, "rot": Level.RED,
}  # fmt: skip
#: Ordinary words that are one letter away from `rood` or `geel`, or two from `oranje`. From a Dutch word list.
_ORDINARY_TEXT = (
    "bood brood dood good food hood mood wood jood lood nood roo rooda roods roof rooi rook room roon roor roos "
    "root rooy rond road zood rod anje brandje branie daanje drafje drankje fraanje france francje franje "
    "franjes franke fransje franse grande grapje kranje kranke kransje krantje krasje kratje oane omrande onanie "
    "oracle orale oran orane orante oranten oratie planje prakje radje rance rande randje range ranja ranke "
    "ranse ranze ratje spanje trance trapje vranje vranke wrange ceel deel eel egel gebel geef geels geelt geen "
    "geep geer gees geil gel gerel gesel geul gevel gezel giel heel keel meel neel peel reel teel veel weel zeel "
    "geld geldt"
)
ORDINARY = frozenset(_ORDINARY_TEXT.split())
_JOINED = re.compile(
    rf"(?:kleur|code|donker|licht|fel|diep|vuur)({COLOUR_WORD})|({COLOUR_WORD})(?:code|gekleurd|kleur|gebied|zone)"
)
_WORDS = re.compile(r"\w+")
_OF_COLOUR = re.compile(r"kleur|code|advies", re.IGNORECASE)


def worst_colour(sentence: str, *, may_be_ordinary: bool = True) -> Level | None:
    """The worst colour that a sentence names in any spelling; None if it names none.

    `may_be_ordinary`: whether a word that resembles a colour may be an ordinary one.
    """
    is_about_colour = _OF_COLOUR.search(sentence) is not None
    levels = []
    for match in _WORDS.finditer(sentence):
        before = sentence[max(0, match.start() - 10) : match.start()].rstrip().lower()
        if before.endswith(("code", "kleur")):
            level = colour_of(match[0].lower(), may_be_ordinary=False)
        elif _is_name(sentence, match, before):
            level = COLOURS.get(match[0].lower())
        else:
            level = colour_of(match[0].lower(), may_be_ordinary=may_be_ordinary, may_be_yellow=is_about_colour)
        if level is not None:
            levels.append(level)
    return max(levels, default=None)


def _is_name(sentence: str, word: re.Match[str], before: str) -> bool:
    """Whether a word is a name and no misspelt colour: `de provincie Oran`, `Orange Walk`; but `is Roood`."""
    if not word[0][0].isupper() or before.endswith((":", " is", "geldt")):
        return False
    return bool(before) or sentence[word.end() + 1 : word.end() + 2].isupper()


@lru_cache(maxsize=16_384)
def colour_of(word: str, *, may_be_ordinary: bool = True, may_be_yellow: bool = True) -> Level | None:
    """The colour that a word in lower case is, contains, or is a misspelling of.

    After `kleurcode` no word is an ordinary one: `kleurcode dood`.
    """
    if not word.isascii():
        word = "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))
    if word in COLOURS:
        return COLOURS[word]
    joined = _JOINED.search(word)
    if joined:
        return COLOURS[joined[1] or joined[2]]
    if word in _OTHER_SPELLINGS:
        return _OTHER_SPELLINGS[word]
    if may_be_ordinary and word in ORDINARY:
        return None
    if not may_be_ordinary and word in _FOREIGN:
        return _FOREIGN[word]
    if _distance(word, "oranje") <= 2:
        return Level.ORANGE
    if _distance(word, "rood") <= (2 if len(word) > 4 and set(word) <= set("rod0") else 1):
        return Level.RED
    return Level.YELLOW if may_be_yellow and _distance(word, "geel") <= 1 else None


def _distance(one: str, other: str) -> int:
    """Letters to add, to leave out, to change, or to exchange with the next, that make one word the other."""
    if abs(len(one) - len(other)) > 2:
        return 3
    before_last: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        row = [i]
        for j, wanted in enumerate(other, start=1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != wanted)))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                row[j] = min(row[j], before_last[j - 2] + 1)
        before_last, last = last, row
    return last[-1]
