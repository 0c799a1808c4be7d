"""Colours and warnings in Dutch sentences that say nothing about a place of the country. Pure.

An explicit list: whatever does not stand here is feared. A harmless colour is marked inside its word, so that no form
of a statement sees it, and the rest of its sentence is read as usual.
"""

import re

from services.safety.sources.dutch.colours import COLOUR_WORD

#: A letter that no Dutch word has, three times: the marked word is no colour, and no misspelt one either.
_MARK = "\u01c0" * 3
_C = rf"(?:{COLOUR_WORD})"
_CODE = r"(?:kleurcode|kleur|code)"
#: `oranje of rood`, `kleurcode oranje en kleurcode rood`.
_SEVERAL = rf"{_C}(?:(?:, | en | of | en/of |/)(?:{_CODE} )?{_C}){{0,3}}"
_COLOURS = re.compile(rf"\b{_C}\b", re.IGNORECASE)
#: Rivers, seas, towns, organisations, illnesses: a colour and the word that makes a name of it.
_NAMED = (
    r"Vrijstaat|Rivier|Zee|Kruis|Halve Maan|Plein|Khmer|Leger|Lijn|Koorts|Fort|Brigades?|Revolutie|Eiland(?:en)?|"
    r"Berg(?:en)?|Woestijn|Delta|Vallei|Kaap|Hesjes|Draak|Front|Piramide|Moskee|Meer|Kliffen|Canyon|Wouw|Duivels|"
    r"Vuur|Markt|Straat|Week|Boekje|Park"
)
_THINGS = (
    r"vlag(?:gen)?|water|licht(?:en)?|stoplicht(?:en)?|verkeerslicht(?:en)?|(?:metro|tram|bus)?lijn(?:en)?|bus(?:sen)?|taxi(?:'s|’s)?|hesjes?|loper|"
    r"wijn|vlees|zand|stempels?|vaccinatieboekjes?|boekjes?|kruis|paspoort(?:en)?|borden|strepen|streep|"
    r"huizen|kleding|bloemen|aarde|lucht|maan|rivier|koraal|alg(?:en)?|kwal(?:len)?"
)
#: The colour inside such words is harmless, wherever they stand.
_HARMLESS_WORDS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?<![Cc]ode )\b(?i:rode|gele|groene|oranje)[- ](?:{_NAMED})\b",
        rf"(?i:\b(?:rode|gele|groene|oranje) (?:zee|kruis|halve maan|koorts|{_THINGS})\b)",
        rf"(?i:\b(?:{_THINGS})(?: (?:van|in|uit|op) (?:(?:de|het) )?\w+)? (?:is|zijn|kleurt|kleuren|wordt|worden) "
        rf"{_C}\b)",
        # What it was before: `van oranje naar geel`, `niet meer oranje maar geel`.
        rf"(?i:\bvan (?:{_CODE} )?{_C}(?= (?:terug )?naar (?:{_CODE} )?{_C}\b))",
        rf"(?i:\b(?:niet|geen) (?:meer|langer) (?:{_CODE} )?{_C}\b)",
    )
)
#: "Kleurcode rood geldt niet meer voor het noorden." But: "niet meer alleen voor het noorden".
_ENDED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:(?:de|het) )?(?:{_CODE} |reisadvies )?{_C}(?: (?:{_CODE}|reisadvies))? (?:geldt|gelden|is|zijn) "
        r"(?:\w+ ){0,2}(?:niet (?:meer|langer)|opgeheven|ingetrokken|vervallen|voorbij)\b",
        rf"\bgeldt (?:{_CODE} )?{_C} niet (?:meer|langer)\b",
        rf"\b(?:niet|geen) (?:meer|langer) (?:voor|in) [\w ’'-]{{1,80}} {_CODE} {_C}\b",
        rf"\b(?:(?:geldt|gold|is) (?:\(?nog\)? )?geen|geen) (?:{_CODE} )?(?:oranje|rood)(?: meer)?\b",
    )
)
_NOT_ONLY = re.compile(r"\b(?:alleen|enkel|slechts|uitsluitend|maar|wel|nu|ook|sindsdien)\b", re.IGNORECASE)
_NO_LONGER = re.compile(r"\b(?:meer|langer|opgeheven|ingetrokken|vervallen|voorbij)\b", re.IGNORECASE)

