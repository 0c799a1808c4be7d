"""The parsers and the back-test on real answers, an extra: skipped whole where these do not lie beside the project.

The same quirks are in our own samples (tests/data/feeds), on which every parser is tested everywhere.
"""

import json
from datetime import UTC, datetime

import pytest

from services.safety.backtest.chart import chart
from services.safety.reading import CountryReading
from services.safety.sources import canada, cap, germany, netherlands, united_kingdom, united_states
from shared.events import Level
from tests.rules.feeds import FEEDS, NOW, read
from tests.rules.test_backtest import ROOT, played_quarter

pytestmark = pytest.mark.skipif(not FEEDS.exists(), reason=f"the real samples are an extra, and not at {FEEDS}")


def ministry_sample(name: str) -> dict[str, CountryReading]:
    """The readings of a sample of the ministry's list, by its own code."""
    batch = netherlands.parse([(FEEDS / "nl-bz" / name).read_bytes()], NOW, floor=1)
    assert batch.skipped == ()
    return {reading.source_id: reading for reading in batch.countries}


def test_netherlands_real_list_is_read_as_a_person_does() -> None:
    """The golden cases: parts before the rest, a short name, exceptions, and no sentence about the country."""
    readings = ministry_sample("traveladvice-list-12.json")

    assert {code: (reading.level, reading.regional_max) for code, reading in readings.items()} == {
        "ARE": (1, 3), "BFA": (3, 2), "CAN": (0, None), "ESP": (0, None), "IRQ": (None, 3), "ISL": (0, 1),
        "MSR": (0, 2), "PSE": (None, 3), "SJM": (0, None), "SOM": (3, 2), "XKX": (0, None), "BQ-BO": (None, 0),
    }  # fmt: skip
    assert {code for code, reading in readings.items() if reading.unread} == {"IRQ", "PSE"}
    assert [(region.area, region.level) for region in readings["IRQ"].regions] == [
        ("grote delen van het westen en midden van Irak", 3),
        ("de grensgebieden", 3),
        ("de Koerdistan Regio Irak en de zuidelijke provincies", 2),
    ]
    assert (readings["XKX"].country, readings["BQ-BO"].country) == ("XK", "BQ")
    assert readings["ESP"].source_modified_at == datetime(2026, 9, 15, 13, 45, 43, 714_000, UTC)


def test_netherlands_real_regions_are_read_as_a_person_does() -> None:
    """Every area with its level, and the country's own level, as a person noted them."""
    noted = json.loads((FEEDS / "nl-bz" / "traveladvice-regional.expected.json").read_text(encoding="utf-8"))
    readings = ministry_sample("traveladvice-regional.json")

    def without_article(area: str) -> str:
        return area.removeprefix("de ").removeprefix("het ")

    assert readings.keys() == noted.keys()
    for code, expected in noted.items():
        reading = readings[code]
        assert (reading.level, reading.regional_max) == (expected["level"], expected["regionalMax"]), code
        assert [(without_article(region.area), region.level) for region in reading.regions] == [
            (without_article(region["area"]), region["level"]) for region in expected["regions"]
        ], code
        assert reading.unread == (), code


def test_uk_real_pages_are_read_as_a_person_does() -> None:
    """No warning is not green; red parts without the text leave the rest unknown."""
    found = read(united_kingdom.parse, json.loads((FEEDS / "uk-fcdo" / "alert-status-samples.json").read_bytes()))
    nepal = read(united_kingdom.parse, json.loads((FEEDS / "uk-fcdo" / "nepal-2026-07.json").read_bytes()))["NP"]

    assert {code: (reading.level, reading.regional_max) for code, reading in found.items()} == {
        "AF": (3, None), "MX": (1, 2), "UA": (None, 3), "FR": (None, None),
    }  # fmt: skip
    assert found["FR"].is_without_warning
    assert (nepal.level, nepal.is_without_warning, nepal.unread) == (None, True, ())
    assert nepal.source_modified_at == datetime(2026, 3, 19, 14, 4, 20, tzinfo=UTC)


def test_uk_real_index_alone_knows_its_countries_and_no_level() -> None:
    """One page is about three islands of BQ; a country whose page was not fetched is unknown."""
    found = read(united_kingdom.parse, json.loads((FEEDS / "uk-fcdo" / "index-2026-09.trimmed.json").read_bytes()))

    assert {code: reading.level for code, reading in found.items()} == {"MX": None, "BQ": None, "UA": None}
    assert all(reading.unread and not reading.is_without_warning for reading in found.values())


