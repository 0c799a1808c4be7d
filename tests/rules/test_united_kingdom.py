"""GOV.UK's pages: warnings for the whole or for parts, the rest in the text, no warning that is not green."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.safety.reading import BatchRejected
from services.safety.sources.documents import HTML_LIMIT
from services.safety.sources.united_kingdom import FLOOR, parse
from shared.events import Level
from tests.rules.feeds import NOW, body, damaged, mutated, read, tried

RED, ORANGE = "avoid_all_travel_to_parts", "avoid_all_but_essential_travel_to_parts"
ALL_RED, ALL_ORANGE = "avoid_all_travel_to_whole_country", "avoid_all_but_essential_travel_to_whole_country"


def page(slug: str = "ukraine", *statuses: object, text: str = "<p>No travel can be guaranteed safe.</p>",
         at: str = "2026-09-15T15:41:54+01:00", **more: object) -> dict[str, Any]:  # fmt: skip
    """A page as the Content API answers it."""
    name = slug.replace("-", " ").title()
    return {
        "base_path": f"/foreign-travel-advice/{slug}",
        "title": f"{name} travel advice",
        "public_updated_at": at,
        "updated_at": "2026-10-30T16:55:14+01:00",
        "links": {"parent": []},
        "details": {
            "alert_status": list(statuses),
            "change_description": "Updated information.",
            "country": {"name": name, "slug": slug, "synonyms": ["Kyiv"]},
            "parts": [{"slug": "warnings-and-insurance", "title": "Warnings and insurance", "body": text}],
            **more,
        },
    }


def index(*slugs: str, at: str = "2026-09-15T14:41:54Z") -> dict[str, Any]:
    """An index that lists these pages."""
    children = [{"public_updated_at": at, "details": {"country": {"name": slug, "slug": slug}}} for slug in slugs]
    return {"base_path": "/foreign-travel-advice", "links": {"children": children}}


@pytest.mark.parametrize(
    ("statuses", "text", "level", "regions"),
    [
        ([ALL_RED], "", 3, {}),
        ([ALL_ORANGE], "", 2, {}),
        ([ALL_ORANGE, RED], "<p>FCDO advises against all travel to the border area.</p>", 2, {"the border area": 3}),
        ([], "<p>All is well.</p>", None, {}),
        ([ORANGE], "<p>FCDO advises against all but essential travel to the Donbas.</p>", 1, {"the Donbas": 2}),
        # Ukraine: only "parts", and the rest is what it warns against.
        (
            [RED, ORANGE],
            "<h3>Western Ukraine</h3><p>FCDO advises against all but essential travel to the following western regions "
            "of Ukraine:</p><ul><li>Zakarpattia</li><li><p>Lviv</p></li></ul>"
            "<h3>Rest of Ukraine</h3><p>FCDO advises against all travel to the rest of Ukraine, including Crimea.</p>",
            3,
            {"Zakarpattia": 2, "Lviv": 2},
        ),
        ([RED], "<p>FCDO advises against all travel to all other regions of Ukraine.</p>", 3, {}),
        ([RED], "<p>FCDO advises against all travel to the rest of the country.</p>", 3, {}),
        ([RED], "<p>FCDO advises against all travel to Ukraine, except the city of Lviv.</p>", 3, {}),
        (
            [RED, ORANGE],
            "<p>FCDO advises against all travel to within 5km of the line and against all but essential travel to "
            "Kharkiv region. This is because of war.</p>",
            1,
            {"within 5km of the line": 3, "Kharkiv region": 2},
        ),
        (
            [RED],
            "<h2>FCDO advises against all travel to:</h2><ul><li>the Donetsk region</li></ul><p>Take care.</p>"
            "<ul><li>no area</li></ul>",
            1,
            {"the Donetsk region": 3},
        ),
        ([RED], "<p>Nothing that can be read.</p>", 1, {"parts of Ukraine": 3}),
        # A neighbour on the same page is not a part.
        ([RED], "<p>FCDO advises against all travel to Belarus.</p>", 1, {"parts of Ukraine": 3}),
        ([], "<p>FCDO advises against all travel to Belarus.</p>", None, {}),
        ([RED], "<p>FCDO advises against all travel to the rest of Moldova.</p>", 1, {"the rest of Moldova": 3}),
    ],
)  # fmt: skip
def test_uk_warnings_are_read_by_their_structure(
    statuses: list[str], text: str, level: int | None, regions: dict[str, int]
) -> None:
    """The flags say that there is a warning, the text says of which areas."""
    reading = read(parse, page("ukraine", *statuses, text=text))["UA"]

    assert (reading.level, {region.area: region.level for region in reading.regions}) == (level, regions)
    assert reading.is_without_warning is (statuses == [])


#: Sentences that warn, each with the least that it may count as, with and without a flag.
WARNINGS = (
    ("FCDO advises against all travel to the border area.", 3),
    ("FCDO advises against all travel to parts of {name}.", 3),
    ("FCDO advises against all but essential travel to the rest of {name}.", 2),
    ("FCDO currently advises British nationals against all travel to {name}.", 3),
    ("FCDO advises against all travel within 20km of the border with {name}.", 3),
    ("FCDO advises against all but essential travel in the north.", 2),
    ("FCDO advises against all non-essential travel to {name}.", 2),
    ("FCDO advises against all international travel to {name}.", 3),
    ("FCDO advises against travel to the St. Irgendwo area.", 3),
    ("FCDO advises against all travel to St. John's Province (approx. 20 km off).", 3),
    ("We warn against any travel to {name}.", 3),
    ("All travel to the north is advised against.", 3),
    ("Avoid all travel to {name}.", 3),
    ("You should not travel to {name}.", 3),
    ("Only travel to {name} if it is essential.", 2),
    ("British nationals should leave the country immediately.", 3),
    ("FCDO no longer advises against all travel to the coast, but advises against all travel to the north.", 3),
    ("FCDO no longer advises against all travel to the coast and warns against any travel to the north.", 3),
    ("In some places FCDO advises against all travel to the islands.", 3),
)
CALM = (
    "FCDO no longer advises against all travel to {name}.",
    "FCDO no longer advises against all but essential travel to the north of {name}.",
    "FCDO does not advise against travel to {name}.",
    "FCDO has removed its advice against all travel to {name}.",
    "Your travel insurance could be invalidated if you travel against advice from FCDO.",
    "Check whether FCDO advises against travel before you go.",
    "If FCDO advises against all travel to your destination, call your insurer.",
    "No travel can be guaranteed safe.",
)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(WARNINGS), st.lists(st.sampled_from(CALM), max_size=3), st.data(),
    st.sampled_from([[], [ORANGE], [RED], [ALL_ORANGE]]),
)  # fmt: skip
def test_uk_warning_in_any_form_counts_whatever_the_flags_say(
    warning: tuple[str, int], calm: list[str], data: st.DataObject, statuses: list[str]
) -> None:
    """Among harmless sentences, in a paragraph, list or heading: it counts, or is unread and feared."""
    sentence, least = warning
    sentences = [*calm]
    sentences.insert(data.draw(st.integers(0, len(calm))), sentence)
    mark = data.draw(st.sampled_from(["<p>{}</p>", "<ul><li>{}</li></ul>", "<h3>{}</h3>", "<p>{} "]))
    text = "".join(mark.format(words.format(name="Ukraine")) for words in sentences)
    reading = read(parse, page("ukraine", *statuses, text=text))["UA"]

    assert not reading.is_without_warning
    worst = max((level for level in (reading.level, reading.regional_max) if level is not None), default=None)
    assert worst is not None, text
    assert worst >= least, text


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(CALM), max_size=5))
def test_uk_advice_that_is_taken_back_is_no_warning(calm: list[str]) -> None:
    """ "No longer advises against", conditions and insurance: no warning, and nothing unread."""
    text = "".join(f"<p>{words.format(name='Ukraine')}</p>" for words in calm)
    reading = read(parse, page("ukraine", text=text or "<p>Take care.</p>"))["UA"]

    assert (reading.level, reading.regions, reading.unread, reading.is_without_warning) == (None, (), (), True)


def test_uk_region_has_a_code_where_it_is_certain() -> None:
    """Catalonia has its ISO 3166-2 code."""
    text = "<p>FCDO advises against all travel to Catalonia.</p>"

    assert [region.code for region in read(parse, page("spain", RED, text=text))["ES"].regions] == ["ES-CT"]


@pytest.mark.parametrize(
    ("slug", "countries"),
    [
        ("palestine", {"PS"}), ("the-occupied-palestinian-territories", {"PS"}), ("usa", {"US"}),
        ("congo", {"CG"}), ("democratic-republic-of-the-congo", {"CD"}), ("the-gambia", {"GM"}),
        ("south-korea", {"KR"}), ("niger", {"NE"}), ("nigeria", {"NG"}), ("guinea", {"GN"}), ("guinea-bissau", {"GW"}),
        ("cook-islands-tokelau-and-niue", {"CK", "NU", "TK"}), ("bonaire-st-eustatius-saba", {"BQ"}),
        ("dominica", {"DM"}), ("dominican-republic", {"DO"}), ("atlantis", set()),
    ],
)  # fmt: skip
def test_uk_slug_is_a_country_or_none(slug: str, countries: set[str]) -> None:
    """Slugs change: they are compared as whole names, never by their beginning."""
    assert set(read(parse, page(slug), page("chile"))) - {"CL"} == countries


def test_uk_status_of_a_new_kind_is_no_all_clear() -> None:
    """The schema allows any string: the country is unknown, and the flag is shown."""
    reading = read(parse, page("chile", "avoid_moonlight", 7))["CL"]

    assert (reading.level, reading.is_without_warning) == (None, False)
    assert len(reading.unread) == 2


@pytest.mark.parametrize("more", [{"alert_status": None}, {"alert_status": "avoid"}, {"alert_status": {}}])
def test_uk_page_without_its_list_of_warnings_is_unknown(more: dict[str, object]) -> None:
    """A missing or wrong field is unknown, not "no warning"."""
    reading = read(parse, page("chile", **more))["CL"]

    assert (reading.level, reading.is_without_warning, len(reading.unread)) == (None, False, 1)


def test_uk_minor_edit_keeps_its_date_and_the_newest_page_counts() -> None:
    """`updated_at` is ignored. Of two pages the newest counts. A page older than the index says is flagged."""
    old = page("chile", ALL_RED, at="2026-09-01T00:00:00Z")
    new = page("chile", at="2026-09-15T15:41:54+01:00")

    assert read(parse, new, old)["CL"] == read(parse, old, new)["CL"]
    assert read(parse, old, new)["CL"].level is None
    assert read(parse, index("chile"), old)["CL"].unread == ("chile: its page is older than the index says",)
    assert read(parse, index("chile"), new)["CL"].unread == ()


def test_uk_text_without_an_end_hides_no_warning() -> None:
    """A text that is too long is not read; the flags count."""
    found = read(parse, page("chile", RED, text="<p>x" * HTML_LIMIT))["CL"]

    assert found.regional_max == Level.RED


@pytest.mark.parametrize("document", [b"{}", b"[]", b"", b"<html>", b'{"details": {}}', b"[" * 10_000])
def test_uk_answer_that_is_no_page_is_rejected(document: bytes) -> None:
    """Answers in another format are rejected, and answers with too few countries."""
    with pytest.raises(BatchRejected):
        parse([document], NOW, floor=1)
    with pytest.raises(BatchRejected, match=f"1 countries where at least {FLOOR}"):
        parse([body(page())], NOW, floor=FLOOR)


WHOLE = [index("chile", "ukraine"), page("chile", ALL_ORANGE),
         page("ukraine", RED, text="<p>FCDO advises against all travel to the rest of Ukraine.</p>")]  # fmt: skip


@settings(deadline=None)
@given(st.data())
def test_uk_level_stands_in_the_document(data: st.DataObject) -> None:
    """For any documents: no exception, and no level that neither a flag nor the text states."""
    documents = [data.draw(mutated(document)) for document in WHOLE]
    said = json.dumps(documents)

    for reading in tried(parse, [body(document) for document in data.draw(st.permutations(documents))]):
        levels = {reading.level, reading.regional_max}
        assert Level.GREEN not in levels
        assert Level.RED not in levels or "avoid_all_travel" in said or "against all travel" in said
        assert Level.ORANGE not in levels or "essential" in said
    tried(parse, [data.draw(damaged(body(document))) for document in WHOLE])
