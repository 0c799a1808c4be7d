"""The ISO 3166-2 code of a place named in prose, where that is sure; otherwise it stays text (R16).

Sources: pycountry (Debian iso-codes, LGPL): the subdivisions' own names and their Dutch, English and French
translations; iso3166-2 (MIT): English names beside them. Whoever makes it resolve otherwise raises the parsers'
versions.
"""

import gettext
import importlib.util
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import pycountry

_LOCALES = ("nl", "en", "fr")
_LONGEST = 200

#: Parts of a state that have an advice, and mostly an ISO 3166-1 code, of their own: not a region of that state.
APART = frozenset(
    [
        "CN-HK",
        "CN-MO",
        "CN-TW",
        "FI-01",
        "FR-971",
        "FR-972",
        "FR-973",
        "FR-974",
        "FR-976",
        "FR-BL",
        "FR-MF",
        "FR-NC",
        "FR-PF",
        "FR-PM",
        "FR-TF",
        "FR-WF",
        "NL-AW",
        "NL-BQ1",
        "NL-BQ2",
        "NL-BQ3",
        "NL-CW",
        "NL-SX",
        "NO-21",
        "NO-22",
        "RS-25",
        "RS-26",
        "RS-27",
        "RS-28",
        "RS-29",
        "RS-KM",
        "US-AS",
        "US-GU",
        "US-MP",
        "US-PR",
        "US-UM",
        "US-VI",
    ]
)
#: 221 subdivisions down to a London borough; the advice speaks of the four nations.
_ONLY = {"GB": frozenset({"GB-ENG", "GB-NIR", "GB-SCT", "GB-WLS"})}
#: Names in common use that the catalogue lacks.
_ALSO = {"BE-BRU": "Brussel", "BE-VLG": "Vlaanderen", "BE-WAL": "Wallonië", "CN-XZ": "Tibet", "TH-10": "Bangkok"}
#: A name that people use for another place than the subdivision that bears it.
_TRAPS = {"US": frozenset({"washington"})}

# Words that say what kind of place follows, and what the subdivision's type must hold for that to be sure.
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
#: Where a name is borne twice, the kind decides between types that hold this word.
_TYPE_OF_KIND = {
    "provinc": ("province",), "stat": ("state",), "staat": ("state",), "deelsta": ("state",), "state": ("state",),
    "departement": ("department",), "regio": ("region", "community"), "stad": _CITY, "steden": _CITY, "city": _CITY,
    "hoofdstad": _CITY, "gemeente": _CITY, "district": ("district",), "prefect": ("prefecture",), "kanton": ("canton",),
    "gouverno": ("governorate",), "gouvernement": ("governorate",), "eiland": ("island", "geographical"),
}  # fmt: skip
_LEADING = re.compile(r"^(?:(?:de|het|'t|the|autonome|zelfstandige)\s+)+", re.IGNORECASE)
_KIND = re.compile(r"^([A-Za-z’']+)\s+(?:van\s+|of\s+|of the\s+)?(?=\S)")
_ENGLISH_NAME = re.compile(r"(?:^|,)\s*([^,()]+?)\s*\(eng\)")
#: Where a name may have come from, and how like it must be (0 to 1): Bavaria is the Baviera of Spanish.
_RELATED = ("nl", "fr", "de", "es", "it", "pt")
_ALIKE = 0.7
_FINAL_KIND = re.compile(r"\s+(city|province|region|county|state|oblast|governorate|prefecture)$", re.IGNORECASE)
_DIRECTION = re.compile(
    r"^(?:(?:noord|zuid|oost|west|north|south|east|nord|sud|est|ouest|norte|sul|sur|este|oeste|midden|centraal|"
    r"central|centrale|centre|centro|centrum|littoral|litoral|maritime|upper|lower)(?:elijke?|ern|en)?)+$"
)
_LETTERS = str.maketrans({"ı": "i", "ł": "l", "đ": "d", "ð": "d", "ø": "o", "æ": "ae", "œ": "oe", "ß": "ss", "þ": "th"})


@dataclass(frozen=True, slots=True)
class _Subdivision:
    code: str
    type: str


