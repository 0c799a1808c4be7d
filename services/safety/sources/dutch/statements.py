"""The forms in which a Dutch sentence gives a colour to an area. Pure.

Sources: the editors' fixed texts, real advisories, and what people write instead.
"""

import re
from dataclasses import dataclass

from services.safety.sources.dutch.colours import COLOUR_WORD, COLOURS, worst_colour
from shared.events import Level

_COLOUR = f"(?P<colour>(?i:{COLOUR_WORD}))"
# "kleurcode", also with typing errors: kleucode, kleur code, kleurkode.
CODE = r"(?:[Kk]\w{0,6}[ -]?)?[Cck]ode"
_MONTH = r"(?:jan|feb|maa|apr|mei|jun|jul|aug|sep|okt|nov|dec)[a-z]*"
_DATE = (
    rf"(?:\d{{1,2}} {_MONTH}(?: \d{{4}})?|\d{{1,2}}-\d{{1,2}}-\d{{4}}|{_MONTH} \d{{4}}|\d{{4}}|"
    r"vandaag|gisteren|kort|heden|direct|morgen)"
)
_ADVERB = (
    rf"(?:nog steeds|nog altijd|nog|nu|ook|weer|opnieuw|momenteel|op dit moment|op het moment|tijdelijk|inmiddels|"
    rf"eveneens|tevens|daarom|dus|voortaan|voorlopig|vooralsnog|helaas|sinds {_DATE})"
)
_MOSTLY = (
    rf"(?:(?P<mostly>voor het grootste deel|grotendeels|overwegend|vrijwel overal|bijna overal) |{_ADVERB} ){{0,4}}"
)
_ADVICE = rf"(?:[Dd]e {CODE} (?:van|voor) het (?:reis)?advies|[Dd]e {CODE}|[Hh]et (?:huidige )?reisadvies)"
_IS = r"(?:is|blijft|staat op|(?P<becomes>wordt|gaat naar))"
_HOLDS = rf"geld(?:t|en) {_MOSTLY}"
_BEGIN = r"(?:(?i:en|ook|maar|daarnaast|verder|let op:) ){0,3}"
_EXCEPTION = (
    r"(?: \((?:behalve|met uitzondering van|uitgezonderd|m\.u\.v\.) [^()]*\)|"
    r",? (?:behalve|met uitzondering van|uitgezonderd|afgezien van|m\.u\.v\.) .+)"
)
_EXCEPT = f"(?P<but>{_EXCEPTION})?"
_PREPOSITION = r"(?:[Vv]o+r|[Ii]n|[Oo]p)"
#: The editors' forms of a statement. `area` is a part, or the country under one of its names.
_FORMS = tuple(
    re.compile(form, re.DOTALL)
    for form in (
        rf"^{_BEGIN}{_ADVICE} {_IS} {_MOSTLY}{_COLOUR} (?:voor|in):? (?P<area>.+?){_EXCEPT}$",
        rf"^{_BEGIN}{_ADVICE} (?:voor|in|van) (?P<area>.+?) {_IS} {_MOSTLY}(?:{CODE} )?{_COLOUR}{_EXCEPT}$",
        rf"^{_BEGIN}{_PREPOSITION} (?P<area>.+?),? {_HOLDS}(?:de )?{CODE} {_COLOUR}{_EXCEPT}:?$",
        rf"^{_BEGIN}(?:[Dd]e )?{CODE} {_COLOUR} {_HOLDS}(?:voor|in) (?P<area>.+?){_EXCEPT}$",
    )
)
#: Further forms. Their areas hold no verb: these forms would find one in many a sentence that says something else.
_LOOSE_FORMS = tuple(
    re.compile(form, re.DOTALL)
    for form in (
        rf"^{_BEGIN}(?:[Ee]r )?{_HOLDS}(?:een |de )?{CODE} {_COLOUR} (?:voor|in|op) (?P<area>.+?){_EXCEPT}$",
        rf"^{_BEGIN}{_IS} {_ADVICE} (?:voor|in|van) (?P<area>.+?) {_MOSTLY}(?:{CODE} )?{_COLOUR}{_EXCEPT}$",
        rf"^{_BEGIN}{_IS} {_ADVICE} {_MOSTLY}{_COLOUR} (?:voor|in) (?P<area>.+?){_EXCEPT}$",
        rf"^{_BEGIN}{_PREPOSITION} (?P<area>.+?) {_IS} {_ADVICE} {_MOSTLY}{_COLOUR}{_EXCEPT}$",
        rf"^{_BEGIN}{_PREPOSITION} (?P<area>.+?),? {_HOLDS}{_COLOUR}{_EXCEPT}$",
        rf"^{_BEGIN}(?P<area>(?:[Oo]veral )?[Ee]lders(?: in .+?)?|[Dd]aarbuiten),? {_HOLDS}(?:de )?{CODE} {_COLOUR}$",
        rf"^{_BEGIN}(?P<area>(?:[Oo]veral )?[Ee]lders(?: in .+?)?|[Dd]aarbuiten) is {_ADVICE} {_MOSTLY}{_COLOUR}$",
        rf"^{_BEGIN}(?P<area>.+?) (?:heeft|hebben|houdt|houden|valt onder|vallen onder|(?P<becomes>krijgt|krijgen)) "
        rf"{_MOSTLY}"
        rf"(?:een |de )?(?:{CODE} {_COLOUR}|(?P<inflected>(?i:{COLOUR_WORD})) (?:{CODE}|kleur|reisadvies)){_EXCEPT}$",
        rf"^{_BEGIN}(?P<area>.+?) (?:is|zijn|blijft|blijven|staat op|staan op|(?P<becomes>wordt|worden)) {_MOSTLY}"
        rf"(?:{CODE} )?{_COLOUR}{_EXCEPT}$",
        rf"^{_BEGIN}(?:[Dd]e )?(?:{CODE} )?{_COLOUR} {_HOLDS}(?:voor|in) (?P<area>.+?){_EXCEPT}$",
        rf"^{_BEGIN}(?:{CODE} )?{_COLOUR}(?: ?[:–—]| -)? (?:voor|in) (?P<area>.+?){_EXCEPT}$",
        rf"^{_BEGIN}{_HOLDS}(?:voor|in|op) (?P<area>.+?) (?:de )?{CODE} {_COLOUR}{_EXCEPT}$",
        rf"^{_BEGIN}(?:[Vv]oor|[Ii]n|[Oo]p) (?P<area>.+?) (?:{CODE} )?{_COLOUR}{_EXCEPT}$",
        rf"^(?:{CODE} )?{_COLOUR}(?: ?[:–—|]| -) (?P<area>.+?){_EXCEPT}$",
        rf"^(?:{_PREPOSITION} )?(?P<area>.+?)(?: ?[:–—|=→]| -) (?:{CODE} )?{_COLOUR}$",
    )
)
_NO_AREA = tuple(
    re.compile(form)
    for form in (
        rf"^{_BEGIN}{_ADVICE} {_IS} {_MOSTLY}{_COLOUR}$",
        rf"^{_BEGIN}(?:[Ee]r )?{_HOLDS}(?:een |de )?{CODE} {_COLOUR}$",
        rf"^(?:{CODE}|[Rr]eisadvies):? (?:{CODE} )?{_COLOUR}$",
    )
)
# "Sinds 3 maart geldt …", "Per 1 mei is …": the rest is read as if the words did not stand there.
_TIME = re.compile(
    rf"^(?:(?P<since>[Ss]inds)|(?:[Vv]anaf|[Pp]er|[Mm]et ingang van|[Tt]ot(?: en met)?|[Oo]p)) {_DATE},? (?=[a-z])"
)
_NOW = re.compile(
    r"^(?:[Mm]omenteel|[Oo]p dit moment|[Oo]p het moment|[Nn]og steeds|[Ii]nmiddels|[Nn]u|[Dd]aarom|[Oo]ok) "
    r"(?=geldt|is )"
)
# "rood voor A en oranje voor B": where the next statement of one sentence begins.
_NEXT_COLOUR = re.compile(rf"(?:,| en|, en|;) (?=(?:{COLOUR_WORD}) voor )")
_NEXT_CLAUSE = re.compile(
    r"(?:; |, | en | maar | terwijl |, en |, maar |, terwijl )(?=(?:voor|in|de kleurcode|kleurcode) )"
)
_ANY_CLAUSE = re.compile(r"; | maar | terwijl |, en |, maar |, terwijl |, | en ")
_WITHOUT_VERB = re.compile(
    rf"^(?P<area>(?:(?!\b(?:kleur)?code\b)[^:]){{1,300}}?) (?:{CODE} )?{_COLOUR}$", re.IGNORECASE
)
# An area may be described as beside another colour. If it contains a verb, it holds a second statement.
_BESIDE = re.compile(
    rf"(?:met|van|in) (?:de )?{CODE}s? (?:{COLOUR_WORD})(?:(?:,| en| of) (?:{COLOUR_WORD}))*", re.IGNORECASE
)
_HOLDS_ANOTHER = re.compile(r"\b(?:geldt|gelden)\b", re.IGNORECASE)
_VERB = re.compile(
    r"\b(?:is|zijn|was|waren|heeft|hebben|had|kan|kunt|kunnen|wordt|worden|komt|komen|vindt|vinden|moet|moeten|mag|"
    r"blijft|blijven|geldt|gelden|staat|staan|ligt|gaat|ga|gaan|reis|reist|lees|let|bent|u|wij|als|wanneer|indien|dat|dan|"
    r"niet|geen|nooit|kleur|kleuren|advies|reisadvies|omdat|want|doet|"
    r"waarschuwt|waarschuwen|geeft|geven|loopt|lopen|vallen|rijdt|rijden|sluit|sluiten|verandert|veranderen|zorgt|zorgen|"
    r"neemt|nemen|werkt|werken|leidt|leiden|vraagt|vragen|controleert|controleren|vinden|gebeurt|gebeuren|houdt|houden|"
    r"krijgt|krijgen|maakt|maken|dreigt|dreigen|verwacht|pleegt|plegen|treedt|treden|vliegt|vliegen|vaart|varen|hangt|"
    r"zal|zullen|zou|zouden|werd|werden|kon|konden|mogen|hoeft|liggen|bevindt|bevinden|heerst|bestaat|ontstaat|ontstaan|volg|vermijd|houd|neem|betekent|heet|zie|meer|"
    r"vertrek|vertrekt|controleer|blijf|bel|boek|check|meld|bereid|koop|gebruik|overleg|vraag|bijvoorbeeld)\b|\?",
    re.IGNORECASE,
)
#: Words that stand for an area of another sentence.
_PRONOUN = re.compile(
    r"^(?:dit|dat|deze|die|het|er|daar|hier|hij|zij|dit gebied|deze gebieden|het gebied|de situatie|de kleur|wat|waar|"
    r"de veiligheidssituatie|alles)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One colour for one area, with an exception. `implies_parts`: other places have another colour.

    `area` is empty where the sentence names none. `becomes`: the colour may be still to come.
    """

    area: str
    exception: str
    level: Level
    implies_parts: bool
    becomes: bool


def statements(sentence: str) -> list[Statement]:
    """The statements in a sentence; none if any part of it cannot be read."""
    timed = _TIME.match(sentence)
    told = sentence[timed.end() :] if timed else sentence
    told = _NOW.sub("", told)
    for clauses in ([told], _clauses(told), _all_clauses(told)):
        found = [_statement(clause) for clause in clauses]
        read = [statement for statement in found if statement is not None]
        if len(read) == len(found):
            # "Vanaf 1 mei geldt groen" may be still to come, and "tot 1 mei" over: only a warning counts at once.
            is_certain = (timed is None or timed["since"] is not None) and not any(
                statement.becomes for statement in read
            )
            return read if is_certain or all(statement.level >= Level.ORANGE for statement in read) else []
    return []


def is_area(text: str) -> bool:
    """Whether a text may be the name of an area and nothing else: no verb, no colour."""
    return 0 < len(text) <= 300 and not _VERB.search(text) and worst_colour(text) is None


def _clauses(sentence: str) -> list[str]:
    first, *next_colours = _NEXT_COLOUR.split(sentence)
    if next_colours:
        return [first, *(f"De kleurcode van het reisadvies is {clause}" for clause in next_colours)]
    return _NEXT_CLAUSE.split(sentence)


def _all_clauses(sentence: str) -> list[str]:
    """Every clause. One without a verb is like a label: "…, het zuiden oranje"."""
    first, *others = _ANY_CLAUSE.split(sentence)
    return [
        first,
        *(clause if _statement(clause) else _WITHOUT_VERB.sub(r"\g<area>: \g<colour>", clause) for clause in others),
    ]


def _statement(clause: str) -> Statement | None:
    for form in _FORMS:
        match = form.match(clause)
        if match is None:
            continue
        area, exception = match["area"], match["but"] or ""
        if any(_holds_another(_BESIDE.sub("", words)) for words in (area, exception)):
            return None
        return _from(match, area, exception)
    for form in _NO_AREA:
        match = form.match(clause)
        if match is not None:
            return _from(match, "", "")
    for form in _LOOSE_FORMS:
        match = form.match(clause)
        if match is None:
            continue
        groups = match.groupdict()
        area, exception = match["area"], groups.get("but") or ""
        if is_area(area) and not _PRONOUN.match(area) and worst_colour(exception) is None:
            return _from(match, area, exception)
    return None


def _from(match: re.Match[str], area: str, exception: str) -> Statement:
    groups = match.groupdict()
    colour = groups.get("colour") or groups.get("inflected") or ""
    return Statement(
        area,
        exception,
        COLOURS[colour.lower()],
        bool(exception or groups.get("mostly")),
        groups.get("becomes") is not None,
    )


def _holds_another(words: str) -> bool:
    return worst_colour(words) is not None or _HOLDS_ANOTHER.search(words) is not None


#: Not a QR-code, a landcode or a kledingcode.
_COLOUR_CODE = rf"(?<![\w-])(?!kleding){CODE}"
#: A sentence with the first and, somewhere after it, the second seems to give a colour. "is aangepast" gives none.
_SEEMS_TO_STATE = tuple(
    (re.compile(first), re.compile(second))
    for first, second in (
        (r"\bgeld(?:t|en)\b", _COLOUR_CODE),
        (_COLOUR_CODE, r"\bgeld(?:t|en)\b"),
        (
            rf"[Dd]e {CODE} (?:van|voor) het (?:reis)?advies",
            r" is\b(?! (?:aangepast|bijgewerkt|gewijzigd|veranderd|verhoogd|verlaagd)$)",
        ),
    )
)


def seems_to_state(sentence: str) -> bool:
    """Whether a sentence without a colour seems to give one.

    Two searches one after the other: one pattern with `.*` between would read the rest from each first word.
    """
    return any(
        (match := first.search(sentence)) is not None and second.search(sentence, match.end()) is not None
        for first, second in _SEEMS_TO_STATE
    )


#: A heading or a cell that is a colour, with or without its meaning: "Rood: niet reizen".
_LABEL = re.compile(
    rf"^(?:(?:gebieden met |gebieden: |de )?(?:{CODE}:? ))?(?P<colour>{COLOUR_WORD})(?: gebied| gebieden| {CODE})?"
    r"(?: ?[:(–—|-] ?(?P<meaning>(?:niet reizen|reis (?:er )?niet|alleen |u kunt|geen |let op|er zijn|veilig|"
    r"gevaar)[^.;]{0,80}))?"
    r"[:.)]?$",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    rf":$|^(?:{CODE} )?(?:{COLOUR_WORD}) ?[:–—|=-]|[:–—|=→-] (?:{CODE} )?(?:{COLOUR_WORD})$", re.IGNORECASE
)
_REFERS = re.compile(
    rf"\b(?:gebied(?:en)?|delen|regio['’]?s?|provincies?|plaatsen) (?:met|waar|waarvoor) (?:de )?(?:{CODE} )?"
    rf"(?:{COLOUR_WORD})(?:(?:,| en| of) (?:{COLOUR_WORD}))*\b(?: geldt)?|"
    rf"\b(?:{COLOUR_WORD})(?: (?:en|of) (?:{COLOUR_WORD}))? (?:gebied(?:en)?|delen|regio['’]?s?)\b",
    re.IGNORECASE,
)
_ON_TRAVEL = re.compile(
    r"^(?:wat uw situatie ook is: )?(?:reis|reist|ga|gaat|bent|wilt|lees|bekijk|u kunt|vermijd)\b", re.IGNORECASE
)


def label(text: str) -> tuple[Level, bool] | None:
    """The colour of a text that is nothing but a colour, and whether it says what the colour means."""
    match = _LABEL.match(text)
    return (COLOURS[match["colour"].lower()], match["meaning"] is not None) if match else None


def is_labelled(sentence: str) -> bool:
    """Whether a statement is a label with its area, `Rood: het noorden`, or opens a list: areas alone may follow."""
    return _LABELLED.search(sentence) is not None


def refers_to_areas(sentence: str) -> bool:
    """Whether a sentence on travelling only speaks of the areas of a colour: "gebieden met kleurcode rood"."""
    return _ON_TRAVEL.match(sentence) is not None and worst_colour(_REFERS.sub("", sentence)) is None
