"""The ministry's list as a whole: its codes and names, wrong lists, damaged ones."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pycountry
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.ministry_world import Place, places
from services.safety.reading import AREA_LENGTH, MAX_REGIONS, TEXT_LENGTH, BatchRejected, CountryReading
from services.safety.sources.netherlands import FLOOR, parse
from shared.events import Level
from tests.rules.feeds import FEEDS, NOW, SAMPLES, pages_of

unhurried = settings(deadline=None)
COLOURS = {"groen": Level.GREEN, "geel": Level.YELLOW, "oranje": Level.ORANGE, "rood": Level.RED}


def record(isocode: str = "ESP", introduction: object = None, **fields: object) -> dict[str, Any]:
    """An advisory as the list shows it; Spain is green unless it says otherwise."""
    names = {"ESP": "Spanje", "MAR": "Marokko", "BQ-BO": "Bonaire", "BQ-SA": "Saba", "BQ-SE": "Sint Eustatius"}
    location = names.get(isocode, "het land")
    green = f"<p>De kleurcode van het reisadvies voor {location} is groen. U kunt erheen reizen.</p>"
    return {
        "id": isocode,
        "type": "reisadvies",
        "canonical": "https://www.nederlandwereldwijd.nl/reisadvies/voorbeeld",
        "title": f"Reisadvies {location} | Ministerie van Buitenlandse Zaken",
        "introduction": green if introduction is None else introduction,
        "location": location,
        "isocode": isocode,
        "classification": "Dit veld wordt niet meer ondersteund",
        "lastmodified": "2026-09-15T13:45:43.714Z",
        **fields,
    }


def page(*records: object) -> bytes:
    """A page of the list."""
    return json.dumps(records).encode()


def only(*records: object, now: datetime = NOW) -> CountryReading:
    """The single country in these records."""
    [reading] = parse([page(*records)], now, floor=1).countries
    return reading


# ---------------------------------------------------------------- codes and names


def real_places() -> list[Place]:
    """The 226 places of the real feed, under its own names."""
    locations = json.loads((FEEDS / "identity" / "nl-locations-226.json").read_text(encoding="utf-8"))
    return [Place(location["iso3"], location["iso2"], location["nl"]) for location in locations]


#: The places of the local stack's feed, which has the ministry's 226 codes, and the real ones.
PLACES = {"ours": lambda: list(places().values()), **({"real": real_places} if FEEDS.exists() else {})}


@pytest.mark.parametrize("places_of", PLACES.values(), ids=PLACES)
def test_netherlands_every_code_is_a_country(places_of: Callable[[], list[Place]]) -> None:
    """All 226 codes of the feed: alpha-3, Kosovo's own, and three islands that make BQ."""
    expected = {place.iso2.partition("-")[0] for place in places_of()}

    batch = parse([page(*(record(place.isocode, location=place.name) for place in places_of()))], NOW)

    assert batch.skipped == ()
    assert {reading.country for reading in batch.countries} == expected
    assert all(reading.level == Level.GREEN for reading in batch.countries if reading.country != "BQ")


@pytest.mark.parametrize("places_of", PLACES.values(), ids=PLACES)
def test_netherlands_every_name_is_its_country(places_of: Callable[[], list[Place]]) -> None:
    """Each country under the feed's own name for it, in a sentence about the rest of the country."""
    border = "<li>De kleurcode van het reisadvies is rood voor de grens.</li>"
    html = border + "<li>Voor de rest van {} geldt kleurcode geel.</li>"

    for place in places_of():
        reading = only(record(place.isocode, html.format(place.name), location=place.name))
        level = reading.regions[0].level if reading.country == "BQ" else reading.level
        assert level == (Level.RED if reading.country == "BQ" else Level.YELLOW), place.name


# ---------------------------------------------------------------- lists that are no list


