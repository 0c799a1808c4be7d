"""Dutch sentences that extend the colour of the sentence before to another area, or take it back from one. Pure."""

import re

from services.safety.sources.dutch.statements import is_area

#: "Dit geldt ook voor het zuiden.", "En in het oosten.": the colour of the sentence before.
_SAME = (
    r"(?:Dit|Dat|Deze (?:kleur|code|kleurcode)|Dezelfde (?:kleur|code|kleurcode)|Hetzelfde|Ditzelfde|Datzelfde|"
    r"(?:Dit|Hetzelfde|Datzelfde) (?:reis)?advies)"
)
_TOO = r"(?:(?:ook|eveneens|tevens|daarnaast|verder|evenzeer|bovendien|nu|en) )*"
_CONTINUES = tuple(
    re.compile(form)
    for form in (
        rf"^(?:En |Maar )?(?:{_SAME}|dit|dat|hetzelfde|Idem)(?: geld(?:t|en))? {_TOO}(?:voor|in|op|bij|rond|langs) "
        r"(?P<named>.+)$",
        r"^(?:En |Maar )?(?:[Vv]oor|[Ii]n|[Oo]p) (?P<named>.+?) geld(?:t|en) (?:ook )?(?:hetzelfde|ditzelfde|datzelfde|"
        r"dit|dat|(?:deze|dezelfde) (?:kleur|code|kleurcode))(?: ook| eveneens)?$",
        r"^(?:En |Maar )?(?:ook )?(?P<named>.+?) (?:heeft|hebben|krijgt|krijgen) (?:ook )?(?:deze|dezelfde) "
        r"(?:kleur|code|kleurcode)$",
        rf"^(?:En|Ook|Alsook|Alsmede|Evenals|Net als|Net zoals|Zoals ook|Plus|Idem|Zo ook|Daarnaast|Eveneens|Tevens|"
        rf"Verder|Bovendien|Inclusief|Waaronder|Zowel),? {_TOO}(?:(?:voor|in|op|bij|rond|langs|naar) )?(?P<bare>.+)$",
        r"^(?:(?:Voor|In|Op) )?(?P<bare>.+?) (?:ook|eveneens|idem|evenzeer)$",
    )
)
_PART = (
    r"(?:noord\w*|zuid\w*|oost\w*|west\w*|midden\w*|kust\w*|grens\w*|provincies?|stad|steden|regio\w*|gebied\w*|hoofdstad|"
    r"eiland\w*|staat|staten|districten|district|deel|delen|binnenland\w*|hoogland\w*|woestijn|vallei|\w*gebergte)"
)
#: "Het zuiden.", "De provincie Nador en de kust.": an area, and nothing else.
_BARE_AREA = re.compile(
    rf"^(?:(?:het|de|heel|alle|delen van|grote delen van|een deel van) ){{0,2}}(?i:{_PART})"
    rf"(?:,? (?:en|of|van|met|tussen|rond|rondom|in|bij|aan|langs|de|het|{_PART}|[A-ZÀ-Ý][\w’'-]*))*$"
)
#: Such words refer to the colour of another place, in whatever form.
_LIKE_ANOTHER = re.compile(
    r"\b(?:dezelfde|hetzelfde|diezelfde|ditzelfde|deze) (?:kleur|code|kleurcode|advies|reisadvies)\b|"
    r"\bgeld(?:t|en) (?:ook )?(?:hetzelfde|ditzelfde|datzelfde)\b|\bhetzelfde geld",
    re.IGNORECASE,
)
_UNLIKE_ANOTHER = re.compile(
    r"\b(?:vormt?|zijn|is) (?:hierop |daarop |een |de )*uitzondering|\buitgezonderd\b|\bandere kleur|"
    r"\bgeld(?:t|en) (?:dit|dat) niet\b|\bgeld(?:t|en) (?:een )?ander\b",
    re.IGNORECASE,
)
_EXCEPTS = re.compile(
    rf"^(?:(?:En |Maar )?(?:{_SAME}|dit|dat) geld(?:t|en) (?:\w+ )?niet (?:voor|in|op|bij|rond|langs) (?P<named>.+)|"
    r"(?:En |Maar )?(?:[Nn]iet|[Bb]ehalve|[Uu]itgezonderd|[Mm]et uitzondering van) (?:voor |in )?(?P<bare>.+))$"
)
_CONDITION = re.compile(
    r"^(?:als|wanneer|indien|wie|mensen|reizigers|nederlanders|inwoners|buitenlanders|bezoekers|toeristen|kinderen|auto|personen)\b",
    re.IGNORECASE,
)


def continued_area(sentence: str) -> str | None:
    """The area to which a sentence extends the colour of the one before."""
    return next((area for form in _CONTINUES if (area := _area_in(form.match(sentence)))), None)


def excepted_area(sentence: str) -> str | None:
    """The area for which a sentence takes back the colour of the one before."""
    return _area_in(_EXCEPTS.match(sentence))


def is_bare_area(sentence: str) -> bool:
    """Whether a sentence is nothing but an area: it continues the one before."""
    return _BARE_AREA.match(sentence[:1].lower() + sentence[1:]) is not None and is_area(sentence)


def is_like_another(sentence: str) -> bool:
    """Whether a sentence refers to the colour of another place."""
    return _LIKE_ANOTHER.search(sentence) is not None


def is_unlike_another(sentence: str) -> bool:
    """Whether a sentence says that a place has another colour, without naming it."""
    return _UNLIKE_ANOTHER.search(sentence) is not None


def _area_in(match: re.Match[str] | None) -> str | None:
    if match is None:
        return None
    groups = match.groupdict()
    area = groups.get("named") or groups.get("bare") or ""
    if (groups.get("bare") or "geld" in area) and not is_area(area):
        return None
    return None if _CONDITION.match(area) else area