_WEATHER = re.compile(
    r"\b(?:KNMI|AEMET|IPMA|DWD|Met Office|M[ée]t[ée]o[\w-]*|weer(?:dienst|instituut|bureau|code|alarm|waarschuwing)\w*|"
    r"meteorologisch\w*|weerkundig\w*|hitte(?:alarm|code|plan|waarschuwing)\w*|"
    r"civiele bescherming|Civil Protection|SMHI|NOAA|PAGASA|BMKG)\b",
    re.IGNORECASE,
)
_STORM = (
    r"(?:hitte|hittegolf|storm|zandstorm|sneeuw|sneeuwval|onweer|regen|regenval|wind|gladheid|ijzel|orkaan|tyfoon|cycloon|kou|"
    r"noodweer)"
)
#: A code of the local authorities for the weather; and the alarm of a volcano.
_LOCAL_CODE = (
    re.compile(rf"\bcode {_SEVERAL} (?:voor|vanwege|wegens|door) (?:\w+ ){{0,2}}{_STORM}\b", re.IGNORECASE),
    re.compile(
        rf"\balarm(?:niveau|fase)\b[\w ]{{0,60}}? (?:is|naar|op|geldt) (?:code |fase |niveau )?{_C}\b", re.IGNORECASE
    ),
    re.compile(rf"\balarm(?:niveau|fase):? {_C}\b", re.IGNORECASE),
    re.compile(rf"\bcode {_SEVERAL} (?:is |zijn )?(?:afgegeven|afgekondigd|uitgegeven)\b", re.IGNORECASE),
)
_OF_STORM = re.compile(rf"\b{_STORM}\b", re.IGNORECASE)
#: `code rood`, `oranje weeralarm`, `rode waarschuwing`.
_WEATHER_COLOUR = re.compile(
    rf"\b\w*(?:code|alarm|waarschuwing|fase|niveau):? {_SEVERAL}\b|"
    rf"\b{_C} (?:\w*alarm|\w*waarschuwing|code|weercode|fase)\b",
    re.IGNORECASE,
)
_OF_ADVICE = re.compile(r"\bkleur ?code|reisadvies|reisadviezen|\breis(?:t|en)?\b", re.IGNORECASE)
_INSURANCE = re.compile(
    r"verzeker|\bpolis|\bdekking|\bdek(?:t|ken)\b|\bvergoed|annuler|reisorganisatie|reisbureau|touroperator",
    re.IGNORECASE,
)
#: "bij kleurcode oranje of rood", "als het reisadvies oranje is", "kleurcode rood kan gevolgen hebben".
_INSURED_COLOUR = re.compile(
    rf"\b(?:bij|met|onder|in geval van|naar|als|wanneer|indien) "
    rf"(?:(?:een|de|het|er|uw|bestemming|gebieden|gebied|land|landen|met|negatief|reisadvies|\w*code|kleur|is|wordt|"
    rf"geldt) ){{0,5}}{_SEVERAL}\b|^(?:een |de )?(?:{_CODE} )?{_SEVERAL}"
    r"(?= (?:kan|kunnen|heeft gevolgen|hebben gevolgen))",
    re.IGNORECASE,
)
#: "Is het reisadvies oranje of rood?"
_QUESTION = re.compile(
    rf"^(?:heeft|is|geldt|wordt) (?:(?:uw|de|het|er|bestemming|reisadvies|\w*code|kleur) ){{1,4}}{_SEVERAL}\?$",
    re.IGNORECASE,
)
_MEANING = re.compile(
    rf"\bwat (?:de |een |het )?(?:beteken|houdt|{_CODE}s?\b|kleuren|{_C}\b)|"
    rf"^(?:de )?(?:{_CODE} )?{_C} (?:betekent|wil zeggen|staat voor)\b",
    re.IGNORECASE,
)
_MEANS = re.compile(
    r"\bbeteken|\bhoudt .{0,30}\bin\??$|\bwil zeggen\b|\bstaat voor\b|\bis een kleurcode\b", re.IGNORECASE
)
_WHAT_IF = re.compile(
    r"^(?:Gaat|Reist|Wilt|Bent|Moet|Als|Wanneer|Indien|Wordt|Wijzigt|Verandert) .*\b(?:een|naar|in)\b", re.IGNORECASE
)
_ANY_PLACE = re.compile(
    rf"\b(?:een )(?:land|gebied|bestemming|regio|plek) (?:met|waar|dat|die|van|onder) (?:\w+ ){{0,3}}{_SEVERAL}|"
    rf"\b(?:landen|gebieden|bestemmingen) met (?:een )?(?:{_CODE} )?{_SEVERAL}",
    re.IGNORECASE,
)
_PAST = re.compile(r"\b(?:eerder|voorheen|vroeger|destijds|in het verleden|tot dan toe)\b", re.IGNORECASE)
_WAS = re.compile(r"\b(?:was|waren|gold|golden)\b", re.IGNORECASE)
_IS = re.compile(
    r"\b(?:is|zijn|geldt|gelden|blijft|blijven|wordt|worden|nu|sindsdien|heeft|hebben|maar|nog)\b", re.IGNORECASE
)
#: A place of the country: then a sentence about insurance or meanings may also state a colour.
_PLACE = re.compile(
    r"\b(?:noord|oost|zuid|west|midden|grens|provincie|hoofdstad|rest van|heel |hele land|kust|hier|daar|momenteel|"
    r"op dit moment|sinds|vanaf|nu geldt|geldt nu|zoals|waaronder)",
    re.IGNORECASE,
)
#: A place with a name; what Dutch insurers do is said of no place.
_NAMED_PLACE = re.compile(r"\b(?:[Nn]aar|[Ii]n|[Vv]oor|[Vv]an) (?:heel |de |het )?(?!Nederland|Buitenlandse)[A-ZÀ-Ý]")


