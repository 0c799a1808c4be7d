"""The advice feed over HTTP: the ministry's format, changes on request, and each of its faults."""

import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from shared.clock import amsterdam_date, utc_now
from tests.integration.simulators import FEED_SAMPLES, ROOT, Simulator, running

BASE = "/v2/sources/nederlandwereldwijd/infotypes"
LIST = f"{BASE}/traveladvice"
AGENT = {"User-Agent": "safe-passage-test (international-office@university.example)"}
# Source: docs/feeds.md, Netherlands; the order is the ministry's.
FIELDS = [
    *("id", "type", "canonical", "dataurl", "title", "introduction", "location", "locationkey", "isocode"),
    *("classification", "lastmodified", "modificationdate"),
]

#: The first page of our sample, and the ministry's fixed forms of its sentences as the sample has them.
OUR_LIST = ROOT / "tests" / "data" / "feeds" / "netherlands" / "list" / "1-offset-0.json"
_COLOUR = "(rood|oranje|geel|groen)"
OUR_WORDING = (
    [
        rf"^de kleurcode van het reisadvies voor .+ is {_COLOUR}\b",
        rf"^de kleurcode van het reisadvies is {_COLOUR} voor ",
    ],
    [rf"^voor .+ geldt kleurcode {_COLOUR}\b", rf"^kleurcode {_COLOUR} geldt voor "],
)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running("advice_feed", tmp_path_factory.mktemp("feed")) as simulator:
        yield simulator


@pytest.fixture
def feed(process: Simulator) -> Simulator:
    """The feed with its synthetic world, without changes and faults."""
    process.put("/faults", {})
    process.put("/picture", [])
    assert process.http.delete("/control/changes").status_code == 200
    return process


def fetch(feed: Simulator, path: str, **query: str | int) -> httpx.Response:
    return feed.http.get(path, params=query, headers=AGENT)


def page(feed: Simulator, rows: int = 200, offset: int = 0) -> list[dict[str, Any]]:
    answer = fetch(feed, LIST, output="json", rows=rows, offset=offset)
    assert answer.status_code == 200, answer.text
    return answer.json()


def world(feed: Simulator) -> dict[str, dict[str, Any]]:
    return {record["isocode"]: record for record in page(feed) + page(feed, offset=200)}


def change(feed: Simulator, country: str, level: object, **other: object) -> httpx.Response:
    return feed.http.post("/control/change", json={"country": country, "level": level, **other})


def lasting(record: dict[str, Any]) -> dict[str, Any]:
    """A record without its address, and without the date until which it is valid, which moves every day."""
    return {name: str(value).partition(" | Nog")[0] for name, value in record.items() if name != "dataurl"}


def sentences(record: dict[str, Any]) -> list[str]:
    parts = re.findall(r"<(?:li|p)>(.*?)</(?:li|p)>", record["introduction"], re.DOTALL)
    return [unescape(re.sub(r"\s+", " ", part)).strip() for part in parts]


def test_feed_world_is_226_countries_on_two_pages(feed: Simulator) -> None:
    """rows is capped at 200 and defaults to 25; the second page ends the list; no country comes twice."""
    first, second, default = page(feed, rows=1000), page(feed, offset=200), fetch(feed, LIST, output="json").json()
    codes = [record["isocode"] for record in first + second]

    assert (len(first), len(second), len(default)) == (200, 26, 25)
    assert len(set(codes)) == 226
    assert {"ESP", "XKX", "BQ-BO", "BQ-SA", "BQ-SE", "TWN"} <= set(codes)
    assert not {"NLD", "VAT", "BES"} & set(codes)
    assert page(feed, offset=226) == []


def test_feed_record_has_the_fields_of_the_ministry(feed: Simulator) -> None:
    """Every record of the list has the real fields in their order, as text; the second date is today's."""
    today = f"{amsterdam_date(utc_now()):%d-%m-%Y}"

    records = world(feed).values()

    assert {tuple(record) for record in records} == {tuple(FIELDS)}
    assert all(isinstance(value, str) for record in records for value in record.values())
    assert all(record["modificationdate"].endswith(f"| Nog steeds geldig op: {today}") for record in records)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["lastmodified"]) for record in records)


def real_wording() -> tuple[list[str], list[str]]:
    """The ministry editors' own patterns for the first and the later sentences."""
    wording = json.loads((FEED_SAMPLES / "kleurcode-formuleringen.json").read_bytes())
    return wording["eerste_bullet_regex"], wording["vervolg_bullet_regex"]


