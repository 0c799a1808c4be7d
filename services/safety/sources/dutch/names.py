"""The names that a country has in its own Dutch advice, and what counts as its rest. Pure."""

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache

import pycountry

from shared.gazetteer import resolve
from shared.subdivision_names import country_names, folded, variants

#: Names of countries in the ministry's texts that are neither in the feed's field nor ISO's Dutch name.
ALSO_CALLED = {
    "AE": ("VAE", "UAE", "Emiraten"), "AG": ("Antigua",), "BA": ("Bosnië", "Bosnië-Herzegovina"),
    "BY": ("Belarus", "Wit-Rusland"), "CD": ("DRC", "DR Congo", "Congo-Kinshasa", "Zaïre"),
    "CF": ("CAR", "Centraal-Afrika"), "CG": ("Congo", "Congo-Brazzaville"), "CI": ("Ivoorkust",),
    "CV": ("Kaapverdië",), "CZ": ("Tsjechië",), "GB": ("het VK", "UK", "Groot-Brittannië"), "KG": ("Kirgistan",),
    "KN": ("Saint Kitts", "Sint-Kitts en Nevis"), "KP": ("Noord-Korea",), "KR": ("Zuid-Korea",), "LA": ("Laos",),
    "LC": ("Sint Lucia", "St. Lucia"), "MK": ("Macedonië", "Noord-Macedonië"), "MM": ("Birma", "Burma"),
    "MV": ("Malediven",), "NR": ("Naoero",), "NZ": ("Nieuw-Zeeland",), "PS": ("Palestijnse Gebieden", "Palestina"),
    "RU": ("Russische Federatie",), "SA": ("Saudi-Arabië", "Saoedi-Arabië"), "SD": ("Soedan",),
    "SS": ("Zuid-Soedan",), "ST": ("Sao Tomé",), "SZ": ("Swaziland", "Eswatini"), "TL": ("Oost-Timor",),
    "TT": ("Trinidad en Tobago",), "US": ("VS", "USA", "Verenigde Staten", "Amerika"),
    "VA": ("Vaticaanstad",), "VC": ("Saint Vincent", "St. Vincent en de Grenadines"), "XK": ("Kosovo",),
}  # fmt: skip

_WHOLE = re.compile(r"^(?:(?:de|het|'t|heel|geheel|gehele|hele|volledige?)\s+)+", re.IGNORECASE)
_MOST = re.compile(
    r"^(?:(?:het|de) )?(?:(?:over)?grootste? (?:deel|gedeelte)|merendeel|meeste (?:delen|gebieden)|"
    r"(?:vrijwel|bijna|nagenoeg|zo goed als|praktisch)(?: (?:heel|het hele|de hele|geheel|alle delen))?) (?:van |in )?"
    r"(?P<whole>.+)$",
    re.IGNORECASE,
)
_REST = re.compile(
    r"^(?:de |het |alle |al het )?(?:rest|resterende? (?:deel|delen|gebieden)|"
    r"overige? (?:deel|delen|gebieden|regio['’]?s|provincies)|"
    r"andere (?:delen|gebieden|regio['’]?s|provincies)) (?:van|in) (?P<whole>.+)$",
    re.IGNORECASE,
)
#: A rest that does not say of what: of the country.
_BARE_REST = re.compile(
    r"^(?:(?:overal )?elders|daarbuiten|buiten (?:deze|die|de genoemde) (?:gebieden|gebied|regio['’]?s|provincies)|"
    r"(?:de |het |alle )?(?:rest|overige? (?:deel|delen|gebieden)|andere (?:delen|gebieden)|overige))"
    r"(?: (?:in|van) (?P<whole>.+))?$",
    re.IGNORECASE,
)
_INSERTION = re.compile(
    r"(?:,| \()\s*(?:inclusief|incl\.|waaronder|onder andere|o\.a\.|met inbegrip van|ook)(?!\w).*$", re.DOTALL
)
_ABBREVIATED = re.compile(r" \([A-Z]{2,5}\)$")
_SHORT_NAME = re.compile(r"\s\(([A-Z]{2,5})\)")
_CAPITALISED = re.compile(r"[A-ZÀ-Ý][\w'’-]*")
#: Words, and characters, that a name before its short form may have.
_MAX_NAME_WORDS, _MAX_NAME_CHARS = 8, 300
#: Territories in ISO's list that have no advice of their own: another country's text may speak of them.
_WITHOUT_ADVICE = {
    "AX", "BL", "BM", "BV", "CC", "CX", "EH", "FK", "GG", "GI", "GS", "GU", "HM", "IM", "IO", "JE", "MF", "MP", "NF",
    "PM", "SH", "TF", "UM", "VA", "YT",
}  # fmt: skip
#: Names of countries that regions of other countries have as well, and that the gazetteer does not know.
_ALSO_REGIONS = {"macedonie", "macedonia", "georgia", "benin"}
_NEIGHBOUR = re.compile(r"^(?:(?:het|de|ons|onze) )?(?:buurland(?:en)?|naburige|aangrenzende) +", re.IGNORECASE)
_AND = re.compile(r", (?:en )?| en ")
#: From this length on a word that two names share makes them too much alike: Sudan and South Sudan.
_SHARED_CHARS = 4