def marked(sentence: str) -> str:
    """The sentence with its harmless colours marked. `unmarked` gives it back."""
    if is_about_weather(sentence):
        sentence = _WEATHER_COLOUR.sub(_mark_match, sentence)
    if not _OF_ADVICE.search(sentence) and (_OF_STORM.search(sentence) or "alarm" in sentence.lower()):
        for pattern in _LOCAL_CODE:
            sentence = pattern.sub(_mark_match, sentence)
    for pattern in _HARMLESS_WORDS:
        sentence = pattern.sub(_mark_match, sentence)
    for pattern in _ENDED:
        match = pattern.search(sentence)
        if match and not _NOT_ONLY.search(sentence, match.end()):
            sentence = sentence[: match.start()] + _mark_all(match[0]) + sentence[match.end() :]
    return sentence


def is_about_weather(sentence: str) -> bool:
    """Whether the colours of a sentence are those of a weather service: none of them is an advice."""
    return _WEATHER.search(sentence) is not None and not _OF_ADVICE.search(sentence)


def names_no_present_colour(sentence: str) -> bool:
    """Whether a sentence without a colour speaks of one that ended, or of the weather: it hides no statement."""
    return _NO_LONGER.search(sentence) is not None or is_about_weather(sentence) or _MARK in sentence


def is_harmless(sentence: str) -> bool:
    """Whether a sentence that states no colour of a place names its colours for another reason."""
    if _PLACE.search(sentence) or _NAMED_PLACE.search(sentence):
        return False
    if _QUESTION.match(sentence):
        return True
    if _INSURANCE.search(sentence):
        return not _COLOURS.search(_INSURED_COLOUR.sub("", sentence))
    if _MEANING.search(sentence) and _MEANS.search(sentence):
        return True
    if _PAST.search(sentence) and _WAS.search(sentence) and not _IS.search(sentence):
        return True
    return bool(_WHAT_IF.match(sentence)) and not _COLOURS.search(_ANY_PLACE.sub("", sentence))


def unmarked(text: str) -> str:
    """The text without the marks."""
    return text.replace(_MARK, "")


def _mark_all(text: str) -> str:
    return _COLOURS.sub(lambda match: f"{match[0][0]}{_MARK}{match[0][1:]}", text)


def _mark_match(match: re.Match[str]) -> str:
    return _mark_all(match[0])