@pytest.mark.parametrize(
    ("pages", "reason"),
    [
        ([b"{}"], "page 1 is not a list"),
        ([b"<!DOCTYPE html><html><body>Onderhoud</body></html>"], "page 1 is not JSON"),
        ([b""], "page 1 is not JSON"),
        ([b"null"], "page 1 is not a list"),
        ([b'"[]"'], "page 1 is not a list"),
        ([b"\xff\xfe[]"], "page 1 is not JSON"),
        ([b"[" * 5_000], "page 1 is not JSON"),
        ([b"[]", b"{}"], "page 2 is not a list"),
        ([b"[]"], "0 advisories"),
        ([], "0 advisories"),
        ([page(record(), 7, None, {"isocode": 5}, {"isocode": "spain"}, [record("MAR")])], "1 advisories"),
        ([page(record(), record(), record())], "1 advisories"),
        ([page(record(), record("QQQ"))], "1 of 2 advisories cannot be used"),
        ([page(record(), record("MAR", lastmodified=None))], "1 of 2 advisories cannot be used"),
    ],
)
def test_netherlands_answer_that_is_not_the_list_is_rejected_whole(pages: list[bytes], reason: str) -> None:
    """`{}` or HTML with status 200, an empty page, one advisory three times: rejected, with the reason."""
    with pytest.raises(BatchRejected, match=reason):
        parse(pages, NOW, floor=2)


def test_netherlands_page_that_got_lost_is_below_the_floor() -> None:
    """Reading only the first of two pages once lost 26 countries: 200 of 226 are rejected."""
    codes = [country.alpha_3 for country in pycountry.countries if country.alpha_2 != "BQ"]
    first, second = page(*map(record, codes[:200])), page(*map(record, codes[200:FLOOR]))

    with pytest.raises(BatchRejected, match="200 advisories where at least 220 are expected"):
        parse([first], NOW)
    assert len(parse([first, second], NOW).countries) == FLOOR


def test_netherlands_odd_record_touches_no_other() -> None:
    """A record without a usable code, date or text affects no other country."""
    odd = [{"isocode": None}, record("MAR", lastmodified="gisteren"), record("FRA", introduction=["geen tekst"])]

    batch = parse([page(record(), *odd)], NOW, floor=1)

    assert {reading.country: reading.level for reading in batch.countries} == {"ES": Level.GREEN, "FR": None}
    assert batch.skipped == ("MAR: no date",)


# ---------------------------------------------------------------- one advisory


@pytest.mark.parametrize(
    "introduction",
    [
        "",
        None,
        "<p></p>",
        "<p>Dit veld wordt niet meer ondersteund</p>",
        "<p>Exercise normal precautionSummary not available</p>",
        "<p>Het reisadvies volgt.</p>",
        7,
        {"html": "<p>Voor Spanje geldt kleurcode groen.</p>"},
        "<p>" + "x" * 300_000,
    ],
)
def test_netherlands_placeholder_is_unknown_never_green(introduction: object) -> None:
    """No text, or one without a colour: level null, and shown to a person."""
    reading = only({**record(), "introduction": introduction})

    assert (reading.level, reading.regional_max, reading.regions) == (None, None, ())
    assert reading.unread[-1] == "ESP: no sentence about the whole country"


def test_netherlands_no_sentence_about_the_country_keeps_the_regional_maximum() -> None:
    """As for Iraq: the country is unknown, its worst part is known."""
    reading = only(record("MAR", "<li>De kleurcode van het reisadvies is rood voor het westen.</li>"))

    assert (reading.level, reading.regional_max) == (None, Level.RED)
    assert "no colour for the country as a whole" in reading.text_en
    assert "het westen: red" in reading.text_en


def test_netherlands_country_may_be_renamed_in_any_of_its_names() -> None:
    """The field, the headline and ISO's names all name the country; an unknown name is a part."""
    text = "<p>De kleurcode van het reisadvies voor {} is geel.</p>"

    def level(own: str, **fields: object) -> Level | None:
        return only(record("SWZ", text.format(own), **{"location": "Swaziland", "title": "", **fields})).level

    assert level("Swaziland") == level("Eswatini") == Level.YELLOW
    assert level("Ngwane", location="Ngwane") == level("Ngwane", title="Reisadvies Ngwane | Ministerie") == Level.YELLOW
    assert level("Ngwane") is level("Ngwane", location=None, title=["?"]) is None


@pytest.mark.parametrize(
    ("lastmodified", "expected"),
    [
        ("2026-09-15T13:45:43.714Z", datetime(2026, 9, 15, 13, 45, 43, 714_000, UTC)),
        ("2026-09-15T15:45:43+02:00", datetime(2026, 9, 15, 13, 45, 43, tzinfo=UTC)),
        ("2026-09-15T13:45:43", datetime(2026, 9, 15, 13, 45, 43, tzinfo=UTC)),
        ("2026-09-15", datetime(2026, 9, 15, tzinfo=UTC)),
    ],
)
def test_netherlands_date_is_an_instant_in_utc(lastmodified: str, expected: datetime) -> None:
    """Dates with any offset are ordered as UTC."""
    assert only(record(lastmodified=lastmodified)).source_modified_at == expected