#: A list with the wording of its sentences; and a list. The real ones are an extra, where they lie beside the project.
WORDED_SAMPLES = {"ours": (OUR_LIST, lambda: OUR_WORDING)}
LISTS = {"ours": OUR_LIST}
if FEED_SAMPLES.exists():
    WORDED_SAMPLES["real"] = (FEED_SAMPLES / "traveladvice-regional.json", real_wording)
    LISTS["real"] = FEED_SAMPLES / "traveladvice-list-12.json"


@pytest.mark.parametrize(("sample", "wording"), WORDED_SAMPLES.values(), ids=WORDED_SAMPLES)
def test_feed_fields_and_wording_agree_with_the_samples(
    feed: Simulator, sample: Path, wording: Callable[[], tuple[list[str], list[str]]]
) -> None:
    """The same fields as the samples, and colour sentences in the ministry's fixed forms."""
    fields = {tuple(record) for record in json.loads(sample.read_bytes())}
    first_forms, later_forms = wording()

    records = world(feed).values()

    assert {tuple(record) for record in records} == fields
    for record in records:
        first, *later = sentences(record)
        assert any(re.search(form, first.lower()) for form in first_forms), first
        for sentence in later:
            assert any(re.search(form, sentence.lower()) for form in later_forms), sentence


def test_feed_world_says_what_the_control_route_lists(feed: Simulator) -> None:
    """The level and the regions that were set stand in the text, carve-outs before the rest."""
    records = world(feed)
    listed = feed.get("/control/countries")

    assert {country["level"] for country in listed} == {"groen", "geel"}
    assert sum(bool(country["regions"]) for country in listed) == 10
    for country in listed:
        *carve_outs, whole = sentences(records[country["isocode"]])
        assert f" {country['level']}. " in f"{whole} "
        assert len(carve_outs) == len({region["level"] for region in country["regions"]})
        for region in country["regions"]:
            assert any(region["area"] in text and region["level"] in text for text in carve_outs)


def test_feed_default_output_is_xml_whatever_is_accepted(feed: Simulator) -> None:
    """Without output=json the answer is XML; the Accept header is ignored."""
    answer = feed.http.get(LIST, headers={**AGENT, "Accept": "application/json"})

    documents = ElementTree.fromstring(answer.content).findall("document")
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert [element.tag for element in documents[0]] == FIELDS
    assert len(documents) == 25


@pytest.mark.parametrize(
    "agent", ["python-requests/2.32.0", "python-httpx/0.28.1", "Python/3.11 aiohttp/3.14", "curl/8", ""]
)
def test_feed_refuses_default_user_agents(feed: Simulator, agent: str) -> None:
    """403 for a client that does not say who it is, for the list and for a country."""
    answers = [
        feed.http.get(path, headers={"User-Agent": agent}) for path in (LIST, f"{BASE}/countries/esp/traveladvice")
    ]

    assert [answer.status_code for answer in answers] == [403, 403]


def test_feed_old_version_is_gone_and_head_is_not_answered(feed: Simulator) -> None:
    """v1 is 410; HEAD gets no answer of use; an unknown country 404."""
    assert fetch(feed, "/v1/sources/nederlandwereldwijd/infotypes/traveladvice").status_code == 410
    assert feed.http.head(LIST, headers=AGENT).status_code == 405
    assert fetch(feed, f"{BASE}/countries/vat/traveladvice", output="json").status_code == 404


def test_feed_detail_is_a_dict_or_a_list_of_one(feed: Simulator) -> None:
    """Both shapes occur, by code and by location key; contents, maps and dates come with them."""
    by_code = fetch(feed, f"{BASE}/countries/phl/traveladvice", output="json").json()
    by_key = fetch(feed, f"{BASE}/countries/spanje/traveladvice", output="json").json()

    assert isinstance(by_code, dict)
    assert [record["isocode"] for record in by_key] == ["ESP"]
    assert [category["category"] for category in by_code["content"]] == ["Actueel", "Regionale risico's"]
    assert by_code["content"][1]["contentblocks"][0] == {
        "paragraphtitle": "Rood: de Sulu-eilanden",
        "paragraph": "<p>Kleurcode rood geldt voor de Sulu-eilanden.</p>",
    }
    assert {*FIELDS, "issued", "modifications", "files"} <= set(by_code)
    assert fetch(feed, by_code["files"][0]["fileurl"]).content.startswith(b"\x89PNG")
    xml = ElementTree.fromstring(fetch(feed, f"{BASE}/countries/phl/traveladvice").content)
    assert [name.text for name in xml.findall("content/category/name")] == ["Actueel", "Regionale risico's"]
    assert len(xml.findall("content/category/contentblock")) == 3


