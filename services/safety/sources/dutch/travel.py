"""The ministry's sentences on travelling: "reis niet hierheen", "worden ontraden". Each belongs to a colour. Pure."""

import re
from dataclasses import dataclass

from shared.events import Level

_HERE = r"(?:er|hier|daar)"
_TRIPS = r"(?:reis(?:t|je|jes)?|reizen|vakanties?|vakantiereizen|bezoek|bezoeken|verblijf|toerisme|erheen|hierheen)"
_NEEDLESS = r"(?:niet[- ](?:noodzakelijke?|essenti[eë]le?|dringende?)|onnodige?|toeristische?|vakantie)"
#: Trips that one may be warned of in the safest country.
_ORDINARY = re.compile(
    r"'s nachts|’s nachts|'s avonds|’s avonds|\b(?:donker|zonsondergang|liften|om alleen|(?:met de|per) (?:auto|boot)|"
    r"bus|bussen|trein|treinen|taxi|veerboot|veerboten|scooter|scooters|motor|kraanwater|drinken|zwemmen|geld|"
    r"demonstraties?|betogingen|protesten|menigten?|"
    r"mensenmassa['’]?s|bijeenkomsten|drukke|evenementen|manifestaties|stranden|strand|uitgaan|"
    r"wandelen|zonder (?:gids|vergunning|visum|verzekering)|over land)\b",
    re.IGNORECASE,
)
#: A place with a name, or a part of a country: a trip there is no ordinary one.
_TO_PLACE = re.compile(
    r"(?:^|\b(?:[Nn]aar|[Ii]n|[Vv]an|[Uu]it) )(?:het |de |heel )?(?:[A-ZÀ-Ý]|noord|zuid|oost|west|grens|gebied|regio|"
    r"provinc|eiland)"
)
_AREA = r"(?P<area>[^,;:]{1,300}?)"


#: An area that is surely one: it has a name, or a word for a part of a country.
_SOME_PLACE = (
    r"(?P<area>(?:het |de |heel )?(?=(?-i:[A-ZÀ-Ý])|noord|zuid|oost|west|grens|gebied|regio|provinc|eiland|midden)"
    r"[^,;:]{1,300}?)"
)


@dataclass(frozen=True, slots=True)
class TravelWarning:
    """What a sentence says about travelling. `area` is empty where it means the place named before.

    `fits_from`: the mildest colour that agrees with it. `level`: the colour that counts where none agrees.
    """

    level: Level
    fits_from: Level
    area: str = ""
    #: It may speak of a colour that is given anywhere in the text.
    is_reference: bool = False