@pytest.mark.parametrize(
    "lastmodified",
    [None, "", 0, 1_790_000_000, "gisteren", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
     "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "2" * 50],
)  # fmt: skip
def test_netherlands_advisory_without_a_date_is_left_out(lastmodified: object) -> None:
    """Without a date it replaces nothing, and the others are read."""
    batch = parse([page(record("MAR"), record(lastmodified=lastmodified))], NOW, floor=1)

    assert [reading.country for reading in batch.countries] == ["MA"]
    assert batch.skipped == ("ESP: no date",)


def test_netherlands_date_to_come_is_now_and_flagged() -> None:
    """A date in 2099 would make all later advice older: it counts as now, and is flagged."""
    far = only(record(lastmodified="2099-01-01T00:00:00Z", issued="2099-01-01T00:00:00Z"))
    near = only(record(lastmodified=(NOW + timedelta(minutes=5)).isoformat()))

    assert (far.source_modified_at, far.effective_at) == (NOW, NOW)
    assert far.unread == ("ESP: dated 2099-01-01, which is still to come",)
    assert (near.source_modified_at, near.unread) == (NOW, ())


def test_netherlands_effective_is_the_last_editorial_push() -> None:
    """`issued`, or without it the modification date."""
    assert only(record(issued="2026-04-22T08:00:00Z")).effective_at == datetime(2026, 4, 22, 8, tzinfo=UTC)
    assert only(record(issued="onbekend")).effective_at == only(record()).source_modified_at


RED = "<p>De kleurcode van het reisadvies voor Spanje is rood.</p>"


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        (record(), record(introduction=RED, lastmodified="2026-09-16T00:00:00Z"), Level.RED),
        (record(introduction=RED), record(lastmodified="2026-09-16T00:00:00Z"), Level.GREEN),
        (record(introduction=RED), record(lastmodified="2026-09-15T14:00:00+02:00"), Level.RED),
        (record(introduction=RED), record(), Level.RED),
        (record(introduction=""), record(), None),
        (record(introduction=""), record(introduction=RED), Level.RED),
        (record(introduction=RED), record(lastmodified=None), Level.RED),
        (record(introduction=RED), record(lastmodified="zomaar"), Level.RED),
    ],
)
def test_netherlands_duplicate_newest_counts_then_the_worse(
    one: dict[str, Any], other: dict[str, Any], level: Level | None
) -> None:
    """An advisory on two pages: the newest counts, of two with the same date the worse, in any order."""
    readings = [parse(pages, NOW, floor=1).countries for pages in ([page(one, other)], [page(other), page(one)])]

    assert readings[0] == readings[1]
    assert [reading.level for reading in readings[0]] == [level]


@pytest.mark.parametrize(
    ("islands", "level", "regions"),
    [
        ({"BQ-BO": "groen", "BQ-SA": "geel", "BQ-SE": "groen"}, Level.YELLOW, (0, 1, 0)),
        ({"BQ-BO": "groen", "BQ-SE": "groen"}, None, (0, None, 0)),
        ({"BQ-BO": "groen", "BQ-SA": "", "BQ-SE": "rood"}, None, (0, None, 3)),
        ({"BQ-BO": "deels rood", "BQ-SA": "groen", "BQ-SE": "groen"}, Level.RED, (3, 0, 0)),
        ({"BQ-BO": "deels geel", "BQ-SA": "groen", "BQ-SE": "groen"}, None, (None, 0, 0)),
    ],
)
def test_netherlands_islands_make_one_country(
    islands: dict[str, str], level: Level | None, regions: tuple[int | None, ...]
) -> None:
    """BQ: each island is a region with its code; the country has a level if all of them have one."""
    texts = {
        "": "",
        **{colour: "De kleurcode van het reisadvies voor {} is " + colour for colour in COLOURS},
        **{
            f"deels {colour}": f"De kleurcode van het reisadvies is {colour} voor het westen van {{}}"
            for colour in COLOURS
        },
    }
    names = {"BQ-BO": "Bonaire", "BQ-SA": "Saba", "BQ-SE": "Sint Eustatius"}

    reading = only(record("BES"), *(record(code, texts[text].format(names[code])) for code, text in islands.items()))

    assert (reading.country, reading.level) == ("BQ", level)
    assert {region.code: region.level for region in reading.regions} == dict(zip(names, regions, strict=True))
    assert reading.regional_max == max(region for region in regions if region is not None)


