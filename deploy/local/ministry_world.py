"""The first state of the simulated feed: 226 synthetic records in the ministry's format.

The codes are ISO 3166-1 (pycountry), Kosovo's XKX and the three Caribbean islands' BQ-BO, BQ-SA and BQ-SE.
"""

import gettext
import re
import unicodedata
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import pycountry
from pydantic import BaseModel, ConfigDict

from deploy.local.ministry_wording import RegionLevel, introduction
from shared.clock import amsterdam_date

SOURCE = "https://opendata.nederlandwereldwijd.nl/v2/sources/nederlandwereldwijd"
SITE = "https://www.nederlandwereldwijd.nl/reisadvies"
Record = dict[str, object]

# ISO 3166-1 has these; the ministry has no advice of their own for them.
_WITHOUT_ADVICE = (
    "ALA ATF BES BLM BMU BVT CCK CXR ESH FLK GGY GIB GUM HMD IMN IOT JEY MAF MNP MYT NFK NLD SGS SHN SPM UMI VAT"
)
# Where the catalogue's Dutch name cannot stand in a sentence, or there is none.
_NAMES = {
    "BOL": "Bolivia",
    "BQ-BO": "Bonaire",
    "BQ-SA": "Saba",
    "BQ-SE": "Sint Eustatius",
    "COD": "Democratische Republiek Congo",
    "COG": "Congo-Brazzaville",
    "GEO": "Georgië",
    "KOR": "Zuid-Korea",
    "LAO": "Laos",
    "MDA": "Moldavië",
    "PRK": "Noord-Korea",
    "PSE": "Palestijnse Gebieden",
    "SJM": "Spitsbergen",
    "SXM": "Sint Maarten",
    "VEN": "Venezuela",
    "VGB": "Britse Maagdeneilanden",
    "VIR": "Amerikaanse Maagdeneilanden",
    "XKX": "Kosovo",
}
_SPECIAL_ISO2 = {"XKX": "XK", "BQ-BO": "BQ-BO", "BQ-SA": "BQ-SA", "BQ-SE": "BQ-SE"}
_WITH_DE = "ARE BHS CAF COD COK COM CYM DOM FRO MDV MHL PHL PSE SLB SYC TCA USA VGB VIR"
_ARTICLES = {"GBR": "het"} | dict.fromkeys(_WITH_DE.split(), "de")
_YELLOW = (
    "ALB ARG BGD BIH BOL BRA CHN COL CRI CUB DOM ECU EGY ESP ETH GHA GTM HND IDN IND JAM JOR KEN KHM LKA MAR MDG MEX "
    "MNG NAM NGA NIC NPL PAN PER PHL RUS RWA SAU SEN SLV SRB SUR TGO THA TUN TUR TZA UGA UZB VEN VNM ZAF ZMB"
)
_CARVE_OUTS = {
    "ARM": [("het grensgebied met Azerbeidzjan", "rood")],
    "CMR": [("de regio Extrême-Nord", "rood"), ("de regio Sud-Ouest", "oranje")],
    "ECU": [("de provincie Esmeraldas", "oranje")],
    "EGY": [("het noorden van de Sinaï", "rood"), ("de Westelijke Woestijn", "oranje")],
    "IND": [("Jammu en Kasjmir", "oranje")],
    "MOZ": [("de provincie Cabo Delgado", "oranje")],
    "PER": [("de vallei van de rivier de Apurímac", "oranje")],
    "PHL": [("de Sulu-eilanden", "rood"), ("het zuiden van Mindanao", "oranje")],
    "THA": [("de provincies Yala, Pattani en Narathiwat", "oranje")],
    "TUR": [("het grensgebied met Syrië", "rood")],
}


@dataclass(frozen=True, slots=True)
class Place:
    """A country or island of the feed."""

    isocode: str
    iso2: str
    name: str

    @property
    def in_sentence(self) -> str:
        """The name with its article."""
        return f"{_ARTICLES[self.isocode]} {self.name}" if self.isocode in _ARTICLES else self.name

    @property
    def key(self) -> str:
        """The last part of the page's address."""
        folded = unicodedata.normalize("NFKD", self.name).encode("ascii", "ignore").decode().lower().replace("'", "")
        return re.sub(r"[^a-z0-9]+", "-", folded).strip("-")


class Advice(BaseModel):
    """One advice: the record as the list shows it, and the data that the simulator keeps with it."""

    model_config = ConfigDict(frozen=True)

    record: Record
    issued: str
    origin: str
    level: str | None = None
    regions: tuple[RegionLevel, ...] = ()


def places() -> dict[str, Place]:
    """Every place that has an advice, by the feed's own code."""
    dutch = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=["nl"])
    known = {
        country.alpha_3: Place(
            country.alpha_3, country.alpha_2, _NAMES.get(country.alpha_3) or dutch.gettext(country.name)
        )
        for country in pycountry.countries
        if country.alpha_3 not in _WITHOUT_ADVICE.split()
    }
    return known | {code: Place(code, iso2, _NAMES[code]) for code, iso2 in _SPECIAL_ISO2.items()}


def starting_world(as_of: datetime) -> dict[str, Advice]:
    """Every country green or yellow, ten of them with an orange or red part; the newest an hour older than `as_of`."""
    known = places()
    newest = min(known)
    world = {}
    for code, place in known.items():
        draw = zlib.crc32(code.encode())
        age = timedelta(hours=1) if code == newest else timedelta(days=1 + draw % 300, milliseconds=draw % 86_400_000)
        regions = tuple(
            RegionLevel.model_validate({"area": area, "level": level}) for area, level in _CARVE_OUTS.get(code, ())
        )
        level = "geel" if code in _YELLOW.split() else "groen"
        world[code] = advice(place, level, regions, None, as_of - age, "synthetic")
    return world


def advice(
    place: Place, level: str | None, regions: tuple[RegionLevel, ...], news: str | None, at: datetime, origin: str
) -> Advice:
    """An advice in the ministry's grammar, written at this instant."""
    record: Record = {
        "id": place.isocode,
        "type": "reisadvies",
        "canonical": f"{SITE}/{place.key}",
        "dataurl": f"{SOURCE}/infotypes/countries/{place.isocode.lower()}/traveladvice",
        "title": f"Reisadvies {place.name} | Ministerie van Buitenlandse Zaken",
        "introduction": introduction(place.in_sentence, level, regions, news),
        "location": place.name,
        "locationkey": place.key,
        "isocode": place.isocode,
        "classification": "Dit veld wordt niet meer ondersteund",
        "lastmodified": timestamp(at),
        "modificationdate": shown_dates(at, at),
    }
    return Advice(record=record, issued=timestamp(at), origin=origin, level=level, regions=regions)


def timestamp(at: datetime) -> str:
    """An instant as the feed writes it: UTC, milliseconds."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown_dates(changed: datetime, now: datetime) -> str:
    """The field for readers. Its second date is today's, whatever happened to the advice."""
    changed_on, today = (f"{amsterdam_date(at):%d-%m-%Y}" for at in (changed, now))
    return f"Laatst gewijzigd op: {changed_on} | Nog steeds geldig op: {today}"