#: Pattern, the mildest colour it agrees with, and what it counts as.
_FIXED = tuple(
    (re.compile(pattern, re.IGNORECASE), fits_from, level)
    for pattern, fits_from, level in (
        (rf"\breis (?:\w+ ){{0,2}}niet (?:\w+ ){{0,1}}naar {_AREA}$", Level.RED, Level.RED),
        (rf"\breis (?:\w+ ){{0,2}}niet (?:\w+ )?(?:{_HERE}|weer)?(?:heen|naartoe)\b", Level.RED, Level.RED),
        (r"\breis (?:er |hier |daar |nu |absoluut |zeker )*niet(?: meer)?$", Level.RED, Level.RED),
        (rf"\bga (?:\w+ ){{0,2}}niet (?:{_HERE})?(?:heen|naartoe)\b", Level.RED, Level.RED),
        (rf"\b(?:ga|kom) (?:\w+ ){{0,2}}niet naar {_SOME_PLACE}$", Level.RED, Level.RED),
        (rf"^(?:[^:]{{0,60}}: )?niet reizen(?: naar {_AREA})?$", Level.RED, Level.RED),
        (r"^niet reizen(?: naar)?:", Level.RED, Level.RED),
        (rf"\b(?:ge)?advi\w+ .{{0,60}}\bniet (?:te reizen )?naar {_AREA}(?: te (?:reizen|gaan))?$",
         Level.RED, Level.RED),
        (r"\b(?:ge)?advi\w+ .{0,60}\bniet te reizen$", Level.RED, Level.RED),
        (rf"\bu kunt (?:\w+ )?(?:er )?niet (?:heen|naartoe|{_HERE}heen|naar {_AREA}) reizen$", Level.ORANGE, Level.RED),
        (rf"\bniet (?:veilig|verantwoord) (?:is )?om naar {_AREA} te (?:reizen|gaan)\b", Level.ORANGE, Level.ORANGE),
        (rf"\b(?:(?:ver)?mijd|blijf weg (?:uit|van)) {_SOME_PLACE}$", Level.ORANGE, Level.ORANGE),
        (rf"\bhet is {_HERE} (?:veel |nu )?te gevaarlijk$", Level.RED, Level.RED),
        (r"\b(?:verlaat|vertrek uit) (?:\w+ ){0,3}(?:het|dit|de|deze) (?:land|gebied|gebieden|regio|provincie|"
         r"noorden|zuiden|oosten|westen)\b", Level.ORANGE, Level.RED),
        (r"\b(?:het|dit) land (?:\w+ ){0,4}te verlaten$", Level.ORANGE, Level.RED),
        (rf"\b(?:ge)?advi\w+ (?:\w+ ){{0,6}}{_SOME_PLACE} te verlaten$", Level.ORANGE, Level.RED),
        (rf"^(?:verlaat|vertrek uit) (?:nu |direct |onmiddellijk |zo snel mogelijk )?(?!\w+ niet){_SOME_PLACE}"
         r"(?: als .{1,60}| zo snel mogelijk| onmiddellijk| direct)?$", Level.ORANGE, Level.RED),
        (r"^vertrek (?:als|indien|zodra|nu)\b", Level.ORANGE, Level.RED),
        (r"\bvertrek (?:\w+ ){0,2}(?:zo snel mogelijk|zo spoedig mogelijk|onmiddellijk|direct|meteen)\b",
         Level.ORANGE, Level.RED),
        (rf"\breis (?:\w+ ){{0,2}}alleen (?:{_HERE}(?:heen|naartoe)?|heen|naartoe|naar {_AREA}) (?:als|indien|wanneer) "
         r".{0,40}\b(?:noodzakelijk|nodig|moet)\b", Level.ORANGE, Level.ORANGE),
        (rf"\balleen (?:strikt |echt |hoogst )?noodzakelijke reizen(?: naar {_AREA}$|\b)", Level.ORANGE, Level.ORANGE),
        (r"\balleen als (?:het|dit|dat|uw reis|de reis) (?:\w+ )?noodzakelijk is\b", Level.ORANGE, Level.ORANGE),
        (rf"\b(?:niet veilig|onveilig) (?:om )?(?:{_HERE} )?op vakantie\b", Level.ORANGE, Level.ORANGE),
        (r"\bstel [\w -]{0,40}rei[sz]\w* (?:[\w ]{1,40} )?uit\b", Level.ORANGE, Level.ORANGE),
        (rf"\breizen naar {_AREA} (?:is|zijn) (?:veel |zeer |erg |nu )?(?:te gevaarlijk|gevaarlijk|onveilig|"
         r"niet veilig|niet verantwoord)$", Level.ORANGE, Level.ORANGE),
        (rf"^bezoek {_SOME_PLACE} niet$", Level.ORANGE, Level.ORANGE),
        (rf"\bvermijd (?:alle |elke |niet-noodzakelijke )?reizen naar {_AREA}$", Level.ORANGE, Level.RED),
        (r"\b(?:hoogste|zwaarste|strengste) (?:kleur|kleurcode|code|reisadvies|waarschuwing)\b", Level.RED, Level.RED),
        (r"\bbijzondere veiligheidsrisico", Level.YELLOW, Level.YELLOW),
    )
)  # fmt: skip
_NEGATIVE_ADVICE = re.compile(
    r"\bnegatie(?:f|ve) (?:reis)?advies|\b(?:reis)?advies\b(?: (?:voor|naar) [^,;:]{1,100})? is (?:\w+ )?negatief\b",
    re.IGNORECASE,
)
_NEGATIVE_FOR = (
    re.compile(
        rf"\bnegatie(?:f|ve) (?:reis)?advies (?:voor|naar) {_AREA}(?:$|[,;:?]| (?:blijft|is|geldt)\b)", re.IGNORECASE
    ),
    re.compile(rf"\b(?:reis)?advies (?:voor|naar) {_AREA} is (?:\w+ )?negatief\b", re.IGNORECASE),
    re.compile(rf"^(?:voor|in) {_AREA} geldt (?:\w+ )?een negatief (?:reis)?advies", re.IGNORECASE),
)
_ADVISES_AGAINST = re.compile(r"\bontra(?:ad|d)\w*|\baf(?:ge)?ra(?:den|ad)\w*|\braa?d(?:t|en)?\b", re.IGNORECASE)
_OFF = re.compile(r"\baf$|\baf[ ,.;:(]", re.IGNORECASE)
_OF_TRIPS = re.compile(rf"\b{_TRIPS}\b|reizen\b", re.IGNORECASE)
_OF_NEEDLESS_TRIPS = re.compile(rf"\b{_NEEDLESS}", re.IGNORECASE)
_ALL_TRIPS = re.compile(r"\b(?:alle|iedere|elke) (?:\w+ )?reizen?\b", re.IGNORECASE)
_TRIPS_TO = re.compile(
    r"\b(?:naar|aan) (?P<area>[^,;:]{1,200}?)(?: (?:te reizen|te gaan|wordt|worden|is|zijn|blijft|blijven|sterk|"
    r"dringend|ten zeerste|ten stelligste|af)\b|$)",
    re.IGNORECASE,
)
_LIFTED = re.compile(r"\bniet (?:meer|langer) (?:\w+ )?(?:ontraden|afgeraden)|\bgeen negatief\b", re.IGNORECASE)
_STILL = re.compile(r"\b(?:maar|wel|nog)\b", re.IGNORECASE)
_MAY_GO = re.compile(rf"\bu kunt (?:nu |weer |gewoon )?(?:{_HERE}heen|naar .{{1,100}}) reizen$", re.IGNORECASE)
_PLACE = re.compile(
    r"^(?:dit|deze|die|dat) (?:gebied|gebieden|land|regio['’]?s?|delen|deel|provincies?)$", re.IGNORECASE
)