def test_netherlands_area_has_a_code_only_where_it_is_certain() -> None:
    """A province has its code, an enumeration of provinces is taken apart, a part of a province stays text."""
    html = (
        "<li>De kleurcode van het reisadvies is rood voor de provincie Barcelona.</li>"
        "<li>Voor Andalusië en Aragón geldt kleurcode oranje.</li>"
        "<li>Voor het zuiden van Galicië en de stad Vigo geldt kleurcode geel.</li>"
        "<li>Voor de rest van Spanje geldt kleurcode groen.</li>"
    )

    assert [(region.code, region.area, region.level) for region in only(record("ESP", html)).regions] == [
        ("ES-B", "de provincie Barcelona", 3),
        ("ES-AN", "Andalusië", 2),
        ("ES-AR", "Aragón", 2),
        (None, "het zuiden van Galicië en de stad Vigo", 1),
    ]


@pytest.mark.parametrize(
    ("both", "one", "levels"),
    [("rood", "oranje", {"ES-MD": Level.RED, "ES-CT": Level.RED}),
     ("oranje", "rood", {"ES-MD": Level.ORANGE, "ES-CT": Level.RED})],
)  # fmt: skip
def test_netherlands_of_two_colours_for_one_region_the_worse_counts(
    both: str, one: str, levels: dict[str, Level]
) -> None:
    """A region in an enumeration, and with a colour of its own: the worse one, in whichever order they stand."""
    sentences = [
        f"<li>De kleurcode van het reisadvies is {both} voor Madrid en Catalonië.</li>",
        f"<li>De kleurcode van het reisadvies is {one} voor Catalonië.</li>",
    ]
    rest = "<li>Voor de rest van Spanje geldt kleurcode groen.</li>"

    for order in (sentences, sentences[::-1]):
        regions = only(record("ESP", "".join([*order, rest]))).regions
        assert {region.code: region.level for region in regions} == levels


def test_netherlands_bounds_lose_no_level() -> None:
    """Too many areas become one area with their worst level; too long names are cut."""
    many = "".join(f"<li>Voor gebied {n} geldt kleurcode oranje.</li>" for n in range(500))
    long = f"<li>Voor {'x' * 1_000} geldt kleurcode rood.</li><li>Voor {'y' * 19_000} geldt kleurcode rood.</li>"

    reading = only(record("ESP", many + long + "<li>Voor de rest van Spanje geldt kleurcode geel.</li>"))

    assert len(reading.regions) == MAX_REGIONS
    assert reading.regions[0].level == Level.RED
    assert reading.regions[-1].area == "andere gebieden"
    assert reading.regions[-1].level == Level.ORANGE
    assert max(len(region.area) for region in reading.regions) == AREA_LENGTH
    assert max(len(reading.text_nl), len(reading.text_en)) <= TEXT_LENGTH


@pytest.mark.parametrize(
    "canonical", [None, 5, "javascript:alert(1)", "http://plain.example", "https://x.example/" * 99]
)
def test_netherlands_address_is_https_and_short_or_none(canonical: object) -> None:
    """The link is an HTTPS address of at most 500 characters, or empty."""
    url = only(record(canonical=canonical)).url

    assert url == "" or (url.startswith("https://") and len(url) <= 500)


# ---------------------------------------------------------------- whatever the list looks like

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
CODES = ("ESP", "MAR", "IRQ", "XKX", "BQ-BO", "BQ-SA", "BQ-SE", "BES", "QQQ", "ES", "COG", "COD")
SENTENCES = (
    "De kleurcode van het reisadvies is rood voor het noorden.",
    "Voor de rest van het land geldt kleurcode geel.",
    "De kleurcode van het reisadvies voor het land is groen.",
    "Er is onrust.",
)
FIELDS = ("isocode", "introduction", "lastmodified", "issued", "location", "title", "canonical")


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """An advisory, complete or with missing or wrong fields."""
    found = record(
        draw(st.sampled_from(CODES)),
        "".join(f"<p>{sentence}</p>" for sentence in draw(st.lists(st.sampled_from(SENTENCES), max_size=4))),
        lastmodified=draw(st.datetimes(datetime(1999, 1, 1), datetime(2100, 1, 1))).isoformat() + "Z",
    )
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=2)):
        if draw(st.booleans()):
            found.pop(name, None)
        else:
            found[name] = draw(JSON)
    return found


