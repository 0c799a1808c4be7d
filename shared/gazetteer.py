"""The gazetteer: finds the ISO 3166-2 code of a place that prose names, when it is certain (R16, docs/rules.md).

The names come from `shared.subdivision_names`. A change that makes a text resolve differently must raise the
`PARSER_VERSION` of the sources in services/safety/sources.
"""

import re
from functools import lru_cache

from shared.subdivision_names import FINAL_KIND, Subdivision, country_names, folded, regions_by_name

MAX_TEXT_CHARS = 200

#: Names of a subdivision that people use for another place.
_MISLEADING = {"US": frozenset({"washington"})}

# Words for the kind of place that follows, and the words that the subdivision's type must then contain.
_ANY: tuple[str, ...] = ()
_CITY = ("city", "municipality", "capital", "metropolitan", "town", "urban")
_REGION = ("region", "province", "state", "republic", "territor", "community", "governorate", "oblast", "land", "kray")
_KINDS: dict[str, tuple[str, ...]] = {
    "provincie": _ANY, "provincies": _ANY, "province": _ANY, "deelstaat": _ANY, "deelstaten": _ANY, "state": _ANY,
    "staat": _ANY, "staten": _ANY, "departement": _ANY, "departementen": _ANY, "gouvernement": _ANY,
    "gouvernementen": _ANY, "gouvernoraat": _ANY, "gouvernoraten": _ANY, "governorate": _ANY, "prefectuur": _ANY,
    "prefecturen": _ANY, "prefecture": _ANY, "kanton": _ANY, "kantons": _ANY, "county": _ANY, "emiraat": _ANY,
    "oblast": _ANY, "republiek": _ANY, "gewest": _ANY, "eiland": _ANY, "eilanden": _ANY, "island": _ANY,
    "regio": _REGION, "regios": _REGION, "region": _REGION,
    "stad": _CITY, "steden": _CITY, "city": _CITY, "hoofdstad": _CITY, "gemeente": _CITY, "gemeenten": _CITY,
    "district": ("district",), "districten": ("district",),
}  # fmt: skip
#: When two subdivisions have one name, the kind chooses the type that contains one of these words.
_TYPE_OF_KIND = {
    "provinc": ("province",), "stat": ("state",), "staat": ("state",), "deelsta": ("state",), "state": ("state",),
    "departement": ("department",), "regio": ("region", "community"), "stad": _CITY, "steden": _CITY, "city": _CITY,
    "hoofdstad": _CITY, "gemeente": _CITY, "district": ("district",), "prefect": ("prefecture",), "kanton": ("canton",),
    "gouverno": ("governorate",), "gouvernement": ("governorate",), "eiland": ("island", "geographical"),
}  # fmt: skip
_LEADING = re.compile(r"^(?:(?:de|het|'t|the|autonome|zelfstandige)\s+)+", re.IGNORECASE)
_KIND = re.compile(r"^([A-Za-z’']+)\s+(?:van\s+|of\s+|of the\s+)?(?=\S)")
_DIRECTION = re.compile(
    r"^(?:(?:noord|zuid|oost|west|north|south|east|nord|sud|est|ouest|norte|sul|sur|este|oeste|midden|centraal|"
    r"central|centrale|centre|centro|centrum|littoral|litoral|maritime|upper|lower)(?:elijke?|ern|en)?)+$"
)


@lru_cache(maxsize=8192)
def resolve(country: str, text: str) -> str | None:
    """The code of the region that `text` names; None when it is not certain.

    `text` is an area as a ministry writes it ("de provincie Cabo Delgado") or a place as a student does ("Barcelona,
    Spanje"). Parts of a region ("het zuiden van …"), several places and borders give None.
    """
    if not text or len(text) > MAX_TEXT_CHARS:
        return None
    name = _without_country(country, " ".join(text.split()).strip(" .;:"))
    kind, name = _kind_and_name(country, name)
    key = folded(name)
    if not key:
        return None
    regions = regions_by_name(country).get(key, frozenset())
    if kind is None:
        if key in country_names(country) or key in _MISLEADING.get(country, ()) or _DIRECTION.match(key):
            return None
        return _only_code(regions)
    type_words = next((types for start, types in _TYPE_OF_KIND.items() if kind.startswith(start)), _ANY)
    of_kind = frozenset(region for region in regions if any(word in region.type for word in type_words))
    if (code := _only_code(of_kind)) is not None:
        return code
    required_words = _KINDS[kind]
    if required_words and not all(any(word in region.type for word in required_words) for region in regions):
        return None
    return _only_code(regions)


def _only_code(regions: frozenset[Subdivision]) -> str | None:
    codes = {region.code for region in regions}
    return codes.pop() if len(codes) == 1 else None


def _without_country(country: str, text: str) -> str:
    """`Barcelona, Spanje` and `Barcelona (Spain)` without the country."""
    is_in_brackets = text.endswith(")")
    name, _, last = text.removesuffix(")").rpartition("(" if is_in_brackets else ",")
    return name.rstrip() if name.rstrip() and folded(last) in country_names(country) else text


def _kind_and_name(country: str, text: str) -> tuple[str | None, str]:
    """`de provincie Cabo Delgado` → (`provincie`, `Cabo Delgado`); no kind when the word is part of the name."""
    if folded(text) in regions_by_name(country):
        return None, text
    name = _LEADING.sub("", text)
    match = _KIND.match(name)
    if match and (kind := folded(match[1])) in _KINDS:
        return kind, _LEADING.sub("", name[match.end() :])
    match = FINAL_KIND.search(name)
    if match and folded(name) not in regions_by_name(country):
        return match[1].lower(), name[: match.start()]
    return None, name
