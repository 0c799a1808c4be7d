"""The names of ISO 3166-2 subdivisions in several languages, and which subdivision lies in which.

Sources: pycountry (Debian iso-codes, LGPL): the subdivisions' own names and their Dutch, English and French
translations; iso3166-2 (MIT): more English names. A change that makes a text resolve differently must raise the
`PARSER_VERSION` of the sources in services/safety/sources.
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
#: Not regions: parts of a state that have an advice, and mostly an ISO 3166-1 code, of their own.
NOT_REGIONS = frozenset(
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
#: Of 221 subdivisions, down to London boroughs, the advice names only the four nations.
_ONLY_REGIONS = {"GB": frozenset({"GB-ENG", "GB-NIR", "GB-SCT", "GB-WLS"})}
#: Common names that iso-codes lacks.
_COMMON_NAMES = {
    "BE-BRU": "Brussel",
    "BE-VLG": "Vlaanderen",
    "BE-WAL": "Wallonië",
    "CN-XZ": "Tibet",
    "TH-10": "Bangkok",
}
_ENGLISH_NAME = re.compile(r"(?:^|,)([^,()]+)\(eng\)")
#: An English name is accepted when it resembles (0 to 1) a name in one of these: Bavaria is the Spanish Baviera.
_RELATED_LOCALES = ("nl", "fr", "de", "es", "it", "pt")
_MIN_RESEMBLANCE = 0.7
FINAL_KIND = re.compile(r"(?<!\s)\s+(city|province|region|county|state|oblast|governorate|prefecture)$", re.IGNORECASE)
_LETTERS = str.maketrans({"ı": "i", "ł": "l", "đ": "d", "ð": "d", "ø": "o", "æ": "ae", "œ": "oe", "ß": "ss", "þ": "th"})


@dataclass(frozen=True, slots=True)
class Subdivision:
    """A region that can be resolved. `type` is the kind in lower case: `province`, `autonomous community`."""

    code: str
    type: str


@lru_cache(maxsize=1024)
def enclosing(code: str) -> tuple[str, ...]:
    """The region and every region that contains it, innermost first: `ES-B` lies in `ES-CT`."""
    chain = [code]
    while (entry := _entry(chain[-1])) is not None and entry.parent_code:
        if entry.parent_code in chain:
            break
        chain.append(entry.parent_code)
    return tuple(chain)


def _entry(code: str) -> Any:
    subdivisions: Any = pycountry.subdivisions  # the package has no types
    return subdivisions.get(code=code)


@lru_cache(maxsize=512)
def country_names(country: str) -> frozenset[str]:
    """The folded names of a country in Dutch and English, short and official."""
    if country == "XK":
        return frozenset({"kosovo"})
    entry = pycountry.countries.get(alpha_2=country)
    if entry is None:
        return frozenset()
    english = {getattr(entry, field, "") for field in ("name", "official_name", "common_name")} - {""}
    dutch = _translations("iso3166-1", "nl")
    return frozenset(
        folded(variant) for name in english | {dutch(name) for name in english} for variant in variants(name)
    )


@lru_cache(maxsize=8192)
def folded(name: str) -> str:
    """A name without accents, case, spaces, hyphens and apostrophes, so that whole names can be compared."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(_LETTERS))
    return "".join(letter for letter in plain if letter.isalnum())


def variants(name: str) -> Iterator[str]:
    """The forms of a listed name that prose may use: `Korea, Republic of` gives `Korea` and `Republic of Korea`."""
    for entry in name.split(";"):
        for alternative in re.split(r"[\[\]]", entry):
            without_code = re.sub(r"\s[A-Z]{2}-[A-Z]{3}$", "", alternative.strip())
            bare = re.sub(r"(?<!\s)\s*\([^()]*\)", "", without_code).strip(" /")
            if not bare:
                continue
            yield bare
            first, comma, second = bare.partition(", ")
            # More commas, or an "and": an enumeration that is one name.
            if comma and "," not in second and not re.search(r"\b(?:and|en|et|y|e)\b", second):
                yield first
                yield f"{second} {first}"