def warning(sentence: str) -> TravelWarning | None:
    """R14: what a sentence without a colour demands of the colour that it belongs to; None if it warns of no travel."""
    for pattern, fits_from, level in _FIXED:
        match = pattern.search(sentence)
        if match is None:
            continue
        area = match.groupdict().get("area") or ""
        if area and _ORDINARY.search(area) and not _TO_PLACE.search(area):
            continue
        return TravelWarning(level, fits_from, "" if _PLACE.match(area) else area)
    if _NEGATIVE_ADVICE.search(sentence) and not _is_lifted(sentence):
        areas = [match["area"] for pattern in _NEGATIVE_FOR if (match := pattern.search(sentence))]
        return TravelWarning(Level.ORANGE, Level.ORANGE, areas[0] if areas else "", is_reference=True)
    return _advised_against(sentence)


def _is_lifted(sentence: str) -> bool:
    """Whether a warning no longer holds: "niet langer ontraden"; but "…, maar naar het zuiden wel" still warns."""
    lifted = _LIFTED.search(sentence)
    return lifted is not None and not _STILL.search(sentence, lifted.end())


def may_go(sentence: str) -> bool:
    """Whether a sentence says that one can travel there: it belongs to green and yellow."""
    return _MAY_GO.search(sentence) is not None


def _advised_against(sentence: str) -> TravelWarning | None:
    """`ontraden`, `afgeraden`, `raadt … af`, of travelling and not of something on the way."""
    match = _ADVISES_AGAINST.search(sentence)
    if match is None or _is_lifted(sentence) or not _OF_TRIPS.search(sentence):
        return None
    if _ORDINARY.search(sentence) and not _ALL_TRIPS.search(sentence) and not _TO_PLACE.search(sentence, 1):
        return None
    if match[0].lower().startswith("ra") and not _OFF.search(sentence, match.end()):
        return None
    # "niet langer naar het noorden, maar naar het zuiden wel": of which place is not certain.
    area = None if _LIFTED.search(sentence) else _TRIPS_TO.search(sentence)
    if _OF_NEEDLESS_TRIPS.search(sentence):
        return TravelWarning(Level.ORANGE, Level.ORANGE, area["area"] if area else "")
    fits_from = Level.RED if _ALL_TRIPS.search(sentence) else Level.ORANGE
    return TravelWarning(Level.RED, fits_from, area["area"] if area else "")