@lru_cache(maxsize=8192)
def resolve(country: str, text: str) -> str | None:
    """The region that a text names, whole and by itself; None when that is not certain.

    `text` is an area as a ministry names it ("de provincie Cabo Delgado") or a place as a student does
    ("Barcelona, Spanje"). Parts of a region ("het zuiden van …"), several places, borders: None.
    """
    if not text or len(text) > _LONGEST:
        return None
    name = _without_country(country, " ".join(text.split()).strip(" .;:"))
    kind, name = _kind_and_name(country, name)
    key = folded(name)
    if not key:
        return None
    found = _index(country).get(key, frozenset())
    if kind is None:
        if key in country_names(country) or key in _TRAPS.get(country, ()) or _DIRECTION.match(key):
            return None
        return _certain(found)
    wanted = next((types for start, types in _TYPE_OF_KIND.items() if kind.startswith(start)), _ANY)
    of_kind = frozenset(each for each in found if any(word in each.type for word in wanted))
    if (certain := _certain(of_kind)) is not None:
        return certain
    needed = _KINDS[kind]
    return _certain(found) if not needed or all(any(word in each.type for word in needed) for each in found) else None


@lru_cache(maxsize=1024)
def enclosing(code: str) -> tuple[str, ...]:
    """The region itself and every region around it, innermost first: `ES-B` lies in `ES-CT`."""
    chain = [code]
    while (subdivision := _subdivision(chain[-1])) is not None and subdivision.parent_code:
        if subdivision.parent_code in chain:
            break
        chain.append(subdivision.parent_code)
    return tuple(chain)


def _subdivision(code: str) -> Any:
    subdivisions: Any = pycountry.subdivisions  # the package has no types
    return subdivisions.get(code=code)


@lru_cache(maxsize=512)
def country_names(country: str) -> frozenset[str]:
    """What a country is called, folded: its names in Dutch and English, short and official."""
    if country == "XK":
        return frozenset({"kosovo"})
    found = pycountry.countries.get(alpha_2=country)
    if found is None:
        return frozenset()
    own = {getattr(found, field, "") for field in ("name", "official_name", "common_name")} - {""}
    dutch = _translations("iso3166-1", "nl")
    return frozenset(folded(variant) for name in own | {dutch(each) for each in own} for variant in variants(name))


@lru_cache(maxsize=8192)
def folded(name: str) -> str:
    """A name without accents, case, spaces, hyphens and apostrophes, for comparing whole names."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(_LETTERS))
    return "".join(letter for letter in plain if letter.isalnum())


def variants(name: str) -> Iterator[str]:
    """The ways in which a catalogue's entry can stand in a sentence: `Korea, Republic of` is `Republic of Korea`."""
    for entry in name.split(";"):
        for alternative in re.split(r"[\[\]]", entry):
            bare = re.sub(r"\s*\([^)]*\)", "", re.sub(r"\s[A-Z]{2}-[A-Z]{3}$", "", alternative.strip())).strip(" /")
            if not bare:
                continue
            yield bare
            first, comma, second = bare.partition(", ")
            # More commas, or an "and", and it is an enumeration that makes one name.
            if comma and "," not in second and not re.search(r"\b(?:and|en|et|y|e)\b", second):
                yield first
                yield f"{second} {first}"


@lru_cache(maxsize=64)
def _index(country: str) -> dict[str, frozenset[_Subdivision]]:
    """Folded name to the subdivisions that bear it. Built once per country, when it is first asked for."""
    names: dict[str, set[_Subdivision]] = defaultdict(set)
    spoken: dict[_Subdivision, set[str]] = defaultdict(set)
    only = _ONLY.get(country)
    for entry in _subdivisions().get(country, ()):
        if entry.code in APART or (only is not None and entry.code not in only):
            continue
        subdivision = _Subdivision(_same_territory(entry), entry.type.lower())
        translated = (_translations("iso3166-2", locale)(entry.name) for locale in _LOCALES)
        for name in {entry.name, _ALSO.get(entry.code, entry.name), *translated}:
            for variant in variants(name):
                for spelled in (variant, _FINAL_KIND.sub("", variant)):
                    names[folded(spelled)].add(subdivision)
                    spoken[subdivision].add(f" {_words(spelled)} ")
    # "Lima" is a region, and "Municipalidad Metropolitana de Lima" another: the bare name is not certain.
    for city in [each for each in spoken if re.search(r"\b(?:city|capital|municipality)\b", each.type)]:
        around = enclosing(city.code)
        for other in [each for each in spoken if each.code not in around and city.code not in enclosing(each.code)]:
            for own in spoken[other]:
                if any(own in theirs for theirs in spoken[city]):
                    names[folded(own)].add(city)
    for name, bearers in _exonyms(country, names).items():
        names[name] = bearers
    return {name: frozenset(bearers) for name, bearers in names.items() if name}