def readings(pages: Sequence[bytes]) -> tuple[CountryReading, ...] | None:
    """The readings of the pages; None if they are rejected. Any other exception fails the test."""
    try:
        return parse(pages, NOW, floor=1).countries
    except BatchRejected:
        return None


@unhurried
@given(st.lists(records() | JSON, max_size=8), st.randoms(use_true_random=False))
def test_netherlands_order_and_paging_never_matter(entries: list[Any], random: Any) -> None:
    """Shuffled, repeated and on other pages, the records give the same readings."""
    shuffled = [*entries, *random.sample(entries, len(entries) // 2)]
    random.shuffle(shuffled)
    middle = len(shuffled) // 2

    assert readings([page(*shuffled[:middle]), page(*shuffled[middle:])]) == readings([page(*entries)])


@unhurried
@given(st.lists(records(), max_size=6))
def test_netherlands_level_stands_in_the_text(entries: list[dict[str, Any]]) -> None:
    """For any fields: every level is a colour in the advisory's own text."""
    for reading in readings([page(*entries)]) or ():
        own = [entry for entry in entries if str(entry.get("isocode")) in reading.source_id.split(",")]
        text = " ".join(str(entry.get("introduction")) for entry in own)
        said = {level for colour, level in COLOURS.items() if colour in text}
        assert {reading.level, *(region.level for region in reading.regions)} <= {None, *said}
        assert reading.regional_max == max((region.level for region in reading.regions if region.level is not None),
                                           default=None)  # fmt: skip
        assert reading.source_modified_at <= NOW


@unhurried
@given(st.lists(records(), min_size=1, max_size=5), st.data())
def test_netherlands_damaged_bytes_are_a_batch_or_a_rejection(
    entries: list[dict[str, Any]], data: st.DataObject
) -> None:
    """For any damage: readings or BatchRejected, never another exception."""
    body = bytearray(page(*entries))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        match data.draw(st.sampled_from(["cut", "change", "double", "insert"])):
            case "cut":
                del body[at:]
            case "change":
                body[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
            case "double":
                body[at:at] = body[: data.draw(st.integers(0, 200))]
            case _:
                body[at:at] = data.draw(st.binary(max_size=8))

    readings([bytes(body)])


@given(st.lists(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()), max_size=4))
@settings(unhurried, max_examples=200)
def test_netherlands_any_bytes_are_a_batch_or_a_rejection(pages: list[bytes]) -> None:
    """For any bytes: readings or BatchRejected."""
    readings(pages)


def our_records() -> list[dict[str, Any]]:
    """The advisories of our sample that have a date and a known code, islands apart."""
    records = [entry for sample_page in pages_of(SAMPLES / "netherlands" / "list") for entry in json.loads(sample_page)]
    return [entry for entry in records if "lastmodified" in entry and entry["isocode"] not in ("ZZZ", "BQ-SE")]


def real_records() -> list[dict[str, Any]]:
    """The real advisories with regions."""
    found: list[dict[str, Any]] = json.loads((FEEDS / "nl-bz" / "traveladvice-regional.json").read_bytes())
    return found


RECORDS = {"ours": our_records, **({"real": real_records} if FEEDS.exists() else {})}


@pytest.mark.parametrize("records_of", RECORDS.values(), ids=RECORDS)
@given(data=st.data())
@settings(unhurried, max_examples=50)
def test_netherlands_text_cut_anywhere_is_never_better(
    records_of: Callable[[], list[dict[str, Any]]], data: st.DataObject
) -> None:
    """A text that is cut off: the country's own level or unknown, never a better one."""
    entry = data.draw(st.sampled_from(records_of()))
    whole = only(entry)
    cut = only(
        {**entry, "introduction": entry["introduction"][: data.draw(st.integers(0, len(entry["introduction"])))]}
    )

    assert cut.level in (None, whole.level)
    assert {region.level for region in cut.regions} <= {region.level for region in whole.regions} | {whole.level}