@pytest.mark.parametrize("country", ["ES", "esp", "spanje"])
def test_feed_change_raises_a_country_with_carve_outs_first(feed: Simulator, country: str) -> None:
    """The new text is in the ministry's order, and the dates move; nobody else's do."""
    before = world(feed)
    regions = [{"area": "de Pyreneeën", "level": "geel"}, {"area": "Andalusië", "level": "oranje"}]

    answer = change(feed, country, "rood", regions=regions, text="Er zijn natuurbranden & rook.")

    after = world(feed)
    starts = [re.split(r"(?<=\.) ", sentence)[0] for sentence in sentences(after["ESP"])]
    assert answer.json()["country"] == "ES"
    assert starts == [
        "Er zijn natuurbranden & rook.",
        "De kleurcode van het reisadvies is oranje voor Andalusië.",
        "Voor de Pyreneeën geldt kleurcode geel.",
        "Voor de rest van Spanje geldt kleurcode rood.",
    ]
    assert after["ESP"]["lastmodified"] > before["ESP"]["lastmodified"]
    (detail,) = fetch(feed, f"{BASE}/countries/esp/traveladvice", output="json").json()
    assert detail["issued"] == detail["lastmodified"] == after["ESP"]["lastmodified"]
    assert [code for code in after if after[code] != before[code]] == ["ESP"]


@pytest.mark.parametrize(
    ("level", "sentence"), [(3, "De kleurcode van het reisadvies voor de Filipijnen is rood."), ("ORANJE", "oranje.")]
)
def test_feed_change_takes_a_number_or_the_colour(feed: Simulator, level: object, sentence: str) -> None:
    """0..3 and the Dutch word mean the same; without regions there is one sentence about the whole country."""
    change(feed, "PH", level)

    (text,) = sentences(world(feed)["PHL"])
    assert sentence in text


def test_feed_change_without_a_level_has_no_sentence_about_the_country(feed: Simulator) -> None:
    """Like Iraq in the real feed: regions only; and any introduction as it is."""
    change(feed, "IQ", None, regions=[{"area": "het westen", "level": "rood"}])
    change(feed, "FR", None, introduction="<p>Vor de rest van Frankrijk geldt kleurcode geel.</p>")

    after = world(feed)
    assert len(sentences(after["IRQ"])) == 1
    assert "voor het westen." in sentences(after["IRQ"])[0]
    assert after["FRA"]["introduction"] == "<p>Vor de rest van Frankrijk geldt kleurcode geel.</p>"


@pytest.mark.parametrize(
    ("country", "level", "status", "reason"),
    [
        ("NL", "rood", 404, "NL"),
        ("BQ", "rood", 404, "BQ-BO"),
        ("ES", "paars", 400, "level"),
        ("ES", None, 400, "regions"),
    ],
)
def test_feed_change_that_makes_no_sense_is_refused(
    feed: Simulator, country: str, level: object, status: int, reason: str
) -> None:
    """The answer names the mistake, and nothing changes."""
    before = world(feed)

    answer = change(feed, country, level)

    assert answer.status_code == status
    assert reason in answer.json()["error"]
    assert world(feed) == before


def test_feed_killed_shows_the_same_after_its_restart(tmp_path: Path) -> None:
    """After kill -9 every change that was answered is there, and no other date has moved."""
    with running("advice_feed", tmp_path) as first:
        change(first, "ES", "rood")
        change(first, "JP", "groen", regions=[{"area": "het noorden van Honshu", "level": 2}])
        before, set_before = world(first), first.get("/control/countries")
        first.kill()
    with running("advice_feed", tmp_path) as second:
        after, set_after = world(second), second.get("/control/countries")

    without_port = [{code: r | {"dataurl": ""} for code, r in records.items()} for records in (before, after)]
    assert without_port[0] == without_port[1]
    assert set_before == set_after
    assert [country["isocode"] for country in set_after if country["origin"] == "changed"] == ["JPN", "ESP"]


def own_picture() -> list[dict[str, str]]:
    return [
        {
            "id": "ESP",
            "isocode": "ESP",
            "location": "Spanje",
            "locationkey": "spanje",
            "title": "Reisadvies Spanje",
            "dataurl": "https://feed.example/v2/sources/nederlandwereldwijd/infotypes/countries/esp/traveladvice",
            "introduction": "<p>De kleurcode van het reisadvies voor Spanje is geel.</p>",
            "lastmodified": "2026-01-02T03:04:05.678Z",
        }
    ]


