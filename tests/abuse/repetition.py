"""Writes texts that a pattern may read slowly: its own words, letters and beginnings, over and over. Pure.

A pattern that backtracks needs a text that almost fits, again and again: so the pieces are taken from its own parts,
each repeated, behind its own beginning, and followed by something that does not fit.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from re import _constants as codes  # type: ignore[attr-defined] # the standard library's own parser of patterns
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

#: A repetition up to fewer times than this cannot make a text slow.
_MANY = 6
#: Texts of one pattern that are tried.
MAX_TEXTS = 80
_REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)
_PREFERRED = "aA1 .-,'(/@\n"

#: Length in characters → the text.
Text = Callable[[int], str | bytes]


def texts(pattern: re.Pattern[str] | re.Pattern[bytes]) -> list[tuple[str, Text]]:
    """Texts of any length for this pattern, each with a short description."""
    is_bytes = isinstance(pattern.pattern, bytes)
    source: Any = pattern.pattern
    tree = parser.parse(source, pattern.flags & ~(re.UNICODE if is_bytes else 0))
    beginnings_and_units: dict[tuple[str, str], None] = {}
    for beginning, unit in _units(list(tree), ""):
        for start in ("", beginning):
            for piece in (unit, beginning + unit, beginning, unit + unit.swapcase()):
                if piece:
                    beginnings_and_units[start, piece] = None
    found: list[tuple[str, Text]] = []
    for (start, piece), end in itertools.product(beginnings_and_units, ("", "\x00", "a\n!")):
        found.append((repr((start, piece, end)), _text(start, piece, end, is_bytes=is_bytes)))
    step = max(1, -(-len(found) // MAX_TEXTS))
    return found[::step]


def _text(start: str, piece: str, end: str, *, is_bytes: bool) -> Text:
    def text(length: int) -> str | bytes:
        whole = (start + piece * (length // len(piece) + 1))[: max(0, length - len(end))] + end
        return whole.encode("latin-1", "replace") if is_bytes else whole

    return text


def _units(sequence: Sequence[Any], beginning: str) -> Iterator[tuple[str, str]]:
    """Every repetition in a sequence: the text before it, and the text that it repeats."""
    for index, (code, argument) in enumerate(sequence):
        if code in _REPEATS:
            _, most, body = argument
            for piece in _samples(body):
                if most == codes.MAXREPEAT or most >= _MANY:
                    yield beginning, piece
                    after = _first(sequence[index + 1 : index + 2])
                    yield beginning, piece + after
            yield from _units(list(body), beginning)
        else:
            for inner in _inner(code, argument):
                yield from _units(list(inner), beginning)
        beginning += _first([(code, argument)])
    yield "", beginning


def _inner(code: Any, argument: Any) -> list[Any]:
    match code:
        case codes.SUBPATTERN:
            return [argument[-1]]
        case codes.BRANCH:
            return list(argument[1])
        case codes.ATOMIC_GROUP:
            return [argument]
        case codes.ASSERT | codes.ASSERT_NOT:
            return [argument[1]]
        case _:
            return []


def _samples(sequence: Any) -> list[str]:
    """A few different texts that a sequence matches."""
    samples: list[str] = [""]
    for code, argument in sequence:
        samples = [before + piece for before in samples for piece in _pieces(code, argument)][:12]
    return list(dict.fromkeys(sample for sample in samples if sample))


def _first(sequence: Any) -> str:
    return next(iter(_samples(sequence)), "")


def _pieces(code: Any, argument: Any) -> list[str]:
    match code:
        case codes.LITERAL:
            return [chr(argument)]
        case codes.NOT_LITERAL:
            return [letter for letter in _PREFERRED if ord(letter) != argument][:3]
        case codes.ANY:
            return ["a", " ", "1"]
        case codes.IN:
            return _of_set(argument)
        case codes.BRANCH:
            return [piece for branch in argument[1] for piece in _samples(branch)[:1] or [""]]
        case codes.SUBPATTERN:
            return _samples(argument[-1]) or [""]
        case codes.ATOMIC_GROUP:
            return _samples(argument) or [""]
        case code if code in _REPEATS:
            least, _, body = argument
            once = _samples(body) or [""]
            return [piece * max(1, min(least, 40)) for piece in once] + ([""] if least == 0 else [])
        case _:
            return [""]  # a position, a look around


def _of_set(argument: Any) -> list[str]:
    """Up to four characters of a set, those that other sets mostly have as well."""
    is_negated = any(code is codes.NEGATE for code, _ in argument)

    def holds(letter: str) -> bool:
        return any(
            (code is codes.LITERAL and ord(letter) == value)
            or (code is codes.RANGE and value[0] <= ord(letter) <= value[1])
            or (code is codes.CATEGORY and _is_of(letter, value))
            for code, value in argument
        )

    preferred = [letter for letter in _PREFERRED if holds(letter) is not is_negated]
    if not preferred and not is_negated:
        code, value = argument[0]
        preferred = [chr(value if code is codes.LITERAL else value[0])] if code is not codes.CATEGORY else ["a"]
    return preferred[:4]


def _is_of(letter: str, category: Any) -> bool:
    tests = {
        codes.CATEGORY_DIGIT: str.isdigit, codes.CATEGORY_SPACE: str.isspace,
        codes.CATEGORY_WORD: lambda text: text.isalnum() or text == "_",
        codes.CATEGORY_NOT_DIGIT: lambda text: not text.isdigit(),
        codes.CATEGORY_NOT_SPACE: lambda text: not text.isspace(),
        codes.CATEGORY_NOT_WORD: lambda text: not (text.isalnum() or text == "_"),
    }  # fmt: skip
    return bool(tests[category](letter))
