"""The State Department's list: FIPS tags, two entries for a country, placeholders, and two formats."""

import itertools
from datetime import UTC, datetime
from typing import Any

import pycountry
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.safety.reading import BatchRejected
from services.safety.sources.united_states import FLOOR, parse
from shared.events import Level
from tests.failures import Failures
from tests.rules.feeds import NOW, body, damaged, mutated, read, tried

WORDS = ("Exercise Normal Precautions", "Exercise Increased Caution", "Reconsider Travel", "Do Not Travel")


def advisory(
    name: str = "Chile", level: int = 1, tag: str = "CI", at: str = "2026-07-29T20:00:00-04:00", **more: object
) -> dict[str, Any]:
    """An entry as the API shows it."""
    words = WORDS[level - 1] if 1 <= level <= 4 else "?"
    title = f"{name} - Level {level}: {words}"
    return {"Title": title, "Link": "https://travel.example/x.html", "Category": [tag], "Updated": at, **more}


def linked(iso3: str) -> str:
    """The address of a country's page, as the new pages have it."""
    return f"https://travel.example/international-travel/travel-advisories/destination.{iso3}.html"


RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0"><channel><item>
<title>Chad - Level 4: Do Not Travel</title><link>https://travel.example/chad.html</link>
<pubDate>Tue, 28 Apr 2026</pubDate>
<description><![CDATA[<p><b>The advisory level was increased to 4.</b></p><p>Do not travel.</p>]]></description>
<category domain="Threat-Level">Level 4: Do Not Travel</category><category domain="Country-Tag">CD</category>
</item></channel></rss>"""


def test_us_rss_says_the_same_as_the_list() -> None:
    """CD is Chad, and a date without a time is midnight UTC."""
    [reading] = parse([RSS.encode()], NOW, floor=1).countries

    assert (reading.country, reading.level) == ("TD", 3)
    assert reading.source_modified_at == datetime(2026, 4, 28, tzinfo=UTC)
    assert "increased to 4" in reading.text_en


@pytest.mark.parametrize(
    ("entry", "country"),
    [
        (advisory("China", tag="CH"), "CN"),
        (advisory("Burma (Myanmar)", tag="BM"), "MM"),
        (advisory("Mexico Travel Advisory", tag="MX"), "MX"),
        (advisory("Republic of the Congo", tag="CF"), "CG"),
        (advisory("Democratic Republic of the Congo", tag="CG"), "CD"),
        (advisory("Guinea-Bissau", tag="PU"), "GW"),
        (advisory("Niger", tag="NG"), "NE"),
        (advisory("Nigeria", tag="NI"), "NG"),
        (advisory("Côte d’Ivoire", tag="IV"), "CI"),
        (advisory("Bosinia and Herzegovina", tag="BK"), "BA"),
        (advisory("A Name Nobody Knows", tag="NS"), "SR"),
        (advisory("Kosovo", tag="KV", Link=linked("xkx")), "XK"),
        (advisory("Anything", tag="??", Link=linked("sur")), "SR"),
        (advisory("Chad", tag="CD", Link=linked("chn")), None),
        (advisory("Nobody & Someone", tag="MC"), None),
        (advisory("A Name Nobody Knows", tag="ZZ"), None),
    ],
)
def test_us_entry_is_of_the_country_that_page_name_and_tag_agree_on(entry: dict[str, Any], country: str | None) -> None:
    """Tags are not ISO codes: CD is Chad, CH China. An entry without a certain country is left out."""
    batch = parse([body([entry, advisory("Peru", tag="PE"), advisory("Fiji", tag="FJ")])], NOW, floor=1)

    assert {reading.country for reading in batch.countries} - {"PE", "FJ"} == ({country} if country else set())
    assert bool(batch.skipped) is (country is None)


GROUPS = {
    "Mainland China, Hong Kong & Macau - See Summaries": ("CN", "HK", "MO"),
    "Israel, the West Bank and Gaza": ("IL", "PS"),
    "Israel, West Bank, and Gaza": ("IL", "PS"),
    "French West Indies": ("BL", "GP", "MF", "MQ"),
    "Switzerland and Liechtenstein": ("CH", "LI"),
    "Spain & Andorra": ("AD", "ES"),
    "Italy/Holy See/San Marino": ("IT", "SM", "VA"),
    "Chile and Nowhere": ("CL",),
}


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(GROUPS)), st.integers(1, 4), st.data())
def test_us_group_stands_for_members_without_an_entry(name: str, level: int, data: st.DataObject) -> None:
    """Each member has the level of its own entry, else that of the group, which a person is shown; none is lost."""
    members = GROUPS[name]
    own = data.draw(st.sets(st.sampled_from(members))) - {"PS"}
    entries = [advisory(_names(country), 2, "ZZ", "2020-01-01T00:00:00Z") for country in sorted(own)]
    found = read(parse, data.draw(st.permutations([*entries, advisory(name, level, "ZZ"), advisory("Fiji", tag="FJ")])))

    assert found.keys() == {*members, "FJ"}
    assert {country: found[country].level for country in members} == {
        country: 1 if country in own else level - 1 for country in members
    }
    assert all(bool(found[country].unread) is (country not in own) for country in members)


def _names(country: str) -> str:
    """The English name of a country."""
    entry = pycountry.countries.get(alpha_2=country)
    return {"MF": "Saint Martin", "VA": "Holy See"}.get(country, getattr(entry, "common_name", entry.name))


def test_us_country_whose_name_has_several_words_is_one_country() -> None:
    """Trinidad and Tobago is no group, nor is any other country, under its names in ISO."""
    with Failures() as failures:
        for country in pycountry.countries:
            for name in {country.name, getattr(country, "common_name", country.name)}:
                # With words in brackets it is no name that identity.py knows.
                if "(" in name:
                    continue
                with failures.case(name):
                    assert read(parse, [advisory(name, 3, "ZZ")]).keys() == {country.alpha_2}


@settings(deadline=None, max_examples=100)
@given(st.sampled_from([("BQ", ("Bonaire", "Saba", "Sint Eustatius")), ("PS", ("West Bank", "Gaza"))]), st.data())
def test_us_parts_with_an_entry_each_count_with_their_worst(
    whole: tuple[str, tuple[str, ...]], data: st.DataObject
) -> None:
    """In any order and with any dates; a part without an entry is unknown, never green."""
    country, areas = whole
    levels = data.draw(st.dictionaries(st.sampled_from(areas), st.integers(1, 4), min_size=1))
    dates = st.sampled_from(["2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z"])
    entries = [advisory(name, level, "ZZ", data.draw(dates)) for name, level in levels.items()]
    reading = read(parse, data.draw(st.permutations(entries)))[country]

    worst = max(levels.values()) - 1
    assert {region.area: region.level for region in reading.regions if region.level is not None} == {
        name: level - 1 for name, level in levels.items()
    }
    assert reading.level == (worst if len(levels) == len(areas) or worst >= Level.ORANGE else None)
    assert reading.regional_max == worst
    assert bool(reading.unread) is (len(levels) < len(areas))


def test_us_newest_of_two_entries_counts_in_whatever_order() -> None:
    """Bangladesh: the July entry counts, not January's; of the same day the worse; a placeholder never."""
    old = advisory("Bangladesh", 3, "BG", "2026-01-19T19:00:00-05:00")
    new = advisory("Bangladesh", 2, "BG", Link=linked("bgd"))
    same = advisory("Bangladesh", 4, "BG")
    hollow = advisory("Bangladesh", 1, "BG", "2026-10-01T20:00:00-04:00",
                      Summary="Exercise normal precautionSummary not available")  # fmt: skip

    for entries, level in (([old, new], 1), ([old, new, same], 3), ([old, new, hollow], 1)):
        for order in itertools.permutations(entries):
            assert read(parse, list(order))["BD"].level == level


