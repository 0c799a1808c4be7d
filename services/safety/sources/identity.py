"""Finds the country that a source means, by ISO code, FIPS 10-4 tag or name. None if it is not certain.

Names are compared whole, never by prefix (Niger, Nigeria). Sources: pycountry (ISO 3166-1, Debian iso-codes), the FIPS
10-4 list of the United States (withdrawn in 2008, still the tag of its feed), and the slugs and titles of the feeds.
"""

import gettext
from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache

import pycountry

from shared.subdivision_names import country_names, folded, variants

#: Names in use that differ from ISO's, or that ISO's short form would give to two countries. They precede ISO's.
_ALSO_CALLED = {
    "AG": ("Antigua and Barbuda",), "AQ": ("Antarctica/British Antarctic Territory",), "AZ": ("Azerbajian",),
    "BA": ("Bosinia and Herzegovina",), "BL": ("St Barthelemy",), "BN": ("Brunei",), "BQ": (
        "Bonaire/St Eustatius/Saba", "Bonaire, St Eustatius and Saba", "Caribbean Netherlands"),
    "BS": ("The Bahamas",), "CD": ("Democratic Republic of the Congo", "DR Congo", "DRC", "Congo Kinshasa",
        "Congo, Democratic Republic of the", "Demokratische Republik Kongo"),
    "CG": ("Congo", "Republic of the Congo", "Congo Brazzaville", "Republik Kongo", "Kongo"),
    "CI": ("Ivory Coast", "Cote d'Ivoire"), "CV": ("Cape Verde",), "CZ": ("Czech Republic",),
    "FK": ("Falkland Islands",), "FM": ("Federated States of Micronesia", "Micronesia"), "GB": ("UK",),
    "GM": ("The Gambia",), "IL": ("Israel, the West Bank and Gaza", "Israel, West Bank and Gaza",
        "Israel and Palestine"),
    "IR": ("Iran",), "KN": ("St Kitts and Nevis",), "KP": ("North Korea", "Nordkorea",
        "Democratic People's Republic of Korea"),
    "KR": ("South Korea", "Korea", "Südkorea", "Republic of Korea"), "LA": ("Laos",), "LC": ("St Lucia",),
    "MF": ("St Martin", "Saint Martin"), "MK": ("Macedonia",), "MM": ("Burma", "Myanmar (Burma)", "Burma (Myanmar)"),
    "MO": ("Macau",), "MP": ("Northern Marianas",), "PM": ("St Pierre and Miquelon", "St Pierre & Miquelon"),
    "PN": ("Pitcairn Island",), "PS": ("The Occupied Palestinian Territories", "Palestinian Territories",
        "Palästinensische Gebiete"),
    "RU": ("Russia",), "SH": ("St Helena, Ascension and Tristan da Cunha",), "SX": (
        "St Maarten", "Saint Maarten", "Sint Maarten", "Sint Maarten (Dutch part)", "Sint Maarten Dutch part"),
    "SY": ("Syria",), "SZ": ("Swaziland",), "TL": ("East Timor",), "TR": ("Turkey",), "TW": ("Taiwan",),
    "US": ("USA", "United States", "United States of America"), "VA": ("Vatican City", "Holy See"),
    "VC": ("St Vincent and the Grenadines",), "VE": ("Venezuela",), "VG": ("British Virgin Islands",
        "Virgin Islands (U.K.)"),
    "VI": ("US Virgin Islands", "U.S. Virgin Islands", "Virgin Islands (U.S.)"), "VN": ("Vietnam",), "XK": ("Kosovo",),
}  # fmt: skip