class Extent(Enum):
    """How much of the country an area is."""

    WHOLE = "whole"
    MOST = "most"
    REST = "rest"
    PART = "part"
    NEIGHBOUR = "neighbour"


class CountryNames:
    """Every name of a country that its text may use."""

    def __init__(self, country: str, feed_names: Sequence[str], texts: Sequence[str]) -> None:
        self._country = country
        self._names = _names(country, feed_names, texts)

    def extent(self, area: str) -> Extent:
        """How much of the country an area is; a neighbour is none of it."""
        bare = _BARE_REST.match(area)
        if bare and (bare["whole"] is None or self._is_own(bare["whole"])):
            return Extent.REST
        rest = _REST.match(area)
        if rest:
            return Extent.REST if self._is_own(rest["whole"]) else Extent.PART
        most = _MOST.match(area)
        if most and self._is_own(most["whole"]):
            return Extent.MOST
        if self._is_own(area):
            return Extent.WHOLE
        return Extent.NEIGHBOUR if self._is_neighbour(area) else Extent.PART

    def _is_own(self, area: str) -> bool:
        """Whether an area is the whole country. "Pakistan, onder andere Islamabad": the insertion is left out."""
        return any(
            area_key(name) in self._names for name in (area, _INSERTION.sub("", area), _ABBREVIATED.sub("", area))
        )

    def _is_neighbour(self, area: str) -> bool:
        """Whether an area is another country, or several. A name that resembles the own one, or a region's, is not."""
        names = _AND.split(_NEIGHBOUR.sub("", area))
        return all(self._is_other_country(name) for name in names) and resolve(self._country, area) is None

    def _is_other_country(self, name: str) -> bool:
        key = area_key(name)
        if key not in _other_countries() or key in _ALSO_REGIONS or resolve(self._country, name) is not None:
            return False
        return not any(own in key or key in own for own in self._names if min(len(own), len(key)) >= _SHARED_CHARS)


def is_named_neighbour(area: str) -> bool:
    """Whether the text itself calls an area a neighbouring country."""
    return _NEIGHBOUR.match(area) is not None


@lru_cache(maxsize=1)
def _other_countries() -> frozenset[str]:
    codes = [entry.alpha_2 for entry in pycountry.countries if entry.alpha_2 not in _WITHOUT_ADVICE]
    return frozenset(
        {name for code in codes for name in country_names(code)}
        | {area_key(name) for names in ALSO_CALLED.values() for name in names if len(name) > _SHARED_CHARS}
    )


def _names(country: str, feed_names: Sequence[str], texts: Sequence[str]) -> frozenset[str]:
    """The names of a country, folded."""
    names = _known_names(country, tuple(feed_names))
    for text in texts:
        # "de Verenigde Arabische Emiraten (VAE)" gives the country a short name.
        for match in _SHORT_NAME.finditer(text) if "(" in text else ():
            if area_key(_name_before(text, match.start())) in names:
                names |= {area_key(match[1])}
    return names


def _name_before(text: str, end: int) -> str:
    """The capitalised words before a place in a text, with `van` between them: `Verenigde Staten van Amerika`."""
    *words, last_word = text[max(0, end - _MAX_NAME_CHARS) : end].split() or [""]
    name: list[str] = []
    count = 0
    for word in (last_word, *reversed(words)):
        if _CAPITALISED.fullmatch(word) and count < _MAX_NAME_WORDS:
            count += 1
        elif word != "van":
            break
        name.insert(0, word)
    return " ".join(name).removeprefix("van ")


@lru_cache(maxsize=1024)
def _known_names(country: str, feed_names: tuple[str, ...]) -> frozenset[str]:
    """The names of a country without those that only its text gives it."""
    all_names = [*feed_names, *ALSO_CALLED.get(country, ())]
    names = {area_key(form) for name in all_names for form in _forms_of_name(name)}
    return frozenset((names | {folded(name) for name in country_names(country)} | {"land"}) - {""})


def _forms_of_name(name: str) -> Iterable[str]:
    """`Spitsbergen (Svalbard)` is also either of them, `Congo, de Republiek` the Republiek Congo, `Macau SAR` Macau."""
    yield name
    yield from re.findall(r"\(([^()]*)\)", name)
    for variant in variants(name):
        yield variant
        yield re.sub(r"\s[A-Z]{2,4}$", "", variant)


def area_key(area: str) -> str:
    """An area without its article, folded: two names of one area compare equal."""
    return folded(_WHOLE.sub("", area.strip()))