@lru_cache(maxsize=64)
def regions_by_name(country: str) -> dict[str, frozenset[Subdivision]]:
    """Folded name → the subdivisions with that name. Built at the first use of each country."""
    names: dict[str, set[Subdivision]] = defaultdict(set)
    spoken: dict[Subdivision, set[str]] = defaultdict(set)
    only_codes = _ONLY_REGIONS.get(country)
    for entry in _subdivisions().get(country, ()):
        if entry.code in NOT_REGIONS or (only_codes is not None and entry.code not in only_codes):
            continue
        subdivision = Subdivision(_same_territory(entry), entry.type.lower())
        translated = (_translations("iso3166-2", locale)(entry.name) for locale in _LOCALES)
        for name in {entry.name, _COMMON_NAMES.get(entry.code, entry.name), *translated}:
            for variant in variants(name):
                for spelled in (variant, FINAL_KIND.sub("", variant)):
                    names[folded(spelled)].add(subdivision)
                    spoken[subdivision].add(f" {_words(spelled)} ")
    # "Lima" is a region and so is "Municipalidad Metropolitana de Lima": the name Lima alone is ambiguous.
    for city in [region for region in spoken if re.search(r"\b(?:city|capital|municipality)\b", region.type)]:
        around = enclosing(city.code)
        for region in spoken:
            if region.code in around or city.code in enclosing(region.code):
                continue
            for region_name in spoken[region]:
                if any(region_name in city_name for city_name in spoken[city]):
                    names[folded(region_name)].add(city)
    for name, bearers in _exonyms(country, names).items():
        names[name] = bearers
    return {name: frozenset(bearers) for name, bearers in names.items() if name}


def _exonyms(country: str, known_names: Mapping[str, set[Subdivision]]) -> dict[str, set[Subdivision]]:
    """English names that iso-codes lacks, when they resemble one that it has in another language.

    The list also has nicknames ("Equality State"), which resemble no name. Known names stay as they are.
    """
    by_code = {region.code: region for regions in known_names.values() for region in regions}
    exonyms: dict[str, set[Subdivision]] = defaultdict(set)
    for entry in _subdivisions().get(country, ()):
        subdivision = by_code.get(_same_territory(entry))
        english_names = _english_names().get(entry.code, ())
        if subdivision is None or not english_names:
            continue
        related_names = {entry.name, *(_translations("iso3166-2", locale)(entry.name) for locale in _RELATED_LOCALES)}
        forms = {folded(variant) for name in related_names for variant in variants(name)}
        for name in english_names:
            key = folded(name)
            if key not in known_names and any(
                SequenceMatcher(None, key, form).ratio() >= _MIN_RESEMBLANCE for form in forms
            ):
                exonyms[key].add(subdivision)
    return exonyms


@lru_cache(maxsize=1)
def _subdivisions() -> dict[str, list[Any]]:
    """Country → its subdivisions. pycountry's own lookup walks through all subdivisions each time."""
    by_country: dict[str, list[Any]] = defaultdict(list)
    for entry in pycountry.subdivisions:
        by_country[entry.country_code].append(entry)
    return by_country


@lru_cache(maxsize=1)
def _english_names() -> dict[str, tuple[str, ...]]:
    """Code → English names, from entries such as `Catalonia (eng), Catalonha (oci)`.

    Only the data file of the package is read: importing the package would import an HTTP client.
    """
    spec = importlib.util.find_spec("iso3166_2")
    if spec is None or spec.origin is None:
        return {}
    data = orjson.loads((Path(spec.origin).parent / "iso3166-2.json").read_bytes())
    return {
        code: tuple(name.strip() for name in _ENGLISH_NAME.findall(entry.get("localOtherName") or ""))
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
    """The code of the parent when the region is its only part (ES-PM is ES-IB), else the region's own."""
    return str(entry.parent_code if entry.parent_code and _children()[entry.parent_code] == 1 else entry.code)


@lru_cache(maxsize=32)
def _translations(domain: str, locale: str) -> Any:
    return gettext.translation(domain, pycountry.LOCALES_DIR, languages=[locale], fallback=True).gettext


def _words(name: str) -> str:
    return " ".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())
