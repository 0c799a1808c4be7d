"""The names of countries and regions for people. Source: ISO 3166 (pycountry; the Dutch names of iso-codes)."""

import gettext
from functools import cache

import pycountry

# Names where ISO's own is not in common use, or where ISO has no code (Kosovo): Dutch, English.
DISPLAY: dict[str, tuple[str, str]] = {
    "BN": ("Brunei", "Brunei"),
    "CD": ("Democratische Republiek Congo", "Democratic Republic of the Congo"),
    "CG": ("Republiek Congo", "Republic of the Congo"),
    "CV": ("Kaapverdië", "Cape Verde"),
    "FK": ("Falklandeilanden", "Falkland Islands"),
    "FM": ("Micronesië", "Micronesia"),
    "GE": ("Georgië", "Georgia"),
    "GM": ("Gambia", "The Gambia"),
    "GS": ("Zuid-Georgia en de Zuidelijke Sandwicheilanden", "South Georgia and the South Sandwich Islands"),
    "KP": ("Noord-Korea", "North Korea"),
    "KR": ("Zuid-Korea", "South Korea"),
    "LA": ("Laos", "Laos"),
    "MD": ("Moldavië", "Moldova"),
    "MF": ("Saint-Martin", "Saint Martin"),
    "MO": ("Macau", "Macau"),
    "PS": ("Palestijnse Gebieden", "Palestinian Territories"),
    "RU": ("Rusland", "Russia"),
    "SX": ("Sint Maarten", "Sint Maarten"),
    "TR": ("Turkije", "Turkey"),
    "TW": ("Taiwan", "Taiwan"),
    "VA": ("Vaticaanstad", "Vatican City"),
    "VG": ("Britse Maagdeneilanden", "British Virgin Islands"),
    "VI": ("Amerikaanse Maagdeneilanden", "US Virgin Islands"),
    "XK": ("Kosovo", "Kosovo"),
}


def country_name(code: str, language: str) -> str:
    """The Dutch name of an ISO 3166-1 alpha-2 code for `nl`, else the English one; an unknown code as it is."""
    if code in DISPLAY:
        return DISPLAY[code][0 if language == "nl" else 1]
    country = pycountry.countries.get(alpha_2=code)
    if country is None:
        return code
    name = str(getattr(country, "common_name", country.name))
    return _dutch().gettext(name) if language == "nl" else name


def region_name(code: str) -> str:
    """The name of an ISO 3166-2 code in that standard; an unknown code as it is."""
    region = pycountry.subdivisions.get(code=code)  # type: ignore[no-untyped-call]  # pycountry's own gap
    return str(region.name) if region is not None else code


@cache
def _dutch() -> gettext.NullTranslations:
    return gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=["nl"])