def test_us_placeholder_alone_says_nothing() -> None:
    """North Korea was level 1 for a day: such a placeholder is unknown, and a person is told."""
    hollow = advisory("North Korea", 1, "KN", Summary="Exercise normal precautionSummary not available")

    reading = read(parse, [hollow])["KP"]

    assert (reading.level, reading.unread[-1]) == (None, "KP: a placeholder: its summary is not available")


@pytest.mark.parametrize("title", ["Chile - Level 7: ?", "Chile - Level 0", "Chile - Level 4: Reconsider Travel"])
def test_us_level_that_cannot_be_is_unknown(title: str) -> None:
    """Level 7, or a number and words of two levels."""
    reading = read(parse, [advisory(Title=title)])["CL"]

    assert reading.level is None
    assert reading.unread


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"{}", "not a list of advisories"),
        (b"<!DOCTYPE html><html><body>Just a moment...</body></html>", "document type|well-formed"),
        (b"<html><body>Challenge</body></html>", "not a list of advisories"),
        (b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "b">]><rss>&a;</rss>', "document type or entities"),
        (b'<!DOCTYPE rss SYSTEM "file:///etc/passwd"><rss/>', "document type or entities"),
        ("<?xml version='1.0' encoding='utf-16'?><!DOCTYPE rss [<!ENTITY a 'b'>]><rss/>".encode("utf-16"), "page 1"),
        (b"<rss>" + b"<a>" * 10_000, "well-formed"),
        (b"[" * 10_000, "not JSON"),
        (b"[]", "0 advisories"),
    ],
)
def test_us_answer_that_is_no_list_is_rejected(page: bytes, reason: str) -> None:
    """A challenge page, entities, endless nesting: rejected, with the reason."""
    with pytest.raises(BatchRejected, match=reason):
        parse([page], NOW, floor=1)


def test_us_short_list_is_rejected_and_deep_xml_is_read() -> None:
    """A list below the floor is rejected; 10,000 closed levels of XML are read, and hold nothing."""
    with pytest.raises(BatchRejected, match=f"1 advisories where at least {FLOOR}"):
        parse([body([advisory()])], NOW, floor=FLOOR)
    with pytest.raises(BatchRejected, match="0 advisories"):
        parse([b"<rss>" + b"<a>" * 10_000 + b"</a>" * 10_000 + b"</rss>"], NOW, floor=1)


def test_us_date_to_come_and_no_date() -> None:
    """2099 counts as now; an entry without a date is left out."""
    far = advisory(at="2099-01-01T00:00:00Z")
    batch = parse([body([far, advisory("Peru", tag="PE", at="yesterday")])], NOW, floor=1)

    assert [(reading.country, reading.source_modified_at) for reading in batch.countries] == [("CL", NOW)]
    assert len(batch.skipped) == 1


WHOLE = [advisory(), advisory("Chad", 4, "CD"), advisory("Peru", 2, "PE", Link=linked("per"))]


@settings(deadline=None)
@given(st.data())
def test_us_level_stands_in_a_title(data: st.DataObject) -> None:
    """For any entries in any order: no exception, and no level that no title states."""
    document = data.draw(st.permutations(data.draw(mutated(WHOLE)) or []))
    titles = [entry.get("Title") for entry in document if isinstance(entry, dict)]

    for reading in tried(parse, [body(document)]):
        if reading.level is not None:
            assert any(f"- Level {reading.level.value + 1}" in title for title in titles if isinstance(title, str))
    for page in (body(WHOLE), RSS.encode()):
        for reading in tried(parse, [data.draw(damaged(page))]):
            assert reading.source_modified_at <= NOW