#: FIPS 10-4 to ISO 3166-1 alpha-2. CH is China here, NS Suriname, CD Chad: never read a tag as ISO.
_FIPS_PAIRS = (
    "AA:AW AC:AG AE:AE AF:AF AG:DZ AJ:AZ AL:AL AM:AM AN:AD AO:AO AQ:AS AR:AR AS:AU AU:AT AV:AI AY:AQ BA:BH BB:BB "
    "BC:BW BD:BM BE:BE BF:BS BG:BD BH:BZ BK:BA BL:BO BM:MM BN:BJ BO:BY BP:SB BR:BR BT:BT BU:BG BX:BN BY:BI CA:CA "
    "CB:KH CD:TD CE:LK CF:CG CG:CD CH:CN CI:CL CJ:KY CK:CC CM:CM CN:KM CO:CO CQ:MP CS:CR CT:CF CU:CU CV:CV CW:CK "
    "CY:CY DA:DK DJ:DJ DO:DM DR:DO EC:EC EG:EG EI:IE EK:GQ EN:EE ER:ER ES:SV ET:ET EZ:CZ FG:GF FI:FI FJ:FJ FK:FK "
    "FM:FM FO:FO FP:PF FR:FR GA:GM GB:GA GG:GE GH:GH GI:GI GJ:GD GK:GG GL:GL GM:DE GP:GP GQ:GU GR:GR GT:GT GV:GN "
    "GY:GY HA:HT HK:HK HO:HN HR:HR HU:HU IC:IS ID:ID IM:IM IN:IN IO:IO IR:IR IS:IL IT:IT IV:CI IZ:IQ JA:JP JE:JE "
    "JM:JM JO:JO KE:KE KG:KG KN:KP KR:KI KS:KR KT:CX KU:KW KV:XK KZ:KZ LA:LA LE:LB LG:LV LH:LT LI:LR LO:SK LS:LI "
    "LT:LS LU:LU LY:LY MA:MG MB:MQ MC:MO MD:MD MF:YT MG:MN MH:MS MI:MW MJ:ME MK:MK ML:ML MN:MC MO:MA MP:MU MR:MR "
    "MT:MT MU:OM MV:MV MX:MX MY:MY MZ:MZ NC:NC NE:NU NF:NF NG:NE NH:VU NI:NG NL:NL NN:SX NO:NO NP:NP NR:NR NS:SR "
    "NU:NI NZ:NZ OD:SS PA:PY PC:PN PE:PE PK:PK PL:PL PM:PA PO:PT PP:PG PS:PW PU:GW QA:QA RE:RE RI:RS RM:MH RN:MF "
    "RO:RO RP:PH RQ:PR RS:RU RW:RW SA:SA SB:PM SC:KN SE:SC SF:ZA SG:SN SH:SH SI:SI SL:SL SM:SM SN:SG SO:SO SP:ES "
    "ST:LC SU:SD SV:SJ SW:SE SX:GS SY:SY SZ:CH TB:BL TD:TT TH:TH TI:TJ TK:TC TL:TK TN:TO TO:TG TP:ST TS:TN TT:TL "
    "TU:TR TV:TV TW:TW TX:TM TZ:TZ UC:CW UG:UG UK:GB UP:UA US:US UV:BF UY:UY UZ:UZ VC:VC VE:VE VI:VG VM:VN VQ:VI "
    "VT:VA WA:NA WF:WF WI:EH WS:WS WZ:SZ YM:YE ZA:ZM ZI:ZW"
)
_FIPS = dict(pair.split(":") for pair in _FIPS_PAIRS.split())
_LONGEST_NAME = 200


@lru_cache(maxsize=512)
def by_alpha3(code: str) -> str | None:
    """ISO 3166-1 alpha-2 of an alpha-3 code. Kosovo has XKX, which all sources use and ISO does not list."""
    if code == "XKX":
        return "XK"
    country = pycountry.countries.get(alpha_3=code) if len(code) == 3 else None
    return str(country.alpha_2) if country is not None else None


@lru_cache(maxsize=512)
def by_alpha2(code: str) -> str | None:
    """The code itself, if it is a country's."""
    is_known = code == "XK" or (len(code) == 2 and pycountry.countries.get(alpha_2=code) is not None)
    return code if is_known else None


def by_fips(tag: str) -> str | None:
    """ISO 3166-1 alpha-2 of a FIPS 10-4 tag."""
    return _FIPS.get(tag)


def by_name(name: str) -> str | None:
    """ISO 3166-1 alpha-2 of the country with this whole name or slug. None if no country has it, or two do."""
    if not name or len(name) > _LONGEST_NAME:
        return None
    spoken = name.replace("-", " ").replace("&", "and")
    return _index().get(_key(spoken)) or _index().get(_key(name))


@lru_cache(maxsize=512)
def names_of(country: str) -> frozenset[str]:
    """Every known name of a country, folded: Dutch, English, German, and those in common use."""
    common = {_key(name) for name in _ALSO_CALLED.get(country, ())}
    entry = pycountry.countries.get(alpha_2=country)
    iso = {getattr(entry, field, "") for field in ("name", "official_name", "common_name")} - {""} if entry else set()
    german = {_key(variant) for name in iso for variant in variants(_german()(name))}
    return frozenset(country_names(country) | common | german) - {""}


def is_named(country: str, text: str) -> bool:
    """Whether the whole text is a name of the country, with or without an article."""
    return len(text) <= _LONGEST_NAME and bool(_keys(text) & names_of(country))


@lru_cache(maxsize=1)
def _index() -> dict[str, str]:
    """Name → country. A name of two countries is left out, unless _ALSO_CALLED gives it to one of them."""
    countries: dict[str, set[str]] = defaultdict(set)
    for country in [*(entry.alpha_2 for entry in pycountry.countries), "XK"]:
        for name in names_of(country):
            countries[name].add(country)
    index = {name: next(iter(bearers)) for name, bearers in countries.items() if len(bearers) == 1}
    return index | {_key(name): country for country, names in _ALSO_CALLED.items() for name in names}


@lru_cache(maxsize=1)
def _german() -> Callable[[str], str]:
    return gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=["de"], fallback=True).gettext


def _key(name: str) -> str:
    bare = name.strip()
    return folded(bare[4:] if bare[:4].lower() == "the " else bare)


def _keys(text: str) -> set[str]:
    """The text as a name, with and without its article."""
    bare = text.strip()
    first, _, rest = bare.partition(" ")
    articles = {"the", "der", "die", "das", "den", "dem", "des", "de", "het"}
    return {folded(bare), *([folded(rest)] if first.lower() in articles else [])} - {""}