def _exonyms(country: str, known: Mapping[str, set[_Subdivision]]) -> dict[str, set[_Subdivision]]:
    """English names that the catalogue lacks, where they are forms of one that it knows in some language.

    The list holds nicknames too ("Equality State"); those are forms of nothing. A name that is known stays as it is.
    """
    bearers = {each.code: each for found in known.values() for each in found}
    found: dict[str, set[_Subdivision]] = defaultdict(set)
    for entry in _subdivisions().get(country, ()):
        subdivision = bearers.get(_same_territory(entry))
        others = _other_names().get(entry.code, ())
        if subdivision is None or not others:
            continue
        spoken = {entry.name, *(_translations("iso3166-2", locale)(entry.name) for locale in _RELATED)}
        forms = {folded(variant) for name in spoken for variant in variants(name)}
        for name in others:
            key = folded(name)
            if key not in known and any(SequenceMatcher(None, key, form).ratio() >= _ALIKE for form in forms):
                found[key].add(subdivision)
    return found


@lru_cache(maxsize=1)
def _subdivisions() -> dict[str, list[Any]]:
    """Every subdivision by country; pycountry's own lookup walks through all of them for each question."""
    by_country: dict[str, list[Any]] = defaultdict(list)
    for entry in pycountry.subdivisions:
        by_country[entry.country_code].append(entry)
    return by_country


@lru_cache(maxsize=1)
def _other_names() -> dict[str, tuple[str, ...]]:
    """English names by code, of `Catalonia (eng), Catalonha (oci)`. Only the package's data is read.

    Its code is not imported: it would bring an HTTP client along.
    """
    found = importlib.util.find_spec("iso3166_2")
    if found is None or found.origin is None:
        return {}
    data = orjson.loads((Path(found.origin).parent / "iso3166-2.json").read_bytes())
    return {
        code: tuple(_ENGLISH_NAME.findall(entry.get("localOtherName") or ""))
        for entries in data.values()
        for code, entry in entries.items()
    }


@lru_cache(maxsize=1)
def _children() -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for entries in _subdivisions().values():
        for entry in entries:
            if entry.parent_code:
                counts[entry.parent_code] += 1
    return counts


def _same_territory(entry: Any) -> str:
    """The code to use: a region that is its parent's only part is its parent (ES-PM is ES-IB)."""
    return str(entry.parent_code if entry.parent_code and _children()[entry.parent_code] == 1 else entry.code)


@lru_cache(maxsize=32)
def _translations(domain: str, locale: str) -> Any:
    return gettext.translation(domain, pycountry.LOCALES_DIR, languages=[locale], fallback=True).gettext


def _certain(found: frozenset[_Subdivision]) -> str | None:
    codes = {each.code for each in found}
    return codes.pop() if len(codes) == 1 else None


def _words(name: str) -> str:
    return " ".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())


def _without_country(country: str, text: str) -> str:
    """`Barcelona, Spanje` and `Barcelona (Spain)` without the country."""
    match = re.fullmatch(r"(.+?)\s*(?:,\s*([^,()]+)|\(([^()]+)\))", text)
    if match and folded(match[2] or match[3]) in country_names(country):
        return match[1]
    return text


def _kind_and_name(country: str, text: str) -> tuple[str | None, str]:
    """(`provincie`, `Cabo Delgado`) of `de provincie Cabo Delgado`; no kind where the word belongs to the name."""
    if folded(text) in _index(country):
        return None, text
    name = _LEADING.sub("", text)
    match = _KIND.match(name)
    if match and (kind := folded(match[1])) in _KINDS:
        return kind, _LEADING.sub("", name[match.end() :])
    match = _FINAL_KIND.search(name)
    if match and folded(name) not in _index(country):
        return match[1].lower(), name[: match.start()]
    return None, name
