"""Divides a Dutch text into sentences: not at an abbreviation or in brackets; also without a full stop. Pure."""

import re
from bisect import bisect_left

#: Words before a full stop that does not end a sentence.
_LISTED = (
    "bijv bv bijvb ca circa resp incl excl evt event vnl mn nl mv muv eo oa dwz zgn zg min max no nr nrs art blz tel "
    "prov prof dr drs ir mr mw dhr gen kol gov st ste sta sto sint mt mnt pto ft pt ave blvd jl vgl etc enz sr jr "
    "ong ongev nov dec jan feb febr apr aug sept okt km"
)
_ABBREVIATIONS = frozenset(_LISTED.split())
_END = re.compile(r"(?<=[.!?])\s+(?=[A-ZÀ-Ý0-9(‘’'\"“„«-])|(?<=[a-zà-ýA-Z)][.!?])(?=[A-ZÀ-Ý])")
#: How the ministry's sentences begin. One of these begins a sentence even without a full stop before it.
_BEGINNING = (
    r"(?:U kunt|Wat uw situatie|Maar let op|Let op:|Reis (?:alleen|niet|er)\b|Lees (?:meer|welke)\b|"
    r"(?:Ook |En |Maar )?[Vv]oor (?:de|het|heel|alle)\b|De (?:kleurcode|kleur|code)\b|Kleurcode\b|"
    r"Het is (?:er|niet|te)\b|Dit geldt|Hetzelfde geldt|Er (?:geldt|is|zijn)\b|In (?:de|het|heel) )"
)
_BEGINS = re.compile(_BEGINNING)
_MISSING_STOP = re.compile(rf"(?<=[a-zà-ÿ)]) (?=(?:{_BEGINNING.replace('[Vv]oor', 'Voor')}))")
#: "… kleurcode rood, reis hier niet heen": words about travelling that follow a colour are a sentence of their own.
_AFTER_COLOUR = re.compile(
    r"(?:(?<=rood)|(?<=oranje)|(?<=geel)|(?<=groen))(?:[,;:]? (?:[–-] )?\(?)(?=(?:en )?(?:reis |niet reizen|u kunt |"
    r"alleen noodzakelijk|alleen als |maar let op|let op:))"
)
#: A sentence about travelling that begins with a small letter.
_SMALL_LETTER = re.compile(
    r"(?<=[a-zà-ÿ)][.!]) (?=(?:reis |u kunt |wat uw situatie|maar let op|voor de rest |de kleurcode ))"
)
_BRACKET = re.compile(r"[()]")
_MAX_BRACKETS_CHARS = 300


def sentences(text: str) -> list[str]:
    """The sentences of a text block, each without its last full stop."""
    brackets = _brackets(text)
    edges = [
        match.span()
        for match in _END.finditer(text)
        if not _is_inside(brackets, match.start())
        and not (_is_abbreviation(text, match.start()) and not (match[0] and _BEGINS.match(text, match.end())))
    ]
    edges += [match.span() for match in _MISSING_STOP.finditer(text) if not _is_inside(brackets, match.start())]
    edges += [match.span() for match in _SMALL_LETTER.finditer(text)]
    edges += [match.span() for match in _AFTER_COLOUR.finditer(text)]
    begins = [0, *(end for _, end in sorted(edges))]
    ends = [*(start for start, _ in sorted(edges)), len(text)]
    parts = (text[begin:end] for begin, end in zip(begins, ends, strict=True))
    return [bare for part in parts if (bare := _bare(part))]


def _bare(part: str) -> str:
    bare = part.strip().lstrip("•·*–—-").rstrip(".!").strip()
    return bare if "(" in bare else bare.rstrip(").!").rstrip()


def _is_abbreviation(text: str, end: int) -> bool:
    """Whether the word before `end` is an abbreviation: `o.a.`, `bijv.`, `St.`, a single letter."""
    words = text[max(0, end - 20) : end].split()
    word = words[-1].lstrip("(‘'\"“„") if words else ""
    if not word.endswith("."):
        return False
    letters = word.rstrip(".").split(".")
    return (
        "".join(letters).lower() in _ABBREVIATIONS
        or all(len(letter) == 1 and letter.isalpha() for letter in letters)
        or (len(letters) == 1 and len(letters[0]) == 2 and letters[0].istitle() and letters[0].isalpha())
    )


def _brackets(text: str) -> list[tuple[int, int]]:
    """Where brackets open and close again, the outermost ones. One that stays open for long encloses nothing."""
    found: list[tuple[int, int]] = []
    opened: list[int] = []
    for match in _BRACKET.finditer(text):
        if match[0] == "(":
            opened.append(match.start())
        elif opened:
            begin = opened.pop()
            if match.end() - begin <= _MAX_BRACKETS_CHARS:
                while found and found[-1][0] > begin:
                    found.pop()
                found.append((begin, match.end()))
    return found


def _is_inside(brackets: list[tuple[int, int]], place: int) -> bool:
    before = bisect_left(brackets, (place, 0))
    return before > 0 and brackets[before - 1][1] > place