def test_us_real_list_is_read_as_a_person_does() -> None:
    """NS is Suriname and CH China; the group of three stands for two; the evening in Washington is the date in UTC."""
    batch = united_states.parse([(FEEDS / "us-state" / "api-TravelAdvisories-7.json").read_bytes()], NOW, floor=1)

    assert {reading.country: reading.level for reading in batch.countries} == {
        "SA": 2, "SR": 0, "CN": 1, "BD": 1, "MX": 1, "CI": 1, "HK": 2, "MO": 2
    }  # fmt: skip
    assert {reading.country for reading in batch.countries if reading.unread} == {"HK", "MO"}
    assert batch.skipped == ()
    assert batch.countries[-1].source_modified_at == datetime(2026, 9, 8, tzinfo=UTC)


def test_us_real_rss_that_is_not_well_formed_is_read_item_by_item() -> None:
    """The prefix dc: is not bound: the four items are read, and the damage is shown."""
    batch = united_states.parse([(FEEDS / "us-state" / "rss-TAsTWs-4.xml").read_bytes()], NOW, floor=1)

    assert {reading.country: reading.level for reading in batch.countries} == {"SR": 0, "TD": 3, "BD": 2, "GE": 0}
    assert batch.damage == ("page 1 is not well-formed XML: 4 advisories are read whole, 0 in part",)


def test_german_real_index_and_page_are_read_as_a_person_does() -> None:
    """Flags alone: red for Niger, red parts of others, unknown for the rest. Nepal's text warns of nothing."""
    found = read(
        germany.parse,
        json.loads((FEEDS / "de-aa" / "travelwarning-index-sample.json").read_bytes()),
        json.loads((FEEDS / "de-aa" / "travelwarning-221216-nepal.json").read_bytes()),
    )

    assert {code for code, reading in found.items() if reading.level == Level.RED} == {"NE"}
    assert {code for code, reading in found.items() if reading.regional_max == Level.RED} == {"MR", "NG", "GH", "LB"}
    assert {reading.level for reading in found.values()} == {Level.RED, None}
    assert [code for code, reading in found.items() if reading.is_without_warning] == ["NP"]
    assert found["NP"].source_modified_at == datetime(2026, 7, 9, 13, 47, 6, tzinfo=UTC)


def test_canada_real_index_is_read_as_it_stands() -> None:
    """26 destinations: the number is the level, Bonaire is an island of BQ, no PS beside "Israel and Palestine"."""
    whole = json.loads((FEEDS / "ca-gac" / "index-alpha-sample.json").read_bytes())

    found = read(canada.parse, whole)

    expected = {code: destination["advisory-state"] for code, destination in whole["data"].items() if code != "BQ"}
    assert {code: reading.level for code, reading in found.items() if code != "BQ"} == expected
    assert [(region.code, region.level) for region in found["BQ"].regions] == [("BQ-BO", 0)]
    assert found["BQ"].level is None
    assert "PS" not in found
    assert found["AF"].source_modified_at == datetime(2026, 7, 2, 18, 24, 43, 80_872, UTC)
    assert {code for code, reading in found.items() if reading.unread} == {
        code for code, destination in whole["data"].items() if destination["has-regional-advisory"]
    }


def test_cap_real_message_is_read() -> None:
    """A police warning in Maryland ends after an hour."""
    [message] = cap.parse((FEEDS / "cap" / "ipaws-2019-carroll-county.xml").read_bytes())[0]

    assert (message.event, message.severity, message.areas) == (
        "Law Enforcement Warning", "Severe", ("Carroll County, MD",)
    )  # fmt: skip
    assert message.sent == datetime(2019, 3, 29, 16, 13, 10, tzinfo=UTC)
    assert cap.messages_in_force([message], message.sent) == [message]
    assert cap.messages_in_force([message], NOW) == []


def test_backtest_of_2020_is_the_picture_in_the_readme() -> None:
    """`passage feed backtest … --picture services/safety/backtest-2020.svg` draws it anew from the real history."""
    quarter = played_quarter("real")
    drawn = (ROOT / "services" / "safety" / "backtest-2020.svg").read_text(encoding="utf-8")

    assert chart(quarter.report) == drawn