def test_feed_picture_replaces_its_countries_and_leaves_the_others(feed: Simulator) -> None:
    """The record is served as it was given, only its dataurl leads here; a change comes on top of it."""
    before = world(feed)
    feed.put("/picture", own_picture())
    pictured = world(feed)
    change(feed, "ES", "rood")
    changed = world(feed)

    assert pictured["ESP"] == own_picture()[0] | {"dataurl": before["ESP"]["dataurl"]}
    assert {code: record for code, record in pictured.items() if code != "ESP"} == {
        code: record for code, record in before.items() if code != "ESP"
    }
    assert set(changed["ESP"]) == set(pictured["ESP"])
    assert "Spanje is rood." in sentences(changed["ESP"])[0]
    assert changed["ESP"]["lastmodified"] > "2026-01-02T03:04:05.678Z"


@pytest.mark.parametrize("picture", [{}, [{"isocode": "ESP"}], ["ESP"], [own_picture()[0] | {"lastmodified": "soon"}]])
def test_feed_picture_that_is_none_is_refused(feed: Simulator, picture: object) -> None:
    """Anything else than a list response is refused and changes nothing."""
    before = world(feed)

    answer = feed.http.put("/picture", json=picture)

    assert answer.status_code == 400
    assert world(feed) == before


@pytest.mark.parametrize("sample", LISTS.values(), ids=LISTS)
def test_feed_starts_with_a_given_picture(tmp_path: Path, sample: Path) -> None:
    """The records of a sample are served word for word among 226, and a change comes on top."""
    given = {record["isocode"]: record for record in json.loads(sample.read_bytes())}

    with running("advice_feed", tmp_path, "--picture", str(sample)) as feed:
        shown = world(feed)
        detail = fetch(feed, f"{BASE}/countries/irq/traveladvice", output="json").json()
        change(feed, "IS", "oranje")
        changed = world(feed)

    assert len(shown) == 226
    for code, record in given.items():
        assert lasting(shown[code]) == lasting(record)
    assert detail["introduction"] == given["IRQ"]["introduction"]
    assert "IJsland is oranje." in sentences(changed["ISL"])[0]
    assert changed["IRQ"] == shown["IRQ"]


def test_feed_short_page_cuts_the_list(feed: Simulator) -> None:
    """A page holds at most as many records as told, down to none."""
    feed.put("/faults", {"short_page": 40})
    cut = len(page(feed))
    feed.put("/faults", {"short_page": 0})

    assert cut == 40
    assert page(feed) == []


def test_feed_html_instead_of_json_is_200_with_a_page(feed: Simulator) -> None:
    """A maintenance page with status 200, for the list and the details."""
    feed.put("/faults", {"html_instead_of_json": True})

    answers = [fetch(feed, path, output="json") for path in (LIST, f"{BASE}/countries/esp/traveladvice")]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert all(answer.text.startswith("<!DOCTYPE html>") for answer in answers)


def test_feed_truncated_json_cannot_be_read(feed: Simulator) -> None:
    """The answer is a whole HTTP response whose JSON ends in the middle."""
    feed.put("/faults", {"truncated_json": True})

    answer = fetch(feed, LIST, output="json")

    assert answer.status_code == 200
    with pytest.raises(ValueError):
        answer.json()


def test_feed_status_hits_as_often_as_told(feed: Simulator) -> None:
    """With `next` it counts down, without it stays; the control routes go on working."""
    feed.put("/faults", {"status": {"code": 503, "next": 2}})
    counted = [fetch(feed, LIST).status_code for _ in range(3)]
    feed.put("/faults", {"status": {"code": 410}})
    lasting = [fetch(feed, LIST).status_code for _ in range(3)]

    assert counted == [503, 503, 200]
    assert lasting == [410, 410, 410]
    assert feed.get("/healthz")["countries"] == 226


def test_feed_stale_goes_on_serving_what_was(feed: Simulator) -> None:
    """A change is not seen while the feed is stale, and is seen afterwards."""
    before = world(feed)
    feed.put("/faults", {"stale": True})
    change(feed, "ES", "rood")
    stale = world(feed)
    feed.put("/faults", {"stale": True, "short_page": 500})
    still = world(feed)
    feed.put("/faults", {})

    assert stale == before == still
    assert "is rood" in sentences(world(feed)["ESP"])[0]


def test_feed_hang_outlasts_an_impatient_client(feed: Simulator) -> None:
    """The answer is held; who waits gets it."""
    feed.put("/faults", {"hang_seconds": 0.6})

    with pytest.raises(httpx.ReadTimeout):
        feed.http.get(LIST, headers=AGENT, timeout=0.2)

    assert fetch(feed, LIST, output="json").status_code == 200
